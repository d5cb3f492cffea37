package syncer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"tandem"
)

// session is a short run by a person's hand: a settlement, a link, an import of single devices. It has
// no lease, since it may happen beside a run: intents and versions keep the two apart (S22). It is kept
// in the history like every run.
func (e *Engine) session(ctx context.Context, org, serviceID string, req tandem.RunRequest, connect bool) (*run, error) {
	service, err := e.Store.Service(ctx, org, serviceID)
	if err != nil {
		return nil, err
	}
	req.ServiceID = service.ID
	if req.Operation == "" {
		req.Operation = tandem.OpBidirectional
	}
	req.Trigger = tandem.ByHand
	r := e.prepare(org, service, req, nil)
	r.anyConflicts, r.anyNotLinked = true, true
	r.guard.approved = true // a person named the devices, or was shown them (docs/decisions/0016)
	now := r.now()
	r.record.Status, r.record.StartedAt = tandem.RunRunning, &now
	ours := r.now()
	theirs, err := e.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	r.databaseAhead = theirs.Sub(ours)
	if !connect {
		return r, nil
	}
	if !service.IsActive {
		return nil, tandem.Errorf(tandem.Invalid, "connect", service.Name, "the service is disabled").WithHint("enable it first")
	}
	if r.remote, err = e.connect(ctx, service); err != nil {
		return nil, err
	}
	if _, err = r.identifyProject(ctx); err != nil {
		return nil, err
	}
	open, err := e.Store.Intents(ctx, org, service.ID)
	for _, in := range open {
		if in.Temporary != "" {
			r.park(in)
		}
	}
	return r, err
}

// open stores the session's row, so that its entries have a run to belong to, with the audit of who asked for it.
func (r *run) open(ctx context.Context, along ...tandem.Along) error {
	until := r.now().Add(time.Hour)
	r.details.WaitingUntil = &until
	return r.putLast(ctx, nil, r.askedBy(along))
}

// askedBy gives the audit of who asked for the run, with its id.
func (r *run) askedBy(along []tandem.Along) *tandem.Changes {
	c := &tandem.Changes{}
	for i := range along {
		for _, e := range along[i].Audit {
			e.RunID = cmp.Or(e.RunID, r.record.ID)
			c.Audit = append(c.Audit, e)
		}
	}
	return c
}

// done ends a session and gives its run.
func (r *run) end(ctx context.Context, err error) (tandem.Run, error) {
	ctx = context.WithoutCancel(ctx)
	defer r.letGo()
	r.mu.Lock()
	now := r.now()
	s := &r.record
	switch {
	case err != nil:
		s.Status, s.Error = tandem.RunFailed, err.Error()
	case s.Summary.Failed > 0 || s.Summary.Conflicts > 0:
		s.Status = tandem.RunPartial
	default:
		s.Status = tandem.RunCompleted
	}
	s.CompletedAt, s.DurationMS = &now, max(0, now.Sub(*s.StartedAt).Milliseconds())
	r.details.WaitingUntil = nil
	r.mu.Unlock()
	return r.record, errors.Join(err, r.putRecord(ctx, nil))
}

// Link links a device to a remote device by a person's word; it also revives an unlinked assignment.
// The two are merged at the next sync, as S4 says.
func (e *Engine) Link(ctx context.Context, org, serviceID, deviceID, externalID, by string, along ...tandem.Along) (tandem.Assignment, error) {
	r, err := e.session(ctx, org, serviceID, tandem.RunRequest{CreatedBy: by, DeviceIDs: []string{deviceID}}, true)
	if err != nil {
		return tandem.Assignment{}, err
	}
	d, err := e.Store.Device(ctx, org, deviceID)
	if err != nil {
		return tandem.Assignment{}, err
	}
	if d.DeletedAt != nil {
		return tandem.Assignment{}, tandem.Errorf(tandem.Invalid, "link", d.Name, "the device was deleted here").WithHint("create it anew, or link another one")
	}
	rd, err := r.remote.Device(ctx, externalID)
	if err != nil {
		return tandem.Assignment{}, err
	}
	on, err := e.Store.Assignments(ctx, org, []string{d.ID})
	if err != nil {
		return tandem.Assignment{}, err
	}
	if err := r.open(ctx, along...); err != nil {
		return tandem.Assignment{}, err
	}
	a, p, err := r.linkPiece(ctx, d, &rd, on)
	if err == nil {
		var moved []*piece
		moved, err = r.commit(ctx, []*piece{p})
		if err == nil && len(moved) > 0 {
			err = tandem.Errorf(tandem.Stale, "link", d.Name, "something changed it meanwhile").WithHint("try again")
		}
		if err == nil {
			err = p.err
		}
	}
	if _, endErr := r.end(ctx, err); endErr != nil {
		return a, endErr
	}
	return e.Store.Assignment(ctx, org, r.service.ID, externalID)
}

