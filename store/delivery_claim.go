package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// ClaimDeliveries gives due deliveries, of any organization, to one process for a time, oldest first. A device of which
// another process has a delivery is left to that process, so that a device's deliveries stay in order; claims therefore
// exclude each other while they are made.
func (s *Store) ClaimDeliveries(ctx context.Context, holder string, limit int, ttl time.Duration) (claimed []tandem.Delivery, err error) {
	const op = "claim deliveries"
	if err := checkText(holder); err != nil {
		return nil, s.fail(op, err)
	}
	if limit <= 0 {
		return nil, nil
	}
	if s.dialect.Exclude(op) == "" { // writers exclude each other: not for nothing
		if due, err := s.anyDue(ctx); err != nil || !due {
			return nil, err
		}
	}
	var rows []dueDelivery
	err = s.writeAs(ctx, op, everyOrganization, Repeating, func(tx bun.Conn) error {
		rows = nil
		if statement := s.dialect.Exclude(op); statement != "" {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		now, err := s.instant(ctx, tx)
		if err != nil {
			return err
		}
		if rows, err = dueDeliveries(ctx, tx, now, limit); err != nil || len(rows) == 0 {
			return err
		}
		if _, err := s.bulkly(ctx, tx, "WITH v (organization_id, id) AS (", `) UPDATE delivery_states AS s SET claimed_by = `+quoted(holder)+
			`, claimed_until = `+s.dialect.Cast(quoted(formatTime(now.Add(ttl))), "time")+` FROM v WHERE s.organization_id = v.organization_id AND s.id = v.id`,
			len(rows), func(b *bulk, i int) {
				b.text(rows[i].OrganizationID)
				b.text(rows[i].ID)
			}); err != nil {
			return err
		}
		return s.recall(ctx, tx, rows)
	})
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].there {
			claimed = append(claimed, rows[i].Delivery)
		}
	}
	return claimed, nil
}

// recall gives rows what the deliveries themselves say: those that this process stored lately it remembers, the others it reads.
func (s *Store) recall(ctx context.Context, tx bun.Conn, rows []dueDelivery) error {
	at := map[recentKey]int{}
	var unknown []int
	for i := range rows {
		if d, ok := s.recent.take(rows[i].OrganizationID, rows[i].ID); ok {
			rows[i].tell(&d)
			continue
		}
		at[recentKey{rows[i].OrganizationID, rows[i].ID}] = i
		unknown = append(unknown, i)
	}
	var read []tandem.Delivery
	if err := s.returning(ctx, tx, "WITH v (organization_id, id) AS (", `) SELECT `+deliveryRead+` FROM v
		CROSS JOIN delivery_states AS s CROSS JOIN deliveries AS d WHERE s.organization_id = v.organization_id AND s.id = v.id
		AND d.organization_id = v.organization_id AND d.id = v.id`,
		len(unknown), func(b *bulk, i int) {
			b.text(rows[unknown[i]].OrganizationID)
			b.text(rows[unknown[i]].ID)
		}, func(reply *sql.Rows) error { return scanDelivery(reply, &read) }); err != nil {
		return err
	}
	for i := range read {
		rows[at[recentKey{read[i].OrganizationID, read[i].ID}]].tell(&read[i])
	}
	return nil
}

// claimable is where a delivery is due.
const claimable = "due_at IS NOT NULL AND due_at <= ?"

// anyDue looks, without keeping a writer out, whether there is something to claim.
func (s *Store) anyDue(ctx context.Context) (due bool, err error) {
	err = s.read(ctx, "look for due deliveries", everyOrganization, func(tx bun.Conn) error {
		now, err := s.instant(ctx, tx)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM delivery_states WHERE "+claimable+" AND (claimed_until IS NULL OR claimed_until <= ?))",
			at(now), at(now)).Scan(&due)
	})
	return due, err
}

// dueDelivery is a row to claim: its state, and, once it is there, the delivery itself.
type dueDelivery struct {
	tandem.Delivery
	there bool
}

// tell adds the delivery to its state.
func (r *dueDelivery) tell(d *tandem.Delivery) {
	state := r.Delivery
	r.Delivery, r.there = *d, true
	r.Status, r.Attempts, r.NextAt, r.Error, r.ProcessedAt, r.RunID = state.Status, state.Attempts, state.NextAt, state.Error, state.ProcessedAt, state.RunID
}

