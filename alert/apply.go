package alert

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"tandem"
)

// The reasons of a notification.
const (
	Raised    = "raised"
	Again     = "again"
	Escalated = "escalated"
	Resolved  = "resolved"
	Test      = "test"
)

// applyTries is how often alerts that others changed meanwhile are looked at again.
const applyTries = 5

// maxMessage bounds an alert's texts, in characters.
const maxMessage = 1000

// Apply turns verdicts into alerts: it raises, counts and resolves, and writes a notification for each channel that
// wants to know, all in one transaction. An alert that is open already is not another one.
func Apply(ctx context.Context, store Store, org string, verdicts []Verdict, now time.Time, newID tandem.IDs) error {
	var err error
	for range applyTries {
		var changes *tandem.Changes
		if changes, err = decide(ctx, store, org, verdicts, now, newID); err != nil || changes == nil {
			break
		}
		if err = store.Apply(ctx, org, changes); !tandem.Is(err, tandem.Stale, tandem.Exists) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("raise or resolve alerts: %w", err)
	}
	return nil
}

// decide reads what is open and says what is to be written; nil when nothing is.
func decide(ctx context.Context, store Store, org string, verdicts []Verdict, now time.Time, newID tandem.IDs) (*tandem.Changes, error) {
	var changes tandem.Changes
	var told []notice
	for _, v := range verdicts {
		open, err := store.OpenAlert(ctx, org, v.Kind, v.Subject)
		switch {
		case tandem.Is(err, tandem.NotFound) && !v.Raise:
			continue
		case tandem.Is(err, tandem.NotFound):
			open = tandem.Alert{ID: newID(), OrganizationID: org, Kind: v.Kind, Subject: v.Subject, Status: tandem.AlertRaised, RaisedAt: now}
		case err != nil:
			return nil, err
		}
		next, reason := judge(open, v, now)
		changes.PutAlerts = append(changes.PutAlerts, next)
		if reason != "" {
			told = append(told, notice{next, reason})
		}
	}
	if len(changes.PutAlerts) == 0 {
		return nil, nil
	}
	return &changes, notify(ctx, store, org, &changes, told, now, newID)
}

// judge gives an alert as a verdict leaves it, and the reason to tell of it, "" for none. What goes on is told less
// and less often: at the 2nd, 4th, 8th time and so on, and not at all once somebody looks after it.
func judge(a tandem.Alert, v Verdict, now time.Time) (next tandem.Alert, reason string) {
	if !v.Raise {
		a.Status, a.ResolvedAt = tandem.AlertResolved, &now
		return a, Resolved
	}
	worse := a.Severity == tandem.Warning && v.Severity == tandem.Critical
	a.Count++
	a.LastAt, a.ServiceID, a.RunID, a.Severity = now, v.ServiceID, v.RunID, v.Severity
	a.Message, a.Hint = clean(v.Message, maxMessage), clean(v.Hint, maxMessage)
	switch {
	case a.Count == 1:
		return a, Raised
	case worse, a.Status == tandem.AlertRaised && bits.OnesCount(uint(a.Count)) == 1:
		return a, Again
	}
	return a, ""
}

// notice is an alert that is to be told, and why.
type notice struct {
	alert  tandem.Alert
	reason string
}

// notify adds a notification for each notice and each channel that wants it, and the job that sends them.
func notify(ctx context.Context, store Store, org string, changes *tandem.Changes, told []notice, now time.Time, newID tandem.IDs) error {
	if len(told) == 0 {
		return nil
	}
	channels, err := store.Channels(ctx, org)
	if err != nil {
		return err
	}
	for _, n := range told {
		for i := range channels {
			if wants(&channels[i], &n.alert) {
				changes.PutNotifications = append(changes.PutNotifications, tandem.Notification{ID: newID(), OrganizationID: org,
					ChannelID: channels[i].ID, AlertID: n.alert.ID, Reason: n.reason, NextAt: now, CreatedAt: now})
			}
		}
	}
	if len(changes.PutNotifications) > 0 {
		changes.Jobs = append(changes.Jobs, tandem.Job{Kind: tandem.JobNotify, OrganizationID: org})
	}
	return nil
}

// wants reports whether a channel is to hear of an alert.
func wants(c *tandem.Channel, a *tandem.Alert) bool {
	return c.IsActive &&
		(!c.EscalationOnly || a.EscalatedAt != nil) &&
		(len(c.Kinds) == 0 || slices.Contains(c.Kinds, a.Kind)) &&
		(c.MinSeverity != tandem.Critical || a.Severity == tandem.Critical)
}
