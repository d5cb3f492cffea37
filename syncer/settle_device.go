package syncer

import (
	"context"
	"encoding/json"
	"errors"

	"tandem"
)

// settleMatch settles which device a remote one is (S12).
func (r *run) settleMatch(ctx context.Context, conflict *tandem.Conflict, s tandem.Settlement) ([]tandem.Change, error) {
	rd, err := r.remote.Device(ctx, conflict.ExternalDeviceID)
	if err != nil {
		return nil, err
	}
	at := r.now()
	row := *conflict
	row.ResolutionStrategy, row.ResolvedBy, row.ResolvedAt, row.UpdatedAt, row.Status = string(s.Take), s.By, &at, at, tandem.ConflictResolved
	c := tandem.Change{Side: tandem.LocalSide, ExternalDeviceID: rd.ID, DeviceName: rd.Name}
	switch s.Take {
	case tandem.TakeLink:
		d, err := r.e.Store.Device(ctx, r.org, s.DeviceID)
		if err != nil {
			return nil, err
		}
		c.Action, c.DeviceID, c.DeviceName = tandem.ActLink, d.ID, d.Name
		if s.DryRun {
			return []tandem.Change{c}, nil
		}
		on, err := r.e.Store.Assignments(ctx, r.org, []string{d.ID})
		if err != nil {
			return nil, err
		}
		_, p, err := r.linkPiece(ctx, d, &rd, on)
		if err != nil {
			return nil, err
		}
		return []tandem.Change{c}, r.putOne(ctx, p, conflict)
	case tandem.TakeCreate:
		one := r.read(rd, at)
		if r.state.any() {
			if err := r.readStateOf(ctx, &one); err != nil {
				return nil, err
			}
		}
		index, err := r.candidates(ctx, []reading{one})
		if err != nil {
			return nil, err
		}
		p := r.createLocal(&one, index)
		row.DeviceID = p.deviceID
		p.changes.PutConflicts = []tandem.Conflict{row}
		p.changes.DropNotLinked = []tandem.NotLinkedKey{{ServiceID: r.service.ID, ExternalDeviceID: rd.ID}}
		changes := []tandem.Change{p.changes.Entries[0].Change}
		if s.DryRun {
			return changes, nil
		}
		return changes, r.putOne(ctx, p, conflict)
	default: // ignore
		if s.DryRun {
			return nil, nil
		}
		row.Status = tandem.ConflictIgnored
		p := &piece{counts: tandem.Summary{Processed: 1, Successful: 1}}
		p.changes.PutConflicts = []tandem.Conflict{row}
		p.changes.PutNotLinked = []tandem.NotLinked{{ServiceID: r.service.ID, ExternalDeviceID: rd.ID, Name: rd.Name, Device: rd, Reason: "ignored", Ignored: true, FirstSeenAt: at, SeenAt: at}}
		c.Action, c.Note = tandem.ActSettle, "settled by "+s.By+": ignore"
		p.changes.Entries = []tandem.Entry{r.entry(c, tandem.OutcomeDone)}
		return nil, r.putOne(ctx, p, conflict)
	}
}

func (r *run) putOne(ctx context.Context, p *piece, conflict *tandem.Conflict) error {
	moved, err := r.commit(ctx, []*piece{p})
	if err == nil && len(moved) > 0 {
		err = tandem.Errorf(tandem.Stale, "settle", conflict.DeviceName, "something changed it meanwhile").WithHint("try again")
	}
	if err == nil {
		err = p.err
	}
	return err
}

// settleDeleted settles a device that one side deleted and the other changed (S16, S17).
func (r *run) settleDeleted(ctx context.Context, c *committer, conflict *tandem.Conflict, s tandem.Settlement) ([]tandem.Change, error) {
	linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, []string{conflict.DeviceID})
	if err != nil {
		return nil, err
	}
	if len(linked) == 0 {
		return nil, tandem.Errorf(tandem.NotFound, "settle", conflict.DeviceName, "the device is not linked any more")
	}
	l := linked[0]
	if err := r.deletionMoved(ctx, conflict, &l, s.DryRun); err != nil {
		return nil, err
	}
	change := about(&l)
	change.Side, change.Action, change.Before, change.Note = tandem.LocalSide, tandem.ActUnlink, snapshot(l.Device.Shared()), settlingNote+string(s.Take)
	switch {
	case s.Take == tandem.TakeDelete && conflict.Type == tandem.DeletedRemotely:
		change.Action = tandem.ActDelete
	case s.Take == tandem.TakeDelete:
		change.Action, change.Side = tandem.ActDelete, tandem.RemoteSide
	case s.Take == tandem.TakeRecreate && conflict.Type == tandem.DeletedRemotely:
		change.Action, change.Side = tandem.ActRecreate, tandem.RemoteSide
	case s.Take == tandem.TakeRecreate:
		change.Action = tandem.ActCreate
	}
	if s.DryRun {
		return []tandem.Change{change}, nil
	}
	row := *conflict
	row.ResolutionStrategy, row.ResolvedBy, row.UpdatedAt = string(s.Take), s.By, r.now()
	return []tandem.Change{change}, r.carryOutDeleted(ctx, c, &l, row, change)
}

