package registry

import (
	"context"

	"tandem"
)

// StartRun queues a run, which a background job performs; it is given as queued. What force is about, and what
// waits for approval, need their own permissions (S11, S28).
func (r *Registry) StartRun(ctx context.Context, actor Actor, org string, req tandem.RunRequest, extra ...*tandem.Changes) (tandem.Run, error) {
	note, err := r.toStart(ctx, actor, org, &req)
	if err != nil {
		return tandem.Run{}, err
	}
	return r.Engine.Queue(ctx, org, req, r.alongside(extra, note))
}

// RunHere does a run in this process, to its end, as the command line does.
func (r *Registry) RunHere(ctx context.Context, actor Actor, org string, req tandem.RunRequest, report tandem.Report) (tandem.Run, error) {
	note, err := r.toStart(ctx, actor, org, &req)
	if err != nil {
		return tandem.Run{}, err
	}
	return r.Engine.Run(ctx, org, req, report, note)
}

// toStart refuses a run that the actor may not start, and completes the request for it.
func (r *Registry) toStart(ctx context.Context, actor Actor, org string, req *tandem.RunRequest) (tandem.Along, error) {
	if err := mayStart(actor, org, req); err != nil {
		return tandem.Along{}, err
	}
	service, err := r.Store.Service(ctx, org, req.ServiceID)
	if err != nil {
		return tandem.Along{}, err
	}
	if req.PlanID != "" { // a plan that there is not is refused now, not when its run begins
		if err := r.planOf(ctx, org, &service, req.PlanID); err != nil {
			return tandem.Along{}, err
		}
	}
	// A person's run over the whole service lets its settings run from then on (S28): not every role's may.
	if !req.Scoped() && !actor.May(org, ApproveRuns) && !r.Engine.Approved(&service) {
		return tandem.Along{}, tandem.Errorf(tandem.Forbidden, "start run", service.Name, "the service's settings were never let run, and starting a run would let them").
			WithHint("ask a manager to start the first run with these settings, or name devices")
	}
	req.ServiceID, req.Trigger, req.CreatedBy = service.ID, tandem.ByHand, actor.By()
	req.Reverts, req.Approves = "", ""
	return r.note(actor, org, "run.start", serviceThing(&service), nil, asked(req)), nil
}

// planOf refuses a plan that is not one of the service's.
func (r *Registry) planOf(ctx context.Context, org string, service *tandem.Service, id string) error {
	plan, err := r.Store.Plan(ctx, org, id)
	if err == nil && plan.ServiceID != service.ID {
		err = tandem.Errorf(tandem.NotFound, "start run", id, "%s has no such plan", service.Name).WithHint("make one with a dry run that is saved")
	}
	return err
}

// mayStart refuses a run that the actor may not start.
func mayStart(actor Actor, org string, req *tandem.RunRequest) error {
	if err := actor.may(org, StartRuns); err != nil {
		return err
	}
	if req.Force {
		if err := actor.may(org, ForceRuns); err != nil {
			return err
		}
	}
	if req.PlanID != "" {
		return actor.may(org, ApproveRuns)
	}
	return nil
}

// PreviewRun plans a run without a write and hands each change to each as it is found; with save the plan is kept,
// to be applied later by its id (S27).
func (r *Registry) PreviewRun(ctx context.Context, actor Actor, org string, req tandem.RunRequest, save bool, each func(tandem.Change) error, report tandem.Report) (tandem.Preview, error) {
	if err := mayStart(actor, org, &req); err != nil {
		return tandem.Preview{}, err
	}
	end, err := r.Previews.begin(actor)
	if err != nil {
		return tandem.Preview{}, err
	}
	defer end()
	req.CreatedBy = actor.By()
	return r.Engine.Preview(ctx, org, req, save, each, report)
}

// Runs lists runs, newest first, and counts all matches.
func (r *Registry) Runs(ctx context.Context, actor Actor, org string, filter tandem.RunFilter) ([]tandem.Run, int, error) {
	if err := actor.may(org, ReadRuns); err != nil {
		return nil, 0, err
	}
	return r.Store.Runs(ctx, org, filter)
}

// Run finds one run.
func (r *Registry) Run(ctx context.Context, actor Actor, org, id string) (tandem.Run, error) {
	if err := actor.may(org, ReadRuns); err != nil {
		return tandem.Run{}, err
	}
	return r.Store.Run(ctx, org, id)
}

// Entries lists what a run did, or what runs did to a device, oldest first unless sorted otherwise, and counts all matches.
func (r *Registry) Entries(ctx context.Context, actor Actor, org string, filter tandem.EntryFilter) ([]tandem.Entry, int, error) {
	if err := actor.may(org, ReadRuns); err != nil {
		return nil, 0, err
	}
	if filter.RunID == "" && filter.DeviceID == "" {
		return nil, 0, tandem.Errorf(tandem.Invalid, "list entries", "", "neither a run nor a device is named").WithHint("name one of them")
	}
	return r.Store.Entries(ctx, org, filter)
}

// CancelRun asks a run that is queued or under way to stop at its next batch border.
func (r *Registry) CancelRun(ctx context.Context, actor Actor, org, id string) (tandem.Run, error) {
	run, err := r.runTo(ctx, actor, org, id, CancelRuns)
	if err != nil {
		return run, err
	}
	if run.Status.Ended() {
		return run, tandem.Errorf(tandem.Invalid, "cancel run", id, "the run has ended already: %s", run.Status)
	}
	return run, r.Store.RequestCancel(ctx, org, id, r.note(actor, org, "run.cancel", runThing(&run), nil, nil))
}

