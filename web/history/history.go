package history

import (
	"context"
	"fmt"
	"time"

	"github.com/a-h/templ"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// How much a page shows.
const (
	runRows    = 50
	entryRows  = 100
	plotted    = 300  // runs of the timeline
	previewed  = 500  // changes of an undo's preview
	exportRows = 1000 // entries read at once for a download
	sayEvery   = 300 * time.Millisecond
)

// Register adds the pages.
func Register(s *shell.Site) {
	s.Handle("GET /history", list)
	s.Handle("GET /history/{id}", show)
	s.Handle("GET /history/{id}/undo", previewUndo)
	s.Handle("POST /history/{id}/undo", undo)
	s.Handle("POST /history/{id}/cancel", cancel)
	s.Handle("POST /history/{id}/approve", approve)
	s.Handle("POST /history/{id}/discard", discard)
	s.Handle("GET /history/{id}/entries.csv", download)
	s.Handle("GET /history/{id}/entries.json", download)
}

// listing is the list of runs as it is shown.
type listing struct {
	c        *shell.Call
	l        part.Listing
	runs     []tandem.Run
	timeline []tandem.Run // newest first
	services []tandem.Service
}

// folded gives the rows: the newest first, or, in another order, each by itself.
func (v listing) folded() []part.Fold {
	if v.l.Sort == "" {
		return part.FoldRuns(v.runs)
	}
	list := make([]part.Fold, len(v.runs))
	for i := range v.runs {
		list[i].Run = v.runs[i]
	}
	return list
}

// filterOf reads what the list is narrowed to.
func filterOf(c *shell.Call) (tandem.RunFilter, error) {
	f := tandem.RunFilter{ServiceID: c.Query("service"), Status: tandem.RunStatus(c.Query("status")), Operation: tandem.Operation(c.Query("operation")),
		Trigger: tandem.Trigger(c.Query("trigger")), DeviceID: c.Query("device"), Search: c.Query("search")}
	for name, at := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		text := c.Query(name)
		if text == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return f, tandem.Errorf(tandem.Invalid, "list runs", "", "%q is no day", text).WithHint("write it like 2026-01-31")
		}
		*at = day
	}
	if !f.Until.IsZero() {
		f.Until = f.Until.AddDate(0, 0, 1) // the whole of that day
	}
	return f, nil
}

