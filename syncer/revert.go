package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tandem"
	"tandem/merge"
)

// Undoing is an edit like any other (S29): what a run changed here is changed back here, what it
// changed on the service is changed back there. The base stays, so that the next sync carries an
// undone value to the other side instead of bringing the unwanted one back.

// Revert undoes a finished run as a new run, from its entries' before-values. A field that changed
// since is left alone and named, as is what cannot be undone. Where it would delete or roll out too
// much, these are held back, and the run ends blocked (S18): Approve does them.
func (e *Engine) Revert(ctx context.Context, org, runID, by string, report tandem.Report, along ...tandem.Along) (tandem.Run, error) {
	return e.revert(ctx, org, runID, "", by, report, along)
}

// revert undoes a run: all of it, or what a plan holds that an earlier try held back.
func (e *Engine) revert(ctx context.Context, org, runID, planID, by string, report tandem.Report, along []tandem.Along) (tandem.Run, error) {
	r, err := e.reverting(ctx, org, runID, planID, by, report)
	if err != nil {
		return tandem.Run{}, err
	}
	defer r.letGo()
	if err := r.queue(ctx, along...); err != nil {
		return r.record, err
	}
	held, err := r.takeLease(ctx)
	if err != nil {
		return r.notBegun(ctx, err)
	}
	return r.finish(ctx, held, r.undo(held, runID))
}

// PreviewRevert hands each change that Revert would make to each, and what it cannot undo with a Note.
func (e *Engine) PreviewRevert(ctx context.Context, org, runID string, each func(tandem.Change) error) (tandem.Preview, error) {
	r, err := e.reverting(ctx, org, runID, "", "", nil)
	if err != nil {
		return tandem.Preview{}, err
	}
	defer r.letGo()
	if each == nil {
		each = func(tandem.Change) error { return nil }
	}
	r.dry = &dryRun{each: each}
	now := r.now()
	r.record.StartedAt = &now
	err = r.undo(ctx, runID)
	if err == nil {
		err = r.showLate(newWork())
	}
	if r.details.BlockedBy != "" {
		r.record.Status, r.record.Error = tandem.RunBlocked, r.details.BlockedBy
	}
	return tandem.Preview{Run: r.record}, err
}

func (e *Engine) reverting(ctx context.Context, org, runID, planID, by string, report tandem.Report) (*run, error) {
	old, err := e.Store.Run(ctx, org, runID)
	if err != nil {
		return nil, err
	}
	if !old.Status.Ended() {
		return nil, tandem.Errorf(tandem.Busy, "revert", runID, "the run is %s", old.Status).WithHint("wait for its end, or cancel it")
	}
	service, err := e.Store.Service(ctx, org, old.ServiceID)
	if err != nil {
		return nil, err
	}
	req := tandem.RunRequest{ServiceID: service.ID, Operation: tandem.OpBidirectional, Trigger: tandem.ByHand, PlanID: planID, CreatedBy: by}
	if err := check(&service, &req); err != nil {
		return nil, err
	}
	r := e.prepare(org, service, req, report)
	r.record.Operation, r.record.Reverts = tandem.OpRevert, runID
	return r, nil
}

// since refuses a field that changed after the run (S29).
func since(was *tandem.Change, now any) error {
	if same(was.Path, now, decode(was.After)) {
		return nil
	}
	return tandem.Errorf(tandem.Stale, "revert", was.DeviceName, "its %s changed since: it is %s now, and the run had left %s", was.Path, value(now), string(was.After)).
		WithHint("set it by hand if you want the old value back")
}

