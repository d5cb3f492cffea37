package registry

import (
	"context"

	"tandem"
)

// Alerts lists alerts, newest first, and counts all matches.
func (r *Registry) Alerts(ctx context.Context, actor Actor, org string, filter tandem.AlertFilter) ([]tandem.Alert, int, error) {
	if err := actor.may(org, ReadAlerts); err != nil {
		return nil, 0, err
	}
	return r.Server.Alerts(ctx, org, filter)
}

// Alert finds one alert.
func (r *Registry) Alert(ctx context.Context, actor Actor, org, id string) (tandem.Alert, error) {
	if err := actor.may(org, ReadAlerts); err != nil {
		return tandem.Alert{}, err
	}
	return r.Server.Alert(ctx, org, id)
}

// AcknowledgeAlert says that somebody looks after it: it does not escalate any more.
func (r *Registry) AcknowledgeAlert(ctx context.Context, actor Actor, org, id string) (tandem.Alert, error) {
	return r.moveAlert(ctx, actor, org, id, "alert.acknowledge", func(a *tandem.Alert) bool {
		if a.Status != tandem.AlertRaised {
			return false
		}
		now := r.Clock()
		a.Status, a.AcknowledgedBy, a.AcknowledgedAt = tandem.AlertAcknowledged, actor.By(), &now
		return true
	})
}

// ResolveAlert closes an alert. Where its cause is still there, another is raised.
func (r *Registry) ResolveAlert(ctx context.Context, actor Actor, org, id string) (tandem.Alert, error) {
	return r.moveAlert(ctx, actor, org, id, "alert.resolve", func(a *tandem.Alert) bool {
		if !a.Open() {
			return false
		}
		now := r.Clock()
		a.Status, a.ResolvedBy, a.ResolvedAt = tandem.AlertResolved, actor.By(), &now
		return true
	})
}

// moveAlert changes an alert's status where move says so; where not, it is left as it is.
func (r *Registry) moveAlert(ctx context.Context, actor Actor, org, id, action string, move func(*tandem.Alert) bool) (tandem.Alert, error) {
	if err := actor.may(org, AcknowledgeAlerts); err != nil {
		return tandem.Alert{}, err
	}
	var a tandem.Alert
	err := retryMoved(func() (err error) {
		if a, err = r.Server.Alert(ctx, org, id); err != nil {
			return err
		}
		was := a.Status
		if !move(&a) {
			return nil
		}
		along := r.note(actor, org, action, thing{"alert", a.ID, string(a.Kind)}, map[string]any{"status": was}, map[string]any{"status": a.Status})
		if err := r.Store.Apply(ctx, org, &tandem.Changes{PutAlerts: []tandem.Alert{a}, Along: along}); err != nil {
			return err
		}
		a.Version++
		return nil
	})
	return a, err
}
