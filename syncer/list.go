package syncer

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem"
)

// batchSize is how many listed devices are merged and committed together: large enough that a
// transaction's cost is shared, small enough that memory and a stop's delay stay small.
const batchSize = 500

// listed is what a whole listing told.
type listed struct {
	proof Proof
	seen  *seen
	empty bool
	start time.Time // the remote's clock
}

// pages reads the listing ahead of its consumer.
type pages struct {
	out  chan tandem.RemotePage
	err  error
	stop context.CancelFunc
}

func (r *run) startListing(ctx context.Context) *pages {
	ctx, stop := context.WithCancel(ctx)
	p := &pages{out: make(chan tandem.RemotePage, 12), stop: stop}
	query := tandem.RemoteListing{StatePath: r.state.listingPath()}
	go func() {
		defer close(p.out)
		for page, err := range r.remote.Devices(ctx, query) {
			if err != nil {
				p.err = err
				return
			}
			select {
			case p.out <- page:
			case <-ctx.Done():
				p.err = context.Cause(ctx)
				return
			}
		}
	}()
	return p
}

// list reads the whole listing, merging and committing batch by batch while the next pages are on
// their way (S20). A listing that cannot be proven complete is read once more (S15).
func (r *run) list(ctx context.Context, w *work) (*listed, error) {
	all := &seen{}
	var began time.Time
	for attempt := 1; ; attempt++ {
		l, err := r.listOnce(ctx, w, all)
		if err != nil {
			return nil, err
		}
		if attempt == 1 {
			began = l.start
		}
		l.start = began // devices that the first of two listings showed were seen then (S8)
		r.mu.Lock()
		r.details.Listing = &l.proof
		r.mu.Unlock()
		if l.proof.Complete || attempt == 2 {
			if !l.proof.Complete {
				r.warn("the listing could not be proven complete: " + l.proof.Reason + "; nothing was deleted, unlinked, matched or created on the service")
			}
			return l, nil
		}
		all.again()
	}
}

