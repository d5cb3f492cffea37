package sqlite_test

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tandem"
	"tandem/store"
	"tandem/store/sqlite"
	"tandem/store/storetest"
)

// keeping opens the file so that every fleet is kept in memory.
var keeping = storetest.Database{
	Fresh: func(t testing.TB) string { return filepath.Join(t.TempDir(), "tandem.db") },
	Open: func(ctx context.Context, where string) (tandem.ServerStore, error) {
		return sqlite.Open(ctx, where, store.Options{AutoMigrate: true, FleetsFrom: 1})
	},
}

func TestFleets(t *testing.T) {
	storetest.RunFleets(t, keeping, storetest.Database{Fresh: keeping.Fresh, Open: open})
}

// search is a step that reads an index; covering says that it reads no row.
var search = regexp.MustCompile(`^SEARCH (\w+) USING (COVERING )?(?:INDEX|PRIMARY KEY).*\((.*)\)$`)

func TestLargeQueriesEndEarly(t *testing.T) {
	storetest.RunLargeQueries(t, keeping, "ANALYZE", func(t *testing.T, st tandem.ServerStore, _, query string) (all []string) {
		rows, err := st.(*store.Store).DB().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query)
		if err != nil {
			t.Fatalf("%v: %s", err, query)
		}
		defer func() {
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
		}()
		limited := strings.Contains(query, "LIMIT")
		var steps []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			limited = limited && !strings.HasPrefix(step, "USE TEMP B-TREE")
			steps = append(steps, step)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			found := search.FindStringSubmatch(step)
			if found == nil || found[2] != "" || limited {
				continue
			}
			narrower := slices.ContainsFunc(strings.Split(found[3], " AND "), func(condition string) bool {
				column := strings.TrimRight(condition, "=<>?")
				return !slices.Contains(storetest.Scopes, column)
			})
			if !narrower && !slices.Contains(few, found[1]) {
				all = append(all, step)
			}
		}
		return all
	})
}

// few are tables, or their aliases, of which an organization has few rows.
var few = []string{"device_services", "organizations"}
