package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"tandem"
)

// chunk is how many rows are written together: enough to amortize a statement, few enough to stay in cache.
const chunk = 500

// kind is the type of a column, in the words of Dialect.Cast.
type kind string

const (
	isText  kind = "text"
	isTime  kind = "time"
	isReal  kind = "real"
	isJSON  kind = "json"
	isBytes kind = "bytes"
	isInt   kind = "int"
	isBool  kind = "bool"
)

// bulk collects rows by column, each row's values in the order of the columns. The first value that cannot be stored is its err.
type bulk struct {
	dialect Dialect
	columns []column
	at      int // the column that the next value goes to
	rows    int
	err     error
}

// column holds a value for each row: nil, string, int64, bool, float64 or []byte.
type column struct {
	kind   kind
	values []any
	varies bool // not every row has the same
}

// row begins the next row.
func (b *bulk) row() { b.at, b.rows = 0, b.rows+1 }

// reset forgets the rows and keeps the memory.
func (b *bulk) reset() {
	for i := range b.columns {
		b.columns[i].values, b.columns[i].varies = b.columns[i].values[:0], false
	}
	b.rows = 0
}

func (b *bulk) put(k kind, v any) {
	if b.at == len(b.columns) {
		b.columns = append(b.columns, column{kind: k})
	}
	c := &b.columns[b.at]
	b.at++
	if len(c.values) > 0 && !c.varies {
		_, blob := v.([]byte)
		c.varies = blob || c.values[0] != v
	}
	c.values = append(c.values, v)
}

func (b *bulk) string(k kind, s string) {
	if err := checkText(s); err != nil && b.err == nil {
		b.err = err
	}
	b.put(k, s)
}

// text writes a string.
func (b *bulk) text(s string) { b.string(isText, s) }

// opt writes a string, NULL for "".
func (b *bulk) opt(s string) {
	if s == "" {
		b.put(isText, nil)
		return
	}
	b.text(s)
}

func (b *bulk) int(i int64) { b.put(isInt, i) }

func (b *bulk) bool(v bool) { b.put(isBool, v) }

func (b *bulk) real(f *float64) {
	if f == nil {
		b.put(isReal, nil)
		return
	}
	b.put(isReal, *f)
}

// time writes an instant, NULL for the zero time.
func (b *bulk) time(t time.Time) {
	if t.IsZero() {
		b.put(isTime, nil)
		return
	}
	b.instant(t)
}

// instant writes an instant, the zero time too.
func (b *bulk) instant(t time.Time) { b.put(isTime, formatTime(t)) }

func (b *bulk) optTime(t *time.Time) {
	if t == nil {
		b.put(isTime, nil)
		return
	}
	b.time(*t)
}

// raw writes JSON as it is, NULL for nothing.
func (b *bulk) raw(text []byte) {
	if len(text) == 0 {
		b.put(isJSON, nil)
		return
	}
	if !json.Valid(text) && b.err == nil {
		b.err = tandem.Errorf(tandem.Internal, "", "", "a value to store is not JSON")
	}
	b.string(isJSON, string(text))
}

// json writes a value as JSON; NULL when empty says so.
func (b *bulk) json(v any, empty bool) {
	if empty {
		b.put(isJSON, nil)
		return
	}
	text, err := json.Marshal(v)
	if err != nil && b.err == nil {
		b.err = tandem.Errorf(tandem.Invalid, "", "", "a value cannot be stored as JSON: %w", err)
	}
	b.string(isJSON, string(text))
}

// list writes a list of strings as JSON, [] for none.
func (b *bulk) list(items []string) { b.string(isJSON, string(appendStrings(nil, items))) }

