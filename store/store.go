package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"

	"tandem"
)

// Options say how to open a database.
type Options struct {
	AutoMigrate bool // give an empty database its tables; an older one is still refused, since a person should back it up first
	AnySchema   bool // open whatever the schema's version is, to migrate it or to look at it
	// FleetsFrom has the process keep in memory what listings of devices filter and sort by, of organizations with at least so
	// many devices: LargeFleet for a server. 1 for all; 0 for none, as for a process that lists once.
	FleetsFrom int
}

// Store is a tandem.Store over SQL.
type Store struct {
	writer  *bun.DB
	reader  *bun.DB
	dialect Dialect
	hooks   []bun.QueryHook
	bell    bell
	recent  recent
	// listings are kept of large fleets.
	listings  listings
	fleets    fleets
	overviews kept[tandem.Overview]
	facets    kept[tandem.DeviceFacets]
	rates     rates
	weeks     weeks
}

var _ tandem.ServerStore = (*Store)(nil)

// Mode says what a transaction may do.
type Mode int

// The modes. A keyed one reads by keys alone, as a writing one does, so that statistics which lag behind
// a first import cannot talk a planner into reading whole tables. What a repeating one writes may be lost in a
// power cut, so that its commit does not wait for the disk.
const (
	Reading Mode = iota
	Keyed
	Writing
	Repeating
)

// Dialect is what differs between the two databases.
type Dialect interface {
	// Begin gives the statements that open a transaction as one organization.
	Begin(org string, mode Mode) string
	// As gives the statement by which a transaction goes on as another organization, "" where none is set.
	As(org string) string
	// Clock is an expression for the database's time; Micros the same in microseconds since 1970.
	Clock() string
	Micros() string
	// Number is an expression for the number at a place in a JSON column, NULL where there is none: within is the way from its
	// root, no step of which holds a NUL. Stretch is one for the number of whole strides from an instant to a time.
	Number(column string, within []string) string
	Stretch(column string, since time.Time, stride time.Duration) string
	// Partition is a query that makes the partition of observations which an instant lies in, and says whether there is one.
	// DropPartition is one that drops a partition that is over, of which nothing was written since an instant, and says how many it
	// dropped. Both are "" where observations are in one piece.
	Partition(at time.Time) string
	DropPartition(before time.Time) string
	// Greatest and Least name the functions that compare their arguments.
	Greatest() string
	Least() string
	// Lock ends a SELECT whose rows must not change until the transaction ends, "" where writers exclude each other anyway.
	Lock() string
	// LockFree does the same and leaves out the rows that others have locked.
	LockFree() string
	// Exclude is a statement that keeps other transactions of a name out until this one ends, "" where writers exclude each other anyway.
	Exclude(name string) string
	// Share ends one whose rows may only be read meanwhile.
	Share() string
	// Cast types a literal where the statement does not: kind is text, time, real, json, bytes, int or bool.
	Cast(literal, kind string) string
	// Arrays says whether rows travel as one array for each column, given as text and typed by Array;
	// else they are parameters of a prepared statement.
	Arrays() bool
	Array(text []byte, kind string) string
	// Among is the condition that a column is one of some values.
	Among(column string, values []string) string
	// Indexed follows a table's name where the planner without statistics takes a worse index than this one; empty for PostgreSQL.
	Indexed(index string) string
	// Keyed is a FROM item: the rows of a table that meet a condition and whose column is one of some values, found value by
	// value in the column's index whatever the planner believes about the table; locked when lock says so, in the order of
	// the values. Where values is nil they are $1. Follow joins it with the rows of another table whose column equals ref.
	Keyed(table, alias, where, column string, values []string, lock bool) string
	Follow(table, alias, where, column, ref string) string
	// ByKeys runs a query whose $1 are the values, the text being the same each time, so that its description is known
	// and its rows come in binary; not ok where that is not offered.
	ByKeys(ctx context.Context, conn *sql.Conn, text string, values []string) (rows *sql.Rows, ok bool, err error)
	// Bytes is a literal.
	Bytes(b []byte) string
	// Error maps a driver's error; Repeat, Taken and Missing tell a conflict between transactions,
	// a violated unique index and a violated foreign key.
	Error(op string, err error) error
	Repeat(err error) bool
	Taken(err error) bool
	Missing(err error) bool
	// VersionTable is a query that counts the table of migrations, to ask before reading it.
	VersionTable() string
	// Migrating is a query that tells whether somebody is migrating the database right now, "" where they would be waited for.
	Migrating() string
	// Notify is a statement that rings in other processes once the transaction is committed, "" where they find out by themselves.
	// Listen calls ring when another process committed something, until ctx ends; it goes on whatever fails. Jobs says whether
	// there are jobs, or may be.
	Notify(jobs bool) string
	Listen(ctx context.Context, ring func(jobs bool))
	// Since gives the condition for the events (as e) after a cursor, and the cursor that follows: last is the seq of the last
	// one read, "" for none, and all says that no more met the condition. The condition is "" for an empty cursor.
	Since(ctx context.Context, conn *sql.Conn, cursor string) (condition string, next func(last string, all bool) string, err error)
	// Migrations gives the scripts and how goose runs them.
	Migrations() (goose.Dialect, fs.FS, []goose.ProviderOption, error)
	// Release frees what the connections do not.
	Release() error
}

