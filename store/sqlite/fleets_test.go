package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"tandem"
	"tandem/store"
	"tandem/store/sqlite"
	"tandem/store/storetest"
)

func TestFleets(t *testing.T) {
	fresh := func(t testing.TB) string { return filepath.Join(t.TempDir(), "tandem.db") }
	storetest.RunFleets(t, storetest.Database{Fresh: fresh, Open: func(ctx context.Context, where string) (tandem.ServerStore, error) {
		return sqlite.Open(ctx, where, store.Options{AutoMigrate: true, FleetsFrom: 1})
	}}, storetest.Database{Fresh: fresh, Open: open})
}
