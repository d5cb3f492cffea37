package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// everyOrganization stands in a transaction's place of the organization for the calls that are about organizations
// themselves, or about people, who belong to none; the policies let it see only what those need.
const everyOrganization = "*"

const organizationRead = "id, name, slug, settings, version, created_at, updated_at"

// CreateOrganization adds an organization; Exists when its id or slug is taken.
func (s *Store) CreateOrganization(ctx context.Context, o tandem.Organization, along ...tandem.Along) error {
	const op = "create an organization"
	return s.writeWith(ctx, op, everyOrganization, along, func(tx bun.Conn) error { return s.addOrganization(ctx, tx, op, &o) })
}

func (s *Store) addOrganization(ctx context.Context, tx bun.Conn, op string, o *tandem.Organization) error {
	return s.takenBy(s.insert(ctx, tx, "organizations", organizationRead, "", 1, func(b *bulk, _ int) {
		b.text(o.ID)
		b.text(o.Name)
		b.text(o.Slug)
		b.json(o.Settings, len(o.Settings) == 0)
		b.int(max(o.Version, 1))
		b.instant(o.CreatedAt)
		b.instant(o.UpdatedAt)
	}), op, o.Slug, "another organization has this slug")
}

// takenBy turns a unique violation into Exists.
func (s *Store) takenBy(err error, op, thing, message string) error {
	if err != nil && s.dialect.Taken(err) {
		return &tandem.Error{Code: tandem.Exists, Op: op, Thing: thing, Message: message, Hint: "choose another", Err: err}
	}
	return err
}

// UpdateOrganization rewrites name, slug and settings; o.Version is the one read (Stale when it moved), 0 for any.
func (s *Store) UpdateOrganization(ctx context.Context, o tandem.Organization, along ...tandem.Along) error {
	const op = "update an organization"
	return s.writeWith(ctx, op, o.ID, along, func(tx bun.Conn) error {
		b := bulk{dialect: s.dialect}
		settings := b.literal(func() { b.json(o.Settings, len(o.Settings) == 0) })
		if b.err != nil {
			return b.err
		}
		if err := s.lockOrganization(ctx, tx, o.ID, o.Version); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE organizations SET name = ?, slug = ?, settings = ?, version = version + 1, updated_at = ? WHERE id = ?",
			o.Name, o.Slug, settings, at(o.UpdatedAt), o.ID); err != nil {
			return s.takenBy(err, op, o.Slug, "another organization has this slug")
		}
		return s.tellOfOrganization(ctx, tx, o.ID, o.UpdatedAt)
	})
}

// lockOrganization locks an organization and compares its version, 0 for any.
func (s *Store) lockOrganization(ctx context.Context, tx bun.Conn, id string, version int64) error {
	var now int64
	if err := tx.QueryRowContext(ctx, "SELECT version FROM organizations WHERE id = ?"+s.dialect.Lock(), id).Scan(&now); err != nil {
		return noRow(err, missing("organization", id))
	}
	if version != 0 && now != version {
		return movedOn("organization", id)
	}
	return nil
}

// affected gives instead when a statement met no row.
func affected(result sql.Result, instead error) error {
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return instead
}

// emptied lists the tables in an order in which their rows can go: what refers to a table before it.
var emptied = []string{"deliveries", "delivery_states", "delivery_keys", "delivery_counts", "device_observations", "observation_hours", "notifications", "notification_channels", "alerts",
	"device_pushes", "device_commands", "device_credentials", "pending_jobs", "events", "service_slots", "service_budgets", "service_leases", "device_conflicts", "golioth_sync_log_entries", "golioth_sync_log",
	"sync_plan_changes", "sync_plans", "remote_entities", "remote_intents", "remote_devices", "device_service_assignments",
	"device_tags", "device_hardware_ids", "devices", "device_services",
	"memberships", "invitations", "api_tokens", "idempotency_keys"}

// DeleteOrganization removes an organization at a version, 0 for any, and everything in it. Its audit too: the triggers that keep it let it go
// while the organization stands in emptied_organizations, which no other transaction ever sees.
func (s *Store) DeleteOrganization(ctx context.Context, id string, version int64, now time.Time, audit ...tandem.AuditEntry) error {
	defer s.fleets.drop(id)
	return s.write(ctx, "delete an organization", id, func(tx bun.Conn) error {
		if err := s.lockOrganization(ctx, tx, id, version); err != nil {
			return err
		}
		var name, slug word
		if err := tx.QueryRowContext(ctx, "SELECT name, slug FROM organizations WHERE id = ?", id).Scan(&name, &slug); err != nil {
			return err
		}
		if err := s.audit(ctx, tx, id, audit); err != nil {
			return err
		}
		if err := s.insert(ctx, tx, "deleted_organizations", "id, name, slug, deleted_at", "", 1, func(b *bulk, _ int) {
			b.text(id)
			b.text(string(name))
			b.text(string(slug))
			b.instant(now)
		}); err != nil {
			return err
		}
		for _, table := range emptied {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE organization_id = ?", id); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM organizations WHERE id = ?", id); err != nil {
			return err
		}
		return s.tellOfOrganization(ctx, tx, id, now)
	})
}

// DeletedOrganizations lists those whose audit outlives them, the last deleted first.
func (s *Store) DeletedOrganizations(ctx context.Context) (found []tandem.DeletedOrganization, err error) {
	err = s.read(ctx, "list deleted organizations", everyOrganization, func(tx bun.Conn) error {
		found = nil
		return query(ctx, tx, func(rows *sql.Rows) error {
			o := tandem.DeletedOrganization{}
			var deleted stamp
			err := rows.Scan(&o.ID, &o.Name, &o.Slug, &deleted)
			o.DeletedAt = deleted.Time
			found = append(found, o)
			return err
		}, "SELECT id, name, slug, deleted_at FROM deleted_organizations ORDER BY deleted_at DESC, id DESC")
	})
	return found, err
}

// Organizations lists all, by slug.
func (s *Store) Organizations(ctx context.Context) ([]tandem.Organization, error) {
	return s.organizations(ctx, "list organizations", "ORDER BY slug")
}

// Organization finds one by id, else by slug.
func (s *Store) Organization(ctx context.Context, idOrSlug string) (tandem.Organization, error) {
	const op = "find an organization"
	if err := checkText(idOrSlug); err != nil {
		return tandem.Organization{}, s.fail(op, err)
	}
	found, err := s.organizations(ctx, op, "WHERE id = ? OR slug = ? ORDER BY id <> ? LIMIT 1", idOrSlug, idOrSlug, idOrSlug)
	if err == nil && len(found) == 0 {
		err = s.fail(op, missing("organization", idOrSlug).WithHint("`tandem org list` shows which there are"))
	}
	if err != nil {
		return tandem.Organization{}, err
	}
	return found[0], nil
}

func (s *Store) organizations(ctx context.Context, op, tail string, args ...any) (found []tandem.Organization, err error) {
	err = s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			o := tandem.Organization{}
			var settings word
			var created, updated stamp
			if err := rows.Scan(&o.ID, &o.Name, &o.Slug, &settings, &o.Version, &created, &updated); err != nil {
				return err
			}
			o.CreatedAt, o.UpdatedAt = created.Time, updated.Time
			found = append(found, o)
			return settings.decode(&found[len(found)-1].Settings)
		}, "SELECT "+organizationRead+" FROM organizations "+tail, args...)
	})
	return found, err
}