func (b *bulk) bytes(v []byte) {
	if len(v) == 0 {
		b.put(isBytes, nil)
		return
	}
	b.put(isBytes, v)
}

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
			if err := eachOf(each)(tx.Conn.QueryContext(ctx, b.arrays(head, tail))); err != nil {
				return err
			}
			continue
		}
		step := max(parameters/max(len(b.columns), 1), 1)
		for at := 0; at < b.rows; at += step {
			some := min(step, b.rows-at)
			if err := eachOf(each)(tx.Conn.QueryContext(ctx, b.placeholders(head, tail, some), b.args(nil, at, some)...)); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachOf calls fn for every row of a reply and closes it.
func eachOf(fn func(rows *sql.Rows) error) func(rows *sql.Rows, err error) error {
	return func(rows *sql.Rows, err error) error {
		if err != nil {
			return err
		}
		return each(rows, func() error { return fn(rows) })
	}
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
		statement, err := tx.PrepareContext(ctx, b.placeholders(head, tail, step))
		if err != nil {
			return 0, err
		}
		for range full {
			some, err := count(statement.ExecContext(ctx, b.args(args[:0], at, step)...))
			if err != nil {
				return 0, errors.Join(err, statement.Close())
			}
			affected += some
			at += step
		}
		if err := statement.Close(); err != nil {
			return 0, err
		}
	}
	if at == b.rows {
		return affected, nil
	}
	some, err := count(tx.ExecContext(ctx, b.placeholders(head, tail, b.rows-at), b.args(args[:0], at, b.rows-at)...))
	return affected + some, err
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

// arrays gives the statement for all rows, each column that varies as one array literal: the server parses a few long
// strings instead of thousands of short ones, and plans one scan of a function.
func (b *bulk) arrays(head, tail string) string {
	varying := 0
	for i := range b.columns {
		if b.columns[i].varies {
			varying++
		}
	}
	text := append(make([]byte, 0, 64*b.rows*(varying+1)), head...)
	if b.rows == 1 {
		text = append(text, "VALUES ("...)
		for i := range b.columns {
			if i > 0 {
				text = append(text, ',')
			}
			text = b.appendTyped(text, &b.columns[i])
		}
		return string(append(append(text, ')'), tail...))
	}
	b.columns[0].varies = b.columns[0].varies || varying == 0
	text = append(text, "SELECT "...)
	for i := range b.columns {
		if i > 0 {
			text = append(text, ',')
		}
		if b.columns[i].varies {
			text = strconv.AppendInt(append(text, "u.c"...), int64(i), 10)
		} else {
			text = b.appendTyped(text, &b.columns[i])
		}
	}
	text = append(text, " FROM unnest("...)
	names, first := []byte(nil), true
	for i := range b.columns {
		c := &b.columns[i]
		if !c.varies {
			continue
		}
		if !first {
			text, names = append(text, ','), append(names, ',')
		}
		first = false
		names = strconv.AppendInt(append(names, 'c'), int64(i), 10)
		text = append(text, b.dialect.Array(appendArray(make([]byte, 0, 48*b.rows), c.values), string(c.kind))...)
	}
	text = append(append(append(text, ") AS u("...), names...), ')')
	return string(append(text, tail...))
}

// appendTyped appends the literal of a column that does not vary, with its type.
func (b *bulk) appendTyped(buf []byte, c *column) []byte {
	if c.values[0] == nil {
		return append(buf, b.dialect.Cast("NULL", string(c.kind))...)
	}
	if c.kind == isText || c.kind == isTime || c.kind == isJSON {
		return append(buf, b.dialect.Cast(string(b.appendLiteral(nil, c.values[0])), string(c.kind))...)
	}
	return b.appendLiteral(buf, c.values[0])
}

// appendLiteral appends a value as SQL.
func (b *bulk) appendLiteral(buf []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendQuoted(buf, v)
	case int64:
		return strconv.AppendInt(buf, v, 10)
	case bool:
		return strconv.AppendBool(buf, v)
	case float64:
		return strconv.AppendFloat(buf, v, 'e', -1, 64)
	case []byte:
		return append(buf, b.dialect.Bytes(v)...)
	}
	return append(buf, "NULL"...)
}

// literal gives what one call writes as SQL, for statements about one row.
func (b *bulk) literal(write func()) bun.Safe {
	b.reset()
	b.row()
	write()
	return bun.Safe(b.appendLiteral(nil, b.columns[0].values[0]))
}

// checkText refuses what the two databases would not both keep as it is.
func checkText(s string) error {
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return tandem.Errorf(tandem.Invalid, "", strconv.QuoteToASCII(s), "text with a NUL or that is not UTF-8 cannot be stored").
			WithHint("remove those characters")
	}
	return nil
}

// appendQuoted appends a string literal of standard SQL.
func appendQuoted(buf []byte, s string) []byte {
	buf = append(buf, '\'')
	for {
		i := strings.IndexByte(s, '\'')
		if i < 0 {
			break
		}
		buf = append(append(buf, s[:i]...), '\'', '\'')
		s = s[i+1:]
	}
	return append(append(buf, s...), '\'')
}

func quoted(s string) string { return string(appendQuoted(nil, s)) }

// appendArray appends PostgreSQL's text form of an array.
func appendArray(buf []byte, values []any) []byte {
	buf = append(buf, '{')
	for i, v := range values {
		if i > 0 {
			buf = append(buf, ',')
		}
		switch v := v.(type) {
		case string:
			buf = appendElement(buf, v)
		case int64:
			buf = strconv.AppendInt(buf, v, 10)
		case bool:
			buf = strconv.AppendBool(buf, v)
		case float64:
			buf = strconv.AppendFloat(buf, v, 'e', -1, 64)
		case []byte:
			buf = appendElement(buf, `\x`+string(appendHex(nil, v)))
		default:
			buf = append(buf, "NULL"...)
		}
	}
	return append(buf, '}')
}

// appendElement appends a quoted element of an array.
func appendElement(buf []byte, s string) []byte {
	buf = append(buf, '"')
	start := 0
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			buf = append(append(buf, s[start:i]...), '\\')
			start = i
		}
	}
	return append(append(buf, s[start:]...), '"')
}

func appendHex(buf, v []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range v {
		buf = append(buf, digits[c>>4], digits[c&15])
	}
	return buf
}
