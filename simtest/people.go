package simtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tandem"
	"tandem/registry"
)

// actor is whoever edits the local side.
var actor = registry.Command("a person")

// edit lets a person do one thing on one side; refusals are part of life and only told.
func (w *world) edit(ctx context.Context) error {
	side := pick(w.rng, tandem.LocalSide, tandem.RemoteSide)
	return w.editOn(ctx, side, "", "")
}

// both lets people change the same field of one linked pair on both sides.
func (w *world) both(ctx context.Context) error {
	linked, err := w.linked(ctx)
	if err != nil || len(linked) == 0 {
		return err
	}
	row := pick(w.rng, linked...)
	field := pick(w.rng, "name", "metadata", "blueprint", "tags", "hardware_ids", "metadata")
	if err := w.editOn(ctx, tandem.LocalSide, row.ID, field); err != nil {
		return err
	}
	return w.editOn(ctx, tandem.RemoteSide, externalOf(&row, w.service.ID), field)
}

// editOn edits a device on one side; without an id or a field, any.
func (w *world) editOn(ctx context.Context, side tandem.Side, id, field string) error {
	if field == "" {
		field = pick(w.rng, "name", "name", "enabled", "tags", "tags", "hardware_ids", "blueprint", "cohort", "metadata", "metadata", "metadata", "create", "delete", "swap")
	}
	if field == "metadata" && w.settings.root == "" {
		field = "name"
	}
	var err error
	if side == tandem.LocalSide {
		err = w.editLocal(ctx, id, field)
	} else {
		err = w.editRemote(id, field)
	}
	if tandem.Is(err, tandem.NotFound, tandem.Exists, tandem.Invalid, tandem.Stale) {
		w.story.tell("  … which was refused: %v", err)
		return nil
	}
	return err
}

// rows gives the live local devices, in order of their ids.
func (w *world) rows(ctx context.Context) ([]tandem.DeviceRow, error) {
	rows, _, err := w.store.Devices(ctx, w.org.ID, tandem.DeviceFilter{Sort: "device_id", Page: tandem.Page{Limit: 1000}})
	return rows, err
}

func (w *world) linked(ctx context.Context) ([]tandem.DeviceRow, error) {
	rows, err := w.rows(ctx)
	return slices.DeleteFunc(rows, func(r tandem.DeviceRow) bool { return externalOf(&r, w.service.ID) == "" }), err
}

// externalOf gives the remote device that a row is linked to, "" for none.
func externalOf(r *tandem.DeviceRow, service string) string {
	for _, a := range r.Assignments {
		if a.ServiceID == service && a.Status != tandem.SyncUnlinked {
			return a.ExternalDeviceID
		}
	}
	return ""
}

func (w *world) editLocal(ctx context.Context, id, field string) error {
	if field == "create" {
		return w.createLocal(ctx)
	}
	rows, err := w.rows(ctx)
	if err != nil || len(rows) == 0 {
		return err
	}
	row := pick(w.rng, rows...)
	for _, r := range rows {
		if r.ID == id {
			row = r
		}
	}
	d := &row.Device
	switch field {
	case "delete":
		return w.deleteLocal(ctx, d)
	case "swap":
		other := pick(w.rng, rows...)
		if other.ID == d.ID {
			return nil
		}
		mine, theirs := d.Name, other.Name
		if err := w.updateLocal(ctx, d, registry.DeviceEdit{Name: &theirs}); err != nil {
			return err
		}
		return w.updateLocal(ctx, &other.Device, registry.DeviceEdit{Name: &mine})
	case "enabled", "cohort":
		if w.switched++; w.switched > w.settings.switches {
			field = "name"
		}
	}
	return w.updateLocal(ctx, d, w.localEdit(d, field))
}

// localEdit draws a change of a field.
func (w *world) localEdit(d *tandem.Device, field string) registry.DeviceEdit {
	var e registry.DeviceEdit
	text := func(s string) *string { return &s }
	switch field {
	case "name":
		e.Name = text(w.names.next("here "))
	case "enabled":
		on := !d.Enabled
		e.Enabled = &on
	case "tags":
		tags := w.editSet(d.Tags, "tag-", 0)
		e.Tags = &tags
	case "hardware_ids":
		ids := w.editSet(d.HardwareIDs, "HW:", 1)
		e.HardwareIDs = &ids
	case "blueprint":
		e.Blueprint = text(w.entityName("blueprint", d.Blueprint))
	case "cohort":
		e.Cohort = text(w.entityName("cohort", d.Cohort))
	case "metadata":
		m := maps.Clone(d.Metadata)
		if m == nil {
			m = tandem.Map{}
		}
		key, value := w.leaf(m)
		if value == nil {
			delete(m, key)
		} else {
			m[key] = value
		}
		e.Metadata = &m
	}
	return e
}

