package store

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"tandem"
)

// chunk is how many rows one statement carries: enough to amortize it, few enough to stay in cache.
const chunk = 500

// bulk writes rows of SQL literals. The first value that cannot be stored is its err.
type bulk struct {
	dialect Dialect
	buf     []byte
	fresh   bool // nothing in this row yet
	typed   bool // literals carry their type: the first row of a VALUES list that no table types
	err     error
}

func (b *bulk) sep() {
	if !b.fresh {
		b.buf = append(b.buf, ',')
	}
	b.fresh = false
}

// text writes a string literal.
func (b *bulk) text(s string) {
	b.sep()
	b.quote(s, "text")
}

func (b *bulk) quote(s, kind string) {
	if err := checkText(s); err != nil && b.err == nil {
		b.err = err
	}
	if b.typed {
		b.buf = append(b.buf, b.dialect.Cast(quoted(s), kind)...)
		return
	}
	b.buf = appendQuoted(b.buf, s)
}

// opt writes a string literal, NULL for "".
func (b *bulk) opt(s string) {
	if s == "" {
		b.null("text")
		return
	}
	b.text(s)
}

func (b *bulk) null(kind string) {
	b.sep()
	if b.typed {
		b.buf = append(b.buf, b.dialect.Cast("NULL", kind)...)
		return
	}
	b.buf = append(b.buf, "NULL"...)
}

func (b *bulk) int(i int64) {
	b.sep()
	b.buf = strconv.AppendInt(b.buf, i, 10)
}

func (b *bulk) bool(v bool) {
	b.sep()
	if v {
		b.buf = append(b.buf, "TRUE"...)
	} else {
		b.buf = append(b.buf, "FALSE"...)
	}
}

func (b *bulk) real(f *float64) {
	if f == nil {
		b.null("real")
		return
	}
	b.sep()
	literal := strconv.FormatFloat(*f, 'e', -1, 64)
	if b.typed {
		literal = b.dialect.Cast(literal, "real")
	}
	b.buf = append(b.buf, literal...)
}

// time writes an instant, NULL for the zero time.
func (b *bulk) time(t time.Time) {
	if t.IsZero() {
		b.null("time")
		return
	}
	b.sep()
	if b.typed {
		b.buf = append(b.buf, b.dialect.Cast("'"+formatTime(t)+"'", "time")...)
		return
	}
	b.buf = append(b.buf, '\'')
	b.buf = appendTime(b.buf, t)
	b.buf = append(b.buf, '\'')
}

// instant writes an instant, the zero time too.
func (b *bulk) instant(t time.Time) {
	b.sep()
	b.buf = append(b.buf, '\'')
	b.buf = appendTime(b.buf, t)
	b.buf = append(b.buf, '\'')
}

func (b *bulk) optTime(t *time.Time) {
	if t == nil {
		b.null("time")
		return
	}
	b.time(*t)
}

// raw writes JSON as it is, NULL for nothing.
func (b *bulk) raw(text []byte) {
	if len(text) == 0 {
		b.null("json")
		return
	}
	b.sep()
	if !json.Valid(text) && b.err == nil {
		b.err = tandem.Errorf(tandem.Internal, "", "", "a value to store is not JSON")
	}
	b.quote(string(text), "json")
}

// json writes a value as JSON; NULL when empty says so.
func (b *bulk) json(v any, empty bool) {
	if empty {
		b.null("json")
		return
	}
	text, err := json.Marshal(v)
	if err != nil && b.err == nil {
		b.err = tandem.Errorf(tandem.Invalid, "", "", "a value cannot be stored as JSON: %w", err)
	}
	b.sep()
	b.quote(string(text), "json")
}

// list writes a list of strings as JSON, [] for none.
func (b *bulk) list(items []string) {
	b.sep()
	b.quote(string(appendStrings(nil, items)), "json")
}

func (b *bulk) bytes(v []byte) {
	if len(v) == 0 {
		b.null("bytes")
		return
	}
	b.sep()
	b.buf = append(b.buf, b.dialect.Bytes(v)...)
}

// insert adds n rows to a table in chunks. tail follows the rows: what to do when a row is there already.
func (s *Store) insert(ctx context.Context, tx bun.Conn, table, columns, tail string, n int, row func(b *bulk, i int)) error {
	return s.bulkly(ctx, tx, "INSERT INTO "+table+" ("+columns+") VALUES ", tail, n, false, row)
}

// bulkly executes head, rows, tail for each chunk of n rows.
func (s *Store) bulkly(ctx context.Context, tx bun.Conn, head, tail string, n int, typed bool, row func(b *bulk, i int)) error {
	b := bulk{dialect: s.dialect}
	for start := 0; start < n; start += chunk {
		b.buf = append(b.buf[:0], head...)
		for i := start; i < min(n, start+chunk); i++ {
			if i > start {
				b.buf = append(b.buf, ',')
			}
			b.buf = append(b.buf, '(')
			b.fresh, b.typed = true, typed && i == start
			row(&b, i)
			b.buf = append(b.buf, ')')
		}
		b.buf = append(b.buf, tail...)
		if b.err != nil {
			return b.err
		}
		if _, err := tx.ExecContext(ctx, string(b.buf)); err != nil {
			return err
		}
	}
	return nil
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

// in gives a parenthesized list of literals; of no value at all where there is none.
func in(values []string) (bun.Safe, error) {
	if len(values) == 0 {
		return "(NULL)", nil
	}
	size := 2
	for _, v := range values {
		size += len(v) + 3
	}
	buf := append(make([]byte, 0, size), '(')
	for i, v := range values {
		if err := checkText(v); err != nil {
			return "", err
		}
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = appendQuoted(buf, v)
	}
	return bun.Safe(append(buf, ')')), nil
}

// inChunks calls fn with lists of at most size values each, as SQL.
func inChunks(values []string, size int, fn func(list bun.Safe) error) error {
	for len(values) > 0 {
		n := min(size, len(values))
		list, err := in(values[:n])
		if err != nil {
			return err
		}
		if err := fn(list); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}
