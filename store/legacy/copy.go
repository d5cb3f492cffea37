package legacy

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"tandem"
)

// batch is how many devices one transaction takes.
const batch = 500

// copyOrganizations brings organizations over under their ids. Where the old schema had no such table, each organization that
// an integration names is made.
func (m *migration) copyOrganizations(ctx context.Context) error {
	m.organizations = map[string]bool{}
	slugs := map[string]bool{}
	existing, err := m.st.Organizations(ctx)
	if err != nil {
		return err
	}
	for _, o := range existing {
		m.organizations[o.ID], slugs[o.Slug] = true, true
	}
	old, err := m.aside(ctx, "organizations")
	if err != nil {
		return err
	}
	named := old == ""
	if named {
		old = integrations
	}
	rows, err := m.read(ctx, old)
	if err != nil {
		return err
	}
	for _, r := range rows {
		o := m.organization(r, named)
		switch {
		case o.ID == "" && !named:
			m.left(old, r, "it has no id")
			continue
		case o.ID == "" || m.organizations[o.ID]:
			continue
		}
		wanted := o.Slug
		for n := 2; slugs[o.Slug]; n++ {
			o.Slug = fmt.Sprintf("%s-%d", wanted, n)
		}
		if o.Slug != r.text("slug") && r.text("slug") != "" {
			m.note(old, r, "its slug %q became %q: slugs are unique, of lower-case letters, digits and hyphens", r.text("slug"), o.Slug)
		}
		if err := m.st.CreateOrganization(ctx, o); err != nil {
			if fatal(err) {
				return err
			}
			m.left(old, r, "it could not be written: %v", err)
			continue
		}
		read, err := m.st.Organization(ctx, o.ID)
		if err != nil {
			return err
		}
		if err := verify("organization", o.ID, read, o); err != nil {
			return err
		}
		m.organizations[o.ID], slugs[o.Slug] = true, true
		m.report.Organizations++
	}
	return nil
}

// organization reads an old row; named takes what an integration says of it.
func (m *migration) organization(r row, named bool) tandem.Organization {
	if named {
		id := r.text("organization_id")
		return tandem.Organization{ID: id, Name: id, Slug: slug(id), Version: 1, CreatedAt: m.now, UpdatedAt: m.now}
	}
	settings, _ := r.object("settings")
	id := r.text("id")
	o := tandem.Organization{ID: id, Name: r.text("name", "slug", "id"), Version: 1, Slug: slug(r.text("slug", "name", "id")), Settings: settings,
		CreatedAt: or(r.time("created_at"), m.now)}
	o.UpdatedAt = or(r.time("updated_at"), o.CreatedAt)
	return o
}

// slug makes a slug of a name.
func slug(name string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		if c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
			b.WriteRune(c)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	return "organization"
}

// copyDevices brings devices over under their ids, those that are not there yet.
func (m *migration) copyDevices(ctx context.Context) error {
	m.devices = map[string]bool{}
	for org := range m.organizations {
		ids, err := texts(ctx, m.db, "SELECT id FROM devices WHERE organization_id = ?", org)
		if err != nil {
			return err
		}
		for _, id := range ids {
			m.devices[key(org, id)] = true
		}
	}
	old, err := m.aside(ctx, "devices")
	if err != nil || old == "" {
		return err
	}
	rows, err := m.read(ctx, old)
	if err != nil {
		return err
	}
	waiting := map[string][]row{}
	for _, r := range rows {
		org, id := r.text("organization_id"), r.text("id")
		switch {
		case id == "":
			m.left(old, r, "it has no id")
		case !m.organizations[org]:
			m.left(old, r, "its organization %q does not exist", org)
		case !m.devices[key(org, id)]:
			waiting[org] = append(waiting[org], r)
		}
		if len(waiting[org]) >= batch {
			if err := m.writeDevices(ctx, old, org, waiting[org]); err != nil {
				return err
			}
			delete(waiting, org)
		}
	}
	for org, rest := range waiting {
		if err := m.writeDevices(ctx, old, org, rest); err != nil {
			return err
		}
	}
	return nil
}

