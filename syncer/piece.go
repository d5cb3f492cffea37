package syncer

import (
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"slices"

	"tandem"
)

// piece is what one device adds to a transaction, and what it does to the run's counters once that holds.
type piece struct {
	deviceID     string
	assignmentID string
	changes      tandem.Changes
	counts       tandem.Summary
	pending      []string      // conflicts that wait for a person: each counts once in a run, however often it comes back to the device
	device       tandem.Device // of a create
	err          error         // why it could not be written, when it alone was refused
	done         bool          // it is committed
}

// waits notes a conflict that is left to a person.
func (p *piece) waits(externalID string, path tandem.Path) {
	p.pending = append(p.pending, externalID+"\x00"+string(path))
}

// count gives the run's counters with the pieces in them, and the conflicts that they met first. Call it with r.mu held.
func (r *run) count(batch []*piece) (tandem.Summary, map[uint64]bool) {
	sum, met := r.record.Summary, map[uint64]bool{}
	for _, p := range batch {
		sum = addCounts(sum, p.counts)
		for _, key := range p.pending {
			if h := maphash.String(r.metSeed, key); !r.met[h] {
				met[h] = true
			}
		}
	}
	sum.Conflicts += len(met)
	return sum, met
}

// joinChanges adds one piece's writes to a transaction's.
func joinChanges(into, from *tandem.Changes) {
	into.CreateDevices = append(into.CreateDevices, from.CreateDevices...)
	into.UpdateDevices = append(into.UpdateDevices, from.UpdateDevices...)
	into.Observe = append(into.Observe, from.Observe...)
	into.CreateAssignments = append(into.CreateAssignments, from.CreateAssignments...)
	into.UpdateAssignments = append(into.UpdateAssignments, from.UpdateAssignments...)
	into.PutIntents = append(into.PutIntents, from.PutIntents...)
	into.DropIntents = append(into.DropIntents, from.DropIntents...)
	into.PutConflicts = append(into.PutConflicts, from.PutConflicts...)
	into.Entries = append(into.Entries, from.Entries...)
	into.PutNotLinked = append(into.PutNotLinked, from.PutNotLinked...)
	into.DropNotLinked = append(into.DropNotLinked, from.DropNotLinked...)
	into.PutEntities = append(into.PutEntities, from.PutEntities...)
	into.PutServices = append(into.PutServices, from.PutServices...)
}

func addCounts(a, b tandem.Summary) tandem.Summary {
	a.Processed += b.Processed
	a.Successful += b.Successful
	a.Failed += b.Failed
	a.Conflicts += b.Conflicts
	a.Local = tandem.Counts{Created: a.Local.Created + b.Local.Created, Updated: a.Local.Updated + b.Local.Updated, Deleted: a.Local.Deleted + b.Local.Deleted}
	a.Remote = tandem.Counts{Created: a.Remote.Created + b.Remote.Created, Updated: a.Remote.Updated + b.Remote.Updated, Deleted: a.Remote.Deleted + b.Remote.Deleted}
	return a
}

// commit writes the pieces, their entries and the run's counters in one transaction (S22). What was
// changed by someone else meanwhile is given back as moved, the rest is written without it; a piece
// that the store refuses alone carries the reason in err. A dry run hands the changes on instead.
func (r *run) commit(ctx context.Context, batch []*piece) (moved []*piece, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	r.commits.Lock()
	defer r.commits.Unlock()
	if r.dry != nil {
		return nil, r.show(batch)
	}
	if beginsPlan(batch) {
		if err := r.usePlan(ctx); err != nil {
			return nil, err
		}
	}
	for len(batch) > 0 {
		err := r.apply(ctx, batch)
		var m *tandem.MovedError
		switch {
		case err == nil:
			return moved, nil
		case errors.As(err, &m):
			stay, went := split(batch, m)
			if len(went) == 0 {
				return moved, err
			}
			batch, moved = stay, append(moved, went...)
		case rowRefused(err) && len(batch) > 1:
			for _, p := range batch {
				switch err := r.apply(ctx, []*piece{p}); {
				case errors.As(err, &m):
					moved = append(moved, p)
				case rowRefused(err):
					p.err = err
				case err != nil:
					return moved, err // those before it are done
				}
			}
			return moved, nil
		case rowRefused(err):
			batch[0].err = err
			return moved, nil
		default:
			return moved, err
		}
	}
	return moved, nil
}

// rowRefused reports whether the store refuses what one piece writes, so that the others go without it (S26).
func rowRefused(err error) bool {
	return tandem.Is(err, tandem.Exists, tandem.Busy, tandem.Stale, tandem.Invalid, tandem.NotFound, tandem.Malformed)
}

// commitOne commits one piece; the error is errMoved where someone else changed its device meanwhile.
func (r *run) commitOne(ctx context.Context, p *piece) error {
	moved, err := r.commit(ctx, []*piece{p})
	if err == nil && len(moved) > 0 {
		err = errMoved
	}
	if err == nil {
		err = p.err
	}
	return err
}

