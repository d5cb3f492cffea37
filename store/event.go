package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"tandem"
)

// The kinds of events that follow from changes.
const (
	devicesKind      = "devices"
	organizationKind = "organization"
	conflictsKind    = "conflicts"
	runsKind         = "runs"
	servicesKind     = "services"
	deliveriesKind   = "deliveries"
	alertsKind       = "alerts"
	commandsKind     = "commands"    // by device
	lettingInKind    = "credentials" // by device
)

// namedInEvent is how many ids an event names; of more it says only that there are many.
const namedInEvent = 100

// observedOnly is the data of an event about devices of which nothing was edited.
var observedOnly = json.RawMessage(`{"observed":true}`)

// sentOnly is the data of an event about commands that were handed out, so that none waits because of it.
var sentOnly = json.RawMessage(`{"sent":true}`)

// newEventID mints the id of an event that nobody else names.
func newEventID() string { return uuid.Must(uuid.NewV7()).String() }

// follow gives the events that follow from the changes, at most one of each kind.
func (a *apply) follow() (events []tandem.Event) {
	add := func(kind string, ids []string) {
		if len(ids) == 0 {
			return
		}
		e := tandem.Event{ID: newEventID(), OrganizationID: a.org, At: a.clock, Kind: kind, IDs: ids}
		if len(ids) > namedInEvent {
			e.IDs, e.Many = nil, true
		}
		events = append(events, e)
	}
	devices := named(nil, a.CreateDevices, func(d *tandem.Device) string { return d.ID })
	devices = named(devices, a.UpdateDevices, func(d *tandem.Device) string { return d.ID })
	devices = named(devices, a.CreateAssignments, func(one *tandem.Assignment) string { return one.DeviceID })
	devices = named(devices, a.UpdateAssignments, func(one *tandem.Assignment) string { return one.DeviceID })
	edited := len(devices) > 0
	devices = named(devices, a.Observe, func(o *tandem.Observation) string { return o.DeviceID })
	add(devicesKind, devices)
	if len(devices) > 0 {
		a.fleets.wrote(a.org, events[0].ID)
		if !edited {
			events[0].Data = observedOnly
		}
	}
	add(lettingInKind, named(nil, a.PutCredentials, func(c *tandem.Credential) string { return c.DeviceID }))
	add(commandsKind, named(nil, a.PutCommands, func(c *tandem.Command) string { return c.DeviceID }))
	add(conflictsKind, named(nil, a.PutConflicts, func(c *tandem.Conflict) string { return c.ID }))
	add(runsKind, named(nil, a.PutRuns, func(r *tandem.Run) string { return r.ID }))
	add(servicesKind, named(nil, a.PutServices, func(m *tandem.ServiceMark) string { return m.ServiceID }))
	add(alertsKind, named(nil, a.PutAlerts, func(one *tandem.Alert) string { return one.ID }))
	add(deliveriesKind, named(nil, a.Changes.Deliveries, func(d *tandem.DeliveryOutcome) string { return d.ID }))
	return events
}

// named adds the ids of items that are not there yet, until there are more than an event names.
func named[T any](ids []string, items []T, id func(*T) string) []string {
	if len(items) == 0 || len(ids) > namedInEvent {
		return ids
	}
	seen := make(map[string]bool, len(ids)+min(len(items), namedInEvent))
	for _, there := range ids {
		seen[there] = true
	}
	for i := range items {
		if v := id(&items[i]); !seen[v] {
			seen[v] = true
			if ids = append(ids, v); len(ids) > namedInEvent {
				break
			}
		}
	}
	return ids
}

// putEvents writes events and wakes who waits in other processes.
func (s *Store) putEvents(ctx context.Context, tx bun.Conn, events []tandem.Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := s.insert(ctx, tx, "events", "organization_id, id, at, kind, ids, many, data", "", len(events), func(b *bulk, i int) {
		e := &events[i]
		b.text(e.OrganizationID)
		b.text(e.ID)
		b.instant(e.At)
		b.text(e.Kind)
		b.json(e.IDs, len(e.IDs) == 0)
		b.bool(e.Many)
		b.raw(e.Data)
	}); err != nil {
		return err
	}
	return s.notify(ctx, tx, false)
}

// tellOfMany writes an event about more devices than anybody names.
func (s *Store) tellOfMany(ctx context.Context, tx bun.Conn, org string, now time.Time) error {
	e := tandem.Event{ID: newEventID(), OrganizationID: org, At: now, Kind: devicesKind, Many: true}
	s.fleets.wrote(org, e.ID)
	return s.putEvents(ctx, tx, []tandem.Event{e})
}

// tellOfOrganization writes an event about an organization that has another name, or is no more.
func (s *Store) tellOfOrganization(ctx context.Context, tx bun.Conn, org string, now time.Time) error {
	return s.putEvents(ctx, tx, []tandem.Event{{ID: newEventID(), OrganizationID: org, At: now, Kind: organizationKind, Many: true}})
}

// notify wakes who waits for events, or for jobs too, in other processes, once the transaction is committed.
func (s *Store) notify(ctx context.Context, tx bun.Conn, jobs bool) error {
	statement := s.dialect.Notify(jobs)
	if statement == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, statement)
	return err
}

// EventsSince walks the events of all organizations in the order in which they became visible, after a cursor; an empty
// cursor begins now.
func (s *Store) EventsSince(ctx context.Context, cursor string, limit int) (events []tandem.Event, next string, err error) {
	s.bell.looked(eventLooker)
	err = s.read(ctx, "read events", everyOrganization, func(tx bun.Conn) error {
		events, next, err = s.eventsAfter(ctx, tx, "", cursor, limit)
		return err
	})
	return events, next, err
}

// eventsAfter does so within a transaction; of one organization, unless org is "".
func (s *Store) eventsAfter(ctx context.Context, tx bun.Conn, org, cursor string, limit int) (events []tandem.Event, next string, err error) {
	condition, following, err := s.dialect.Since(ctx, tx.Conn, cursor)
	if err != nil || condition == "" {
		return nil, following("", true), err
	}
	f := filter{conditions: []string{condition}}
	f.equal("e.organization_id || ''", org) // no index has the organization's: the newest of all are fewer than all of one
	last := ""
	err = query(ctx, tx, func(rows *sql.Rows) error {
		e := tandem.Event{}
		var ids, data word
		var at stamp
		if err := rows.Scan(&last, &e.OrganizationID, &e.ID, &at, &e.Kind, &ids, &e.Many, &data); err != nil {
			return err
		}
		e.At, e.Data = at.Time, data.raw()
		events = append(events, e)
		return ids.decode(&events[len(events)-1].IDs)
	}, "SELECT e.seq, e.organization_id, e.id, e.at, e.kind, e.ids, e.many, e.data FROM events AS e"+f.where()+" ORDER BY e.seq LIMIT ?", append(f.args, limit)...)
	return events, following(last, len(events) < limit), err
}

// WaitForEvents returns when there may be new ones, or with ctx.
func (s *Store) WaitForEvents(ctx context.Context) error { return s.bell.wait(ctx, s, eventLooker) }

// instant reads the database's time within a transaction.
func (s *Store) instant(ctx context.Context, tx bun.Conn) (time.Time, error) {
	var now stamp
	err := tx.QueryRowContext(ctx, "SELECT "+s.dialect.Clock()).Scan(&now)
	return now.Time, err
}
