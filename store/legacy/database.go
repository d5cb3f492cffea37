package legacy

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"tandem"
	"tandem/store"
)

const (
	integrations = "device_integrations"
	prefix       = "legacy_"
)

// ours are the tables that the schema's migrations make.
var ours = []string{"organizations", "devices", "device_hardware_ids", "device_tags", "device_services", "device_service_assignments",
	"remote_devices", "remote_intents", "remote_entities", "sync_plans", "sync_plan_changes", "golioth_sync_log", "golioth_sync_log_entries",
	"device_conflicts", "service_leases", "service_budgets", "service_slots",
	"users", "memberships", "sessions", "one_time_links", "invitations", "api_tokens", "idempotency_keys",
	"audit_log", "audit_seals", "audit_checkpoints", "audit_unsealed", "deleted_organizations",
	"deliveries", "delivery_keys", "delivery_states", "device_observations", "observation_hours", "device_pushes", "alerts", "notification_channels", "notifications",
	"events", "pending_jobs"}

// database is the old schema, as its owner reads and changes it.
type database struct {
	db       *bun.DB
	postgres bool
}

func newDatabase(st *store.Store) database {
	return database{db: st.DB(), postgres: st.DB().Dialect().Name() == dialect.PG}
}

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// texts reads one column of text.
func texts(ctx context.Context, q querier, query string, args ...any) (list []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// hasTable reports whether there is a table of that name.
func (d database) hasTable(ctx context.Context, table string) (bool, error) {
	return d.hasTableIn(ctx, d.db, table)
}

// hasTableIn is hasTable inside a transaction: SQLite has one connection to write with.
func (d database) hasTableIn(ctx context.Context, q querier, table string) (bool, error) {
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?"
	if d.postgres {
		query = `SELECT table_name::text FROM information_schema.tables
			WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name = ?`
	}
	found, err := texts(ctx, q, query, table)
	return len(found) > 0, err
}

// columns gives a table's columns with the type to add them with elsewhere.
func (d database) columns(ctx context.Context, table string) (names []string, types map[string]string, err error) {
	query := "SELECT name || '=ANY' FROM pragma_table_info(?) ORDER BY cid" // ANY keeps each value as it is
	if d.postgres {
		query = `SELECT attname || '=' || format_type(atttypid, atttypmod) FROM pg_attribute
			WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`
	}
	list, err := texts(ctx, d.db, query, table)
	types = map[string]string{}
	for _, item := range list {
		name, kind, _ := strings.Cut(item, "=")
		names, types[name] = append(names, name), kind
	}
	return names, types, err
}

// setAside renames the tables and indexes whose names Tandem's schema needs, all or none. It does nothing once that schema is there.
func (m *migration) setAside(ctx context.Context) error {
	migrated, err := m.hasTable(ctx, "goose_db_version")
	if err != nil || migrated {
		return err
	}
	return m.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for _, table := range ours {
			has, err := m.hasTableIn(ctx, tx, table)
			if err != nil {
				return err
			}
			if !has {
				continue
			}
			if err := m.freeIndexes(ctx, tx, table); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "ALTER TABLE "+table+" RENAME TO "+prefix+table); err != nil {
				return err
			}
		}
		return nil
	})
}

// freeIndexes gives a table's own indexes a legacy_ name too: index names are shared by all tables.
func (m *migration) freeIndexes(ctx context.Context, tx bun.Tx, table string) error {
	if m.postgres {
		names, err := texts(ctx, tx, `SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND tablename = ?`, table)
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := tx.ExecContext(ctx, "ALTER INDEX "+quote(name)+" RENAME TO "+quote(prefix+name)); err != nil {
				return err
			}
		}
		return nil
	}
	names, err := texts(ctx, tx, "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL", table)
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := texts(ctx, tx, "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?", name)
		if err != nil {
			return err
		}
		head, tail, found := strings.Cut(text[0], name)
		if !found {
			return tandem.Errorf(tandem.Internal, "", name, "the definition of this index does not name it")
		}
		if _, err := tx.ExecContext(ctx, "DROP INDEX "+quote(name)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, head+prefix+name+tail); err != nil {
			return err
		}
	}
	return nil
}