// undoUpdate gives one field of one side its old value back; errTakenForNow where the service refuses it as
// another device's and it may be tried again.
func (r *run) undoUpdate(ctx context.Context, c *committer, of *pair, was *tandem.Change, again bool) error {
	l := &of.linked
	edit := merge.Edit{Path: was.Path, Before: decode(was.After), After: decode(was.Before), At: r.now()}
	change := about(l)
	change.Side, change.Action, change.Path, change.Before, change.After, change.Note = was.Side, tandem.ActUpdate, was.Path, was.After, was.Before, undoingUpdate(was)
	settled, err := r.unsettle(ctx, l, was)
	if err != nil {
		return err
	}
	if was.Side == tandem.LocalSide {
		now, _ := merge.Value(l.Device.Shared(), was.Path)
		if err := since(was, now); err != nil {
			return err
		}
		device, err := r.editLocal(l.Device, []merge.Edit{edit})
		if err != nil {
			return err
		}
		p := &piece{deviceID: l.Device.ID, counts: tandem.Summary{Processed: 1, Successful: 1, Local: tandem.Counts{Updated: 1}}}
		p.changes.UpdateDevices, p.changes.Entries = []tandem.Device{device}, []tandem.Entry{r.entry(change, tandem.OutcomeDone)}
		if settled {
			p.assignmentID, p.changes.UpdateAssignments = l.Assignment.ID, []tandem.Assignment{l.Assignment}
		}
		return c.put(p)
	}
	now, err := r.readForSettling(ctx, l, was.Path)
	if err != nil {
		return err
	}
	if err := since(was, valueOf(&now, was.Path)); err != nil {
		return err
	}
	p := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID, counts: tandem.Summary{Processed: 1, Successful: 1}}
	if r.dry != nil {
		p.counts.Remote.Updated++
		p.changes.Entries = []tandem.Entry{r.entry(change, tandem.OutcomeDone)}
		return c.put(p)
	}
	return r.undoThere(ctx, c, of, now, edit, p, again)
}

// undoing marks the changes that take a run back.
const undoing = "undoing"

// undoingUpdate says what the next sync makes of an undone value: it is an edit of its side like any other.
func undoingUpdate(was *tandem.Change) string {
	switch {
	case strings.HasPrefix(was.Note, settlingNote):
		return undoing + "; the next sync finds the conflict again"
	case was.Side == tandem.LocalSide:
		return undoing + "; the next sync sends it to the service"
	}
	return undoing + "; the next sync brings it here"
}

// unsettle gives a field that a settlement changed the base it had in its conflict, so that undoing does
// not become the opposite settlement: the next merge finds both sides changed again (S1).
func (r *run) unsettle(ctx context.Context, l *tandem.Linked, was *tandem.Change) (bool, error) {
	if !strings.HasPrefix(was.Note, settlingNote) {
		return false, nil
	}
	filter := tandem.ConflictFilter{ServiceID: r.service.ID, DeviceIDs: []string{l.Device.ID}, Field: was.Path, Status: tandem.ConflictResolved}
	rows, _, err := r.e.Store.Conflicts(ctx, r.org, filter)
	if err != nil {
		return false, err
	}
	for i := range rows { // newest first
		if rows[i].FieldName == was.Path {
			base := decode(rows[i].BaseValue)
			if f, _ := was.Path.Field(); base == nil && was.Path.Pointer() == "" { // there was none (S4)
				l.Assignment.Base = merge.DropFields(l.Assignment.Base, l.Assignment.Base.Local.Known.Without(f))
			} else {
				l.Assignment.Base = merge.SetBase(l.Assignment.Base, was.Path, base, base)
			}
			l.Assignment.UpdatedAt = r.now()
			return true, nil
		}
	}
	return false, nil
}

// errTakenForNow says that another device has the name or the hardware id that is to be given back.
var errTakenForNow = errors.New("taken by another device for now")

// undoThere writes an old value to the service, with an intent as every remote write has. The base
// stays: the value counts as edited there.
func (r *run) undoThere(ctx context.Context, c *committer, of *pair, now reading, edit merge.Edit, p *piece, again bool) error {
	l := &of.linked
	in := r.intent(l, tandem.IntentUpdate, []merge.Edit{edit})
	in.Changes[0].Note = undoing
	if parked, is := r.parkedAs(in.ExternalDeviceID); is && hasName(&in) {
		in = renewed(parked, in)
	}
	a := l.Assignment
	a.UpdatedAt = r.now()
	p.changes.PutIntents, p.changes.UpdateAssignments = []tandem.Intent{in}, []tandem.Assignment{a}
	if err := c.put(p); err != nil {
		return err
	}
	held := tandem.Linked{Assignment: a, Device: l.Device}
	held.Assignment.Version++
	open, err := r.e.openOf(ctx, r.org, r.service.ID, &held)
	if err != nil {
		return err
	}
	rd, err := r.write(ctx, &held, &in, now)
	after := writeResult{linked: held, intent: in, open: open, counted: true}
	switch {
	case err == nil:
		after.reply, after.answered = &rd, true
	case again && tandem.Is(err, tandem.Exists):
		nothing := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID, counts: tandem.Summary{Processed: -1, Successful: -1}}
		if in.Temporary == "" { // a parked device keeps its intent
			nothing.changes.DropIntents = []string{in.ID}
		}
		if err := c.put(nothing); err != nil {
			return err
		}
		return errTakenForNow
	case refused(err):
		after.err = err
	default:
		return r.readBack(ctx, nil, c, after, err)
	}
	return r.conclude(ctx, nil, c, after)
}

