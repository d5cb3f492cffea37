package store

import (
	"context"

	"github.com/uptrace/bun"

	"tandem"
)

// writeWith writes what fn does and what goes along with it in one transaction.
func (s *Store) writeWith(ctx context.Context, op, org string, along []tandem.Along, fn func(tx bun.Conn) error) error {
	return s.write(ctx, op, org, func(tx bun.Conn) error {
		if err := fn(tx); err != nil {
			return err
		}
		for i := range along {
			if err := s.along(ctx, tx, org, &along[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// along writes what goes along with a change. It comes last in its transaction.
func (s *Store) along(ctx context.Context, tx bun.Conn, org string, along *tandem.Along) error {
	return s.audit(ctx, tx, org, along.Audit)
}

// along writes what goes along with the changes.
func (a *apply) along(ctx context.Context) error {
	return a.Store.along(ctx, a.tx, a.org, &a.Changes.Along)
}
