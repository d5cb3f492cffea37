package syncer

import (
	"context"
	"slices"
	"time"

	"tandem"
	"tandem/merge"
)

// meet decides about listed devices that no assignment names. One that nothing here can be is let in
// at once, or listed as not linked; one with candidates waits for the whole listing (S12).
func (r *run) meet(ctx context.Context, w *work, fresh []reading, open map[string][]tandem.Conflict) ([]*piece, error) {
	if len(fresh) == 0 {
		return nil, nil
	}
	kept, err := r.notLinked(ctx, fresh)
	if err != nil {
		return nil, err
	}
	if err := r.loadRows(ctx, nil, externalIDs(fresh)); err != nil {
		return nil, err
	}
	index, err := r.candidates(ctx, fresh)
	if err != nil {
		return nil, err
	}
	var list []*piece
	for i := range fresh {
		rd := &fresh[i]
		before, was := kept[rd.device.ID]
		switch {
		case was && before.Ignored:
			if p := r.close(&piece{}, open[rd.device.ID], tandem.ConflictIgnored, "the remote device is ignored"); len(p.changes.PutConflicts) > 0 {
				list = append(list, p)
			}
			r.quiet(1)
			continue
		case rd.device.Problem != nil:
			c := tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActRead, ExternalDeviceID: rd.device.ID, DeviceName: rd.device.Name}
			list = append(list, &piece{counts: tandem.Summary{Processed: 1, Failed: 1},
				changes: tandem.Changes{Entries: []tandem.Entry{r.failure(c, rd.device.Problem)}}})
			continue
		}
		candidates := index.of(&rd.device)
		if identify(&rd.device, candidates, func(string) bool { return false }).none() {
			p := r.admit(rd, index, &before, was)
			list = append(list, r.close(p, open[rd.device.ID], tandem.ConflictSuperseded, "no device here shares its identity any more"))
			continue
		}
		for _, c := range candidates {
			if c.Assignment == nil && c.Device.DeletedAt == nil {
				w.claims.add(c.Device.ID)
			}
		}
		if err := w.deferred.add(meeting{Device: rd.device}); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func externalIDs(list []reading) []string {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].device.ID
	}
	return ids
}

func (v verdict) none() bool { return v.device == nil && v.reason == "" }

func (r *run) candidates(ctx context.Context, fresh []reading) (*candidateIndex, error) {
	probes := make([]tandem.Probe, len(fresh))
	for i := range fresh {
		probes[i] = tandem.Probe{Name: fresh[i].device.Name, HardwareIDs: fresh[i].device.HardwareIDs}
	}
	all, err := r.e.Store.Candidates(ctx, r.org, r.service.ID, probes)
	if err != nil {
		return nil, err
	}
	return indexCandidates(all), nil
}

// notLinked gives what is kept of these devices as not linked.
func (r *run) notLinked(ctx context.Context, fresh []reading) (map[string]tandem.NotLinked, error) {
	kept := map[string]tandem.NotLinked{}
	if !r.anyNotLinked {
		return kept, nil
	}
	filter := tandem.NotLinkedFilter{Ignored: true}
	for _, rd := range fresh {
		filter.ExternalDeviceIDs = append(filter.ExternalDeviceIDs, rd.device.ID)
	}
	filter.Limit = len(filter.ExternalDeviceIDs)
	rows, _, err := r.e.Store.NotLinked(ctx, r.org, r.service.ID, filter)
	for _, row := range rows {
		kept[row.ExternalDeviceID] = row
	}
	return kept, err
}