// aside gives the name under which an old table is found: set aside, or still under its own; "" when there is none.
func (m *migration) aside(ctx context.Context, table string) (string, error) {
	has, err := m.hasTable(ctx, prefix+table)
	if err != nil || has {
		return prefix + table, err
	}
	return "", nil
}

// extend adds to Tandem's tables the columns that the old ones had besides, with their values.
func (m *migration) extend(ctx context.Context) error {
	for table, match := range map[string]string{
		"organizations": "CAST(old.id AS TEXT) = organizations.id",
		"devices":       "CAST(old.id AS TEXT) = devices.id AND CAST(old.organization_id AS TEXT) = devices.organization_id",
		"users":         "CAST(old.id AS TEXT) = users.id",
	} {
		old, err := m.aside(ctx, table)
		if err != nil {
			return err
		}
		if old == "" {
			continue
		}
		names, types, err := m.columns(ctx, old)
		if err != nil {
			return err
		}
		if _, has := types["id"]; !has {
			continue
		}
		_, have, err := m.columns(ctx, table)
		if err != nil {
			return err
		}
		var adds, sets, changed []string
		for _, name := range names {
			if _, has := have[name]; has {
				changed = append(changed, name)
				continue
			}
			adds = append(adds, "ALTER TABLE "+table+" ADD COLUMN "+quote(name)+" "+types[name])
			sets = append(sets, quote(name)+" = old."+quote(name))
		}
		if len(sets) == 0 { // done already
			continue
		}
		err = m.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			for _, statement := range append(adds, "UPDATE "+table+" SET "+strings.Join(sets, ", ")+" FROM "+old+" AS old WHERE "+match) {
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		m.report.NotVisible = append(m.report.NotVisible, fmt.Sprintf("%s: the columns %s have Tandem's types now (ids are text, lists and maps JSON, times UTC); "+
			"what Tandem adds leaves the older columns empty; what is written to %s is not read", table, strings.Join(changed, ", "), old))
	}
	return nil
}

// finish sets the table of integrations aside, which ends the migration.
func (m *migration) finish(ctx context.Context) error {
	_, err := m.db.ExecContext(ctx, "ALTER TABLE "+integrations+" RENAME TO "+prefix+integrations)
	m.report.NotVisible = append(m.report.NotVisible, integrations+" is now "+prefix+integrations+": integrations added, changed or removed there have no effect, and API keys set there are not used",
		"foreign keys and views of other tables that named organizations, users or devices now name "+prefix+"organizations, "+prefix+"users and "+prefix+"devices",
		"users: people keep their role where Tandem has one of that name and read otherwise; nobody has a password until they set one (`tandem user reset-password`)")
	return err
}

// read gives all rows of a table.
func (d database) read(ctx context.Context, table string) (list []row, err error) {
	query := "SELECT * FROM " + table
	if d.postgres {
		query = "SELECT to_jsonb(t)::text FROM " + table + " AS t" // every type as JSON
	}
	rows, err := d.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		r := row{number: len(list) + 1}
		if d.postgres {
			var text []byte
			if err := rows.Scan(&text); err != nil {
				return nil, err
			}
			if err := decode(text, &r.values); err != nil {
				return nil, err
			}
		} else {
			values, targets := make([]any, len(names)), make([]any, len(names))
			for i := range values {
				targets[i] = &values[i]
			}
			if err := rows.Scan(targets...); err != nil {
				return nil, err
			}
			r.values = map[string]any{}
			for i, name := range names {
				r.values[name] = values[i]
			}
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// decode reads JSON with numbers as they are written.
func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// quote quotes an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// fail gives err the shape that crosses package borders.
func (d database) fail(op string, err error) error {
	var known *tandem.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return tandem.Errorf(tandem.Unavailable, op, "", "the older tables could not be migrated: %w", err).
		WithHint("nothing is lost: mend the cause and run `tandem migrate up` again, it goes on where it stopped")
}
