package sync

import (
	"tandem"
	"tandem/web/shell"
)

// asked reads what a run is asked for from the form of a service.
func asked(c *shell.Call, s *tandem.Service) tandem.RunRequest {
	return tandem.RunRequest{ServiceID: s.ID, Operation: tandem.Operation(c.Form("operation")), Trigger: tandem.ByHand, Force: c.Checked("force"),
		CreateMissing: tandem.Missing(c.Form("create_missing"))}
}

// start begins a run, or shows what it would do first, where that has to be seen: settings that nobody has let run yet
// (S28), and force (S11).
func start(c *shell.Call) error {
	s, err := c.Registry().Service(c.R.Context(), c.Actor, c.Org.ID, c.Value("service"))
	if err != nil {
		return err
	}
	req := asked(c, &s)
	if (req.Force || !c.Registry().Engine.Approved(&s)) && !c.Checked("seen") {
		return previewOf(c, s, req)
	}
	run, err := c.Registry().StartRun(c.R.Context(), c.Actor, c.Org.ID, req)
	if err != nil {
		return err
	}
	return c.Done(operationText(run.Operation)+" of "+s.Name+" is starting.", c.Path("sync")+"#"+anchor(s.ID), "runs")
}

// apply does what a stored plan says, and nothing else.
func apply(c *shell.Call) error {
	plan, err := c.Registry().Plan(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	if plan.Reason != tandem.PlanSaved { // what a run held back is let through as such
		if _, err := c.Registry().ApproveRun(c.R.Context(), c.Actor, c.Org.ID, plan.RunID); err != nil {
			return err
		}
		return c.Done("Let through: a run does it now.", c.Path("sync")+"#"+anchor(plan.ServiceID), "runs")
	}
	req := tandem.RunRequest{ServiceID: plan.ServiceID, Operation: plan.Operation, Trigger: tandem.ByHand, PlanID: plan.ID}
	if _, err := c.Registry().StartRun(c.R.Context(), c.Actor, c.Org.ID, req); err != nil {
		return err
	}
	return c.Done("The plan is being applied.", c.Path("sync")+"#"+anchor(plan.ServiceID), "runs")
}

func stop(c *shell.Call) error {
	run, err := c.Registry().CancelRun(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	return c.Done("It stops at its next step. What is done stays, and can be undone in the history.", c.Path("sync")+"#"+anchor(run.ServiceID), "runs")
}

func approve(c *shell.Call) error {
	run, err := c.Registry().ApproveRun(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	return c.Done("Let through: a run does it now.", c.Path("sync")+"#"+anchor(run.ServiceID), "runs", "alerts")
}

func discard(c *shell.Call) error {
	if err := c.Registry().DiscardRun(c.R.Context(), c.Actor, c.Org.ID, c.Value("id")); err != nil {
		return err
	}
	return c.Done("Discarded: nothing of it is done.", c.Path("sync"), "runs", "alerts")
}

// discardPlan drops a preview that was kept.
func discardPlan(c *shell.Call) error {
	plan, err := c.Registry().DiscardPlan(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	return c.Done("Dropped: nothing of it is done.", c.Path("sync")+"#"+anchor(plan.ServiceID), "runs")
}
