package syncer

import (
	"context"
	"crypto/sha256"
	"errors"

	"tandem"
)

// errWaits ends a run that waits for a person's approval.
var errWaits = errors.New("waits for approval")

// approval lets a run go on, or leaves its plan for a person (S28): a run that a person starts is the
// approval of the settings; a scheduled one with settings that nobody has seen at work waits.
func (r *run) approval(ctx context.Context) error {
	if r.dry != nil || Approved(&r.service) {
		return nil
	}
	mark := Fingerprint(&r.service.Config)
	if r.req.Trigger == tandem.ByHand {
		if !r.approves() {
			return nil
		}
		r.service.ApprovedConfig = mark
		_, err := r.commit(ctx, []*piece{{changes: tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: r.service.ID, ApprovedConfig: &mark}}}}})
		return err
	}
	if err := r.discardOlder(ctx, tandem.PlanApproval); err != nil {
		return err
	}
	req := r.req
	p, err := r.e.preview(ctx, r.org, r.service, req, true, tandem.Plan{Reason: tandem.PlanApproval, RunID: r.record.ID}, nil, nil)
	if err != nil {
		return err
	}
	r.record.PlanID = p.PlanID
	r.block("the service's settings were never let run by a person; look at the plan and approve it")
	return errWaits
}

// approves reports whether whoever let this run happen has let the settings happen: with a run that does
// what they say, or with the plan of one. What covers less or does otherwise tells nothing of the rest.
func (r *run) approves() bool {
	if r.allow != nil {
		return r.allow.plan.Reason == tandem.PlanApproval
	}
	return !r.req.Scoped() && r.req.CreateMissing == "" && !r.req.Force && r.req.Operation == tandem.Operation(r.service.Config.Direction)
}

// discardOlder drops the open plans that the one about to be made stands in for: a person decides on the newest.
func (r *run) discardOlder(ctx context.Context, reason tandem.PlanReason) error {
	older, err := r.e.Store.Plans(ctx, r.org, r.service.ID)
	if err != nil {
		return err
	}
	for _, p := range older {
		if p.Reason == reason && p.Status == tandem.PlanOpen {
			if err := r.e.Store.ClosePlan(ctx, r.org, p.ID, tandem.PlanDiscarded, r.now()); err != nil && !tandem.Is(err, tandem.Stale) {
				return err
			}
		}
	}
	return nil
}

// storeHeld keeps what a guard held back as a plan that a person lets through or discards (S18).
func (r *run) storeHeld(ctx context.Context) error {
	if r.dry != nil || r.held.count == 0 {
		return r.held.close()
	}
	if err := r.discardOlder(ctx, tandem.PlanGuarded); err != nil {
		return err
	}
	plan := tandem.Plan{ID: r.e.NewID(), OrganizationID: r.org, ServiceID: r.service.ID, RunID: r.record.ID, Operation: r.record.Operation,
		Reason: tandem.PlanGuarded, Status: tandem.PlanOpen, ConfigPrint: Fingerprint(&r.service.Config), CreatedAt: r.now()}
	if err := r.e.Store.CreatePlan(ctx, r.org, plan); err != nil {
		return err
	}
	out := &planWriter{store: r.e.Store, org: r.org, plan: plan.ID, sum: sha256.New()}
	err := r.held.each(batchSize, func(chunk []tandem.Change) error {
		for _, c := range chunk {
			if err := out.add(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = out.seal(ctx)
	}
	r.mu.Lock()
	r.record.PlanID, r.details.Held = plan.ID, r.held.count
	r.mu.Unlock()
	return errors.Join(err, r.held.close())
}

// Approve lets through what a blocked run held back, as a new run.
func (e *Engine) Approve(ctx context.Context, org, runID, by string, report tandem.Report, along ...tandem.Along) (tandem.Run, error) {
	blocked, err := e.blocked(ctx, org, runID)
	if err != nil {
		return tandem.Run{}, err
	}
	if blocked.Reverts != "" {
		return e.revert(ctx, org, blocked.Reverts, blocked.PlanID, by, report, along)
	}
	return e.Run(ctx, org, tandem.RunRequest{ServiceID: blocked.ServiceID, Operation: blocked.Operation, Trigger: tandem.ByHand, PlanID: blocked.PlanID, CreatedBy: by}, report, along...)
}

// Discard drops what a blocked run held back. What caused it is still there: the next run holds it back again.
func (e *Engine) Discard(ctx context.Context, org, runID, by string, along ...tandem.Along) error {
	blocked, err := e.blocked(ctx, org, runID)
	if err != nil {
		return err
	}
	return e.Store.ClosePlan(ctx, org, blocked.PlanID, tandem.PlanDiscarded, e.Clock().UTC(), along...)
}

func (e *Engine) blocked(ctx context.Context, org, runID string) (tandem.Run, error) {
	run, err := e.Store.Run(ctx, org, runID)
	if err != nil {
		return run, err
	}
	if run.Status != tandem.RunBlocked || run.PlanID == "" {
		return run, tandem.Errorf(tandem.Invalid, "approve", runID, "the run is %s: nothing in it waits for a person", run.Status).WithHint("tandem runs list shows the blocked ones")
	}
	return run, nil
}

// tidy ends a run over the whole service: what the listing told about devices that are not linked,
// and the renames that every device has followed now.
func (r *run) tidy(ctx context.Context, w *work, l *listed) error {
	if r.dry != nil {
		return r.showLate(w)
	}
	if err := r.nameLeftOut(ctx); err != nil {
		return err
	}
	if !l.proof.Complete {
		return nil
	}
	p := &piece{}
	if !l.start.IsZero() {
		p.changes.PutServices = []tandem.ServiceMark{{ServiceID: r.service.ID, LastListedAt: &l.start}}
	}
	r.mu.Lock()
	failed := r.record.Summary.Failed
	r.mu.Unlock()
	if r.req.Operation != tandem.OpExport && failed == 0 {
		p.changes.PutEntities = r.words.settled()
	}
	if err := r.forget(ctx, p, l); err != nil {
		return err
	}
	_, err := r.commit(ctx, []*piece{p})
	return err
}

// forget drops what is kept of remote devices that are gone or linked now, and closes the open matches of the gone.
func (r *run) forget(ctx context.Context, p *piece, l *listed) error {
	if r.anyNotLinked {
		filter := tandem.NotLinkedFilter{Ignored: true}
		filter.Limit = 1000
		for filter.Number = 1; ; filter.Number++ {
			rows, total, err := r.e.Store.NotLinked(ctx, r.org, r.service.ID, filter)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if !l.seen.has(row.ExternalDeviceID) {
					p.changes.DropNotLinked = append(p.changes.DropNotLinked, tandem.NotLinkedKey{ServiceID: r.service.ID, ExternalDeviceID: row.ExternalDeviceID})
				}
			}
			if filter.Number*filter.Limit >= total {
				break
			}
		}
	}
	if !r.anyConflicts {
		return nil
	}
	rows, _, err := r.e.Store.Conflicts(ctx, r.org, tandem.ConflictFilter{ServiceID: r.service.ID, Type: tandem.AmbiguousMatch, Page: tandem.Page{Limit: 1000}})
	for _, c := range rows {
		if !l.seen.has(c.ExternalDeviceID) {
			p = r.close(p, []tandem.Conflict{c}, tandem.ConflictSuperseded, "the remote device is gone")
		}
	}
	return err
}
