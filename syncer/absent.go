package syncer

import (
	"context"
	"errors"

	"tandem"
	"tandem/merge"
)

// absent looks at each linked device that a proven listing did not show: it is read directly, since
// absence is not deletion (S15).
func (r *run) absent(ctx context.Context, w *work, l *listed) error {
	if !l.proof.Complete {
		return nil
	}
	var missing spool[tandem.LinkedID]
	defer func() { _ = missing.close() }()
	for after := ""; ; {
		ids, err := r.e.Store.LinkedIDs(ctx, r.org, r.service.ID, after, 5000)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !l.seen.has(id.ExternalDeviceID) {
				if err := missing.add(id); err != nil {
					return err
				}
			}
		}
		if len(ids) == 0 {
			break
		}
		after = ids[len(ids)-1].ExternalDeviceID
	}
	if missing.count == 0 {
		return nil
	}
	r.enter("looking for missing devices", missing.count)
	return r.inParallel(ctx, func(ctx context.Context, c *committer, give func(func() error) error) error {
		return missing.each(batchSize, func(chunk []tandem.LinkedID) error {
			if err := r.border(ctx); err != nil {
				return err
			}
			ids := make([]string, len(chunk))
			for i, id := range chunk {
				ids[i] = id.DeviceID
			}
			linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, ids)
			if err != nil {
				return err
			}
			for _, l := range linked {
				if err := give(func() error {
					defer r.advance(1)
					return r.lookFor(ctx, w, c, l)
				}); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// lookFor reads a device that the listing did not show: 200 merges, a proven 404 is a deletion (S15).
func (r *run) lookFor(ctx context.Context, w *work, c *committer, l tandem.Linked) error {
	if r.frozenByIntent(l.Device.ID) {
		return nil
	}
	_, err := r.remote.Device(ctx, l.Assignment.ExternalDeviceID)
	switch {
	case err == nil:
		return w.toAttend(task{DeviceID: l.Device.ID})
	case tandem.Is(err, tandem.NotFound):
		return r.vanished(ctx, w, c, l, false)
	}
	return r.perDevice(ctx, &l, err, false)
}

// vanished decides about a linked device whose remote one answered 404 (S16). The project must answer
// afterwards, or the 404 proves nothing (S15).
func (r *run) vanished(ctx context.Context, w *work, c *committer, l tandem.Linked, counted bool) error {
	project, err := r.remote.Project(ctx)
	if err == nil {
		err = checkPin(&r.service, project)
	}
	if err != nil {
		return err
	}
	p := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID}
	if !counted {
		p.counts.Processed, p.counts.Successful = 1, 1
	}
	done := func() error {
		err := c.put(p)
		if errors.Is(err, errMoved) {
			return nil // the next run looks again
		}
		return err
	}
	open, err := r.openConflicts(ctx, []string{l.Assignment.ExternalDeviceID}, []string{l.Device.ID})
	if err != nil {
		return err
	}
	if l.Device.DeletedAt != nil {
		const why = "gone on both sides"
		p.counts = tandem.Summary{} // until it is unlinked
		r.close(p, open[l.Assignment.ExternalDeviceID], tandem.ConflictConverged, why)
		if err := w.toRemove(removal{DeviceID: l.Device.ID, ExternalID: l.Assignment.ExternalDeviceID, Action: tandem.ActUnlink,
			Side: tandem.LocalSide, Deleted: true, Note: why}); err != nil {
			return err
		}
		return done()
	}
	if l.Assignment.Base.Local.Known == tandem.NoFields {
		return r.neverMet(ctx, &l, counted)
	}
	about := open[l.Assignment.ExternalDeviceID]
	if disputed := openAt(about, ""); disputed != nil && disputed.Status != tandem.ConflictPending {
		p.waits(l.Assignment.ExternalDeviceID, "")
		return done() // is being settled
	}
	if r.changedHere(&l) {
		r.deviceConflict(p, &l, tandem.DeletedRemotely, deletedThereChangedHere, nil, about)
		return done()
	}
	r.close(p, about, tandem.ConflictConverged, "the device here is again as it was when they last agreed")
	x := removal{DeviceID: l.Device.ID, ExternalID: l.Assignment.ExternalDeviceID, Guarded: true, Note: "deleted on the service"}
	switch r.service.Config.OnRemoteDelete {
	case tandem.RecreateRemote:
		x.Action, x.Side = tandem.ActRecreate, tandem.RemoteSide
		if r.req.Operation == tandem.OpImport {
			return done() // drift: the direction does not write there
		}
		p.counts.Processed, p.counts.Successful = 0, 0 // until it is created
	case tandem.DeleteLocal:
		x.Action, x.Side = tandem.ActDelete, tandem.LocalSide
	case tandem.UnlinkLocal:
		x.Action, x.Side = tandem.ActUnlink, tandem.LocalSide
	default:
		x.Action, x.Side = tandem.ActUnlink, tandem.LocalSide
	}
	if x.Side == tandem.LocalSide && r.req.Operation == tandem.OpExport || r.req.Force {
		return done() // the direction does not write here; force never deletes (S11)
	}
	if err := w.toRemove(x); err != nil {
		return err
	}
	return done()
}

// neverMet fails a link whose two sides never agreed on anything: there is no proof that the remote
// device ever was, so that its absence is no deletion (S15). Such a link comes from a file or an older table.
func (r *run) neverMet(ctx context.Context, l *tandem.Linked, counted bool) error {
	return r.perDevice(ctx, l, tandem.Errorf(tandem.NotFound, "sync", l.Device.Name,
		"the service has no device %s, to which it is linked", l.Assignment.ExternalDeviceID).
		WithHint("check the id; unlink the device here, and link it to the right one"), counted)
}

const deletedThereChangedHere = "it was deleted on the service, and changed here since they last agreed"

// changedHere reports whether the local side of a selected field left its base (S16).
func (r *run) changedHere(l *tandem.Linked) bool {
	result := merge.Device(merge.Sides{Base: l.Assignment.Base, Local: l.Device.Shared(), Remote: l.Assignment.Base.Remote},
		merge.Policy{Fields: r.policy.Fields, Direction: tandem.Bidirectional, Strategy: func(tandem.Field) tandem.Strategy { return tandem.Manual }})
	return len(result.Remote) > 0 || len(result.Conflicts) > 0
}

// changedThere reports whether the remote side of a selected field left its base (S17).
func (r *run) changedThere(l *tandem.Linked, rd reading) bool {
	for _, p := range []tandem.Path{"name", "enabled", "hardware_ids", "tags", "blueprint", "cohort", "metadata"} {
		f, _ := p.Field()
		if !r.policy.Fields.Has(f) || !rd.shared.Known.Has(f) || !l.Assignment.Base.Remote.Known.Has(f) {
			continue
		}
		was, now := baseValue(l.Assignment.Base.Remote, p), baseValue(rd.shared, p)
		if !same(p, was, now) {
			return true
		}
	}
	return false
}
