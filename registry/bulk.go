package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tandem"
)

// Selection names devices: by id or device_id, or by a filter.
type Selection struct {
	Refs   []string
	Filter *tandem.DeviceFilter
}

// BulkEdit is done to each of the devices.
type BulkEdit struct {
	Edit       DeviceEdit // no device_id and no version: they are each device's own
	AddTags    []string
	RemoveTags []string
	Delete     bool // instead of an edit
	DryRun     bool // change nothing
}

// DeviceResult is what became of one device.
type DeviceResult struct {
	Ref     string        `json:"ref"` // as it was named
	Device  tandem.Device `json:"device"`
	Changes []FieldChange `json:"changes,omitempty"`
	Deleted bool          `json:"deleted,omitempty"`
	Error   error         `json:"-"`
	Refusal string        `json:"error,omitempty"` // Error's text
}

func (d *DeviceResult) fail(err error) { d.Error, d.Refusal = err, err.Error() }

// EditDevices changes, or deletes, many devices, at most 1,000 in one call, and gives what became of each. One that
// cannot be changed does not keep the others.
func (r *Registry) EditDevices(ctx context.Context, actor Actor, org string, which Selection, edit BulkEdit) ([]DeviceResult, error) {
	need := UpdateDevices
	if edit.Delete {
		need = DeleteDevices
	}
	if err := actor.may(org, need); err != nil {
		return nil, err
	}
	if edit.Edit.DeviceID != nil || edit.Edit.IfVersion != nil {
		return nil, invalid("edit", "of many devices cannot name a device_id or a version")
	}
	results, err := r.selected(ctx, org, which)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		var moved *tandem.MovedError
		err := r.editSelected(ctx, actor, org, results, edit)
		if !errors.As(err, &moved) {
			return results, err
		}
		if err := r.lookAgain(ctx, org, results, moved.Devices, try+1 >= tries); err != nil {
			return results, err
		}
	}
}

// selected finds the devices, in the order in which they are named.
func (r *Registry) selected(ctx context.Context, org string, which Selection) ([]DeviceResult, error) {
	if which.Filter != nil {
		filter := *which.Filter
		filter.Page = tandem.Page{Number: 1, Limit: maxMany}
		if filter.Now.IsZero() {
			filter.Now = r.Clock()
		}
		rows, total, err := r.Store.Devices(ctx, org, filter)
		if err != nil {
			return nil, err
		}
		if total > maxMany {
			return nil, invalid("filter", "matches %d devices, at most %d can be changed in one call", total, maxMany)
		}
		results := make([]DeviceResult, len(rows))
		for i := range rows {
			results[i] = DeviceResult{Ref: rows[i].ID, Device: rows[i].Device}
		}
		return results, nil
	}
	if err := checkMany("devices", len(which.Refs)); err != nil {
		return nil, err
	}
	byID, err := r.devicesByID(ctx, org, which.Refs)
	if err != nil {
		return nil, err
	}
	var results []DeviceResult
	named := map[string]bool{}
	for _, ref := range which.Refs {
		one := DeviceResult{Ref: ref}
		d, ok := byID[ref]
		if !ok {
			if d, err = r.device(ctx, org, ref); err != nil && !tandem.Is(err, tandem.NotFound, tandem.Invalid) {
				return nil, err
			}
			if err != nil {
				one.fail(err)
			}
		}
		if one.Error == nil && named[d.ID] {
			continue
		}
		one.Device, named[d.ID] = d, one.Error == nil
		results = append(results, one)
	}
	return results, nil
}

func (r *Registry) devicesByID(ctx context.Context, org string, ids []string) (map[string]tandem.Device, error) {
	rows, _, err := r.Store.Devices(ctx, org, tandem.DeviceFilter{IDs: ids, Now: r.Clock(), Page: tandem.Page{Number: 1, Limit: maxMany}})
	byID := make(map[string]tandem.Device, len(rows))
	for i := range rows {
		byID[rows[i].ID] = rows[i].Device
	}
	return byID, err
}