func list(c *shell.Call) error {
	v := listing{c: c, l: part.NewListing(c.Path("history"), c.R.URL.Query(), runRows)}
	filter, err := filterOf(c)
	if err != nil {
		return err
	}
	filter.Sort, filter.Page = v.l.Sort, tandem.Page{Number: v.l.Page, Limit: runRows}
	if v.runs, v.l.Total, err = c.Registry().Runs(c.R.Context(), c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	v.l.CountedSome()
	filter.Sort, filter.Page = "", tandem.Page{Limit: plotted}
	if v.timeline, _, err = c.Registry().Runs(c.R.Context(), c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	if c.May(registry.ReadServices) {
		if v.services, err = c.Registry().Services(c.R.Context(), c.Actor, c.Org.ID); err != nil {
			return err
		}
	}
	if c.Query("part") == "list" || c.R.Header.Get("HX-Target") == "div#runs" {
		return c.Part(table(v))
	}
	return c.Page(shell.Frame{Title: "History", Section: shell.History, Scripts: []string{"uplot.js", "plot.js"}, Styles: []string{"uplot.css"}}, listPage(v))
}

// one is a run as it is shown.
type one struct {
	c        *shell.Call
	run      tandem.Run
	service  tandem.Service
	details  details
	progress tandem.Progress
	groups   []tandem.EntryGroup
	l        part.Listing
	entries  []tandem.Entry
	plan     *tandem.Plan // what a blocked run held back, while it can be let through
}

func read(c *shell.Call) (v one, err error) {
	v.c = c
	if v.run, err = c.Registry().Run(c.R.Context(), c.Actor, c.Org.ID, c.Value("id")); err != nil {
		return v, err
	}
	v.details = detailsOf(&v.run)
	if c.May(registry.ReadServices) {
		v.service, err = c.Registry().Service(c.R.Context(), c.Actor, c.Org.ID, v.run.ServiceID)
		if err != nil && !tandem.Is(err, tandem.NotFound) {
			return v, err
		}
	}
	if v.run.Status == tandem.RunBlocked && v.run.PlanID != "" && c.May(registry.ReadPlans) {
		plan, err := c.Registry().Plan(c.R.Context(), c.Actor, c.Org.ID, v.run.PlanID)
		if err != nil && !tandem.Is(err, tandem.NotFound) {
			return v, err
		}
		if err == nil {
			v.plan = &plan
		}
	}
	if !v.run.Status.Ended() {
		v.progress, err = c.Registry().RunProgress(c.R.Context(), c.Actor, c.Org.ID, v.run.ID)
	}
	return v, err
}

// readEntries adds what the run did.
func (v *one) readEntries() (err error) {
	c := v.c
	v.l = part.NewListing(c.Path("history", v.run.ID), c.R.URL.Query(), entryRows)
	f := tandem.EntryFilter{RunID: v.run.ID, Outcome: tandem.EntryOutcome(c.Query("outcome")), Action: tandem.Action(c.Query("action")),
		Side: tandem.Side(c.Query("side")), Search: c.Query("search"), DeviceID: c.Query("device"), Page: tandem.Page{Number: v.l.Page, Limit: entryRows}}
	v.entries, v.l.Total, err = c.Registry().Entries(c.R.Context(), c.Actor, c.Org.ID, f)
	v.l.CountedSome()
	return err
}

func show(c *shell.Call) error {
	v, err := read(c)
	if err != nil {
		return err
	}
	if c.Query("part") == "state" {
		if was := c.Query("was"); was != "" && was != string(v.run.Status) && v.run.Status.Ended() {
			c.Event("run-ended")
		}
		return c.Part(state(v))
	}
	if err := v.readEntries(); err != nil {
		return err
	}
	if c.Query("part") == "entries" {
		return c.Part(entries(v))
	}
	if v.groups, err = c.Registry().EntryGroups(c.R.Context(), c.Actor, c.Org.ID, v.run.ID); err != nil {
		return err
	}
	if c.Query("part") == "groups" {
		return c.Part(groups(v))
	}
	return c.Page(shell.Frame{Title: title(&v.run), Section: shell.History}, showPage(v))
}

func cancel(c *shell.Call) error {
	if _, err := c.Registry().CancelRun(c.R.Context(), c.Actor, c.Org.ID, c.Value("id")); err != nil {
		return err
	}
	return c.Done("The run stops at its next batch. What it did stays, and the next run goes on.", c.Path("history", c.Value("id")), "runs")
}

func approve(c *shell.Call) error {
	run, err := c.Registry().ApproveRun(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	c.Toast("success", "What was held back is let through: this run does it.")
	return c.Go(c.Path("history", run.ID))
}

func discard(c *shell.Call) error {
	if err := c.Registry().DiscardRun(c.R.Context(), c.Actor, c.Org.ID, c.Value("id")); err != nil {
		return err
	}
	c.Toast("success", "Discarded. Nothing of what was held back is done; a later run may plan it again.")
	return c.Go(c.Path("history", c.Value("id")))
}

// undoing is the preview of an undo.
type undoing struct {
	one
	changes []tandem.Change
	more    int
}

func previewUndo(c *shell.Call) error {
	v, err := read(c)
	if err != nil {
		return err
	}
	if !c.May(registry.RevertRuns) {
		return tandem.Errorf(tandem.Forbidden, "undo run", "", "your role does not include undoing runs").WithHint("ask a manager of %s", c.Org.Name)
	}
	u := undoing{one: v}
	frame := shell.Frame{Title: "Undo a run", Section: shell.History}
	return c.Working(frame, undoHead(u), c.Path("history", v.run.ID), func(ctx context.Context, say func(templ.Component)) (templ.Component, error) {
		said, found := c.Now(), 0
		_, err := c.Registry().PreviewRevert(ctx, c.Actor, c.Org.ID, v.run.ID, func(change tandem.Change) error {
			found++
			if now := c.Now(); now.Sub(said) >= sayEvery {
				said = now
				say(undoStep(found))
			}
			if len(u.changes) < previewed {
				u.changes = append(u.changes, change)
			} else {
				u.more++
			}
			return nil
		})
		return undoPage(u), err
	})
}

func undo(c *shell.Call) error {
	run, err := c.Registry().RevertRun(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	c.Toast("success", "Undoing has begun: this run does it, and can be undone too.")
	return c.Go(c.Path("history", run.ID))
}

// title names a run.
func title(r *tandem.Run) string {
	return fmt.Sprintf("%s of %s", operationText(r.Operation), r.CreatedAt.UTC().Format("2006-01-02 15:04 UTC"))
}
