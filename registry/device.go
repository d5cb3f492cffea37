package registry

import (
	"context"
	"strings"
	"time"

	"tandem"
)

// DeviceEdit names what is to change of a device; nil leaves a value as it is.
type DeviceEdit struct {
	Name        *string
	DeviceID    *string
	DeviceType  *string
	Lifecycle   *tandem.Lifecycle
	HardwareIDs *[]string
	Tags        *[]string
	Enabled     *bool
	Blueprint   *string
	Cohort      *string
	Metadata    *tandem.Map // the whole of it
	Notes       *string
	IfVersion   *int64 // Stale, with the device as it is, when it is at another version
}

// CreateDevice adds a device. Without a device_id it gets one made from its name. Exists when that is taken.
func (r *Registry) CreateDevice(ctx context.Context, actor Actor, org string, edit DeviceEdit) (tandem.Device, error) {
	if err := actor.may(org, CreateDevices); err != nil {
		return tandem.Device{}, err
	}
	now := r.Clock()
	d := r.newDevice(org, now)
	apply(&d, edit)
	if d.DeviceID == "" {
		d.DeviceID = Slug(d.Name)
		if d.DeviceID == "" {
			d.DeviceID = d.ID // a name without any letter that a slug keeps
		}
	}
	if p := checkDevice(&d); len(p) > 0 {
		return d, wrongDevice("create device", d.Name, p)
	}
	touch(&tandem.Device{}, &d, now)
	along := r.note(actor, org, "device.create", deviceThing(&d), nil, deviceAudit(&d))
	pushing, err := r.pushing(ctx, org, actor.By(), nil)
	if err != nil {
		return d, err
	}
	pushing.created(&d, &along)
	err = r.Store.Apply(ctx, org, &tandem.Changes{CreateDevices: []tandem.Device{d}, Along: along})
	if tandem.Is(err, tandem.Exists) {
		return d, tandem.Errorf(tandem.Exists, "create device", d.DeviceID, "a device with this device_id exists already").
			WithHint("give the new one another device_id, or update the one that is there")
	}
	return d, err
}

func (r *Registry) newDevice(org string, now time.Time) tandem.Device {
	return tandem.Device{ID: r.NewID(), OrganizationID: org, Lifecycle: tandem.Active, Enabled: true, HardwareIDs: []string{},
		Tags: []string{}, Metadata: tandem.Map{}, FieldEditedAt: tandem.EditTimes{}, Version: 1, CreatedAt: now, UpdatedAt: now}
}

// Devices lists devices with where they are linked.
func (r *Registry) Devices(ctx context.Context, actor Actor, org string, filter tandem.DeviceFilter) ([]tandem.DeviceRow, int, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return nil, 0, err
	}
	if filter.Now.IsZero() {
		filter.Now = r.Clock()
	}
	return r.Store.Devices(ctx, org, filter)
}

// Device finds the one device whose id, device_id or name is ref. Several of one name are Invalid, and listed.
func (r *Registry) Device(ctx context.Context, actor Actor, org, ref string) (tandem.Device, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return tandem.Device{}, err
	}
	return r.device(ctx, org, ref)
}

// device is Device without the question who asks.
func (r *Registry) device(ctx context.Context, org, ref string) (tandem.Device, error) {
	found, err := r.Store.FindDevices(ctx, org, ref)
	switch {
	case err != nil:
		return tandem.Device{}, err
	case len(found) == 0:
		return tandem.Device{}, tandem.Errorf(tandem.NotFound, "find device", ref, "no device has this id, device_id or name").
			WithHint("`tandem device list --search %s` looks for a part of it", quoteWord(ref))
	case len(found) > 1:
		ids := make([]string, 0, 5)
		for _, d := range found[:min(len(found), 5)] {
			ids = append(ids, d.DeviceID)
		}
		return tandem.Device{}, tandem.Errorf(tandem.Invalid, "find device", ref, "%d devices have this name", len(found)).
			WithHint("say which one by its device_id: %s", strings.Join(ids, ", "))
	}
	return found[0], nil
}

// UpdateDevice changes what the edit names and gives the device with what changed. Nothing to change writes nothing.
func (r *Registry) UpdateDevice(ctx context.Context, actor Actor, org, ref string, edit DeviceEdit) (tandem.Device, []FieldChange, error) {
	if err := actor.may(org, UpdateDevices); err != nil {
		return tandem.Device{}, nil, err
	}
	var after tandem.Device
	var changes []FieldChange
	err := retryMoved(func() error {
		before, err := r.device(ctx, org, ref)
		if err != nil {
			return err
		}
		after = before
		if err := expect("update device", before.Name, before.Version, edit.IfVersion); err != nil {
			return err
		}
		if changes, err = r.decideEdit(&before, &after, edit); err != nil || len(changes) == 0 {
			return err
		}
		along := r.note(actor, org, "device.update", deviceThing(&before), was(changes), is(changes))
		pushing, err := r.pushing(ctx, org, actor.By(), []string{after.ID})
		if err != nil {
			return err
		}
		pushing.edited(&after, changes, &along)
		err = r.Store.Apply(ctx, org, &tandem.Changes{UpdateDevices: []tandem.Device{after}, Along: along})
		if tandem.Is(err, tandem.Exists) {
			return deviceIDTaken(after.DeviceID)
		}
		after.Version++
		return err
	})
	return after, changes, err
}

