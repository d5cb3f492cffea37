package sync

import (
	"cmp"
	"slices"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// planView is a stored plan as it is shown.
type planView struct {
	c        *shell.Call
	l        part.Listing
	plan     tandem.Plan
	service  tandem.Service
	held     *tandem.Run // the run that left it, where one did
	usable   bool        // with the settings as they are now
	groups   []tandem.PlanGroup
	changes  []tandem.Change
	removals []tandem.Change // the first ones
	removed  int             // how many there are
	refused  int             // how many of the changes Golioth would refuse
}

// firstRemovals is how many removals are shown before all others.
const firstRemovals = 20

func showPlan(c *shell.Call) error {
	ctx := c.R.Context()
	plan, err := c.Registry().Plan(ctx, c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	v := planView{c: c, l: part.NewListing(c.Path("sync", "plans", plan.ID), c.R.URL.Query(), rows), plan: plan}
	if v.service, err = c.Registry().Service(ctx, c.Actor, c.Org.ID, plan.ServiceID); err != nil {
		return err
	}
	v.usable = usable(c, &v.service, &plan)
	if err := v.read(); err != nil {
		return err
	}
	if c.Query("part") == "rows" {
		return c.Part(planRows(v))
	}
	if plan.RunID != "" && plan.Reason != tandem.PlanSaved {
		run, err := c.Registry().Run(ctx, c.Actor, c.Org.ID, plan.RunID)
		if err == nil {
			v.held = &run
		} else if !tandem.Is(err, tandem.NotFound, tandem.Forbidden) {
			return err
		}
	}
	return c.Page(shell.Frame{Title: "Plan", Section: shell.Sync}, planPage(v))
}

// read finds the changes that the address asks for; without a filter the removals stand apart.
func (v *planView) read() error {
	c, ctx := v.c, v.c.R.Context()
	filter := tandem.PlanFilter{Side: tandem.Side(c.Query("side")), Action: tandem.Action(c.Query("action")), Field: tandem.Path(c.Query("field")),
		Search: c.Query("search"), Refused: c.Query("refused") != "", Page: tandem.Page{Number: v.l.Page, Limit: rows}}
	var err error
	if v.groups, err = c.Registry().PlanGroups(ctx, c.Actor, c.Org.ID, v.plan.ID); err != nil {
		return err
	}
	if _, v.refused, err = c.Registry().PlanChanges(ctx, c.Actor, c.Org.ID, v.plan.ID, tandem.PlanFilter{Refused: true, Page: tandem.Page{Number: 1, Limit: 1}}); err != nil {
		return err
	}
	if !v.filtered() {
		yes, no := true, false
		apart := filter
		apart.Removals, apart.Page = &yes, tandem.Page{Number: 1, Limit: firstRemovals}
		if v.removals, v.removed, err = c.Registry().PlanChanges(ctx, c.Actor, c.Org.ID, v.plan.ID, apart); err != nil {
			return err
		}
		filter.Removals = &no
	}
	if c.Query("removals") != "" {
		yes := true
		filter.Removals = &yes
	}
	v.changes, v.l.Total, err = c.Registry().PlanChanges(ctx, c.Actor, c.Org.ID, v.plan.ID, filter)
	return err
}

// startable reports whether the run that was previewed may be started as it is, and would let the settings run from then on.
func (v *planView) startable() bool {
	return v.held == nil && v.c.Query("start") != "" && v.c.May(registry.StartRuns) && v.service.IsActive && !v.c.Registry().Engine.Approved(&v.service)
}

// narrows reports whether there is more than what stands apart, so that it can be narrowed down.
func (v *planView) narrows() bool {
	return v.filtered() || v.l.Total > 0 || v.removed > len(v.removals)
}

// hopeless reports whether Golioth would refuse all that a plan would do.
func (v *planView) hopeless() bool { return v.refused > 0 && v.refused >= total(v.groups, does) }

func (v *planView) filtered() bool {
	return v.l.Filtered("side", "action", "field", "search", "removals", "refused")
}

// total counts groups that are alike in something.
func total(groups []tandem.PlanGroup, like func(tandem.PlanGroup) bool) (n int) {
	for _, g := range groups {
		if like(g) {
			n += g.Count
		}
	}
	return n
}

// tally is how many changes one side would see of one kind.
type tally struct {
	Side   tandem.Side
	Action tandem.Action
	Count  int
}

// tallies adds groups up by side and action.
func tallies(groups []tandem.PlanGroup) []tally {
	var list []tally
	for _, side := range []tandem.Side{tandem.LocalSide, tandem.RemoteSide} {
		seen := map[tandem.Action]bool{}
		for _, g := range groups {
			if g.Side == side && !seen[g.Action] {
				seen[g.Action] = true
				list = append(list, tally{side, g.Action, total(groups, func(o tandem.PlanGroup) bool { return o.Side == side && o.Action == g.Action })})
			}
		}
	}
	return list
}

// on gives a side's tallies.
func on(list []tally, side tandem.Side) []tally {
	return slices.DeleteFunc(slices.Clone(list), func(t tally) bool { return t.Side != side })
}

// actionsOf and fieldsOf give what there is to filter by.
func actionsOf(groups []tandem.PlanGroup) []part.Option {
	options := []part.Option{{Value: "", Label: "Every kind"}}
	for _, g := range groups {
		o := part.Option{Value: string(g.Action), Label: part.ActionText(g.Action)}
		if !slices.Contains(options, o) {
			options = append(options, o)
		}
	}
	return options
}

func fieldsOf(groups []tandem.PlanGroup) []part.Option {
	options := []part.Option{{Value: "", Label: "Every field"}}
	for _, g := range groups {
		o := part.Option{Value: string(g.Field), Label: part.FieldText(g.Field)}
		if g.Field != "" && !slices.Contains(options, o) {
			options = append(options, o)
		}
	}
	return options
}

// sorted puts the most first, in an order that does not change.
func sorted(list []tandem.PlanGroup) []tandem.PlanGroup {
	slices.SortFunc(list, func(a, b tandem.PlanGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Side, b.Side), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Field, b.Field))
	})
	return list
}