// linkPiece makes what a link by hand writes.
func (r *run) linkPiece(ctx context.Context, d tandem.Device, rd *tandem.RemoteDevice, on []tandem.Assignment) (tandem.Assignment, *piece, error) {
	now := r.now()
	if err := r.linkable(ctx, "link", &d); err != nil {
		return tandem.Assignment{}, nil, err
	}
	taken, err := r.e.Store.Assignment(ctx, r.org, r.service.ID, rd.ID)
	if err != nil && !tandem.Is(err, tandem.NotFound) {
		return taken, nil, err
	}
	if err == nil && taken.DeviceID != d.ID {
		return taken, nil, tandem.Errorf(tandem.Exists, "link", rd.Name, "the remote device is linked to another device already (%s)", taken.DeviceID).
			WithHint("unlink and delete that one first, or link another remote device")
	}
	a := r.assignment(&d, rd.ID, now)
	p := &piece{deviceID: d.ID}
	for _, old := range on {
		if old.ServiceID != r.service.ID {
			continue
		}
		if old.Status != tandem.SyncUnlinked {
			return old, nil, tandem.Errorf(tandem.Exists, "link", d.Name, "it is linked on this service already, to %s", old.ExternalDeviceID).WithHint("unlink it first: tandem device unlink")
		}
		old.ExternalDeviceID, old.Status, old.Base, old.Drift = rd.ID, tandem.SyncPending, tandem.Base{}, nil
		old.Error, old.Retries, old.LastSync, old.StateReadAt, old.UpdatedAt, old.SyncEnabled = "", 0, nil, nil, now, true
		a = old
		p.changes.UpdateAssignments = []tandem.Assignment{a}
	}
	if len(p.changes.UpdateAssignments) == 0 {
		p.changes.CreateAssignments = []tandem.Assignment{a}
	}
	p.assignmentID = a.ID
	if d.Lifecycle == tandem.Decommissioned {
		d.Lifecycle, d.UpdatedAt = tandem.Active, now
		p.changes.UpdateDevices = []tandem.Device{d}
	}
	p.changes.DropNotLinked = []tandem.NotLinkedKey{{ServiceID: r.service.ID, ExternalDeviceID: rd.ID}}
	c := tandem.Change{Side: tandem.LocalSide, Action: tandem.ActLink, DeviceID: d.ID, DeviceName: d.Name, ExternalDeviceID: rd.ID, Note: "by hand"}
	p.changes.Entries = []tandem.Entry{r.entry(c, tandem.OutcomeDone)}
	p.counts = tandem.Summary{Processed: 1, Successful: 1}
	open, err := r.openConflicts(ctx, []string{rd.ID}, nil)
	if err != nil {
		return a, nil, err
	}
	for _, conflict := range open[rd.ID] {
		if conflict.Type == tandem.AmbiguousMatch {
			conflict.Status, conflict.ResolutionStrategy, conflict.ResolvedBy = tandem.ConflictResolved, string(tandem.TakeLink), r.req.CreatedBy
			conflict.DeviceID, conflict.ResolvedValue, conflict.ResolvedAt, conflict.UpdatedAt = d.ID, value(d.ID), &now, now
			p.changes.PutConflicts = append(p.changes.PutConflicts, conflict)
		}
	}
	return a, p, nil
}

// Unlink keeps the assignment but stops syncing it, until a person links it again.
func (e *Engine) Unlink(ctx context.Context, org, serviceID, deviceID, by string, along ...tandem.Along) error {
	r, err := e.session(ctx, org, serviceID, tandem.RunRequest{CreatedBy: by, DeviceIDs: []string{deviceID}}, false)
	if err != nil {
		return err
	}
	linked, err := e.Store.LinkedByDevice(ctx, org, r.service.ID, []string{deviceID})
	if err != nil {
		return err
	}
	if len(linked) == 0 || linked[0].Assignment.Status == tandem.SyncUnlinked {
		return tandem.Errorf(tandem.NotFound, "unlink", deviceID, "the device is not linked on %s", r.service.Name)
	}
	l := linked[0]
	if err := r.linkable(ctx, "unlink", &l.Device); err != nil {
		return err
	}
	open, err := e.openOf(ctx, org, r.service.ID, &l)
	if err != nil {
		return err
	}
	if err := r.open(ctx, along...); err != nil {
		return err
	}
	p := r.unlinkPiece(&l, "by hand", open)
	moved, err := r.commit(ctx, []*piece{p})
	if err == nil && len(moved) > 0 {
		err = tandem.Errorf(tandem.Stale, "unlink", l.Device.Name, "something changed it meanwhile").WithHint("try again")
	}
	_, err = r.end(ctx, err)
	return err
}

