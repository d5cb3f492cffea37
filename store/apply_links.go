package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/uptrace/bun"

	"tandem"
)

// lockAssignments locks the assignments that will change, in the order of their ids, and compares versions.
func (a *apply) lockAssignments(ctx context.Context, moved *tandem.MovedError) error {
	versions := make(map[string]int64, len(a.UpdateAssignments))
	for i := range a.UpdateAssignments {
		one := &a.UpdateAssignments[i]
		if _, twice := versions[one.ID]; twice {
			return tandem.Errorf(tandem.Invalid, "", one.ID, "the assignment is twice among the changes")
		}
		versions[one.ID] = one.Version
	}
	at, err := a.lockVersions(ctx, "device_service_assignments", versions)
	if err != nil {
		return err
	}
	for id, version := range versions {
		found, ok := at[id]
		if !ok {
			return missing("assignment", id)
		}
		if found != version {
			moved.Assignments = append(moved.Assignments, id)
		}
	}
	return nil
}

// checkParents refuses an assignment of a device or a service that is not there. It stands in for foreign keys on the
// table that a run writes most: devices and services go only with their organization, which admit has locked, so that
// one look before writing says as much as a check of every row.
func (a *apply) checkParents(ctx context.Context) error {
	sure := make(map[string]bool, len(a.CreateDevices)+len(a.UpdateDevices))
	for i := range a.CreateDevices {
		sure[a.CreateDevices[i].ID] = true
	}
	for i := range a.UpdateDevices {
		sure[a.UpdateDevices[i].ID] = true
	}
	var devices, services []string
	for _, list := range [][]tandem.Assignment{a.CreateAssignments, a.UpdateAssignments} {
		for i := range list {
			if !sure[list[i].DeviceID] {
				devices = append(devices, list[i].DeviceID)
			}
			if len(services) == 0 || services[len(services)-1] != list[i].ServiceID {
				services = append(services, list[i].ServiceID)
			}
		}
	}
	if err := a.exist(ctx, a.tx, a.org, "device_services", "service", services); err != nil {
		return err
	}
	return a.exist(ctx, a.tx, a.org, "devices", "device", devices)
}

// exist refuses ids that a table of the organization does not have.
func (s *Store) exist(ctx context.Context, tx bun.Conn, org, table, what string, ids []string) error {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	found := make(map[string]bool, len(ids))
	err := s.byID(ctx, tx, org, table, "id", ids, false, func(rows *sql.Rows) error {
		var id word
		err := rows.Scan(&id)
		found[string(id)] = true
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !found[id] {
			return missing(what, id)
		}
	}
	return nil
}

// lockConflicts does the same for conflicts that are rewritten.
func (a *apply) lockConflicts(ctx context.Context, moved *tandem.MovedError) error {
	versions := make(map[string]int64, len(a.PutConflicts))
	for i := range a.PutConflicts {
		one := &a.PutConflicts[i]
		if _, twice := versions[one.ID]; twice {
			return tandem.Errorf(tandem.Invalid, "", one.ID, "the conflict is twice among the changes")
		}
		if one.Version > 0 {
			versions[one.ID] = one.Version
		}
	}
	at, err := a.lockVersions(ctx, "device_conflicts", versions)
	if err != nil {
		return err
	}
	for id, version := range versions {
		found, ok := at[id]
		if !ok {
			return missing("conflict", id)
		}
		if found != version {
			moved.Conflicts = append(moved.Conflicts, id)
		}
	}
	return nil
}

// lockVersions locks rows in the order of their ids and gives their versions.
func (a *apply) lockVersions(ctx context.Context, table string, ids map[string]int64) (map[string]int64, error) {
	sorted := make([]string, 0, len(ids))
	for id := range ids {
		sorted = append(sorted, id)
	}
	slices.Sort(sorted)
	versions := make(map[string]int64, len(ids))
	err := a.locked(ctx, table, "id, version", sorted, func(rows *sql.Rows) error {
		var id word
		var version int64
		if err := rows.Scan(&id, &version); err != nil {
			return err
		}
		versions[string(id)] = version
		return nil
	})
	return versions, err
}

// locked reads columns of the rows with some ids, which are sorted, and locks the rows in that order.
func (a *apply) locked(ctx context.Context, table, columns string, ids []string, row func(rows *sql.Rows) error) error {
	return a.byID(ctx, a.tx, a.org, table, columns, ids, true, row)
}

func (s *Store) byID(ctx context.Context, tx bun.Conn, org, table, columns string, ids []string, lock bool, row func(rows *sql.Rows) error) error {
	for _, id := range ids {
		if err := checkText(id); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(ids, 10*chunk) {
		from := s.dialect.Keyed(table, "t", "organization_id = "+quoted(org), "id", some, lock)
		if err := query(ctx, tx, row, "SELECT "+columns+" FROM "+from); err != nil {
			return err
		}
	}
	return nil
}

var rewriteAssignment = " ON CONFLICT (organization_id, id) DO UPDATE SET " + assign("device_id", "service_id", "external_device_id", "sync_enabled", "sync_status", "last_sync", "base",
	"drift", "error", "retries", "state_read_at", "remote_updated_at", "written_at", "written_over", "version", "updated_at")

func (a *apply) assignments(ctx context.Context) error {
	if err := a.insert(ctx, a.tx, "device_service_assignments", assignmentWritten, "", len(a.CreateAssignments), func(b *bulk, i int) {
		writeAssignment(b, a.org, &a.CreateAssignments[i], max(a.CreateAssignments[i].Version, 1))
	}); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "device_service_assignments", assignmentWritten, rewriteAssignment, len(a.UpdateAssignments), func(b *bulk, i int) {
		writeAssignment(b, a.org, &a.UpdateAssignments[i], a.UpdateAssignments[i].Version+1)
	})
}

// intents puts and drops. An intent that settles another of the same device replaces it only by its own id;
// drops come first, so that one transaction can close an intent and open the next.
func (a *apply) intents(ctx context.Context) error {
	if err := a.inChunks("id", a.DropIntents, 10*chunk, func(list bun.Safe) error {
		_, err := a.tx.ExecContext(ctx, "DELETE FROM remote_intents WHERE organization_id = ? AND ?", a.org, list)
		return err
	}); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "remote_intents", `organization_id, id, service_id, run_id, device_id, external_device_id, kind, changes,
		create_request, temporary, conflict_id, fence, until, created_at`,
		" ON CONFLICT (organization_id, id) DO UPDATE SET "+assign("run_id", "external_device_id", "kind", "changes", "create_request", "temporary", "conflict_id", "fence", "until"),
		len(a.PutIntents), func(b *bulk, i int) {
			n := &a.PutIntents[i]
			b.text(a.org)
			b.text(n.ID)
			b.text(n.ServiceID)
			b.text(n.RunID)
			b.text(n.DeviceID)
			b.opt(n.ExternalDeviceID)
			b.text(string(n.Kind))
			b.json(n.Changes, false)
			b.json(n.Create, n.Create == nil)
			b.opt(n.Temporary)
			b.opt(n.ConflictID)
			b.int(n.Fence)
			b.instant(n.Until)
			b.instant(n.CreatedAt)
		})
}

