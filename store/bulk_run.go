package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"
)

// insert adds n rows to a table. tail follows the rows: what to do when a row is there already.
func (s *Store) insert(ctx context.Context, tx bun.Conn, table, columns, tail string, n int, row func(b *bulk, i int)) error {
	_, err := s.bulkly(ctx, tx, "INSERT INTO "+table+" ("+columns+") ", tail, n, row)
	return err
}

// bulkly executes head, rows, tail for each chunk of n rows and counts the rows that this met. The rows are a VALUES list
// or a SELECT.
func (s *Store) bulkly(ctx context.Context, tx bun.Conn, head, tail string, n int, row func(b *bulk, i int)) (affected int, err error) {
	b := bulk{dialect: s.dialect}
	for start := 0; start < n; start += chunk {
		b.reset()
		for i := start; i < min(n, start+chunk); i++ {
			b.row()
			row(&b, i)
		}
		if b.err != nil {
			return 0, b.err
		}
		some := 0
		if s.dialect.Arrays() {
			some, err = count(tx.Conn.ExecContext(ctx, b.arrays(head, tail)))
		} else {
			some, err = b.bound(ctx, tx.Conn, head, tail)
		}
		if err != nil {
			return 0, err
		}
		affected += some
	}
	return affected, nil
}

// returning runs head, rows, tail for each chunk of n rows and calls each for every row of the replies.
func (s *Store) returning(ctx context.Context, tx bun.Conn, head, tail string, n int, row func(b *bulk, i int), each func(rows *sql.Rows) error) error {
	b := bulk{dialect: s.dialect}
	for start := 0; start < n; start += chunk {
		b.reset()
		for i := start; i < min(n, start+chunk); i++ {
			b.row()
			row(&b, i)
		}
		if b.err != nil {
			return b.err
		}
		if s.dialect.Arrays() {
			if err := eachOf(ctx, tx.Conn, each, b.arrays(head, tail)); err != nil {
				return err
			}
			continue
		}
		step := max(parameters/max(len(b.columns), 1), 1)
		for at := 0; at < b.rows; at += step {
			some := min(step, b.rows-at)
			if err := eachOf(ctx, tx.Conn, each, b.placeholders(head, tail, some), b.args(nil, at, some)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachOf runs a statement as it stands and calls fn for every row of its reply.
func eachOf(ctx context.Context, tx *sql.Conn, fn func(rows *sql.Rows) error, statement string, args ...any) error {
	rows, err := tx.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	return each(rows, func() error { return fn(rows) })
}

// count gives how many rows a statement met.
func count(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// parameters is about how many one prepared statement has.
const parameters = 250

// bound executes the rows with parameters: a few rows at a time, so that there is little to parse, in one statement
// prepared once. What all rows have in common is part of its text.
func (b *bulk) bound(ctx context.Context, tx *sql.Conn, head, tail string) (affected int, err error) {
	varying := 0
	for i := range b.columns {
		if b.columns[i].varies {
			varying++
		}
	}
	step := min(b.rows, max(parameters/max(varying, 1), 1))
	args := make([]any, 0, step*varying)
	at := 0
	if full := b.rows / step; full > 1 {
		affected, err = repeated(ctx, tx, b.placeholders(head, tail, step), full, func() []any {
			from := at
			at += step
			return b.args(args[:0], from, step)
		})
		if err != nil {
			return 0, err
		}
	}
	if at == b.rows {
		return affected, nil
	}
	some, err := count(tx.ExecContext(ctx, b.placeholders(head, tail, b.rows-at), b.args(args[:0], at, b.rows-at)...))
	return affected + some, err
}

// repeated executes a statement n times, prepared once, and counts the rows that it met.
func repeated(ctx context.Context, tx *sql.Conn, statement string, n int, args func() []any) (affected int, err error) {
	prepared, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, prepared.Close()) }()
	for range n {
		some, err := count(prepared.ExecContext(ctx, args()...))
		if err != nil {
			return 0, err
		}
		affected += some
	}
	return affected, nil
}

// placeholders gives the statement for n rows.
func (b *bulk) placeholders(head, tail string, n int) string {
	row := []byte{'('}
	for i := range b.columns {
		if i > 0 {
			row = append(row, ',')
		}
		if b.columns[i].varies {
			row = append(row, '?')
		} else {
			row = b.appendLiteral(row, b.columns[i].values[0])
		}
	}
	row = append(row, ')')
	text := append(make([]byte, 0, len(head)+len(tail)+n*(len(row)+1)+8), head...)
	text = append(text, "VALUES "...)
	for i := range n {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, row...)
	}
	return string(append(text, tail...))
}

func (b *bulk) args(args []any, from, n int) []any {
	for i := from; i < from+n; i++ {
		for c := range b.columns {
			if b.columns[c].varies {
				args = append(args, b.columns[c].values[i])
			}
		}
	}
	return args
}
