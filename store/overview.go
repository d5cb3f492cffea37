package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// To count a hundred thousand devices by status is to read them all, since no index has when they were last seen (listings).
// So what was counted of a large fleet is kept for some seconds; of a small one it is counted each time.
const (
	overviewYoung = 5 * time.Second
	overviewOld   = 15 * time.Second
	facetsYoung   = 45 * time.Second
	facetsOld     = time.Minute
	facetsOfEach  = 200
)

// Overview counts an organization's fleet and what is wrong with it; of a large fleet it gives what was counted some seconds ago.
func (s *Store) Overview(ctx context.Context, org string, now time.Time) (tandem.Overview, error) {
	o, err := s.overviews.get(ctx, org, func(ctx context.Context) (o tandem.Overview, keep bool, err error) {
		known, err := s.fleetOf(ctx, org)
		if err != nil {
			return o, false, s.fail("count the fleet", err)
		}
		err = s.read(ctx, "count the fleet", org, func(tx bun.Conn) error {
			if keep, err = s.dear(ctx, tx, org); err != nil {
				return err
			}
			o, err = s.countFleet(ctx, tx, org, now, known)
			return err
		})
		return o, keep, err
	})
	if err != nil {
		return tandem.Overview{}, err
	}
	o.ByStatus, o.BySync, o.Services = maps.Clone(o.ByStatus), maps.Clone(o.BySync), slices.Clone(o.Services) // others have the kept one
	for i := range o.Services {
		o.Services[i].BySync = maps.Clone(o.Services[i].BySync)
	}
	return o, nil
}

// dear reports whether an organization has so much that what is counted of it is kept.
func (s *Store) dear(ctx context.Context, tx bun.Conn, org string) (bool, error) {
	for _, from := range []string{"devices WHERE organization_id = ? AND deleted_at IS NULL", "remote_devices WHERE organization_id = ?",
		"device_conflicts WHERE organization_id = ? AND resolution_status IN ('pending', 'resolving')"} {
		n := 0
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+from+" LIMIT ?) AS counted", org, LargeFleet+1).Scan(&n); err != nil || n > LargeFleet {
			return n > LargeFleet, err
		}
	}
	return false, nil
}

func (s *Store) countFleet(ctx context.Context, tx bun.Conn, org string, now time.Time, known *fleet) (tandem.Overview, error) {
	o := tandem.Overview{ByStatus: map[tandem.Status]int{}, BySync: map[tandem.SyncStatus]int{}, Services: []tandem.ServiceOverview{}, At: now.UTC()}
	if err := s.countStatuses(ctx, tx, org, now, known, &o); err != nil {
		return o, err
	}
	if err := s.countServices(ctx, tx, org, &o); err != nil {
		return o, err
	}
	for _, one := range o.Services {
		o.ConflictsOpen += one.ConflictsOpen
		for status, n := range one.BySync {
			o.BySync[status] += n
		}
	}
	open, err := s.countOpen(ctx, tx, org)
	o.AlertsOpen, o.DeadDeliveries = open.Alerts, open.DeadDeliveries
	return o, err
}

