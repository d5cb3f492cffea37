package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"tandem"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/postgres/postgrestest"
)

// connect gives a connection as the tables' owner.
func connect(t *testing.T, where string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// partitions counts the rows of each partition of observations that has any.
func partitions(t *testing.T, conn *pgx.Conn) map[string]int {
	t.Helper()
	rows := map[string]int{}
	for _, line := range column(t, conn, "SELECT tableoid::regclass || ' ' || count(*) FROM device_observations GROUP BY tableoid") {
		name, n := "", 0
		if _, err := fmt.Sscan(line, &name, &n); err != nil {
			t.Fatal(err)
		}
		rows[strings.TrimPrefix(name, "device_observations_")] = n
	}
	return rows
}

// TestUpgradeKeepsObservations migrates a database of the version before partitions, with rows in it.
func TestUpgradeKeepsObservations(t *testing.T) {
	t.Parallel()
	ctx, where := t.Context(), pgtest.URL(t)
	config, err := pgx.ParseConfig(where)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*config)
	older, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS("migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := older.UpTo(ctx, 5); err != nil {
		t.Fatal(err)
	}
	if err := older.Close(); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, where)
	exec(t, conn, `INSERT INTO organizations (id, name, slug, settings, created_at, updated_at) VALUES ('o', 'o', 'o', '{}', now(), now())`)
	exec(t, conn, `INSERT INTO device_observations SELECT 'o', 'd', at, 'p', NULL, '1', now() FROM generate_series(now() - interval '300 days', now() + interval '30 days', interval '1 hour') AS at`)
	want := count(t, conn, "device_observations")

	st, err := postgres.OpenForMigration(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	applied, err := st.Migrate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(applied) == 0 || applied[0] != "00006_partitions.sql" {
		t.Errorf("applied %v", applied)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st, err = postgres.Open(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	if got := count(t, conn, "device_observations"); got != want {
		t.Errorf("%d observations after migrating, were %d", got, want)
	}
	before := partitions(t, conn)
	if before["before"] == 0 || before["rest"] == 0 {
		t.Errorf("they lie in %v", before)
	}
	_, n, err := st.Observations(ctx, "o", tandem.ObservationFilter{DeviceID: "d", Since: time.Now().AddDate(0, 0, -10), Until: time.Now()})
	if err != nil || n != 240 {
		t.Errorf("%d of ten days: %v", n, err)
	}
	// The same value again is the same observation, in the older table's partition too.
	exec(t, conn, `INSERT INTO device_observations SELECT organization_id, device_id, observed_at, path, service_id, value, created_at FROM device_observations ON CONFLICT DO NOTHING`)
	if got := count(t, conn, "device_observations"); got != want {
		t.Errorf("%d observations after writing them again, were %d", got, want)
	}
	// Retention makes the weeks that come, and takes what waited for them along.
	if _, err := st.Prune(ctx, tandem.Retention{}, time.Now().AddDate(0, 0, 21), 1000); err != nil {
		t.Fatal(err)
	}
	after := partitions(t, conn)
	if got := count(t, conn, "device_observations"); got != want || after["rest"] >= before["rest"] {
		t.Errorf("%d observations, in %v; were %d, in %v", got, after, want, before)
	}
	// Once everything is over, the older table goes as a whole.
	removed, err := st.Prune(ctx, tandem.Retention{Observations: 90 * 24 * time.Hour}, time.Now().AddDate(1, 0, 0), 1_000_000)
	if err != nil || removed["weeks of observations"] != 1 {
		t.Errorf("removed %v: %v", removed, err)
	}
	if tables := column(t, conn, "SELECT COALESCE(to_regclass('device_observations_before')::text, 'gone')"); tables[0] != "gone" {
		t.Errorf("there still is %s", tables[0])
	}
}

// TestPartitionsAreMadeAndDropped as rows come and get old.
func TestPartitionsAreMadeAndDropped(t *testing.T) {
	t.Parallel()
	ctx, where := t.Context(), postgrestest.URL(t)
	conn := connect(t, where)
	open := func() *store.Store {
		st, err := postgres.Open(ctx, where)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
		return st
	}
	st, other := open(), open()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	must(st.CreateOrganization(ctx, tandem.Organization{ID: "o", Name: "o", Slug: "o"}))
	must(st.Apply(ctx, "o", &tandem.Changes{CreateDevices: []tandem.Device{{ID: "d", DeviceID: "d", Name: "d", Lifecycle: tandem.Active, CreatedAt: now, UpdatedAt: now}}}))
	write := func(st *store.Store, times ...time.Time) {
		t.Helper()
		c := &tandem.Changes{}
		for _, at := range times {
			c.Observations = append(c.Observations, tandem.DeviceObservation{DeviceID: "d", Path: "p", Value: json.RawMessage("1"), ObservedAt: at})
		}
		must(st.Apply(ctx, "o", c))
	}
	name := func(at time.Time) string { return at.Truncate(7 * 24 * time.Hour).Format("20060102") }
	old, ahead, never := now.AddDate(0, -6, 0), now.AddDate(0, 0, 60), now.AddDate(50, 0, 0)
	write(st, now, old, ahead, never)
	got := partitions(t, conn)
	for _, at := range []time.Time{now, old, ahead} {
		if got[name(at)] != 1 {
			t.Errorf("%s is not in its week: %v", at, got)
		}
	}
	if got["rest"] != 1 {
		t.Errorf("what cannot be meant: %v", got)
	}
	prune := func(st *store.Store, now time.Time) map[string]int {
		t.Helper()
		removed, err := st.Prune(ctx, tandem.Retention{Observations: 60 * 24 * time.Hour}, now, 1000)
		must(err)
		return removed
	}
	if removed := prune(other, now.AddDate(0, 0, 30)); len(removed) != 0 {
		t.Errorf("removed %v, which was written just now", removed)
	}
	if removed := prune(other, now.AddDate(0, 0, 61)); removed["weeks of observations"] != 1 {
		t.Errorf("removed %v", removed)
	}
	if got := partitions(t, conn); got[name(old)] != 0 {
		t.Errorf("still there: %v", got)
	}
	write(st, old) // it takes the partition for there
	if got := partitions(t, conn); got["rest"] != 1 {
		t.Errorf("what has no partition any more: %v", got)
	}
	write(open(), old, old.Add(time.Second)) // this one asks
	if got := partitions(t, conn); got["rest"] != 0 || got[name(old)] != 2 {
		t.Errorf("after the partition was made again: %v", got)
	}

	// A reader that stays holds nobody up for long, and the partition goes the next time.
	exec(t, conn, "BEGIN")
	exec(t, conn, "SELECT count(*) FROM device_observations")
	if removed := prune(other, now.AddDate(0, 0, 61)); removed["weeks of observations"] != 0 {
		t.Errorf("removed %v under a reader", removed)
	}
	exec(t, conn, "COMMIT")
	if removed := prune(other, now.AddDate(0, 0, 61)); removed["weeks of observations"] != 1 {
		t.Errorf("removed %v after the reader", removed)
	}

	// Nobody else makes or drops anything, and one organization alone drops nothing.
	exec(t, conn, "BEGIN")
	exec(t, conn, "SET LOCAL ROLE tandem_app")
	exec(t, conn, "SET LOCAL tandem.organization_id = 'o'")
	if _, err := conn.Exec(ctx, "SELECT drop_observation_partition(now() + interval '10 years')"); err == nil {
		t.Error("an organization dropped what is everybody's")
	}
	exec(t, conn, "ROLLBACK")
	if may := column(t, conn, `SELECT p.proname::text FROM pg_proc AS p WHERE p.proname LIKE '%_observation_partition' AND EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = 0)`); len(may) > 0 {
		t.Errorf("everybody may call %v", may)
	}
	// A partition is reached through its table alone, whose policy holds; and has one of its own beside that.
	if open := column(t, conn, `SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'device_observations'::regclass AND (NOT c.relrowsecurity
		OR has_table_privilege('tandem_app', c.oid, 'SELECT, INSERT, UPDATE, DELETE') OR NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid))`); len(open) > 0 {
		t.Errorf("these are open to every organization: %v", open)
	}
}