// decideEdit makes after of before and an edit, and says what changes.
func (r *Registry) decideEdit(before, after *tandem.Device, edit DeviceEdit) ([]FieldChange, error) {
	apply(after, edit)
	changes := Diff(before, after)
	if len(changes) == 0 {
		return nil, nil
	}
	if p := checkDevice(after); len(p) > 0 {
		return nil, wrongDevice("update device", before.Name, p)
	}
	touch(before, after, r.Clock())
	return changes, nil
}

func deviceIDTaken(id string) error {
	return tandem.Errorf(tandem.Exists, "update device", id, "another device has this device_id").
		WithHint("a device_id is unique in the organization; choose another one")
}

// DeleteDevice leaves a tombstone. What becomes of the remote device is decided by the next run (S17). With a version
// it is Stale, with the device as it is, when the device is at another one.
func (r *Registry) DeleteDevice(ctx context.Context, actor Actor, org, ref string, ifVersion ...int64) (tandem.Device, error) {
	if err := actor.may(org, DeleteDevices); err != nil {
		return tandem.Device{}, err
	}
	var d tandem.Device
	err := retryMoved(func() (err error) {
		if d, err = r.device(ctx, org, ref); err != nil {
			return err
		}
		if err := expect("delete device", d.Name, d.Version, wanted(ifVersion)); err != nil {
			return err
		}
		along := r.note(actor, org, "device.delete", deviceThing(&d), deviceAudit(&d), nil)
		pushing, err := r.pushing(ctx, org, actor.By(), []string{d.ID})
		if err != nil {
			return err
		}
		pushing.deleted(&d, &along)
		now := r.Clock()
		d.DeletedAt, d.UpdatedAt = &now, now
		return r.Store.Apply(ctx, org, &tandem.Changes{UpdateDevices: []tandem.Device{d}, Along: along})
	})
	return d, err
}

// Link links a device to a remote device by a person's word.
func (r *Registry) Link(ctx context.Context, actor Actor, org, serviceID, ref, externalID string) (tandem.Device, tandem.Assignment, error) {
	if err := actor.may(org, UpdateDevices); err != nil {
		return tandem.Device{}, tandem.Assignment{}, err
	}
	d, err := r.device(ctx, org, ref)
	if err != nil {
		return d, tandem.Assignment{}, err
	}
	if err := checkLine("external_device_id", externalID, 1, maxName); err != nil {
		return d, tandem.Assignment{}, err
	}
	along := r.note(actor, org, "device.link", deviceThing(&d), nil, map[string]any{"service_id": serviceID, "external_device_id": externalID})
	a, err := r.Engine.Link(ctx, org, serviceID, d.ID, externalID, actor.By(), along)
	return d, a, err
}

// Unlink keeps a device's assignment but stops syncing it.
func (r *Registry) Unlink(ctx context.Context, actor Actor, org, serviceID, ref string) (tandem.Device, error) {
	if err := actor.may(org, UpdateDevices); err != nil {
		return tandem.Device{}, err
	}
	d, err := r.device(ctx, org, ref)
	if err != nil {
		return d, err
	}
	along := r.note(actor, org, "device.unlink", deviceThing(&d), map[string]any{"service_id": serviceID}, nil)
	return d, r.Engine.Unlink(ctx, org, serviceID, d.ID, actor.By(), along)
}

// wrongDevice says everything that is wrong with a device in one error.
func wrongDevice(op, name string, p problems) error {
	return tandem.Errorf(tandem.Invalid, op, name, "%s", strings.Join(p, "; "))
}

// apply edits a device in canonical form.
func apply(d *tandem.Device, edit DeviceEdit) {
	set(&d.Name, edit.Name)
	set(&d.DeviceID, edit.DeviceID)
	set(&d.DeviceType, edit.DeviceType)
	set(&d.Lifecycle, edit.Lifecycle)
	set(&d.Enabled, edit.Enabled)
	set(&d.Blueprint, edit.Blueprint)
	set(&d.Cohort, edit.Cohort)
	set(&d.Notes, edit.Notes)
	if edit.HardwareIDs != nil {
		d.HardwareIDs = canonicalSet(*edit.HardwareIDs)
	}
	if edit.Tags != nil {
		d.Tags = canonicalSet(*edit.Tags)
	}
	if edit.Metadata != nil {
		d.Metadata = *edit.Metadata
	}
}

// set assigns what an edit names; text loses the space around it.
func set[T any](to *T, value *T) {
	if value == nil {
		return
	}
	*to = *value
	if text, ok := any(to).(*string); ok {
		*text = strings.TrimSpace(*text)
	}
}

// quoteWord quotes a shell word where it must be.
func quoteWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c == '-' || c == '_' || c == '.' || c == ':' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
