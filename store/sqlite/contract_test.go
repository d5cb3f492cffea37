package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"tandem"
	"tandem/store"
	"tandem/store/sqlite"
	"tandem/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(open, m.Run)) }

func open(ctx context.Context, where string) (tandem.Store, error) {
	return sqlite.Open(ctx, where, store.Options{AutoMigrate: true})
}

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Database{Open: open, Fresh: func(t testing.TB) string { return filepath.Join(t.TempDir(), "tandem.db") }})
}
