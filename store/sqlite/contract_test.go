package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tandem"
	"tandem/store"
	"tandem/store/sqlite"
	"tandem/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(open, m.Run)) }

func open(ctx context.Context, where string) (tandem.ServerStore, error) {
	return sqlite.Open(ctx, where, store.Options{AutoMigrate: true})
}

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Database{Open: open, Fresh: func(t testing.TB) string { return filepath.Join(t.TempDir(), "tandem.db") }})
}

func TestQueriesUseIndexes(t *testing.T) {
	database := storetest.Database{Open: open, Fresh: func(t testing.TB) string { return filepath.Join(t.TempDir(), "tandem.db") }}
	storetest.RunQueries(t, database, "ANALYZE", func(t *testing.T, st tandem.ServerStore, _, query string, ordered bool) (scanned []string) {
		rows, err := st.(*store.Store).DB().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query)
		if err != nil {
			t.Fatalf("%v: %s", err, query)
		}
		defer func() {
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
		}()
		made := map[string]bool{} // subqueries, which are scanned once made
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			for _, how := range []string{"CO-ROUTINE ", "MATERIALIZE "} {
				if name, is := strings.CutPrefix(step, how); is {
					made[name] = true
				}
			}
			if ordered && strings.HasSuffix(step, "ORDER BY") { // USE TEMP B-TREE FOR …
				scanned = append(scanned, step)
			}
			if name, is := strings.CutPrefix(step, "SCAN "); is && !bounded.MatchString(step) && !made[name] {
				scanned = append(scanned, step)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return scanned
	})
}

// bounded are scans of what is no table: values, subqueries and lists.
var bounded = regexp.MustCompile(`^SCAN (CONSTANT ROW|\d+ CONSTANT ROWS|\(subquery-\d+\)|json_each|goose_db_version|sqlite_master)`)
