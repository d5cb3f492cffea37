package syncer

import (
	"maps"
	"slices"

	"tandem"
	"tandem/merge"
)

// piece turns the local half of a decision into what is written in one transaction: the device, its
// base, its conflicts, drift and entries. It is nil when there is nothing to write, as it is for a
// device that nobody changed (S20). What goes to the remote is not part of it.
func (r *run) piece(d *decision) (*piece, error) {
	l := d.linked
	p := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID}
	if len(d.local) > 0 {
		device, err := r.editLocal(l.Device, d.local)
		if err != nil {
			return nil, err
		}
		p.changes.UpdateDevices = append(p.changes.UpdateDevices, device)
		p.counts.Local.Updated++
		for _, e := range d.local {
			p.changes.Entries = append(p.changes.Entries, r.edited(&l, tandem.LocalSide, e))
		}
	}
	r.conflicts(d, p)
	for _, drift := range d.drift {
		c := about(&l)
		c.Side, c.Action, c.Path, c.Note = tandem.RemoteSide, tandem.ActDrift, drift.Path, drift.reason
		if r.req.Operation == tandem.OpExport && drift.Fingerprint[:min(6, len(drift.Fingerprint))] != "limit:" {
			c.Side = tandem.LocalSide
		}
		c.Before, c.After = value(drift.Remote), value(drift.Local)
		p.changes.Entries = append(p.changes.Entries, r.entry(c, tandem.OutcomeHeld))
	}
	failures := r.unresolved(about(&l), &d.remote)
	if len(failures) > 0 && !d.told {
		p.changes.Entries = append(p.changes.Entries, failures...)
		p.counts.Failed = 1
	}
	for _, path := range d.result.Unknown {
		r.warn(l.Device.Name + ": the service gave no value for " + string(path) + " where there was one; left alone until it is seen again")
	}
	for _, e := range d.held {
		if d.told {
			break
		}
		c := about(&l)
		c.Side, c.Action, c.Path, c.Before, c.After = tandem.RemoteSide, tandem.ActUpdate, e.Path, value(e.Before), value(e.After)
		c.Note = "held back by the guard on changes of " + string(e.Path)
		p.changes.Entries = append(p.changes.Entries, r.entry(c, tandem.OutcomeHeld))
	}
	a := l.Assignment
	changed := d.result.BaseMoved || len(d.local) > 0
	if changed {
		now := r.now()
		a.Base, a.LastSync = d.result.Base, &now
		if !d.remote.stateOnly {
			a.RemoteUpdatedAt = &d.remote.device.UpdatedAt
		}
	}
	if d.result.Compared != 0 {
		if stays := kept(a.Drift, d); !maps.Equal(stays, a.Drift) {
			a.Drift, changed = stays, true
		}
	}
	status, why := tandem.SyncSynced, ""
	if len(p.pending) > 0 {
		status = tandem.SyncConflict
	}
	if len(failures) > 0 {
		status, why = tandem.SyncError, failures[0].Error
	}
	if status == tandem.SyncSynced && a.Status == tandem.SyncError && (d.remote.stateOnly || len(d.send) > 0 || r.oneWayOf() && len(d.stays) > 0) {
		status, why = a.Status, a.Error // of what was not read now, is yet to be sent, or is not this run's to mend
	}
	unlinked := a.Status == tandem.SyncUnlinked // for a person to change, never for a merge (S17)
	if !unlinked && (a.Status != status || (status == tandem.SyncSynced && a.Error != "")) {
		a.Status, a.Error, a.Retries, changed = status, why, 0, true
	}
	if !d.remote.at.IsZero() && r.state.inListing && r.state.any() && a.StateReadAt == nil {
		at := d.remote.at
		a.StateReadAt, changed = &at, true
	}
	if changed {
		a.UpdatedAt = r.now()
		p.changes.UpdateAssignments = append(p.changes.UpdateAssignments, a)
	}
	if len(p.pending) == 0 && len(p.changes.UpdateDevices)+len(p.changes.UpdateAssignments)+len(p.changes.Entries)+len(p.changes.PutConflicts) == 0 {
		return nil, nil
	}
	return p, nil
}

// oneWayOf reports whether the run goes fewer ways than the service's own runs do.
func (r *run) oneWayOf() bool {
	return r.service.Config.Direction == tandem.Bidirectional && r.req.Operation != tandem.OpBidirectional
}

// unresolved makes the entries of the fields whose ids nothing explains (S33).
func (r *run) unresolved(c tandem.Change, rd *reading) []tandem.Entry {
	var list []tandem.Entry
	for _, path := range rd.unresolved {
		c.Side, c.Action, c.Path = tandem.RemoteSide, tandem.ActRead, path
		list = append(list, r.failure(c, tandem.Errorf(tandem.Malformed, "sync", c.DeviceName, "its %s on the service has an id that no listing explains", path).
			WithHint("the field is left alone; it is read again at the next run")))
	}
	return list
}

// kept gives the drift that stands after this merge: what it found, and what it did not look at.
func kept(before map[tandem.Path]string, d *decision) map[tandem.Path]string {
	after := map[tandem.Path]string{}
	for path, mark := range before {
		if f, ok := path.Field(); !ok || !d.result.Compared.Has(f) {
			after[path] = mark
		}
	}
	maps.Copy(after, d.stays)
	if len(after) == 0 {
		return nil
	}
	return after
}

// edited makes the entry of one edit of one side.
func (r *run) edited(l *tandem.Linked, side tandem.Side, e merge.Edit) tandem.Entry {
	c := about(l)
	c.Side, c.Action, c.Path, c.Before, c.After = side, tandem.ActUpdate, e.Path, value(e.Before), value(e.After)
	if r.req.Force {
		c.Note = forced
	}
	return r.entry(c, tandem.OutcomeDone)
}

