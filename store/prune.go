package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// prune is one call of Prune: what it removes, and how much of each kind it may still remove.
type prune struct {
	*Store
	keep    tandem.Retention
	now     time.Time
	limit   int
	removed map[string]int
}

// Prune removes up to about limit rows of each kind and says how many.
func (s *Store) Prune(ctx context.Context, keep tandem.Retention, now time.Time, limit int) (removed map[string]int, err error) {
	const op = "remove what is old"
	p := prune{Store: s, keep: keep, now: now, limit: limit, removed: map[string]int{}}
	if err := s.ahead(ctx, now); err != nil {
		return p.removed, err
	}
	for _, step := range []func(context.Context, bun.Conn) error{p.counts, p.partitions, p.observations, p.hours, p.events, p.expired} {
		if err := s.write(ctx, op, everyOrganization, func(tx bun.Conn) error { return step(ctx, tx) }); err != nil {
			return p.removed, err
		}
	}
	organizations, err := s.Organizations(ctx)
	if err != nil {
		return p.removed, err
	}
	for _, o := range organizations {
		if err := p.organization(ctx, o.ID); err != nil {
			return p.removed, err
		}
	}
	return p.removed, nil
}

// before gives the instant before which what is kept for a time is old; not ok where it is kept for ever.
func (p *prune) before(kept time.Duration) (string, bool) { return at(p.now.Add(-kept)), kept > 0 }

// left is how many rows of a kind may still go.
func (p *prune) left(kind string) int { return max(p.limit-p.removed[kind], 0) }

// delete removes rows and counts them.
func (p *prune) delete(ctx context.Context, tx bun.Conn, kind, text string, args ...any) (int, error) {
	n, err := count(tx.ExecContext(ctx, text, args...))
	if n > 0 {
		p.removed[kind] += n
	}
	return n, err
}

// deliveries removes an organization's deliveries with their states and keys. An id is newer than those before it, so that
// the oldest are the first.
func (p *prune) deliveries(ctx context.Context, tx bun.Conn, org string) error {
	before, ok := p.before(p.keep.Deliveries)
	if !ok {
		return nil
	}
	var old []tandem.Delivery
	if err := query(ctx, tx, func(rows *sql.Rows) error {
		d := tandem.Delivery{OrganizationID: org}
		var event word
		var sent stamp
		err := rows.Scan(&d.ID, &d.ServiceID, &event, &d.Digest, &sent)
		d.EventID, d.SentAt = string(event), sent.ptr()
		old = append(old, d)
		return err
	}, `SELECT d.id, d.service_id, d.event_id, d.digest, d.sent_at FROM (SELECT id, service_id, event_id, digest, sent_at, received_at FROM deliveries
			WHERE organization_id = ? ORDER BY id LIMIT ?) AS d WHERE d.received_at < ?`, org, p.left("deliveries"), before); err != nil || len(old) == 0 {
		return err
	}
	for _, table := range []string{"delivery_states", "deliveries"} {
		if _, err := p.bulkly(ctx, tx, "DELETE FROM "+table+" WHERE (organization_id, id) IN (", ")", len(old), func(b *bulk, i int) {
			b.text(org)
			b.text(old[i].ID)
		}); err != nil {
			return err
		}
	}
	p.removed["deliveries"] += len(old)
	until := p.now.Add(sameWithin - p.keep.Deliveries).UnixMicro() // a later one may have taken a digest's key over
	_, err := p.bulkly(ctx, tx, "DELETE FROM delivery_keys WHERE (until IS NULL OR until < "+strconv.FormatInt(until, 10)+") AND (organization_id, key) IN (", ")",
		len(old), func(b *bulk, i int) {
			k := keyOf(&old[i])
			b.text(k.org)
			b.bytes([]byte(k.key))
		})
	return err
}

// counts removes how many deliveries there were in minutes of which none is kept.
func (p *prune) counts(ctx context.Context, tx bun.Conn) error {
	if _, ok := p.before(p.keep.Deliveries); !ok {
		return nil
	}
	_, err := p.delete(ctx, tx, "delivery counts", `DELETE FROM delivery_counts WHERE (organization_id, minute, service_id, status) IN
		(SELECT organization_id, minute, service_id, status FROM delivery_counts WHERE minute < ? ORDER BY minute LIMIT ?)`,
		minuteOf(p.now.Add(-p.keep.Deliveries)), p.limit)
	return err
}

func (p *prune) events(ctx context.Context, tx bun.Conn) error {
	before, ok := p.before(p.keep.Events)
	if !ok {
		return nil
	}
	_, err := p.delete(ctx, tx, "events", "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE at < ? ORDER BY at LIMIT ?)", before, p.limit)
	return err
}

