package store

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"tandem"
)

// Backup writes a consistent copy of the database to a new file; this process's writers wait meanwhile, readers do not. It refuses to overwrite.
// A database server has tools of its own for this: there the error names them (code Invalid).
func (s *Store) Backup(ctx context.Context, file string) error {
	const op = "back up the database"
	copier, ok := s.dialect.(interface{ CopyTo(file string) string })
	if !ok {
		return tandem.Errorf(tandem.Invalid, op, file, "a PostgreSQL database is backed up by its own tools").
			WithHint("run: pg_dump --format=custom --file=%s DATABASE_URL   and to restore: pg_restore --clean --if-exists --dbname=DATABASE_URL %s", file, file)
	}
	if err := checkText(file); err != nil {
		return s.fail(op, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return tandem.Errorf(tandem.Exists, op, file, "the file is there already").WithHint("name another, or remove it first")
	}
	_, err := s.writer.ExecContext(ctx, copier.CopyTo(quoted(file)))
	return s.fail(op, err)
}
