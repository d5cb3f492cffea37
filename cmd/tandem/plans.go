package main

import (
	"context"
	"strings"

	"tandem"
)

// PlansCmd is `tandem plans`.
type PlansCmd struct {
	List    PlansListCmd    `cmd:"" help:"List stored plans, newest first."`
	Show    PlansShowCmd    `cmd:"" help:"Show what a plan would do: how many changes of each kind, and the changes."`
	Discard PlansDiscardCmd `cmd:"" help:"Drop a saved plan that nobody will apply."`
}

// planCases look into stored plans.
type planCases interface {
	PlanChanges(ctx context.Context, org, id string, filter tandem.PlanFilter) ([]tandem.Change, int, error)
	PlanGroups(ctx context.Context, org, id string) ([]tandem.PlanGroup, error)
	DiscardPlan(ctx context.Context, org, id string) (tandem.Plan, error)
}

// PlansListCmd is `tandem plans list`.
type PlansListCmd struct {
	In
	Service string `arg:"" optional:"" help:"Of this service alone: its name or id."`
	All     bool   `help:"Used and discarded ones too."`
}

// Run lists them.
func (c *PlansListCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		names, err := s.Services(ctx, org.ID)
		if err != nil {
			return err
		}
		id := ""
		if c.Service != "" {
			v, err := s.service(ctx, org, c.Service, "its name")
			if err != nil {
				return err
			}
			id = v.ID
		}
		all, err := s.Plans(ctx, org.ID, id)
		if err != nil {
			return err
		}
		shown := []tandem.Plan{}
		for i := range all {
			if c.All || all[i].Status == tandem.PlanOpen {
				shown = append(shown, all[i])
			}
		}
		if a.out.json {
			return a.out.value(map[string]any{"plans": shown})
		}
		if len(shown) == 0 {
			a.out.printf("no plan waits; save one: tandem sync --dry-run --save\n")
			return nil
		}
		called := map[string]string{}
		for i := range names {
			called[names[i].ID] = names[i].Name
		}
		rows := make([][]string, len(shown))
		for i := range shown {
			p := &shown[i]
			rows[i] = []string{p.ID, clean(called[p.ServiceID]), string(p.Operation), string(p.Reason), string(p.Status), number(p.Rows), a.out.ago(&p.CreatedAt)}
		}
		a.out.table([]string{"id", "service", "operation", "why", "status", "changes", "created"}, rows)
		return nil
	})
}

// PlansShowCmd is `tandem plans show`.
type PlansShowCmd struct {
	In
	ID       string `arg:"" help:"The plan's id."`
	Side     string `enum:",local,remote" default:"" help:"Only changes here (local), or on the service (remote)."`
	Action   string `placeholder:"ACTION" help:"Only changes of this kind, such as create, update or delete."`
	Removals bool   `help:"Only what deletes, unlinks or recreates."`
	Field    string `placeholder:"FIELD" help:"Only changes of this field, with all that lies in it."`
	Search   string `placeholder:"TEXT" help:"Only devices with this in their name."`
	Limit    int    `default:"50" help:"How many changes, in their order."`
	Page     int    `default:"1" help:"Which page of them."`
}

// Run shows it.
func (c *PlansShowCmd) Run(ctx context.Context, a *app) error {
	if c.Limit < 1 || c.Limit > 1000 || c.Page < 1 {
		return &usageError{"--limit is between 1 and 1000, and --page at least 1", ""}
	}
	filter := tandem.PlanFilter{Side: tandem.Side(c.Side), Action: tandem.Action(c.Action), Field: tandem.Path(c.Field), Search: c.Search, Page: tandem.Page{Number: c.Page, Limit: c.Limit}}
	if c.Removals {
		filter.Removals = &c.Removals
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		plan, err := s.Plan(ctx, org.ID, c.ID)
		if err != nil {
			return err
		}
		groups, err := s.PlanGroups(ctx, org.ID, c.ID)
		if err != nil {
			return err
		}
		changes, total, err := s.PlanChanges(ctx, org.ID, c.ID, filter)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"plan": plan, "groups": nonNil(groups), "changes": nonNil(changes), "total": total})
		}
		a.showPlan(&plan, groups, changes, total)
		return nil
	})
}

// nonNil gives an empty list for none, as JSON has it.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// showPlan prints a plan with some of its changes.
func (a *app) showPlan(p *tandem.Plan, groups []tandem.PlanGroup, changes []tandem.Change, total int) {
	a.out.printf("%s is %s: %s changes, made %s\n\n", p.ID, p.Status, number(p.Rows), a.out.ago(&p.CreatedAt))
	where := map[tandem.Side]string{tandem.LocalSide: "here", tandem.RemoteSide: "on the service"}
	rows := make([][]string, len(groups))
	for i, g := range groups {
		rows[i] = []string{number(g.Count), strings.ReplaceAll(string(g.Action), "_", " "), where[g.Side], clean(string(g.Field))}
	}
	if len(rows) > 0 {
		a.out.table([]string{"changes", "what", "where", "field"}, rows)
		a.out.printf("\n")
	}
	for i := range changes {
		a.out.printf("  %s, %s: %s\n", changes[i].Action, where[changes[i].Side], changeText(&changes[i]))
	}
	if rest := total - len(changes); rest > 0 {
		a.out.printf("  %s\n", a.out.dim(number(len(changes))+" of "+number(total)+"; --page and --limit show others"))
	}
}

// PlansDiscardCmd is `tandem plans discard`.
type PlansDiscardCmd struct {
	In
	ID string `arg:"" help:"The plan's id."`
}

// Run drops it.
func (c *PlansDiscardCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		if _, err := s.DiscardPlan(ctx, org.ID, c.ID); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"id": c.ID, "discarded": true})
		}
		a.out.printf("dropped the plan %s\n", c.ID)
		return nil
	})
}