// admit lets a new remote device in as a new local one, or lists it as not linked (S13).
func (r *run) admit(rd *reading, index *candidateIndex, before *tandem.NotLinked, was bool) *piece {
	reason := ""
	switch {
	case !r.createsLocal():
		reason = "not_imported"
	case !r.letIn(rd):
		reason = "filtered"
	}
	if reason != "" {
		return r.leaveOut(rd, reason, nil, before, was)
	}
	p := r.createLocal(rd, index)
	if !r.allows(p.changes.Entries[0].Change) {
		return r.leaveOut(rd, "not_imported", nil, before, was)
	}
	if was {
		p.changes.DropNotLinked = []tandem.NotLinkedKey{{ServiceID: r.service.ID, ExternalDeviceID: rd.device.ID}}
	}
	return p
}

// createLocal makes the device, its assignment and its base: both sides agree from the start.
func (r *run) createLocal(rd *reading, index *candidateIndex) *piece {
	now := r.now()
	s := rd.shared
	d := tandem.Device{ID: r.e.NewID(), OrganizationID: r.org, Name: s.Name, DeviceID: rd.device.Name, Lifecycle: tandem.Active,
		HardwareIDs: s.HardwareIDs, Tags: s.Tags, Enabled: rd.device.Enabled, Blueprint: s.Blueprint, Cohort: s.Cohort, Metadata: s.Metadata,
		Version: 1, CreatedAt: now, UpdatedAt: now}
	if d.Name == "" {
		d.Name = rd.device.Name
	}
	if d.DeviceID == "" || index.takenID(d.DeviceID) {
		d.DeviceID = rd.device.ID
	}
	if !rd.device.UpdatedAt.IsZero() {
		d.FieldEditedAt = tandem.EditTimes{"": rd.device.UpdatedAt} // S8: every imported field has its source's time
	}
	if o := r.observations(&d, &rd.device, r.state.observed(rd)); o != nil {
		d.Observed = o.Observed
	}
	a := r.assignment(&d, rd.device.ID, now)
	a.Status, a.LastSync = tandem.SyncSynced, &now
	a.Base = tandem.Base{Local: restrict(s, r.policy.Fields), Remote: restrict(s, r.policy.Fields)}
	if !rd.device.UpdatedAt.IsZero() {
		a.RemoteUpdatedAt = &rd.device.UpdatedAt
	}
	if r.state.any() && r.state.inListing {
		a.StateReadAt = &rd.at
	}
	c := tandem.Change{Side: tandem.LocalSide, Action: tandem.ActCreate, DeviceID: d.ID, ExternalDeviceID: rd.device.ID, DeviceName: d.Name, After: snapshot(d.Shared())}
	p := &piece{deviceID: d.ID, assignmentID: a.ID, counts: tandem.Summary{Processed: 1, Successful: 1, Local: tandem.Counts{Created: 1}}}
	p.changes.Entries = []tandem.Entry{r.entry(c, tandem.OutcomeDone)}
	c.After = nil
	if failures := r.unresolved(c, rd); len(failures) > 0 { // S33: without the fields that cannot be resolved
		a.Status, a.Error = tandem.SyncError, failures[0].Error
		p.changes.Entries = append(p.changes.Entries, failures...)
		p.counts.Successful, p.counts.Failed = 0, 1
	}
	p.changes.CreateDevices, p.changes.CreateAssignments = []tandem.Device{d}, []tandem.Assignment{a}
	return p
}

// takenID reports whether one of the candidates has the device_id already.
func (x *candidateIndex) takenID(id string) bool {
	if x == nil {
		return false
	}
	return slices.ContainsFunc(x.all, func(c tandem.Candidate) bool { return c.Device.DeviceID == id })
}

func (r *run) assignment(d *tandem.Device, externalID string, now time.Time) tandem.Assignment {
	return tandem.Assignment{ID: r.e.NewID(), OrganizationID: r.org, DeviceID: d.ID, ServiceID: r.service.ID, ExternalDeviceID: externalID,
		SyncEnabled: true, Status: tandem.SyncPending, Version: 1, CreatedAt: now, UpdatedAt: now}
}

// restrict gives the part of a side that lies in fields.
func restrict(s tandem.Shared, fields tandem.Fields) tandem.Shared {
	return merge.DropFields(tandem.Base{Local: s, Remote: s}, fields).Local
}

