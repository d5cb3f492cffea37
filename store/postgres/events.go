package postgres

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem"
	"tandem/store"
)

// channel is what committed events and jobs are told on; jobsWord says that there are jobs.
const (
	channel  = "tandem"
	jobsWord = "jobs"
)

// Notify tells it when the transaction is committed.
func (*dialect) Notify(jobs bool) string {
	if jobs {
		return "NOTIFY " + channel + ", '" + jobsWord + "'"
	}
	return "NOTIFY " + channel
}

// relisten is how long to wait before a connection that broke is made anew.
const relisten = time.Second

// Listen keeps a connection of its own, since a notification is bound to a session. A transaction pooler carries none:
// then nothing is heard, and whoever waits looks once a second.
func (d *dialect) Listen(ctx context.Context, ring func(jobs bool)) {
	for ctx.Err() == nil {
		if err := d.listen(ctx, ring); err != nil {
			timer := time.NewTimer(relisten)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
	}
}

func (d *dialect) listen(ctx context.Context, ring func(jobs bool)) (err error) {
	conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), relisten)
		defer cancel()
		if closing := conn.Close(last); err == nil {
			err = closing
		}
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	ring(true) // something may have been committed before
	for {
		told, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		ring(told.Payload == jobsWord)
	}
}

// cursor is where a reader of the events stands: seen are the transactions that its last complete read showed; while a
// read is under way in parts, reading are those that it shows, and last is the place of the last event read of it.
type cursor struct{ seen, reading, last string }

var cursorForm = regexp.MustCompile(`^(\d+:\d+:[\d,]*)(?:\|(\d+:\d+:[\d,]*)\|(\d+))?$`)

func parseCursor(text string) (c cursor, err error) {
	parts := cursorForm.FindStringSubmatch(text)
	if parts == nil {
		return c, tandem.Errorf(tandem.Invalid, "", "", "this is no place among the events").WithHint("begin anew, without one")
	}
	return cursor{parts[1], parts[2], parts[3]}, nil
}

func (c cursor) text() string {
	if c.last == "" {
		return c.reading
	}
	return strings.Join([]string{c.seen, c.reading, c.last}, "|")
}

// Since asks for what the last snapshot did not show and this one does: no order of commits, and no transaction that
// takes long, can hide an event. A row restored from another cluster's backup has a foreign xid and is shown at most once.
func (*dialect) Since(ctx context.Context, conn *sql.Conn, text string) (condition string, next func(string, bool) string, err error) {
	c := cursor{}
	if text != "" {
		if c, err = parseCursor(text); err != nil {
			return "", func(string, bool) string { return text }, err
		}
	}
	if c.last == "" {
		if err := conn.QueryRowContext(ctx, "SELECT pg_current_snapshot()::text").Scan(&c.reading); err != nil {
			return "", func(string, bool) string { return text }, err
		}
	}
	next = func(last string, all bool) string {
		if all {
			return cursor{reading: c.reading}.text()
		}
		return cursor{c.seen, c.reading, last}.text()
	}
	if text == "" {
		return "", next, nil
	}
	seen, reading := store.Quoted(c.seen)+"::pg_snapshot", store.Quoted(c.reading)+"::pg_snapshot"
	condition = "e.xid >= pg_snapshot_xmin(" + seen + ") AND e.xid < pg_snapshot_xmax(" + reading + ") AND NOT pg_visible_in_snapshot(e.xid, " + seen +
		") AND pg_visible_in_snapshot(e.xid, " + reading + ")"
	if c.last != "" {
		condition += " AND e.seq > " + c.last
	}
	return condition, next, nil
}
