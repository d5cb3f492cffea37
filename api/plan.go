package api

import (
	"context"
	"net/http"

	"tandem"
)

// plans registers the stored plans.
func (a *API) plans() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Service string `query:"service" maxLength:"200" doc:"Of this service, by id or name."`
		Status  string `query:"status" enum:"open,used,discarded" doc:"With this status."`
	}
	type planList struct {
		Plans      []tandem.Plan     `json:"plans"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("plans-list", http.MethodGet, "/api/v1/plans", "plans", "List stored plans, newest first"),
		func(ctx context.Context, in *listInput) (*body[planList], error) {
			c := callerOf(ctx)
			service, err := a.serviceID(ctx, c, in.Service)
			if err != nil {
				return nil, err
			}
			all, err := a.options.Registry.Plans(ctx, c.actor, c.org, service)
			if err != nil {
				return nil, err
			}
			plans := []tandem.Plan{}
			for i := range all {
				if in.Status == "" || string(all[i].Status) == in.Status {
					plans = append(plans, all[i])
				}
			}
			return with(planList{paged(plans, in.Listing), in.pagination(len(plans))}, nil)
		})

	handle(a, route("plans-show", http.MethodGet, "/api/v1/plans/{id}", "plans", "Show a stored plan"),
		func(ctx context.Context, in *ByID) (*body[tandem.Plan], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.Plan(ctx, c.actor, c.org, in.ID))
		})

	type rowsInput struct {
		ByID
		Listing
		Side     tandem.Side   `query:"side" enum:"local,remote" doc:"Of this side."`
		Action   tandem.Action `query:"action" maxLength:"40" doc:"Such as create, update or delete."`
		Removals string        `query:"removals" enum:"true,false" doc:"Only what removes, or only what does not."`
		Refused  string        `query:"refused" enum:"true" doc:"Only what the service would refuse."`
		Field    tandem.Path   `query:"field" maxLength:"300" doc:"Of this field, with all that lies in it."`
		Search   string        `query:"search" maxLength:"200" doc:"Part of the device's name."`
	}
	type planRowList struct {
		Rows       []tandem.Change   `json:"rows"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("plan-rows-list", http.MethodGet, "/api/v1/plans/{id}/rows", "plans", "List a plan's changes, in their order"),
		func(ctx context.Context, in *rowsInput) (*body[planRowList], error) {
			c := callerOf(ctx)
			if _, err := a.options.Registry.Plan(ctx, c.actor, c.org, in.ID); err != nil {
				return nil, err
			}
			filter := tandem.PlanFilter{Side: in.Side, Action: in.Action, Field: in.Field, Search: in.Search, Refused: in.Refused != "", Page: in.page()}
			if in.Removals != "" {
				removals := in.Removals == "true"
				filter.Removals = &removals
			}
			rows, total, err := a.options.Registry.PlanChanges(ctx, c.actor, c.org, in.ID, filter)
			return with(planRowList{list(rows), in.pagination(total)}, err)
		})

	type planGroupList struct {
		Groups []tandem.PlanGroup `json:"groups"`
	}
	handle(a, route("plan-groups-list", http.MethodGet, "/api/v1/plans/{id}/groups", "plans", "Count a plan's changes by side, action and field, the most first"),
		func(ctx context.Context, in *ByID) (*body[planGroupList], error) {
			c := callerOf(ctx)
			if _, err := a.options.Registry.Plan(ctx, c.actor, c.org, in.ID); err != nil {
				return nil, err
			}
			groups, err := a.options.Registry.PlanGroups(ctx, c.actor, c.org, in.ID)
			return with(planGroupList{list(groups)}, err)
		})

	handle(a, describing(route("plans-discard", http.MethodPost, "/api/v1/plans/{id}/discard", "plans", "Drop a saved plan that nobody will apply"),
		"What a run held back is discarded with the run."),
		func(ctx context.Context, in *ByID) (*body[tandem.Plan], error) {
			c := callerOf(ctx)
			if _, err := a.options.Registry.DiscardPlan(ctx, c.actor, c.org, in.ID); err != nil {
				return nil, err
			}
			return with(a.options.Registry.Plan(ctx, c.actor, c.org, in.ID))
		})
}
