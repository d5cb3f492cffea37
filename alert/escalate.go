package alert

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"tandem"
)

// DefaultEscalation is when an alert escalates where the organization says nothing.
const DefaultEscalation = 30 * time.Minute

// minEscalation is the shortest time that an organization can set.
const minEscalation = time.Minute

// escalateBatch is how many alerts are looked at in one call.
const escalateBatch = 1000

// EscalateAfter gives an organization's time until an alert escalates; 0 for never.
func EscalateAfter(o tandem.Organization) time.Duration {
	minutes, err := strconv.ParseFloat(fmt.Sprint(o.Settings[tandem.EscalateSetting]), 64) // read from JSON in one way or another
	switch {
	case err != nil || minutes < 0 || minutes > tandem.MaxEscalation:
		return DefaultEscalation
	case minutes == 0:
		return 0
	}
	return max(time.Duration(minutes*float64(time.Minute)), minEscalation)
}

// Escalate marks the alerts of all organizations that nobody acknowledged in time, tells the channels that want to
// know, those for escalations too, and says how many there were. It is called about once a minute.
func Escalate(ctx context.Context, store Store, now time.Time, newID tandem.IDs) (n int, err error) {
	waiting, err := store.AlertsToEscalate(ctx, now.Add(-minEscalation), escalateBatch)
	if err != nil {
		return 0, fmt.Errorf("find alerts to escalate: %w", err)
	}
	byOrg := map[string][]tandem.Alert{}
	for _, a := range waiting {
		byOrg[a.OrganizationID] = append(byOrg[a.OrganizationID], a)
	}
	for id, alerts := range byOrg {
		org, err := store.Organization(ctx, id)
		if tandem.Is(err, tandem.NotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return n, fmt.Errorf("escalate alerts: %w", err)
		}
		done, err := escalate(ctx, store, org, alerts, now, newID)
		if err != nil {
			return n, fmt.Errorf("escalate alerts: %w", err)
		}
		n += done
	}
	return n, nil
}

// escalate escalates those of one organization whose time has come. What somebody changed meanwhile is for the next call.
func escalate(ctx context.Context, store Store, org tandem.Organization, alerts []tandem.Alert, now time.Time, newID tandem.IDs) (int, error) {
	after := EscalateAfter(org)
	var changes tandem.Changes
	var told []notice
	for _, a := range alerts {
		if after > 0 && !a.RaisedAt.Add(after).After(now) {
			a.EscalatedAt = &now
			changes.PutAlerts = append(changes.PutAlerts, a)
			told = append(told, notice{a, Escalated})
		}
	}
	if len(told) == 0 {
		return 0, nil
	}
	if err := notify(ctx, store, org.ID, &changes, told, now, newID); err != nil {
		return 0, err
	}
	switch err := store.Apply(ctx, org.ID, &changes); {
	case tandem.Is(err, tandem.Stale):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return len(told), nil
}