func (s *Store) countStatuses(ctx context.Context, tx bun.Conn, org string, now time.Time, known *fleet, o *tandem.Overview) error {
	windows, err := s.onlineWindows(ctx, tx, org)
	if err != nil {
		return err
	}
	if known != nil {
		o.Devices, o.ByStatus = known.statuses(newOnlineSince(now, windows))
		return nil
	}
	seen, online := 0, 0
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*), COUNT(d.last_seen), COUNT(CASE WHEN d.last_seen >= ? AND `+notGone+` THEN 1 END) FROM devices AS d
		WHERE d.organization_id = ? AND d.deleted_at IS NULL`, s.oldestOnline(now, windows), org).Scan(&o.Devices, &seen, &online); err != nil {
		return err
	}
	for status, n := range map[tandem.Status]int{tandem.Online: online, tandem.Offline: seen - online, tandem.NeverSeen: o.Devices - seen} {
		if n > 0 {
			o.ByStatus[status] = n
		}
	}
	return nil
}

// countServices counts what there is of each service, by name.
func (s *Store) countServices(ctx context.Context, tx bun.Conn, org string, o *tandem.Overview) error {
	if err := query(ctx, tx, func(rows *sql.Rows) error {
		one := tandem.ServiceOverview{BySync: map[tandem.SyncStatus]int{}}
		err := rows.Scan(&one.ServiceID)
		o.Services = append(o.Services, one)
		return err
	}, "SELECT id FROM device_services WHERE organization_id = ? AND deleted_at IS NULL ORDER BY name", org); err != nil {
		return err
	}
	of := make(map[string]*tandem.ServiceOverview, len(o.Services))
	for i := range o.Services {
		of[o.Services[i].ServiceID] = &o.Services[i]
	}
	each := func(take func(one *tandem.ServiceOverview, what string, n int), text string) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var service, what word
			n := 0
			if err := rows.Scan(&service, &what, &n); err != nil {
				return err
			}
			if one := of[string(service)]; one != nil {
				take(one, string(what), n)
			}
			return nil
		}, text, org)
	}
	// Synced are those that are left over: of them there are the most, and the index of statuses has the others alone.
	if err := each(func(one *tandem.ServiceOverview, _ string, n int) { one.Linked, one.BySync[tandem.SyncSynced] = n, n },
		"SELECT a.service_id, '', COUNT(*) FROM device_service_assignments AS a WHERE a.organization_id = ? GROUP BY a.service_id"); err != nil {
		return err
	}
	if err := each(func(one *tandem.ServiceOverview, status string, n int) {
		one.BySync[tandem.SyncStatus(status)] = n
		if one.BySync[tandem.SyncSynced] -= n; one.BySync[tandem.SyncSynced] == 0 {
			delete(one.BySync, tandem.SyncSynced)
		}
		if tandem.SyncStatus(status) == tandem.SyncUnlinked {
			one.Linked -= n
		}
	}, `SELECT a.service_id, a.sync_status, COUNT(*) FROM device_service_assignments AS a WHERE a.organization_id = ? AND a.sync_status <> 'synced'
		GROUP BY a.sync_status, a.service_id`); err != nil {
		return err
	}
	if err := each(func(one *tandem.ServiceOverview, _ string, n int) { one.NotLinked = n },
		"SELECT r.service_id, '', COUNT(*) FROM remote_devices AS r WHERE r.organization_id = ? AND r.ignored = FALSE GROUP BY r.service_id"); err != nil {
		return err
	}
	return each(func(one *tandem.ServiceOverview, _ string, n int) { one.ConflictsOpen = n },
		"SELECT c.service_id, '', COUNT(*) FROM device_conflicts AS c"+s.dialect.Indexed("device_conflicts_groups")+` WHERE c.organization_id = ? AND c.resolution_status IN ('pending', 'resolving')
			GROUP BY c.service_id`)
}

// OpenCounts counts what waits for somebody.
func (s *Store) OpenCounts(ctx context.Context, org string) (open tandem.OpenCounts, err error) {
	err = s.read(ctx, "count what is open", org, func(tx bun.Conn) error {
		open, err = s.countOpen(ctx, tx, org)
		return err
	})
	return open, err
}

// countOpen counts in indexes alone, so far that a badge need not show more.
func (s *Store) countOpen(ctx context.Context, tx bun.Conn, org string) (open tandem.OpenCounts, err error) {
	const bounded = "(SELECT COUNT(*) FROM (SELECT 1 FROM "
	err = tx.QueryRowContext(ctx, "SELECT "+
		bounded+"device_conflicts WHERE organization_id = ? AND resolution_status IN ('pending', 'resolving') LIMIT ?) AS c), "+
		bounded+"alerts WHERE organization_id = ? AND status <> 'resolved' LIMIT ?) AS a), "+
		bounded+"delivery_states WHERE organization_id = ? AND status = 'dead' AND status <> 'processed' LIMIT ?) AS d)",
		org, tandem.CountedTo+1, org, tandem.CountedTo+1, org, tandem.CountedTo+1).Scan(&open.Conflicts, &open.Alerts, &open.DeadDeliveries)
	return open, err
}

// DeviceFacets gives the most used types, tags, blueprints and cohorts; of a large fleet as they were up to a minute ago.
func (s *Store) DeviceFacets(ctx context.Context, org string) (tandem.DeviceFacets, error) {
	return s.facets.get(ctx, org, func(ctx context.Context) (found tandem.DeviceFacets, keep bool, err error) {
		known, err := s.fleetOf(ctx, org)
		if err != nil {
			return found, false, s.fail("look which values devices have", err)
		}
		if known != nil {
			return known.facets(), known.size() > LargeFleet, nil
		}
		err = s.read(ctx, "look which values devices have", org, func(tx bun.Conn) error {
			if keep, err = s.dear(ctx, tx, org); err != nil {
				return err
			}
			for _, facet := range []struct {
				into         *[]string
				column, from string
			}{
				{&found.Types, "device_type", "devices"}, {&found.Tags, "tag", "device_tags"},
				{&found.Blueprints, "blueprint", "devices"}, {&found.Cohorts, "cohort", "devices"},
			} {
				if *facet.into, err = mostUsed(ctx, tx, org, facet.column, facet.from); err != nil {
					return err
				}
			}
			return nil
		})
		return found, keep, err
	})
}

// mostUsed gives the most used values of a column that an index of the live devices begins with, in their order.
func mostUsed(ctx context.Context, tx bun.Conn, org, column, from string) ([]string, error) {
	found, live := []string{}, ""
	if from == "devices" {
		live = " AND " + column + " IS NOT NULL AND deleted_at IS NULL"
	}
	err := query(ctx, tx, func(rows *sql.Rows) error {
		var value word
		err := rows.Scan(&value)
		found = append(found, string(value))
		return err
	}, "SELECT "+column+" FROM "+from+" WHERE organization_id = ?"+live+" GROUP BY "+column+" ORDER BY COUNT(*) DESC, "+column+" LIMIT ?", org, facetsOfEach)
	slices.Sort(found)
	return found, err
}