// Open makes a Store of open connections: reader may equal writer. It refuses a schema that
// is not this program's (code Schema) unless options say otherwise. The Store closes the connections,
// also when Open fails.
func Open(ctx context.Context, writer, reader *bun.DB, dialect Dialect, options Options) (*Store, error) {
	s := &Store{writer: writer, reader: reader, dialect: dialect}
	s.overviews.young, s.overviews.old = overviewYoung, overviewOld
	s.facets.young, s.facets.old = facetsYoung, facetsOld
	err := s.open(ctx, options)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.startFleets(options.FleetsFrom)
	return s, nil
}

func (s *Store) open(ctx context.Context, options Options) error {
	if options.AutoMigrate {
		at, err := s.schemaVersion(ctx)
		if err != nil {
			return s.fail("open the database", err)
		}
		if at == 0 {
			if _, err := s.Migrate(ctx); err != nil {
				return err
			}
		}
	}
	if options.AnySchema {
		return nil
	}
	return s.CheckSchema(ctx)
}

// DB is the connection to write with, as its owner: no organization is set, and on PostgreSQL the
// policies do not bind it. For migrations and backups only.
func (s *Store) DB() *bun.DB { return s.writer }

// Close frees the connections.
func (s *Store) Close() error {
	s.bell.close()
	s.fleets.close()
	s.overviews.ended.Wait()
	s.facets.ended.Wait()
	s.closeRates()
	err := s.writer.Close()
	if s.reader != s.writer {
		err = errors.Join(err, s.reader.Close())
	}
	return errors.Join(err, s.dialect.Release())
}

// Now is the database's clock, UTC.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now stamp
	err := s.reader.QueryRowContext(ctx, "SELECT "+s.dialect.Clock()).Scan(&now)
	return now.Time, s.fail("read the database's clock", err)
}

// read runs fn as one organization, without writing.
func (s *Store) read(ctx context.Context, op, org string, fn func(tx bun.Conn) error) error {
	return s.fail(op, s.transact(ctx, s.reader, org, Reading, fn))
}

// readKeyed does the same for reads by keys alone.
func (s *Store) readKeyed(ctx context.Context, op, org string, fn func(tx bun.Conn) error) error {
	return s.fail(op, s.transact(ctx, s.reader, org, Keyed, fn))
}

// attempts is how often a transaction is tried that others keep from finishing.
const attempts = 5

// write runs fn as one organization in one transaction, again when a concurrent one got in its way.
func (s *Store) write(ctx context.Context, op, org string, fn func(tx bun.Conn) error) error {
	return s.writeAs(ctx, op, org, Writing, fn)
}

// writeAs does so in a mode.
func (s *Store) writeAs(ctx context.Context, op, org string, mode Mode, fn func(tx bun.Conn) error) error {
	var err error
	for range attempts {
		err = s.transact(ctx, s.writer, org, mode, fn)
		if err == nil || !s.dialect.Repeat(err) {
			break
		}
	}
	return s.fail(op, err)
}

// finishing bounds how long a commit or rollback may take after its caller has given up.
const finishing = 30 * time.Second

// transact runs fn between begin and commit. A commit is not broken off when ctx ends, so that its outcome is known.
func (s *Store) transact(ctx context.Context, db *bun.DB, org string, mode Mode, fn func(tx bun.Conn) error) (err error) {
	if err := checkText(org); err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreDone(conn.Close())) }()
	if _, err := conn.ExecContext(ctx, s.dialect.Begin(org, mode)); err != nil {
		discard(conn)
		return err
	}
	done := false
	defer func() {
		if !done { // also when fn panics
			s.rollback(ctx, conn)
		}
	}()
	if err := fn(conn); err != nil {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	if _, err := conn.ExecContext(last, "COMMIT"); err != nil {
		return err
	}
	done = true
	return nil
}

// rollback ends a transaction without its changes. A connection that cannot is thrown away, which has the same effect.
func (s *Store) rollback(ctx context.Context, conn bun.Conn) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	if _, err := conn.ExecContext(last, "ROLLBACK"); err != nil {
		discard(conn)
	}
}

// discard throws a connection away instead of giving it back to the pool: what its session holds is not known.
func discard(conn bun.Conn) {
	err := conn.Raw(func(any) error { return driver.ErrBadConn })
	if err != nil && !errors.Is(err, driver.ErrBadConn) {
		return // it was gone already
	}
}

// ignoreDone drops the complaint that a connection was thrown away before it was given back.
func ignoreDone(err error) error {
	if err != nil && (errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn)) {
		return nil
	}
	return err
}

// fail gives err the shape that crosses package borders.
func (s *Store) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *tandem.Error
	var moved *tandem.MovedError
	switch {
	case errors.As(err, &moved):
		return moved
	case errors.As(err, &known):
		if known.Op == "" {
			known.Op = op
		}
		return known
	case errors.Is(err, context.Canceled):
		return &tandem.Error{Code: tandem.Timeout, Op: op, Message: op + " was canceled", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &tandem.Error{Code: tandem.Timeout, Op: op, Message: op + " took too long", Err: err}
	}
	return s.dialect.Error(op, err)
}

// missing is the error for a row that is not there in this organization.
func missing(what, ref string) *tandem.Error {
	return &tandem.Error{Code: tandem.NotFound, Thing: ref, Message: "there is no such " + what}
}
