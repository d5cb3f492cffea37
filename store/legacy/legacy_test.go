package legacy_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/secret"
	"tandem/store"
	"tandem/store/legacy"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const apiKey = "gk_live_0123456789abcdef"

var now = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// schemas are the older schema as each database had it.
var schemas = map[string][]string{
	"sqlite": {
		`CREATE TABLE organizations (id TEXT PRIMARY KEY, name TEXT NOT NULL, plan TEXT, created_at DATETIME)`,
		`CREATE TABLE users (id TEXT PRIMARY KEY, organization_id TEXT REFERENCES organizations (id), email TEXT)`,
		`CREATE TABLE device_integrations (id TEXT PRIMARY KEY, organization_id TEXT, integration_type TEXT, name TEXT, configuration TEXT, settings TEXT,
			api_key_encrypted TEXT, project_id TEXT, base_url TEXT, status TEXT)`,
		`CREATE TABLE devices (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL, name TEXT, serial_number TEXT NOT NULL, status TEXT NOT NULL, tags TEXT, metadata TEXT,
			battery_level INTEGER, location TEXT, firmware_version TEXT, last_seen DATETIME, rack TEXT, integration_id TEXT, external_device_id TEXT)`,
		`CREATE INDEX devices_name_folded ON devices (organization_id, name)`,
	},
	"postgres": {
		`CREATE TABLE organizations (id text PRIMARY KEY, name text NOT NULL, plan varchar(20), created_at timestamptz DEFAULT now())`,
		`CREATE TABLE users (id text PRIMARY KEY, organization_id text REFERENCES organizations (id), email text)`,
		`CREATE TABLE device_integrations (id text PRIMARY KEY, organization_id text, integration_type text, name text, configuration text, settings jsonb,
			api_key_encrypted text, project_id text, base_url text, status text)`,
		`CREATE TABLE devices (id text PRIMARY KEY, organization_id text NOT NULL, name text, serial_number text NOT NULL, status text NOT NULL, tags text[], metadata jsonb,
			battery_level numeric, location text, firmware_version text, last_seen timestamptz, rack text, integration_id text, external_device_id text)`,
		`CREATE INDEX devices_name_folded ON devices (organization_id, name)`,
	},
}

// fixture is a messy old database, as statements for both.
func fixture() []string {
	integration := func(id, org, kind, name, config, key, project, url, status string) string {
		null := func(s string) string {
			if s == "" {
				return "NULL"
			}
			return "'" + strings.ReplaceAll(s, "'", "''") + "'"
		}
		values := []string{id, org, kind, name, config, key, project, url, status}
		for i, v := range values {
			values[i] = null(v)
		}
		return "INSERT INTO device_integrations (id, organization_id, integration_type, name, configuration, api_key_encrypted, project_id, base_url, status) VALUES (" +
			strings.Join(values, ", ") + ")"
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(apiKey))
	list := []string{
		`INSERT INTO organizations (id, name, plan, created_at) VALUES ('o1', 'Acme GmbH', 'gold', '2025-01-02 03:04:05'), ('o2', 'Acme GmbH', NULL, '2025-01-02 03:04:05')`,
		`INSERT INTO users VALUES ('u1', 'o1', 'a@example.org')`,
		integration("i1", "o1", "golioth", "prod", `{"sync_interval_seconds": 120, "theme": "dark"}`, apiKey, "demo", "https://api.golioth.io", "active"),
		integration("i2", "o1", "golioth", "prod", `{"project_id": "inner", "base_url": "https://inner"}`, encoded, "", "", "disabled"),
		integration("i3", "o1", "golioth", "locked", `{}`, "U2FsdGVkX19zYWx0c2FsdHNhbHRzYWx0+/==", "demo3", "https://x", "active"),
		integration("i4", "o2", "Golioth", "in config", `{"apiKey": "`+apiKey+`", "project": "p4"}`, "", "", "", ""),
		integration("i5", "nobody", "golioth", "orphan", `{}`, apiKey, "p", "u", "active"),
		integration("i6", "o2", "golioth", "broken", `{"project": `, apiKey, "p", "u", "active"),
		integration("i7", "o2", "golioth", "no key", "", "", "p7", "", "active"),
		integration("i8", "", "golioth", "no organization", "", apiKey, "", "", "active"),
	}
	device := func(id, org, serial, integration, external string) string {
		opt := func(s string) string {
			if s == "" {
				return "NULL"
			}
			return "'" + s + "'"
		}
		return fmt.Sprintf(`INSERT INTO devices (id, organization_id, name, serial_number, status, metadata, battery_level, location, firmware_version, last_seen, rack, integration_id, external_device_id)
			VALUES ('%s', '%s', 'Gerät %s', '%s', 'online', '{"site": {"floor": 3}}', 87, 'Hall 5', '1.2.3', '2026-04-01 10:00:00', 'R7', %s, %s)`,
			id, org, id, serial, opt(integration), opt(external))
	}
	list = append(list,
		device("d1", "o1", "S1", "i1", "ext1"), device("d2", "o1", "S2", "i2", "ext1"), device("d3", "o1", "S3", "i3", "ext3"),
		device("d4", "o1", "S1", "", ""),           // its serial number is d1's
		device("d5", "o1", "S5", "i4", "ext5"),     // another organization's integration
		device("d6", "o1", "S6", "i1", "ext1"),     // the remote device is d1's
		device("d7", "o1", "S7", "i1", ""),         // no remote id
		device("d8", "o2", "S1", "i4", "ext1"),     // the same serial number and remote id in another organization
		device("d9", "nobody", "S9", "i5", "ext9"), // no such organization
		device("d10", "o2", "S10", "i6", "ext10"),  // its integration was left
		device("d11", "o2", "S11", "none", "ext11"))
	return list
}

