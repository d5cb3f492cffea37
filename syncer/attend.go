package syncer

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem"
	"tandem/merge"
)

// tries is how often a device that moves while it is merged is merged again (S22).
const tries = 3

// workers is how many devices are attended at once: more than the service's concurrency, which the
// budget keeps, so that a device that waits for the database leaves its place at the remote to another.
func (r *run) workers() int { return max(1, r.service.Config.Concurrency) * 3 / 2 }

// turn says which devices an attendance is for.
type turn uint8

const (
	anyButNames  turn = iota // those with a new name wait for theirs (S27)
	names                    // their turn
	withoutNames             // the new name was refused: what else there is goes without it
)

// attendAll reads afresh, merges and writes every device that has something for the remote.
func (r *run) attendAll(ctx context.Context, w *work) error {
	return r.attendSpool(ctx, w, &w.attend, "writing", anyButNames)
}

func (r *run) attendSpool(ctx context.Context, w *work, from *spool[task], phase string, turn turn) error {
	if from.count == 0 {
		return nil
	}
	r.enter(phase, from.count)
	return r.inParallel(ctx, func(ctx context.Context, c *committer, give func(func() error) error) error {
		return from.each(batchSize, func(chunk []task) error {
			if err := r.border(ctx); err != nil {
				return err
			}
			ids, counted := once(chunk)
			linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, ids)
			if err != nil {
				return err
			}
			for _, l := range linked {
				if err := give(func() error {
					defer r.advance(1)
					return r.attend(ctx, w, c, l, counted[l.Device.ID], turn)
				}); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// once gives the devices of some tasks, each once however often it came up, and which of them the run has
// counted already: a device that came up uncounted is counted when it is attended.
func once(tasks []task) (ids []string, counted map[string]bool) {
	counted = map[string]bool{}
	for _, t := range tasks {
		before, known := counted[t.DeviceID]
		if !known {
			ids = append(ids, t.DeviceID)
		}
		counted[t.DeviceID] = t.Counted && (before || !known)
	}
	return ids, counted
}

// inParallel runs what feed gives on the run's workers, with one committer behind them.
func (r *run) inParallel(ctx context.Context, feed func(ctx context.Context, c *committer, give func(func() error) error) error) error {
	// Commits outlive a cancelled run: what was written to the remote is recorded.
	c := r.startCommitter(context.WithoutCancel(ctx))
	defer c.stop()
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(r.workers() + 1)
	group.Go(func() error {
		return feed(inner, c, func(do func() error) error {
			if inner.Err() != nil {
				return context.Cause(inner)
			}
			group.Go(do)
			return nil
		})
	})
	return group.Wait()
}

// attend reads one device afresh, merges it, applies what is for here and writes what is for there (S23).
func (r *run) attend(ctx context.Context, w *work, c *committer, l tandem.Linked, counted bool, turn turn) error {
	for try := 1; ; try++ {
		switch { // asked each time: a person may have unlinked or deleted it meanwhile
		case l.Assignment.Status == tandem.SyncUnlinked || !l.Assignment.SyncEnabled || r.frozenByIntent(l.Device.ID):
			return nil
		case l.Device.DeletedAt != nil:
			return r.tombstone(w, &l)
		}
		err := r.attendOnce(ctx, w, c, &l, counted, turn)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errMoved) && try < tries:
			again, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, []string{l.Device.ID})
			if err != nil || len(again) == 0 {
				return err
			}
			l = again[0]
		case errors.Is(err, errMoved):
			r.left(ctx, &l, counted)
			return nil
		default:
			return r.perDevice(ctx, &l, err, counted)
		}
	}
}

// left records a device that kept moving (S22).
func (r *run) left(ctx context.Context, l *tandem.Linked, counted bool) {
	change := about(l)
	change.Side, change.Action = tandem.LocalSide, tandem.ActUpdate
	e := r.entry(change, tandem.OutcomeMoved)
	e.Error = "it kept changing while it was merged; the next run takes it up again"
	p := &piece{changes: tandem.Changes{Entries: []tandem.Entry{e}}, counts: tandem.Summary{Failed: 1}}
	if !counted {
		p.counts.Processed = 1
	}
	if err := r.tell(ctx, p); err != nil {
		r.warn(l.Device.Name + ": " + err.Error())
	}
}

// perDevice keeps a failure with its device, unless it concerns the whole run (S26).
func (r *run) perDevice(ctx context.Context, l *tandem.Linked, err error, counted bool) error {
	if ctx.Err() != nil || fatal(err) {
		return err
	}
	change := about(l)
	change.Side, change.Action = tandem.RemoteSide, tandem.ActUpdate
	p := r.failed(l, change, err)
	if counted {
		p.counts.Processed = 0
	}
	return r.tell(ctx, p)
}

// fatal reports whether an error ends the run instead of failing one device: the key, the lease, the
// database, or a remote that is away altogether.
func fatal(err error) bool {
	return tandem.Is(err, tandem.Unauthorized, tandem.Forbidden, tandem.LeaseLost, tandem.DiskFull, tandem.Corrupt, tandem.Schema,
		tandem.Internal, tandem.Mismatch) || errors.Is(err, context.Canceled) || errors.Is(err, errCanceled) || errors.Is(err, tandem.ErrBreakerOpen)
}

// attendOnce is one fresh read, one merge and at most one write.
func (r *run) attendOnce(ctx context.Context, w *work, c *committer, l *tandem.Linked, counted bool, turn turn) error {
	rd, err := r.readDevice(ctx, l)
	if tandem.Is(err, tandem.NotFound) {
		return r.vanished(ctx, w, c, *l, counted)
	}
	if err != nil {
		return err
	}
	d, err := r.decideOne(ctx, l, rd)
	if err != nil {
		return err
	}
	switch named := slices.ContainsFunc(d.send, isName); {
	case turn == withoutNames:
		if d.send = slices.DeleteFunc(slices.Clone(d.send), isName); len(d.send) == 0 {
			return nil
		}
	case turn == anyButNames && named && r.dry == nil:
		return w.toRename(task{DeviceID: l.Device.ID, Counted: counted})
	}
	p, err := r.piece(d)
	if err != nil {
		return err
	}
	if r.dry != nil {
		p = r.planned(d, p)
	}
	if p == nil {
		p = &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID}
	}
	if !counted {
		p.counts.Processed = 1
		if p.counts.Failed == 0 {
			p.counts.Successful = 1
		}
	}
	if o := r.observations(&l.Device, &rd.device, r.state.observed(&rd)); o != nil {
		p.changes.Observe = append(p.changes.Observe, *o)
	}
	r.stamp(p, l, &rd)
	if len(d.send) == 0 || r.dry != nil {
		return c.put(p)
	}
	return r.send(ctx, w, c, d, p)
}

// decideOne merges one device that was read afresh. What waits for a person, what a plan does not hold,
// what keeps changing back and what a guard holds back is not sent.
func (r *run) decideOne(ctx context.Context, l *tandem.Linked, rd reading) (*decision, error) {
	open, err := r.openConflicts(ctx, []string{l.Assignment.ExternalDeviceID}, []string{l.Device.ID})
	if err != nil {
		return nil, err
	}
	list := []decision{r.decide(*l, rd, open[l.Assignment.ExternalDeviceID], nil)}
	if err := r.limitAllowed(ctx, list); err != nil {
		return nil, err
	}
	if err := r.pauseFlapping(ctx, list); err != nil {
		return nil, err
	}
	return &list[0], r.guardOne(ctx, &list[0])
}

func isName(e merge.Edit) bool { return e.Path == "name" }

// stamp notes on the assignment that its state was read, where that decides whose turn is next (S20).
func (r *run) stamp(p *piece, l *tandem.Linked, rd *reading) {
	if !rd.state || r.details.StateLeft == 0 && l.Assignment.StateReadAt != nil {
		return
	}
	at := rd.at
	for i := range p.changes.UpdateAssignments {
		p.changes.UpdateAssignments[i].StateReadAt = &at
		return
	}
	a := l.Assignment
	a.StateReadAt, a.UpdatedAt = &at, r.now()
	p.changes.UpdateAssignments = []tandem.Assignment{a}
}

// send stores the intent with the local half, writes to the remote, and records what its reply shows (S23, S24).
func (r *run) send(ctx context.Context, w *work, c *committer, d *decision, p *piece) error {
	l := d.linked
	in := r.intent(&l, tandem.IntentUpdate, d.send)
	if parked, is := r.parkedAs(l.Assignment.ExternalDeviceID); is {
		in = renewed(parked, in)
	}
	p.changes.PutIntents = []tandem.Intent{in}
	if len(p.changes.UpdateAssignments) == 0 {
		// The intent is the device's lock: nobody else's merge of the same base may commit beside it.
		a := l.Assignment
		a.UpdatedAt = r.now()
		p.changes.UpdateAssignments = []tandem.Assignment{a}
	}
	if err := c.put(p); err != nil {
		if tandem.Is(err, tandem.Busy) {
			return errMoved
		}
		return err
	}
	l.Assignment = p.changes.UpdateAssignments[0]
	l.Assignment.Version++
	if len(p.changes.UpdateDevices) > 0 {
		l.Device = p.changes.UpdateDevices[0]
		l.Device.Version++
	}
	open := d.open
	if len(p.changes.PutConflicts) > 0 {
		var err error
		if open, err = r.e.openOf(context.WithoutCancel(ctx), r.org, r.service.ID, &l); err != nil {
			return err
		}
	}
	rd, err := r.write(ctx, &l, &in, d.remote)
	after := writeResult{linked: l, intent: in, settled: d.result.Conflicts, open: open, counted: true}
	switch {
	case err == nil:
		after.reply, after.answered = &rd, true
	case refused(err):
		after.err = err
	case tandem.Is(err, tandem.LeaseLost) || errors.Is(err, errCanceled):
		return err // nothing was sent; recovery drops the intent
	default:
		// Its effect is unknown: read back, never repeat (S23).
		return r.readBack(ctx, w, c, after, err)
	}
	return r.conclude(ctx, w, c, after)
}

// refused reports whether the remote certainly did not do it.
func refused(err error) bool {
	return tandem.Is(err, tandem.Invalid, tandem.NotFound, tandem.Exists, tandem.Stale, tandem.Unauthorized, tandem.Forbidden, tandem.RateLimited)
}

// write sends an intent's changes to the remote and gives the device as it is then.
func (r *run) write(ctx context.Context, l *tandem.Linked, in *tandem.Intent, before reading) (reading, error) {
	patch, state, err := r.patch(ctx, in, before)
	if err != nil {
		return before, err
	}
	ctx, cancel := r.writing(ctx, in)
	defer cancel()
	after := before
	if patch != nil {
		if err := r.mayWrite(ctx, in); err != nil {
			return before, err
		}
		rd, err := r.remote.UpdateDevice(ctx, in.ExternalDeviceID, *patch)
		if err != nil {
			return before, err
		}
		after = r.read(rd, r.now())
		after.keepState(&before)
	}
	for i, leaf := range state {
		err := r.mayWrite(ctx, in)
		switch {
		case err != nil:
		case leaf.remove:
			err = r.remote.DeleteState(ctx, in.ExternalDeviceID, leaf.path)
		default:
			err = r.remote.SetState(ctx, in.ExternalDeviceID, leaf.path, leaf.value)
		}
		if err != nil {
			if (i > 0 || patch != nil) && refused(err) {
				// A part of it holds: only reading back tells which.
				return after, tandem.Errorf(tandem.Timeout, "sync", l.Device.Name, "only a part of the change was taken: %w", err)
			}
			return after, err
		}
		after = after.withLeaf(leaf)
	}
	return after, nil
}

// writeResult is a remote write and what is known of its effect.
type writeResult struct {
	linked  tandem.Linked
	intent  tandem.Intent
	reply   *reading         // the device after it; nil when it was refused
	err     error            // why it was refused, or why it may not have taken effect
	settled []merge.Conflict // conflicts that a strategy settled by this write
	open    []tandem.Conflict
	counted bool
	// answered says that the service answered yes: what it did not do then, it does not do.
	answered bool
}

// readBack finds out what a write of unknown effect did, once it has certainly ended.
func (r *run) readBack(ctx context.Context, w *work, c *committer, after writeResult, cause error) error {
	quiet := context.WithoutCancel(ctx)
	rd, err := r.readDevice(quiet, &after.linked)
	switch {
	case tandem.Is(err, tandem.NotFound):
		after.err = err
	case err != nil:
		return cause // the intent stays open: the next run settles it (S24)
	default:
		after.reply, after.err = &rd, cause
		if tandem.Is(cause, tandem.Timeout) && !r.showsEffect(&after) {
			// Nobody answered, so that it may still be under way: wait its timeout out and look once more.
			if err := sleep(quiet, r.e.patience(after.intent.CreatedAt)); err != nil {
				return err
			}
			if rd, err = r.readDevice(quiet, &after.linked); err != nil {
				return cause
			}
			after.reply = &rd
		}
	}
	return r.conclude(ctx, w, c, after)
}

// patience is how long a write begun at that time may still take effect.
func (e *Engine) patience(begun time.Time) time.Duration {
	return max(0, e.writeTimeout()-max(0, e.Clock().Sub(begun)))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
