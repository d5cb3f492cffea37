package jobs

import (
	"context"
	"log/slog"
	"slices"

	"tandem"
	"tandem/alert"
)

// runEnded makes of a run's end what it means for the schedule, and raises or resolves alerts.
func (j *Jobs) runEnded(ctx context.Context, w *job) error {
	run, err := j.Store.Run(ctx, w.Org, w.Args["run_id"])
	if err != nil {
		return unless(gone(err), err)
	}
	service, err := j.Store.Service(ctx, run.OrganizationID, run.ServiceID)
	if err != nil {
		return unless(gone(err), err)
	}
	if j.Ended != nil {
		j.Ended(run)
	}
	if err := j.learn(ctx, &service, &run); err != nil {
		return err
	}
	pending := tandem.ConflictFilter{ServiceID: service.ID, Status: tandem.ConflictPending, Page: tandem.Page{Limit: 1}}
	_, conflicts, err := j.Store.Conflicts(ctx, w.Org, pending)
	if err != nil {
		return err
	}
	return alert.Apply(ctx, j.Store, w.Org, alert.OfRun(run, service, conflicts), j.now(), j.NewID)
}

// notify has the notifications that are due sent now instead of at the next look.
func (j *Jobs) notify(ctx context.Context, _ *job) error {
	if j.Notifier == nil {
		return nil
	}
	_, err := j.Notifier.Send(ctx)
	return err
}

// lookAtNotifications sends what is due by itself: what is tried again, and what was put off so as not to come too often.
func (j *Jobs) lookAtNotifications(ctx context.Context) (more bool, err error) {
	_, err = j.Notifier.Send(ctx)
	return false, err
}

// escalate has alerts told again that nobody acknowledged, and ends those whose cause has passed by itself.
func (j *Jobs) escalate(ctx context.Context, _ *job) error {
	n, err := alert.Escalate(ctx, j.Store, j.now(), j.NewID)
	if err != nil {
		return err
	}
	if n > 0 {
		j.Log.Info("alerts escalated", "alerts", n)
	}
	orgs, err := j.Store.Organizations(ctx)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		if err := j.passAlerts(ctx, org.ID); err != nil {
			return err
		}
	}
	return nil
}

// passAlerts ends the alerts of an organization that no run may end: about a service that was deleted, dead letters that
// are none any more, and what a person has settled, approved or discarded where no run follows.
func (j *Jobs) passAlerts(ctx context.Context, org string) error {
	open, _, err := j.Store.Alerts(ctx, org, tandem.AlertFilter{Page: tandem.Page{Limit: 1000}})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range open {
		a := &open[i]
		if a.ServiceID == "" || seen[a.ServiceID+string(a.Kind)] {
			continue
		}
		seen[a.ServiceID+string(a.Kind)] = true
		service, err := j.Store.Service(ctx, org, a.ServiceID)
		switch {
		case gone(err), err == nil && service.DeletedAt != nil:
			err = alert.Apply(ctx, j.Store, org, alert.OfRemoved(tandem.Service{ID: a.ServiceID}), j.now(), j.NewID)
		case err == nil && a.Kind == tandem.AlertDeadLetters:
			err = judgeDeadLetters(ctx, j.Store, org, a.ServiceID, false, j.Clock, j.NewID)
		case err == nil:
			err = j.passDecided(ctx, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// passDecided ends an alert that asked for a decision, once there is nothing left to decide.
func (j *Jobs) passDecided(ctx context.Context, a *tandem.Alert) error {
	open := true
	switch a.Kind {
	case tandem.AlertConflicts:
		pending := tandem.ConflictFilter{ServiceID: a.ServiceID, Status: tandem.ConflictPending, Page: tandem.Page{Limit: 1}}
		_, count, err := j.Store.Conflicts(ctx, a.OrganizationID, pending)
		if err != nil {
			return err
		}
		open = count > 0
	case tandem.AlertRunBlocked:
		plans, err := j.Store.Plans(ctx, a.OrganizationID, a.ServiceID)
		if err != nil {
			return err
		}
		open = slices.ContainsFunc(plans, func(p tandem.Plan) bool { return p.Status == tandem.PlanOpen && p.Reason != tandem.PlanSaved })
	}
	if open {
		return nil
	}
	passed := alert.Verdict{Kind: a.Kind, Subject: a.Subject, ServiceID: a.ServiceID}
	return alert.Apply(ctx, j.Store, a.OrganizationID, []alert.Verdict{passed}, j.now(), j.NewID)
}

// AlertStore is what raising alerts about dead letters needs.
type AlertStore interface {
	alert.Store
	Deliveries(ctx context.Context, org string, filter tandem.DeliveryFilter) ([]tandem.Delivery, int, error)
}

// DeadLetters gives what raises alerts about deliveries that failed for good, for whoever processes them (S36).
func DeadLetters(store AlertStore, clock tandem.Clock, newID tandem.IDs, log *slog.Logger) func(ctx context.Context, dead []tandem.Delivery) {
	return func(ctx context.Context, dead []tandem.Delivery) {
		told := map[string]bool{}
		for _, d := range dead {
			if told[d.ServiceID] {
				continue
			}
			told[d.ServiceID] = true
			if err := judgeDeadLetters(ctx, store, d.OrganizationID, d.ServiceID, true, clock, newID); err != nil {
				log.Warn("no alert could be raised about dead letters", "service", d.ServiceID, "error", err)
			}
		}
	}
}

// judgeDeadLetters counts a service's dead letters. An alert is raised when more came, and ends when none is left.
func judgeDeadLetters(ctx context.Context, store AlertStore, org, serviceID string, more bool, clock tandem.Clock, newID tandem.IDs) error {
	service, err := store.Service(ctx, org, serviceID)
	if err != nil && !gone(err) {
		return err
	}
	count := 0
	if err == nil {
		filter := tandem.DeliveryFilter{ServiceID: serviceID, Status: tandem.DeliveryDead, Page: tandem.Page{Limit: 1}}
		if _, count, err = store.Deliveries(ctx, org, filter); err != nil {
			return err
		}
	} else {
		service.ID = serviceID // deleted, and its dead letters with it
	}
	if count > 0 && !more {
		return nil
	}
	return alert.Apply(ctx, store, org, alert.OfDeadLetters(service, count), clock().UTC(), newID)
}