// deletionMoved looks whether the side that is still there changed since the conflict was shown, and
// whether the other is still gone. If not, the conflict is brought up to date, and the error says so (S10).
func (r *run) deletionMoved(ctx context.Context, conflict *tandem.Conflict, l *tandem.Linked, dry bool) error {
	moved := func(what string) *tandem.Error {
		return tandem.Errorf(tandem.Stale, "settle", conflict.DeviceName, "%s since the conflict was shown", what).WithHint("look at it again")
	}
	if (l.Device.DeletedAt != nil) != (conflict.Type == tandem.DeletedLocally) || l.Assignment.Status == tandem.SyncUnlinked {
		return moved("the device was deleted, restored or unlinked here")
	}
	there, err := r.deletedThere(ctx, l)
	if err != nil {
		return err
	}
	local, remote := snapshot(l.Device.Shared()), snapshot(there.shared)
	if conflict.Type == tandem.DeletedRemotely {
		if there.device.ID != "" {
			return moved("the device came back on the service")
		}
		remote = value(nil)
	} else {
		local = value(nil)
	}
	for _, pair := range [][2]json.RawMessage{{conflict.LocalValue, local}, {conflict.RemoteValue, remote}} {
		field, err := changedField(pair[0], pair[1])
		if err != nil {
			return err
		}
		if field == "" {
			continue
		}
		if dry {
			return moved("its " + field + " changed")
		}
		row := *conflict
		row.LocalValue, row.RemoteValue, row.UpdatedAt = local, remote, r.now()
		_, err = r.commit(ctx, []*piece{{changes: tandem.Changes{PutConflicts: []tandem.Conflict{row}}}})
		return errors.Join(moved("its "+field+" changed"), err)
	}
	return nil
}

// changedField names the first field in which two snapshots differ, "" when none does.
func changedField(before, after json.RawMessage) (string, error) {
	if decode(before) == nil || decode(after) == nil {
		return "", nil
	}
	a, err := deviceFrom(before)
	if err != nil {
		return "", err
	}
	b, err := deviceFrom(after)
	return differs(a, b), err
}

// deletedThere reads what is on the service of a device that one side deleted; nothing of it when it is gone there.
func (r *run) deletedThere(ctx context.Context, l *tandem.Linked) (reading, error) {
	rd, err := r.remote.Device(ctx, l.Assignment.ExternalDeviceID)
	if tandem.Is(err, tandem.NotFound) {
		return reading{}, nil
	}
	if err != nil {
		return reading{}, err
	}
	now := r.read(rd, r.now())
	if r.state.metadata != "" {
		if err := r.readStateOf(ctx, &now); err != nil && !tandem.Is(err, tandem.NotFound) {
			return now, err
		}
	}
	now.shared = restrict(now.shared, r.policy.Fields)
	return now, nil
}

// carryOutDeleted does what was chosen. What is done here closes the conflict at once; what is done on
// the service is an intent first, and the conflict is resolving until the service confirms it (S10, S24).
func (r *run) carryOutDeleted(ctx context.Context, c *committer, l *tandem.Linked, row tandem.Conflict, change tandem.Change) error {
	x := removal{DeviceID: l.Device.ID, ExternalID: l.Assignment.ExternalDeviceID, Action: change.Action, Side: change.Side, Note: change.Note}
	if change.Side == tandem.RemoteSide {
		row.Status = tandem.ConflictResolving
		var cause, err error
		if change.Action == tandem.ActRecreate {
			w := newWork()
			defer w.close()
			cause, err = r.recreate(ctx, w, c, *l, change, &row)
		} else {
			cause, err = r.deleteThere(ctx, c, *l, change, &row)
		}
		if err != nil {
			return r.settleError(err, &row)
		}
		return r.stillOpen(ctx, &row, cause)
	}
	now := r.now()
	row.Status, row.ResolvedAt = tandem.ConflictResolved, &now
	p := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID, counts: tandem.Summary{Processed: 1, Successful: 1}}
	if change.Action == tandem.ActCreate { // the local device comes back
		d, a := l.Device, l.Assignment
		d.DeletedAt, d.UpdatedAt = nil, now
		a.Status, a.UpdatedAt = tandem.SyncPending, now
		p.changes.UpdateDevices, p.changes.UpdateAssignments = []tandem.Device{d}, []tandem.Assignment{a}
		p.counts.Local.Created++
		p.changes.Entries = []tandem.Entry{r.entry(change, tandem.OutcomeDone)}
	} else {
		open, err := r.e.openOf(ctx, r.org, r.service.ID, l)
		if err != nil {
			return err
		}
		if err := r.removeHere(ctx, l, x, p, change, open); err != nil {
			return err
		}
	}
	p.changes.PutConflicts = append(p.changes.PutConflicts, row)
	return r.put(c, p, &row)
}
