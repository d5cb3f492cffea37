package main

import (
	"context"

	"tandem"
)

// RunsApproveCmd is `tandem runs approve`.
type RunsApproveCmd struct {
	In
	ID  string `arg:"" help:"The blocked run's id."`
	Yes bool   `help:"Do not ask."`
}

// Run lets it through, as a new run.
func (c *RunsApproveCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		run, service, err := s.waits(ctx, org, c.ID)
		if err != nil {
			return err
		}
		if a.out.ask && !c.Yes {
			if err := s.showHeld(ctx, org, &run); err != nil {
				return err
			}
			if err := a.confirm(false, "do what the run held back"); err != nil {
				return err
			}
		}
		return s.runToEnd(ctx, org, &service, func(report tandem.Report) (tandem.Run, error) {
			return s.ApproveRun(ctx, org.ID, run.ID, report)
		})
	})
}

// RunsDiscardCmd is `tandem runs discard`.
type RunsDiscardCmd struct {
	In
	ID string `arg:"" help:"The blocked run's id."`
}

// Run drops what was held.
func (c *RunsDiscardCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		run, err := s.findRun(ctx, org, c.ID)
		if err != nil {
			return err
		}
		if err := s.DiscardRun(ctx, org.ID, run.ID); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"operation_id": run.ID, "discarded": true})
		}
		a.out.printf("dropped what the run %s held back\n", run.ID)
		a.out.note("what caused it is still there: the next sync holds it back again, unless that is mended first\n")
		return nil
	})
}

// RunsCancelCmd is `tandem runs cancel`.
type RunsCancelCmd struct {
	In
	ID string `arg:"" help:"The run's id."`
}

// Run asks it to stop.
func (c *RunsCancelCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		run, err := s.findRun(ctx, org, c.ID)
		if err != nil {
			return err
		}
		if run.Status.Ended() {
			return tandem.Errorf(tandem.Stale, "cancel run", run.ID, "it has ended already: %s", run.Status)
		}
		if _, err := s.CancelRun(ctx, org.ID, run.ID); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"operation_id": run.ID, "cancel_requested": true})
		}
		a.out.printf("asked the run %s to stop at its next batch\n", run.ID)
		return nil
	})
}

// RunsRevertCmd is `tandem runs revert`.
type RunsRevertCmd struct {
	In
	ID     string `arg:"" help:"The run's id; last is the newest one."`
	DryRun bool   `help:"Show what would be undone, and what cannot be."`
	Yes    bool   `help:"Do not ask."`
}

// Run undoes it as a new run (S29).
func (c *RunsRevertCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		run, err := s.findRun(ctx, org, c.ID)
		if err != nil {
			return err
		}
		if a.out.json && !c.DryRun && !c.Yes {
			return a.confirm(false, "undo this run")
		}
		if c.DryRun || !a.out.json {
			view, changes := newPlanView(a), []tandem.Change{}
			preview, err := s.PreviewRevert(ctx, org.ID, run.ID, func(change tandem.Change) error {
				if a.out.json {
					changes = append(changes, change)
				}
				return view.add(change)
			})
			if err != nil {
				return err
			}
			if a.out.json {
				return a.out.value(map[string]any{"dry_run": true, "reverts": run.ID, "summary": preview.Run.Summary, "details": changes})
			}
			view.show(&preview)
			if c.DryRun {
				return nil
			}
			if err := a.confirm(c.Yes, "undo this run"); err != nil {
				return err
			}
		}
		service, err := s.Service(ctx, org.ID, run.ServiceID)
		if err != nil {
			return err
		}
		return s.runToEnd(ctx, org, &service, func(report tandem.Report) (tandem.Run, error) {
			return s.RevertRun(ctx, org.ID, run.ID, report)
		})
	})
}
