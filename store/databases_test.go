package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// databases are the two that every test here runs on.
var databases = map[string]struct {
	fresh func(t testing.TB) string
	open  func(ctx context.Context, where string, options ...store.Options) (*store.Store, error)
}{
	"sqlite":   {func(t testing.TB) string { return filepath.Join(t.TempDir(), "tandem.db") }, sqlite.Open},
	"postgres": {pgtest.URL, postgres.Open},
}
