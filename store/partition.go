package store

import (
	"context"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// Observations lie in partitions on PostgreSQL, a week each. Retention makes those that come and drops those that are over;
// a partition that is missing when a value comes is made then. What still finds none lies in one for the rest, and moves when
// its partition is made.
const (
	week       = 7 * 24 * time.Hour // from a Monday
	weeksAhead = 2
	weekKnown  = 10 * time.Minute // another process may have dropped it
	weekFailed = time.Minute
	mostWeeks  = 1000
	// exactBelow is how long observations are kept at least for them to go by the week: up to a week more is then little.
	exactBelow = 4 * week
)

// weekOf gives the Monday that an instant's week begins with, UTC.
func weekOf(t time.Time) time.Time { return t.UTC().Truncate(week) }

// weeks are those that this process need not ask about.
type weeks struct {
	mu    sync.Mutex
	until map[time.Time]time.Time // by the week's beginning, when to ask again
}

// ask gives the weeks among some observations that are to be asked about.
func (w *weeks) ask(observations []tandem.DeviceObservation) (unknown []time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var last time.Time
	now := time.Now()
	for i := range observations {
		begins := weekOf(observations[i].ObservedAt)
		if i > 0 && begins.Equal(last) {
			continue
		}
		last = begins
		if now.After(w.until[begins]) {
			w.note(begins, now.Add(weekFailed))
			unknown = append(unknown, begins)
		}
	}
	return unknown
}

// note remembers a week; the lock is held.
func (w *weeks) note(begins, until time.Time) {
	if w.until == nil || len(w.until) >= mostWeeks {
		w.until = map[time.Time]time.Time{}
	}
	w.until[begins] = until
}

// room makes the partitions that observations need. Where one cannot be made now they are stored all the same.
func (s *Store) room(ctx context.Context, observations []tandem.DeviceObservation) {
	if len(observations) == 0 || s.dialect.Partition(time.Time{}) == "" {
		return
	}
	for _, begins := range s.weeks.ask(observations) {
		if s.partition(ctx, begins) != nil {
			continue // it is asked about again
		}
	}
}

// partition makes the partition of a week, in a transaction of its own: it locks what every writer needs.
func (s *Store) partition(ctx context.Context, begins time.Time) error {
	made := false
	err := s.write(ctx, "make room for observations", everyOrganization, func(tx bun.Conn) error {
		return tx.QueryRowContext(ctx, s.dialect.Partition(begins)).Scan(&made)
	})
	if err == nil {
		s.weeks.mu.Lock()
		defer s.weeks.mu.Unlock()
		s.weeks.note(begins, time.Now().Add(weekKnown))
	}
	return err
}

// ahead makes the partitions of this week and the next ones.
func (s *Store) ahead(ctx context.Context, now time.Time) error {
	if s.dialect.Partition(now) == "" {
		return nil
	}
	for n := range weeksAhead + 1 {
		if err := s.partition(ctx, weekOf(now).Add(time.Duration(n)*week)); err != nil && !tandem.Is(err, tandem.Busy) {
			return err
		}
	}
	return nil
}

// partitions drops one that is over.
func (p *prune) partitions(ctx context.Context, tx bun.Conn) error {
	drop := p.dialect.DropPartition(p.now.Add(-p.keep.Observations))
	if _, ok := p.before(p.keep.Observations); !ok || drop == "" {
		return nil
	}
	n := 0
	if err := tx.QueryRowContext(ctx, drop).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		p.removed["weeks of observations"] += n
	}
	return nil
}

// observations removes single rows: all that are old, or where they go by the week those of weeks that are over and could not
// be dropped, since something young came late. What retention goes by is when a value was written.
func (p *prune) observations(ctx context.Context, tx bun.Conn) error {
	before, ok := p.before(p.keep.Observations)
	if !ok {
		return nil
	}
	over := ""
	if p.dialect.DropPartition(p.now) != "" && p.keep.Observations >= exactBelow {
		over = " AND (observed_at < " + quoted(at(weekOf(p.now.Add(-p.keep.Observations)))) + " OR observed_at >= " + quoted(at(weekOf(p.now).Add((weeksAhead+2)*week))) + ")"
	}
	_, err := p.delete(ctx, tx, "observations", `DELETE FROM device_observations WHERE (organization_id, device_id, observed_at, path) IN
		(SELECT organization_id, device_id, observed_at, path FROM device_observations WHERE created_at < ?`+over+" LIMIT ?)", before, p.limit)
	return err
}

// hours removes the sums of hours of which nothing is left, on either database: a week is dropped as a whole.
func (p *prune) hours(ctx context.Context, tx bun.Conn) error {
	if _, ok := p.before(p.keep.Observations); !ok {
		return nil
	}
	_, err := p.delete(ctx, tx, "hours", `DELETE FROM observation_hours WHERE (organization_id, device_id, path, within, hour) IN
		(SELECT organization_id, device_id, path, within, hour FROM observation_hours WHERE hour < ? LIMIT ?)`, hourOf(p.now.Add(-p.keep.Observations-week)), p.limit)
	return err
}