// leaveOut lists a remote device as not linked, where that is news.
func (r *run) leaveOut(rd *reading, reason string, candidates []string, before *tandem.NotLinked, was bool) *piece {
	r.mu.Lock()
	r.details.NotLinked.Remote++
	r.mu.Unlock()
	p := &piece{counts: tandem.Summary{Processed: 1, Successful: 1}}
	now := r.now()
	row := tandem.NotLinked{ServiceID: r.service.ID, ExternalDeviceID: rd.device.ID, Name: rd.device.Name, Device: rd.device,
		Reason: reason, Candidates: candidates, FirstSeenAt: now, SeenAt: now}
	if was && before.Reason == reason && before.Name == row.Name && before.Device.UpdatedAt.Equal(rd.device.UpdatedAt) && slices.Equal(before.Candidates, candidates) {
		return p
	}
	p.changes.PutNotLinked = []tandem.NotLinked{row}
	return p
}

// close adds to p the end of open conflicts about the device itself.
func (r *run) close(p *piece, open []tandem.Conflict, status tandem.ResolutionStatus, why string) *piece {
	now := r.now()
	for _, c := range open {
		if c.FieldName != "" || !c.Open() {
			continue
		}
		c.Status, c.Explanation, c.ResolvedAt, c.UpdatedAt = status, why, &now, now
		p.changes.PutConflicts = append(p.changes.PutConflicts, c)
	}
	return p
}

// matchDeferred links the new remote devices that have candidates here, now that all of them are known (S12).
func (r *run) matchDeferred(ctx context.Context, w *work, l *listed) error {
	if w.deferred.count == 0 {
		return nil
	}
	r.enter("matching", w.deferred.count)
	return w.deferred.each(batchSize, func(chunk []meeting) error {
		if err := r.border(ctx); err != nil {
			return err
		}
		fresh := make([]reading, len(chunk))
		ids := make([]string, len(chunk))
		for i, m := range chunk {
			fresh[i], ids[i] = r.read(m.Device, l.start), m.Device.ID
			if fresh[i].at.IsZero() {
				fresh[i].at = r.now()
			}
		}
		if err := r.readListedState(ctx, fresh); err != nil {
			return err
		}
		kept, err := r.notLinked(ctx, fresh)
		if err != nil {
			return err
		}
		if err := r.loadRows(ctx, nil, ids); err != nil {
			return err
		}
		index, err := r.candidates(ctx, fresh)
		if err != nil {
			return err
		}
		open, err := r.openConflicts(ctx, ids, nil)
		if err != nil {
			return err
		}
		var list []*piece
		for i := range fresh {
			before, was := kept[fresh[i].device.ID]
			p, err := r.match(w, l, &fresh[i], index, open[fresh[i].device.ID], &before, was)
			if err != nil {
				return err
			}
			list = append(list, p)
		}
		moved, err := r.commit(ctx, list)
		if err != nil {
			return err
		}
		r.advance(len(chunk))
		return r.comeBack(w, list, moved)
	})
}

// match links one remote device, or says why nobody but a person can.
func (r *run) match(w *work, l *listed, rd *reading, index *candidateIndex, open []tandem.Conflict, before *tandem.NotLinked, was bool) (*piece, error) {
	v := identify(&rd.device, index.of(&rd.device), l.seen.has)
	if v.device != nil && w.claims.count(v.device.ID) > 1 {
		v = verdict{candidates: []string{v.device.ID}, reason: "several remote devices may be the same device here"}
	}
	switch {
	case !l.proof.Complete:
		return r.leaveOut(rd, "not_imported", nil, before, was), nil
	case v.ambiguous():
		return r.ambiguous(rd, v, open, before, was), nil
	case v.device == nil:
		return r.admit(rd, index, before, was), nil
	}
	if !r.allows(linking(v.device, rd, sharedIdentity)) {
		return r.leaveOut(rd, "not_imported", nil, before, was), nil
	}
	p, err := r.link(w, rd, *v.device, sharedIdentity)
	if err != nil {
		return nil, err
	}
	if was {
		p.changes.DropNotLinked = []tandem.NotLinkedKey{{ServiceID: r.service.ID, ExternalDeviceID: rd.device.ID}}
	}
	return r.close(p, open, tandem.ConflictConverged, "it has one match now"), nil
}

