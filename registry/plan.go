package registry

import (
	"context"

	"tandem"
)

// PlanChanges lists a plan's changes in their order, and counts all matches.
func (r *Registry) PlanChanges(ctx context.Context, actor Actor, org, id string, filter tandem.PlanFilter) ([]tandem.Change, int, error) {
	if err := actor.may(org, ReadPlans); err != nil {
		return nil, 0, err
	}
	return r.Server.PlanChanges(ctx, org, id, filter)
}

// PlanGroups counts a plan's changes by side, action and field, the most first.
func (r *Registry) PlanGroups(ctx context.Context, actor Actor, org, id string) ([]tandem.PlanGroup, error) {
	if err := actor.may(org, ReadPlans); err != nil {
		return nil, err
	}
	return r.Server.PlanGroups(ctx, org, id)
}

// DiscardPlan drops a plan that a person saved and nobody will apply. What a run held back is discarded with the run.
func (r *Registry) DiscardPlan(ctx context.Context, actor Actor, org, id string) (tandem.Plan, error) {
	if err := actor.may(org, ApproveRuns); err != nil {
		return tandem.Plan{}, err
	}
	plan, err := r.Store.Plan(ctx, org, id)
	if err != nil {
		return plan, err
	}
	if plan.Reason != tandem.PlanSaved {
		return plan, tandem.Errorf(tandem.Invalid, "discard plan", id, "the plan holds what the run %s held back", plan.RunID).WithHint("discard the run")
	}
	return plan, r.Store.ClosePlan(ctx, org, id, tandem.PlanDiscarded, r.Clock(), r.note(actor, org, "plan.discard", thing{"plan", id, ""}, nil, nil))
}
