package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"tandem"
	"tandem/store"
	"tandem/store/postgres"
	"tandem/store/postgres/postgrestest"
)

// TestOlderSchema is refused at once, and asked about again only while somebody is migrating it.
func TestOlderSchema(t *testing.T) {
	t.Parallel()
	ctx, where := t.Context(), postgrestest.URL(t)
	admin, err := pgx.Connect(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	exec := func(text string) {
		t.Helper()
		if _, err := admin.Exec(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(again bool) {
		t.Helper()
		st, err := postgres.Open(ctx, where, store.Options{AutoMigrate: true})
		if err == nil {
			t.Fatal("an older schema was taken", st.Close())
		}
		var e *tandem.Error
		if !tandem.Is(err, tandem.Schema) || !errors.As(err, &e) || (e.RetryAfter > 0) != again {
			t.Errorf("got %v; to be asked about again: %t", err, again)
		}
	}
	exec("DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)")
	refused(false)
	exec("SELECT pg_advisory_lock(4097083626)") // as goose holds it
	refused(true)
	exec("SELECT pg_advisory_unlock(4097083626)")
	refused(false)
}