// unlinkPiece stops syncing a device; nothing else about it changes.
func (r *run) unlinkPiece(l *tandem.Linked, why string, open []tandem.Conflict) *piece {
	now := r.now()
	a := l.Assignment
	a.Status, a.Error, a.UpdatedAt = tandem.SyncUnlinked, "", now
	c := about(l)
	c.Side, c.Action, c.Note = tandem.LocalSide, tandem.ActUnlink, why
	p := &piece{deviceID: l.Device.ID, assignmentID: a.ID, counts: tandem.Summary{Processed: 1, Successful: 1},
		changes: tandem.Changes{UpdateAssignments: []tandem.Assignment{a}, Entries: []tandem.Entry{r.entry(c, tandem.OutcomeDone)}}}
	for _, x := range open {
		x.Status, x.Explanation, x.ResolvedAt, x.UpdatedAt = tandem.ConflictSuperseded, "its device is not linked any more", &now, now
		p.changes.PutConflicts = append(p.changes.PutConflicts, x)
	}
	return p
}

// ImportRemote creates local devices for remote ones that are not linked, whatever the filters say.
// Those with an ambiguous match are left out and named: they are settled as conflicts.
func (e *Engine) ImportRemote(ctx context.Context, org, serviceID string, externalIDs []string, by string, along ...tandem.Along) (tandem.Run, error) {
	r, err := e.session(ctx, org, serviceID, tandem.RunRequest{Operation: tandem.OpImport, CreateMissing: tandem.MissingLocal, CreatedBy: by}, true)
	if err != nil {
		return tandem.Run{}, err
	}
	r.service.Config.Filters = tandem.Filters{}
	r.details.Scope = externalIDs
	if err := r.open(ctx, along...); err != nil {
		return r.record, err
	}
	var fresh []reading
	for _, id := range externalIDs {
		rd, err := r.remote.Device(ctx, id)
		if err != nil {
			c := tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActRead, ExternalDeviceID: id}
			if _, err := r.commit(ctx, []*piece{{counts: tandem.Summary{Processed: 1, Failed: 1}, changes: tandem.Changes{Entries: []tandem.Entry{r.failure(c, err)}}}}); err != nil {
				return r.end(ctx, err)
			}
			continue
		}
		one := r.read(rd, r.now())
		if r.state.any() {
			if err := r.readStateOf(ctx, &one); err != nil {
				return r.end(ctx, err)
			}
		}
		fresh = append(fresh, one)
	}
	return r.end(ctx, r.importFresh(ctx, fresh))
}

// importFresh lets in what nothing here can be, and says why not for the rest.
func (r *run) importFresh(ctx context.Context, fresh []reading) error {
	if len(fresh) == 0 {
		return nil
	}
	index, err := r.candidates(ctx, fresh)
	if err != nil {
		return err
	}
	var list []*piece
	for i := range fresh {
		rd := &fresh[i]
		refuse := func(err error) {
			c := tandem.Change{Side: tandem.LocalSide, Action: tandem.ActCreate, ExternalDeviceID: rd.device.ID, DeviceName: rd.device.Name}
			list = append(list, &piece{counts: tandem.Summary{Processed: 1, Failed: 1}, changes: tandem.Changes{Entries: []tandem.Entry{r.failure(c, err)}}})
		}
		taken, err := r.e.Store.Assignment(ctx, r.org, r.service.ID, rd.device.ID)
		switch {
		case err == nil:
			refuse(tandem.Errorf(tandem.Exists, "import", rd.device.Name, "it is linked already, to %s (%s)", taken.DeviceID, taken.Status))
			continue
		case !tandem.Is(err, tandem.NotFound):
			return err
		}
		if v := identify(&rd.device, index.of(&rd.device), func(string) bool { return true }); !v.none() {
			why := v.reason
			if v.device != nil {
				why = "it matches " + v.device.Name + " here"
			}
			refuse(tandem.Errorf(tandem.Exists, "import", rd.device.Name, "%s", why).WithHint("link it: tandem device link, or settle the conflict with create"))
			continue
		}
		p := r.createLocal(rd, index)
		p.changes.DropNotLinked = []tandem.NotLinkedKey{{ServiceID: r.service.ID, ExternalDeviceID: rd.device.ID}}
		list = append(list, p)
	}
	for _, p := range list {
		if _, err := r.commit(ctx, []*piece{p}); err != nil {
			return err
		}
		if p.err != nil {
			r.fail(p.changes.Entries[0].Change, p.err)
		}
	}
	return nil
}