// expired removes what ended by itself.
func (p *prune) expired(ctx context.Context, tx bun.Conn) error {
	now := at(p.now)
	for _, table := range []struct{ kind, name, key string }{
		{"sessions", "sessions", "id"}, {"links", "one_time_links", "id"}, {"answers", "idempotency_keys", "organization_id, key"},
	} {
		key := "(" + table.key + ")"
		if _, err := p.delete(ctx, tx, table.kind, "DELETE FROM "+table.name+" WHERE "+key+" IN (SELECT "+table.key+" FROM "+table.name+
			" WHERE expires_at < ? ORDER BY expires_at LIMIT ?)", now, p.limit); err != nil {
			return err
		}
	}
	return nil
}

// organization removes what is old of one, in a few transactions.
func (p *prune) organization(ctx context.Context, org string) error {
	const op = "remove what is old"
	for _, step := range []func(context.Context, bun.Conn, string) error{p.deliveries, p.alerts, p.gateway, p.conflicts, p.plans, p.markRuns, p.runs} {
		if err := p.write(ctx, op, org, func(tx bun.Conn) error {
			if err := p.known(ctx, tx, org); err != nil {
				return err
			}
			return step(ctx, tx, org)
		}); err != nil && !tandem.Is(err, tandem.NotFound) { // the organization may go meanwhile
			return err
		}
	}
	return nil
}

// gateway removes commands that are over, and credentials that were revoked.
func (p *prune) gateway(ctx context.Context, tx bun.Conn, org string) error {
	before, ok := p.before(p.keep.Commands)
	if !ok {
		return nil
	}
	if _, err := p.delete(ctx, tx, "commands", `DELETE FROM device_commands WHERE organization_id = ? AND id IN (SELECT id FROM device_commands
		WHERE organization_id = ? AND created_at < ? AND NOT (`+openCommand+`) ORDER BY created_at LIMIT ?)`, org, org, before, p.left("commands")); err != nil {
		return err
	}
	_, err := p.delete(ctx, tx, "credentials", `DELETE FROM device_credentials WHERE organization_id = ? AND id IN (SELECT id FROM device_credentials
		WHERE organization_id = ? AND revoked_at < ? ORDER BY revoked_at LIMIT ?)`, org, org, before, p.left("credentials"))
	return err
}

// alerts removes resolved ones with their notifications.
func (p *prune) alerts(ctx context.Context, tx bun.Conn, org string) error {
	before, ok := p.before(p.keep.Alerts)
	if !ok {
		return nil
	}
	const old = "SELECT id FROM alerts WHERE organization_id = ? AND status = 'resolved' AND raised_at < ? AND resolved_at < ? ORDER BY raised_at LIMIT ?"
	if _, err := p.delete(ctx, tx, "notifications", "DELETE FROM notifications WHERE organization_id = ? AND alert_id IN ("+old+")",
		org, org, before, before, p.left("alerts")); err != nil {
		return err
	}
	if _, err := p.delete(ctx, tx, "notifications", `DELETE FROM notifications WHERE organization_id = ? AND id IN (SELECT id FROM notifications
		WHERE organization_id = ? AND alert_id IS NULL AND created_at < ? ORDER BY created_at LIMIT ?)`, org, org, before, p.left("notifications")); err != nil {
		return err
	}
	_, err := p.delete(ctx, tx, "alerts", "DELETE FROM alerts WHERE organization_id = ? AND id IN ("+old+")", org, org, before, before, p.left("alerts"))
	return err
}

// conflicts removes closed ones.
func (p *prune) conflicts(ctx context.Context, tx bun.Conn, org string) error {
	before, ok := p.before(p.keep.Runs)
	if !ok {
		return nil
	}
	_, err := p.delete(ctx, tx, "conflicts", `DELETE FROM device_conflicts WHERE organization_id = ? AND id IN (SELECT id FROM device_conflicts
		WHERE organization_id = ? AND resolution_status NOT IN ('pending', 'resolving') AND created_at < ? AND updated_at < ? ORDER BY created_at LIMIT ?)`,
		org, org, before, before, p.left("conflicts"))
	return err
}