// writeDevices writes a batch, or where that is refused each device alone, and reads each back.
func (m *migration) writeDevices(ctx context.Context, table, org string, rows []row) error {
	devices := make([]tandem.Device, len(rows))
	for i, r := range rows {
		devices[i] = m.device(r)
	}
	if err := m.st.Apply(ctx, org, &tandem.Changes{CreateDevices: devices}); err == nil {
		for _, d := range devices {
			if err := m.checkDevice(ctx, d); err != nil {
				return err
			}
		}
		return nil
	} else if fatal(err) {
		return err
	}
	for i, d := range devices {
		err := m.st.Apply(ctx, org, &tandem.Changes{CreateDevices: []tandem.Device{d}})
		if tandem.Is(err, tandem.Exists) && d.DeviceID != d.ID {
			m.note(table, rows[i], "its device_id %q is another's: it has its id as device_id instead", d.DeviceID)
			d.DeviceID = d.ID
			err = m.st.Apply(ctx, org, &tandem.Changes{CreateDevices: []tandem.Device{d}})
		}
		switch {
		case fatal(err):
			return err
		case err != nil:
			m.left(table, rows[i], "it could not be written: %v", err)
			continue
		}
		if err := m.checkDevice(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// checkDevice reads a device back and compares.
func (m *migration) checkDevice(ctx context.Context, d tandem.Device) error {
	read, err := m.st.Device(ctx, d.OrganizationID, d.ID)
	if err != nil {
		return err
	}
	read.Version = d.Version
	if err := verify("device", d.ID, read, d); err != nil {
		return err
	}
	m.devices[key(d.OrganizationID, d.ID)] = true
	m.report.Devices++
	return nil
}

// device reads an old row.
func (m *migration) device(r row) tandem.Device {
	id := r.text("id")
	d := tandem.Device{ID: id, OrganizationID: r.text("organization_id"), Name: r.text("name", "device_name", "device_id", "id"),
		DeviceID: r.text("device_id", "serial_number", "id"), DeviceType: r.text("device_type", "type"), Lifecycle: lifecycle(r.text("lifecycle", "status")),
		HardwareIDs: r.list("hardware_ids", "hardware_id"), Tags: r.list("tags"), Enabled: r.yes(true, "enabled"),
		Blueprint: r.text("blueprint"), Cohort: r.text("cohort"), Notes: r.text("notes", "description"), Version: 1,
		DeletedAt: r.time("deleted_at"), CreatedAt: or(r.time("created_at"), m.now)}
	d.UpdatedAt = or(r.time("updated_at"), d.CreatedAt)
	d.Metadata, _ = r.object("metadata")
	d.LastSeen = r.time("last_seen", "last_seen_at")
	seen := or(d.LastSeen, d.UpdatedAt)
	if level := r.number64("battery_level"); level != nil && *level >= 0 && *level <= 100 {
		d.BatteryLevel, d.BatteryAt = level, &seen
	}
	if place, ok := r.object("location"); ok {
		d.Location = position(row{values: place})
	}
	if d.Location == nil {
		d.Location = position(r)
	}
	if d.Location != nil {
		d.LocationAt = &seen
	}
	if version := r.text("firmware_version"); version != "" {
		d.Firmware, d.FirmwareAt = map[string]tandem.Firmware{"main": {Version: version}}, &seen
	}
	return d
}

// position reads a place on earth, nil for none.
func position(r row) *tandem.Location {
	find := func(columns ...string) *float64 {
		for _, column := range columns {
			if n := r.number64(column); n != nil {
				return n
			}
		}
		return nil
	}
	lat, lon := find("lat", "latitude"), find("lon", "lng", "longitude")
	if lat == nil || lon == nil || *lat < -90 || *lat > 90 || *lon < -180 || *lon > 180 {
		return nil
	}
	return &tandem.Location{Latitude: *lat, Longitude: *lon}
}

// lifecycle reads a lifecycle; what the old status said of connectivity means active.
func lifecycle(s string) tandem.Lifecycle {
	switch l := tandem.Lifecycle(strings.ToLower(s)); l {
	case tandem.Inactive, tandem.Maintenance, tandem.Decommissioned:
		return l
	}
	return tandem.Active
}

// or gives an instant, or another where there is none.
func or(at *time.Time, otherwise time.Time) time.Time {
	if at == nil {
		return otherwise
	}
	return *at
}

// fatal reports whether an error is about the database and not about the row.
func fatal(err error) bool {
	return err != nil && !tandem.Is(err, tandem.Invalid, tandem.Exists, tandem.NotFound, tandem.Stale)
}

// verify compares what was read back with what was written.
func verify(what, id string, read, written any) error {
	a, err := canonical(read)
	if err != nil {
		return err
	}
	b, err := canonical(written)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(a, b) {
		return nil
	}
	return tandem.Errorf(tandem.Internal, "migrate device_integrations", id, "the %s is not stored as it was written", what).
		WithHint("keep the database as it is and report this as a fault")
}

// canonical gives a value as JSON has it.
func canonical(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	return out, json.Unmarshal(text, &out)
}
