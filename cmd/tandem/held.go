package main

import (
	"context"
	"fmt"

	"tandem"
	"tandem/syncer"
)

// held is what became of the changes that a run held back.
type held string

// What can become of them.
const (
	heldWaiting    held = "waiting"    // for a person
	heldApproved   held = "approved"   // let through by a later run
	heldDiscarded  held = "discarded"  // dropped by a person
	heldSuperseded held = "superseded" // a newer run holds them back now
)

// fates says of each plan of a service (of all for "") what became of it, and which run holds its changes back since.
func (s *desk) fates(ctx context.Context, org, service string) (map[string]held, map[string]string, error) {
	plans, err := s.Plans(ctx, org, service)
	if tandem.Is(err, tandem.Forbidden) { // who may see runs need not be allowed to see plans
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	fates, newer := map[string]held{}, map[string]string{}
	for i := range plans { // the newest first
		p := &plans[i]
		switch p.Status {
		case tandem.PlanUsed:
			fates[p.ID] = heldApproved
		case tandem.PlanOpen:
			fates[p.ID] = heldWaiting
		default:
			fates[p.ID] = heldDiscarded
		}
		for j := i - 1; j >= 0; j-- {
			n := &plans[j]
			if n.ServiceID != p.ServiceID || n.Reason != p.Reason || p.Reason == tandem.PlanSaved {
				continue
			}
			if newer[p.ID] = n.RunID; n.Status != tandem.PlanOpen && newer[n.ID] != "" {
				newer[p.ID] = newer[n.ID]
			}
			// A run closes the older plan while it is under way, just before it stores its own.
			if run, err := s.Run(ctx, org, n.RunID); err != nil {
				return nil, nil, err
			} else if p.Status == tandem.PlanDiscarded && p.UsedAt != nil && run.StartedAt != nil && !p.UsedAt.Before(*run.StartedAt) {
				fates[p.ID] = heldSuperseded
			}
			break
		}
	}
	return fates, newer, nil
}

// applicable refuses a plan that cannot be applied any more before a run is begun for it.
func (s *desk) applicable(ctx context.Context, org tandem.Organization, service *tandem.Service, planID string) error {
	plan, err := s.Plan(ctx, org.ID, planID)
	if err != nil {
		return err
	}
	thing, kind := plan.ID, "the plan"
	if plan.Reason != tandem.PlanSaved {
		thing, kind = plan.RunID, "what the run held back"
	}
	refuse := func(why string) *tandem.Error {
		return tandem.Errorf(tandem.Stale, "apply plan", thing, "%s cannot be applied: %s", kind, why)
	}
	if plan.Status == tandem.PlanOpen {
		if plan.ServiceID == service.ID && plan.ConfigPrint != syncer.Fingerprint(&service.Config) {
			return refuse("the service's settings changed since it was made").WithHint("see what they do now: tandem sync %s --org %s --dry-run", word(service.Name), org.Slug)
		}
		return nil
	}
	fates, newer, err := s.fates(ctx, org.ID, plan.ServiceID)
	if err != nil {
		return err
	}
	var e *tandem.Error
	switch fates[plan.ID] {
	case heldApproved:
		e = refuse("it was applied already")
	case heldSuperseded:
		e = refuse("a newer run has looked again since")
	default:
		e = refuse("it was discarded")
	}
	if run := newer[plan.ID]; run != "" && fates[plan.ID] != heldApproved {
		return e.WithHint("the newer run holds back what is so now: tandem runs approve %s --org %s", run, org.Slug)
	}
	if plan.Reason == tandem.PlanSaved {
		return e.WithHint("a plan is used once; make a new one: tandem sync %s --org %s --dry-run --save", word(service.Name), org.Slug)
	}
	return e.WithHint("the next sync looks again: tandem sync %s --org %s", word(service.Name), org.Slug)
}

// waits finds a blocked run, and refuses one with nothing that waits.
func (s *desk) waits(ctx context.Context, org tandem.Organization, id string) (tandem.Run, tandem.Service, error) {
	run, err := s.findRun(ctx, org, id)
	if err != nil {
		return run, tandem.Service{}, err
	}
	service, err := s.Service(ctx, org.ID, run.ServiceID)
	if err != nil || run.Status != tandem.RunBlocked || run.PlanID == "" {
		return run, service, err // the engine says why
	}
	return run, service, s.applicable(ctx, org, &service, run.PlanID)
}

// heldText says what became of what a blocked run held back, "" for any other run.
func (s *desk) heldText(ctx context.Context, org tandem.Organization, run *tandem.Run) (held, string, error) {
	if run.Status != tandem.RunBlocked || run.PlanID == "" {
		return "", "", nil
	}
	fates, newer, err := s.fates(ctx, org.ID, run.ServiceID)
	if err != nil {
		return "", "", err
	}
	switch fate := fates[run.PlanID]; fate {
	case heldApproved:
		runs, _, err := s.Runs(ctx, org.ID, tandem.RunFilter{ServiceID: run.ServiceID, Page: tandem.Page{Number: 1, Limit: 1000}})
		if err != nil {
			return "", "", err
		}
		for i := range runs {
			if by := &runs[i]; by.ID != run.ID && by.PlanID == run.PlanID {
				return fate, fmt.Sprintf("approved by %s, in the run %s", clean(by.CreatedBy), by.ID), nil
			}
		}
		return fate, "approved", nil
	case heldSuperseded:
		return fate, "superseded by the run " + newer[run.PlanID], nil
	default:
		return fate, string(fate), nil
	}
}
