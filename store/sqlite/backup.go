package sqlite

import (
	"context"
	"errors"

	"tandem"
)

// CopyTo gives the statement that copies the database to a new file, named by a literal.
func (*dialect) CopyTo(file string) string { return "VACUUM INTO " + file }

// Check reads a whole file and refuses one that is damaged (Corrupt) or of another schema (Schema): what a
// restore does before it puts the file in the place of the database.
func Check(ctx context.Context, path string) (err error) {
	const op = "check a backup"
	s, err := Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var said string
	if err := s.DB().QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&said); err != nil {
		return (&dialect{path: path}).Error(op, err)
	}
	if said != "ok" {
		return tandem.Errorf(tandem.Corrupt, op, path, "the file is damaged: %s", said).WithHint("use another backup")
	}
	return nil
}
