package syncer

import (
	"context"
	"errors"

	"tandem"
	"tandem/merge"
)

// tombstone decides what becomes of a remote device whose local one was deleted (S17).
func (r *run) tombstone(w *work, l *tandem.Linked) error {
	x := removal{DeviceID: l.Device.ID, ExternalID: l.Assignment.ExternalDeviceID, Action: tandem.ActUnlink, Side: tandem.LocalSide, Deleted: true, Note: "deleted here"}
	if r.service.Config.DeleteRemote {
		x.Action, x.Side, x.Guarded = tandem.ActDelete, tandem.RemoteSide, true
	}
	if r.req.Force || x.Side == tandem.RemoteSide && r.req.Operation == tandem.OpImport {
		r.quiet(1) // force never deletes (S11); an import leaves it to a run that writes there (S7)
		return nil
	}
	return w.toRemove(x)
}

// removals does what ends links, last of all, or stores it for a person when a guard holds it (S18).
func (r *run) removals(ctx context.Context, w *work) error {
	if err := r.guardRemovals(ctx, w, nil); err != nil {
		return err
	}
	todo := w.takeRemovals() // what a removal leads to may add to them: that is for the next run
	defer func() { _ = todo.close() }()
	if todo.count > 0 {
		r.enter("deleting", todo.count)
		err := r.inParallel(ctx, func(ctx context.Context, c *committer, give func(func() error) error) error {
			return todo.each(batchSize, func(chunk []removal) error {
				if err := r.border(ctx); err != nil {
					return err
				}
				ids := make([]string, len(chunk))
				by := map[string]removal{}
				for i, x := range chunk {
					ids[i], by[x.DeviceID] = x.DeviceID, x
				}
				linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, ids)
				if err != nil {
					return err
				}
				for _, l := range linked {
					x := by[l.Device.ID]
					if err := give(func() error {
						defer r.advance(1)
						return r.remove(ctx, w, c, l, x)
					}); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return r.storeHeld(ctx)
}

// remove ends one link as decided, after a last look at both sides.
func (r *run) remove(ctx context.Context, w *work, c *committer, l tandem.Linked, x removal) error {
	change := about(&l)
	change.Side, change.Action, change.Note = x.Side, x.Action, x.Note
	change.Before = snapshot(l.Device.Shared())
	if l.Assignment.Status == tandem.SyncUnlinked || r.frozenByIntent(l.Device.ID) || !r.allows(change) {
		return nil
	}
	if x.Guarded {
		change.Note = joinNotes(x.Note, tandem.GuardedNote)
	}
	p := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID}
	if x.Deleted || x.Action == tandem.ActRecreate { // else counted when it was missed
		p.counts.Processed, p.counts.Successful = 1, 1
	}
	if x.Deleted != (l.Device.DeletedAt != nil) {
		r.quiet(p.counts.Processed)
		return nil // deleted or restored here meanwhile: the next run decides anew
	}
	if l.Device.DeletedAt == nil && r.changedHere(&l) { // edited here since it was missed (S16)
		open, err := r.e.openOf(ctx, r.org, r.service.ID, &l)
		if err != nil {
			return err
		}
		r.deviceConflict(p, &l, tandem.DeletedRemotely, deletedThereChangedHere, nil, open)
		return ignoreMoved(c.put(p))
	}
	if x.Guarded && r.guard.removalsHeld {
		change.Note = x.Note + "; held back by the guard"
		p.changes.Entries = []tandem.Entry{r.entry(change, tandem.OutcomeHeld)}
		return ignoreMoved(c.put(p))
	}
	open, err := r.e.openOf(ctx, r.org, r.service.ID, &l)
	if err != nil {
		return err
	}
	thereToo := x.Action == tandem.ActDelete && x.Side == tandem.RemoteSide
	if disputed := openAt(open, ""); disputed != nil && (!thereToo || disputed.Status != tandem.ConflictPending) {
		p.waits(l.Assignment.ExternalDeviceID, "")
		return ignoreMoved(c.put(p))
	}
	switch {
	case thereToo:
		return r.removeThere(ctx, c, l, x, p, change, open)
	case x.Action == tandem.ActRecreate:
		_, err := r.recreate(ctx, w, c, l, change, nil)
		return ignoreMoved(err)
	}
	if err := r.removeHere(ctx, &l, x, p, change, open); err != nil {
		return err
	}
	return ignoreMoved(c.put(p))
}

func ignoreMoved(err error) error {
	if errors.Is(err, errMoved) {
		return nil // changed meanwhile: the next run decides anew
	}
	return err
}

// removeHere unlinks, and tombstones or decommissions the local device (S16).
func (r *run) removeHere(ctx context.Context, l *tandem.Linked, x removal, p *piece, change tandem.Change, open []tandem.Conflict) error {
	now := r.now()
	a, d := l.Assignment, l.Device
	a.Status, a.UpdatedAt, a.Error = tandem.SyncUnlinked, now, ""
	p.changes.UpdateAssignments = []tandem.Assignment{a}
	if d.DeletedAt == nil {
		elsewhere := false
		if x.Action == tandem.ActDelete {
			on, err := r.e.Store.Assignments(ctx, r.org, []string{d.ID})
			if err != nil {
				return err
			}
			for _, other := range on {
				elsewhere = elsewhere || (other.ID != a.ID && other.Status != tandem.SyncUnlinked)
			}
			if elsewhere {
				change.Action, change.Note = tandem.ActUnlink, joinNotes("still linked on another service, so it stays", change.Note)
			}
		}
		if change.Action == tandem.ActDelete {
			d.DeletedAt = &now
			p.counts.Local.Deleted++
		} else if !elsewhere {
			d.Lifecycle = tandem.Decommissioned
			p.counts.Local.Updated++
		}
		d.UpdatedAt = now
		p.changes.UpdateDevices = []tandem.Device{d}
	}
	p.changes.Entries = []tandem.Entry{r.entry(change, tandem.OutcomeDone)}
	r.supersede(p, open)
	return nil
}

// supersede closes the open conflicts about the fields of a device that is not linked any more (S9).
func (r *run) supersede(p *piece, open []tandem.Conflict) {
	now := r.now()
	for _, c := range open {
		if c.FieldName == "" {
			continue
		}
		c.Status, c.Explanation, c.ResolvedAt, c.UpdatedAt = tandem.ConflictSuperseded, "its device is not linked any more", &now, now
		p.changes.PutConflicts = append(p.changes.PutConflicts, c)
	}
}

// removeThere deletes the remote device of a tombstone, unless it changed since (S17).
func (r *run) removeThere(ctx context.Context, c *committer, l tandem.Linked, x removal, p *piece, change tandem.Change, open []tandem.Conflict) error {
	there, err := r.deletedThere(ctx, &l)
	if err != nil {
		return r.perDevice(ctx, &l, err, false)
	}
	switch disputed := openAt(open, ""); {
	case there.device.ID == "":
		return ignoreMoved(c.put(r.goneThere(p, &l, x, change, open)))
	case r.changedThere(&l, there):
		r.deviceConflict(p, &l, tandem.DeletedLocally, "it was deleted here, and changed on the service since they last agreed", &there.shared, open)
		return ignoreMoved(c.put(p))
	case disputed != nil: // nothing changed there any more: the next run deletes it
		return ignoreMoved(c.put(r.close(p, open, tandem.ConflictConverged, "the service has again what it had when they last agreed")))
	}
	err = r.deleteOrShow(ctx, c, l, p, change)
	if tandem.Is(err, tandem.Busy) {
		return nil
	}
	return ignoreMoved(err)
}

// goneThere ends the link of a device that is gone on the service already, and nothing else.
func (r *run) goneThere(p *piece, l *tandem.Linked, x removal, change tandem.Change, open []tandem.Conflict) *piece {
	change.Action, change.Side, change.Note = tandem.ActUnlink, tandem.LocalSide, x.Note+"; gone on the service already"
	a := l.Assignment
	a.Status, a.UpdatedAt, a.Error = tandem.SyncUnlinked, r.now(), ""
	p.changes.UpdateAssignments, p.changes.Entries = []tandem.Assignment{a}, []tandem.Entry{r.entry(change, tandem.OutcomeDone)}
	r.supersede(p, open)
	return r.close(p, open, tandem.ConflictConverged, "it is gone on both sides")
}

// deleteOrShow deletes a remote device, or says in a dry run that it would be.
func (r *run) deleteOrShow(ctx context.Context, c *committer, l tandem.Linked, p *piece, change tandem.Change) error {
	if r.dry != nil {
		p.counts.Remote.Deleted++
		p.changes.Entries = []tandem.Entry{r.entry(change, tandem.OutcomeDone)}
		return c.put(p)
	}
	_, err := r.deleteThere(ctx, c, l, change, nil)
	return err
}

// deleteThere deletes a remote device, intent first (S24); the intent carries the conflict that this
// settles, if any. The cause is why it was not done, kept with the device; the error ends the run.
func (r *run) deleteThere(ctx context.Context, c *committer, l tandem.Linked, change tandem.Change, settles *tandem.Conflict) (cause, err error) {
	in := r.intent(&l, tandem.IntentDelete, nil)
	in.Changes = []tandem.Change{change}
	a := l.Assignment
	a.UpdatedAt = r.now()
	// The device is written as it was, so that one restored since it was read moves instead (S17).
	p := &piece{deviceID: l.Device.ID, assignmentID: a.ID, changes: tandem.Changes{UpdateAssignments: []tandem.Assignment{a}, UpdateDevices: []tandem.Device{l.Device}}}
	settling(&in, settles, p)
	p.changes.PutIntents = []tandem.Intent{in}
	if err := c.put(p); err != nil {
		return nil, err
	}
	l.Assignment = a
	l.Assignment.Version++
	l.Device.Version++
	if err := r.mayWrite(ctx, &in); err != nil {
		return nil, err
	}
	quiet, cancel := r.writing(ctx, &in)
	defer cancel()
	cause = r.remote.DeleteDevice(quiet, l.Assignment.ExternalDeviceID)
	switch {
	case cause == nil || tandem.Is(cause, tandem.NotFound):
		return nil, r.removed(ctx, c, &l, &in)
	case refused(cause):
		f := r.failed(&l, change, cause)
		f.changes.DropIntents = []string{in.ID}
		if err := r.settledConflict(&writeResult{linked: l, intent: in}, f, false); err != nil {
			return cause, err
		}
		err = c.put(f)
		if err == nil && fatal(cause) {
			err = cause
		}
		return cause, err
	}
	return cause, r.perDevice(ctx, &l, cause, false) // the intent stays open: the next run looks (S24)
}

// removed records a confirmed remote deletion, and closes what was disputed about the device.
func (r *run) removed(ctx context.Context, c *committer, l *tandem.Linked, in *tandem.Intent) error {
	open, err := r.e.openOf(context.WithoutCancel(ctx), r.org, r.service.ID, l)
	if err != nil {
		return err
	}
	a := l.Assignment
	e := r.entry(in.Changes[0], tandem.OutcomeDone)
	e.RunID = in.RunID
	p := &piece{deviceID: l.Device.ID, assignmentID: a.ID, counts: tandem.Summary{Processed: 1, Successful: 1, Remote: tandem.Counts{Deleted: 1}},
		changes: tandem.Changes{DropIntents: []string{in.ID}, Entries: []tandem.Entry{e}}}
	if !parted(in, &a) {
		a.Status, a.UpdatedAt, a.Error = tandem.SyncUnlinked, r.now(), ""
		p.changes.UpdateAssignments = []tandem.Assignment{a}
		r.supersede(p, open)
	}
	if err := r.settledConflict(&writeResult{linked: *l, intent: *in}, p, true); err != nil {
		return err
	}
	return ignoreMoved(c.put(p))
}

// deviceConflict adds a conflict about the device itself to p, or brings the open one up to date: it
// freezes the device (S9). There is what the service has of it, nil when it is gone there.
func (r *run) deviceConflict(p *piece, l *tandem.Linked, kind tandem.ConflictType, why string, there *tandem.Shared, open []tandem.Conflict) {
	p.waits(l.Assignment.ExternalDeviceID, "")
	now := r.now()
	row := tandem.Conflict{OrganizationID: r.org, ServiceID: r.service.ID, RunID: r.record.ID, DeviceID: l.Device.ID,
		DeviceName: l.Device.Name, ExternalDeviceID: l.Assignment.ExternalDeviceID, Type: kind, Status: tandem.ConflictPending,
		BaseValue: snapshot(l.Assignment.Base.Local), LocalValue: snapshot(l.Device.Shared()), RemoteValue: value(nil), Explanation: why, CreatedAt: now, UpdatedAt: now}
	if there != nil {
		row.LocalValue, row.RemoteValue = value(nil), snapshot(*there)
	}
	if known := openAt(open, ""); known != nil {
		if known.Status != tandem.ConflictPending || merge.Equal(decode(known.LocalValue), decode(row.LocalValue)) && merge.Equal(decode(known.RemoteValue), decode(row.RemoteValue)) {
			return
		}
		known.LocalValue, known.RemoteValue, known.UpdatedAt = row.LocalValue, row.RemoteValue, now
		p.changes.PutConflicts = append(p.changes.PutConflicts, *known)
		return
	}
	row.ID = r.e.NewID()
	p.changes.PutConflicts = append(p.changes.PutConflicts, row)
	a := l.Assignment
	a.Status, a.UpdatedAt = tandem.SyncConflict, now
	p.changes.UpdateAssignments = []tandem.Assignment{a}
	c := about(l)
	c.Side, c.Action, c.Note = tandem.LocalSide, tandem.ActConflict, why
	p.changes.Entries = append(p.changes.Entries, r.entry(c, tandem.OutcomePending))
}

// recreate makes a remote device anew for one that was deleted there (S16). It gets a new remote id;
// its credentials and data are gone, and the entry says so. It answers as deleteThere does.
func (r *run) recreate(ctx context.Context, w *work, c *committer, l tandem.Linked, change tandem.Change, settles *tandem.Conflict) (cause, err error) {
	change.Note = joinNotes("created anew on the service: new id, its old credentials and data are gone", change.Note)
	if r.dry != nil {
		return nil, c.put(&piece{deviceID: l.Device.ID, counts: tandem.Summary{Remote: tandem.Counts{Created: 1}},
			changes: tandem.Changes{Entries: []tandem.Entry{r.entry(change, tandem.OutcomeDone)}}})
	}
	p, err := r.newIntent(w, l.Device)
	if err != nil {
		return nil, err
	}
	if len(p.changes.PutIntents) == 0 { // it cannot be created: the entry says why
		return nil, c.put(p)
	}
	in := &p.changes.PutIntents[0]
	change.After = in.Changes[0].After
	in.Changes = []tandem.Change{change}
	settling(in, settles, p)
	if err := c.put(p); err != nil {
		return nil, err
	}
	if err := r.mayWrite(ctx, in); err != nil {
		return nil, err
	}
	quiet, cancel := r.writing(ctx, in)
	defer cancel()
	rd, cause := r.remote.CreateDevice(quiet, *in.Create)
	if cause != nil && !refused(cause) { // a lost reply: it is ours if it carries our hardware id (S14)
		if found, lookErr := r.findOurs(quiet, in.Create); lookErr == nil && found != nil {
			rd, cause = *found, nil
		}
	}
	if cause != nil {
		return cause, r.perCreate(ctx, p.device, *in, cause, refused(cause))
	}
	return nil, r.recoverRecreate(ctx, w, c, p.device, *in, &rd)
}

// settling notes on an intent which conflict it settles, and adds that conflict, which is resolving now, to p.
func settling(in *tandem.Intent, conflict *tandem.Conflict, p *piece) {
	if conflict == nil {
		return
	}
	in.ConflictID = conflict.ID
	p.changes.PutConflicts = append(p.changes.PutConflicts, *conflict)
}

// recoverRecreate records a recreated device, or drops the intent of one that never came about.
func (r *run) recoverRecreate(ctx context.Context, w *work, c *committer, d tandem.Device, in tandem.Intent, found *tandem.RemoteDevice) error {
	linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, []string{d.ID})
	if err != nil {
		return err
	}
	if found == nil || len(linked) == 0 {
		return r.dropIntent(c, &in)
	}
	was := in
	was.ExternalDeviceID = in.Changes[0].ExternalDeviceID
	if parted(&was, &linked[0].Assignment) {
		return r.orphan(c, &in, found.ID)
	}
	p, more := r.createdPiece(linked[0].Device, in, *found)
	fresh := p.changes.CreateAssignments[0]
	a := linked[0].Assignment
	a.ExternalDeviceID, a.Base, a.Drift, a.Status, a.Error = found.ID, fresh.Base, nil, fresh.Status, ""
	a.LastSync, a.RemoteUpdatedAt, a.UpdatedAt, a.StateReadAt = fresh.LastSync, fresh.RemoteUpdatedAt, r.now(), nil
	p.assignmentID = a.ID
	p.changes.CreateAssignments, p.changes.UpdateAssignments = nil, []tandem.Assignment{a}
	if err := r.settledConflict(&writeResult{linked: linked[0], intent: in}, p, true); err != nil {
		return err
	}
	if err := c.put(p); err != nil {
		return ignoreMoved(err)
	}
	if !more {
		return nil
	}
	linked, err = r.e.Store.LinkedByDevice(context.WithoutCancel(ctx), r.org, r.service.ID, []string{d.ID})
	if err != nil || len(linked) == 0 {
		return err
	}
	return r.attend(ctx, w, c, linked[0], true, anyButNames)
}