// tell commits a piece that tells of a failure: without the assignment's row where someone else just
// changed that, and as a warning where the store keeps nothing of it.
func (r *run) tell(ctx context.Context, p *piece) error {
	ctx = context.WithoutCancel(ctx)
	out := func(err error) bool { return errors.Is(err, errMoved) || rowRefused(err) }
	err := r.commitOne(ctx, p)
	if out(err) && len(p.changes.UpdateAssignments) > 0 {
		p.changes.UpdateAssignments, p.err = nil, nil
		err = r.commitOne(ctx, p)
	}
	if !out(err) {
		return err
	}
	r.mu.Lock()
	r.record.Summary = addCounts(r.record.Summary, p.counts)
	r.mu.Unlock()
	for _, e := range p.changes.Entries {
		r.warn(e.DeviceName + " " + e.ExternalDeviceID + ": " + e.Error + " (not kept as an entry: " + err.Error() + ")")
	}
	return nil
}

// subject gives the change that a piece is most about.
func (p *piece) subject() tandem.Change {
	for _, e := range p.changes.Entries {
		if e.Outcome == tandem.OutcomeDone {
			return e.Change
		}
	}
	for _, in := range p.changes.PutIntents {
		return in.Changes[0]
	}
	return tandem.Change{Side: tandem.LocalSide, Action: tandem.ActUpdate, DeviceID: p.deviceID}
}

// apply is one transaction.
func (r *run) apply(ctx context.Context, batch []*piece) error {
	c := &tandem.Changes{}
	for _, p := range batch {
		joinChanges(c, &p.changes)
	}
	if r.lease != nil {
		c.Fence = r.lease.fence()
	}
	r.mu.Lock()
	record := r.record
	record.Summary, _ = r.count(batch)
	r.mu.Unlock()
	c.PutRuns = append(c.PutRuns, record)
	if err := r.e.Store.Apply(ctx, r.org, c); err != nil {
		return err
	}
	r.mu.Lock()
	sum, met := r.count(batch) // others may have counted meanwhile
	r.record.Summary = sum
	maps.Copy(r.met, met)
	for _, p := range batch {
		r.anyConflicts = r.anyConflicts || len(p.changes.PutConflicts) > 0
	}
	r.mu.Unlock()
	for _, p := range batch {
		for _, e := range p.changes.Entries {
			if r.allow != nil {
				r.allow.told(&e.Change)
			}
			if e.Outcome == tandem.OutcomeHeld && doable(&e.Change) {
				if err := r.held.add(e.Change); err != nil {
					return err
				}
			}
			if e.Action == tandem.ActDrift {
				r.mu.Lock()
				r.details.Drift++
				r.mu.Unlock()
			}
		}
	}
	for _, p := range batch {
		p.done = true
	}
	return nil
}

// split parts the batch into what may be written and what moved.
func split(batch []*piece, m *tandem.MovedError) (stay, went []*piece) {
	for _, p := range batch {
		touched := slices.Contains(m.Devices, p.deviceID) || slices.Contains(m.Assignments, p.assignmentID)
		for _, c := range p.changes.PutConflicts {
			touched = touched || slices.Contains(m.Conflicts, c.ID)
		}
		if touched {
			went = append(went, p)
		} else {
			stay = append(stay, p)
		}
	}
	return stay, went
}

// committer joins the pieces that many workers hand in at about the same time into one transaction.
type committer struct {
	r     *run
	queue chan handed
	done  chan struct{}
}

type handed struct {
	p     *piece
	reply chan error
}

// errMoved tells a worker that its device was changed by someone else meanwhile: read and merge again.
var errMoved = errors.New("moved")

func (r *run) startCommitter(ctx context.Context) *committer {
	c := &committer{r: r, queue: make(chan handed, 256), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for first := range c.queue {
			batch := []handed{first}
		gather:
			for len(batch) < 256 {
				select {
				case next, open := <-c.queue:
					if !open {
						break gather
					}
					batch = append(batch, next)
				default:
					break gather
				}
			}
			c.write(ctx, batch)
		}
	}()
	return c
}

func (c *committer) write(ctx context.Context, batch []handed) {
	list := make([]*piece, len(batch))
	for i, h := range batch {
		list[i] = h.p
	}
	moved, err := c.r.commit(ctx, list)
	for _, h := range batch {
		switch {
		case slices.Contains(moved, h.p):
			h.reply <- errMoved
		case h.p.err != nil:
			h.reply <- h.p.err
		case !h.p.done:
			h.reply <- err // nil in a dry run
		default:
			h.reply <- nil
		}
	}
}

// put hands a piece in and waits until it is committed, moved or refused.
func (c *committer) put(p *piece) error {
	reply := make(chan error, 1)
	c.queue <- handed{p: p, reply: reply}
	return <-reply
}

func (c *committer) stop() {
	close(c.queue)
	<-c.done
}
