package registry

import (
	"context"
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/merge"
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
}

// FieldChange is one field of a device before and after.
type FieldChange struct {
	Field  string `json:"field"`
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// CreateDevice adds a device. Without a device_id it gets one made from its name. Exists when that is taken.
func (r *Registry) CreateDevice(ctx context.Context, _ Actor, org string, edit DeviceEdit) (tandem.Device, error) {
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
	err := r.Store.Apply(ctx, org, &tandem.Changes{CreateDevices: []tandem.Device{d}})
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
func (r *Registry) Devices(ctx context.Context, _ Actor, org string, filter tandem.DeviceFilter) ([]tandem.DeviceRow, int, error) {
	if filter.Now.IsZero() {
		filter.Now = r.Clock()
	}
	return r.Store.Devices(ctx, org, filter)
}

// Device finds the one device whose id, device_id or name is ref. Several of one name are Invalid, and listed.
func (r *Registry) Device(ctx context.Context, _ Actor, org, ref string) (tandem.Device, error) {
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
	var after tandem.Device
	var changes []FieldChange
	err := retryMoved(func() error {
		before, err := r.Device(ctx, actor, org, ref)
		if err != nil {
			return err
		}
		after = before
		apply(&after, edit)
		if changes = Diff(&before, &after); len(changes) == 0 {
			return nil
		}
		if p := checkDevice(&after); len(p) > 0 {
			return wrongDevice("update device", before.Name, p)
		}
		touch(&before, &after, r.Clock())
		err = r.Store.Apply(ctx, org, &tandem.Changes{UpdateDevices: []tandem.Device{after}})
		if tandem.Is(err, tandem.Exists) {
			return tandem.Errorf(tandem.Exists, "update device", after.DeviceID, "another device has this device_id").
				WithHint("a device_id is unique in the organization; choose another one")
		}
		after.Version++
		return err
	})
	return after, changes, err
}

// DeleteDevice leaves a tombstone. What becomes of the remote device is decided by the next run (S17).
func (r *Registry) DeleteDevice(ctx context.Context, actor Actor, org, ref string) (tandem.Device, error) {
	var d tandem.Device
	err := retryMoved(func() (err error) {
		if d, err = r.Device(ctx, actor, org, ref); err != nil {
			return err
		}
		now := r.Clock()
		d.DeletedAt, d.UpdatedAt = &now, now
		return r.Store.Apply(ctx, org, &tandem.Changes{UpdateDevices: []tandem.Device{d}})
	})
	return d, err
}

// Link links a device to a remote device by a person's word.
func (r *Registry) Link(ctx context.Context, actor Actor, org, serviceID, ref, externalID string) (tandem.Device, tandem.Assignment, error) {
	d, err := r.Device(ctx, actor, org, ref)
	if err != nil {
		return d, tandem.Assignment{}, err
	}
	if err := checkLine("external_device_id", externalID, 1, maxName); err != nil {
		return d, tandem.Assignment{}, err
	}
	a, err := r.Engine.Link(ctx, org, serviceID, d.ID, externalID, actor.By())
	return d, a, err
}

// Unlink keeps a device's assignment but stops syncing it.
func (r *Registry) Unlink(ctx context.Context, actor Actor, org, serviceID, ref string) (tandem.Device, error) {
	d, err := r.Device(ctx, actor, org, ref)
	if err != nil {
		return d, err
	}
	return d, r.Engine.Unlink(ctx, org, serviceID, d.ID, actor.By())
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

// Diff lists the fields in which two states of a device differ, in the order of the columns.
func Diff(before, after *tandem.Device) []FieldChange {
	var changes []FieldChange
	add := func(field string, b, a any, same bool) {
		if !same {
			changes = append(changes, FieldChange{field, b, a})
		}
	}
	add("name", before.Name, after.Name, before.Name == after.Name)
	add("device_id", before.DeviceID, after.DeviceID, before.DeviceID == after.DeviceID)
	add("device_type", before.DeviceType, after.DeviceType, before.DeviceType == after.DeviceType)
	add("lifecycle", before.Lifecycle, after.Lifecycle, before.Lifecycle == after.Lifecycle)
	add("hardware_ids", before.HardwareIDs, after.HardwareIDs, sameSet(before.HardwareIDs, after.HardwareIDs))
	add("tags", before.Tags, after.Tags, sameSet(before.Tags, after.Tags))
	add("enabled", before.Enabled, after.Enabled, before.Enabled == after.Enabled)
	add("blueprint", before.Blueprint, after.Blueprint, before.Blueprint == after.Blueprint)
	add("cohort", before.Cohort, after.Cohort, before.Cohort == after.Cohort)
	add("metadata", before.Metadata, after.Metadata, len(changedLeaves(before.Metadata, after.Metadata)) == 0)
	add("notes", before.Notes, after.Notes, before.Notes == after.Notes)
	return changes
}

func sameSet(a, b []string) bool {
	return slices.Equal(canonicalSet(a), canonicalSet(b))
}

// touch notes when each changed path was edited (S8); metadata leaf by leaf (S3).
func touch(before, after *tandem.Device, now time.Time) {
	times := make(tandem.EditTimes, len(before.FieldEditedAt)+1)
	for path, at := range before.FieldEditedAt {
		times[path] = at
	}
	for _, change := range Diff(before, after) {
		if change.Field == tandem.FieldMetadata.String() {
			for _, leaf := range changedLeaves(before.Metadata, after.Metadata) {
				times[leaf] = now
			}
		} else if _, err := tandem.ParseField(change.Field); err == nil {
			times[tandem.Path(change.Field)] = now
		}
	}
	if before.ID == "" { // a new device is enabled or not from now on, also where that is the zero value
		times[tandem.Path(tandem.FieldEnabled.String())] = now
	}
	after.FieldEditedAt, after.UpdatedAt = times, now
}

// changedLeaves gives the paths of the leaves that differ, sorted.
func changedLeaves(before, after tandem.Map) []tandem.Path {
	was, is := map[tandem.Path]any{}, map[tandem.Path]any{}
	leaves("metadata", before, was)
	leaves("metadata", after, is)
	var paths []tandem.Path
	for path, value := range is {
		if old, ok := was[path]; !ok || !merge.Equal(old, value) {
			paths = append(paths, path)
		}
	}
	for path := range was {
		if _, ok := is[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901

// leaves lists a map's leaves by path; null and an empty object are absent (S6).
func leaves(at tandem.Path, v any, into map[tandem.Path]any) {
	m, ok := v.(tandem.Map)
	if !ok {
		if v != nil {
			into[at] = v
		}
		return
	}
	for key, inner := range m {
		leaves(at+tandem.Path("/"+escapePointer.Replace(key)), inner, into)
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