// editSet adds an element, or takes one out while more than keep are left.
func (w *world) editSet(set []string, prefix string, keep int) []string {
	set = slices.Clone(set)
	if len(set) > keep && w.rng.IntN(3) == 0 {
		i := w.rng.IntN(len(set))
		return slices.Delete(set, i, i+1)
	}
	return append(set, w.names.next(prefix))
}

// entityName draws one of the blueprints or cohorts that nobody chose before, or none.
func (w *world) entityName(kind, now string) string {
	if now != "" && w.rng.IntN(4) == 0 {
		return ""
	}
	w.names.n++
	return fmt.Sprintf("%s-%d", kind, w.names.n%40)
}

// leaf draws a leaf of a metadata map to write, or to take out (nil).
func (w *world) leaf(m tandem.Map) (string, any) {
	keys := slices.Sorted(maps.Keys(m))
	if len(keys) > 2 && w.rng.IntN(4) == 0 {
		return pick(w.rng, keys...), nil
	}
	key := pick(w.rng, "site", "owner", "note", "port", "list")
	if len(keys) > 0 && w.rng.IntN(2) == 0 {
		key = pick(w.rng, keys...)
	}
	if old, ok := m[key]; ok {
		if _, branches := old.(map[string]any); branches {
			key = "note"
		}
	}
	w.names.n++
	switch w.rng.IntN(3) {
	case 0:
		return key, w.names.n * 1000
	case 1:
		return key, []any{"v", w.names.next("v")}
	}
	return key, w.names.next("value ")
}

