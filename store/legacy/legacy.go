// Package legacy brings a database of the older schema, with the table device_integrations, over to device_services,
// device_service_assignments and credentials encrypted at rest.
//
// The tables that Tandem needs a name of are set aside first as legacy_…, whole and untouched, so that nothing depends on
// the types and constraints they had; then the schema is migrated, their rows are copied under the same ids, and their
// further columns are added to Tandem's own tables with their values. Every row is read back and compared. What cannot be
// read is reported with its id and a reason and stays readable in its legacy_ table. device_integrations is set aside last,
// when each of its rows is migrated or reported: a migration that was broken off goes on where it stopped, and a
// finished one does nothing.
package legacy

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/secret"
	"tandem/store"
)

// Options say what the migration takes from outside.
type Options struct {
	Now time.Time  // for rows that say no time; required
	IDs tandem.IDs // for assignments; UUIDv7 when nil
}

// Report says what was done.
type Report struct {
	Found         bool     `json:"found"` // whether there was anything to migrate; all else is empty otherwise
	Organizations int      `json:"organizations"`
	Devices       int      `json:"devices"`
	Services      int      `json:"services"`
	Assignments   int      `json:"assignments"`
	Left          []Row    `json:"left"`        // rows that could not be read or written, left where they are
	Locked        []Row    `json:"locked"`      // services whose key could not be read: disabled, everything else migrated
	Notes         []Row    `json:"notes"`       // rows that were migrated with a difference
	NotVisible    []string `json:"not_visible"` // what an old application still running would no longer see
}

// Row names a row of an old table, and why it is reported.
type Row struct {
	Table  string `json:"table"` // its name now
	ID     string `json:"id"`    // its id, or its position ("row 7") where it has none
	Name   string `json:"name,omitempty"`
	Reason string `json:"reason"`
}

// Found reports whether the database has the older schema. It changes nothing.
func Found(ctx context.Context, st *store.Store) (bool, error) {
	d := newDatabase(st)
	has, err := d.hasTable(ctx, integrations)
	return has, d.fail("look for the older schema", err)
}

// Migrate brings an older schema over, with one opened as store.Options{AnySchema: true}; where there is none it
// does nothing. The caller backs the database up first, and stops the old application.
func Migrate(ctx context.Context, st *store.Store, keys *secret.Keyring, options Options) (Report, error) {
	m := &migration{database: newDatabase(st), st: st, keys: keys, now: options.Now.UTC().Truncate(time.Microsecond), ids: options.IDs,
		report: Report{Left: []Row{}, Locked: []Row{}, Notes: []Row{}, NotVisible: []string{}}}
	if m.ids == nil {
		m.ids = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	const op = "migrate device_integrations"
	has, err := m.hasTable(ctx, integrations)
	if err != nil || !has {
		return m.report, m.fail(op, err)
	}
	m.report.Found = true
	for _, step := range []func(context.Context) error{m.setAside, m.schema, m.copyOrganizations, m.copyPeople, m.copyDevices, m.copyServices,
		m.link, m.extend, m.finish} {
		if err := step(ctx); err != nil {
			return m.report, m.fail(op, err)
		}
	}
	return m.report, nil
}

// migration is one run of Migrate.
type migration struct {
	database
	st     *store.Store
	keys   *secret.Keyring
	now    time.Time
	ids    tandem.IDs
	report Report

	organizations map[string]bool   // ids
	devices       map[string]bool   // key of organization and id
	services      map[string]string // organization by service id
	failed        map[string]bool   // ids of integrations that were left
}

// key joins an organization and an id.
func key(org, id string) string { return org + "\x00" + id }

// schema brings Tandem's tables up to date.
func (m *migration) schema(ctx context.Context) error {
	_, err := m.st.Migrate(ctx)
	return err
}

// left reports a row that stays where it is.
func (m *migration) left(table string, r row, format string, args ...any) {
	m.report.Left = append(m.report.Left, r.reported(table, fmt.Sprintf(format, args...)))
}

// note reports a row that was migrated with a difference.
func (m *migration) note(table string, r row, format string, args ...any) {
	m.report.Notes = append(m.report.Notes, r.reported(table, fmt.Sprintf(format, args...)))
}
