package legacy

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/uptrace/bun"

	"tandem"
	"tandem/store"
)

// KeyTable is what the older schema's table of connections is called once it is migrated.
const KeyTable = "legacy_device_integrations"

// Where that table may hold an API key in plain text: columns, and members of the columns that hold JSON.
var (
	keyColumns     = []string{"api_key_encrypted", "api_key"}
	keyJSONColumns = []string{"configuration", "config", "settings"}
	keyMembers     = []string{"api_key", "apiKey", "apikey", "key", "token"}
)

// PlainKeys says what became of the API keys in the older schema's table, by the ids of its rows.
type PlainKeys struct {
	Scrubbed []string `json:"scrubbed"`
	Kept     []string `json:"kept"` // still in plain text, and in every backup made so far
}

// FindPlainKeys finds the API keys that the older schema's table still holds, and overwrites those of the
// rows that safe names: the ids of services whose sealed key can be opened. A nil safe overwrites none.
func FindPlainKeys(ctx context.Context, st *store.Store, safe map[string]bool) (found PlainKeys, err error) {
	found = PlainKeys{Scrubbed: []string{}, Kept: []string{}}
	fail := func(err error) (PlainKeys, error) {
		return found, tandem.Errorf(tandem.CodeOf(err), "scrub keys", KeyTable, "the older schema's keys could not be looked through: %w", err)
	}
	d := newDatabase(st)
	catalog := "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
	if d.postgres {
		catalog = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = ?"
	}
	there := 0
	if err := d.db.QueryRowContext(ctx, catalog, KeyTable).Scan(&there); err != nil {
		return fail(err)
	} else if there == 0 {
		return found, nil
	}
	columns, err := columnsOf(ctx, d.db)
	if err != nil {
		return fail(err)
	}
	if !slices.Contains(columns, "id") {
		return found, nil
	}
	for _, column := range columns {
		if err := found.column(ctx, d.db, column, safe); err != nil {
			return fail(err)
		}
	}
	for _, ids := range []*[]string{&found.Scrubbed, &found.Kept} {
		slices.Sort(*ids)
		*ids = slices.Compact(*ids)
	}
	if len(found.Scrubbed) > 0 && !d.postgres { // deleted text stays in the file's free pages, and in the log
		for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
			if _, err := d.db.ExecContext(ctx, statement); err != nil {
				return fail(err)
			}
		}
	}
	return found, nil
}

// column looks through one column, and overwrites what it may.
func (found *PlainKeys) column(ctx context.Context, db *bun.DB, column string, safe map[string]bool) error {
	inJSON := slices.Contains(keyJSONColumns, column)
	if !inJSON && !slices.Contains(keyColumns, column) {
		return nil
	}
	rows, err := readColumn(ctx, db, column)
	if err != nil {
		return err
	}
	for _, row := range rows {
		clean, secret := "", row.text != ""
		if inJSON {
			clean, secret = withoutKeys(row.text)
		}
		switch {
		case !secret:
		case !safe[row.id]:
			found.Kept = append(found.Kept, row.id)
		default:
			if _, err := db.ExecContext(ctx, "UPDATE "+KeyTable+" SET ? = ? WHERE CAST(id AS TEXT) = ?", bun.Ident(column), clean, row.id); err != nil {
				return err
			}
			found.Scrubbed = append(found.Scrubbed, row.id)
		}
	}
	return nil
}

func columnsOf(ctx context.Context, db *bun.DB) (names []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+KeyTable+" LIMIT 0")
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
	rows, err := db.QueryContext(ctx, "SELECT CAST(id AS TEXT), CAST(? AS TEXT) FROM "+KeyTable+" ORDER BY 1", bun.Ident(column))
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
	for _, name := range keyMembers {
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