// dueDeliveries walks what is due, oldest first, claimed or not: a claimed one keeps those of its device behind it.
func dueDeliveries(ctx context.Context, tx bun.Conn, now time.Time, limit int) (free []dueDelivery, err error) {
	type device struct{ org, service, external string }
	busy := map[device]bool{}
	after, args := "", []any{}
	for step := limit; ; {
		seen := 0
		var last stamp
		var lastID string
		err := query(ctx, tx, func(rows *sql.Rows) error {
			d := dueDelivery{}
			var failure, run word
			var until, processed stamp
			if err := rows.Scan(&d.OrganizationID, &d.ID, &d.ServiceID, &d.ExternalDeviceID, &d.Status, &d.Attempts, &last, &failure, &processed, &run, &until); err != nil {
				return err
			}
			d.NextAt, d.Error, d.ProcessedAt, d.RunID = last.ptr(), string(failure), processed.ptr(), string(run)
			seen, lastID = seen+1, d.ID
			whose := device{d.OrganizationID, d.ServiceID, d.ExternalDeviceID}
			switch {
			case until.After(now):
				busy[whose] = d.ExternalDeviceID != ""
			case len(free) < limit && !busy[whose]:
				free = append(free, d)
			}
			return nil
		}, "SELECT organization_id, id, service_id, external_device_id, status, attempts, due_at, error, processed_at, run_id, claimed_until FROM delivery_states WHERE "+
			claimable+after+" ORDER BY due_at, id LIMIT ?", append(append([]any{at(now)}, args...), step)...)
		if err != nil || seen < step || len(free) >= limit {
			return free, err
		}
		after, args = " AND (due_at, id) > (?, ?)", []any{at(last.Time), lastID}
	}
}

// ReplayDeliveries sets deliveries back to stored, due now. Left out are ids of others, refused ones, which nobody has
// proven to be authentic, and those that wait for their processing anyway.
func (s *Store) ReplayDeliveries(ctx context.Context, org string, ids []string, along ...tandem.Along) (replayed int, err error) {
	err = s.writeWith(ctx, "replay deliveries", org, along, func(tx bun.Conn) error {
		if err := s.known(ctx, tx, org); err != nil {
			return err
		}
		replayed, err = s.backToStored(ctx, tx, org, ids, "id", "status IN ('retrying', 'waiting', 'dead', 'processed') AND (claimed_until IS NULL OR claimed_until <= "+s.dialect.Clock()+")")
		return err
	})
	return replayed, err
}

// WakeDeliveries sets those that wait for remote devices back to stored: they were linked meanwhile.
func (s *Store) WakeDeliveries(ctx context.Context, org, service string, externalIDs []string) (woken int, err error) {
	if err := checkText(service); err != nil {
		return 0, s.fail("wake deliveries", err)
	}
	err = s.write(ctx, "wake deliveries", org, func(tx bun.Conn) error {
		woken, err = s.backToStored(ctx, tx, org, externalIDs, "external_device_id", "service_id = "+quoted(service)+" AND status = 'waiting'")
		return err
	})
	return woken, err
}

// backToStored makes deliveries wait for their processing as if they had just come, and tells of it.
func (s *Store) backToStored(ctx context.Context, tx bun.Conn, org string, values []string, column, where string) (n int, err error) {
	now, err := s.instant(ctx, tx)
	if err != nil {
		return 0, err
	}
	err = s.inChunks(column, values, 10*chunk, func(list bun.Safe) error {
		some, err := count(tx.ExecContext(ctx, `UPDATE delivery_states SET status = 'stored', attempts = 0, due_at = ?, error = NULL, processed_at = NULL,
			claimed_by = NULL, claimed_until = NULL WHERE organization_id = ? AND ? AND `+where, at(now), org, list))
		n += some
		return err
	})
	if err != nil || n == 0 {
		return n, err
	}
	return n, s.putEvents(ctx, tx, []tandem.Event{{ID: newEventID(), OrganizationID: org, At: now, Kind: deliveriesKind, Many: true}})
}
