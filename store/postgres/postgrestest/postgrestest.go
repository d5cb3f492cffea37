// Package postgrestest gives tests PostgreSQL databases that have their tables already: copies of one that is migrated
// once for each test binary. The test binary's TestMain is pgtest.Main.
package postgrestest

import (
	"context"
	"testing"

	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
)

// Open opens a fresh, migrated database. It is closed and dropped when the test ends.
func Open(t testing.TB) *store.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// URL gives the URL of a fresh, migrated database for the time of the test.
func URL(t testing.TB) string {
	t.Helper()
	return pgtest.Copy(t, "migrated", func(ctx context.Context, url string) error {
		s, err := postgres.Open(ctx, url, store.Options{AutoMigrate: true})
		if err != nil {
			return err
		}
		return s.Close()
	})
}
