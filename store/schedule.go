package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// DueServices gives active services with automatic sync, of any organization, whose NextSyncAt has come or was never set,
// the longest due first.
func (s *Store) DueServices(ctx context.Context, now time.Time, limit int) (found []tandem.Service, err error) {
	const scheduled = "deleted_at IS NULL AND is_active = TRUE AND sync_enabled = TRUE AND "
	index := s.dialect.Indexed("device_services_next_sync")
	err = s.read(ctx, "look for due services", everyOrganization, func(tx bun.Conn) error {
		if found, err = scanServices(ctx, tx, index, scheduled+"next_sync_at IS NULL ORDER BY organization_id, id LIMIT ?", limit); err != nil {
			return err
		}
		due, err := scanServices(ctx, tx, index, scheduled+"next_sync_at <= ? ORDER BY next_sync_at, organization_id, id LIMIT ?", at(now), limit-len(found))
		found = append(found, due...)
		return err
	})
	return found, err
}

// ActiveServices walks all active services by id, after one.
func (s *Store) ActiveServices(ctx context.Context, after string, limit int) (found []tandem.Service, err error) {
	err = s.read(ctx, "walk services", everyOrganization, func(tx bun.Conn) error {
		found, err = scanServices(ctx, tx, s.dialect.Indexed("device_services_active"), "deleted_at IS NULL AND is_active = TRUE AND id > ? ORDER BY id, organization_id LIMIT ?", after, limit)
		return err
	})
	return found, err
}

// UnendedRuns gives runs of any organization that are queued since before an instant, or running, the oldest first.
func (s *Store) UnendedRuns(ctx context.Context, since time.Time, limit int) (found []tandem.Run, err error) {
	err = s.read(ctx, "look for runs that have not ended", everyOrganization, func(tx bun.Conn) error {
		found, err = scanRuns(ctx, tx, "SELECT "+runRead+` FROM golioth_sync_log AS r WHERE r.status IN ('queued', 'running') AND r.created_at < ?
			AND (r.started_at IS NULL OR r.started_at < ?) ORDER BY r.created_at, r.id LIMIT ?`, at(since), at(since), limit)
		return err
	})
	return found, err
}

// LeaseHolder gives the run that holds a service's lease now, "" where nobody does.
func (s *Store) LeaseHolder(ctx context.Context, org, service string) (run string, err error) {
	err = s.read(ctx, "read a service's lease", org, func(tx bun.Conn) error {
		var holding word
		err := tx.QueryRowContext(ctx, "SELECT run_id FROM service_leases WHERE organization_id = ? AND service_id = ? AND holder <> '' AND expires_at > "+
			s.dialect.Clock(), org, service).Scan(&holding)
		run = string(holding)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return run, err
}

// TurnedOffline gives linked devices of a service whose last report is older than their online window now and was not at
// since. It reads the organization's devices, in one query (docs/decisions/0011).
func (s *Store) TurnedOffline(ctx context.Context, org, service string, since, now time.Time, limit int) (found []tandem.LinkedID, err error) {
	err = s.read(ctx, "look for devices that turned offline", org, func(tx bun.Conn) error {
		windows, err := s.onlineWindows(ctx, tx, org)
		if err != nil {
			return err
		}
		online := bun.Safe("TRUE") // at since, which is long ago where it is zero
		if !since.IsZero() {
			online = "d.last_seen >= " + s.oldestOnline(since, windows)
		}
		return query(ctx, tx, func(rows *sql.Rows) error {
			id := tandem.LinkedID{}
			var read stamp
			err := rows.Scan(&id.DeviceID, &id.ExternalDeviceID, &read)
			id.StateReadAt = read.ptr()
			found = append(found, id)
			return err
		}, `SELECT d.id, l.external_device_id, l.state_read_at FROM devices AS d JOIN device_service_assignments AS l
			ON l.organization_id = d.organization_id AND l.device_id = d.id AND l.service_id = ? AND l.sync_status <> 'unlinked'
			WHERE d.organization_id = ? AND d.deleted_at IS NULL AND d.last_seen < ? AND `+notGone+` AND ? ORDER BY d.last_seen, d.id LIMIT ?`,
			service, org, s.oldestOnline(now, windows), online, limit)
	})
	return found, err
}