// plans removes used and discarded ones, in steps where one is long. One that nobody used is discarded first: half of it
// must not be there to be used. It stays while a run has to do with it, such as a blocked one that waits for a person.
func (p *prune) plans(ctx context.Context, tx bun.Conn, org string) error {
	before, ok := p.before(p.keep.Runs)
	if !ok {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE sync_plans SET status = 'discarded' WHERE organization_id = ? AND status = 'open' AND created_at < ?
		AND NOT EXISTS (SELECT 1 FROM golioth_sync_log AS r WHERE r.organization_id = sync_plans.organization_id
			AND (r.plan_id = sync_plans.id OR r.id = sync_plans.run_id) AND r.status IN ('blocked', 'queued', 'running'))`, org, before); err != nil {
		return err
	}
	const old = "SELECT id FROM sync_plans WHERE organization_id = ? AND status <> 'open' AND created_at < ? AND (used_at IS NULL OR used_at < ?) ORDER BY created_at LIMIT ?"
	if _, err := p.delete(ctx, tx, "plan rows", `DELETE FROM sync_plan_changes WHERE (organization_id, plan_id, position) IN (SELECT organization_id, plan_id, position
		FROM sync_plan_changes WHERE organization_id = ? AND plan_id IN (`+old+`) LIMIT ?)`, org, org, before, before, p.limit, p.left("plan rows")); err != nil {
		return err
	}
	_, err := p.delete(ctx, tx, "plans", "DELETE FROM sync_plans WHERE organization_id = ? AND id IN ("+old+`)
		AND NOT EXISTS (SELECT 1 FROM sync_plan_changes AS c WHERE c.organization_id = sync_plans.organization_id AND c.plan_id = sync_plans.id)`,
		org, org, before, before, p.left("plans"))
	return err
}

// markRuns picks the runs that go and says so in the audit, so that their entries, which the audit's chain has digests of,
// are not missed. It leaves those that something open hangs on: a plan, a conflict, an intent, a lease.
func (p *prune) markRuns(ctx context.Context, tx bun.Conn, org string) error {
	before, ok := p.before(p.keep.Runs)
	if !ok {
		return nil
	}
	var marked []tandem.AuditEntry
	if err := query(ctx, tx, func(rows *sql.Rows) error {
		var id, status word
		var created stamp
		if err := rows.Scan(&id, &status, &created); err != nil {
			return err
		}
		after, err := json.Marshal(map[string]any{"status": string(status), "created_at": created.Time})
		marked = append(marked, tandem.AuditEntry{ID: newEventID(), OrganizationID: org, At: p.now, ActorKind: tandem.SystemActor, Actor: "retention",
			Action: "run.pruned", ThingType: "run", ThingID: string(id), RunID: string(id), Before: after})
		return err
	}, `SELECT r.id, r.status, r.created_at FROM golioth_sync_log AS r WHERE r.organization_id = ? AND r.created_at < ? AND r.pruned_at IS NULL
			AND r.status NOT IN ('queued', 'running') AND (r.completed_at IS NULL OR r.completed_at < ?)
			AND NOT EXISTS (SELECT 1 FROM sync_plans AS p WHERE p.organization_id = r.organization_id AND p.status = 'open' AND (p.id = r.plan_id OR p.run_id = r.id))
			AND NOT EXISTS (SELECT 1 FROM device_conflicts AS c WHERE c.organization_id = r.organization_id AND c.run_id = r.id AND c.resolution_status IN ('pending', 'resolving'))
			AND NOT EXISTS (SELECT 1 FROM remote_intents AS i WHERE i.organization_id = r.organization_id AND i.run_id = r.id)
			AND NOT EXISTS (SELECT 1 FROM service_leases AS l WHERE l.organization_id = r.organization_id AND l.run_id = r.id AND l.holder <> '')
		ORDER BY r.created_at LIMIT ?`+p.dialect.Lock(), org, before, before, p.left("runs")); err != nil || len(marked) == 0 {
		return err
	}
	ids := make([]string, len(marked))
	for i := range marked {
		ids[i] = marked[i].ThingID
	}
	if err := p.inChunks("id", ids, 10*chunk, func(list bun.Safe) error {
		_, err := tx.ExecContext(ctx, "UPDATE golioth_sync_log SET pruned_at = ? WHERE organization_id = ? AND ?", at(p.now), org, list)
		return err
	}); err != nil {
		return err
	}
	return p.along(ctx, tx, org, &tandem.Along{Audit: marked})
}

// runs removes the entries of marked runs in steps, and each run once it has none.
func (p *prune) runs(ctx context.Context, tx bun.Conn, org string) error {
	if _, err := p.delete(ctx, tx, "entries", `DELETE FROM golioth_sync_log_entries WHERE (organization_id, run_id, created_at, id) IN
		(SELECT e.organization_id, e.run_id, e.created_at, e.id FROM golioth_sync_log_entries AS e WHERE e.organization_id = ? AND e.run_id IN
			(SELECT r.id FROM golioth_sync_log AS r WHERE r.organization_id = ? AND r.pruned_at IS NOT NULL) LIMIT ?)`,
		org, org, p.left("entries")); err != nil {
		return err
	}
	_, err := p.delete(ctx, tx, "runs", `DELETE FROM golioth_sync_log WHERE organization_id = ? AND pruned_at IS NOT NULL AND NOT EXISTS
		(SELECT 1 FROM golioth_sync_log_entries AS e WHERE e.organization_id = golioth_sync_log.organization_id AND e.run_id = golioth_sync_log.id)`, org)
	return err
}