// conflicts adds what the merge says of the device's conflicts to p: new, refreshed, settled by rule,
// converged (S8, S9), and those that wait for a person.
func (r *run) conflicts(d *decision, p *piece) {
	l := &d.linked
	found := map[tandem.Path]bool{}
	all := slices.Concat(d.result.Conflicts, d.pause)
	for i := range all {
		c := &all[i]
		if c.Settled != "" && slices.ContainsFunc(d.result.Remote, func(e merge.Edit) bool { return e.Path == c.Path }) {
			found[c.Path] = true
			continue // the remote write records it, once it holds
		}
		found[c.Path] = true
		open := openAt(d.open, c.Path)
		row, changed := r.conflictRow(d, c, open)
		if c.Settled == "" {
			p.waits(l.Assignment.ExternalDeviceID, c.Path)
		}
		if !changed {
			continue
		}
		p.changes.PutConflicts = append(p.changes.PutConflicts, row)
		if open == nil || c.Settled != "" {
			p.changes.Entries = append(p.changes.Entries, r.conflictEntry(l, &row))
		}
	}
	now := r.now()
	for _, c := range d.open {
		if found[c.FieldName] || c.Status == tandem.ConflictResolving {
			continue
		}
		f, ok := c.FieldName.Field()
		switch {
		case over(&c): // it was read, and is here
			c.Status, c.Explanation = tandem.ConflictConverged, "the device is on both sides again"
		case !ok:
			p.waits(l.Assignment.ExternalDeviceID, c.FieldName)
			continue // about the device itself
		case !r.service.Config.Fields.Has(f):
			c.Status, c.Explanation = tandem.ConflictSuperseded, "the field is no longer synced"
		case d.hold[c.FieldName] == merge.Frozen: // a leaf of a field that was compared: it was not
			p.waits(l.Assignment.ExternalDeviceID, c.FieldName)
			continue
		case d.result.Compared.Has(f):
			c.Status = tandem.ConflictConverged
		default:
			p.waits(l.Assignment.ExternalDeviceID, c.FieldName)
			continue // not read in this run: it stays (S6)
		}
		c.ResolvedAt, c.UpdatedAt = &now, now
		p.changes.PutConflicts = append(p.changes.PutConflicts, c)
		p.changes.Entries = append(p.changes.Entries, r.conflictEntry(l, &c))
	}
}

func openAt(open []tandem.Conflict, p tandem.Path) *tandem.Conflict {
	for i := range open {
		if open[i].FieldName == p {
			return &open[i]
		}
	}
	return nil
}

// conflictRow gives the row of a conflict as it is now, and whether that differs from the one kept.
func (r *run) conflictRow(d *decision, c *merge.Conflict, open *tandem.Conflict) (tandem.Conflict, bool) {
	l, now := &d.linked, r.now()
	row := tandem.Conflict{ID: "", OrganizationID: r.org, ServiceID: r.service.ID, DeviceID: l.Device.ID, DeviceName: l.Device.Name,
		ExternalDeviceID: l.Assignment.ExternalDeviceID, Type: c.Type, FieldName: c.Path, Status: tandem.ConflictPending, CreatedAt: now}
	if open != nil {
		row = *open
	} else {
		row.ID, row.RunID = r.e.NewID(), r.record.ID
	}
	moved := open == nil || !same(c.Path, decode(row.LocalValue), c.Local) || !same(c.Path, decode(row.RemoteValue), c.Remote)
	row.BaseValue, row.LocalValue, row.RemoteValue = value(c.Base), value(c.Local), value(c.Remote)
	if at, ok := l.Device.FieldEditedAt[c.Path]; ok {
		row.LocalUpdatedAt = &at
	}
	if at := d.remote.device.UpdatedAt; !at.IsZero() {
		row.RemoteUpdatedAt = &at
	}
	row.UpdatedAt = now
	if i := slices.IndexFunc(d.pause, func(x merge.Conflict) bool { return x.Path == c.Path }); i >= 0 {
		row.ByHand, row.Explanation = true, flapping
	}
	if c.Settled != "" {
		row.Status, row.ResolutionStrategy, row.ResolvedValue, row.ResolvedAt = tandem.ConflictAutoResolved, string(c.Settled), value(c.Value), &now
		row.ResolvedBy = "strategy"
		return row, true
	}
	return row, moved
}

// conflictEntry notes in the run what became of a conflict.
func (r *run) conflictEntry(l *tandem.Linked, row *tandem.Conflict) tandem.Entry {
	c := about(l)
	c.Side, c.Action, c.Path, c.Before, c.After = tandem.LocalSide, tandem.ActConflict, row.FieldName, row.RemoteValue, row.LocalValue
	outcome := tandem.OutcomePending
	switch row.Status {
	case tandem.ConflictAutoResolved:
		c.Action, outcome, c.Note = tandem.ActSettle, tandem.OutcomeDone, "settled by "+row.ResolutionStrategy
		c.After = row.ResolvedValue
	case tandem.ConflictConverged, tandem.ConflictSuperseded:
		outcome, c.Note = tandem.OutcomeDone, string(row.Status)
	case tandem.ConflictPending, tandem.ConflictResolving, tandem.ConflictResolved, tandem.ConflictIgnored:
		c.Note = string(row.Type)
		if row.Explanation != "" {
			c.Note = row.Explanation
		}
	}
	return r.entry(c, outcome)
}
