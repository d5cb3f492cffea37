package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"tandem"
)

// queueBeat is how often a waiting run says that it is alive; after three missed beats it counts as dead.
func (e *Engine) queueBeat() time.Duration { return e.leaseTTL() / 8 }

// join finds a queued run of equal operation and scope, which has not begun to read, and waits for its end (S19).
func (e *Engine) join(ctx context.Context, org string, service *tandem.Service, req *tandem.RunRequest) (tandem.Run, bool, error) {
	if req.PlanID != "" {
		return tandem.Run{}, false, nil
	}
	queued, _, err := e.Store.Runs(ctx, org, tandem.RunFilter{ServiceID: service.ID, Status: tandem.RunQueued})
	if err != nil {
		return tandem.Run{}, false, err
	}
	for _, q := range queued {
		if q.Operation != req.Operation || q.Forced != req.Force || q.PlanID != "" || q.Reverts != "" || !e.alive(&q) || !sameScope(&q, req) {
			continue
		}
		run, err := e.wait(ctx, org, service.ID, q.ID)
		if errors.Is(err, errGivenUp) {
			continue // its process died: this request does its own
		}
		return run, err == nil, err
	}
	return tandem.Run{}, false, nil
}

// scope lists the devices that a request names, by either id.
func scope(req *tandem.RunRequest) []string {
	if len(req.ExternalIDs) == 0 {
		return req.DeviceIDs
	}
	return slices.Concat(req.DeviceIDs, req.ExternalIDs)
}

func sameScope(q *tandem.Run, req *tandem.RunRequest) bool {
	var d Details
	if err := json.Unmarshal(q.Details, &d); err != nil {
		return false
	}
	return slices.Equal(d.Scope, scope(req)) && !d.Offered && d.Create == req.CreateMissing
}

// alive reports whether a queued run's process still waits.
func (e *Engine) alive(q *tandem.Run) bool {
	var d Details
	if err := json.Unmarshal(q.Details, &d); err != nil || d.WaitingUntil == nil {
		return false
	}
	return e.Clock().Before(*d.WaitingUntil)
}

// errGivenUp says that the process of a joined run died.
var errGivenUp = errors.New("its process died")

// wait follows a run to its end; errGivenUp when its process died before that.
func (e *Engine) wait(ctx context.Context, org, service, id string) (tandem.Run, error) {
	tick := time.NewTicker(e.poll())
	defer tick.Stop()
	for {
		run, err := e.Store.Run(ctx, org, id)
		switch {
		case err != nil:
			return run, err
		case run.Status == tandem.RunInterrupted, run.Status == tandem.RunQueued && !e.alive(&run):
			return run, errGivenUp
		case run.Status.Ended():
			return run, nil
		case run.Status == tandem.RunRunning:
			if died, err := e.died(ctx, org, service, id); err != nil || died {
				return run, errors.Join(err, given(died))
			}
		}
		select {
		case <-ctx.Done():
			return run, ctx.Err()
		case <-tick.C:
		}
	}
}

func given(died bool) error {
	if died {
		return errGivenUp
	}
	return nil
}

// died reports whether a run that says it is running has no lease any more: nobody would ever end it.
func (e *Engine) died(ctx context.Context, org, service, id string) (bool, error) {
	lease, err := e.Store.AcquireLease(ctx, org, service, e.Holder+"/looking", "", e.leaseTTL())
	if tandem.Is(err, tandem.Busy) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := e.Store.ReleaseLease(ctx, org, lease); err != nil {
		return false, err
	}
	run, err := e.Store.Run(ctx, org, id)
	return err == nil && !run.Status.Ended(), err
}

func (e *Engine) poll() time.Duration { return min(250*time.Millisecond, e.leaseTTL()/10) }

func (e *Engine) leaseTTL() time.Duration {
	if e.LeaseTTL > 0 {
		return e.LeaseTTL
	}
	return DefaultLeaseTTL
}

func (e *Engine) writeTimeout() time.Duration {
	if e.WriteTimeout > 0 {
		return e.WriteTimeout
	}
	return DefaultWriteTimeout
}

