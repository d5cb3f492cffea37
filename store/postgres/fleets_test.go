package postgres_test

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tandem"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/storetest"
)

// keeping opens the database so that every fleet is kept in memory.
var keeping = storetest.Database{Fresh: pgtest.URL, Open: func(ctx context.Context, where string) (tandem.ServerStore, error) {
	return postgres.Open(ctx, where, store.Options{AutoMigrate: true, FleetsFrom: 1})
}}

func TestFleets(t *testing.T) {
	storetest.RunFleets(t, keeping, storetest.Database{Fresh: pgtest.URL, Open: open})
}

// compared are the columns that an index is searched by.
var compared = regexp.MustCompile(`\(*(\w+)\)?(?:::text)? (?:=|<|>|<=|>=|~~) `)

func TestLargeQueriesEndEarly(t *testing.T) {
	// Without its vacuum PostgreSQL does not know that an index can answer alone.
	storetest.RunLargeQueries(t, keeping, "VACUUM ANALYZE", func(t *testing.T, st tandem.ServerStore, org, query string) []string {
		conn, err := st.(*store.Store).DB().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}()
		if _, err := conn.ExecContext(t.Context(), "BEGIN READ ONLY; SET LOCAL ROLE tandem_app; SET LOCAL tandem.organization_id = '"+org+"'; SET LOCAL enable_seqscan = off"); err != nil {
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
		return plans[0].Plan.whole(false)
	})
}

// whole names the steps that read all rows of a scope: nothing above them ends them early, and no index answers alone.
func (n node) whole(ended bool) (steps []string) {
	switch {
	case n.Type == "Limit":
		ended = true
	case strings.Contains(n.Type, "Sort"), strings.Contains(n.Type, "Aggregate"), n.Type == "Hash", n.Type == "Materialize":
		ended = false
	}
	conditions := n.conditions()
	reads := n.Type == "Seq Scan" || n.Type == "Index Scan" || n.Type == "Bitmap Heap Scan"
	if reads && !ended && (n.Relation == "events" || slices.Contains(big, n.Relation)) {
		narrower := slices.ContainsFunc(compared.FindAllStringSubmatch(conditions, -1), func(found []string) bool {
			return !slices.Contains(storetest.Scopes, found[1])
		})
		if !narrower {
			steps = append(steps, n.Type+" of "+n.Relation+" by "+conditions)
		}
	}
	for _, inner := range n.Plans {
		steps = append(steps, inner.whole(ended)...)
	}
	return steps
}

// conditions are what the indexes of a step are searched by.
func (n node) conditions() string {
	all := n.IndexCond
	for _, inner := range n.Plans {
		if strings.HasPrefix(inner.Type, "Bitmap") {
			all += " " + inner.conditions()
		}
	}
	return all
}
