package store

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"tandem"
)

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