// queue stores the run as waiting for its turn, with the audit of who asked for it.
func (r *run) queue(ctx context.Context, along ...tandem.Along) error {
	until := r.now().Add(3 * r.e.queueBeat())
	r.details.WaitingUntil, r.details.Offered = &until, false
	return r.putLast(ctx, nil, r.askedBy(along))
}

// takeLease waits for the service's lease and begins the run with it. The context ends with the lease.
func (r *run) takeLease(ctx context.Context) (context.Context, error) {
	ttl := r.e.leaseTTL()
	tick := time.NewTicker(r.e.poll())
	defer tick.Stop()
	beat := time.Now()
	for {
		asked := time.Now()
		lease, err := r.e.Store.AcquireLease(ctx, r.org, r.service.ID, r.e.Holder+"/"+r.record.ID, r.record.ID, ttl)
		if err == nil {
			var held context.Context
			r.lease, held = keep(ctx, r.e.Store, r.org, lease, asked, ttl, r.note)
			if err := r.begin(held); err != nil {
				return nil, errors.Join(err, r.lease.release(context.WithoutCancel(ctx)))
			}
			return held, nil
		}
		if !tandem.Is(err, tandem.Busy) {
			return nil, err
		}
		if r.phase == "" {
			r.enter("waiting for another run of this service", 0)
		}
		if time.Since(beat) > r.e.queueBeat() {
			beat = time.Now()
			if err := r.stillWaits(ctx); err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		asked2, err := r.e.Store.CancelRequested(ctx, r.org, r.record.ID)
		if err != nil {
			return nil, err
		}
		if asked2 {
			return nil, errCanceled
		}
	}
}

// stillWaits says that a waiting run's process is alive. A run that waits for any process lives by itself: its row
// belongs to whoever begins it, which may be another one already.
func (r *run) stillWaits(ctx context.Context) error {
	if r.waits {
		return r.notBegunElsewhere(ctx)
	}
	return r.queue(ctx)
}

func (r *run) notBegunElsewhere(ctx context.Context) error {
	stored, err := r.e.Store.Run(ctx, r.org, r.record.ID)
	if err == nil && stored.Status != tandem.RunQueued {
		return errBegunElsewhere
	}
	return err
}

// begin marks this run as running and what a dead holder left behind as interrupted (S24).
func (r *run) begin(ctx context.Context) error {
	if r.waits {
		if err := r.notBegunElsewhere(ctx); err != nil {
			return err
		}
	}
	now := r.now()
	r.databaseAhead = r.lease.taken().Sub(now)
	r.record.Status, r.record.StartedAt = tandem.RunRunning, &now
	r.details.WaitingUntil, r.details.Offered = nil, false
	c := &tandem.Changes{Fence: r.lease.fence()}
	for _, status := range []tandem.RunStatus{tandem.RunRunning, tandem.RunQueued} {
		runs, _, err := r.e.Store.Runs(ctx, r.org, tandem.RunFilter{ServiceID: r.service.ID, Status: status})
		if err != nil {
			return err
		}
		for _, old := range runs {
			if old.ID == r.record.ID || r.e.alive(&old) { // a session says how long it lives
				continue
			}
			old.Status, old.CompletedAt = tandem.RunInterrupted, &now
			old.Error = "its process ended in the middle; run " + r.record.ID + " settled what it had begun"
			if old.StartedAt != nil {
				old.DurationMS = max(0, now.Sub(*old.StartedAt).Milliseconds())
			}
			c.PutRuns = append(c.PutRuns, old)
		}
	}
	b, err := json.Marshal(r.details)
	if err != nil {
		return err
	}
	r.record.Details = b
	c.PutRuns = append(c.PutRuns, r.record)
	// The service as it is now, not as it was before the wait.
	if r.service, err = r.e.Store.Service(ctx, r.org, r.service.ID); err != nil {
		return err
	}
	r.settings()
	return r.e.Store.Apply(ctx, r.org, c)
}
