package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// leaseRow is a lease as it stands.
type leaseRow struct {
	holder, run string
	fence       int64
	expires     time.Time
	now         time.Time
}

// lockLease locks a service's lease and then reads the clock, so that time spent waiting counts.
func (s *Store) lockLease(ctx context.Context, tx bun.Conn, org, service string) (l leaseRow, err error) {
	var expires, now stamp
	err = tx.QueryRowContext(ctx, "SELECT holder, run_id, fence, expires_at FROM service_leases WHERE organization_id = ? AND service_id = ?"+s.dialect.Lock(),
		org, service).Scan(&l.holder, &l.run, &l.fence, &expires)
	if err != nil {
		return l, err
	}
	err = tx.QueryRowContext(ctx, "SELECT "+s.dialect.Clock()).Scan(&now)
	l.expires, l.now = expires.Time, now.Time
	return l, err
}

// AcquireLease takes a free or expired lease; Busy (with the holder as Thing, RetryAfter until it expires) otherwise (S19).
func (s *Store) AcquireLease(ctx context.Context, org, service, holder, run string, ttl time.Duration) (lease tandem.Lease, err error) {
	const op = "take a service's lease"
	err = s.write(ctx, op, org, func(tx bun.Conn) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO service_leases (organization_id, service_id, holder, run_id, fence, expires_at)
			VALUES (?, ?, '', '', 0, ?) ON CONFLICT DO NOTHING`, org, service, at(time.Unix(0, 0))); err != nil {
			return s.parentless(err, "service", service)
		}
		was, err := s.lockLease(ctx, tx, org, service)
		if err != nil {
			return err
		}
		if was.holder != "" && was.expires.After(was.now) {
			return &tandem.Error{Code: tandem.Busy, Op: op, Thing: was.holder, Message: "holds the service: another run is going on",
				Hint: "wait until it ends, or cancel it", RetryAfter: was.expires.Sub(was.now)}
		}
		lease = tandem.Lease{ServiceID: service, Holder: holder, Fence: was.fence + 1, Now: was.now, ExpiresAt: was.now.Add(ttl).Round(time.Microsecond)}
		if was.holder != "" {
			lease.Died = was.run
		}
		_, err = tx.ExecContext(ctx, `UPDATE service_leases SET holder = ?, run_id = ?, fence = ?, expires_at = ?
			WHERE organization_id = ? AND service_id = ?`, holder, run, lease.Fence, at(lease.ExpiresAt), org, service)
		return err
	})
	if err != nil {
		return tandem.Lease{}, err
	}
	return lease, nil
}

// held locks a lease that nobody else has taken since; LeaseLost otherwise.
func (s *Store) held(ctx context.Context, tx bun.Conn, org string, lease tandem.Lease) (leaseRow, error) {
	lost := tandem.Errorf(tandem.LeaseLost, "", lease.ServiceID, "another process has taken over the service's lease").
		WithHint("its run goes on; start another when it has ended")
	is, err := s.lockLease(ctx, tx, org, lease.ServiceID)
	if err != nil {
		return is, noRow(err, lost)
	}
	if is.fence != lease.Fence || is.holder != lease.Holder {
		return is, lost
	}
	return is, nil
}

// RenewLease extends it; LeaseLost when it expired or another has it, as Apply has it (S19).
func (s *Store) RenewLease(ctx context.Context, org string, lease tandem.Lease, ttl time.Duration) (tandem.Lease, error) {
	err := s.write(ctx, "renew a service's lease", org, func(tx bun.Conn) error {
		is, err := s.held(ctx, tx, org, lease)
		if err != nil {
			return err
		}
		if !is.expires.After(is.now) {
			return tandem.Errorf(tandem.LeaseLost, "", lease.ServiceID, "the service's lease has expired").
				WithHint("this process was held up for longer than a lease lasts; start the run again")
		}
		lease.Now, lease.ExpiresAt = is.now, is.now.Add(ttl).Round(time.Microsecond)
		_, err = tx.ExecContext(ctx, "UPDATE service_leases SET expires_at = ? WHERE organization_id = ? AND service_id = ?",
			at(lease.ExpiresAt), org, lease.ServiceID)
		return err
	})
	if err != nil {
		return tandem.Lease{}, err
	}
	return lease, nil
}

// ReleaseLease gives it back; LeaseLost when another has it.
func (s *Store) ReleaseLease(ctx context.Context, org string, lease tandem.Lease) error {
	return s.write(ctx, "give back a service's lease", org, func(tx bun.Conn) error {
		if _, err := s.held(ctx, tx, org, lease); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE service_leases SET holder = '', run_id = '' WHERE organization_id = ? AND service_id = ?", org, lease.ServiceID)
		return err
	})
}