// updateLocal edits through the registry, and writes what changed into the ledger.
func (w *world) updateLocal(ctx context.Context, d *tandem.Device, e registry.DeviceEdit) error {
	_, changes, err := w.registry.UpdateDevice(ctx, actor, w.org.ID, d.ID, e)
	if err != nil {
		return err
	}
	for _, c := range changes {
		was, is := facts{}, facts{}
		was.put(tandem.Path(c.Field), c.Before)
		is.put(tandem.Path(c.Field), c.After)
		for _, x := range w.ledger.note(tandem.LocalSide, d.ID, person, was, is) {
			w.story.tell("a person here changes %s of %s (%s) from %s to %s", x.Path, d.ID, d.Name, orNothing(x.Before), orNothing(x.After))
		}
	}
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// createLocal makes a device: with hardware ids of its own, none, or those of a remote one (then the two match, S12).
func (w *world) createLocal(ctx context.Context) error {
	name := w.names.next("made here ")
	tags := []string{w.names.next("tag-")}
	e := registry.DeviceEdit{Name: &name, Tags: &tags}
	if w.settings.root != "" {
		e.Metadata = &tandem.Map{"note": w.names.next("value ")}
	}
	if w.rng.IntN(3) > 0 {
		ids := []string{w.names.next("HW:")}
		e.HardwareIDs = &ids
	}
	d, err := w.registry.CreateDevice(ctx, actor, w.org.ID, e)
	if err != nil {
		return err
	}
	w.known = append(w.known, d.ID)
	is := factsOf(d.Shared())
	is[itself] = here
	w.ledger.note(tandem.LocalSide, d.ID, person, nil, is)
	w.story.tell("a person here makes %s (%s), hardware ids %v", d.ID, name, d.HardwareIDs)
	return nil
}

func (w *world) deleteLocal(ctx context.Context, d *tandem.Device) error {
	if w.made++; w.made > w.settings.deletes {
		return nil
	}
	if _, err := w.registry.DeleteDevice(ctx, actor, w.org.ID, d.ID); err != nil {
		return err
	}
	w.ledger.note(tandem.LocalSide, d.ID, person, facts{itself: here}, facts{itself: gone})
	w.story.tell("a person here deletes %s (%s)", d.ID, d.Name)
	return nil
}

func (w *world) editRemote(id, field string) error {
	all, err := w.sim.Devices(project)
	if err != nil {
		return err
	}
	if field == "create" || len(all) == 0 {
		return w.createRemote()
	}
	d := pick(w.rng, all...)
	for i := range all {
		if all[i].ID == id {
			d = all[i]
		}
	}
	patch := func(id string, p tandem.RemotePatch) error {
		return w.byHand(id, func() error {
			_, err := w.sim.EditDevice(project, id, p)
			return err
		})
	}
	text := func(s string) *string { return &s }
	switch field {
	case "delete":
		if w.made++; w.made > w.settings.deletes {
			return nil
		}
		return w.byHand(d.ID, func() error { return w.sim.DeleteDevice(project, d.ID) })
	case "swap":
		other := pick(w.rng, all...)
		if other.ID == d.ID {
			return nil
		}
		spare := w.names.next("spare ")
		for _, step := range []struct{ id, name string }{{d.ID, spare}, {other.ID, d.Name}, {d.ID, other.Name}} {
			if err := patch(step.id, tandem.RemotePatch{Name: &step.name}); err != nil {
				return err
			}
		}
		return nil
	case "name":
		return patch(d.ID, tandem.RemotePatch{Name: text(w.names.next("there "))})
	case "enabled":
		on := !d.Enabled
		return patch(d.ID, tandem.RemotePatch{Enabled: &on})
	case "tags":
		if len(d.TagIDs) > 0 && w.rng.IntN(3) == 0 {
			return patch(d.ID, tandem.RemotePatch{RemoveTagIDs: []string{pick(w.rng, d.TagIDs...)}})
		}
		tag, err := w.sim.CreateEntity(project, tandem.TagEntity, w.names.next("tag-"))
		if err != nil {
			return err
		}
		return patch(d.ID, tandem.RemotePatch{AddTagIDs: []string{tag.ID}})
	case "hardware_ids":
		if len(d.HardwareIDs) > 1 && w.rng.IntN(3) == 0 {
			return patch(d.ID, tandem.RemotePatch{RemoveHardwareIDs: []string{pick(w.rng, d.HardwareIDs...)}})
		}
		return patch(d.ID, tandem.RemotePatch{AddHardwareIDs: []string{w.names.next("HW:")}})
	case "blueprint", "cohort":
		kind := tandem.EntityKind(field)
		id, err := w.entityID(kind, w.entityName(field, d.BlueprintID+d.CohortID))
		if err != nil {
			return err
		}
		if kind == tandem.BlueprintEntity {
			return patch(d.ID, tandem.RemotePatch{BlueprintID: &id})
		}
		return patch(d.ID, tandem.RemotePatch{CohortID: &id})
	}
	return w.editState(d.ID)
}

func (w *world) entityID(kind tandem.EntityKind, name string) (string, error) {
	list, err := w.sim.Entities(project, kind)
	for _, e := range list {
		if e.Name == name {
			return e.ID, err
		}
	}
	return "", err
}

// editState writes or deletes one leaf of a remote device's metadata.
func (w *world) editState(id string) error {
	v, err := w.sim.State(project, id, w.settings.root)
	if err != nil {
		return err
	}
	m, _ := v.(map[string]any)
	key, value := w.leaf(m)
	path := strings.Trim(w.settings.root+"/"+key, "/")
	return w.byHand(id, func() error {
		if value == nil {
			return w.sim.DeleteState(project, id, path)
		}
		return w.sim.SetState(project, id, path, value)
	})
}

func (w *world) createRemote() error {
	tag, err := w.sim.CreateEntity(project, tandem.TagEntity, w.names.next("tag-"))
	if err != nil {
		return err
	}
	return w.byHand("", func() error {
		_, err := w.sim.CreateDevice(project, tandem.NewRemoteDevice{Name: w.names.next("made there "), HardwareIDs: []string{w.names.next("HW:")}, TagIDs: []string{tag.ID}})
		return err
	})
}

// byHand does it through the gate and tells what changed.
func (w *world) byHand(device string, do func() error) error {
	from := w.ledger.now()
	err := w.gate.byHand(device, do)
	for _, m := range w.ledger.mutations()[from:] {
		if m.Side == tandem.RemoteSide && m.By == person && (device == "" && m.Path == "name" || device == m.Device) {
			w.story.tell("a person there changes %s of %s from %s to %s", m.Path, m.Device, orNothing(m.Before), orNothing(m.After))
		}
	}
	return err
}
