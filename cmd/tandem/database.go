package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tandem"
	"tandem/jobs"
	"tandem/store"
	"tandem/store/legacy"
	"tandem/store/sqlite"
)

// MigrateCmd is `tandem migrate`.
type MigrateCmd struct {
	Up     MigrateUpCmd     `cmd:"" help:"Bring the schema up to this version."`
	Status MigrateStatusCmd `cmd:"" help:"Show which steps are applied."`
}

// MigrateUpCmd is `tandem migrate up`.
type MigrateUpCmd struct {
	ScrubLegacyKeys bool `help:"Overwrite the plain API keys that an older schema left in legacy_device_integrations, of every service that has its key."`
}

// Run migrates.
func (c *MigrateUpCmd) Run(ctx context.Context, a *app) error {
	return a.withAnySchema(ctx, func(s *store.Store) error {
		old, err := a.migrateLegacy(ctx, s)
		if err != nil {
			return err
		}
		applied, err := s.Migrate(ctx)
		if err != nil {
			return err
		}
		if err := s.CheckSchema(ctx); err != nil {
			return err
		}
		engine, err := a.migrateJobs(ctx, s)
		if err != nil {
			return err
		}
		applied = append(applied, engine...)
		keys, err := a.legacyKeys(ctx, s, c.ScrubLegacyKeys)
		if err != nil {
			return err
		}
		code := error(nil)
		if len(old.Left)+len(old.Locked) > 0 || c.ScrubLegacyKeys && len(keys.Kept) > 0 {
			code = exitCode(exitPartial)
		}
		if a.out.json {
			if applied == nil {
				applied = []string{}
			}
			if err := a.out.value(map[string]any{"applied": applied, "device_integrations": old, "legacy_keys": keys}); err != nil {
				return err
			}
			return code
		}
		a.showLegacy(&old)
		a.showLegacyKeys(&keys)
		if len(applied) == 0 && !old.Found {
			a.out.printf("the schema is up to date\n")
		}
		for _, name := range applied {
			a.out.printf("applied %s\n", name)
		}
		return code
	})
}

// MigrateStatusCmd is `tandem migrate status`.
type MigrateStatusCmd struct{}

// Run shows the steps.
func (c *MigrateStatusCmd) Run(ctx context.Context, a *app) error {
	return a.withAnySchema(ctx, func(s *store.Store) error {
		steps, err := s.MigrationStatus(ctx)
		if err != nil {
			return err
		}
		pending, err := a.jobsPending(ctx, s)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"migrations": steps, "job_engine_pending": pending})
		}
		rows := make([][]string, len(steps))
		for i, step := range steps {
			rows[i] = []string{fmt.Sprint(step.Version), step.Name, "pending"}
			if step.AppliedAt != nil {
				rows[i][2] = step.AppliedAt.Format(time.DateTime)
			}
		}
		a.out.table([]string{"version", "name", "applied"}, rows)
		if err := s.CheckSchema(ctx); err != nil {
			a.out.printf("%s\n", err)
		}
		if pending > 0 {
			a.out.printf("the job engine's tables: %s to be applied, by `tandem migrate up` or by `tandem serve` when it starts\n", count(pending, "step", "steps"))
		}
		return nil
	})
}

// jobTables gives the job engine's place in the database. Close lets go of it.
func (a *app) jobTables(ctx context.Context, s *store.Store) (*jobs.Database, error) {
	if a.onSQLite() {
		return jobs.OnSQLite(s.DB().DB), nil
	}
	return jobs.OnPostgres(ctx, a.flags.DatabaseURL)
}

// migrateJobs brings the job engine's own tables up to this version.
func (a *app) migrateJobs(ctx context.Context, s *store.Store) ([]string, error) {
	db, err := a.jobTables(ctx, s)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return jobs.Migrate(ctx, db)
}

// jobsPending says how many steps of them are to be applied.
func (a *app) jobsPending(ctx context.Context, s *store.Store) (int, error) {
	db, err := a.jobTables(ctx, s)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return jobs.Pending(ctx, db)
}

// withAnySchema opens the database whatever its schema's version is.
func (a *app) withAnySchema(ctx context.Context, fn func(*store.Store) error) (err error) {
	s, err := a.openStore(ctx, store.Options{AnySchema: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return fn(s)
}

// BackupCmd is `tandem backup`.
type BackupCmd struct {
	File string `arg:"" help:"The file to write; it must not exist yet."`
}

// Run copies the database as it is at one instant, while others work on it.
func (c *BackupCmd) Run(ctx context.Context, a *app) error {
	if !strings.HasPrefix(a.flags.DatabaseURL, "sqlite:") {
		return &usageError{"a PostgreSQL database is backed up with its own tools", "use pg_dump --format=custom; keep the key file with the dump"}
	}
	if _, err := os.Stat(c.File); err == nil {
		return tandem.Errorf(tandem.Exists, "backup", c.File, "the file exists already").WithHint("name a new one")
	}
	if stat, err := os.Stat(filepath.Dir(c.File)); err != nil || !stat.IsDir() {
		return tandem.Errorf(tandem.NotFound, "backup", c.File, "there is no folder %s", filepath.Dir(c.File)).WithHint("make it first, or name another file")
	}
	if _, err := os.Stat(sqlitePath(a.flags.DatabaseURL)); err != nil {
		return tandem.Errorf(tandem.NotFound, "backup", sqlitePath(a.flags.DatabaseURL), "the database cannot be read: %w", unpath(err))
	}
	return a.withAnySchema(ctx, func(s *store.Store) error {
		temporary := filepath.Join(filepath.Dir(c.File), "."+filepath.Base(c.File)+"-"+newID())
		if err := s.Backup(ctx, temporary); err != nil {
			return errors.Join(tandem.Errorf(tandem.CodeOf(err), "backup", c.File, "the copy cannot be written: %w", err).
				WithHint("look at the disk's space and the folder's permissions"), ignoreMissing(os.Remove(temporary)))
		}
		if err := errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, c.File)); err != nil {
			return tandem.Errorf(tandem.Unavailable, "backup", c.File, "the copy cannot be put in place: %w", unpath(err))
		}
		if a.out.json {
			return a.out.value(map[string]any{"file": c.File, "key_file": a.keyFile()})
		}
		a.out.printf("wrote %s\n", c.File)
		if keys, err := a.legacyKeys(ctx, s, false); err != nil {
			return err
		} else if len(keys.Kept) > 0 {
			a.out.note("it holds %s in plain text in %s; before the next backup: tandem migrate up --scrub-legacy-keys\n", count(len(keys.Kept), "API key", "API keys"), legacy.KeyTable)
		}
		a.out.note("the API keys of its services open only with %s: keep a copy of that file too, in another place\n", a.keyFile())
		return nil
	})
}

