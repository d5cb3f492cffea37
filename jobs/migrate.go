package jobs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"tandem"
)

// migrationLock is the key under which PostgreSQL lets one process at a time migrate these tables.
const migrationLock = 0x74616e64656d // "tandem"

// Migrate brings the job engine's tables to this program's version, and names what it applied. Concurrent callers are safe.
func Migrate(ctx context.Context, db *Database) (applied []string, err error) {
	if db.pool != nil {
		applied, err = migratePostgres(ctx, db)
	} else {
		applied, err = migrateSQLite(ctx, db)
	}
	if err != nil {
		return applied, &tandem.Error{Code: tandem.Schema, Op: "migrate the job engine's tables", Message: "the job engine's tables could not be migrated",
			Hint: "migrate as the tables' owner, then try again", Err: err}
	}
	return applied, nil
}

// Pending says how many migrations of the job engine's tables are to be applied; 0 when they are this program's.
func Pending(ctx context.Context, db *Database) (n int, err error) {
	if db.pool != nil {
		n, err = pending(ctx, riverpgxv5.New(db.pool))
	} else {
		n, err = pending(ctx, riversqlite.New(db.file))
	}
	if err != nil {
		err = tandem.Errorf(tandem.Unavailable, "check the job engine's tables", "", "the job engine's tables cannot be read: %w", err)
	}
	return n, err
}

func pending[TTx any](ctx context.Context, driver riverdriver.Driver[TTx]) (int, error) {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet(nil)})
	if err != nil {
		return 0, err
	}
	done, err := migrator.ExistingVersions(ctx)
	if err != nil {
		return 0, err
	}
	return len(migrator.AllVersions()) - len(done), nil
}

// migratePostgres has whoever else migrates wait until this one is done. The steps are transactions of their own.
func migratePostgres(ctx context.Context, db *Database) (applied []string, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
		if applied, err = migrate(ctx, riverpgxv5.New(db.pool)); err != nil || len(applied) == 0 {
			return err
		}
		// Another role than the one that migrates may serve: it has been granted tandem_app (package store/postgres).
		_, err := tx.Exec(ctx, grant)
		return err
	})
	return applied, err
}

// grant lets whoever serves use the job engine's tables.
const grant = `DO $$
DECLARE t text;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'tandem_app') THEN
        FOR t IN SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'river\_%' LOOP
            EXECUTE 'GRANT SELECT, INSERT, UPDATE, DELETE ON ' || t || ' TO tandem_app';
        END LOOP;
        FOR t IN SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'S' AND c.relname LIKE 'river\_%' LOOP
            EXECUTE 'GRANT USAGE, SELECT ON ' || t || ' TO tandem_app';
        END LOOP;
    END IF;
END
$$`

// migrateSQLite tries again where another process was at it at the same time.
func migrateSQLite(ctx context.Context, db *Database) (applied []string, err error) {
	for range 3 {
		var some []string
		some, err = migrate(ctx, riversqlite.New(db.file))
		if applied = append(applied, some...); err == nil {
			return applied, nil
		}
	}
	return applied, err
}

func migrate[TTx any](ctx context.Context, driver riverdriver.Driver[TTx]) (applied []string, err error) {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet(nil)})
	if err != nil {
		return nil, err
	}
	result, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return nil, err
	}
	for _, v := range result.Versions {
		applied = append(applied, fmt.Sprintf("river %03d %s", v.Version, v.Name))
	}
	return applied, nil
}