// editSelected writes what is to be done to the devices that nothing is wrong with, in one transaction.
func (r *Registry) editSelected(ctx context.Context, actor Actor, org string, results []DeviceResult, edit BulkEdit) error {
	var ids []string
	for i := range results {
		if results[i].Error == nil {
			ids = append(ids, results[i].Device.ID)
		}
	}
	pushing, err := r.pushing(ctx, org, actor.By(), ids)
	if err != nil {
		return err
	}
	changes := &tandem.Changes{}
	var written []int
	afters := make([]tandem.Device, len(results))
	for i := range results {
		one := &results[i]
		if one.Error != nil {
			continue
		}
		if afters[i], err = r.decideOne(actor, org, one, edit, pushing, changes); err != nil {
			one.fail(err)
		} else if one.Deleted || len(one.Changes) > 0 {
			written = append(written, i)
		}
	}
	if edit.DryRun || len(written) == 0 {
		return nil
	}
	if err := r.Store.Apply(ctx, org, changes); err != nil {
		return err
	}
	for _, i := range written {
		results[i].Device = afters[i]
		results[i].Device.Version++
	}
	return nil
}

// decideOne adds one device's changes, with what goes along.
func (r *Registry) decideOne(actor Actor, org string, one *DeviceResult, edit BulkEdit, pushing *pushing, changes *tandem.Changes) (tandem.Device, error) {
	before := one.Device
	after := before
	one.Changes, one.Deleted = nil, false
	if edit.Delete {
		now := r.Clock()
		after.DeletedAt, after.UpdatedAt, one.Deleted = &now, now, true
		changes.Audit = append(changes.Audit, r.entry(actor, org, "device.delete", deviceThing(&before), deviceAudit(&before), nil))
		pushing.deleted(&before, &changes.Along)
		changes.UpdateDevices = append(changes.UpdateDevices, after)
		return after, nil
	}
	own := edit.Edit
	if len(edit.AddTags)+len(edit.RemoveTags) > 0 {
		tags := slices.Clone(before.Tags)
		if own.Tags != nil {
			tags = slices.Clone(*own.Tags)
		}
		remove := canonicalSet(edit.RemoveTags)
		tags = append(slices.DeleteFunc(tags, func(t string) bool { return slices.Contains(remove, t) }), edit.AddTags...)
		own.Tags = &tags
	}
	fields, err := r.decideEdit(&before, &after, own)
	if err != nil || len(fields) == 0 {
		return after, err
	}
	one.Changes = fields
	changes.Audit = append(changes.Audit, r.entry(actor, org, "device.update", deviceThing(&before), was(fields), is(fields)))
	pushing.edited(&after, fields, &changes.Along)
	changes.UpdateDevices = append(changes.UpdateDevices, after)
	return after, nil
}

// lookAgain reads devices that moved meanwhile. Those that are gone, or have moved too often, are left out.
func (r *Registry) lookAgain(ctx context.Context, org string, results []DeviceResult, moved []string, last bool) error {
	byID, err := r.devicesByID(ctx, org, moved)
	if err != nil {
		return err
	}
	found := false
	for i := range results {
		one := &results[i]
		if one.Error != nil || !slices.Contains(moved, one.Device.ID) {
			continue
		}
		found = true
		d, ok := byID[one.Device.ID]
		switch {
		case !ok:
			one.fail(tandem.Errorf(tandem.NotFound, "edit devices", one.Device.Name, "it was deleted meanwhile"))
		case last:
			one.fail(tandem.Errorf(tandem.Stale, "edit devices", one.Device.Name, "it keeps being changed by others").WithHint("try again"))
			one.Device = d
		default:
			one.Device = d
		}
	}
	if !found {
		return fmt.Errorf("edit devices: rows moved that were not edited")
	}
	return nil
}
