package store

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"tandem"
)

// filter collects the conditions of a WHERE clause; all hold together.
type filter struct {
	conditions []string
	args       []any
	err        error
}

// add adds a condition.
func (f *filter) add(condition string, args ...any) {
	f.conditions = append(f.conditions, condition)
	f.args = append(f.args, args...)
}

// equal adds column = value unless value is "".
func (f *filter) equal(column, value string) {
	if value != "" {
		if err := checkText(value); err != nil {
			f.err = err
		}
		f.add(column+" = ?", value)
	}
}

// among adds column IN values unless there are none.
func (f *filter) among(column string, values []string) {
	if len(values) == 0 {
		return
	}
	list, err := in(values)
	if err != nil {
		f.err = err
	}
	f.add(column+" IN ?", list)
}

// contains adds a search for a substring in folded columns, any of which may have it.
func (f *filter) contains(search string, columns ...string) {
	if search == "" {
		return
	}
	if err := checkText(search); err != nil {
		f.err = err
	}
	conditions := make([]string, len(columns))
	for i, column := range columns {
		conditions[i] = column + ` LIKE ? ESCAPE '\'`
		f.args = append(f.args, like(search))
	}
	f.conditions = append(f.conditions, "("+strings.Join(conditions, " OR ")+")")
}

// ordered gives the ORDER BY of a listing.
func (f *filter) ordered(o orders, by string) string {
	text, err := o.order(by)
	if err != nil {
		f.err = err
	}
	return text
}

func (f *filter) where() string { return " WHERE " + strings.Join(f.conditions, " AND ") }

// count counts the matches in from.
func (f *filter) count(ctx context.Context, tx bun.Conn, from string) (n int, err error) {
	if f.err != nil {
		return 0, f.err
	}
	err = tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+from+f.where(), f.args...).Scan(&n)
	return n, err
}

// countInOrder counts the matches in from by the index that has their order, up to the first one above tandem.CountedTo. Without that, SQLite takes the primary key of
// a table WITHOUT ROWID for as good, and reads all that the organization has there.
func (f *filter) countInOrder(ctx context.Context, tx bun.Conn, from, order string) (n int, err error) {
	if f.err != nil {
		return 0, f.err
	}
	err = tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+from+f.where()+" ORDER BY "+order+" LIMIT ?) AS counted", append(append([]any{}, f.args...), tandem.CountedTo+1)...).Scan(&n)
	return n, err
}

// countSome counts the matches in from, up to the first one above tandem.CountedTo.
func (f *filter) countSome(ctx context.Context, tx bun.Conn, from string) (n int, err error) {
	if f.err != nil {
		return 0, f.err
	}
	err = tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+from+f.where()+" LIMIT ?) AS counted", append(append([]any{}, f.args...), tandem.CountedTo+1)...).Scan(&n)
	return n, err
}

// total gives the number of all matches of a listing of which a page has so many: count tells it, unless the page is the last
// one. What is searched for and rare is then looked for once.
func total(p tandem.Page, here int, count func() (int, error)) (int, error) {
	if offset, limit := window(p); here < limit && (here > 0 || offset == 0) {
		return offset + here, nil
	}
	return count()
}

// page gives the query for one page of the matches.
func (f *filter) page(columns, from, order string, p tandem.Page) (string, []any) {
	offset, limit := window(p)
	return "SELECT " + columns + " FROM " + from + f.where() + " ORDER BY " + order + " LIMIT ? OFFSET ?", append(append([]any{}, f.args...), limit, offset)
}
