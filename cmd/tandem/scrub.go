package main

import (
	"context"

	"tandem"
	"tandem/secret"
	"tandem/store"
	"tandem/store/legacy"
)

// legacyKeys finds the API keys that the older schema's table holds in plain text, and with scrub
// overwrites those whose service has its key and can open it.
func (a *app) legacyKeys(ctx context.Context, st *store.Store, scrub bool) (legacy.PlainKeys, error) {
	var readable map[string]bool
	if scrub {
		var err error
		if readable, err = a.readable(ctx, st); err != nil {
			return legacy.PlainKeys{}, err
		}
	}
	return legacy.FindPlainKeys(ctx, st, readable)
}

// readable says of which services the stored API key can be opened.
func (a *app) readable(ctx context.Context, st *store.Store) (map[string]bool, error) {
	keys, err := secret.Open(a.keyFile())
	if err != nil {
		return nil, err
	}
	opens := map[string]bool{}
	err = a.newSession(st, keys).eachService(ctx, func(org tandem.Organization, v tandem.Service) error {
		_, err := keys.Unseal(v.Credentials, where(org.ID, v.ID))
		opens[v.ID] = err == nil && len(v.Credentials) > 0
		return nil
	})
	return opens, err
}

// showLegacyKeys says that keys in plain text are left, or gone.
func (a *app) showLegacyKeys(k *legacy.PlainKeys) {
	if n := len(k.Scrubbed); n > 0 {
		a.out.printf("overwrote %s in %s; backups made before still hold them\n", count(n, "plain API key", "plain API keys"), legacy.KeyTable)
	}
	if n := len(k.Kept); n > 0 {
		a.out.printf("%s still in plain text in %s, and in every backup of it: %s\n", count(n, "API key is", "API keys are"), legacy.KeyTable, list(k.Kept))
		a.out.printf("  → once their services work (tandem doctor): tandem migrate up --scrub-legacy-keys\n")
	}
}
