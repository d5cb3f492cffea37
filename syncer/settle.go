package syncer

import (
	"context"
	"errors"

	"tandem"
	"tandem/merge"
)

// fieldChoices and deviceChoices say which choices fit which conflicts (S10).
var choices = map[tandem.ConflictType]map[tandem.Choice]bool{
	tandem.ConcurrentModification: {tandem.TakeLocal: true, tandem.TakeRemote: true, tandem.TakeValue: true, tandem.TakeIgnore: true},
	tandem.InitialMismatch:        {tandem.TakeLocal: true, tandem.TakeRemote: true, tandem.TakeValue: true, tandem.TakeIgnore: true},
	tandem.AmbiguousMatch:         {tandem.TakeLink: true, tandem.TakeCreate: true, tandem.TakeIgnore: true},
	tandem.DeletedRemotely:        {tandem.TakeDelete: true, tandem.TakeRecreate: true, tandem.TakeUnlink: true},
	tandem.DeletedLocally:         {tandem.TakeDelete: true, tandem.TakeRecreate: true, tandem.TakeUnlink: true},
}

// Settle settles conflicts (S10), in one go for all that the filter names. One that cannot be settled
// keeps its reason in the answer and stays as it is; the others go on.
func (e *Engine) Settle(ctx context.Context, org string, s tandem.Settlement) ([]tandem.Settled, error) {
	rows, err := e.pending(ctx, org, s.Filter)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	byService := map[string][]tandem.Conflict{}
	var order []string
	for _, c := range rows {
		if byService[c.ServiceID] == nil {
			order = append(order, c.ServiceID)
		}
		byService[c.ServiceID] = append(byService[c.ServiceID], c)
	}
	var out []tandem.Settled
	for _, id := range order {
		done, err := e.settleOn(ctx, org, id, byService[id], s)
		s.Along = tandem.Along{}
		out = append(out, done...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// pending gives all the open conflicts that a filter names.
func (e *Engine) pending(ctx context.Context, org string, filter tandem.ConflictFilter) ([]tandem.Conflict, error) {
	var all []tandem.Conflict
	filter.Limit, filter.All, filter.Status = 1000, false, ""
	for filter.Number = 1; ; filter.Number++ {
		rows, total, err := e.Store.Conflicts(ctx, org, filter)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if filter.Number*filter.Limit >= total {
			return all, nil
		}
	}
}

// settleOn settles conflicts of one service, as one session that the history keeps.
func (e *Engine) settleOn(ctx context.Context, org, service string, rows []tandem.Conflict, s tandem.Settlement) ([]tandem.Settled, error) {
	r, err := e.session(ctx, org, service, tandem.RunRequest{CreatedBy: s.By}, true)
	if err != nil {
		return nil, err
	}
	if !s.DryRun {
		if err := r.open(ctx, s.Along); err != nil {
			return nil, err
		}
	}
	c := r.startCommitter(context.WithoutCancel(ctx))
	defer c.stop()
	var out []tandem.Settled
	for i := range rows {
		if ctx.Err() != nil {
			break
		}
		one := tandem.Settled{Conflict: rows[i]}
		one.Changes, one.Error = r.settle(ctx, c, &rows[i], s)
		if one.Error != nil {
			one.Refusal = one.Error.Error()
		}
		if now, err := e.Store.Conflict(ctx, org, rows[i].ID); err == nil {
			one.Conflict = now
		}
		out = append(out, one)
		if one.Error != nil && fatal(one.Error) {
			err = one.Error
			break
		}
	}
	if s.DryRun {
		return out, err
	}
	_, err = r.end(ctx, err)
	return out, err
}

// settle settles one conflict, and gives what that changes on either side.
func (r *run) settle(ctx context.Context, c *committer, conflict *tandem.Conflict, s tandem.Settlement) ([]tandem.Change, error) {
	if !choices[conflict.Type][s.Take] {
		return nil, tandem.Errorf(tandem.Invalid, "settle", conflict.ID, "\"%s\" does not settle a conflict of type %s", s.Take, conflict.Type).
			WithHint("%s", choicesOf(conflict.Type))
	}
	if conflict.Status == tandem.ConflictResolving {
		return nil, tandem.Errorf(tandem.Busy, "settle", conflict.ID, "it is being settled already").WithHint("if that process died, the next sync ends it")
	}
	switch conflict.Type {
	case tandem.AmbiguousMatch:
		return r.settleMatch(ctx, conflict, s)
	case tandem.DeletedRemotely, tandem.DeletedLocally:
		return r.settleDeleted(ctx, c, conflict, s)
	case tandem.ConcurrentModification, tandem.InitialMismatch:
	}
	return r.settleField(ctx, c, conflict, s)
}

func choicesOf(t tandem.ConflictType) string {
	switch t {
	case tandem.AmbiguousMatch:
		return "use link (with the device), create or ignore"
	case tandem.DeletedRemotely, tandem.DeletedLocally:
		return "use delete, recreate or unlink"
	case tandem.ConcurrentModification, tandem.InitialMismatch:
	}
	return "use local, remote, value or ignore"
}

// settlingNote begins the note of every change that a settlement makes; undoing goes by it.
const settlingNote = "settling a conflict: "

// settleField brings both sides to the chosen value, after looking whether either moved (S10).
func (r *run) settleField(ctx context.Context, c *committer, conflict *tandem.Conflict, s tandem.Settlement) ([]tandem.Change, error) {
	linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, []string{conflict.DeviceID})
	if err != nil {
		return nil, err
	}
	if len(linked) == 0 || linked[0].Assignment.Status == tandem.SyncUnlinked || linked[0].Device.DeletedAt != nil {
		return nil, tandem.Errorf(tandem.NotFound, "settle", conflict.DeviceName, "the device is not linked any more").WithHint("the next sync closes the conflict")
	}
	l := linked[0]
	now, err := r.readForSettling(ctx, &l, conflict.FieldName)
	if err != nil {
		return nil, err
	}
	local, _ := merge.Value(l.Device.Shared(), conflict.FieldName)
	remote, _ := merge.Value(now.shared, conflict.FieldName)
	if !same(conflict.FieldName, local, decode(conflict.LocalValue)) || !same(conflict.FieldName, remote, decode(conflict.RemoteValue)) {
		return nil, r.refresh(ctx, conflict, local, remote, s.DryRun)
	}
	target, err := chosen(conflict, s, local, remote)
	if err != nil {
		return nil, err
	}
	var changes []tandem.Change
	change := func(side tandem.Side, before any) {
		x := about(&l)
		x.Side, x.Action, x.Path, x.Before, x.After = side, tandem.ActUpdate, conflict.FieldName, value(before), value(target)
		x.Note = settlingNote + string(s.Take)
		changes = append(changes, x)
	}
	if s.Take != tandem.TakeIgnore {
		if !same(conflict.FieldName, local, target) {
			change(tandem.LocalSide, local)
		}
		if !same(conflict.FieldName, remote, target) {
			change(tandem.RemoteSide, remote)
		}
	}
	if s.DryRun {
		return changes, nil
	}
	return changes, r.carryOut(ctx, c, &l, now, conflict, s, target, changes)
}

// readForSettling reads the remote side with what the field needs.
func (r *run) readForSettling(ctx context.Context, l *tandem.Linked, p tandem.Path) (reading, error) {
	rd, err := r.remote.Device(ctx, l.Assignment.ExternalDeviceID)
	if err != nil {
		return reading{}, err
	}
	now := r.read(rd, r.now())
	if f, _ := p.Field(); f == tandem.FieldMetadata {
		return now, r.readStateOf(ctx, &now)
	}
	return now, nil
}

// refresh brings a conflict up to date when a side moved since it was shown, and says so.
func (r *run) refresh(ctx context.Context, conflict *tandem.Conflict, local, remote any, dry bool) error {
	moved := tandem.Errorf(tandem.Stale, "settle", conflict.DeviceName, "its %s changed since the conflict was shown", conflict.FieldName).
		WithHint("look at it again: here %s, on the service %s", value(local), value(remote))
	if dry {
		return moved
	}
	row := *conflict
	row.LocalValue, row.RemoteValue, row.UpdatedAt = value(local), value(remote), r.now()
	if _, err := r.commit(ctx, []*piece{{changes: tandem.Changes{PutConflicts: []tandem.Conflict{row}}}}); err != nil {
		return errors.Join(moved, err)
	}
	return moved
}

// chosen gives the value that both sides are to have.
func chosen(conflict *tandem.Conflict, s tandem.Settlement, local, remote any) (any, error) {
	switch s.Take {
	case tandem.TakeLocal:
		return local, nil
	case tandem.TakeRemote:
		return remote, nil
	case tandem.TakeValue:
		if err := fits(conflict.FieldName, s.Value); err != nil {
			return nil, err
		}
		return s.Value, nil
	case tandem.TakeIgnore, tandem.TakeLink, tandem.TakeCreate, tandem.TakeDelete, tandem.TakeRecreate, tandem.TakeUnlink:
	}
	return nil, nil
}

// fits checks that a value can stand in a field.
func fits(p tandem.Path, v any) error {
	f, _ := p.Field()
	ok, want := true, ""
	switch f {
	case tandem.FieldName:
		text, isText := v.(string)
		ok, want = isText && text != "", "a text that is not empty"
	case tandem.FieldBlueprint, tandem.FieldCohort:
		_, ok = v.(string)
		want = "a text"
	case tandem.FieldEnabled:
		_, ok = v.(bool)
		want = "true or false"
	}
	if !ok {
		return tandem.Errorf(tandem.Invalid, "settle", string(p), "the value does not fit").WithHint("it takes %s, as JSON", want)
	}
	return nil
}

// carryOut writes a field's settlement: here and in the base at once, there as an intent that the
// remote must confirm; the conflict is resolving until then (S10, S24).
func (r *run) carryOut(ctx context.Context, c *committer, l *tandem.Linked, now reading, conflict *tandem.Conflict, s tandem.Settlement, target any, changes []tandem.Change) error {
	at := r.now()
	row := *conflict
	row.ResolutionStrategy, row.ResolvedBy, row.UpdatedAt = string(s.Take), s.By, at
	if s.Take != tandem.TakeIgnore {
		row.ResolvedValue = value(target)
	}
	p := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID, counts: tandem.Summary{Processed: 1, Successful: 1}}
	a := l.Assignment
	a.UpdatedAt = at
	var send []merge.Edit
	for _, change := range changes {
		edit := merge.Edit{Path: change.Path, Before: decode(change.Before), After: target, At: at}
		if change.Side == tandem.RemoteSide {
			send = append(send, edit)
			continue
		}
		device, err := r.editLocal(l.Device, []merge.Edit{edit})
		if err != nil {
			return err
		}
		p.changes.UpdateDevices = []tandem.Device{device}
		p.counts.Local.Updated++
		p.changes.Entries = append(p.changes.Entries, r.entry(change, tandem.OutcomeDone))
	}
	if len(send) == 0 {
		local, remote := target, target
		row.Status = tandem.ConflictResolved
		if s.Take == tandem.TakeIgnore { // S10: keeps both, the base becomes the pair
			local, _ = merge.Value(l.Device.Shared(), conflict.FieldName)
			remote, _ = merge.Value(now.shared, conflict.FieldName)
			row.Status = tandem.ConflictIgnored
		}
		row.ResolvedAt = &at
		a.Base = merge.SetBase(a.Base, conflict.FieldName, local, remote)
		a.LastSync, a.Status = &at, tandem.SyncPending
		p.changes.UpdateAssignments = []tandem.Assignment{a}
		p.changes.PutConflicts = []tandem.Conflict{row}
		p.changes.Entries = append(p.changes.Entries, r.settleEntry(l, &row))
		return r.put(c, p, conflict)
	}
	in := r.intent(l, tandem.IntentUpdate, send)
	in.ConflictID = conflict.ID
	row.Status = tandem.ConflictResolving
	p.changes.PutIntents, p.changes.PutConflicts = []tandem.Intent{in}, []tandem.Conflict{row}
	p.changes.UpdateAssignments = []tandem.Assignment{a}
	if err := r.put(c, p, conflict); err != nil {
		return err
	}
	held := *l
	held.Assignment = a
	held.Assignment.Version++
	if len(p.changes.UpdateDevices) > 0 {
		held.Device = p.changes.UpdateDevices[0]
		held.Device.Version++
	}
	open, err := r.e.openOf(ctx, r.org, r.service.ID, &held)
	if err != nil {
		return err
	}
	reply, err := r.write(ctx, &held, &in, now)
	after := writeResult{linked: held, intent: in, open: open, counted: true}
	switch {
	case err == nil:
		after.reply, after.answered = &reply, true
	case refused(err):
		after.err = err
	default:
		if failed := r.readBack(ctx, nil, c, after, err); failed != nil {
			return r.settleError(failed, conflict)
		}
		return r.stillOpen(ctx, conflict, err)
	}
	if failed := r.conclude(ctx, nil, c, after); failed != nil {
		return r.settleError(failed, conflict)
	}
	return r.stillOpen(ctx, conflict, err)
}

// stillOpen gives the write's error where the conflict was given back to the person.
func (r *run) stillOpen(ctx context.Context, conflict *tandem.Conflict, cause error) error {
	now, err := r.e.Store.Conflict(ctx, r.org, conflict.ID)
	if err != nil || !now.Open() {
		return err
	}
	if cause == nil {
		cause = tandem.Errorf(tandem.Stale, "settle", conflict.DeviceName, "the service shows another value than was written").WithHint("look at the conflict again")
	}
	return cause
}

// put commits a settlement's piece; what moved meanwhile is for the person to look at again.
func (r *run) put(c *committer, p *piece, conflict *tandem.Conflict) error {
	return r.settleError(c.put(p), conflict)
}

// settleError says in a person's words that a settlement met someone else's change.
func (r *run) settleError(err error, conflict *tandem.Conflict) error {
	if errors.Is(err, errMoved) || tandem.Is(err, tandem.Busy) {
		return tandem.Errorf(tandem.Stale, "settle", conflict.DeviceName, "a sync or someone else is changing the device right now").WithHint("try again in a moment")
	}
	return err
}

// settleEntry notes a settlement by a person.
func (r *run) settleEntry(l *tandem.Linked, row *tandem.Conflict) tandem.Entry {
	c := about(l)
	c.Side, c.Action, c.Path, c.Before, c.After = tandem.LocalSide, tandem.ActSettle, row.FieldName, row.RemoteValue, row.ResolvedValue
	c.Note = "settled by " + row.ResolvedBy + ": " + row.ResolutionStrategy
	return r.entry(c, tandem.OutcomeDone)
}