// ambiguous records that a person must say which device it is; nothing is linked (S12).
func (r *run) ambiguous(rd *reading, v verdict, open []tandem.Conflict, before *tandem.NotLinked, was bool) *piece {
	p := r.leaveOut(rd, "ambiguous", v.candidates, before, was)
	p.waits(rd.device.ID, "")
	now := r.now()
	row := tandem.Conflict{ID: r.e.NewID(), OrganizationID: r.org, ServiceID: r.service.ID, RunID: r.record.ID, DeviceName: rd.device.Name,
		ExternalDeviceID: rd.device.ID, Type: tandem.AmbiguousMatch, Status: tandem.ConflictPending, CreatedAt: now}
	known := openAt(open, "")
	if known != nil {
		row = *known
	}
	candidates := value(v.candidates)
	if known != nil && slices.Equal(toStrings(decode(known.LocalValue)), v.candidates) && known.Explanation == v.reason {
		return p
	}
	remote := rd.device
	remote.State = nil
	row.LocalValue, row.RemoteValue, row.Explanation, row.UpdatedAt = candidates, value(remote), v.reason, now
	p.changes.PutConflicts = []tandem.Conflict{row}
	if known == nil {
		c := tandem.Change{Side: tandem.LocalSide, Action: tandem.ActConflict, ExternalDeviceID: rd.device.ID, DeviceName: rd.device.Name,
			Before: candidates, Note: v.reason}
		p.changes.Entries = []tandem.Entry{r.entry(c, tandem.OutcomePending)}
	}
	return p
}

// sharedIdentity is why a run links two.
const sharedIdentity = "shared identity"

// linking is the change that linking two is.
func linking(d *tandem.Device, rd *reading, why string) tandem.Change {
	return tandem.Change{Side: tandem.LocalSide, Action: tandem.ActLink, DeviceID: d.ID, DeviceName: d.Name, ExternalDeviceID: rd.device.ID, Note: why}
}

// link joins a device to a remote one and merges them as S4 says.
func (r *run) link(w *work, rd *reading, d tandem.Device, why string) (*piece, error) {
	now := r.now()
	a := r.assignment(&d, rd.device.ID, now)
	dec := r.decide(tandem.Linked{Assignment: a, Device: d}, *rd, nil, nil)
	if err := r.limitAllowedOne(&dec); err != nil {
		return nil, err
	}
	p, err := r.piece(&dec)
	if err != nil {
		return nil, err
	}
	if p == nil {
		p = &piece{deviceID: d.ID, assignmentID: a.ID}
	}
	for _, updated := range p.changes.UpdateAssignments {
		a = updated
	}
	p.changes.UpdateAssignments = nil
	p.changes.CreateAssignments = []tandem.Assignment{a}
	p.changes.Entries = append([]tandem.Entry{r.entry(linking(&d, rd, why), tandem.OutcomeDone)}, p.changes.Entries...)
	if o := r.observations(&d, &rd.device, r.state.observed(rd)); o != nil {
		p.changes.Observe = []tandem.Observation{*o}
	}
	p.counts.Processed, p.counts.Successful = 1, 1
	if len(dec.send) > 0 || dec.needs {
		r.plan(w, &dec)
		if r.dry != nil {
			return r.planned(&dec, p), nil
		}
		return p, w.toAttend(task{DeviceID: d.ID, Counted: true})
	}
	return p, nil
}
