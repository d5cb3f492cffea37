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