const conflictWritten = `organization_id, id, service_id, run_id, device_id, device_name, device_name_folded, external_device_id, subject,
	conflict_type, field_name, base_value, local_value, remote_value, local_updated_at, remote_updated_at, explanation, by_hand,
	resolution_status, resolution_strategy, resolved_value, resolved_by, resolved_at, version, created_at, updated_at`

var rewriteConflict = " ON CONFLICT (organization_id, id) DO UPDATE SET " + assign("run_id", "device_id", "device_name", "device_name_folded", "external_device_id", "subject",
	"conflict_type", "field_name", "base_value", "local_value", "remote_value", "local_updated_at", "remote_updated_at", "explanation", "by_hand",
	"resolution_status", "resolution_strategy", "resolved_value", "resolved_by", "resolved_at", "version", "updated_at")

// conflicts rewrites before it adds, so that closing one and opening the next is one transaction.
func (a *apply) conflicts(ctx context.Context) error {
	var added, rewritten []*tandem.Conflict
	for i := range a.PutConflicts {
		if a.PutConflicts[i].Version == 0 {
			added = append(added, &a.PutConflicts[i])
		} else {
			rewritten = append(rewritten, &a.PutConflicts[i])
		}
	}
	if err := a.insert(ctx, a.tx, "device_conflicts", conflictWritten, rewriteConflict, len(rewritten), func(b *bulk, i int) {
		writeConflict(b, a.org, rewritten[i])
	}); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "device_conflicts", conflictWritten, "", len(added), func(b *bulk, i int) { writeConflict(b, a.org, added[i]) })
}

func writeConflict(b *bulk, org string, c *tandem.Conflict) {
	subject := c.DeviceID
	if subject == "" {
		subject = "remote:" + c.ExternalDeviceID
	}
	b.text(org)
	b.text(c.ID)
	b.text(c.ServiceID)
	b.opt(c.RunID)
	b.opt(c.DeviceID)
	b.opt(c.DeviceName)
	b.opt(fold(c.DeviceName))
	b.opt(c.ExternalDeviceID)
	b.text(subject)
	b.text(string(c.Type))
	b.text(string(c.FieldName))
	b.raw(c.BaseValue)
	b.raw(c.LocalValue)
	b.raw(c.RemoteValue)
	b.optTime(c.LocalUpdatedAt)
	b.optTime(c.RemoteUpdatedAt)
	b.opt(c.Explanation)
	b.bool(c.ByHand)
	b.text(string(c.Status))
	b.opt(c.ResolutionStrategy)
	b.raw(c.ResolvedValue)
	b.opt(c.ResolvedBy)
	b.optTime(c.ResolvedAt)
	b.int(c.Version + 1)
	b.instant(c.CreatedAt)
	b.instant(c.UpdatedAt)
}