func (r *run) listOnce(ctx context.Context, w *work, all *seen) (*listed, error) {
	src := r.ahead
	r.ahead = nil
	if src == nil {
		src = r.startListing(ctx)
	}
	defer src.stop()
	r.enter("listing", 0)
	var c census
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan []reading, 1)
	merged := make(chan []*piece, 1)
	group.Go(func() error {
		defer close(batches)
		var batch []reading
		send := func() error {
			if len(batch) == 0 {
				return nil
			}
			select {
			case batches <- batch:
				batch = nil
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		for page := range src.out {
			c.page(page)
			r.expect(page.Total)
			at := r.now()
			for _, rd := range page.Devices {
				if all.round(rd.ID) {
					c.device(rd)
				}
				if !all.add(rd.ID) {
					continue // shown twice, or merged in the first of two listings
				}
				if r.dry != nil {
					w.names.listed(rd.Name)
				}
				batch = append(batch, r.read(rd, at))
			}
			if len(batch) >= batchSize {
				if err := send(); err != nil {
					return err
				}
			}
		}
		if src.err != nil {
			return src.err
		}
		return send()
	})
	group.Go(func() error {
		defer close(merged)
		for batch := range batches {
			if err := r.border(ctx); err != nil {
				return err
			}
			if err := r.readListedState(ctx, batch); err != nil {
				return err
			}
			list, err := r.mergeBatch(ctx, w, batch)
			if err != nil {
				return err
			}
			r.advance(len(batch))
			select {
			case merged <- list:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	group.Go(func() error {
		for list := range merged {
			moved, err := r.commit(ctx, list)
			if err != nil {
				return err
			}
			if err := r.comeBack(w, list, moved); err != nil {
				return err
			}
		}
		return nil
	})
	err := group.Wait()
	if err != nil {
		return nil, err
	}
	return &listed{proof: c.proof(), seen: all, empty: c.last == 0, start: c.started}, nil
}

// comeBack leaves devices that moved, or whose creation was refused, to be read afresh (S22).
func (r *run) comeBack(w *work, list, moved []*piece) error {
	for _, p := range moved {
		if p.deviceID != "" {
			if err := w.toAttend(task{DeviceID: p.deviceID}); err != nil {
				return err
			}
		}
	}
	for _, p := range list {
		switch {
		case p.err == nil:
		case tandem.Is(p.err, tandem.Busy, tandem.Stale) && p.deviceID != "" && len(p.changes.CreateDevices)+len(p.changes.PutIntents) == 0:
			if err := w.toAttend(task{DeviceID: p.deviceID}); err != nil { // someone is at work on it
				return err
			}
		default:
			r.fail(p.subject(), p.err)
		}
	}
	return nil
}

// mergeBatch decides about a batch of listed devices.
func (r *run) mergeBatch(ctx context.Context, w *work, batch []reading) ([]*piece, error) {
	ids := make([]string, len(batch))
	for i := range batch {
		ids[i] = batch[i].device.ID
	}
	linked, err := r.e.Store.LinkedByExternal(ctx, r.org, r.service.ID, ids)
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(linked))
	for i := range linked {
		at[linked[i].Assignment.ExternalDeviceID] = i
	}
	open, err := r.openConflicts(ctx, ids, nil)
	if err != nil {
		return nil, err
	}
	var fresh []reading
	var decided []decision
	var list []*piece
	quiet := 0
	for i := range batch {
		k, known := at[batch[i].device.ID]
		if !known {
			fresh = append(fresh, batch[i])
			continue
		}
		l := linked[k]
		switch {
		case l.Assignment.Status == tandem.SyncUnlinked || !l.Assignment.SyncEnabled:
			continue
		case r.frozenByIntent(l.Device.ID):
			quiet++
			continue
		case batch[i].device.Problem != nil:
			c := about(&l)
			c.Side, c.Action = tandem.RemoteSide, tandem.ActRead
			list = append(list, r.failed(&l, c, batch[i].device.Problem))
			continue
		case l.Device.DeletedAt != nil && openAt(open[l.Assignment.ExternalDeviceID], "") != nil && r.changedThere(&l, batch[i]): // a person decides (S17), no guard
			list = append(list, &piece{deviceID: l.Device.ID, counts: tandem.Summary{Processed: 1, Successful: 1, Conflicts: 1}})
			continue
		case l.Device.DeletedAt != nil:
			if err := r.tombstone(w, &l); err != nil {
				return nil, err
			}
			continue
		}
		decided = append(decided, r.decide(l, batch[i], open[l.Assignment.ExternalDeviceID], nil))
	}
	if err := r.limitAllowed(ctx, decided); err != nil {
		return nil, err
	}
	if err := r.pauseFlapping(ctx, decided); err != nil {
		return nil, err
	}
	for i := range decided {
		d := &decided[i]
		state := r.state.observed(&d.remote)
		observed := r.observations(&d.linked.Device, &d.remote.device, state)
		if len(d.send) > 0 || d.needs {
			r.plan(w, d)
			if r.dry == nil {
				if observed != nil {
					list = append(list, &piece{deviceID: d.linked.Device.ID, changes: tandem.Changes{Observe: []tandem.Observation{*observed}}})
				}
				if err := w.toAttend(task{DeviceID: d.linked.Device.ID}); err != nil {
					return nil, err
				}
				continue
			}
		}
		p, err := r.piece(d)
		if err != nil {
			return nil, err
		}
		if r.dry != nil {
			p = r.planned(d, p)
		}
		switch {
		case p == nil && observed == nil:
			quiet++
			continue
		case p == nil:
			p = &piece{deviceID: d.linked.Device.ID}
		}
		if observed != nil {
			p.changes.Observe = append(p.changes.Observe, *observed)
		}
		p.counts.Processed++
		if p.counts.Failed == 0 {
			p.counts.Successful++
		}
		list = append(list, p)
	}
	r.quiet(quiet)
	met, err := r.meet(ctx, w, fresh, open)
	return append(list, met...), err
}

// quiet counts devices that needed nothing.
func (r *run) quiet(n int) {
	r.mu.Lock()
	r.record.Summary.Processed += n
	r.record.Summary.Successful += n
	r.mu.Unlock()
}

// plan counts what a guard looks at and, in a dry run, the names that would be there in the end.
func (r *run) plan(w *work, d *decision) {
	r.countRollout(d)
	if r.dry == nil {
		return
	}
	for _, e := range d.send {
		if to, ok := e.After.(string); ok && e.Path == "name" {
			w.names.rename(d.remote.device.Name, to)
		}
	}
}

// failed is the piece of a device that could not be done.
func (r *run) failed(l *tandem.Linked, c tandem.Change, err error) *piece {
	p := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID, counts: tandem.Summary{Processed: 1, Failed: 1}}
	if a := l.Assignment; a.Status != tandem.SyncUnlinked {
		a.Status, a.Error, a.Retries, a.UpdatedAt = tandem.SyncError, err.Error(), a.Retries+1, r.now()
		p.changes.UpdateAssignments = []tandem.Assignment{a}
	}
	p.changes.Entries = []tandem.Entry{r.failure(c, err)}
	return p
}

// openConflicts gives the open conflicts of some devices by remote id.
func (r *run) openConflicts(ctx context.Context, externalIDs, deviceIDs []string) (map[string][]tandem.Conflict, error) {
	r.mu.Lock()
	some := r.anyConflicts
	r.mu.Unlock()
	if !some {
		return nil, nil
	}
	by := map[string][]tandem.Conflict{}
	filter := tandem.ConflictFilter{ServiceID: r.service.ID, ExternalDeviceIDs: externalIDs, DeviceIDs: deviceIDs}
	filter.Limit = 1000
	for filter.Number = 1; ; filter.Number++ {
		rows, total, err := r.e.Store.Conflicts(ctx, r.org, filter)
		if err != nil {
			return nil, err
		}
		for _, c := range rows {
			by[c.ExternalDeviceID] = append(by[c.ExternalDeviceID], c)
		}
		if filter.Number*filter.Limit >= total {
			return by, nil
		}
	}
}

// letIn reports whether the service's import filters let a new remote device in (S13).
func (r *run) letIn(rd *reading) bool {
	f := &r.service.Config.Filters
	if f.Name != "" {
		if ok, err := path.Match(f.Name, rd.device.Name); err != nil || !ok {
			return false
		}
	}
	names, _ := r.words.shared(&rd.device, tandem.AllFields)
	for _, tag := range f.Tags {
		if !slices.Contains(names.Tags, tag) {
			return false
		}
	}
	return (f.Blueprint == "" || strings.EqualFold(names.Blueprint, f.Blueprint)) && (f.Cohort == "" || strings.EqualFold(names.Cohort, f.Cohort))
}
