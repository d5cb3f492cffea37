package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"tandem"
)

// lockedDevice is a device as it stands in the database while it is locked.
type lockedDevice struct {
	version     int64
	hardwareIDs []string
	tags        []string
}

// lockDevices locks the devices that will be rewritten, in the order of their ids, and compares versions.
func (a *apply) lockDevices(ctx context.Context, moved *tandem.MovedError) error {
	a.locks = make(map[string]*lockedDevice, len(a.UpdateDevices))
	ids := make([]string, 0, len(a.UpdateDevices))
	for i := range a.UpdateDevices {
		ids = append(ids, a.UpdateDevices[i].ID)
	}
	slices.Sort(ids)
	for i := range ids {
		if i > 0 && ids[i] == ids[i-1] {
			return tandem.Errorf(tandem.Invalid, "", ids[i], "the device is twice among the changes")
		}
	}
	err := a.locked(ctx, "devices", "id, version, hardware_ids, tags", ids, func(rows *sql.Rows) (err error) {
		var id, hardwareIDs, tags word
		row := &lockedDevice{}
		if err = rows.Scan(&id, &row.version, &hardwareIDs, &tags); err != nil {
			return err
		}
		if row.hardwareIDs, err = decodeStrings(hardwareIDs); err != nil {
			return err
		}
		if row.tags, err = decodeStrings(tags); err != nil {
			return err
		}
		a.locks[string(id)] = row
		return nil
	})
	if err != nil {
		return err
	}
	for i := range a.UpdateDevices {
		switch d := &a.UpdateDevices[i]; {
		case a.locks[d.ID] == nil:
			return missing("device", d.ID)
		case a.locks[d.ID].version != d.Version:
			moved.Devices = append(moved.Devices, d.ID)
		}
	}
	return nil
}

// newer is true in SQL where a row's value, observed at column, gives way to the one that arrives (S5).
func newer(present, arriving, column string) string {
	return "(" + arriving + "." + column + " IS NOT NULL AND (" + present + "." + column + " IS NULL OR " + arriving + "." + column + " > " + present + "." + column + "))"
}

// observedValue is a value with the column that tells its time.
type observedValue struct {
	at, value string
	time      func(o *tandem.Observed) *time.Time
	write     func(b *bulk, o *tandem.Observed)
}

// observedValues are in the order of their columns.
var observedValues = []observedValue{
	{"last_seen", "", func(o *tandem.Observed) *time.Time { return o.LastSeen }, func(*bulk, *tandem.Observed) {}},
	{"offline_at", "", func(o *tandem.Observed) *time.Time { return o.OfflineAt }, func(*bulk, *tandem.Observed) {}},
	{"battery_at", "battery_level", func(o *tandem.Observed) *time.Time { return o.BatteryAt }, func(b *bulk, o *tandem.Observed) { b.real(o.BatteryLevel) }},
	{"location_at", "location", func(o *tandem.Observed) *time.Time { return o.LocationAt }, func(b *bulk, o *tandem.Observed) { b.json(o.Location, o.Location == nil) }},
	{"firmware_at", "firmware", func(o *tandem.Observed) *time.Time { return o.FirmwareAt }, func(b *bulk, o *tandem.Observed) { b.firmware(o.Firmware) }},
}

// keepNewer assigns each of the values the newer of what is there and what arrives.
func keepNewer(values []observedValue, present, arriving string) (set, where string) {
	for i, v := range values {
		if i > 0 {
			set += ", "
			where += " OR "
		}
		condition := newer(present, arriving, v.at)
		where += condition
		for _, column := range []string{v.at, v.value} {
			switch {
			case column == "":
			case len(values) == 1:
				set += column + " = " + arriving + "." + column + ", "
			default:
				set += column + " = CASE WHEN " + condition + " THEN " + arriving + "." + column + " ELSE " + present + "." + column + " END, "
			}
		}
		set = set[:len(set)-2]
	}
	return set, where
}

var (
	setOnUpdate, _ = keepNewer(observedValues, "devices", "excluded")
	rewriteDevice  = ` ON CONFLICT (organization_id, id) DO UPDATE SET ` + assign("name", "name_folded", "device_id", "device_id_folded", "search_text",
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
	if _, err := a.bulkly(ctx, a.tx, "DELETE FROM device_hardware_ids WHERE (organization_id, folded_id, device_id, hardware_id) IN (", ")",
		len(dropIDs), func(b *bulk, i int) { writeHardwareID(b, a.org, dropIDs[i]) }); err != nil {
		return err
	}
	if err := a.insert(ctx, a.tx, "device_hardware_ids", "organization_id, folded_id, device_id, hardware_id", " ON CONFLICT DO NOTHING",
		len(addIDs), func(b *bulk, i int) { writeHardwareID(b, a.org, addIDs[i]) }); err != nil {
		return err
	}
	if _, err := a.bulkly(ctx, a.tx, "DELETE FROM device_tags WHERE (organization_id, tag, device_id) IN (", ")",
		len(dropTags), func(b *bulk, i int) { writeTag(b, a.org, dropTags[i]) }); err != nil {
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

// observe keeps the newer of each observed value (S5), touching only the columns that something is reported of and
// only the rows in which something is newer. It moves no version.
func (a *apply) observe(ctx context.Context) error {
	observations := a.mergeObserved()
	var values []observedValue
	columns := "id"
	for _, v := range observedValues {
		if slices.ContainsFunc(observations, func(o tandem.Observation) bool { return v.time(&o.Observed) != nil }) {
			values = append(values, v)
			columns += ", " + v.at
			if v.value != "" {
				columns += ", " + v.value
			}
		}
	}
	set, where := keepNewer(values, "d", "v")
	if len(values) == 0 { // nothing is said; the devices must be there all the same
		return a.devicesExist(ctx, observations)
	}
	met, err := a.bulkly(ctx, a.tx, "WITH v ("+columns+") AS (", ") UPDATE devices AS d SET "+set+
		" FROM v WHERE d.organization_id = "+quoted(a.org)+" AND d.id = v.id AND ("+where+")",
		len(observations), func(b *bulk, i int) {
			o := &observations[i].Observed
			b.text(observations[i].DeviceID)
			for _, v := range values {
				b.optTime(v.time(o))
				v.write(b, o)
			}
		})
	if err != nil || met == len(observations) {
		return err
	}
	return a.devicesExist(ctx, observations)
}

// devicesExist refuses an observation of a device that is not there.
func (a *apply) devicesExist(ctx context.Context, observations []tandem.Observation) error {
	ids := make([]string, len(observations))
	for i := range observations {
		ids[i] = observations[i].DeviceID
	}
	return a.exist(ctx, a.tx, a.org, "devices", "device", ids)
}

// mergeObserved makes one observation of several about the same device, in the order of their ids, which is the order
// in which all writers lock them.
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
		if o.OfflineAt != nil && (m.OfflineAt == nil || o.OfflineAt.After(*m.OfflineAt)) {
			m.OfflineAt = o.OfflineAt
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
	slices.SortFunc(merged, func(a, b tandem.Observation) int { return strings.Compare(a.DeviceID, b.DeviceID) })
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
