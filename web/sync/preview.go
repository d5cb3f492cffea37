package sync

import (
	"context"
	"time"

	"github.com/a-h/templ"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// sayEvery is how often a preview says how far it is.
const sayEvery = 500 * time.Millisecond

// preview says what a run would do.
func preview(c *shell.Call) error {
	s, err := c.Registry().Service(c.R.Context(), c.Actor, c.Org.ID, c.Value("service"))
	if err != nil {
		return err
	}
	return previewOf(c, s, asked(c, &s))
}

// planned is what a preview found, for whoever may not look at stored plans.
type planned struct {
	c       *shell.Call
	s       tandem.Service
	req     tandem.RunRequest
	summary tandem.Run
	first   []tandem.Change // without removals
	removed []tandem.Change
	total   int
	refused int
	count   map[tandem.PlanGroup]int
}

// previewOf plans a run while the page says how far it is. The plan is kept and shown on a page of its own, where the
// person may look at plans; else what it begins with is shown at once.
func previewOf(c *shell.Call, s tandem.Service, req tandem.RunRequest) error {
	if !c.May(registry.StartRuns) || req.Force && !c.May(registry.ForceRuns) {
		return tandem.Errorf(tandem.Forbidden, "preview run", s.Name, "your role does not include this").WithHint("ask a manager of %s", c.Org.Name)
	}
	save := c.May(registry.ReadPlans) && c.May(registry.ApproveRuns)
	return c.Working(shell.Frame{Title: "Preview", Section: shell.Sync}, previewHead(c, s, req), c.Path("sync"), func(ctx context.Context, say func(templ.Component)) (templ.Component, error) {
		v := planned{c: c, s: s, req: req, count: map[tandem.PlanGroup]int{}}
		var said time.Time
		found := 0
		began := c.Now()
		var phaseAt time.Time
		phase := ""
		report := func(now tandem.Progress) {
			at := c.Now()
			if now.Phase != phase {
				phase, phaseAt = now.Phase, at
			}
			if at.Sub(said) < sayEvery {
				return
			}
			said = at
			now.PhaseAt, now.At = &phaseAt, &at
			say(previewStep(now, at.Sub(began)))
		}
		p, err := c.Registry().PreviewRun(ctx, c.Actor, c.Org.ID, req, save, func(change tandem.Change) error {
			found++
			v.add(change)
			return nil
		}, report)
		if err != nil {
			return nil, err
		}
		if p.PlanID != "" {
			return shell.Onward(c.Path("sync", "plans", p.PlanID)+plain(&s, &req), "Show what it would do"), nil
		}
		v.summary, v.total = p.Run, found
		return previewed(v), nil
	})
}

// plain marks the address of a plan that a run over the whole service, as its settings say, was previewed with: starting
// that run is what lets the settings run from then on (S28), which applying a plan does not.
func plain(s *tandem.Service, req *tandem.RunRequest) string {
	if req.Force || req.CreateMissing != "" || req.Operation != tandem.Operation(s.Config.Direction) {
		return ""
	}
	return "?start=offered"
}

// mostShown bounds what is shown of a preview that is not kept.
const mostShown = 500

func (v *planned) add(c tandem.Change) {
	field, ok := c.Path.Field()
	g := tandem.PlanGroup{Side: c.Side, Action: c.Action}
	if ok {
		g.Field = tandem.Path(field.String())
	}
	v.count[g]++
	if c.Refused() {
		v.refused++
	}
	to := &v.first
	if c.Action.Removes() {
		to = &v.removed
	}
	if len(*to) < mostShown {
		*to = append(*to, c)
	}
}

// groups gives the counts as of a stored plan.
func (v *planned) groups() []tandem.PlanGroup {
	var list []tandem.PlanGroup
	for g, n := range v.count {
		g.Count = n
		list = append(list, g)
	}
	return sorted(list)
}

// devicePath gives the address of a device's page.
func devicePath(c *shell.Call) func(string) string {
	return func(id string) string { return c.Path("devices", id) }
}
