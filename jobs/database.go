package jobs

import (
	"context"
	"database/sql"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tandem"
)

// Database is where the job engine keeps its tables: beside the store's own.
type Database struct {
	pool *pgxpool.Pool // one of the two is set
	file *sql.DB
	// PollOnly leaves LISTEN out, for a pooler that keeps no sessions: jobs are then found by looking alone.
	PollOnly bool
}

// connections bounds how many the job engine takes of a PostgreSQL server, beside the store's.
const connections = 8

// OnPostgres connects to the database at a URL, which is never part of an error. Close it after Stop.
func OnPostgres(ctx context.Context, url string) (*Database, error) {
	const op = "connect the job engine"
	config, err := pgxpool.ParseConfig(url)
	if err != nil { // its text may hold the password
		return nil, tandem.Errorf(tandem.Invalid, op, "", "the database URL cannot be read").
			WithHint("write it as postgres://user:password@host:5432/database, with special characters percent-encoded")
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "tandem jobs"
	}
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if !strings.Contains(url, "default_query_exec_mode=") { // nothing is tied to a session, for a pooler's sake
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = connections
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, tandem.Errorf(tandem.Unavailable, op, "", "the database cannot be reached: %w", err)
	}
	return &Database{pool: pool}, nil
}

// OnSQLite uses the store's one connection that writes: a second one would only wait for it.
func OnSQLite(writer *sql.DB) *Database { return &Database{file: writer} }

// Close frees the connections that OnPostgres made.
func (d *Database) Close() {
	if d.pool != nil {
		d.pool.Close()
	}
}
