package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"tandem"
)

// letGo closes what a run keeps beside its rows, however it ended.
func (r *run) letGo() {
	if r.ahead != nil {
		r.ahead.stop()
	}
	// The files have no name any more: what fails here leaves nothing behind.
	_ = r.held.close()
	if r.dry != nil {
		_ = r.dry.late.close()
	}
}

// finish writes how the run ended and gives the lease back.
func (r *run) finish(asked, held context.Context, err error) (tandem.Run, error) {
	ctx := context.WithoutCancel(asked)
	if lost := context.Cause(held); held.Err() != nil && asked.Err() == nil && tandem.Is(lost, tandem.LeaseLost) {
		err = lost
	}
	r.mu.Lock()
	r.endPhase(time.Now())
	s := &r.record
	stopped := errors.Is(err, errCanceled) || asked.Err() != nil
	if errors.Is(err, errWaits) {
		err = nil
	}
	var next *tandem.Changes
	switch {
	case stopped && errors.Is(context.Cause(asked), ErrShutdown):
		err = nil
		s.Status, s.Error, next = tandem.RunInterrupted, "its process was stopped", &tandem.Changes{}
	case stopped:
		s.Status, s.Error, err = tandem.RunCanceled, "stopped at a batch border; run it again to go on", nil
	case err != nil:
		s.Status, s.Error = tandem.RunFailed, err.Error()
	case r.details.BlockedBy != "":
		s.Status, s.Error = tandem.RunBlocked, r.details.BlockedBy
	case s.Summary.Failed > 0 || s.Summary.Conflicts > 0 || (r.details.Listing != nil && !r.details.Listing.Complete):
		s.Status = tandem.RunPartial
	default:
		s.Status = tandem.RunCompleted
	}
	now := r.now()
	s.CompletedAt = &now
	if s.StartedAt != nil {
		s.DurationMS = max(0, now.Sub(*s.StartedAt).Milliseconds())
	}
	r.mu.Unlock()
	if next != nil && r.details.Request != nil {
		if successor, err := r.e.successor(ctx, r.org, s, next); err == nil {
			s.Error += "; run " + successor.ID + " goes on"
		}
	}
	mark := tandem.ServiceMark{ServiceID: r.service.ID, LastRunID: &s.ID, LastRunAt: &now}
	r.noteHealth(&mark, err)
	putErr := r.putLast(ctx, &mark, next)
	return r.record, errors.Join(err, putErr, r.lease.release(ctx))
}

// noteHealth marks the service by how the remote behaved (S30, S31).
func (r *run) noteHealth(mark *tandem.ServiceMark, err error) {
	set := func(state tandem.ServiceState, retry *time.Time) {
		reason := err.Error()
		mark.State, mark.StateReason, mark.RetryAt = &state, &reason, &retry
	}
	switch tandem.CodeOf(err) {
	case tandem.Unauthorized, tandem.Forbidden:
		set(tandem.ServiceRejected, nil)
	case tandem.Unavailable, tandem.Timeout, tandem.RateLimited, tandem.Malformed:
		var e *tandem.Error
		wait := time.Minute
		if errors.As(err, &e) && e.RetryAfter > 0 {
			wait = e.RetryAfter
		}
		at := r.now().Add(wait)
		set(tandem.ServiceDegraded, &at)
	case tandem.Mismatch: // until a person decides (S21)
		set(tandem.ServiceDegraded, nil)
	case tandem.KeyLost:
		set(tandem.ServiceLocked, nil)
	}
}

// putRecord writes the run's row.
func (r *run) putRecord(ctx context.Context, mark *tandem.ServiceMark) error {
	return r.putLast(ctx, mark, nil)
}

// putLast writes the run's row, fenced while the lease is held, with what comes after the run.
func (r *run) putLast(ctx context.Context, mark *tandem.ServiceMark, next *tandem.Changes) error {
	r.mu.Lock()
	b, err := json.Marshal(r.details)
	r.record.Details = b
	record := r.record
	r.mu.Unlock()
	if err != nil {
		return err
	}
	c := &tandem.Changes{PutRuns: []tandem.Run{record}}
	if record.Status.Ended() {
		c.Along = ended(&record)
	}
	if next != nil {
		c.PutRuns, c.Jobs, c.Audit = append(c.PutRuns, next.PutRuns...), append(c.Jobs, next.Jobs...), append(c.Audit, next.Audit...)
	}
	if mark != nil {
		c.PutServices = []tandem.ServiceMark{*mark}
		c.Fence = r.lease.fence()
	}
	err = r.e.Store.Apply(ctx, r.org, c)
	if mark != nil && tandem.Is(err, tandem.LeaseLost) {
		return nil // whoever has the lease ends this run as interrupted
	}
	return err
}

// errCanceled ends a run that someone asked to stop.
var errCanceled = errors.New("canceled")

// border is where a run may stop: between two batches.
func (r *run) border(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.dry != nil {
		return nil
	}
	asked, err := r.e.Store.CancelRequested(ctx, r.org, r.record.ID)
	if err != nil {
		return err
	}
	if asked {
		return errCanceled
	}
	return nil
}
