package main

import (
	"context"

	"tandem/secret"
	"tandem/store"
	"tandem/store/legacy"
)

// migrateLegacy brings an older application's tables over, where there are any; that migrates the schema too.
func (a *app) migrateLegacy(ctx context.Context, s *store.Store) (legacy.Report, error) {
	found, err := legacy.Found(ctx, s)
	if err != nil || !found {
		return legacy.Report{Left: []legacy.Row{}, Locked: []legacy.Row{}, Notes: []legacy.Row{}, NotVisible: []string{}}, err
	}
	keys, err := secret.Open(a.keyFile())
	if err != nil {
		return legacy.Report{}, err
	}
	a.out.note("bringing the older schema over\n")
	return legacy.Migrate(ctx, s, keys, legacy.Options{Now: a.Clock(), IDs: newID})
}

// showLegacy says what was brought over, and everything that needs a look.
func (a *app) showLegacy(r *legacy.Report) {
	if !r.Found {
		return
	}
	a.out.printf("brought over %s, %s, %s, %s\n", count(r.Organizations, "organization", "organizations"), devices(r.Devices),
		count(r.Services, "service", "services"), count(r.Assignments, "link", "links"))
	for _, group := range []struct {
		title string
		rows  []legacy.Row
	}{
		{"left where they are, because they could not be read", r.Left},
		{"services without a readable API key; give it again with tandem service update NAME --org ORGANIZATION --api-key-file FILE", r.Locked},
		{"brought over with a difference", r.Notes},
	} {
		if len(group.rows) == 0 {
			continue
		}
		a.out.printf("%s:\n", group.title)
		for _, row := range group.rows {
			a.out.printf("  %s %s %s: %s\n", row.Table, clean(row.ID), clean(row.Name), clean(row.Reason))
		}
	}
	for _, line := range r.NotVisible {
		a.out.printf("an old application no longer sees: %s\n", clean(line))
	}
}
