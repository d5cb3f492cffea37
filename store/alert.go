package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

const alertRead = `a.organization_id, a.id, a.kind, a.subject, a.service_id, a.run_id, a.severity, a.message, a.hint, a.count, a.status, a.raised_at, a.last_at,
	a.escalated_at, a.acknowledged_by, a.acknowledged_at, a.resolved_by, a.resolved_at, a.version`

// Alerts lists alerts, newest first unless sorted otherwise, and counts all matches. Open ones only unless All or Status.
func (s *Store) Alerts(ctx context.Context, org string, q tandem.AlertFilter) (found []tandem.Alert, total int, err error) {
	f := &filter{}
	order := f.ordered(alertOrders, q.Sort)
	f.add("a.organization_id = ?", org)
	f.among("a.id", q.IDs)
	f.equal("a.service_id", q.ServiceID)
	f.equal("a.kind", string(q.Kind))
	switch {
	case q.Status != "":
		f.equal("a.status", string(q.Status))
	case !q.All:
		f.add("a.status IN ('raised', 'acknowledged')")
	}
	err = s.read(ctx, "list alerts", org, func(tx bun.Conn) error {
		if total, err = f.count(ctx, tx, "alerts AS a"); err != nil {
			return err
		}
		text, args := f.page(alertRead, "alerts AS a", order, q.Page)
		found, err = scanAlerts(ctx, tx, text, args...)
		return err
	})
	return found, total, err
}

// Alert reads one.
func (s *Store) Alert(ctx context.Context, org, id string) (tandem.Alert, error) {
	return s.oneAlert(ctx, org, id, "a.id = ?", id)
}

// OpenAlert finds the open one of a kind and subject.
func (s *Store) OpenAlert(ctx context.Context, org string, kind tandem.AlertKind, subject string) (tandem.Alert, error) {
	return s.oneAlert(ctx, org, string(kind)+" "+subject, "a.kind = ? AND a.subject = ? AND a.status <> 'resolved'", string(kind), subject)
}

func (s *Store) oneAlert(ctx context.Context, org, thing, where string, args ...any) (found tandem.Alert, err error) {
	err = s.read(ctx, "find an alert", org, func(tx bun.Conn) error {
		some, err := scanAlerts(ctx, tx, "SELECT "+alertRead+" FROM alerts AS a WHERE a.organization_id = ? AND "+where, append([]any{org}, args...)...)
		switch {
		case err != nil:
			return err
		case len(some) == 0:
			return missing("alert", thing)
		}
		found = some[0]
		return nil
	})
	return found, err
}

// AlertsToEscalate gives raised ones, of any organization, the oldest first, that did not escalate yet.
func (s *Store) AlertsToEscalate(ctx context.Context, raisedBefore time.Time, limit int) (found []tandem.Alert, err error) {
	err = s.read(ctx, "look for alerts to escalate", everyOrganization, func(tx bun.Conn) error {
		found, err = scanAlerts(ctx, tx, "SELECT "+alertRead+` FROM alerts AS a WHERE a.status = 'raised' AND a.escalated_at IS NULL AND a.raised_at < ?
			ORDER BY a.raised_at, a.id LIMIT ?`, at(raisedBefore), limit)
		return err
	})
	return found, err
}

func scanAlerts(ctx context.Context, tx bun.Conn, text string, args ...any) (found []tandem.Alert, err error) {
	err = query(ctx, tx, func(rows *sql.Rows) error {
		v := tandem.Alert{}
		var service, run, hint, acknowledgedBy, resolvedBy word
		var raised, last, escalated, acknowledged, resolved stamp
		if err := rows.Scan(&v.OrganizationID, &v.ID, &v.Kind, &v.Subject, &service, &run, &v.Severity, &v.Message, &hint, &v.Count, &v.Status, &raised, &last,
			&escalated, &acknowledgedBy, &acknowledged, &resolvedBy, &resolved, &v.Version); err != nil {
			return err
		}
		v.ServiceID, v.RunID, v.Hint, v.AcknowledgedBy, v.ResolvedBy = string(service), string(run), string(hint), string(acknowledgedBy), string(resolvedBy)
		v.RaisedAt, v.LastAt, v.EscalatedAt, v.AcknowledgedAt, v.ResolvedAt = raised.Time, last.Time, escalated.ptr(), acknowledged.ptr(), resolved.ptr()
		found = append(found, v)
		return nil
	}, text, args...)
	return found, err
}
