package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/uptrace/bun"
)

// among gives the condition that a column is one of some values, which travel as one literal: a list of hundreds
// would be parsed and planned value by value.
func (s *Store) among(column string, values []string) (bun.Safe, error) {
	for _, v := range values {
		if err := checkText(v); err != nil {
			return "", err
		}
	}
	if len(values) == 1 {
		return bun.Safe(column + " = " + quoted(values[0])), nil
	}
	return bun.Safe(s.dialect.Among(column, values)), nil
}

// keyed runs a query over the rows whose column is one of some values: text is what precedes Dialect.Keyed, after follows it.
func (s *Store) keyed(ctx context.Context, tx bun.Conn, text, table, alias, where, column string, values []string, after string) (*sql.Rows, error) {
	for _, v := range values {
		if err := checkText(v); err != nil {
			return nil, err
		}
	}
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	if len(s.hooks) == 0 { // a hook is to see the values
		if rows, ok, err := s.dialect.ByKeys(ctx, tx.Conn, text+s.dialect.Keyed(table, alias, where, column, nil, false)+after, values); ok {
			return rows, err
		}
	}
	return tx.QueryContext(ctx, text+s.dialect.Keyed(table, alias, where, column, values, false)+after)
}

// inChunks calls fn with the condition that column is one of at most size values, until all have been asked about.
func (s *Store) inChunks(column string, values []string, size int, fn func(among bun.Safe) error) error {
	for len(values) > 0 {
		n := min(size, len(values))
		list, err := s.among(column, values[:n])
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

// JSONList gives values as a JSON array.
func JSONList(values []string) string { return string(appendStrings(nil, values)) }

// ArrayList gives values as the text of a PostgreSQL array.
func ArrayList(values []string) string {
	buf := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = appendElement(buf, v)
	}
	return string(append(buf, '}'))
}

// Quoted gives a string literal of standard SQL.
func Quoted(s string) string { return quoted(s) }

// in gives a parenthesized list of literals, for a few values; of no value at all where there is none.
func in(values []string) (bun.Safe, error) {
	if len(values) == 0 {
		return "(NULL)", nil
	}
	buf := []byte{'('}
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
