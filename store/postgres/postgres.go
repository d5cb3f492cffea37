// Package postgres opens a store in a PostgreSQL database (14 or later), also a managed one.
//
// # The second wall
//
// Each table of an organization has a row-level security policy on the setting tandem.organization_id. The role
// that connects owns the tables, because it migrates them, and an owner is not bound by policies. So every
// transaction, reads too, becomes the role tandem_app first (SET LOCAL ROLE), which owns nothing and cannot log in,
// and names its organization: a query without a WHERE sees one organization. Where the connecting role is itself
// bound by the policies (another role migrates, and granted tandem_app to it), the change of role is left out.
// The settings are local to the transaction, so that a transaction pooler (PgBouncer, Supabase) may stand between.
// They travel with BEGIN in one round trip.
//
// Migrating makes the role tandem_app, for which the connecting role needs CREATEROLE once; or an administrator runs
// CREATE ROLE tandem_app NOLOGIN; GRANT tandem_app TO the connecting role, beforehand.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"tandem"
	"tandem/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// role is the one that the policies bind.
const role = "tandem_app"

// Open connects to the database at a URL (postgres://user:password@host:port/database?…), which is never part of an error.
func Open(ctx context.Context, url string, options ...store.Options) (*store.Store, error) {
	how := store.Options{}
	if len(options) > 0 {
		how = options[0]
	}
	const op = "open the database"
	config, err := pgxpool.ParseConfig(url)
	if err != nil { // its text may hold the password
		return nil, tandem.Errorf(tandem.Invalid, op, "", "the database URL cannot be read").
			WithHint("write it as postgres://user:password@host:5432/database, with special characters percent-encoded")
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "tandem"
	}
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if !strings.Contains(url, "default_query_exec_mode=") {
		// Values are part of the text, so that each text is new: preparing it would cost a round trip and a place in
		// the server's memory for nothing, and would tie it to a session, which a transaction pooler does not keep.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	at := config.ConnConfig
	d := &dialect{where: net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))) + "/" + at.Database, role: true}
	d.pool, err = pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, d.Error(op, err)
	}
	db := bun.NewDB(stdlib.OpenDBFromPool(d.pool), pgdialect.New())
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(d.Error(op, err), db.Close(), d.Release())
	}
	s, err := store.Open(ctx, db, db, d, how)
	if err != nil {
		return nil, err
	}
	if err := d.chooseRole(ctx, db); err != nil {
		return nil, errors.Join(d.Error(op, err), s.Close())
	}
	return s, nil
}

// OpenForMigration connects whatever the schema's version is.
func OpenForMigration(ctx context.Context, url string) (*store.Store, error) {
	return Open(ctx, url, store.Options{AnySchema: true})
}

// dialect is what differs from SQLite.
type dialect struct {
	where string // host:port/database, for messages
	pool  *pgxpool.Pool
	role  bool // become tandem_app, because policies do not bind the connecting role
}

// chooseRole finds out whether the policies bind the connecting role.
func (d *dialect) chooseRole(ctx context.Context, db *bun.DB) error {
	return db.QueryRowContext(ctx, `SELECT COALESCE((SELECT r.rolsuper OR r.rolbypassrls OR pg_has_role(current_user, c.relowner, 'USAGE')
		FROM pg_roles AS r, pg_class AS c WHERE r.rolname = current_user AND c.oid = to_regclass('devices')), TRUE)`).Scan(&d.role)
}

// byKey has the planner go from the keys to the rows: no table is read for a join, and a row visited costs more than
// any number of look-ups in an index. Otherwise statistics that lag behind a first import make it believe that an
// organization is nearly empty, and join by reading all of it once for each batch, or even for each key. What costs so
// much on paper is not worth compiling.
const byKey = "; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off" +
	"; SET LOCAL enable_material = off; SET LOCAL cpu_tuple_cost = 1; SET LOCAL random_page_cost = 0.01; SET LOCAL jit = off"

// Begin opens a transaction as one organization, in one round trip.
func (d *dialect) Begin(org string, mode store.Mode) string {
	text := "BEGIN"
	switch mode {
	case store.Reading, store.Keyed:
		text = "BEGIN READ ONLY"
	case store.Repeating:
		text += "; SET LOCAL synchronous_commit = off"
	case store.Writing:
	}
	if d.role {
		text += "; SET LOCAL ROLE " + role
	}
	text += "; SET LOCAL tandem.organization_id = " + store.Quoted(org)
	if mode != store.Reading {
		text += byKey
	}
	return text
}

