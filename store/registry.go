package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// Device reads one, a tombstone too.
func (s *Store) Device(ctx context.Context, org, id string) (tandem.Device, error) {
	const op = "find a device"
	found, err := s.findDevices(ctx, op, org, "d.id = ?", id)
	if err == nil && len(found) == 0 {
		err = s.fail(op, missing("device", id))
	}
	if err != nil {
		return tandem.Device{}, err
	}
	return found[0], nil
}

// FindDevices gives the live devices whose id or device_id is ref, else those named ref.
func (s *Store) FindDevices(ctx context.Context, org, ref string) ([]tandem.Device, error) {
	const op = "find devices"
	if err := checkText(ref); err != nil {
		return nil, s.fail(op, err)
	}
	// Two searches, each by its index: SQLite reads all devices for one with OR.
	found, err := s.findDevices(ctx, op, org, "d.id IN (SELECT ? UNION SELECT e.id FROM devices AS e WHERE e.organization_id = ? AND e.device_id_folded = ? AND e.device_id = ? AND e.deleted_at IS NULL)"+
		" AND d.deleted_at IS NULL ORDER BY d.id", ref, org, fold(ref), ref)
	if err != nil || len(found) > 0 {
		return found, err
	}
	return s.findDevices(ctx, op, org, "d.name_folded = ? AND d.name = ? AND d.deleted_at IS NULL ORDER BY d.id", fold(ref), ref)
}

func (s *Store) findDevices(ctx context.Context, op, org, where string, args ...any) (found []tandem.Device, err error) {
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		rows, err := tx.QueryContext(ctx, "SELECT "+deviceRead+" FROM devices AS d WHERE d.organization_id = ? AND "+where, append([]any{org}, args...)...)
		if err != nil {
			return err
		}
		found, err = scanDevices(org, rows)
		return err
	})
	return found, err
}

// deviceOrders are the sorts that a listing offers, each with the column that decides between equals, as the indexes have them.
// Never seen and unknown come first, or last when descending.
var deviceOrders = map[string][2]string{"": {"name_folded", "id"}, "name": {"name_folded", "id"}, "device_id": {"device_id_folded", "device_id"},
	"last_seen": {"last_seen", "id"}, "battery_level": {"battery_level", "id"}, "created_at": {"created_at", "id"}, "updated_at": {"updated_at", "id"}}

// nullable are the sorts by a column that may be NULL. A column that may not takes no word about it: an index would not be used.
var nullable = map[string]bool{"last_seen": true, "battery_level": true}

// deviceOrder gives the ORDER BY of a listing.
func deviceOrder(sort string) (string, error) {
	column, down := strings.CutPrefix(sort, "-")
	by, ok := deviceOrders[column]
	switch {
	case !ok:
		return "", tandem.Errorf(tandem.Invalid, "", sort, "devices cannot be sorted by this").
			WithHint("sort by name, device_id, last_seen, battery_level, created_at or updated_at")
	case !down && nullable[column]:
		return "d." + by[0] + " ASC NULLS FIRST, d." + by[1], nil
	case !down:
		return "d." + by[0] + ", d." + by[1], nil
	case nullable[column]:
		return "d." + by[0] + " DESC NULLS LAST, d." + by[1] + " DESC", nil
	}
	return "d." + by[0] + " DESC, d." + by[1] + " DESC", nil
}

// Devices lists live devices with where they are linked, and counts all matches; of a large fleet from memory where it is kept (fleet), else as they were some seconds ago (listings).
func (s *Store) Devices(ctx context.Context, org string, q tandem.DeviceFilter) (listed []tandem.DeviceRow, total int, err error) {
	const op = "list devices"
	order, err := deviceOrder(q.Sort)
	if err != nil {
		return nil, 0, s.fail(op, err)
	}
	now := q.Now
	if now.IsZero() {
		if now, err = s.Now(ctx); err != nil {
			return nil, 0, err
		}
	}
	var known *fleet
	if len(q.IDs) == 0 {
		if known, err = s.fleetOf(ctx, org); err != nil {
			return nil, 0, s.fail(op, err)
		}
	}
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		windows, err := s.onlineWindows(ctx, tx, org)
		if err != nil {
			return err
		}
		f := deviceConditions(org, q)
		s.statusCondition(f, q.Status, now, windows)
		var devices []tandem.Device
		switch {
		case f.err != nil:
			return f.err
		case known != nil:
			offset, limit := window(q.Page)
			var ids []string
			ids, total = known.list(newFleetFilter(q, now, windows), q.Sort, offset, limit)
			devices, err = s.devicesByID(ctx, tx, org, ids)
		default:
			devices, total, err = s.listDevices(ctx, tx, org, q, f, order, now)
		}
		if err != nil {
			return err
		}
		listed, err = s.deviceRows(ctx, tx, org, devices, now, windows)
		return err
	})
	return listed, total, err
}

