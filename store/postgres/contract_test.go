package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"tandem"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/storetest"
)

func TestMain(m *testing.M) {
	os.Exit(storetest.Main(open, func() int { return pgtest.Main(m) }))
}

func open(ctx context.Context, where string) (tandem.ServerStore, error) {
	return postgres.Open(ctx, where, store.Options{AutoMigrate: true})
}

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Database{Open: open, Fresh: pgtest.URL})
}

func TestQueriesUseIndexes(t *testing.T) {
	storetest.RunQueries(t, storetest.Database{Open: open, Fresh: pgtest.URL}, "ANALYZE", func(t *testing.T, st tandem.ServerStore, org, query string, ordered bool) []string {
		conn, err := st.(*store.Store).DB().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}()
		if _, err := conn.ExecContext(t.Context(), "BEGIN READ ONLY; SET LOCAL ROLE tandem_app; SET LOCAL tandem.organization_id = '"+org+"'"+sorting[ordered]); err != nil {
			t.Fatal(err)
		}
		var text string
		if err := conn.QueryRowContext(t.Context(), "EXPLAIN (FORMAT JSON) "+query).Scan(&text); err != nil {
			t.Fatalf("%v: %s", err, query)
		}
		if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		var plans []struct{ Plan node }
		if err := json.Unmarshal([]byte(text), &plans); err != nil {
			t.Fatal(err)
		}
		return append(plans[0].Plan.scans(), plans[0].Plan.sorts(ordered)...)
	})
}

// sorting is set so that the planner, which sorts a few rows sooner than it follows an index, sorts only where it must.
var sorting = map[bool]string{true: "; SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off; SET LOCAL enable_bitmapscan = off"}

// sorts names the steps that sort.
func (n node) sorts(ordered bool) (steps []string) {
	if ordered && strings.Contains(n.Type, "Sort") {
		steps = append(steps, n.Type)
	}
	for _, inner := range n.Plans {
		steps = append(steps, inner.sorts(ordered)...)
	}
	return steps
}

// node is a step of a plan.
type node struct {
	Type      string `json:"Node Type"`
	Relation  string `json:"Relation Name"`
	IndexCond string `json:"Index Cond"`
	Plans     []node
}

// big are the tables that RunQueries fills; the planner reads the small ones whole, as it should.
var big = []string{"devices", "device_hardware_ids", "device_tags", "device_service_assignments", "golioth_sync_log_entries", "device_conflicts", "remote_devices", "sync_plan_changes",
	"users", "memberships", "sessions", "one_time_links", "api_tokens", "audit_log", "audit_seals", "audit_unsealed",
	"deliveries", "delivery_states", "delivery_keys", "device_observations"}

// scans names the big tables, or their indexes, that a plan reads from end to end.
func (n node) scans() (tables []string) {
	for _, table := range big {
		if (n.Relation == table || filled(n, table)) && (n.Type == "Seq Scan" || strings.HasPrefix(n.Type, "Index") && n.IndexCond == "") {
			tables = append(tables, table)
		}
	}
	for _, inner := range n.Plans {
		tables = append(tables, inner.scans()...)
	}
	return tables
}

// filled reports whether a step reads a partition that has rows: the one of the week that the suite's clock shows.
func filled(n node, table string) bool {
	return n.Relation == table+"_20260223"
}

