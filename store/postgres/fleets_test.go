package postgres_test

import (
	"context"
	"testing"

	"tandem"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/storetest"
)

func TestFleets(t *testing.T) {
	storetest.RunFleets(t, storetest.Database{Fresh: pgtest.URL, Open: func(ctx context.Context, where string) (tandem.ServerStore, error) {
		return postgres.Open(ctx, where, store.Options{AutoMigrate: true, FleetsFrom: 1})
	}}, storetest.Database{Fresh: pgtest.URL, Open: open})
}