// undoCreate takes back a device that the run created, unless it changed since. Its assignment stays
// unlinked, so that nothing brings it back (S17).
func (r *run) undoCreate(ctx context.Context, c *committer, of *pair, was *tandem.Change) error {
	l, open := &of.linked, of.open
	created, err := deviceFrom(was.After)
	if err != nil {
		return err
	}
	if l.Assignment.Status == tandem.SyncUnlinked {
		return tandem.Errorf(tandem.Stale, "revert", was.DeviceName, "it is not linked any more")
	}
	p := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID, counts: tandem.Summary{Processed: 1, Successful: 1}}
	change := about(l)
	change.Side, change.Action, change.Before, change.Note = was.Side, tandem.ActDelete, was.After, joinNotes(undoing, tandem.GuardedNote)
	if was.Side == tandem.LocalSide {
		if why := differs(created, l.Device.Shared()); why != "" || l.Device.DeletedAt != nil {
			return tandem.Errorf(tandem.Stale, "revert", was.DeviceName, "the device changed since the run created it (%s)", why).WithHint("delete it by hand if you want it gone: tandem device delete")
		}
		if err := r.removeHere(ctx, l, removal{Action: tandem.ActDelete, Side: tandem.LocalSide}, p, change, open); err != nil {
			return err
		}
		return c.put(p)
	}
	x := removal{DeviceID: l.Device.ID, ExternalID: l.Assignment.ExternalDeviceID, Action: tandem.ActDelete, Side: tandem.RemoteSide, Note: undoing}
	there, err := r.deletedThere(ctx, l)
	if err != nil {
		return err
	}
	if there.device.ID == "" {
		return c.put(r.goneThere(p, l, x, change, open))
	}
	if why := differs(created, there.shared); why != "" {
		return tandem.Errorf(tandem.Stale, "revert", was.DeviceName, "the device on the service changed since the run created it (%s)", why).WithHint("delete it there by hand if you want it gone")
	}
	if openAt(open, "") != nil {
		return tandem.Errorf(tandem.Stale, "revert", was.DeviceName, "a conflict about the device waits for a person").WithHint("settle it: tandem conflicts list")
	}
	err = r.deleteOrShow(ctx, c, *l, p, change)
	if tandem.Is(err, tandem.Busy) {
		return errMoved
	}
	return err
}

// differs names the first field in which two sides differ, "" when none does.
func differs(a, b tandem.Shared) string {
	for _, name := range tandem.SharedFields.Names() {
		p := tandem.Path(name)
		if f, _ := p.Field(); a.Known.Has(f) && b.Known.Has(f) && !same(p, baseValue(a, p), baseValue(b, p)) {
			return name
		}
	}
	return ""
}

// undoEnd brings back what the run unlinked or deleted here. A device deleted on the service is gone there.
func (r *run) undoEnd(c *committer, l *tandem.Linked, was *tandem.Change) error {
	if was.Side == tandem.RemoteSide {
		return tandem.Errorf(tandem.Invalid, "revert", was.DeviceName, "it was deleted on the service: recreating it gives a new id, and its credentials and data are gone").
			WithHint("restore the device here and export it, if that is what you want")
	}
	if l.Assignment.Status != tandem.SyncUnlinked {
		return tandem.Errorf(tandem.Stale, "revert", was.DeviceName, "it is linked again already")
	}
	now := r.now()
	a, d := l.Assignment, l.Device
	a.Status, a.UpdatedAt = tandem.SyncPending, now
	change := about(l)
	change.Side, change.Action, change.Note = tandem.LocalSide, tandem.ActLink, fmt.Sprintf("undoing %s", was.Action)
	p := &piece{deviceID: d.ID, assignmentID: a.ID, counts: tandem.Summary{Processed: 1, Successful: 1}}
	if d.DeletedAt != nil && was.Action == tandem.ActDelete {
		d.DeletedAt, d.UpdatedAt = nil, now
		p.changes.UpdateDevices = []tandem.Device{d}
		p.counts.Local.Created++
	} else if d.Lifecycle == tandem.Decommissioned {
		d.Lifecycle, d.UpdatedAt = tandem.Active, now
		p.changes.UpdateDevices = []tandem.Device{d}
		p.counts.Local.Updated++
	}
	p.changes.UpdateAssignments = []tandem.Assignment{a}
	p.changes.Entries = []tandem.Entry{r.entry(change, tandem.OutcomeDone)}
	return c.put(p)
}
