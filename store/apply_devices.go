package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/uptrace/bun"

	"tandem"
)

// lockedDevice is a device as it stands in the database while it is locked.
type lockedDevice struct {
	version     int64
	hardwareIDs []string
	tags        []string
}

// lockDevices locks the devices that will change, in the order of their ids, and compares versions.
func (a *apply) lockDevices(ctx context.Context, moved *tandem.MovedError) error {
	a.locks = make(map[string]*lockedDevice, len(a.UpdateDevices)+len(a.Observe))
	ids := make([]string, 0, len(a.UpdateDevices)+len(a.Observe))
	updating := make(map[string]bool, len(a.UpdateDevices))
	for i := range a.UpdateDevices {
		id := a.UpdateDevices[i].ID
		if updating[id] {
			return tandem.Errorf(tandem.Invalid, "", id, "the device is twice among the changes")
		}
		updating[id] = true
		ids = append(ids, id)
	}
	created := make(map[string]bool, len(a.CreateDevices))
	for i := range a.CreateDevices {
		created[a.CreateDevices[i].ID] = true
	}
	for i := range a.Observe {
		if id := a.Observe[i].DeviceID; !updating[id] && !created[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	columns := "id, version, hardware_ids, tags"
	if len(updating) == 0 { // observations alone
		columns = "id, version, NULL, NULL"
	}
	err := inChunks(ids, 10*chunk, func(list bun.Safe) error {
		return query(ctx, a.tx, func(rows *sql.Rows) (err error) {
			var id, hardwareIDs, tags word
			row := &lockedDevice{}
			if err = rows.Scan(&id, &row.version, &hardwareIDs, &tags); err != nil {
				return err
			}
			if updating[string(id)] {
				if row.hardwareIDs, err = decodeStrings(hardwareIDs); err != nil {
					return err
				}
				if row.tags, err = decodeStrings(tags); err != nil {
					return err
				}
			}
			a.locks[string(id)] = row
			return nil
		}, "SELECT "+columns+" FROM devices WHERE organization_id = ? AND id IN ? ORDER BY id"+a.dialect.Lock(), a.org, list)
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if a.locks[id] == nil {
			return missing("device", id)
		}
	}
	for i := range a.UpdateDevices {
		if d := &a.UpdateDevices[i]; a.locks[d.ID].version != d.Version {
			moved.Devices = append(moved.Devices, d.ID)
		}
	}
	return nil
}

// newer is true in SQL where a row's value, observed at column, gives way to the one that arrives (S5).
func newer(present, arriving, column string) string {
	return "(" + arriving + "." + column + " IS NOT NULL AND (" + present + "." + column + " IS NULL OR " + arriving + "." + column + " > " + present + "." + column + "))"
}

// observedValues says which column tells the time of which.
var observedValues = []struct{ at, value string }{
	{"last_seen", ""}, {"battery_at", "battery_level"}, {"location_at", "location"}, {"firmware_at", "firmware"},
}

// keepNewer assigns each observed column the newer of what is there and what arrives.
func keepNewer(present, arriving string) (set, where string) {
	for i, v := range observedValues {
		if i > 0 {
			set += ", "
			where += " OR "
		}
		condition := newer(present, arriving, v.at)
		where += condition
		set += v.at + " = CASE WHEN " + condition + " THEN " + arriving + "." + v.at + " ELSE " + present + "." + v.at + " END"
		if v.value != "" {
			set += ", " + v.value + " = CASE WHEN " + condition + " THEN " + arriving + "." + v.value + " ELSE " + present + "." + v.value + " END"
		}
	}
	return set, where
}

var (
	setObserved, whereObserved = keepNewer("d", "v")
	setOnUpdate, _             = keepNewer("devices", "excluded")
	observeHead, observeTail   = observeStatement()
	rewriteDevice              = ` ON CONFLICT (organization_id, id) DO UPDATE SET ` + assign("name", "name_folded", "device_id", "device_id_folded", "search_text",
		"device_type", "lifecycle", "hardware_ids", "tags", "enabled", "blueprint", "cohort", "metadata", "notes", "version",
		"field_edited_at", "deleted_at", "updated_at") + ", " + setOnUpdate
)

// assign gives the SET list of an upsert that takes the new values.
func assign(columns ...string) string {
	set := ""
	for i, column := range columns {
		if i > 0 {
			set += ", "
		}
		set += column + " = excluded." + column
	}
	return set
}

// devices writes the created and the edited ones with their index rows. Observed values of an edited
// device count only where they are newer (S5).
func (a *apply) devices(ctx context.Context) error {
	if err := a.insert(ctx, a.tx, "devices", deviceWritten, "", len(a.CreateDevices), func(b *bulk, i int) {
		writeDevice(b, a.org, &a.CreateDevices[i], max(a.CreateDevices[i].Version, 1))
	}); err != nil {
		return err
	}
	if err := a.insert(ctx, a.tx, "devices", deviceWritten, rewriteDevice, len(a.UpdateDevices), func(b *bulk, i int) {
		writeDevice(b, a.org, &a.UpdateDevices[i], a.UpdateDevices[i].Version+1)
	}); err != nil {
		return err
	}
	return a.indexDevices(ctx)
}

// pair is one row of an index table.
type pair struct{ value, device string }

// indexDevices keeps device_hardware_ids and device_tags equal to what the devices hold.
func (a *apply) indexDevices(ctx context.Context) error {
	var addIDs, dropIDs, addTags, dropTags []pair
	for i := range a.CreateDevices {
		d := &a.CreateDevices[i]
		addIDs = appendPairs(addIDs, d.HardwareIDs, nil, d.ID)
		addTags = appendPairs(addTags, d.Tags, nil, d.ID)
	}
	for i := range a.UpdateDevices {
		d := &a.UpdateDevices[i]
		was := a.locks[d.ID]
		addIDs = appendPairs(addIDs, d.HardwareIDs, was.hardwareIDs, d.ID)
		dropIDs = appendPairs(dropIDs, was.hardwareIDs, d.HardwareIDs, d.ID)
		addTags = appendPairs(addTags, d.Tags, was.tags, d.ID)
		dropTags = appendPairs(dropTags, was.tags, d.Tags, d.ID)
	}
	if err := a.bulkly(ctx, a.tx, "DELETE FROM device_hardware_ids WHERE (organization_id, folded_id, device_id, hardware_id) IN (VALUES ", ")",
		len(dropIDs), false, func(b *bulk, i int) { writeHardwareID(b, a.org, dropIDs[i]) }); err != nil {
		return err
	}
	if err := a.insert(ctx, a.tx, "device_hardware_ids", "organization_id, folded_id, device_id, hardware_id", " ON CONFLICT DO NOTHING",
		len(addIDs), func(b *bulk, i int) { writeHardwareID(b, a.org, addIDs[i]) }); err != nil {
		return err
	}
	if err := a.bulkly(ctx, a.tx, "DELETE FROM device_tags WHERE (organization_id, tag, device_id) IN (VALUES ", ")",
		len(dropTags), false, func(b *bulk, i int) { writeTag(b, a.org, dropTags[i]) }); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "device_tags", "organization_id, tag, device_id", " ON CONFLICT DO NOTHING",
		len(addTags), func(b *bulk, i int) { writeTag(b, a.org, addTags[i]) })
}

func writeHardwareID(b *bulk, org string, p pair) {
	b.text(org)
	b.text(fold(p.value))
	b.text(p.device)
	b.text(p.value)
}

func writeTag(b *bulk, org string, p pair) {
	b.text(org)
	b.text(p.value)
	b.text(p.device)
}

// appendPairs adds the values that others does not have.
func appendPairs(pairs []pair, values, others []string, device string) []pair {
	for _, v := range values {
		if !slices.Contains(others, v) {
			pairs = append(pairs, pair{v, device})
		}
	}
	return pairs
}

// observeStatement updates only the rows in which something is newer.
func observeStatement() (head, tail string) {
	return "WITH v (id, last_seen, battery_level, battery_at, location, location_at, firmware, firmware_at) AS (VALUES ",
		") UPDATE devices AS d SET " + setObserved + " FROM v WHERE d.organization_id = ? AND d.id = v.id AND (" + whereObserved + ")"
}

// observe keeps the newer of each observed value (S5). It moves no version.
func (a *apply) observe(ctx context.Context) error {
	observations := a.mergeObserved()
	tail := a.writer.QueryGen().FormatQuery(observeTail, a.org)
	return a.bulkly(ctx, a.tx, observeHead, tail, len(observations), true, func(b *bulk, i int) {
		b.text(observations[i].DeviceID)
		writeObserved(b, &observations[i].Observed)
	})
}

// mergeObserved makes one observation of several about the same device, in a list of their ids' first mention.
func (a *apply) mergeObserved() []tandem.Observation {
	merged := make([]tandem.Observation, 0, len(a.Observe))
	index := make(map[string]int, len(a.Observe))
	for _, o := range a.Observe {
		dateObserved(&o.Observed)
		i, seen := index[o.DeviceID]
		if !seen {
			index[o.DeviceID] = len(merged)
			merged = append(merged, o)
			continue
		}
		m := &merged[i]
		if o.LastSeen != nil && (m.LastSeen == nil || o.LastSeen.After(*m.LastSeen)) {
			m.LastSeen = o.LastSeen
		}
		if o.BatteryAt != nil && (m.BatteryAt == nil || o.BatteryAt.After(*m.BatteryAt)) {
			m.BatteryLevel, m.BatteryAt = o.BatteryLevel, o.BatteryAt
		}
		if o.LocationAt != nil && (m.LocationAt == nil || o.LocationAt.After(*m.LocationAt)) {
			m.Location, m.LocationAt = o.Location, o.LocationAt
		}
		if o.FirmwareAt != nil && (m.FirmwareAt == nil || o.FirmwareAt.After(*m.FirmwareAt)) {
			m.Firmware, m.FirmwareAt = o.Firmware, o.FirmwareAt
		}
	}
	return merged
}

// dateObserved gives a value without a time the report's own time, and drops a time without a value: nil says nothing.
func dateObserved(o *tandem.Observed) {
	if o.BatteryLevel == nil {
		o.BatteryAt = nil
	} else if o.BatteryAt == nil {
		o.BatteryAt = o.LastSeen
	}
	if o.Location == nil {
		o.LocationAt = nil
	} else if o.LocationAt == nil {
		o.LocationAt = o.LastSeen
	}
	if o.Firmware == nil {
		o.FirmwareAt = nil
	} else if o.FirmwareAt == nil {
		o.FirmwareAt = o.LastSeen
	}
}
