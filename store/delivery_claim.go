package store

import (
	"context"
	"database/sql"
	"slices"
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
	if due, err := s.anyDue(ctx); err != nil || !due || limit <= 0 {
		return nil, err
	}
	err = s.write(ctx, op, everyOrganization, func(tx bun.Conn) error {
		claimed = nil
		if statement := s.dialect.Exclude(op); statement != "" {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		now, err := s.instant(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := dueDeliveries(ctx, tx, now, limit)
		if err != nil || len(rows) == 0 {
			return err
		}
		mine := func(b *bulk, i int) {
			b.text(rows[i].org)
			b.text(rows[i].id)
		}
		if _, err := s.bulkly(ctx, tx, "WITH v (organization_id, id) AS (", `) UPDATE delivery_states AS s SET claimed_by = `+quoted(holder)+
			`, claimed_until = `+s.dialect.Cast(quoted(formatTime(now.Add(ttl))), "time")+` FROM v WHERE s.organization_id = v.organization_id AND s.id = v.id`,
			len(rows), mine); err != nil {
			return err
		}
		if err := s.returning(ctx, tx, "WITH v (organization_id, id) AS (", `) SELECT `+deliveryRead+` FROM v
			CROSS JOIN delivery_states AS s CROSS JOIN deliveries AS d WHERE s.organization_id = v.organization_id AND s.id = v.id
			AND d.organization_id = v.organization_id AND d.id = v.id`,
			len(rows), mine, func(reply *sql.Rows) error { return scanDelivery(reply, &claimed) }); err != nil {
			return err
		}
		inOrder(claimed, rows)
		return nil
	})
	return claimed, err
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

// dueDelivery is a row to claim.
type dueDelivery struct{ org, id, service, external string }

// dueDeliveries walks what is due, oldest first, claimed or not: a claimed one keeps those of its device behind it.
func dueDeliveries(ctx context.Context, tx bun.Conn, now time.Time, limit int) (free []dueDelivery, err error) {
	type device struct{ org, service, external string }
	busy := map[device]bool{}
	after, args := "", []any{}
	for step := limit + chunk; ; {
		seen := 0
		var last stamp
		var lastID string
		err := query(ctx, tx, func(rows *sql.Rows) error {
			d := dueDelivery{}
			var until stamp
			if err := rows.Scan(&d.org, &d.id, &d.service, &d.external, &last, &until); err != nil {
				return err
			}
			seen, lastID = seen+1, d.id
			whose := device{d.org, d.service, d.external}
			switch {
			case until.After(now):
				busy[whose] = d.external != ""
			case len(free) < limit && !busy[whose]:
				free = append(free, d)
			}
			return nil
		}, "SELECT organization_id, id, service_id, external_device_id, due_at, claimed_until FROM delivery_states WHERE "+claimable+after+
			" ORDER BY due_at, id LIMIT ?", append(append([]any{at(now)}, args...), step)...)
		if err != nil || seen < step || len(free) >= limit {
			return free, err
		}
		after, args = " AND (due_at, id) > (?, ?)", []any{at(last.Time), lastID}
	}
}

// inOrder sorts deliveries as the rows are.
func inOrder(deliveries []tandem.Delivery, rows []dueDelivery) {
	type key struct{ org, id string }
	place := make(map[key]int, len(rows))
	for i := range rows {
		place[key{rows[i].org, rows[i].id}] = i
	}
	slices.SortFunc(deliveries, func(a, b tandem.Delivery) int {
		return place[key{a.OrganizationID, a.ID}] - place[key{b.OrganizationID, b.ID}]
	})
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
