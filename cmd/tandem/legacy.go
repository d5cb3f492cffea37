package main

import (
	"context"

	"tandem/store"
)

// migrateLegacy moves an older application's device_integrations into services, where there is such a table.
func (a *app) migrateLegacy(context.Context, *store.Store) (any, error) {
	return nil, nil
}
