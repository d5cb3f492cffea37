package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/pressly/goose/v3"

	"tandem"
)

// Migration is one step of the schema.
type Migration struct {
	Version   int64      `json:"version"`
	Name      string     `json:"name"`       // the script's file name
	AppliedAt *time.Time `json:"applied_at"` // nil while it is pending
}

// Migrate applies what is pending and names it. Concurrent callers are safe: one does the work.
func (s *Store) Migrate(ctx context.Context) (applied []string, err error) {
	const op = "migrate the database"
	provider, err := s.provider()
	if err != nil {
		return nil, s.fail(op, err)
	}
	results, err := provider.Up(ctx)
	for _, result := range results {
		if result.Error == nil {
			applied = append(applied, result.Source.Path)
		}
	}
	if err != nil && s.CheckSchema(ctx) == nil {
		return applied, nil // a concurrent caller was faster, and did the same
	}
	return applied, s.fail(op, err)
}

// MigrationStatus lists all steps that this program knows, in order.
func (s *Store) MigrationStatus(ctx context.Context) ([]Migration, error) {
	const op = "read the schema's status"
	provider, err := s.provider()
	if err != nil {
		return nil, s.fail(op, err)
	}
	at, err := s.schemaVersion(ctx)
	if err != nil {
		return nil, s.fail(op, err)
	}
	if at == 0 { // goose would make its table; a question changes nothing
		migrations := []Migration{}
		for _, source := range provider.ListSources() {
			migrations = append(migrations, Migration{Version: source.Version, Name: source.Path})
		}
		return migrations, nil
	}
	states, err := provider.Status(ctx)
	if err != nil {
		return nil, s.fail(op, err)
	}
	migrations := make([]Migration, 0, len(states))
	for _, state := range states {
		m := Migration{Version: state.Source.Version, Name: state.Source.Path}
		if state.State == goose.StateApplied {
			appliedAt := state.AppliedAt.UTC()
			m.AppliedAt = &appliedAt
		}
		migrations = append(migrations, m)
	}
	return migrations, nil
}

// CheckSchema refuses a database that is older or newer than this program (code Schema). Where somebody is migrating it
// just now, the error says when to ask again.
func (s *Store) CheckSchema(ctx context.Context) error {
	const op = "check the schema"
	at, err := s.schemaVersion(ctx)
	if err != nil {
		return s.fail(op, err)
	}
	want, err := s.targetVersion()
	switch {
	case err != nil:
		return s.fail(op, err)
	case at == 0:
		return tandem.Errorf(tandem.Schema, op, "", "the database has no Tandem tables yet").
			WithHint("run `tandem migrate up`")
	case at < want:
		switch under, err := s.underWay(ctx, at); {
		case err != nil:
			return s.fail(op, err)
		case under:
			return &tandem.Error{Code: tandem.Schema, Op: op, Message: "the database is being migrated by another process",
				Hint: "try again in a moment", RetryAfter: time.Second}
		}
		return tandem.Errorf(tandem.Schema, op, "", "the database's schema is version %d and this program needs %d", at, want).
			WithHint("back it up, then run `tandem migrate up`")
	case at > want:
		return tandem.Errorf(tandem.Schema, op, "", "the database's schema is version %d and this program knows only %d", at, want).
			WithHint("use the newer program that migrated it")
	}
	return nil
}

// underWay reports whether somebody is migrating the database, or was when its version was read.
func (s *Store) underWay(ctx context.Context, was int64) (under bool, err error) {
	query := s.dialect.Migrating()
	if query == "" {
		return false, nil
	}
	if err := s.reader.QueryRowContext(ctx, query).Scan(&under); err != nil || under {
		return under, err
	}
	at, err := s.schemaVersion(ctx)
	return at != was, err
}

// schemaVersion gives the newest step applied, 0 where there is none. It changes nothing.
func (s *Store) schemaVersion(ctx context.Context) (int64, error) {
	var tables int
	if err := s.reader.QueryRowContext(ctx, s.dialect.VersionTable()).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	var at sql.NullInt64
	err := s.reader.QueryRowContext(ctx, "SELECT MAX(version_id) FROM goose_db_version WHERE is_applied").Scan(&at)
	return at.Int64, err
}

// targetVersion is the version of this program.
func (s *Store) targetVersion() (int64, error) {
	provider, err := s.provider()
	if err != nil {
		return 0, err
	}
	sources := provider.ListSources()
	return sources[len(sources)-1].Version, nil
}

func (s *Store) provider() (*goose.Provider, error) {
	dialect, scripts, options, err := s.dialect.Migrations()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, s.writer.DB, scripts, options...)
}
