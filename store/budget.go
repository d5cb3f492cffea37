package store

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// What spreads requests unevenly over any 60 seconds: how far they may run ahead of an even pace, how late a granted
// one may start, and how much longer one may travel than another.
const (
	burst  = 250 * time.Millisecond
	travel = 400 * time.Millisecond
)

// Pace says how far apart requests are granted, and how far they may run ahead of that, so that no 60 seconds see more
// than perMinute arrive (S32). From rest, ahead/pace are granted at once and one with each pace that passes, so in a
// span at most (ahead + span)/pace; what arrives within 60 seconds was granted within a minute, GrantLife and travel.
func Pace(perMinute int) (pace, ahead time.Duration) {
	const span = time.Minute + tandem.GrantLife + travel
	pace = ((burst + span) / time.Duration(perMinute+1)).Truncate(time.Microsecond) + time.Microsecond
	if pace < burst {
		return pace, burst
	}
	pace = (span / time.Duration(perMinute)).Truncate(time.Microsecond) + time.Microsecond // one at a time
	return pace, pace
}

// TakeRequests grants up to want requests now under perMinute, or says when to ask again (S32). It is the generic
// cell rate algorithm in one statement: arrival is when the next request is due if all came at an even pace. It is never
// further off than requests may run ahead, unless the clock was set back: then that is as far as it counts.
func (s *Store) TakeRequests(ctx context.Context, org, service string, want, perMinute int) (granted int, wait time.Duration, err error) {
	const op = "take from a service's budget"
	if want < 1 || perMinute < 1 {
		return 0, 0, tandem.Errorf(tandem.Invalid, op, service, "%d requests at %d a minute cannot be taken", want, perMinute)
	}
	every, most := Pace(perMinute)
	pace, ahead := every.Microseconds(), most.Microseconds()
	now, greatest, least := s.dialect.Micros(), s.dialect.Greatest(), s.dialect.Least()
	due := fmt.Sprintf("%s(%s(service_budgets.arrival, %s), %s + %d)", least, greatest, now, now, ahead)
	grant := fmt.Sprintf("%s(0, %s(%d, (%s + %d - %s) / %d))", greatest, least, want, now, ahead, due, pace)
	first := min(int64(want), ahead/pace)
	var arrival, given, micros int64
	err = s.write(ctx, op, org, func(tx bun.Conn) error {
		return s.parentless(tx.QueryRowContext(ctx, fmt.Sprintf(`INSERT INTO service_budgets (organization_id, service_id, arrival, granted)
			VALUES (?, ?, %[1]s + %[2]d, %[3]d)
			ON CONFLICT (organization_id, service_id) DO UPDATE SET granted = %[4]s, arrival = %[5]s + %[6]d * %[4]s
			RETURNING arrival, granted, %[1]s`, now, first*pace, first, grant, due, pace), org, service).Scan(&arrival, &given, &micros), "service", service)
	})
	if err != nil {
		return 0, 0, err
	}
	if given == 0 {
		wait = max(time.Duration(arrival+pace-ahead-micros)*time.Microsecond, time.Millisecond)
	}
	return int(given), wait, nil
}

// TakeSlots leases up to want of the service's limit concurrent requests to a holder for ttl, replacing what that
// holder had; 0 gives them back (S32). The service's budget row is what concurrent takers wait for.
func (s *Store) TakeSlots(ctx context.Context, org, service, holder string, want, limit int, ttl time.Duration) (granted int, err error) {
	err = s.write(ctx, "take slots of a service", org, func(tx bun.Conn) error {
		granted = 0
		if _, err := tx.ExecContext(ctx, "INSERT INTO service_budgets (organization_id, service_id, arrival, granted) VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING",
			org, service); err != nil {
			return s.parentless(err, "service", service)
		}
		var arrival int64
		if err := tx.QueryRowContext(ctx, "SELECT arrival FROM service_budgets WHERE organization_id = ? AND service_id = ?"+s.dialect.Lock(),
			org, service).Scan(&arrival); err != nil {
			return err
		}
		var now stamp
		if err := tx.QueryRowContext(ctx, "SELECT "+s.dialect.Clock()).Scan(&now); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM service_slots WHERE organization_id = ? AND service_id = ? AND (holder = ? OR expires_at <= ?)",
			org, service, holder, at(now.Time)); err != nil {
			return err
		}
		taken := 0
		if err := tx.QueryRowContext(ctx, "SELECT COALESCE(SUM(slots), 0) FROM service_slots WHERE organization_id = ? AND service_id = ?",
			org, service).Scan(&taken); err != nil {
			return err
		}
		granted = max(0, min(want, limit-taken))
		if granted == 0 {
			return nil
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO service_slots (organization_id, service_id, holder, slots, expires_at) VALUES (?, ?, ?, ?, ?)",
			org, service, holder, granted, at(now.Add(ttl)))
		return err
	})
	return granted, err
}