// ApproveRun queues a run that lets through what a blocked one held back (S18, S28).
func (r *Registry) ApproveRun(ctx context.Context, actor Actor, org, id string, extra ...*tandem.Changes) (tandem.Run, error) {
	run, err := r.runTo(ctx, actor, org, id, ApproveRuns)
	if err != nil {
		return run, err
	}
	req := tandem.RunRequest{ServiceID: run.ServiceID, Approves: id, Trigger: tandem.ByHand, CreatedBy: actor.By()}
	return r.Engine.Queue(ctx, org, req, r.alongside(extra, r.note(actor, org, "run.approve", runThing(&run), nil, nil)))
}

// ApproveHere does it in this process, to its end.
func (r *Registry) ApproveHere(ctx context.Context, actor Actor, org, id string, report tandem.Report) (tandem.Run, error) {
	run, err := r.runTo(ctx, actor, org, id, ApproveRuns)
	if err != nil {
		return run, err
	}
	return r.Engine.Approve(ctx, org, id, actor.By(), report, r.note(actor, org, "run.approve", runThing(&run), nil, nil))
}

// runTo finds a run that the actor may do something with.
func (r *Registry) runTo(ctx context.Context, actor Actor, org, id string, p Permission) (tandem.Run, error) {
	if err := actor.may(org, p); err != nil {
		return tandem.Run{}, err
	}
	return r.Store.Run(ctx, org, id)
}

// DiscardRun drops what a blocked run held back.
func (r *Registry) DiscardRun(ctx context.Context, actor Actor, org, id string) error {
	if err := actor.may(org, ApproveRuns); err != nil {
		return err
	}
	return r.Engine.Discard(ctx, org, id, actor.By(), r.note(actor, org, "run.discard", thing{"run", id, ""}, nil, nil))
}

// RevertRun queues a run that undoes a finished one (S29).
func (r *Registry) RevertRun(ctx context.Context, actor Actor, org, id string, extra ...*tandem.Changes) (tandem.Run, error) {
	run, err := r.runTo(ctx, actor, org, id, RevertRuns)
	if err != nil {
		return run, err
	}
	req := tandem.RunRequest{ServiceID: run.ServiceID, Reverts: id, Trigger: tandem.ByHand, CreatedBy: actor.By()}
	return r.Engine.Queue(ctx, org, req, r.alongside(extra, r.note(actor, org, "run.revert", runThing(&run), nil, nil)))
}

// RevertHere does it in this process, to its end.
func (r *Registry) RevertHere(ctx context.Context, actor Actor, org, id string, report tandem.Report) (tandem.Run, error) {
	run, err := r.runTo(ctx, actor, org, id, RevertRuns)
	if err != nil {
		return run, err
	}
	return r.Engine.Revert(ctx, org, id, actor.By(), report, r.note(actor, org, "run.revert", runThing(&run), nil, nil))
}

// PreviewRevert hands each change that RevertRun would make to each.
func (r *Registry) PreviewRevert(ctx context.Context, actor Actor, org, id string, each func(tandem.Change) error) (tandem.Preview, error) {
	if err := actor.may(org, RevertRuns); err != nil {
		return tandem.Preview{}, err
	}
	end, err := r.Previews.begin(actor)
	if err != nil {
		return tandem.Preview{}, err
	}
	defer end()
	return r.Engine.PreviewRevert(ctx, org, id, each)
}

// Plans lists stored plans of a service, newest first; of all services when service is "".
func (r *Registry) Plans(ctx context.Context, actor Actor, org, service string) ([]tandem.Plan, error) {
	if err := actor.may(org, ReadPlans); err != nil {
		return nil, err
	}
	return r.Store.Plans(ctx, org, service)
}

// Plan finds one plan.
func (r *Registry) Plan(ctx context.Context, actor Actor, org, id string) (tandem.Plan, error) {
	if err := actor.may(org, ReadPlans); err != nil {
		return tandem.Plan{}, err
	}
	return r.Store.Plan(ctx, org, id)
}

// PlanRows gives a plan's changes from offset on, in order.
func (r *Registry) PlanRows(ctx context.Context, actor Actor, org, id string, offset, limit int) ([]tandem.Change, error) {
	if err := actor.may(org, ReadPlans); err != nil {
		return nil, err
	}
	return r.Store.PlanRows(ctx, org, id, offset, limit)
}

// alongside adds to what a caller wants written with a change.
func (r *Registry) alongside(extra []*tandem.Changes, note tandem.Along) *tandem.Changes {
	c := &tandem.Changes{}
	if len(extra) > 0 && extra[0] != nil {
		c = extra[0]
	}
	c.Audit = append(c.Audit, note.Audit...)
	return c
}

// asked is what the audit keeps of a request for a run.
func asked(req *tandem.RunRequest) map[string]any {
	said := map[string]any{"operation": req.Operation}
	if req.Force {
		said["force"] = true
	}
	if req.PlanID != "" {
		said["plan_id"] = req.PlanID
	}
	if n := len(req.DeviceIDs) + len(req.ExternalIDs); n > 0 {
		said["devices"] = n
	}
	if req.CreateMissing != "" {
		said["create_missing"] = req.CreateMissing
	}
	return said
}
