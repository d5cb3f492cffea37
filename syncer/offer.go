package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"tandem"
)

// ErrShutdown is the cause with which a process that stops ends the contexts of its runs: they stop at a batch border
// as interrupted, and are queued again for another process.
var ErrShutdown = errors.New("the process is stopping")

// offerLife is how long a queued run waits for a process that performs it, before the next run calls it dead.
const offerLife = 24 * time.Hour

// Queue stores a run to be performed by any process, with the job that says so, in one transaction with extra.
// What is wrong with the request is said now.
func (e *Engine) Queue(ctx context.Context, org string, req tandem.RunRequest, extra ...*tandem.Changes) (tandem.Run, error) {
	r, err := e.offered(ctx, org, req)
	if err != nil {
		return tandem.Run{}, err
	}
	c := &tandem.Changes{}
	if len(extra) > 0 && extra[0] != nil {
		c = extra[0]
	}
	if err := r.offer(c); err != nil {
		return tandem.Run{}, err
	}
	return r.record, e.Store.Apply(ctx, org, c)
}

// offered makes the run that a request asks for, whichever kind it is.
func (e *Engine) offered(ctx context.Context, org string, req tandem.RunRequest) (*run, error) {
	switch {
	case req.Approves != "":
		blocked, err := e.blocked(ctx, org, req.Approves)
		if err != nil {
			return nil, err
		}
		if blocked.Reverts != "" {
			return e.reverting(ctx, org, blocked.Reverts, blocked.PlanID, req.CreatedBy, nil)
		}
		req = tandem.RunRequest{ServiceID: blocked.ServiceID, Operation: blocked.Operation, Trigger: tandem.ByHand, PlanID: blocked.PlanID, CreatedBy: req.CreatedBy}
	case req.Reverts != "":
		return e.reverting(ctx, org, req.Reverts, req.PlanID, req.CreatedBy, nil)
	}
	service, err := e.Store.Service(ctx, org, req.ServiceID)
	if err != nil {
		return nil, err
	}
	req.ServiceID = service.ID
	if err := check(&service, &req); err != nil {
		return nil, err
	}
	return e.prepare(org, service, req, nil), nil
}

// offer adds a queued run and its job to c.
func (r *run) offer(c *tandem.Changes) error {
	until := r.now().Add(offerLife)
	req := r.req
	req.Reverts = r.record.Reverts
	r.details.WaitingUntil, r.details.Offered, r.details.Request = &until, true, &req
	details, err := json.Marshal(r.details)
	if err != nil {
		return err
	}
	r.record.Status, r.record.Details = tandem.RunQueued, details
	c.PutRuns = append(c.PutRuns, r.record)
	c.Jobs = append(c.Jobs, jobOf(&r.record))
	return nil
}

// jobOf is the job of performing a run. Its trigger says whether somebody waits for it.
func jobOf(run *tandem.Run) tandem.Job {
	return tandem.Job{Kind: tandem.JobRun, OrganizationID: run.OrganizationID, Args: map[string]string{"run_id": run.ID, "trigger": string(run.Trigger)}}
}

// Perform does a queued run, once: a run that began or ended elsewhere is given as it stands. It waits for its turn
// (S19), and ends as Run does.
func (e *Engine) Perform(ctx context.Context, org, runID string, report tandem.Report) (tandem.Run, error) {
	stored, err := e.Store.Run(ctx, org, runID)
	if err != nil || stored.Status != tandem.RunQueued {
		return stored, err
	}
	req, err := requestOf(&stored)
	if err != nil {
		return stored, err
	}
	r, err := e.offered(ctx, org, req)
	if err != nil { // the service was disabled or deleted meanwhile
		return e.refuseOffered(ctx, org, stored, err)
	}
	r.report = report
	r.offeredAs(&stored, &req)
	defer r.letGo()
	held, err := r.takeLease(ctx)
	switch {
	case errors.Is(err, errBegunElsewhere):
		return e.Store.Run(ctx, org, runID)
	case err != nil && errors.Is(context.Cause(ctx), ErrShutdown):
		return stored, err // it still waits, for the next process
	case tandem.Is(err, tandem.Unavailable, tandem.Timeout, tandem.Busy, tandem.DiskFull):
		return stored, err // the database's state says nothing about the run: it is tried again
	case err != nil:
		return r.notBegun(ctx, err)
	}
	if r.record.Reverts != "" {
		return r.finish(ctx, held, r.undo(held, r.record.Reverts))
	}
	return r.finish(ctx, held, r.perform(held))
}

// offeredAs has the run go on under the stored row.
func (r *run) offeredAs(stored *tandem.Run, req *tandem.RunRequest) {
	r.record.ID, r.record.CreatedAt, r.record.CreatedBy, r.record.Trigger = stored.ID, stored.CreatedAt, stored.CreatedBy, stored.Trigger
	r.details.Request, r.waits = req, true
}

