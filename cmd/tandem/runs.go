package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
	"tandem/syncer"
)

// RunsCmd is `tandem runs`.
type RunsCmd struct {
	List    RunsListCmd    `cmd:"" help:"List runs, newest first."`
	Show    RunsShowCmd    `cmd:"" help:"Show one: what it did, and its errors by cause."`
	Approve RunsApproveCmd `cmd:"" help:"Let through what a blocked run held back."`
	Discard RunsDiscardCmd `cmd:"" help:"Drop what a blocked run held back."`
	Cancel  RunsCancelCmd  `cmd:"" help:"Ask a run to stop at its next batch."`
	Revert  RunsRevertCmd  `cmd:"" help:"Undo a finished run."`
}

// RunsListCmd is `tandem runs list`.
type RunsListCmd struct {
	In
	Paging
	Service   string    `help:"Of this service."`
	Status    string    `enum:",queued,running,completed,partial,failed,blocked,canceled,interrupted" default:"" help:"With this status."`
	Operation string    `enum:",import,export,bidirectional,webhook,revert" default:"" help:"Of this kind."`
	Trigger   string    `enum:",manual,schedule,edit,webhook" default:"" help:"Started by this: manual, schedule, edit or webhook."`
	CreatedBy string    `placeholder:"WHO" help:"Started by this person or program."`
	Device    string    `help:"About this one device."`
	Since     time.Time `placeholder:"TIME" help:"Not created before, such as 2026-01-31T12:00:00Z."`
	Until     time.Time `placeholder:"TIME" help:"Created before."`
	Search    string    `help:"Part of the error."`
	Sort      string    `enum:"${sort_runs}" default:"" help:"${sorts_runs}"`
}

// Run lists them.
func (c *RunsListCmd) Run(ctx context.Context, a *app) error {
	page, err := c.page()
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		filter := tandem.RunFilter{Status: tandem.RunStatus(c.Status), Operation: tandem.Operation(c.Operation), Trigger: tandem.Trigger(c.Trigger), CreatedBy: c.CreatedBy,
			Since: c.Since, Until: c.Until, Search: c.Search, Sort: c.Sort, Page: page}
		if c.Device != "" {
			d, err := s.Device(ctx, org.ID, c.Device)
			if err != nil {
				return err
			}
			filter.DeviceID = d.ID
		}
		if c.Service != "" {
			v, err := s.service(ctx, org, c.Service, "--service")
			if err != nil {
				return err
			}
			filter.ServiceID = v.ID
		}
		runs, total, err := s.Runs(ctx, org.ID, filter)
		if err != nil {
			return err
		}
		fates, _, err := s.fates(ctx, org.ID, filter.ServiceID)
		if err != nil {
			return err
		}
		if a.out.json {
			listed := make([]listedRun, len(runs))
			for i := range runs {
				listed[i] = listedRun{Run: runs[i]}
				if runs[i].Status == tandem.RunBlocked {
					listed[i].Held = fates[runs[i].PlanID]
				}
			}
			return a.out.value(map[string]any{"runs": listed, "pagination": tandem.PaginatedSome(page, total)})
		}
		if total == 0 {
			a.out.printf("no run; start one: tandem sync --org %s\n", org.Slug)
			return nil
		}
		rows := make([][]string, len(runs))
		for i := range runs {
			r := &runs[i]
			took := ""
			if r.CompletedAt != nil {
				took = duration(time.Duration(r.DurationMS) * time.Millisecond)
			}
			status := string(r.Status)
			if fate := fates[r.PlanID]; r.Status == tandem.RunBlocked && fate != "" {
				status += ", " + string(fate)
			}
			rows[i] = []string{r.ID, a.out.since(r.CreatedAt), string(r.Operation), string(r.Trigger), status, number(r.Summary.Processed),
				summaryLine(r), number(r.Summary.Conflicts), number(r.Summary.Failed), took}
		}
		a.out.table([]string{"id", "when", "operation", "trigger", "status", "devices", "changed", "conflicts", "failed", "took"}, rows)
		a.out.moreOfSome(page, len(runs), total)
		return nil
	})
}

// listedRun is a run in a list.
type listedRun struct {
	tandem.Run
	Held held `json:"held,omitempty"` // of a blocked run: what became of what it held back
}

// RunsShowCmd is `tandem runs show`.
type RunsShowCmd struct {
	In
	ID     string `arg:"" help:"The run's id; last is the newest one."`
	Errors bool   `help:"Only what it did not get done, by cause."`
}

