package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"unique"

	"github.com/uptrace/bun"

	"tandem"
)

// fleetRead are the columns that fleetScan reads, of devices AS d.
const fleetRead = `d.id, d.name_folded, d.device_id, d.device_id_folded, d.search_text, d.device_type, d.lifecycle, d.tags, d.enabled, d.blueprint, d.cohort,
	d.last_seen, d.offline_at, d.battery_level, d.battery_at, d.created_at, d.updated_at`

// fleetScan is where a row is scanned to before it becomes one of a fleet.
type fleetScan struct {
	id, name, deviceID, deviceIDFolded, search, deviceType, lifecycle, tags, blueprint, cohort word
	enabled                                                                                    bool
	battery                                                                                    sql.NullFloat64
	lastSeen, offlineAt, batteryAt, createdAt, updatedAt                                       stamp
}

// targets gives the destinations in the order of fleetRead.
func (r *fleetScan) targets() []any {
	return []any{&r.id, &r.name, &r.deviceID, &r.deviceIDFolded, &r.search, &r.deviceType, &r.lifecycle, &r.tags, &r.enabled, &r.blueprint, &r.cohort,
		&r.lastSeen, &r.offlineAt, &r.battery, &r.batteryAt, &r.createdAt, &r.updatedAt}
}

// row makes the row that was scanned. Texts that are part of others share their memory.
func (r *fleetScan) row() (fleetRow, error) {
	search := string(r.search)
	row := fleetRow{id: string(r.id), name: within(search, string(r.name)), deviceIDFolded: within(search, string(r.deviceIDFolded)), search: search,
		deviceType: unique.Make(string(r.deviceType)), lifecycle: unique.Make(string(r.lifecycle)), blueprint: unique.Make(string(r.blueprint)),
		cohort: unique.Make(string(r.cohort)), enabled: r.enabled, live: true, battery: never,
		lastSeen: micros(r.lastSeen.ptr()), offlineAt: micros(r.offlineAt.ptr()), batteryAt: micros(r.batteryAt.ptr()),
		createdAt: micros(r.createdAt.ptr()), updatedAt: micros(r.updatedAt.ptr())}
	row.deviceID = within(row.deviceIDFolded, string(r.deviceID))
	if r.battery.Valid {
		row.battery = ordinal(r.battery.Float64)
	}
	tags, err := decodeStrings(r.tags)
	for _, tag := range tags {
		row.tags = append(row.tags, unique.Make(tag))
	}
	return row, err
}

// within gives the part of text that is what, or what itself where it is none.
func within(text, what string) string {
	if at := strings.Index(text, what); at >= 0 {
		return text[at : at+len(what)]
	}
	return what
}

// scanFleet scans all rows of a query that selects fleetRead.
func scanFleet(rows *sql.Rows) (found []fleetRow, err error) {
	r := fleetScan{}
	targets := r.targets()
	err = each(rows, func() error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		row, err := r.row()
		found = append(found, row)
		return err
	})
	return found, err
}

// fleetLinkRead are the columns that scanFleetLinks reads, of device_service_assignments AS a.
const fleetLinkRead = "a.device_id, a.service_id, a.sync_status"

// scanFleetLinks gives the rows their links.
func scanFleetLinks(rows *sql.Rows, found []fleetRow) error {
	at := make(map[string]int, len(found))
	for i := range found {
		at[found[i].id] = i
	}
	var device, service, status word
	return each(rows, func() error {
		err := rows.Scan(&device, &service, &status)
		if i, there := at[string(device)]; there { // else a tombstone's
			found[i].links = append(found[i].links, fleetLink{unique.Make(string(service)), unique.Make(string(status))})
		}
		return err
	})
}

// errTooLarge says that a fleet is not kept.
var errTooLarge = tandem.Errorf(tandem.Internal, "", "", "the organization has too many devices to be kept in memory")

// loadFleet reads a whole one, and from where on events tell of what it does not have.
func (s *Store) loadFleet(ctx context.Context, org string) (f *fleet, cursor string, err error) {
	err = s.read(ctx, "read the fleet", org, func(tx bun.Conn) error {
		n := 0
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM devices WHERE organization_id = ? AND deleted_at IS NULL LIMIT ?) AS counted", org, fleetsAtAll+1).Scan(&n); err != nil {
			return err
		}
		if n > fleetsAtAll {
			return errTooLarge
		}
		if _, cursor, err = s.eventsAfter(ctx, tx, "", "", 1); err != nil {
			return err
		}
		devices, err := tx.QueryContext(ctx, "SELECT "+fleetRead+" FROM devices AS d WHERE d.organization_id = ? AND d.deleted_at IS NULL", org)
		if err != nil {
			return err
		}
		found, err := scanFleet(devices)
		if err != nil {
			return err
		}
		links, err := tx.QueryContext(ctx, "SELECT "+fleetLinkRead+" FROM device_service_assignments AS a WHERE a.organization_id = ?", org)
		if err != nil {
			return err
		}
		if err := scanFleetLinks(links, found); err != nil {
			return err
		}
		f = newFleet(org, found)
		return nil
	})
	return f, cursor, err
}

// refresh reads some devices of a fleet anew. It begins its own transactions, so that it sees what was committed before.
func (s *Store) refresh(ctx context.Context, f *fleet, ids []string) error {
	own := "organization_id = " + quoted(f.org)
	for some := range slices.Chunk(ids, 2*chunk) {
		if err := s.readKeyed(ctx, "read what changed in the fleet", f.org, func(tx bun.Conn) error {
			devices, err := s.keyed(ctx, tx, "SELECT "+fleetRead+" FROM ", "devices", "d", own+" AND deleted_at IS NULL", "id", some, "")
			if err != nil {
				return err
			}
			found, err := scanFleet(devices)
			if err != nil {
				return err
			}
			links, err := s.keyed(ctx, tx, "SELECT "+fleetLinkRead+" FROM ", "device_service_assignments", "a", own, "device_id", some, "")
			if err != nil {
				return err
			}
			if err := scanFleetLinks(links, found); err != nil {
				return err
			}
			f.put(some, found)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
