package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"tandem"
	"tandem/secret"
	"tandem/store"
)

// legacyTable is what the older schema's table of connections is called once it is migrated.
const legacyTable = "legacy_device_integrations"

// Where that table may hold an API key in plain text: columns, and members of the columns that hold JSON.
var (
	legacyKeyColumns  = []string{"api_key_encrypted", "api_key"}
	legacyJSONColumns = []string{"configuration", "config", "settings"}
	legacyKeyMembers  = []string{"api_key", "apiKey", "apikey", "key", "token"}
)

// legacyKeys says what became of the API keys in the older schema's table, by the ids of its rows.
type legacyKeys struct {
	Scrubbed []string `json:"scrubbed"`
	Kept     []string `json:"kept"` // still in plain text, and in every backup made so far
}

// legacyKeys finds them, and with scrub overwrites those whose service has its key and can open it.
func (a *app) legacyKeys(ctx context.Context, st *store.Store, scrub bool) (found legacyKeys, err error) {
	found = legacyKeys{Scrubbed: []string{}, Kept: []string{}}
	fail := func(err error) (legacyKeys, error) {
		return found, tandem.Errorf(tandem.CodeOf(err), "scrub keys", legacyTable, "the older schema's keys could not be looked through: %w", err)
	}
	db := st.DB()
	onSQLite := strings.HasPrefix(a.flags.DatabaseURL, "sqlite:")
	catalog := "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = ?"
	if onSQLite {
		catalog = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
	}
	there := 0
	if err := db.QueryRowContext(ctx, catalog, legacyTable).Scan(&there); err != nil {
		return fail(err)
	} else if there == 0 {
		return found, nil
	}
	columns, err := columnsOf(ctx, db)
	if err != nil {
		return fail(err)
	}
	if !slices.Contains(columns, "id") {
		return found, nil
	}
	var readable map[string]bool
	if scrub {
		if readable, err = a.readable(ctx, st); err != nil {
			return found, err
		}
	}
	for _, column := range columns {
		inJSON := slices.Contains(legacyJSONColumns, column)
		if !inJSON && !slices.Contains(legacyKeyColumns, column) {
			continue
		}
		rows, err := readColumn(ctx, db, column)
		if err != nil {
			return fail(err)
		}
		for _, row := range rows {
			clean, secret := "", row.text != ""
			if inJSON {
				clean, secret = withoutKeys(row.text)
			}
			switch {
			case !secret:
			case !readable[row.id]:
				found.Kept = append(found.Kept, row.id)
			default:
				if _, err := db.ExecContext(ctx, "UPDATE "+legacyTable+" SET ? = ? WHERE CAST(id AS TEXT) = ?", bun.Ident(column), clean, row.id); err != nil {
					return fail(err)
				}
				found.Scrubbed = append(found.Scrubbed, row.id)
			}
		}
	}
	for _, ids := range []*[]string{&found.Scrubbed, &found.Kept} {
		slices.Sort(*ids)
		*ids = slices.Compact(*ids)
	}
	if len(found.Scrubbed) > 0 && onSQLite { // deleted text stays in the file's free pages, and in the log
		for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return fail(err)
			}
		}
	}
	return found, nil
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

func columnsOf(ctx context.Context, db *bun.DB) (names []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+legacyTable+" LIMIT 0")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if names, err = rows.Columns(); err != nil {
		return nil, err
	}
	return names, rows.Err()
}

// cell is one row's id with the text of one column.
type cell struct{ id, text string }

func readColumn(ctx context.Context, db *bun.DB, column string) (cells []cell, err error) {
	rows, err := db.QueryContext(ctx, "SELECT CAST(id AS TEXT), CAST(? AS TEXT) FROM "+legacyTable+" ORDER BY 1", bun.Ident(column))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id, text sql.NullString
		if err := rows.Scan(&id, &text); err != nil {
			return nil, err
		}
		cells = append(cells, cell{id.String, text.String})
	}
	return cells, rows.Err()
}

// withoutKeys empties the members of a JSON object that hold an API key; had is false where there is none.
func withoutKeys(text string) (cleaned string, had bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil {
		return text, false
	}
	for _, name := range legacyKeyMembers {
		if value, ok := object[name]; ok && string(value) != `""` && string(value) != "null" {
			object[name], had = json.RawMessage(`""`), true
		}
	}
	if !had {
		return text, false
	}
	out, err := json.Marshal(object)
	if err != nil {
		return text, false
	}
	return string(out), true
}

// showLegacyKeys says that keys in plain text are left, or gone.
func (a *app) showLegacyKeys(k *legacyKeys) {
	if n := len(k.Scrubbed); n > 0 {
		a.out.printf("overwrote %s in %s; backups made before still hold them\n", count(n, "plain API key", "plain API keys"), legacyTable)
	}
	if n := len(k.Kept); n > 0 {
		a.out.printf("%s still in plain text in %s, and in every backup of it: %s\n", count(n, "API key is", "API keys are"), legacyTable, list(k.Kept))
		a.out.printf("  → once their services work (tandem doctor): tandem migrate up --scrub-legacy-keys\n")
	}
}
