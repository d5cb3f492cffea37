package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

const serviceRead = `id, name, service_type, config, credentials, project_identity, is_active, sync_enabled, sync_interval_seconds,
	state, state_reason, retry_at, approved_config, last_listed_at, last_run_id, last_run_at, webhook_secrets, next_sync_at,
	sync_failures, version, deleted_at, created_at, updated_at`

// CreateService adds a service; Exists when its name is taken.
func (s *Store) CreateService(ctx context.Context, org string, v tandem.Service, along ...tandem.Along) error {
	const op = "create a service"
	return s.writeWith(ctx, op, org, along, func(tx bun.Conn) error {
		if err := s.known(ctx, tx, org); err != nil {
			return err
		}
		return s.takenBy(s.insert(ctx, tx, "device_services", `organization_id, sync_direction, conflict_resolution, online_window, `+serviceRead, "", 1, func(b *bulk, _ int) {
			b.text(org)
			b.text(string(v.Config.Direction))
			b.text(string(v.Config.Strategy))
			b.int(int64(v.Config.OnlineWindow))
			b.text(v.ID)
			b.text(v.Name)
			b.text(v.ServiceType)
			b.json(&v.Config, false)
			b.bytes(v.Credentials)
			b.json(v.Pin, v.Pin == nil)
			b.bool(v.IsActive)
			b.bool(v.SyncEnabled)
			b.int(int64(v.SyncInterval))
			b.text(string(serviceState(v.State)))
			b.opt(v.StateReason)
			b.optTime(v.RetryAt)
			b.opt(v.ApprovedConfig)
			b.optTime(v.LastListedAt)
			b.opt(v.LastRunID)
			b.optTime(v.LastRunAt)
			b.bytes(v.WebhookSecrets)
			b.optTime(v.NextSyncAt)
			b.int(int64(v.SyncFailures))
			b.int(max(v.Version, 1))
			b.optTime(v.DeletedAt)
			b.instant(v.CreatedAt)
			b.instant(v.UpdatedAt)
		}), op, v.Name, "another service has this name")
	})
}

func serviceState(state tandem.ServiceState) tandem.ServiceState {
	if state == "" {
		return tandem.ServiceOK
	}
	return state
}

// known refuses an organization that is not there, and keeps it from going away until the transaction ends.
func (s *Store) known(ctx context.Context, tx bun.Conn, org string) error {
	var found word
	return noRow(tx.QueryRowContext(ctx, "SELECT id FROM organizations WHERE id = ?"+s.dialect.Share(), org).Scan(&found), missing("organization", org))
}

// UpdateService rewrites what people set; v.Version is the one read (Stale when it moved).
func (s *Store) UpdateService(ctx context.Context, org string, v tandem.Service, along ...tandem.Along) error {
	const op = "update a service"
	return s.writeWith(ctx, op, org, along, func(tx bun.Conn) error {
		if err := s.lockService(ctx, tx, org, v.ID, v.Version); err != nil {
			return err
		}
		b := bulk{dialect: s.dialect}
		args := []any{b.literal(func() { b.text(v.Name) }), b.literal(func() { b.json(&v.Config, false) }), b.literal(func() { b.bytes(v.Credentials) }),
			v.IsActive, v.SyncEnabled, v.SyncInterval, string(v.Config.Direction), string(v.Config.Strategy), v.Config.OnlineWindow,
			b.literal(func() { b.bytes(v.WebhookSecrets) }), b.literal(func() { b.optTime(v.NextSyncAt) }), at(v.UpdatedAt), org, v.ID}
		if b.err != nil {
			return b.err
		}
		_, err := tx.ExecContext(ctx, `UPDATE device_services SET name = ?, config = ?, credentials = ?, is_active = ?, sync_enabled = ?,
			sync_interval_seconds = ?, sync_direction = ?, conflict_resolution = ?, online_window = ?, webhook_secrets = ?, next_sync_at = ?,
			updated_at = ?, version = version + 1
			WHERE organization_id = ? AND id = ?`, args...)
		return s.takenBy(err, op, v.Name, "another service has this name")
	})
}

// lockService locks a live service and compares its version.
func (s *Store) lockService(ctx context.Context, tx bun.Conn, org, id string, version int64) error {
	var at int64
	err := tx.QueryRowContext(ctx, "SELECT version FROM device_services WHERE organization_id = ? AND id = ? AND deleted_at IS NULL"+s.dialect.Lock(), org, id).Scan(&at)
	if err != nil {
		return noRow(err, missing("service", id))
	}
	if at != version {
		return movedOn("service", id)
	}
	return nil
}

