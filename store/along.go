package store

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"tandem"
)

// writeWith writes what fn does and what goes along with it in one transaction.
func (s *Store) writeWith(ctx context.Context, op, org string, along []tandem.Along, fn func(tx bun.Conn) error) error {
	err := s.write(ctx, op, org, func(tx bun.Conn) error {
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
	if err == nil && len(along) > 0 {
		s.bell.ring(slices.ContainsFunc(along, func(a tandem.Along) bool { return len(a.Jobs) > 0 }))
	}
	return err
}

// along writes what goes along with a change. It comes last in its transaction.
func (s *Store) along(ctx context.Context, tx bun.Conn, org string, along *tandem.Along) error {
	if err := s.audit(ctx, tx, org, along.Audit); err != nil {
		return err
	}
	if err := s.putPushes(ctx, tx, org, along.Pushes); err != nil {
		return err
	}
	if err := s.putJobs(ctx, tx, org, along.Jobs); err != nil {
		return err
	}
	events := slices.Clone(along.Events)
	for i := range events {
		events[i].OrganizationID = org
	}
	return s.putEvents(ctx, tx, events)
}

// along writes what goes along with the changes, and the events that follow from them.
func (a *apply) along(ctx context.Context) error {
	if err := a.putEvents(ctx, a.tx, a.follow()); err != nil {
		return err
	}
	return a.Store.along(ctx, a.tx, a.org, &a.Changes.Along)
}
