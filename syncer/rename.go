package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"tandem"
)

// takenName is a rename that the remote refused because another device has the name.
type takenName struct {
	DeviceID   string `json:"d"`
	ExternalID string `json:"x"`
	Name       string `json:"n"`
	Error      string `json:"e,omitempty"` // the service's words, where a hardware id may be what is taken
}

// renames sends new names last, since one may need another's old name (S27). What is refused as taken
// is tried again while others get through; a ring of names is opened by a temporary one.
func (r *run) renames(ctx context.Context, w *work) error {
	if r.dry != nil {
		return nil
	}
	if err := r.attendSpool(ctx, w, &w.renamed, "renaming", names); err != nil {
		return err
	}
	for before := -1; w.taken.count > 0 && w.taken.count != before; {
		round := w.taken
		before = round.count
		w.taken = spool[takenName]{}
		again := spool[task]{}
		err := round.each(batchSize, func(chunk []takenName) error {
			for _, t := range chunk {
				if err := again.add(task{DeviceID: t.DeviceID, Counted: true}); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = r.attendSpool(ctx, w, &again, "renaming", names)
		}
		if closeErr := errors.Join(round.close(), again.close()); err != nil || closeErr != nil {
			return errors.Join(err, closeErr)
		}
		if w.taken.count == before {
			opened, err := r.openRing(ctx, w)
			if err != nil {
				return err
			}
			if opened {
				before = -1
			}
		}
	}
	return r.refusedNames(ctx, w)
}

// openRing finds a ring among the names that are taken (each holder wants another's name) and gives
// one of its devices a temporary name, which is held as an intent and never imported.
func (r *run) openRing(ctx context.Context, w *work) (bool, error) {
	var all []takenName
	if err := w.taken.each(batchSize, func(chunk []takenName) error { all = append(all, chunk...); return nil }); err != nil {
		return false, err
	}
	wants := map[string]takenName{} // by the remote id of who wants
	for _, t := range all {
		wants[t.ExternalID] = t
	}
	holder := func(name string) string {
		for page, err := range r.remote.Devices(ctx, tandem.RemoteListing{Name: name}) {
			if err != nil {
				return ""
			}
			for _, d := range page.Devices {
				return d.ID
			}
		}
		return ""
	}
	next := map[string]string{}
	for _, t := range all {
		if _, parked := r.parkedAs(t.ExternalID); parked {
			continue
		}
		next[t.ExternalID] = holder(t.Name)
	}
	for start := range next {
		at, steps := start, 0
		for steps <= len(all) {
			at = next[at]
			steps++
			if _, asks := wants[at]; !asks || at == start {
				break
			}
		}
		if at != start {
			continue
		}
		return true, r.parkName(ctx, wants[start])
	}
	return false, nil
}

// parkName gives one device of a ring a name of our own for the moment.
func (r *run) parkName(ctx context.Context, t takenName) error {
	linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, []string{t.DeviceID})
	if err != nil || len(linked) == 0 {
		return err
	}
	l := linked[0]
	rd, err := r.readDevice(ctx, &l)
	if err != nil {
		return r.perDevice(ctx, &l, err, true)
	}
	d, err := r.decideOne(ctx, &l, rd)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(d.send, isName)
	if at < 0 {
		return nil
	}
	_, err = r.parkAs(ctx, &l, r.intent(&l, tandem.IntentRename, d.send[at:at+1])) // what else there is goes with its final name
	return err
}

// parkAs gives a device a temporary name on its way to the one that an intent is about, and reports whether it has it.
func (r *run) parkAs(ctx context.Context, l *tandem.Linked, in tandem.Intent) (bool, error) {
	in.Temporary = "tandem-renaming-" + l.Device.ID
	a := l.Assignment
	a.UpdatedAt = r.now()
	if moved, err := r.commit(ctx, []*piece{{deviceID: l.Device.ID, assignmentID: a.ID,
		changes: tandem.Changes{PutIntents: []tandem.Intent{in}, UpdateAssignments: []tandem.Assignment{a}}}}); err != nil || len(moved) > 0 {
		return false, err
	}
	if err := r.mayWrite(ctx, &in); err != nil {
		return false, err
	}
	quiet := context.WithoutCancel(ctx)
	if _, err := r.remote.UpdateDevice(quiet, in.ExternalDeviceID, tandem.RemotePatch{Name: &in.Temporary}); err != nil {
		r.freeze(in.DeviceID) // which name it has is not known: the intent stays open, and the next run settles it (S24)
		return false, r.perDevice(ctx, l, err, true)
	}
	r.park(in)
	return true, nil
}

// renewed is the intent of a parked device for what is sent to it now: the same intent, of the same name.
func renewed(parked, in tandem.Intent) tandem.Intent {
	in.ID, in.RunID, in.Kind, in.Temporary = parked.ID, parked.RunID, parked.Kind, parked.Temporary
	if !hasName(&in) {
		in.Changes = append(in.Changes, parked.Changes...)
	}
	return in
}

// park notes a device with a temporary name; parkedAs gives its intent.
func (r *run) park(in tandem.Intent) {
	r.parkMu.Lock()
	defer r.parkMu.Unlock()
	if r.parked == nil {
		r.parked = map[string]tandem.Intent{}
	}
	r.parked[in.ExternalDeviceID] = in
}

func (r *run) parkedAs(externalID string) (tandem.Intent, bool) {
	r.parkMu.Lock()
	defer r.parkMu.Unlock()
	in, ok := r.parked[externalID]
	return in, ok
}

// beforeName gives the name that a device had before an intent to rename it.
func beforeName(in *tandem.Intent) json.RawMessage {
	for _, c := range in.Changes {
		if c.Path == "name" {
			return c.Before
		}
	}
	return nil
}

// refusedNames records the renames that stay impossible, with who has the name.
func (r *run) refusedNames(ctx context.Context, w *work) error {
	c := r.startCommitter(context.WithoutCancel(ctx))
	defer c.stop()
	return w.taken.each(batchSize, func(chunk []takenName) error {
		var list []*piece
		for _, t := range chunk {
			linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, []string{t.DeviceID})
			if err != nil {
				return err
			}
			if in, parked := r.parkedAs(t.ExternalID); parked && len(linked) > 0 {
				rd, err := r.readDevice(ctx, &linked[0])
				if err == nil {
					err = r.unpark(ctx, w, c, linked[0], in, rd)
				}
				if err != nil {
					return err
				}
				continue
			}
			if t.Error == "" && len(linked) > 0 { // what else is new of the device goes without the name
				if err := r.attend(ctx, w, c, linked[0], true, withoutNames); err != nil {
					return err
				}
				if linked, err = r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, []string{t.DeviceID}); err != nil {
					return err
				}
			}
			for i := range linked {
				c := about(&linked[i])
				c.Side, c.Action, c.Path, c.After = tandem.RemoteSide, tandem.ActUpdate, "name", value(t.Name)
				if base := &linked[i].Assignment.Base.Remote; base.Known.Has(tandem.FieldName) {
					c.Before = value(base.Name) // it keeps this one
				}
				refusal := tandem.Errorf(tandem.Exists, "sync", linked[i].Device.Name,
					"the service has another device named %s", t.Name).WithHint("rename one of the two; names are unique in a project there")
				if t.Error != "" {
					refusal = tandem.Errorf(tandem.Exists, "sync", "", "%s", t.Error)
				}
				p := r.failed(&linked[i], c, refusal)
				p.counts = tandem.Summary{Failed: 1, Successful: -1}
				list = append(list, p)
			}
		}
		for _, p := range list {
			if err := r.tell(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
}
