package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"tandem"
)

// Notify is not needed: other processes look at the file.
func (*dialect) Notify(bool) string { return "" }

// look is how often the file is looked at for another process's commits.
const look = 100 * time.Millisecond

// Listen asks a connection that writes nothing whether the file has changed under it.
func (d *dialect) Listen(ctx context.Context, ring func(jobs bool)) {
	timer := time.NewTicker(look)
	defer timer.Stop()
	for ctx.Err() == nil {
		if err := d.listen(ctx, timer.C, ring); err != nil {
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
	}
}

func (d *dialect) listen(ctx context.Context, tick <-chan time.Time, ring func(jobs bool)) (err error) {
	db, err := sql.Open("sqlite", source(d.path, true))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for was := int64(-1); ; {
		var version int64
		if err := conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
			return err
		}
		if version != was {
			was = version
			ring(true)
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Since asks for what has a higher number: there is one writer, so that the numbers are in the order of the commits.
func (*dialect) Since(ctx context.Context, conn *sql.Conn, cursor string) (condition string, next func(string, bool) string, err error) {
	next = func(last string, _ bool) string {
		if last == "" {
			return cursor
		}
		return last
	}
	if cursor != "" {
		if _, err := strconv.ParseUint(cursor, 10, 63); err != nil {
			return "", next, tandem.Errorf(tandem.Invalid, "", "", "this is no place among the events").WithHint("begin anew, without one")
		}
		return "e.seq > " + cursor, next, nil
	}
	var at int64 // also of what has been pruned
	err = conn.QueryRowContext(ctx, "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)").Scan(&at)
	return "", func(string, bool) string { return strconv.FormatInt(at, 10) }, err
}