// errBegunElsewhere says that a queued run was begun, or ended, by another process meanwhile.
var errBegunElsewhere = errors.New("the run was begun elsewhere")

// refuseOffered ends a queued run that cannot be done any more.
func (e *Engine) refuseOffered(ctx context.Context, org string, run tandem.Run, why error) (tandem.Run, error) {
	if !tandem.Is(why, tandem.Invalid, tandem.NotFound, tandem.Busy) {
		return run, why
	}
	now := e.Clock().UTC()
	run.Status, run.Error, run.CompletedAt = tandem.RunFailed, why.Error(), &now
	return run, errors.Join(why, e.Store.Apply(ctx, org, &tandem.Changes{PutRuns: []tandem.Run{run}, Along: ended(&run)}))
}

// requestOf reads what a queued run was asked for.
func requestOf(run *tandem.Run) (tandem.RunRequest, error) {
	var d Details
	if err := json.Unmarshal(run.Details, &d); err != nil {
		return tandem.RunRequest{}, tandem.Errorf(tandem.Corrupt, "perform a run", run.ID, "what the run was asked for cannot be read: %w", err)
	}
	if d.Request == nil {
		return tandem.RunRequest{}, tandem.Errorf(tandem.Invalid, "perform a run", run.ID, "the run waits in another process, which will do it")
	}
	req := *d.Request
	req.Trigger, req.CreatedBy = run.Trigger, run.CreatedBy
	return req, nil
}

// Resume looks at a run that is queued or running though no process seems to be at it. A queued one gets another job;
// one that died in the middle ends interrupted, and where it had been queued another takes its place. It gives the run
// that goes on, and whether there is one. A run that is alive is left alone.
func (e *Engine) Resume(ctx context.Context, org, runID string) (next tandem.Run, ok bool, err error) {
	old, err := e.Store.Run(ctx, org, runID)
	if err != nil || old.Status.Ended() {
		return old, false, err
	}
	var d Details
	if err := json.Unmarshal(old.Details, &d); err != nil {
		return old, false, err
	}
	if old.Status == tandem.RunQueued {
		if d.Request == nil {
			return old, false, nil
		}
		c := &tandem.Changes{}
		c.Jobs = []tandem.Job{jobOf(&old)}
		return old, true, e.Store.Apply(ctx, org, c)
	}
	if d.WaitingUntil != nil && e.Clock().Before(*d.WaitingUntil) {
		return old, false, nil // a session that says how long it lives
	}
	lease, err := e.Store.AcquireLease(ctx, org, old.ServiceID, e.Holder+"/resuming", "", e.leaseTTL())
	if err != nil {
		if tandem.Is(err, tandem.Busy) {
			return old, false, nil
		}
		return old, false, err
	}
	defer func() { err = errors.Join(err, e.Store.ReleaseLease(context.WithoutCancel(ctx), org, lease)) }()
	if old, err = e.Store.Run(ctx, org, runID); err != nil || old.Status.Ended() {
		return old, false, err
	}
	now := e.Clock().UTC()
	c := &tandem.Changes{Fence: &tandem.Fence{ServiceID: old.ServiceID, Token: lease.Fence}}
	old.Status, old.Error, old.CompletedAt = tandem.RunInterrupted, "its process died; the next run settles what it had begun", &now
	service, err := e.Store.Service(ctx, org, old.ServiceID)
	switch {
	case err != nil:
		return old, false, err
	case service.DeletedAt != nil:
		old.Error = "its service was deleted meanwhile; what it had done by then stays as it is, on both sides"
	case d.Request != nil:
		successor, err := e.successor(ctx, org, &old, c)
		switch {
		case err == nil:
			next, ok = successor, true
			old.Error = "its process died; run " + next.ID + " goes on"
		case !tandem.Is(err, tandem.Invalid, tandem.NotFound):
			return old, false, err
		}
	}
	c.PutRuns = append(c.PutRuns, old)
	return next, ok, e.Store.Apply(ctx, org, c)
}

// successor adds to c a queued run that does what old was asked for.
func (e *Engine) successor(ctx context.Context, org string, old *tandem.Run, c *tandem.Changes) (tandem.Run, error) {
	req, err := requestOf(old)
	if err != nil {
		return tandem.Run{}, err
	}
	if req.PlanID != "" {
		return tandem.Run{}, tandem.Errorf(tandem.Invalid, "resume", old.ID, "a plan is used once").WithHint("make a new one")
	}
	r, err := e.offered(ctx, org, req)
	if err != nil {
		return tandem.Run{}, err
	}
	r.record.Trigger = old.Trigger
	return r.record, r.offer(c)
}

// ended is what goes along with a run that ends.
func ended(run *tandem.Run) tandem.Along {
	return tandem.Along{Jobs: []tandem.Job{{Kind: tandem.JobRunEnded, OrganizationID: run.OrganizationID, Args: map[string]string{"run_id": run.ID}}}}
}
