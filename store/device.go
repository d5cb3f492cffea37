package store

import (
	"context"
	"database/sql"
	"sort"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// deviceWritten are the columns of a device's row, in the order of writeDevice.
const deviceWritten = `organization_id, id, name, name_folded, device_id, device_id_folded, search_text, device_type, lifecycle,
	hardware_ids, tags, enabled, blueprint, cohort, metadata, notes, last_seen, battery_level, battery_at, location, location_at,
	firmware, firmware_at, offline_at, version, field_edited_at, deleted_at, created_at, updated_at`

// writeDevice writes a row as version.
func writeDevice(b *bulk, org string, d *tandem.Device, version int64) {
	b.text(org)
	b.text(d.ID)
	b.text(d.Name)
	b.text(fold(d.Name))
	b.text(d.DeviceID)
	b.text(fold(d.DeviceID))
	b.text(searchText(d))
	b.opt(d.DeviceType)
	b.text(string(lifecycle(d)))
	b.list(d.HardwareIDs)
	b.list(d.Tags)
	b.bool(d.Enabled)
	b.opt(d.Blueprint)
	b.opt(d.Cohort)
	b.json(d.Metadata, len(d.Metadata) == 0)
	b.opt(d.Notes)
	writeObserved(b, &d.Observed)
	b.int(version)
	b.edits(d.FieldEditedAt)
	b.optTime(d.DeletedAt)
	b.instant(d.CreatedAt)
	b.instant(d.UpdatedAt)
}

// edits writes times by path, NULL for none.
func (b *bulk) edits(edits tandem.EditTimes) {
	if len(edits) == 0 {
		b.put(isJSON, nil)
		return
	}
	paths := make([]string, 0, len(edits))
	for path := range edits {
		paths = append(paths, string(path))
	}
	sort.Strings(paths)
	text := append(make([]byte, 0, 64*len(edits)), '{')
	for i, path := range paths {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(appendString(text, path), ':', '"')
		at := edits[tandem.Path(path)]
		text = append(at.UTC().Round(time.Microsecond).AppendFormat(text, "2006-01-02T15:04:05.999999Z"), '"')
	}
	b.string(isJSON, string(append(text, '}')))
}

// writeObserved writes last_seen to offline_at.
func writeObserved(b *bulk, o *tandem.Observed) {
	b.optTime(o.LastSeen)
	b.real(o.BatteryLevel)
	b.optTime(o.BatteryAt)
	b.json(o.Location, o.Location == nil)
	b.optTime(o.LocationAt)
	b.firmware(o.Firmware)
	b.optTime(o.FirmwareAt)
	b.optTime(o.OfflineAt)
}

// lifecycle is active where nothing is said.
func lifecycle(d *tandem.Device) tandem.Lifecycle {
	if d.Lifecycle == "" {
		return tandem.Active
	}
	return d.Lifecycle
}

// searchText is what a search looks through.
func searchText(d *tandem.Device) string {
	size := len(d.Name) + len(d.DeviceID) + 2
	for _, id := range d.HardwareIDs {
		size += len(id) + 1
	}
	text := make([]byte, 0, size)
	text = append(append(text, d.Name...), '\n')
	text = append(text, d.DeviceID...)
	for _, id := range d.HardwareIDs {
		text = append(append(text, '\n'), id...)
	}
	return fold(string(text))
}

// deviceRead are the columns that deviceScan reads, of devices AS d.
const deviceRead = `d.id, d.name, d.device_id, d.device_type, d.lifecycle, d.hardware_ids, d.tags, d.enabled, d.blueprint, d.cohort,
	d.metadata, d.notes, d.last_seen, d.battery_level, d.battery_at, d.location, d.location_at, d.firmware, d.firmware_at,
	d.offline_at, d.version, d.field_edited_at, d.deleted_at, d.created_at, d.updated_at`

// deviceScan is where a row is scanned to before it becomes a device.
type deviceScan struct {
	id, name, deviceID, deviceType, lifecycle, hardwareIDs, tags, blueprint, cohort, metadata, notes word
	location, firmware, edited                                                                       word
	enabled                                                                                          bool
	battery                                                                                          sql.NullFloat64
	version                                                                                          int64
	lastSeen, batteryAt, locationAt, firmwareAt, offlineAt, deletedAt, createdAt, updatedAt          stamp
}

// targets gives the destinations in the order of deviceRead.
func (r *deviceScan) targets() []any {
	return []any{&r.id, &r.name, &r.deviceID, &r.deviceType, &r.lifecycle, &r.hardwareIDs, &r.tags, &r.enabled, &r.blueprint, &r.cohort,
		&r.metadata, &r.notes, &r.lastSeen, &r.battery, &r.batteryAt, &r.location, &r.locationAt, &r.firmware, &r.firmwareAt, &r.offlineAt,
		&r.version, &r.edited, &r.deletedAt, &r.createdAt, &r.updatedAt}
}

// device makes the device that was scanned.
func (r *deviceScan) device(org string, d *tandem.Device) (err error) {
	d.ID, d.OrganizationID = string(r.id), org
	d.Name, d.DeviceID, d.DeviceType = string(r.name), string(r.deviceID), string(r.deviceType)
	d.Lifecycle, d.Enabled = tandem.Lifecycle(r.lifecycle), r.enabled
	d.Blueprint, d.Cohort, d.Notes = string(r.blueprint), string(r.cohort), string(r.notes)
	d.LastSeen, d.OfflineAt, d.BatteryAt, d.LocationAt, d.FirmwareAt = r.lastSeen.ptr(), r.offlineAt.ptr(), r.batteryAt.ptr(), r.locationAt.ptr(), r.firmwareAt.ptr()
	d.Version, d.DeletedAt, d.CreatedAt, d.UpdatedAt = r.version, r.deletedAt.ptr(), r.createdAt.Time, r.updatedAt.Time
	if r.battery.Valid {
		level := r.battery.Float64
		d.BatteryLevel = &level
	}
	if d.HardwareIDs, err = decodeStrings(r.hardwareIDs); err != nil {
		return err
	}
	if d.Tags, err = decodeStrings(r.tags); err != nil {
		return err
	}
	if d.FieldEditedAt, err = decodeEdits(r.edited); err != nil {
		return err
	}
	d.Metadata, d.Location = nil, nil
	if d.Firmware, err = decodeFirmware(r.firmware); err != nil || r.metadata == "" && r.location == "" {
		return err
	}
	if err := r.metadata.decode(&d.Metadata); err != nil {
		return err
	}
	return r.location.decode(&d.Location)
}

// devices scans all rows of a query that selects deviceRead.
func scanDevices(org string, rows *sql.Rows) (devices []tandem.Device, err error) {
	r := deviceScan{}
	targets := r.targets()
	err = each(rows, func() error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		devices = append(devices, tandem.Device{})
		return r.device(org, &devices[len(devices)-1])
	})
	return devices, err
}

// each calls fn for every row and closes them.
func each(rows *sql.Rows, fn func() error) (err error) {
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	for rows.Next() {
		if err := fn(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// query runs a SELECT and calls fn for every row.
func query(ctx context.Context, tx bun.Conn, fn func(rows *sql.Rows) error, text string, args ...any) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	return each(rows, func() error { return fn(rows) })
}

// at is an instant as an argument of a query.
func at(t time.Time) string { return formatTime(t) }