// DeleteService marks it deleted, unlinks its assignments and supersedes its conflicts.
func (s *Store) DeleteService(ctx context.Context, org, id string, version int64, now time.Time, along ...tandem.Along) (unlinked int, err error) {
	err = s.writeWith(ctx, "delete a service", org, along, func(tx bun.Conn) error {
		// A run that is going on loses its lease: what it commits after this would link devices to what is not there. The lease
		// comes before the service, as a run's own commits lock them.
		if _, err := tx.ExecContext(ctx, "UPDATE service_leases SET holder = '', run_id = '', fence = fence + 1 WHERE organization_id = ? AND service_id = ?",
			org, id); err != nil {
			return err
		}
		if err := s.lockService(ctx, tx, org, id, version); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE device_services SET deleted_at = ?, is_active = FALSE, sync_enabled = FALSE, updated_at = ?,
			version = version + 1 WHERE organization_id = ? AND id = ?`, at(now), at(now), org, id); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `UPDATE device_service_assignments SET sync_status = 'unlinked', updated_at = ?, version = version + 1
			WHERE organization_id = ? AND service_id = ? AND sync_status <> 'unlinked'`, at(now), org, id)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		unlinked = int(n)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE device_conflicts SET resolution_status = 'superseded', resolved_at = ?, updated_at = ?, version = version + 1
			WHERE organization_id = ? AND service_id = ? AND resolution_status IN ('pending', 'resolving')`, at(now), at(now), org, id); err != nil || unlinked == 0 {
			return err
		}
		return s.tellOfMany(ctx, tx, org, now)
	})
	s.upset(org)
	return unlinked, err
}

// Services lists all but deleted ones, by name.
func (s *Store) Services(ctx context.Context, org string) ([]tandem.Service, error) {
	return s.services(ctx, "list services", org, "deleted_at IS NULL ORDER BY name")
}

// Service finds one by id (a deleted one too), else a live one by name.
func (s *Store) Service(ctx context.Context, org, idOrName string) (tandem.Service, error) {
	const op = "find a service"
	found, err := s.services(ctx, op, org, "(id = ? OR (name = ? AND deleted_at IS NULL)) ORDER BY id <> ? LIMIT 1", idOrName, idOrName, idOrName)
	if err == nil && len(found) == 0 {
		err = s.fail(op, missing("service", idOrName).WithHint("`tandem service list` shows which there are"))
	}
	if err != nil {
		return tandem.Service{}, err
	}
	return found[0], nil
}

func (s *Store) services(ctx context.Context, op, org, where string, args ...any) (found []tandem.Service, err error) {
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		found, err = scanServices(ctx, tx, "", "organization_id = ? AND "+where, append([]any{org}, args...)...)
		return err
	})
	return found, err
}

// scanServices reads the services that a WHERE clause finds, of the organizations that it names; indexed is Dialect.Indexed.
func scanServices(ctx context.Context, tx bun.Conn, indexed, where string, args ...any) (found []tandem.Service, err error) {
	err = query(ctx, tx, func(rows *sql.Rows) error {
		v := tandem.Service{}
		var config, pin, reason, approved, lastRun word
		var retry, listed, lastRunAt, next, deleted, created, updated stamp
		if err := rows.Scan(&v.OrganizationID, &v.ID, &v.Name, &v.ServiceType, &config, &v.Credentials, &pin, &v.IsActive, &v.SyncEnabled, &v.SyncInterval,
			&v.State, &reason, &retry, &approved, &listed, &lastRun, &lastRunAt, &v.WebhookSecrets, &next, &v.SyncFailures,
			&v.Version, &deleted, &created, &updated); err != nil {
			return err
		}
		v.StateReason, v.ApprovedConfig, v.LastRunID = string(reason), string(approved), string(lastRun)
		v.RetryAt, v.LastListedAt, v.LastRunAt, v.NextSyncAt, v.DeletedAt = retry.ptr(), listed.ptr(), lastRunAt.ptr(), next.ptr(), deleted.ptr()
		v.CreatedAt, v.UpdatedAt = created.Time, updated.Time
		if err := pin.decode(&v.Pin); err != nil {
			return err
		}
		if err := config.decode(&v.Config); err != nil {
			return err
		}
		found = append(found, v)
		return nil
	}, "SELECT organization_id, "+serviceRead+" FROM device_services"+indexed+" WHERE "+where, args...)
	return found, err
}
