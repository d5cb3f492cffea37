package store

import (
	"context"

	"tandem"
)

// versioned separates what is added from what is rewritten, and refuses to rewrite what moved since it was read.
func versioned[T any](ctx context.Context, a *apply, table, what string, items []T, key func(*T) (id string, version int64)) (added, rewritten []*T, err error) {
	versions := make(map[string]int64, len(items))
	for i := range items {
		id, version := key(&items[i])
		if version == 0 {
			added = append(added, &items[i])
			continue
		}
		if _, twice := versions[id]; twice {
			return nil, nil, tandem.Errorf(tandem.Invalid, "", id, "the %s is twice among the changes", what)
		}
		versions[id] = version
		rewritten = append(rewritten, &items[i])
	}
	at, err := a.lockVersions(ctx, table, versions)
	if err != nil {
		return nil, nil, err
	}
	for id, version := range versions {
		switch found, ok := at[id]; {
		case !ok:
			return nil, nil, missing(what, id)
		case found != version:
			return nil, nil, movedOn(what, id)
		}
	}
	return added, rewritten, nil
}

const alertWritten = `organization_id, id, kind, subject, service_id, run_id, severity, message, hint, count, status, raised_at, last_at, escalated_at,
	acknowledged_by, acknowledged_at, resolved_by, resolved_at, version`

var rewriteAlert = " ON CONFLICT (organization_id, id) DO UPDATE SET " + assign("kind", "subject", "service_id", "run_id", "severity", "message", "hint", "count", "status",
	"raised_at", "last_at", "escalated_at", "acknowledged_by", "acknowledged_at", "resolved_by", "resolved_at", "version")

// alerts rewrites before it adds, so that resolving one and raising the next is one transaction.
func (a *apply) alerts(ctx context.Context) error {
	added, rewritten, err := versioned(ctx, a, "alerts", "alert", a.PutAlerts, func(one *tandem.Alert) (string, int64) { return one.ID, one.Version })
	if err != nil {
		return err
	}
	var services []string
	for _, one := range added {
		if one.ServiceID != "" {
			services = append(services, one.ServiceID)
		}
	}
	if err := a.exist(ctx, a.tx, a.org, "device_services", "service", services); err != nil {
		return err
	}
	if err := a.insert(ctx, a.tx, "alerts", alertWritten, rewriteAlert, len(rewritten), func(b *bulk, i int) { writeAlert(b, a.org, rewritten[i]) }); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "alerts", alertWritten, "", len(added), func(b *bulk, i int) { writeAlert(b, a.org, added[i]) })
}

func writeAlert(b *bulk, org string, v *tandem.Alert) {
	b.text(org)
	b.text(v.ID)
	b.text(string(v.Kind))
	b.text(v.Subject)
	b.opt(v.ServiceID)
	b.opt(v.RunID)
	b.text(string(v.Severity))
	b.text(v.Message)
	b.opt(v.Hint)
	b.int(int64(v.Count))
	b.text(string(v.Status))
	b.instant(v.RaisedAt)
	b.instant(v.LastAt)
	b.optTime(v.EscalatedAt)
	b.opt(v.AcknowledgedBy)
	b.optTime(v.AcknowledgedAt)
	b.opt(v.ResolvedBy)
	b.optTime(v.ResolvedAt)
	b.int(v.Version + 1)
}

const channelWritten = `organization_id, id, name, type, config, credentials, kinds, min_severity, escalation_only, throttle_seconds, is_active,
	last_sent_at, last_error, version, created_at, updated_at`

var rewriteChannel = " ON CONFLICT (organization_id, id) DO UPDATE SET " + assign("name", "type", "config", "credentials", "kinds", "min_severity", "escalation_only",
	"throttle_seconds", "is_active", "version", "updated_at")

// channels puts and drops. What NoteChannel notes stays.
func (a *apply) channels(ctx context.Context) error {
	if err := a.dropChannels(ctx); err != nil {
		return err
	}
	added, rewritten, err := versioned(ctx, a, "notification_channels", "channel", a.PutChannels, func(c *tandem.Channel) (string, int64) { return c.ID, c.Version })
	if err != nil {
		return err
	}
	if err := a.insert(ctx, a.tx, "notification_channels", channelWritten, rewriteChannel, len(rewritten), func(b *bulk, i int) { writeChannel(b, a.org, rewritten[i]) }); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "notification_channels", channelWritten, "", len(added), func(b *bulk, i int) { writeChannel(b, a.org, added[i]) })
}

// dropChannels removes channels with what they have not sent yet; what they sent stays with its alerts.
func (a *apply) dropChannels(ctx context.Context) error {
	list, err := in(idsOf(a.DropChannels))
	if err != nil || len(a.DropChannels) == 0 {
		return err
	}
	if err := a.atVersions(ctx, "notification_channels", "id", "channel", a.DropChannels); err != nil {
		return err
	}
	if _, err := a.tx.ExecContext(ctx, "DELETE FROM notifications WHERE organization_id = ? AND channel_id IN ? AND sent_at IS NULL", a.org, list); err != nil {
		return err
	}
	_, err = a.tx.ExecContext(ctx, "DELETE FROM notification_channels WHERE organization_id = ? AND id IN ?", a.org, list)
	return err
}

func writeChannel(b *bulk, org string, c *tandem.Channel) {
	b.text(org)
	b.text(c.ID)
	b.text(c.Name)
	b.text(string(c.Type))
	config := c.Config
	if len(config) == 0 {
		config = []byte("{}")
	}
	b.raw(config)
	b.bytes(c.Credentials)
	kinds := make([]string, len(c.Kinds))
	for i, kind := range c.Kinds {
		kinds[i] = string(kind)
	}
	b.list(kinds)
	b.opt(string(c.MinSeverity))
	b.bool(c.EscalationOnly)
	b.int(int64(c.ThrottleS))
	b.bool(c.IsActive)
	b.optTime(c.LastSentAt)
	b.opt(c.LastError)
	b.int(c.Version + 1)
	b.instant(c.CreatedAt)
	b.instant(c.UpdatedAt)
}

// notifications adds and rewrites by id; whoever rewrites one lets go of its claim.
func (a *apply) notifications(ctx context.Context) error {
	rows := lastOf(a.PutNotifications, func(n *tandem.Notification) string { return n.ID })
	var channels, alerts []string
	for _, n := range rows {
		if n.SentAt == nil && n.DeadAt == nil { // a channel may be dropped while it sends
			channels = append(channels, n.ChannelID)
		}
		if n.AlertID != "" {
			alerts = append(alerts, n.AlertID)
		}
	}
	if err := a.exist(ctx, a.tx, a.org, "notification_channels", "channel", channels); err != nil {
		return err
	}
	if err := a.exist(ctx, a.tx, a.org, "alerts", "alert", alerts); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "notifications", "organization_id, id, channel_id, alert_id, reason, attempts, next_at, sent_at, error, dead_at, created_at",
		" ON CONFLICT (organization_id, id) DO UPDATE SET "+assign("attempts", "next_at", "sent_at", "error", "dead_at")+", claimed_by = NULL, claimed_until = NULL",
		len(rows), func(b *bulk, i int) {
			n := rows[i]
			b.text(a.org)
			b.text(n.ID)
			b.text(n.ChannelID)
			b.opt(n.AlertID)
			b.text(n.Reason)
			b.int(int64(n.Attempts))
			b.instant(n.NextAt)
			b.optTime(n.SentAt)
			b.opt(n.Error)
			b.optTime(n.DeadAt)
			b.instant(n.CreatedAt)
		})
}