// Run shows it.
func (c *RunsShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		run, err := s.findRun(ctx, org, c.ID)
		if err != nil {
			return err
		}
		if c.Errors {
			return s.showEntryGroups(ctx, org, &run)
		}
		if a.out.json {
			reply, err := s.runJSON(ctx, org, &run)
			if err != nil {
				return err
			}
			return a.out.value(reply)
		}
		a.out.showRun(&run)
		started := ""
		if run.StartedAt != nil {
			started = run.StartedAt.Format(time.DateTime) + " UTC, " + a.out.since(*run.StartedAt)
		}
		_, fate, err := s.heldText(ctx, org, &run)
		if err != nil {
			return err
		}
		a.out.pairs("id", run.ID, "held back", fate, "started", started, "by", clean(run.CreatedBy), "trigger", string(run.Trigger), "plan", run.PlanID, "undoes", run.Reverts)
		var phases []syncer.Phase
		for _, p := range runDetails(&run).Phases { // one that was entered again counts once
			if i := slices.IndexFunc(phases, func(q syncer.Phase) bool { return q.Name == p.Name }); i >= 0 {
				phases[i].DurationMS += p.DurationMS
			} else {
				phases = append(phases, p)
			}
		}
		for _, p := range phases {
			a.out.printf("  %s  %s\n", a.out.dim(fmt.Sprintf("%-14s", p.Name)), duration(time.Duration(p.DurationMS)*time.Millisecond))
		}
		if err := s.showFailures(ctx, org, &run); err != nil {
			return err
		}
		if err := s.showHeld(ctx, org, &run); err != nil {
			return err
		}
		return s.showEntries(ctx, org, &run)
	})
}

// findRun finds a run by its id; "last" is the newest one.
func (s *desk) findRun(ctx context.Context, org tandem.Organization, id string) (tandem.Run, error) {
	if id != "last" {
		return s.Run(ctx, org.ID, id)
	}
	runs, _, err := s.Runs(ctx, org.ID, tandem.RunFilter{Page: tandem.Page{Number: 1, Limit: 1}})
	if err == nil && len(runs) == 0 {
		err = tandem.Errorf(tandem.NotFound, "find run", "last", "there is no run yet")
	}
	if err != nil {
		return tandem.Run{}, err
	}
	return runs[0], nil
}

// runDetails reads what a run noted of itself; what cannot be read is left out.
func runDetails(run *tandem.Run) syncer.Details {
	var d syncer.Details
	if len(run.Details) == 0 || json.Unmarshal(run.Details, &d) != nil {
		return syncer.Details{}
	}
	return d
}

func showWarnings(o *output, run *tandem.Run) {
	for _, warning := range runDetails(run).Warnings {
		o.printf("  %s %s\n", o.paint(text.FgYellow, "!"), clean(warning))
	}
}

// showHeld prints what a blocked run holds back.
func (s *desk) showHeld(ctx context.Context, org tandem.Organization, run *tandem.Run) error {
	if run.Status != tandem.RunBlocked || run.PlanID == "" {
		return nil
	}
	view := newPlanView(s.app)
	for offset := 0; ; {
		rows, err := s.PlanRows(ctx, org.ID, run.PlanID, offset, 1000)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			if err := view.add(row); err != nil {
				return err
			}
		}
		offset += len(rows)
	}
	fate, said, err := s.heldText(ctx, org, run)
	if err != nil {
		return err
	}
	title := "held back until a person decides"
	if fate != heldWaiting {
		title = "held back; " + said
	}
	s.out.printf("\n%s\n", s.out.bold(title))
	for _, o := range planOrder {
		if view.counts[o.kind] > 0 {
			view.group(o.kind, o.title, o.removal)
		}
	}
	if fate != heldWaiting {
		return nil
	}
	s.out.printf("let it through: tandem runs approve %[1]s --org %[2]s\ndrop it:        tandem runs discard %[1]s --org %[2]s\n", run.ID, org.Slug)
	return nil
}

// showEntries prints the first changes of a run.
func (s *desk) showEntries(ctx context.Context, org tandem.Organization, run *tandem.Run) error {
	limit := 30
	if s.flags.Verbose {
		limit = 1 << 30
	}
	var rows [][]string
	total := 0
	err := s.eachEntry(ctx, org, tandem.EntryFilter{RunID: run.ID}, func(e *tandem.Entry) bool {
		if total++; len(rows) < limit {
			rows = append(rows, []string{short(e.DeviceName, 30), string(e.Side), string(e.Action), dash(string(e.Path)),
				short(valueText(e.Before), 30), short(valueText(e.After), 40), string(e.Outcome)})
		}
		return len(rows) < limit
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	s.out.printf("\n")
	s.out.table([]string{"device", "side", "action", "field", "before", "after", "outcome"}, rows)
	if len(rows) == limit {
		s.out.printf("%s\n", s.out.dim("-v shows all"))
	}
	return nil
}
