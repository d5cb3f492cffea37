package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// LinkedByExternal gives the assignments of some remote ids, unlinked ones and those of tombstones too, in no order.
func (s *Store) LinkedByExternal(ctx context.Context, org, service string, externalIDs []string) ([]tandem.Linked, error) {
	return s.linked(ctx, org, service, "external_device_id", externalIDs)
}

// LinkedByDevice gives the same for some devices.
func (s *Store) LinkedByDevice(ctx context.Context, org, service string, deviceIDs []string) ([]tandem.Linked, error) {
	return s.linked(ctx, org, service, "device_id", deviceIDs)
}

func (s *Store) linked(ctx context.Context, org, service, column string, ids []string) (found []tandem.Linked, err error) {
	if err := errors.Join(checkText(org), checkText(service)); err != nil {
		return nil, s.fail("read linked devices", err)
	}
	found = make([]tandem.Linked, 0, len(ids))
	own := "organization_id = " + quoted(org)
	first, last := own+" AND service_id = "+quoted(service), ""
	if column == "device_id" { // its index has the service last: before it, a condition that another index begins with
		first, last = own, " WHERE a.service_id = "+quoted(service)
	}
	err = s.readKeyed(ctx, "read linked devices", org, func(tx bun.Conn) error {
		found = found[:0]
		for some := range slices.Chunk(ids, 2*chunk) {
			rows, err := s.keyed(ctx, tx, "SELECT "+assignmentRead+", "+deviceRead+" FROM ", "device_service_assignments", "a",
				first, column, some, s.dialect.Follow("devices", "d", own, "id", "a.device_id")+last)
			if err != nil {
				return err
			}
			if found, err = scanLinked(org, found, rows); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// LinkedIDs walks the enabled, not unlinked assignments in order of external id, after the given one.
func (s *Store) LinkedIDs(ctx context.Context, org, service, after string, limit int) ([]tandem.LinkedID, error) {
	return s.linkedIDs(ctx, org, `SELECT device_id, external_device_id, state_read_at FROM device_service_assignments
		WHERE organization_id = ? AND service_id = ? AND external_device_id > ? AND sync_enabled = TRUE AND sync_status <> 'unlinked'
		ORDER BY external_device_id LIMIT ?`, org, service, after, limit)
}

// StateUnread gives linked devices whose state was least recently read, never-read ones first.
func (s *Store) StateUnread(ctx context.Context, org, service string, limit int) ([]tandem.LinkedID, error) {
	return s.linkedIDs(ctx, org, `SELECT device_id, external_device_id, state_read_at FROM device_service_assignments
		WHERE organization_id = ? AND service_id = ? AND sync_enabled = TRUE AND sync_status <> 'unlinked'
		ORDER BY state_read_at ASC NULLS FIRST, external_device_id LIMIT ?`, org, service, limit)
}

func (s *Store) linkedIDs(ctx context.Context, org, text string, args ...any) (found []tandem.LinkedID, err error) {
	err = s.read(ctx, "walk linked devices", org, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			id := tandem.LinkedID{}
			var read stamp
			if err := rows.Scan(&id.DeviceID, &id.ExternalDeviceID, &read); err != nil {
				return err
			}
			id.StateReadAt = read.ptr()
			found = append(found, id)
			return nil
		}, text, args...)
	})
	return found, err
}

// LinkedCount counts what LinkedIDs walks.
func (s *Store) LinkedCount(ctx context.Context, org, service string) (int, error) {
	return s.countRows(ctx, "count linked devices", org, `SELECT COUNT(*) FROM device_service_assignments
		WHERE organization_id = ? AND service_id = ? AND sync_enabled = TRUE AND sync_status <> 'unlinked'`, org, service)
}

func (s *Store) countRows(ctx context.Context, op, org, text string, args ...any) (n int, err error) {
	err = s.read(ctx, op, org, func(tx bun.Conn) error { return tx.QueryRowContext(ctx, text, args...).Scan(&n) })
	return n, err
}

// LocalOnly walks live devices without any assignment on the service, by device id after the given one.
func (s *Store) LocalOnly(ctx context.Context, org, service, after string, limit int) ([]tandem.Device, error) {
	return s.findDevices(ctx, "walk devices that are not linked", org, `d.id > ? AND d.deleted_at IS NULL AND (
		SELECT 1 FROM device_service_assignments AS a WHERE a.organization_id = d.organization_id AND a.device_id = d.id
			AND a.service_id || '' = ? LIMIT 1) IS NULL -- as Devices has it
		ORDER BY d.id LIMIT ?`, after, service, limit)
}

// Candidates gives the devices, tombstones too, that share a hardware id, ignoring case, with a probe, or whose name
// or device_id equals its name, ignoring case, each with its assignment on the service if any; by device id.
func (s *Store) Candidates(ctx context.Context, org, service string, probes []tandem.Probe) (found []tandem.Candidate, err error) {
	var names, hardwareIDs []string
	for _, p := range probes {
		if p.Name != "" {
			names = append(names, fold(p.Name))
		}
		for _, id := range p.HardwareIDs {
			hardwareIDs = append(hardwareIDs, fold(id))
		}
	}
	if err := errors.Join(checkText(org), checkText(service)); err != nil {
		return nil, s.fail("find candidates", err)
	}
	err = s.readKeyed(ctx, "find candidates", org, func(tx bun.Conn) error {
		ids, err := s.candidateIDs(ctx, tx, org, names, hardwareIDs)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(ids, 2*chunk) {
			if err := s.candidates(ctx, tx, org, service, some, &found); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// candidateIDs gives the ids of devices that share a folded name or hardware id, sorted.
func (s *Store) candidateIDs(ctx context.Context, tx bun.Conn, org string, names, hardwareIDs []string) (ids []string, err error) {
	own := "organization_id = " + quoted(org)
	for _, look := range []struct {
		table, id, where, column string
		values                   []string
	}{
		{"device_hardware_ids", "device_id", own, "folded_id", hardwareIDs},
		{"devices", "id", own, "name_folded", names},
		{"devices", "id", own + " AND deleted_at IS NULL", "device_id_folded", names},
		{"devices", "id", own + " AND deleted_at IS NOT NULL", "device_id_folded", names},
	} {
		for some := range slices.Chunk(look.values, 2*chunk) {
			rows, err := s.keyed(ctx, tx, "SELECT t."+look.id+" FROM ", look.table, "t", look.where, look.column, some, "")
			if err != nil {
				return nil, err
			}
			if ids, err = appendIDs(ids, rows); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// appendIDs reads rows of one id each, and closes them.
func appendIDs(ids []string, rows *sql.Rows) ([]string, error) {
	err := each(rows, func() error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// candidates reads devices, and then their assignments: in one query, the join would rest on statistics.
func (s *Store) candidates(ctx context.Context, tx bun.Conn, org, service string, ids []string, found *[]tandem.Candidate) error {
	own := "organization_id = " + quoted(org)
	rows, err := s.keyed(ctx, tx, "SELECT "+deviceRead+" FROM ", "devices", "d", own, "id", ids, " ORDER BY d.id")
	if err != nil {
		return err
	}
	devices, err := scanDevices(org, rows)
	if err != nil {
		return err
	}
	rows, err = s.keyed(ctx, tx, "SELECT "+assignmentRead+" FROM ", "device_service_assignments", "a", own, "device_id", ids, " WHERE a.service_id = "+quoted(service))
	if err != nil {
		return err
	}
	assignments, err := scanAssignments(org, rows)
	if err != nil {
		return err
	}
	linked := make(map[string]*tandem.Assignment, len(assignments))
	for i := range assignments {
		linked[assignments[i].DeviceID] = &assignments[i]
	}
	for i := range devices {
		*found = append(*found, tandem.Candidate{Device: devices[i], Assignment: linked[devices[i].ID]})
	}
	return nil
}

// Intents gives the service's open intents, oldest first.
func (s *Store) Intents(ctx context.Context, org, service string) (found []tandem.Intent, err error) {
	err = s.read(ctx, "read intents", org, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			n := tandem.Intent{OrganizationID: org, ServiceID: service}
			var external, changes, create, temporary, conflict word
			var until, created stamp
			if err := rows.Scan(&n.ID, &n.RunID, &n.DeviceID, &external, &n.Kind, &changes, &create, &temporary, &conflict, &n.Fence, &until, &created); err != nil {
				return err
			}
			n.ExternalDeviceID, n.Temporary, n.ConflictID = string(external), string(temporary), string(conflict)
			n.Until, n.CreatedAt = until.Time, created.Time
			if err := changes.decode(&n.Changes); err != nil {
				return err
			}
			if err := create.decode(&n.Create); err != nil {
				return err
			}
			found = append(found, n)
			return nil
		}, `SELECT id, run_id, device_id, external_device_id, kind, changes, create_request, temporary, conflict_id, fence, until, created_at
			FROM remote_intents WHERE organization_id = ? AND service_id = ? ORDER BY created_at, id`, org, service)
	})
	return found, err
}

// KnownEntities gives the tags, blueprints and cohorts kept of the service, by kind and id.
func (s *Store) KnownEntities(ctx context.Context, org, service string) (found []tandem.KnownEntity, err error) {
	err = s.read(ctx, "read tags, blueprints and cohorts", org, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			e := tandem.KnownEntity{ServiceID: service}
			var was word
			err := rows.Scan(&e.Kind, &e.ID, &e.Name, &was)
			e.Was = string(was)
			found = append(found, e)
			return err
		}, "SELECT kind, id, name, was FROM remote_entities WHERE organization_id = ? AND service_id = ? ORDER BY kind, id", org, service)
	})
	return found, err
}

// NotLinked lists what the last listing showed that is not linked, by name; ignored ones only when asked.
func (s *Store) NotLinked(ctx context.Context, org, service string, q tandem.NotLinkedFilter) (found []tandem.NotLinked, all int, err error) {
	f := &filter{}
	order := f.ordered(notLinkedOrders, q.Sort)
	f.add("r.organization_id = ? AND r.service_id = ?", org, service)
	f.among("r.external_device_id", q.ExternalDeviceIDs)
	f.contains(q.Search, "r.name_folded")
	f.equal("r.reason", q.Reason)
	switch {
	case q.OnlyIgnored:
		f.add("r.ignored = TRUE")
	case !q.Ignored:
		f.add("r.ignored = FALSE")
	}
	err = s.read(ctx, "list remote devices that are not linked", org, func(tx bun.Conn) error {
		if f.err != nil {
			return f.err
		}
		text, args := f.page("r.external_device_id, r.name, r.device, r.reason, r.candidates, r.ignored, r.first_seen_at, r.seen_at",
			"remote_devices AS r", order, q.Page)
		if err := query(ctx, tx, func(rows *sql.Rows) error {
			n := tandem.NotLinked{ServiceID: service}
			var device, candidates word
			var first, seen stamp
			if err := rows.Scan(&n.ExternalDeviceID, &n.Name, &device, &n.Reason, &candidates, &n.Ignored, &first, &seen); err != nil {
				return err
			}
			n.FirstSeenAt, n.SeenAt = first.Time, seen.Time
			if err := candidates.decode(&n.Candidates); err != nil {
				return err
			}
			if err := device.decode(&n.Device); err != nil {
				return err
			}
			found = append(found, n)
			return nil
		}, text, args...); err != nil {
			return err
		}
		all, err = total(q.Page, len(found), func() (int, error) { return f.count(ctx, tx, "remote_devices AS r") })
		return err
	})
	return found, all, err
}

// RecentChanges gives the newest done create and update entries of the devices over all services, newest first,
// at most perDevice for each device, path and side.
func (s *Store) RecentChanges(ctx context.Context, org string, deviceIDs []string, perDevice int) (found []tandem.Entry, err error) {
	ids := slices.Compact(slices.Sorted(slices.Values(deviceIDs)))
	for _, text := range append([]string{org}, ids...) {
		if err := checkText(text); err != nil {
			return nil, s.fail("read recent changes", err)
		}
	}
	err = s.readKeyed(ctx, "read recent changes", org, func(tx bun.Conn) error {
		for some := range slices.Chunk(ids, 2*chunk) {
			from := s.dialect.Keyed("golioth_sync_log_entries", "t", "organization_id = "+quoted(org), "device_id", some, false)
			entries, err := scanEntries(ctx, tx, org, `SELECT `+entryRead+` FROM (
				SELECT t.*, ROW_NUMBER() OVER (PARTITION BY t.device_id, t.field, t.side ORDER BY t.created_at DESC, t.id DESC) AS place
				FROM `+from+` WHERE t.outcome = 'done' AND t.action IN ('create', 'update')
			) AS e WHERE e.place <= `+strconv.Itoa(perDevice)+` ORDER BY e.created_at DESC, e.id DESC`)
			if err != nil {
				return err
			}
			found = append(found, entries...)
		}
		return nil
	})
	if len(ids) > 2*chunk {
		slices.SortStableFunc(found, func(a, b tandem.Entry) int { return b.CreatedAt.Compare(a.CreatedAt) })
	}
	return found, err
}

// Removals counts the done delete, unlink and recreate entries of the service since an instant that a guard counts (S18).
func (s *Store) Removals(ctx context.Context, org, service string, since time.Time) (int, error) {
	return s.countRows(ctx, "count removals", org, `SELECT COUNT(*) FROM golioth_sync_log_entries
		WHERE organization_id = ? AND service_id = ? AND created_at >= ? AND outcome = 'done' AND action IN ('delete', 'unlink', 'recreate') AND note LIKE ?`,
		org, service, at(since), "%"+tandem.GuardedNote+"%")
}

// Rollouts counts the done remote updates of enabled and cohort of the service since an instant (S18).
func (s *Store) Rollouts(ctx context.Context, org, service string, since time.Time) (int, error) {
	return s.countRows(ctx, "count rollouts", org, `SELECT COUNT(*) FROM golioth_sync_log_entries
		WHERE organization_id = ? AND service_id = ? AND created_at >= ? AND outcome = 'done' AND side = 'remote' AND action = 'update' AND field IN ('enabled', 'cohort')`,
		org, service, at(since))
}
