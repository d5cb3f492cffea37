// Package sqlite opens a store in one SQLite file, with no set-up: one connection that writes, a pool that reads.
//
// Durability: the write-ahead log is synced at every commit (synchronous=FULL). NORMAL would keep the file
// consistent after a power loss, yet could lose the last commits: an intent (S24) must be on disk before its
// remote write is sent, so one sync for each batch is the price. A killed process loses nothing either way.
//
// Transactions take the writer's lock when they begin, and wait up to ten seconds for another process's.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"tandem"
	"tandem/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Open opens the file. It is made only when options say what to do with an empty one.
func Open(ctx context.Context, path string, options ...store.Options) (*store.Store, error) {
	how := store.Options{}
	if len(options) > 0 {
		how = options[0]
	}
	const op = "open the database"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !how.AutoMigrate && !how.AnySchema {
		return nil, tandem.Errorf(tandem.Schema, op, path, "there is no database file yet").WithHint("run `tandem migrate up` to make it")
	}
	if f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil { // whoever makes it alone may read it
		if err := f.Close(); err != nil {
			return nil, (&dialect{path: path}).Error(op, err)
		}
	} // any other failure SQLite tells better
	writer, err := sql.Open("sqlite", source(path, false))
	if err != nil {
		return nil, (&dialect{path: path}).Error(op, err)
	}
	writer.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", source(path, true))
	if err != nil {
		return nil, errors.Join((&dialect{path: path}).Error(op, err), writer.Close())
	}
	reader.SetMaxOpenConns(max(4, runtime.NumCPU()))
	reader.SetMaxIdleConns(max(4, runtime.NumCPU()))
	// The writer connects first: it makes the file and switches it to WAL, which a reader may not.
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join((&dialect{path: path}).Error(op, err), writer.Close(), reader.Close())
	}
	d := &dialect{path: path, carrier: carry(path, writer)}
	return store.Open(ctx, bun.NewDB(writer, sqlitedialect.New()), bun.NewDB(reader, sqlitedialect.New()), d, how)
}

// OpenForMigration opens the file whatever its schema's version is, making it when it is not there.
func OpenForMigration(ctx context.Context, path string) (*store.Store, error) {
	return Open(ctx, path, store.Options{AnySchema: true})
}

