package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/uptrace/bun"

	"tandem"
)

const conflictRead = `c.id, c.service_id, c.run_id, c.device_id, c.device_name, c.external_device_id, c.conflict_type, c.field_name, c.base_value,
	c.local_value, c.remote_value, c.local_updated_at, c.remote_updated_at, c.explanation, c.by_hand, c.resolution_status, c.resolution_strategy,
	c.resolved_value, c.resolved_by, c.resolved_at, c.version, c.created_at, c.updated_at`

// Conflict reads one.
func (s *Store) Conflict(ctx context.Context, org, id string) (conflict tandem.Conflict, err error) {
	err = s.read(ctx, "find a conflict", org, func(tx bun.Conn) error {
		found, err := scanConflicts(ctx, tx, org, "SELECT "+conflictRead+" FROM device_conflicts AS c WHERE c.organization_id = ? AND c.id = ?", org, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return missing("conflict", id)
		}
		conflict = found[0]
		return nil
	})
	return conflict, err
}

// Conflicts lists conflicts, newest first unless sorted otherwise, and counts all matches. Open ones only unless All or Status.
func (s *Store) Conflicts(ctx context.Context, org string, q tandem.ConflictFilter) (found []tandem.Conflict, all int, err error) {
	f := s.conflictConditions(org, q)
	order := f.ordered(conflictOrders, q.Sort)
	err = s.read(ctx, "list conflicts", org, func(tx bun.Conn) error {
		if f.err != nil {
			return f.err
		}
		text, args := f.page(conflictRead, "device_conflicts AS c", order, q.Page)
		if found, err = scanConflicts(ctx, tx, org, text, args...); err != nil {
			return err
		}
		all, err = total(q.Page, len(found), func() (int, error) { return f.count(ctx, tx, "device_conflicts AS c") })
		return err
	})
	return found, all, err
}

func (s *Store) conflictConditions(org string, q tandem.ConflictFilter) *filter {
	f := &filter{}
	f.add("c.organization_id = ?", org)
	f.among("c.id", q.IDs)
	f.equal("c.service_id", q.ServiceID)
	switch { // a device by either of its names: a run asks about both sides of a batch at once
	case len(q.DeviceIDs) > 0 && len(q.ExternalDeviceIDs) > 0:
		devices, err := s.among("c.device_id", q.DeviceIDs)
		if err != nil {
			f.err = err
		}
		externals, err := s.among("c.external_device_id", q.ExternalDeviceIDs)
		if err != nil {
			f.err = err
		}
		f.add("(? OR ?)", devices, externals)
	default:
		f.among("c.device_id", q.DeviceIDs)
		f.among("c.external_device_id", q.ExternalDeviceIDs)
	}
	if q.Field != "" {
		if strings.Contains(string(q.Field), "/") {
			f.equal("c.field_name", string(q.Field))
		} else { // a bare field also finds its leaves
			f.add("(c.field_name = ? OR (c.field_name >= ? AND c.field_name < ?))", string(q.Field), string(q.Field)+"/", string(q.Field)+"0")
		}
	}
	f.equal("c.conflict_type", string(q.Type))
	switch {
	case q.Status != "":
		f.equal("c.resolution_status", string(q.Status))
	case !q.All:
		f.add("c.resolution_status IN ('pending', 'resolving')")
	}
	f.contains(q.Search, "c.device_name_folded")
	return f
}

func scanConflicts(ctx context.Context, tx bun.Conn, org, text string, args ...any) (found []tandem.Conflict, err error) {
	err = query(ctx, tx, func(rows *sql.Rows) error {
		c := tandem.Conflict{OrganizationID: org}
		var run, device, name, external, base, local, remote, explanation, strategy, value, by word
		var localAt, remoteAt, resolved, created, updated stamp
		if err := rows.Scan(&c.ID, &c.ServiceID, &run, &device, &name, &external, &c.Type, &c.FieldName, &base, &local, &remote, &localAt, &remoteAt,
			&explanation, &c.ByHand, &c.Status, &strategy, &value, &by, &resolved, &c.Version, &created, &updated); err != nil {
			return err
		}
		c.RunID, c.DeviceID, c.DeviceName, c.ExternalDeviceID = string(run), string(device), string(name), string(external)
		c.BaseValue, c.LocalValue, c.RemoteValue, c.ResolvedValue = base.raw(), local.raw(), remote.raw(), value.raw()
		c.LocalUpdatedAt, c.RemoteUpdatedAt, c.ResolvedAt = localAt.ptr(), remoteAt.ptr(), resolved.ptr()
		c.Explanation, c.ResolutionStrategy, c.ResolvedBy = string(explanation), string(strategy), string(by)
		c.CreatedAt, c.UpdatedAt = created.Time, updated.Time
		found = append(found, c)
		return nil
	}, text, args...)
	return found, err
}