// As sets the organization anew, until the transaction ends.
func (*dialect) As(org string) string {
	return "SET LOCAL tandem.organization_id = " + store.Quoted(org)
}

// Clock moves on within a transaction.
func (*dialect) Clock() string { return "clock_timestamp()" }

// Micros stands still within a statement.
func (*dialect) Micros() string {
	return "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::bigint"
}

// Number is that of a JSON number only.
func (*dialect) Number(column string, within []string) string {
	steps := make([]string, len(within))
	for i, step := range within {
		steps[i] = store.Quoted(step)
	}
	at := "(" + column + " #> ARRAY[" + strings.Join(steps, ", ") + "]::text[])"
	return "CASE WHEN json_typeof" + at + " = 'number' THEN (" + at[1:len(at)-1] + ")::text::double precision END"
}

// Stretch counts in microseconds.
func (*dialect) Stretch(column string, since time.Time, stride time.Duration) string {
	return fmt.Sprintf("((EXTRACT(EPOCH FROM %s) * 1000000)::bigint - %d) / %d", column, since.UnixMicro(), stride.Microseconds())
}

// Partition is a function of the tables' owner.
func (*dialect) Partition(at time.Time) string {
	return "SELECT make_observation_partition(" + instant(at) + ")"
}

// DropPartition is another.
func (*dialect) DropPartition(before time.Time) string {
	return "SELECT drop_observation_partition(" + instant(before) + ")"
}

func instant(t time.Time) string {
	return store.Quoted(t.UTC().Format("2006-01-02 15:04:05.000000+00:00")) + "::timestamptz"
}

// Greatest is the function's name.
func (*dialect) Greatest() string { return "GREATEST" }

// Least is the function's name.
func (*dialect) Least() string { return "LEAST" }

// Lock lets others still refer to the rows.
func (*dialect) Lock() string { return " FOR NO KEY UPDATE" }

// LockFree leaves out what others have locked.
func (*dialect) LockFree() string { return " FOR NO KEY UPDATE SKIP LOCKED" }

// Exclude takes an advisory lock, which ends with the transaction, behind a pooler too.
func (*dialect) Exclude(name string) string {
	return "SELECT pg_advisory_xact_lock(hashtext(" + store.Quoted("tandem: "+name) + "))"
}

// Share lets others read and lock likewise.
func (*dialect) Share() string { return " FOR SHARE" }

// types are the column types of the kinds of literals.
var types = map[string]string{"text": "text", "time": "timestamptz", "real": "double precision", "json": "json", "bytes": "bytea",
	"int": "bigint", "bool": "boolean"}

// Cast types a literal.
func (*dialect) Cast(literal, kind string) string { return literal + "::" + types[kind] }

// Arrays says that rows travel as arrays.
func (*dialect) Arrays() bool { return true }

// Array is an array literal.
func (*dialect) Array(text []byte, kind string) string {
	return store.Quoted(string(text)) + "::" + types[kind] + "[]"
}

// Among compares with one array literal.
func (*dialect) Among(column string, values []string) string {
	return column + " = ANY (" + store.Quoted(store.ArrayList(values)) + "::text[])"
}

// Indexed is the planner's own choice.
func (*dialect) Indexed(string) string { return "" }

// Keyed evaluates a subquery for each value, which OFFSET 0 keeps the planner from turning round: right after a first
// import it takes every organization for empty, and would rather read all of it by another index.
func (*dialect) Keyed(table, alias, where, column string, values []string, lock bool) string {
	keys := "$1::text[]"
	if values != nil {
		keys = store.Quoted(store.ArrayList(values)) + "::text[]"
	}
	locked := ""
	if lock {
		locked = " FOR NO KEY UPDATE"
	}
	return "unnest(" + keys + ") AS k (key) CROSS JOIN LATERAL (SELECT * FROM " + table + " WHERE " + where + " AND " + column + " = k.key OFFSET 0" +
		locked + ") AS " + alias
}

// Follow does the same with each row.
func (*dialect) Follow(table, alias, where, column, ref string) string {
	return " CROSS JOIN LATERAL (SELECT * FROM " + table + " WHERE " + where + " AND " + column + " = " + ref + " OFFSET 0) AS " + alias
}

// ByKeys has the text described once for each connection; it is not prepared on the server, for a pooler's sake.
func (*dialect) ByKeys(ctx context.Context, conn *sql.Conn, text string, values []string) (*sql.Rows, bool, error) {
	rows, err := conn.QueryContext(ctx, text, pgx.QueryExecModeCacheDescribe, values)
	return rows, true, err
}

