package sync

import (
	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// rows is how many a page of a plan has; services how many services the page shows at once.
const (
	rows     = 50
	services = 20
)

// Register adds the pages.
func Register(s *shell.Site) {
	s.Handle("GET /sync", list)
	s.Handle("POST /sync/{service}/preview", preview)
	s.Handle("POST /sync/{service}/start", start)
	s.Handle("GET /sync/plans/{id}", showPlan)
	s.Handle("POST /sync/plans/{id}/apply", apply)
	s.Handle("POST /sync/plans/{id}/discard", discardPlan)
	s.Handle("POST /sync/runs/{id}/stop", stop)
	s.Handle("POST /sync/runs/{id}/approve", approve)
	s.Handle("POST /sync/runs/{id}/discard", discard)
}

// page is all services as they are shown.
type page struct {
	c        *shell.Call
	l        part.Listing
	services []service
}

// service is one of them, with its runs.
type service struct {
	c        *shell.Call
	s        tandem.Service
	approved bool    // a person has let its settings run
	active   *active // the run that is queued or under way
	last     *tandem.Run
	held     []held
	saved    []saved // previews that were kept and not applied
}

// active is a run that has not ended, with where it stands.
type active struct {
	run tandem.Run
	now tandem.Progress
}

// saved is a preview that was kept, with how many changes applying it makes.
type saved struct {
	tandem.Plan
	changes int
}

// held is what a run held back until a person decides.
type held struct {
	plan tandem.Plan
	run  tandem.Run
}

func list(c *shell.Call) error {
	all, err := c.Registry().Services(c.R.Context(), c.Actor, c.Org.ID)
	if err != nil {
		return err
	}
	v := page{c: c, l: part.NewListing(c.Path("sync"), c.R.URL.Query(), services)}
	v.l.Total = len(all)
	from := min((v.l.Page-1)*services, len(all))
	shown := all[from:min(from+services, len(all))]
	only := c.Query("service")
	if c.Query("part") == "status" {
		shown = nil
		for _, s := range all {
			if s.ID == only {
				shown = []tandem.Service{s}
			}
		}
	}
	if v.services, err = gather(c, shown); err != nil {
		return err
	}
	if c.Query("part") == "status" {
		if len(v.services) == 0 {
			return tandem.Errorf(tandem.NotFound, "find service", only, "the service is gone").WithHint("reload the page")
		}
		return c.Part(status(v.services[0]))
	}
	return c.Page(shell.Frame{Title: "Sync", Section: shell.Sync}, listPage(v))
}

// gather reads what is going on at services, in a few questions for all of them.
func gather(c *shell.Call, shown []tandem.Service) ([]service, error) {
	found := make([]service, len(shown))
	at := map[string]*service{}
	for i, s := range shown {
		found[i] = service{c: c, s: s, approved: c.Registry().Engine.Approved(&s)}
		at[s.ID] = &found[i]
	}
	if c.May(registry.ReadRuns) {
		if err := gatherRuns(c, at); err != nil {
			return nil, err
		}
	}
	if c.May(registry.ReadPlans) {
		if err := gatherPlans(c, at); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// gatherRuns finds the runs that have not ended, with where they stand, and the last one of each service.
func gatherRuns(c *shell.Call, at map[string]*service) error {
	ctx := c.R.Context()
	for _, state := range []tandem.RunStatus{tandem.RunQueued, tandem.RunRunning} { // the running one last: it is what is shown
		runs, _, err := c.Registry().Runs(ctx, c.Actor, c.Org.ID, tandem.RunFilter{Status: state, Page: tandem.Page{Number: 1, Limit: 1000}})
		if err != nil {
			return err
		}
		for _, run := range runs {
			if v := at[run.ServiceID]; v != nil && run.DeviceID == "" {
				v.active = &active{run: run}
			}
		}
	}
	for _, v := range at {
		if v.active != nil && v.active.run.Status == tandem.RunRunning {
			now, err := c.Registry().RunProgress(ctx, c.Actor, c.Org.ID, v.active.run.ID)
			if err != nil {
				return err
			}
			v.active.now = now
		}
		if v.s.LastRunID == "" {
			continue
		}
		run, err := c.Registry().Run(ctx, c.Actor, c.Org.ID, v.s.LastRunID)
		if tandem.Is(err, tandem.NotFound) { // older than runs are kept
			continue
		}
		if err != nil {
			return err
		}
		v.last = &run
	}
	return nil
}

// gatherPlans finds what waits for a person: what runs held back, and previews that were kept.
func gatherPlans(c *shell.Call, at map[string]*service) error {
	ref := ""
	if len(at) == 1 {
		for id := range at {
			ref = id
		}
	}
	plans, err := c.Registry().Plans(c.R.Context(), c.Actor, c.Org.ID, ref)
	if err != nil {
		return err
	}
	for _, plan := range plans {
		v := at[plan.ServiceID]
		switch {
		case v == nil || plan.Status != tandem.PlanOpen || plan.Checksum == "":
		case plan.Reason == tandem.PlanSaved:
			if usable(c, &v.s, &plan) && len(v.saved) < 3 {
				groups, err := c.Registry().PlanGroups(c.R.Context(), c.Actor, c.Org.ID, plan.ID)
				if err != nil {
					return err
				}
				v.saved = append(v.saved, saved{plan, total(groups, does)})
			}
		case plan.RunID != "":
			run, err := c.Registry().Run(c.R.Context(), c.Actor, c.Org.ID, plan.RunID)
			if tandem.Is(err, tandem.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			v.held = append(v.held, held{plan, run})
		}
	}
	return nil
}

// usable reports whether a plan was made with the settings that its service has now: another is void (S27).
func usable(c *shell.Call, s *tandem.Service, plan *tandem.Plan) bool {
	asThen := *s
	asThen.ApprovedConfig = plan.ConfigPrint
	return c.Registry().Engine.Approved(&asThen)
}