// RestoreCmd is `tandem restore`.
type RestoreCmd struct {
	File string `arg:"" help:"The backup."`
	Yes  bool   `help:"Do not ask."`
}

// Run checks the backup and puts it in the place of the database, which is kept under another name.
func (c *RestoreCmd) Run(ctx context.Context, a *app) error {
	if !strings.HasPrefix(a.flags.DatabaseURL, "sqlite:") {
		return &usageError{"a PostgreSQL database is restored with its own tools", "use pg_restore"}
	}
	path := sqlitePath(a.flags.DatabaseURL)
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"-"+newID())
	if err := copyFile(c.File, temporary); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(temporary)))
	}
	if err := checkBackup(ctx, temporary, c.File); err != nil {
		return errors.Join(err, removeDatabase(temporary))
	}
	if err := foldLog(ctx, temporary); err != nil {
		return errors.Join(err, removeDatabase(temporary))
	}
	kept, err := a.setAside(ctx, path, c)
	if err != nil {
		return errors.Join(err, removeDatabase(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return tandem.Errorf(tandem.Unavailable, "restore", path, "the backup cannot be put in place: %w", unpath(err)).
			WithHint("the database that was there is %s", kept)
	}
	if a.out.json {
		return a.out.value(map[string]any{"file": c.File, "database": path, "replaced": kept})
	}
	a.out.printf("restored %s from %s\n", path, c.File)
	if kept != "" {
		a.out.printf("the database that was there is kept as %s\n", kept)
	}
	a.out.note("check it: tandem doctor\n")
	return nil
}

// checkBackup opens a copy of the backup and looks through it.
func checkBackup(ctx context.Context, path, name string) (err error) {
	wrong := func(cause error) error {
		text := strings.ReplaceAll(cause.Error(), path, name)
		return tandem.Errorf(tandem.Corrupt, "restore", name, "this is not a whole Tandem database: %s", strings.TrimPrefix(text, name+": ")).
			WithHint("use another backup; nothing was changed")
	}
	s, err := sqlite.OpenForMigration(ctx, path)
	if err != nil {
		return wrong(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := integrity(ctx, s); err != nil {
		return wrong(err)
	}
	if err := s.CheckSchema(ctx); err != nil && !strings.Contains(err.Error(), "migrate up") {
		return err
	}
	steps, err := s.MigrationStatus(ctx)
	if err != nil {
		return wrong(err)
	}
	if len(steps) > 0 && steps[0].AppliedAt == nil {
		return wrong(errors.New("it has no Tandem tables"))
	}
	return nil
}

// foldLog leaves one file of a database and its log. It fails while anybody else has the database open.
func foldLog(ctx context.Context, path string) (err error) {
	s, err := sqlite.OpenForMigration(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	_, err = s.DB().DB.ExecContext(ctx, "PRAGMA journal_mode = DELETE")
	return err
}

// integrity has SQLite look through the whole file.
func integrity(ctx context.Context, s *store.Store) error {
	var verdict string
	if err := s.DB().DB.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return errors.New(verdict)
	}
	return nil
}

// setAside gives the present database another name, after asking; "" when there is none.
func (a *app) setAside(ctx context.Context, path string, c *RestoreCmd) (string, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err := a.confirm(c.Yes, "put "+c.File+" in the place of "+path+"? The present database is kept under another name"); err != nil {
		return "", err
	}
	if err := foldLog(ctx, path); err != nil && strings.Contains(err.Error(), "locked") {
		return "", tandem.Errorf(tandem.Busy, "restore", path, "another process is using the database").WithHint("stop it first")
	} // a damaged database cannot be folded, and is set aside with its log
	kept := path + ".before-restore-" + a.Clock().UTC().Format("20060102T150405")
	for _, suffix := range []string{"", "-wal", "-shm"} { // of a damaged file the log stays with it
		if err := ignoreMissing(os.Rename(path+suffix, kept+suffix)); err != nil {
			return "", tandem.Errorf(tandem.Unavailable, "restore", path, "the present database cannot be set aside: %w", err)
		}
	}
	return kept, nil
}

func removeDatabase(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		errs = append(errs, ignoreMissing(os.Remove(path+suffix)))
	}
	return errors.Join(errs...)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return tandem.Errorf(tandem.NotFound, "restore", from, "the backup cannot be read: %w", unpath(err))
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return tandem.Errorf(tandem.Unavailable, "restore", to, "the copy cannot be written: %w", unpath(err))
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return tandem.Errorf(tandem.Unavailable, "restore", to, "the copy cannot be written: %w", unpath(err)).WithHint("look at the disk's space")
	}
	return nil
}