// Bytes is a bytea literal.
func (*dialect) Bytes(b []byte) string { return `'\x` + hex.EncodeToString(b) + `'::bytea` }

// VersionTable asks the catalogue, along the search path.
func (*dialect) VersionTable() string {
	return "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('goose_db_version')"
}

// Migrating looks for the advisory lock that Migrations has whoever migrates hold.
func (*dialect) Migrating() string {
	return "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())" +
		" AND (classid::bigint << 32) + objid::bigint = " + strconv.FormatInt(lock.DefaultLockID, 10) + " AND objsubid = 1)"
}

// Migrations gives the scripts in this folder; concurrent callers wait for each other.
func (*dialect) Migrations() (goose.Dialect, fs.FS, []goose.ProviderOption, error) {
	scripts, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return "", nil, nil, err
	}
	locker, err := lock.NewPostgresSessionLocker()
	return goose.DialectPostgres, scripts, []goose.ProviderOption{goose.WithSessionLocker(locker)}, err
}

// Release closes the pool under the connections.
func (d *dialect) Release() error {
	d.pool.Close()
	return nil
}

// state gives the SQLSTATE, "" for an error that the server did not send.
func state(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Repeat is a deadlock or a serialization failure.
func (*dialect) Repeat(err error) bool { return state(err) == "40P01" || state(err) == "40001" }

// Taken is a violated unique index or key.
func (*dialect) Taken(err error) bool { return state(err) == "23505" }

// Missing is a violated foreign key.
func (*dialect) Missing(err error) bool { return state(err) == "23503" }

// mapping is what a SQLSTATE, or a class of them, means.
type mapping struct {
	code          tandem.Code
	message, hint string
}

// states are looked up whole first, then by class (the first two characters).
var states = map[string]mapping{
	"53100": {tandem.DiskFull, "the database server's disk is full; this change, in a sync this batch, was not written", "free some space there and try again"},
	"40P01": {tandem.Busy, "other transactions kept getting in the way", "try again"},
	"40001": {tandem.Busy, "other transactions kept getting in the way", "try again"},
	"55P03": {tandem.Busy, "another transaction holds what this needs", "try again"},
	"57014": {tandem.Timeout, "the database broke the operation off", "try again, or raise statement_timeout"},
	"25006": {tandem.Unavailable, "the database is read-only (a standby?)", "connect to the primary server"},
	"42501": {tandem.Forbidden, "the database role lacks a permission", "migrate as the tables' owner; an administrator may run: CREATE ROLE tandem_app NOLOGIN; GRANT tandem_app TO the connecting role"},
	"42P01": {tandem.Schema, "a table is missing", "run `tandem migrate up`"},
	"42703": {tandem.Schema, "a column is missing", "run `tandem migrate up`"},
	"3D000": {tandem.NotFound, "there is no such database", "make it with createdb, or correct the URL"},
	"22021": {tandem.Invalid, "a text holds characters that the database cannot store", "remove them"},
	"23505": {tandem.Exists, "it is there already", ""},
	"23503": {tandem.NotFound, "what it refers to is not in this organization", ""},
	"23000": {tandem.Forbidden, "the record is append-only: what is in it is not changed or removed", "let retention remove what is old"},
	"XX001": {tandem.Corrupt, "the database reports damaged data", "restore a backup"},
	"XX002": {tandem.Corrupt, "the database reports a damaged index", "rebuild it with REINDEX, or restore a backup"},
	"08":    {tandem.Unavailable, "the connection to the database broke", "check that the server is up, then try again"},
	"53":    {tandem.Unavailable, "the database server is out of resources", "allow it more connections or memory, then try again"},
	"57":    {tandem.Unavailable, "the database server is starting or shutting down", "try again"},
	"28":    {tandem.Unauthorized, "the database refuses the login", "check user and password in the database URL"},
}

// Error maps by SQLSTATE, never by text.
func (d *dialect) Error(op string, err error) error {
	e := &tandem.Error{Code: tandem.Internal, Op: op, Thing: d.where, Message: "the database failed", Err: err}
	at := state(err)
	if at != "" {
		m, ok := states[at]
		if !ok {
			m, ok = states[at[:2]]
		}
		if ok {
			e.Code, e.Message, e.Hint = m.code, m.message, m.hint
		}
		return e
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connecting) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		e.Code, e.Message, e.Hint = tandem.Unavailable, "the database cannot be reached", "check that the server is up and the URL is right, then try again"
	}
	return e
}