func databases(t *testing.T, test func(t *testing.T, kind string, open func(store.Options) *store.Store, keys *secret.Keyring)) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			where, opener := filepath.Join(t.TempDir(), "old.db"), sqlite.Open
			if kind == "postgres" {
				where, opener = pgtest.URL(t), postgres.Open
			}
			keys, err := secret.Open(filepath.Join(t.TempDir(), secret.FileName))
			if err != nil {
				t.Fatal(err)
			}
			test(t, kind, func(options store.Options) *store.Store {
				st, err := opener(t.Context(), where, options)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := st.Close(); err != nil {
						t.Error(err)
					}
				})
				return st
			}, keys)
		})
	}
}

func run(t *testing.T, st *store.Store, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := st.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func migrate(t *testing.T, st *store.Store, keys *secret.Keyring) legacy.Report {
	t.Helper()
	report, err := legacy.Migrate(t.Context(), st, keys, legacy.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestMigrateAMessyDatabase(t *testing.T) {
	databases(t, func(t *testing.T, kind string, open func(store.Options) *store.Store, keys *secret.Keyring) {
		st := open(store.Options{AnySchema: true})
		run(t, st, append(slices.Clone(schemas[kind]), fixture()...)...)
		if found, err := legacy.Found(t.Context(), st); err != nil || !found {
			t.Fatalf("found %v, %v", found, err)
		}
		report := migrate(t, st, keys)
		if !report.Found || report.Organizations != 2 || report.Devices != 10 || report.Services != 5 || report.Assignments != 4 {
			t.Errorf("%+v", report)
		}
		ids := func(rows []legacy.Row) string {
			var all []string
			for _, r := range rows {
				all = append(all, r.ID)
			}
			slices.Sort(all)
			return strings.Join(all, " ")
		}
		if got := ids(report.Left); got != "d10 d11 d5 d6 d7 d9 i5 i6 i8" {
			t.Errorf("left: %s", got)
		}
		if got := ids(report.Locked); got != "i3 i7" {
			t.Errorf("locked: %s", got)
		}
		if text, err := json.Marshal(report); err != nil || strings.Contains(string(text), apiKey) || strings.Contains(string(text), "U2Fsd") {
			t.Errorf("the report shows a key, or %v: %s", err, text)
		}
		if len(report.NotVisible) == 0 || !strings.Contains(strings.Join(report.NotVisible, "\n"), "legacy_device_integrations") {
			t.Errorf("not visible: %v", report.NotVisible)
		}
		checkServices(t, st, keys)
		checkDevices(t, st)
		for query, want := range map[string]string{
			"SELECT COUNT(*) FROM legacy_device_integrations":                            "8", // all rows stay
			"SELECT COUNT(*) FROM legacy_devices":                                        "11",
			"SELECT email FROM users WHERE id = 'u1'":                                    "a@example.org",
			"SELECT role FROM memberships WHERE user_id = 'u1'":                          "viewer",
			"SELECT COUNT(*) FROM devices WHERE rack = 'R7' AND serial_number LIKE 'S%'": "10", // extended by the old columns
			"SELECT plan FROM organizations WHERE id = 'o1'":                             "gold",
		} {
			var got string
			if err := st.DB().QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
				t.Errorf("%s gives %s, want %s (%v)", query, got, want, err)
			}
		}

		if again := migrate(t, st, keys); again.Found || again.Devices+again.Services+again.Assignments+again.Organizations != 0 {
			t.Errorf("the second time it did %+v", again)
		}
		opened := open(store.Options{}) // the schema is this program's
		checkServices(t, opened, keys)
	})
}

func checkServices(t *testing.T, st *store.Store, keys *secret.Keyring) {
	t.Helper()
	for _, want := range []struct {
		org, id, name, project, url string
		active, key                 bool
		interval                    int
	}{
		{"o1", "i1", "prod", "demo", "https://api.golioth.io", true, true, 120},
		{"o1", "i2", "prod (2)", "inner", "https://inner", false, true, 300},
		{"o1", "i3", "locked", "demo3", "https://x", false, false, 300},
		{"o2", "i4", "in config", "p4", "", true, true, 300},
		{"o2", "i7", "no key", "p7", "", false, false, 300},
	} {
		s, err := st.Service(t.Context(), want.org, want.id)
		if err != nil {
			t.Errorf("%s: %v", want.id, err)
			continue
		}
		if s.Name != want.name || s.ServiceType != "golioth" || s.Config.Project != want.project || s.Config.BaseURL != want.url || s.IsActive != want.active ||
			s.SyncInterval != want.interval || s.SyncEnabled {
			t.Errorf("%s is %+v", want.id, s)
		}
		if !want.key {
			if s.State != tandem.ServiceLocked || len(s.Credentials) != 0 || s.StateReason == "" {
				t.Errorf("%s is not locked: %+v", want.id, s)
			}
			continue
		}
		got, err := keys.Unseal(s.Credentials, secret.Where{Organization: want.org, Table: "device_services", Column: "credentials", Row: want.id})
		if err != nil || got.Reveal() != apiKey {
			t.Errorf("the key of %s: %v", want.id, err)
		}
	}
}

func checkDevices(t *testing.T, st *store.Store) {
	t.Helper()
	d, err := st.Device(t.Context(), "o1", "d1")
	if err != nil {
		t.Fatal(err)
	}
	seen := time.Date(2026, 4, 1, 10, 0, 0, 0, time.UTC)
	if d.Name != "Gerät d1" || d.DeviceID != "S1" || d.LastSeen == nil || !d.LastSeen.Equal(seen) || d.BatteryLevel == nil || *d.BatteryLevel != 87 ||
		d.Firmware["main"].Version != "1.2.3" || fmt.Sprint(d.Metadata) != "map[site:map[floor:3]]" || d.Lifecycle != tandem.Active {
		t.Errorf("%+v", d)
	}
	for _, want := range []struct{ org, service, external, device string }{
		{"o1", "i1", "ext1", "d1"}, {"o1", "i2", "ext1", "d2"}, {"o1", "i3", "ext3", "d3"}, {"o2", "i4", "ext1", "d8"},
	} {
		a, err := st.Assignment(t.Context(), want.org, want.service, want.external)
		if err != nil || a.DeviceID != want.device || a.Status != tandem.SyncPending || a.Base.Local.Known != tandem.NoFields {
			t.Errorf("%s: %+v, %v", want.external, a, err)
		}
	}
	if d4, err := st.Device(t.Context(), "o1", "d4"); err != nil || d4.DeviceID != "d4" {
		t.Errorf("a serial number that is taken: %+v, %v", d4, err)
	}
}

// TestOtherTypesAndMissingColumns has numbers and UUIDs as ids, lists and maps of other types, and few columns.
func TestOtherTypesAndMissingColumns(t *testing.T) {
	const a, b = "6f1c2d3e-0000-4000-8000-000000000001", "6f1c2d3e-0000-4000-8000-000000000002"
	old := map[string][]string{
		"sqlite": {
			`CREATE TABLE organizations (id INTEGER PRIMARY KEY, slug TEXT)`, `INSERT INTO organizations VALUES (1, 'Acme Inc.')`,
			`CREATE TABLE device_integrations (id INTEGER PRIMARY KEY, organization_id INTEGER, settings TEXT)`,
			`INSERT INTO device_integrations VALUES (7, 1, '{"api_key": "` + apiKey + `"}')`,
			`CREATE TABLE devices (id INTEGER PRIMARY KEY AUTOINCREMENT, organization_id INTEGER, tags TEXT, hardware_id TEXT, integration_id INTEGER, external_device_id INTEGER)`,
			`INSERT INTO devices VALUES (41, 1, 'red, blue', 'AA:01', 7, 900)`,
		},
		"postgres": {
			`CREATE TABLE organizations (id uuid PRIMARY KEY, slug text)`, `INSERT INTO organizations VALUES ('` + a + `', 'Acme Inc.')`,
			`CREATE TABLE device_integrations (id bigserial PRIMARY KEY, organization_id uuid REFERENCES organizations (id), settings jsonb)`,
			`INSERT INTO device_integrations VALUES (7, '` + a + `', '{"api_key": "` + apiKey + `"}')`,
			`CREATE TYPE tag AS ENUM ('red', 'blue')`,
			`CREATE TABLE devices (id uuid PRIMARY KEY, organization_id uuid, tags tag[], hardware_id text, integration_id bigint REFERENCES device_integrations (id), external_device_id bigint)`,
			`INSERT INTO devices VALUES ('` + b + `', '` + a + `', '{red,blue}', 'AA:01', 7, 900)`,
		},
	}
	databases(t, func(t *testing.T, kind string, open func(store.Options) *store.Store, keys *secret.Keyring) {
		org, device := "1", "41"
		if kind == "postgres" {
			org, device = a, b
		}
		st := open(store.Options{AnySchema: true})
		run(t, st, old[kind]...)
		report := migrate(t, st, keys)
		if report.Services != 1 || report.Assignments != 1 || len(report.Left) != 0 || len(report.Locked) != 0 {
			t.Errorf("%+v", report)
		}
		o, err := st.Organization(t.Context(), org)
		if err != nil || o.Slug != "acme-inc" {
			t.Errorf("%+v, %v", o, err)
		}
		d, err := st.Device(t.Context(), org, device)
		if err != nil || strings.Join(d.Tags, " ") != "red blue" || strings.Join(d.HardwareIDs, " ") != "AA:01" {
			t.Errorf("%+v, %v", d, err)
		}
		link, err := st.Assignment(t.Context(), org, "7", "900")
		if err != nil || link.DeviceID != device {
			t.Errorf("%+v, %v", link, err)
		}
	})
}

// TestBrokenOffAnywhere lets the migration be broken off after each of its statements: the next one goes on, and the end is the same.
func TestBrokenOffAnywhere(t *testing.T) {
	databases(t, func(t *testing.T, kind string, open func(store.Options) *store.Store, keys *secret.Keyring) {
		st := open(store.Options{AnySchema: true})
		run(t, st, append(slices.Clone(schemas[kind]), fixture()...)...)
		tries := 0
		for limit := time.Millisecond; ; limit += limit / 2 {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err := legacy.Migrate(ctx, st, keys, legacy.Options{Now: now})
			cancel()
			if err == nil {
				break
			}
			tries++
		}
		if tries == 0 {
			t.Error("it was never broken off")
		}
		checkServices(t, st, keys)
		checkDevices(t, st)
	})
}

func TestANewDatabaseHasNothingToMigrate(t *testing.T) {
	databases(t, func(t *testing.T, _ string, open func(store.Options) *store.Store, keys *secret.Keyring) {
		if report := migrate(t, open(store.Options{AutoMigrate: true}), keys); report.Found {
			t.Errorf("%+v", report)
		}
	})
}