// source gives the driver's name for a connection.
func source(path string, reading bool) string {
	query := url.Values{"_txlock": {"immediate"}, "_pragma": {"page_size(8192)", "busy_timeout(10000)", "foreign_keys(1)", "temp_store(2)"}}
	if reading {
		query["_pragma"] = append(query["_pragma"], "query_only(1)", "cache_size(-16000)", "mmap_size(268435456)")
	} else {
		query["_pragma"] = append(query["_pragma"], "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-64000)", "journal_size_limit(67108864)", "wal_autocheckpoint("+strconv.Itoa(longestLog)+")")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// dialect is what differs from PostgreSQL.
type dialect struct {
	path    string
	carrier *carrier
}

// Begin needs no organization: every query names it, and there is no second wall.
func (*dialect) Begin(_ string, mode store.Mode) string {
	switch mode {
	case store.Writing:
		return "PRAGMA synchronous=FULL; BEGIN IMMEDIATE"
	case store.Repeating:
		return "PRAGMA synchronous=NORMAL; BEGIN IMMEDIATE"
	case store.Reading, store.Keyed:
	}
	return "BEGIN"
}

// As needs no organization either.
func (*dialect) As(string) string { return "" }

// Clock has milliseconds, in the form in which times are stored.
func (*dialect) Clock() string { return "strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')" }

// Micros is the clock's time, in steps of a millisecond; it stands still within a statement.
func (*dialect) Micros() string { return "CAST(ROUND(unixepoch('subsec') * 1000) AS INTEGER) * 1000" }

// Number takes a step of digits for an index, or else for a name. A name with a quote or a backslash cannot be asked for.
func (*dialect) Number(column string, within []string) string {
	byIndex, byName, digits := "$", "$", false
	for _, step := range within {
		if strings.ContainsAny(step, `"\\`) {
			return "NULL"
		}
		name := `."` + step + `"`
		byName += name
		if _, err := strconv.ParseUint(step, 10, 31); err == nil {
			name, digits = "["+step+"]", true
		}
		byIndex += name
	}
	number := func(path string) string {
		path = store.Quoted(path)
		return "CASE WHEN json_type(" + column + ", " + path + ") IN ('integer', 'real') THEN CAST(json_extract(" + column + ", " + path + ") AS REAL) END"
	}
	if !digits {
		return number(byName)
	}
	return "COALESCE(" + number(byIndex) + ", " + number(byName) + ")"
}

// Stretch counts in milliseconds, which is what the database reads of a time.
func (*dialect) Stretch(column string, since time.Time, stride time.Duration) string {
	return fmt.Sprintf("(CAST(ROUND(unixepoch(%s, 'subsec') * 1000) AS INTEGER) - %d) / %d", column, since.UnixMilli(), stride.Milliseconds())
}

// Partition is not needed: there is one table.
func (*dialect) Partition(time.Time) string { return "" }

// DropPartition neither.
func (*dialect) DropPartition(time.Time) string { return "" }

// Greatest is MAX of several arguments.
func (*dialect) Greatest() string { return "MAX" }

// Least is MIN of several arguments.
func (*dialect) Least() string { return "MIN" }

// Lock is not needed: there is one writer.
func (*dialect) Lock() string { return "" }

// LockFree is not needed: there is one writer.
func (*dialect) LockFree() string { return "" }

// Exclude is not needed: there is one writer.
func (*dialect) Exclude(string) string { return "" }

// Share is not needed either.
func (*dialect) Share() string { return "" }

// Cast is not needed: values carry their own type.
func (*dialect) Cast(literal, _ string) string { return literal }

// Arrays says that rows travel as parameters.
func (*dialect) Arrays() bool { return false }

// Array is not used.
func (*dialect) Array(text []byte, _ string) string { return store.Quoted(string(text)) }

// Among reads the values from a JSON array.
func (*dialect) Among(column string, values []string) string {
	return column + " IN (SELECT value FROM json_each(" + store.Quoted(store.JSONList(values)) + "))"
}

// Indexed names the index: without statistics every organization counts as ten rows.
func (*dialect) Indexed(index string) string { return " INDEXED BY " + index }

// Keyed looks the values of a JSON array up.
func (d *dialect) Keyed(table, alias, where, column string, values []string, _ bool) string {
	return "(SELECT * FROM " + table + " WHERE " + where + " AND " + d.Among(column, values) + ") AS " + alias
}

// Follow is a join.
func (*dialect) Follow(table, alias, where, column, ref string) string {
	return " JOIN (SELECT * FROM " + table + " WHERE " + where + ") AS " + alias + " ON " + alias + "." + column + " = " + ref
}

// ByKeys is not offered: there is no = ANY.
func (*dialect) ByKeys(context.Context, *sql.Conn, string, []string) (*sql.Rows, bool, error) {
	return nil, false, nil
}

// Bytes is a blob literal.
func (*dialect) Bytes(b []byte) string { return "X'" + hex.EncodeToString(b) + "'" }

// VersionTable asks the catalogue.
func (*dialect) VersionTable() string {
	return "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'"
}

// Migrating is not asked: whoever writes is waited for.
func (*dialect) Migrating() string { return "" }

// Migrations gives the scripts in this folder.
func (*dialect) Migrations() (goose.Dialect, fs.FS, []goose.ProviderOption, error) {
	scripts, err := fs.Sub(migrations, "migrations")
	return goose.DialectSQLite3, scripts, nil, err
}

// Release ends what goes on beside the connections.
func (d *dialect) Release() error { return d.carrier.close() }

// code gives SQLite's result code with and without its extension; ok is false for another error.
func code(err error) (primary, extended int, ok bool) {
	var e *driver.Error
	if !errors.As(err, &e) {
		return 0, 0, false
	}
	return e.Code() & 0xff, e.Code(), true
}

// Repeat is true when another connection changed what this transaction read before it could write.
func (*dialect) Repeat(err error) bool {
	_, extended, _ := code(err)
	return extended == lib.SQLITE_BUSY_SNAPSHOT
}

// Taken is a violated unique index or key.
func (*dialect) Taken(err error) bool {
	_, extended, _ := code(err)
	return extended == lib.SQLITE_CONSTRAINT_UNIQUE || extended == lib.SQLITE_CONSTRAINT_PRIMARYKEY
}

// Missing is a violated foreign key, or what a trigger holds in the place of one.
func (*dialect) Missing(err error) bool {
	_, extended, _ := code(err)
	return extended == lib.SQLITE_CONSTRAINT_FOREIGNKEY ||
		extended == lib.SQLITE_CONSTRAINT_TRIGGER && strings.Contains(err.Error(), "no such organization")
}

// Error maps by result code, never by text.
func (d *dialect) Error(op string, err error) error {
	e := &tandem.Error{Code: tandem.Internal, Op: op, Thing: d.path, Message: "the database failed", Err: err}
	primary, extended, ok := code(err)
	switch {
	case errors.Is(err, syscall.ENOSPC) || ok && primary == lib.SQLITE_FULL:
		e.Code, e.Message, e.Hint = tandem.DiskFull, "the disk is full; this change, in a sync this batch, was not written", "free some space and try again"
	case !ok:
		return e
	case primary == lib.SQLITE_BUSY || primary == lib.SQLITE_LOCKED:
		e.Code, e.Message, e.Hint = tandem.Busy, "another process is writing to the database", "try again when it has finished"
	case primary == lib.SQLITE_CORRUPT || primary == lib.SQLITE_NOTADB:
		e.Code, e.Message, e.Hint = tandem.Corrupt, "the file is damaged or is not a Tandem database", "check the path, or restore a backup with `tandem restore`"
	case primary == lib.SQLITE_READONLY || primary == lib.SQLITE_PERM:
		e.Code, e.Message, e.Hint = tandem.Unavailable, "the database file cannot be written", "check the permissions of the file and its folder"
	case primary == lib.SQLITE_CANTOPEN:
		e.Code, e.Message, e.Hint = tandem.Unavailable, "the database file cannot be opened", "check that its folder exists and may be written"
	case primary == lib.SQLITE_IOERR:
		e.Code, e.Message, e.Hint = tandem.Unavailable, "the disk failed while reading or writing the database", "check the disk, then run `tandem doctor`"
	case primary == lib.SQLITE_INTERRUPT:
		e.Code, e.Message = tandem.Timeout, "the operation was broken off"
	case extended == lib.SQLITE_CONSTRAINT_UNIQUE || extended == lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		e.Code, e.Thing, e.Message = tandem.Exists, "", "it is there already"
	case extended == lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		e.Code, e.Thing, e.Message = tandem.NotFound, "", "what it refers to is not in this organization"
	case extended == lib.SQLITE_CONSTRAINT_TRIGGER:
		e.Code, e.Thing, e.Message, e.Hint = tandem.Forbidden, "", "the record is append-only: what is in it is not changed or removed", "let retention remove what is old"
	case primary == lib.SQLITE_TOOBIG:
		e.Code, e.Message = tandem.Invalid, "a value is too large to be stored"
	}
	return e
}
