package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

const channelRead = `id, name, type, config, credentials, kinds, min_severity, escalation_only, throttle_seconds, is_active, last_sent_at, last_error,
	version, created_at, updated_at`

// Channels lists channels by name.
func (s *Store) Channels(ctx context.Context, org string) ([]tandem.Channel, error) {
	return s.channels(ctx, "list channels", org, "TRUE ORDER BY name")
}

// Channel finds one by id, else by name.
func (s *Store) Channel(ctx context.Context, org, idOrName string) (tandem.Channel, error) {
	const op = "find a channel"
	if err := checkText(idOrName); err != nil {
		return tandem.Channel{}, s.fail(op, err)
	}
	found, err := s.channels(ctx, op, org, "(id = ? OR name = ?) ORDER BY id <> ? LIMIT 1", idOrName, idOrName, idOrName)
	if err == nil && len(found) == 0 {
		err = s.fail(op, missing("channel", idOrName))
	}
	if err != nil {
		return tandem.Channel{}, err
	}
	return found[0], nil
}

func (s *Store) channels(ctx context.Context, op, org, where string, args ...any) (found []tandem.Channel, err error) {
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			c := tandem.Channel{OrganizationID: org}
			var config, kinds, severity, failure word
			var sent, created, updated stamp
			if err := rows.Scan(&c.ID, &c.Name, &c.Type, &config, &c.Credentials, &kinds, &severity, &c.EscalationOnly, &c.ThrottleS, &c.IsActive,
				&sent, &failure, &c.Version, &created, &updated); err != nil {
				return err
			}
			c.Config, c.MinSeverity, c.LastError = config.raw(), tandem.Severity(severity), string(failure)
			c.LastSentAt, c.CreatedAt, c.UpdatedAt = sent.ptr(), created.Time, updated.Time
			if err := kinds.decode(&c.Kinds); err != nil {
				return err
			}
			found = append(found, c)
			return nil
		}, "SELECT "+channelRead+" FROM notification_channels WHERE organization_id = ? AND "+where, append([]any{org}, args...)...)
	})
	return found, err
}

// NoteChannel writes LastSentAt, unless it is nil, and LastError alone.
func (s *Store) NoteChannel(ctx context.Context, org, id string, sentAt *time.Time, lastError string) error {
	return s.write(ctx, "note a channel's sending", org, func(tx bun.Conn) error {
		b := bulk{dialect: s.dialect}
		sent, failure := b.literal(func() { b.optTime(sentAt) }), b.literal(func() { b.opt(lastError) })
		if b.err != nil {
			return b.err
		}
		result, err := tx.ExecContext(ctx, "UPDATE notification_channels SET last_sent_at = COALESCE("+s.dialect.Cast("?", "time")+`, last_sent_at), last_error = ?
			WHERE organization_id = ? AND id = ?`, sent, failure, org, id)
		if err != nil {
			return err
		}
		return affected(result, missing("channel", id))
	})
}

const notificationRead = "n.organization_id, n.id, n.channel_id, n.alert_id, n.reason, n.attempts, n.next_at, n.sent_at, n.error, n.dead_at, n.created_at"

// ClaimNotifications gives due ones of any organization, the longest due first, to one process for a time.
func (s *Store) ClaimNotifications(ctx context.Context, holder string, limit int, ttl time.Duration) (claimed []tandem.Notification, err error) {
	err = s.write(ctx, "claim notifications", everyOrganization, func(tx bun.Conn) error {
		now, err := s.instant(ctx, tx)
		if err != nil {
			return err
		}
		claimed, err = scanNotifications(ctx, tx, "SELECT "+notificationRead+` FROM notifications AS n WHERE n.sent_at IS NULL AND n.dead_at IS NULL AND n.next_at <= ?
			AND (n.claimed_until IS NULL OR n.claimed_until <= ?) ORDER BY n.next_at, n.id LIMIT ?`+s.dialect.LockFree(), at(now), at(now), limit)
		if err != nil {
			return err
		}
		return s.holdNotifications(ctx, tx, claimed, holder, now.Add(ttl), "")
	})
	return claimed, err
}

// KeepNotifications keeps from other processes for longer what this one has claimed and still has.
func (s *Store) KeepNotifications(ctx context.Context, holder string, claimed []tandem.Notification, ttl time.Duration) error {
	return s.write(ctx, "keep notifications", everyOrganization, func(tx bun.Conn) error {
		now, err := s.instant(ctx, tx)
		if err != nil {
			return err
		}
		return s.holdNotifications(ctx, tx, claimed, holder, now.Add(ttl), " AND n.claimed_by = "+quoted(holder))
	})
}

// holdNotifications writes who has some, and until when.
func (s *Store) holdNotifications(ctx context.Context, tx bun.Conn, of []tandem.Notification, holder string, until time.Time, where string) error {
	for some := range slices.Chunk(of, chunk) {
		if _, err := s.bulkly(ctx, tx, "WITH v (organization_id, id) AS (", `) UPDATE notifications AS n SET claimed_by = `+quoted(holder)+
			`, claimed_until = `+s.dialect.Cast(quoted(formatTime(until)), "time")+` FROM v WHERE n.organization_id = v.organization_id AND n.id = v.id`+where,
			len(some), func(b *bulk, i int) {
				b.text(some[i].OrganizationID)
				b.text(some[i].ID)
			}); err != nil {
			return err
		}
	}
	return nil
}

// Notifications lists a channel's, newest first; of all channels when it is "".
func (s *Store) Notifications(ctx context.Context, org, channel string, page tandem.Page) (found []tandem.Notification, total int, err error) {
	f := &filter{}
	f.add("n.organization_id = ?", org)
	f.equal("n.channel_id", channel)
	err = s.read(ctx, "list notifications", org, func(tx bun.Conn) error {
		if total, err = f.countSome(ctx, tx, "notifications AS n"); err != nil {
			return err
		}
		text, args := f.page(notificationRead, "notifications AS n", "n.created_at DESC, n.id DESC", page)
		found, err = scanNotifications(ctx, tx, text, args...)
		return err
	})
	return found, total, err
}

func scanNotifications(ctx context.Context, tx bun.Conn, text string, args ...any) (found []tandem.Notification, err error) {
	err = query(ctx, tx, func(rows *sql.Rows) error {
		n := tandem.Notification{}
		var alert, failure word
		var next, sent, dead, created stamp
		if err := rows.Scan(&n.OrganizationID, &n.ID, &n.ChannelID, &alert, &n.Reason, &n.Attempts, &next, &sent, &failure, &dead, &created); err != nil {
			return err
		}
		n.AlertID, n.Error = string(alert), string(failure)
		n.NextAt, n.SentAt, n.DeadAt, n.CreatedAt = next.Time, sent.ptr(), dead.ptr(), created.Time
		found = append(found, n)
		return nil
	}, text, args...)
	return found, err
}