// TestRowLevelSecurityIsASecondWall asks as the application's role, without any WHERE: it sees the rows of one organization.
func TestRowLevelSecurityIsASecondWall(t *testing.T) {
	where := pgtest.URL(t)
	st, err := open(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	mine, other := storetest.Fill(t, st), storetest.Fill(t, st)
	if err := st.Close(); err != nil { // it notes what it has counted
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	tables := column(t, conn, `SELECT c.table_name::text FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name)
		WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.column_name = 'organization_id'
			AND NOT (SELECT relispartition FROM pg_class WHERE oid = to_regclass(c.table_name::text))`)
	if len(tables) < 15 {
		t.Fatalf("only %v", tables)
	}
	for _, table := range tables {
		if n := count(t, conn, table); n == 0 {
			t.Errorf("%s is empty: nothing is proven", table)
		}
	}
	t.Run("the role", func(t *testing.T) {
		for query, want := range map[string]string{
			"SELECT (rolsuper OR rolbypassrls OR rolcanlogin)::text FROM pg_roles WHERE rolname = 'tandem_app'":                                                                       "false",
			"SELECT count(*)::text FROM pg_class WHERE relowner = 'tandem_app'::regrole":                                                                                              "0",
			"SELECT count(*)::text FROM pg_auth_members WHERE member = 'tandem_app'::regrole":                                                                                         "0", // it inherits nothing
			"SELECT count(*)::text FROM pg_class WHERE relname = ANY('{" + strings.Join(tables, ",") + "}') AND relkind IN ('r', 'p') AND NOT relrowsecurity":                         "0",
			"SELECT count(*)::text FROM pg_class WHERE relispartition AND relkind = 'r' AND (NOT relrowsecurity OR NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid))": "0",
			"SELECT count(*)::text FROM pg_class WHERE relispartition AND relkind = 'r' AND has_table_privilege('tandem_app', oid, 'SELECT, INSERT, UPDATE, DELETE')":                 "0", // by their table alone
		} {
			if got := column(t, conn, query); got[0] != want {
				t.Errorf("%s gives %s, want %s", query, got[0], want)
			}
		}
	})
	as := func(t *testing.T, org string, test func()) {
		t.Helper()
		exec(t, conn, "BEGIN")
		exec(t, conn, "SET LOCAL ROLE tandem_app")
		if org != "" {
			exec(t, conn, "SET LOCAL tandem.organization_id = '"+org+"'")
		}
		test()
		exec(t, conn, "ROLLBACK")
	}
	t.Run("one organization is seen without a WHERE", func(t *testing.T) {
		as(t, mine, func() {
			for _, table := range tables {
				if orgs := column(t, conn, "SELECT DISTINCT organization_id::text FROM "+table); len(orgs) != 1 || orgs[0] != mine {
					t.Errorf("%s shows %v", table, orgs)
				}
			}
			if names := column(t, conn, "SELECT id FROM organizations"); len(names) != 1 || names[0] != mine {
				t.Errorf("organizations shows %v", names)
			}
		})
	})
	t.Run("nothing is seen without an organization", func(t *testing.T) {
		as(t, "", func() {
			for _, table := range append(tables, "organizations") {
				if n := count(t, conn, table); n != 0 {
					t.Errorf("%s shows %d rows", table, n)
				}
			}
		})
	})
	t.Run("people are seen where they are members, what they hold by nobody", func(t *testing.T) {
		for query, want := range map[string]string{
			"SELECT count(*)::text FROM users":           "1",
			"SELECT count(*)::text FROM sessions":        "0",
			"SELECT count(*)::text FROM one_time_links":  "0",
			"UPDATE users SET name = 'x' RETURNING name": "",
		} {
			as(t, mine, func() {
				if got := strings.Join(column(t, conn, query), " "); got != want {
					t.Errorf("%s gives %q to an organization, want %q", query, got, want)
				}
			})
		}
		for query, want := range map[string]string{
			"SELECT count(*)::text FROM users":          "2",
			"SELECT count(*)::text FROM sessions":       "2",
			"SELECT count(*)::text FROM one_time_links": "2",
			"SELECT count(*)::text FROM api_tokens":     "2", // by its hash
			"DELETE FROM api_tokens RETURNING id":       "",
			"SELECT count(*)::text FROM invitations":    "2", // by the email that they are for
			"DELETE FROM invitations RETURNING id":      "",
			"SELECT count(*)::text FROM audit_log":      "0",
			"SELECT count(*)::text FROM audit_seals":    "0",
			"SELECT count(*)::text FROM devices":        "0",
		} {
			as(t, "*", func() {
				if got := strings.Join(column(t, conn, query), " "); got != want {
					t.Errorf("%s gives %q to the calls about people, want %q", query, got, want)
				}
			})
		}
	})
	t.Run("another organization's rows are not changed without a WHERE", func(t *testing.T) {
		as(t, mine, func() {
			for _, table := range tables {
				exec(t, conn, "SAVEPOINT s")
				tag, err := conn.Exec(t.Context(), "UPDATE "+table+" SET organization_id = '"+other+"'")
				if err == nil {
					t.Errorf("%s: %d rows were given to another organization", table, tag.RowsAffected())
				}
				exec(t, conn, "ROLLBACK TO s")
			}
		})
	})
}

func exec(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func column(t *testing.T, conn *pgx.Conn, query string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return list
}

func count(t *testing.T, conn *pgx.Conn, table string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(column(t, conn, "SELECT count(*)::text FROM "+table)[0], &n); err != nil {
		t.Fatal(err)
	}
	return n
}
