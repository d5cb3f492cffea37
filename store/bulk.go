package store

import (
	"encoding/json"
	"time"

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