// deviceConditions gives every condition but the status.
func deviceConditions(org string, q tandem.DeviceFilter) *filter {
	f := &filter{}
	f.add("d.organization_id = ? AND d.deleted_at IS NULL", org)
	f.among("d.id", q.IDs)
	f.contains(q.Search, "d.search_text")
	f.equal("d.device_type", q.Type)
	f.equal("d.lifecycle", string(q.Lifecycle))
	if q.Lifecycle != "" && q.Lifecycle != tandem.Active {
		f.add("d.lifecycle <> 'active'") // as the partial index says it
	}
	f.equal("d.blueprint", q.Blueprint)
	f.equal("d.cohort", q.Cohort)
	if q.Enabled != nil && *q.Enabled {
		f.add("d.enabled = TRUE")
	} else if q.Enabled != nil {
		f.add("d.enabled = FALSE")
	}
	if q.Tag != "" {
		if err := checkText(q.Tag); err != nil {
			f.err = err
		}
		f.add("d.id IN (SELECT t.device_id FROM device_tags AS t WHERE t.organization_id = ? AND t.tag = ?)", org, q.Tag)
	}
	const link = "SELECT 1 FROM device_service_assignments AS a WHERE a.organization_id = d.organization_id AND a.device_id = d.id"
	if q.NotLinked {
		// A scalar subquery is looked up device by device. As NOT EXISTS it becomes a join, which PostgreSQL plans row
		// against row while it has no statistics yet, and by its service it would take the index of all its devices:
		// half a minute for ten thousand devices just imported. Hence the LIMIT, and the || that no index serves.
		n := &filter{}
		n.equal("a.service_id || ''", q.ServiceID)
		f.add("("+strings.Join(append([]string{link}, n.conditions...), " AND ")+" LIMIT 1) IS NULL", n.args...)
		return f
	}
	if q.ServiceID != "" || q.SyncStatus != "" {
		n := &filter{}
		n.equal("a.service_id", q.ServiceID)
		n.equal("a.sync_status", string(q.SyncStatus))
		if q.SyncStatus == "" {
			n.add("a.sync_status <> 'unlinked'")
		}
		if q.SyncStatus != "" && q.SyncStatus != tandem.SyncSynced { // few: from the links to the devices
			n.add("a.sync_status <> 'synced'") // as the partial index says it
			f.add("d.id IN (SELECT a.device_id FROM device_service_assignments AS a WHERE a.organization_id = ? AND "+strings.Join(n.conditions, " AND ")+")",
				append([]any{org}, n.args...)...)
			return f
		}
		f.add("EXISTS ("+strings.Join(append([]string{link}, n.conditions...), " AND ")+")", n.args...)
	}
	return f
}

// onlineWindows gives the windows of live services that are not the default, by service id.
func (s *Store) onlineWindows(ctx context.Context, tx bun.Conn, org string) (map[string]time.Duration, error) {
	windows := map[string]time.Duration{}
	err := query(ctx, tx, func(rows *sql.Rows) error {
		var id string
		var seconds int64
		if err := rows.Scan(&id, &seconds); err != nil {
			return err
		}
		windows[id] = time.Duration(seconds) * time.Second
		return nil
	}, "SELECT id, online_window FROM device_services WHERE organization_id = ? AND deleted_at IS NULL AND online_window > 0 AND online_window <> ?",
		org, int(tandem.DefaultOnlineWindow/time.Second))
	return windows, err
}

// oldestOnline is, in SQL, how old the last report of device d may be at an instant for it to be online. Where a service has its
// own window, a device's is the smallest of its services'.
func (s *Store) oldestOnline(now time.Time, windows map[string]time.Duration) bun.Safe {
	since := func(window time.Duration) string { return s.dialect.Cast(quoted(formatTime(now.Add(-window))), "time") }
	oldest := since(tandem.DefaultOnlineWindow)
	if len(windows) > 0 {
		oldest = `(SELECT COALESCE(MAX(CASE`
		for id, window := range windows {
			oldest += fmt.Sprintf(" WHEN a.service_id = %s THEN %s", quoted(id), since(window))
		}
		oldest += " ELSE " + since(tandem.DefaultOnlineWindow) + ` END), ` + since(tandem.DefaultOnlineWindow) + `) FROM device_service_assignments AS a
			WHERE a.organization_id = d.organization_id AND a.device_id = d.id AND a.sync_status <> 'unlinked')`
	}
	return bun.Safe(oldest)
}