// fail records a change that the store refused: without its values, where those are what it refuses.
func (r *run) fail(c tandem.Change, err error) {
	if tandem.Is(err, tandem.Invalid) {
		c.Before, c.After = nil, nil
	}
	p := &piece{counts: tandem.Summary{Processed: 1, Failed: 1}, changes: tandem.Changes{Entries: []tandem.Entry{r.failure(c, err)}}}
	if err := r.tell(context.Background(), p); err != nil {
		r.warn(c.DeviceName + ": " + err.Error())
	}
}

// IgnoreRemote hides remote devices from the not-linked list, or shows them again.
func (e *Engine) IgnoreRemote(ctx context.Context, org, serviceID string, externalIDs []string, ignore bool, along ...tandem.Along) error {
	service, err := e.Store.Service(ctx, org, serviceID)
	if err != nil {
		return err
	}
	if len(externalIDs) == 0 {
		return nil // a filter by none is one by any
	}
	rows, _, err := e.Store.NotLinked(ctx, org, service.ID, tandem.NotLinkedFilter{ExternalDeviceIDs: externalIDs, Ignored: true})
	if err != nil {
		return err
	}
	found := map[string]bool{}
	c := &tandem.Changes{}
	for _, row := range rows {
		found[row.ExternalDeviceID] = true
		if ignore {
			row.Ignored = true
			c.PutNotLinked = append(c.PutNotLinked, row)
		} else {
			c.ShowNotLinked = append(c.ShowNotLinked, tandem.NotLinkedKey{ServiceID: row.ServiceID, ExternalDeviceID: row.ExternalDeviceID})
		}
	}
	for _, id := range externalIDs {
		if !found[id] {
			return tandem.Errorf(tandem.NotFound, "ignore", id, "no such device among those that are not linked on %s", service.Name).WithHint("tandem remote list --not-linked shows them")
		}
	}
	if len(along) > 0 {
		c.Along = along[0]
	}
	told := tandem.Event{ID: e.NewID(), OrganizationID: org, At: e.Clock(), Kind: "services", IDs: []string{service.ID}}
	c.Events = append(slices.Clip(c.Events), told) // no device here changed: what the service shows did
	return e.Store.Apply(ctx, org, c)
}

// Compare reads a device's remote side and puts the three values side by side, for each service it is on.
func (e *Engine) Compare(ctx context.Context, org, deviceID string) ([]tandem.Comparison, error) {
	d, err := e.Store.Device(ctx, org, deviceID)
	if err != nil {
		return nil, err
	}
	on, err := e.Store.Assignments(ctx, org, []string{d.ID})
	if err != nil {
		return nil, err
	}
	var out []tandem.Comparison
	for _, a := range on {
		service, err := e.Store.Service(ctx, org, a.ServiceID)
		if tandem.Is(err, tandem.NotFound) {
			continue // deleted
		}
		if err != nil {
			return nil, err
		}
		c := tandem.Comparison{Service: service, Assignment: a, Base: a.Base, Local: d.Shared()}
		if remote, err := e.look(ctx, org, &a); err != nil {
			c.RemoteError = err
		} else {
			c.Remote = remote
		}
		out = append(out, c)
	}
	return out, nil
}

// look reads one remote device in our words.
func (e *Engine) look(ctx context.Context, org string, a *tandem.Assignment) (*tandem.Shared, error) {
	r, err := e.session(ctx, org, a.ServiceID, tandem.RunRequest{}, true)
	if err != nil {
		return nil, err
	}
	rd, err := r.remote.Device(ctx, a.ExternalDeviceID)
	if err != nil {
		return nil, err
	}
	now := r.read(rd, r.now())
	if r.state.any() {
		if err := r.readStateOf(ctx, &now); err != nil {
			return nil, err
		}
	}
	return &now.shared, nil
}
