package postgres_test

import (
	"context"
	"os"
	"testing"

	"tandem"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/storetest"
)

func TestMain(m *testing.M) {
	os.Exit(storetest.Main(open, func() int { return pgtest.Main(m) }))
}

func open(ctx context.Context, where string) (tandem.Store, error) {
	return postgres.Open(ctx, where, store.Options{AutoMigrate: true})
}

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Database{Open: open, Fresh: pgtest.URL})
}