// notGone is, in SQL, that nobody said of device d that it went since it was last seen.
const notGone = "(d.offline_at IS NULL OR d.offline_at < d.last_seen)"

// statusCondition narrows to a status.
func (s *Store) statusCondition(f *filter, status tandem.Status, now time.Time, windows map[string]time.Duration) {
	oldest := s.oldestOnline(now, windows)
	switch status {
	case "":
	case tandem.NeverSeen:
		f.add("d.last_seen IS NULL")
	case tandem.Online:
		f.add("d.last_seen >= ? AND "+notGone, oldest)
	case tandem.Offline:
		f.add("(d.last_seen < ? OR d.offline_at >= d.last_seen)", oldest)
	default:
		f.err = tandem.Errorf(tandem.Invalid, "", string(status), "there is no such status").WithHint("use online, offline or never_seen")
	}
}

// deviceRows adds status and assignments.
func (s *Store) deviceRows(ctx context.Context, tx bun.Conn, org string, devices []tandem.Device, now time.Time, windows map[string]time.Duration) ([]tandem.DeviceRow, error) {
	listed := make([]tandem.DeviceRow, len(devices))
	index := make(map[string]int, len(devices))
	ids := make([]string, len(devices))
	for i := range devices {
		listed[i] = tandem.DeviceRow{Device: devices[i], Assignments: []tandem.Assignment{}}
		ids[i], index[devices[i].ID] = devices[i].ID, i
	}
	assignments, err := s.assignmentsOf(ctx, tx, org, ids)
	if err != nil {
		return nil, err
	}
	for i := range assignments {
		row := &listed[index[assignments[i].DeviceID]]
		row.Assignments = append(row.Assignments, assignments[i])
	}
	for i := range listed {
		listed[i].Status = listed[i].StatusAt(now, onlineWindow(listed[i].Assignments, windows))
	}
	return listed, nil
}

// onlineWindow is the smallest window of the services that a device is linked to.
func onlineWindow(assignments []tandem.Assignment, windows map[string]time.Duration) time.Duration {
	least := time.Duration(0)
	for i := range assignments {
		if assignments[i].Status == tandem.SyncUnlinked {
			continue
		}
		window, ok := windows[assignments[i].ServiceID]
		if !ok {
			window = tandem.DefaultOnlineWindow
		}
		if least == 0 || window < least {
			least = window
		}
	}
	if least == 0 {
		return tandem.DefaultOnlineWindow
	}
	return least
}

// Assignments gives those of some devices, by device and service id.
func (s *Store) Assignments(ctx context.Context, org string, deviceIDs []string) (found []tandem.Assignment, err error) {
	err = s.read(ctx, "read assignments", org, func(tx bun.Conn) error {
		found, err = s.assignmentsOf(ctx, tx, org, deviceIDs)
		return err
	})
	return found, err
}

func (s *Store) assignmentsOf(ctx context.Context, tx bun.Conn, org string, deviceIDs []string) (found []tandem.Assignment, err error) {
	err = s.inChunks("a.device_id", deviceIDs, 2*chunk, func(list bun.Safe) error {
		rows, err := tx.QueryContext(ctx, "SELECT "+assignmentRead+` FROM device_service_assignments AS a
			WHERE a.organization_id = ? AND ? ORDER BY a.device_id, a.service_id`, org, list)
		if err != nil {
			return err
		}
		some, err := scanAssignments(org, rows)
		found = append(found, some...)
		return err
	})
	return found, err
}

// Assignment finds one by service and remote id.
func (s *Store) Assignment(ctx context.Context, org, service, externalID string) (found tandem.Assignment, err error) {
	err = s.read(ctx, "find an assignment", org, func(tx bun.Conn) error {
		rows, err := tx.QueryContext(ctx, "SELECT "+assignmentRead+` FROM device_service_assignments AS a
			WHERE a.organization_id = ? AND a.service_id = ? AND a.external_device_id = ?`, org, service, externalID)
		if err != nil {
			return err
		}
		some, err := scanAssignments(org, rows)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			return missing("assignment", externalID)
		}
		found = some[0]
		return nil
	})
	return found, err
}
