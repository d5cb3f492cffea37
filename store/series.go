package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// The bounds of a series.
const (
	mostPoints  = 2000
	leastStride = time.Millisecond
	// longSeries is from when on the stretches are whole hours, so that the sums of hours serve.
	longSeries = 3 * 24 * time.Hour
)

// Series gives a device's numbers in stretches of equal length.
func (s *Store) Series(ctx context.Context, org string, q tandem.SeriesFilter) (found []tandem.SeriesPoint, err error) {
	const op = "read a device's numbers"
	if _, err := checked(append([]string{org, q.DeviceID, q.Path}, q.Within...)); err != nil {
		return nil, s.fail(op, err)
	}
	if !q.Since.Before(q.Until) {
		return nil, s.fail(op, tandem.Errorf(tandem.Invalid, "", "", "the time ends before it begins"))
	}
	r := &series{Store: s, org: org, q: q, begins: q.Since}
	points := time.Duration(min(max(q.Points, 1), mostPoints))
	if q.Until.Sub(q.Since) < longSeries {
		r.stride = roundUp(q.Until.Sub(q.Since)/points, leastStride) // in what both databases can count
	} else {
		r.begins = q.Since.Truncate(time.Hour)
		r.stride = roundUp((q.Until.Sub(r.begins)+points-1)/points, time.Hour)
	}
	err = s.readKeyed(ctx, op, org, func(tx bun.Conn) error {
		r.stretches = map[int64]*sum{}
		gaps := []span{{q.Since, q.Until}}
		if r.stride >= time.Hour && plainWay(q.Within) {
			if gaps, err = r.hours(ctx, tx); err != nil {
				return err
			}
		}
		return r.raw(ctx, tx, gaps)
	})
	if err != nil {
		return nil, err
	}
	return r.points(), nil
}

// roundUp gives the least multiple of a unit that is not less, and not zero.
func roundUp(d, unit time.Duration) time.Duration {
	return max((d + unit - 1).Truncate(unit), unit)
}

// plainWay reports whether a way into payloads is written as the sums of hours write it.
func plainWay(within []string) bool {
	return !slices.ContainsFunc(within, func(step string) bool {
		n, err := strconv.Atoi(step)
		return err == nil && (n < 0 || strconv.Itoa(n) != step)
	})
}

// series is one that is read.
type series struct {
	*Store
	org       string
	q         tandem.SeriesFilter
	begins    time.Time // of the first stretch
	stride    time.Duration
	stretches map[int64]*sum
}

// span is some time, without its end.
type span struct{ since, until time.Time }

// sum is what some numbers come to.
type sum struct {
	min, max, sum float64
	count         int
}

// add takes others in.
func (s *sum) add(o sum) {
	if o.count == 0 {
		return
	}
	if s.count == 0 {
		*s = o
		return
	}
	s.min, s.max, s.sum, s.count = min(s.min, o.min), max(s.max, o.max), s.sum+o.sum, s.count+o.count
}

func (r *series) add(stretch int64, of sum) {
	one := r.stretches[stretch]
	if one == nil {
		one = &sum{}
		r.stretches[stretch] = one
	}
	one.add(of)
}

// points gives the stretches that have any number.
func (r *series) points() []tandem.SeriesPoint {
	var found []tandem.SeriesPoint
	for _, stretch := range slices.Sorted(maps.Keys(r.stretches)) {
		of := r.stretches[stretch]
		if of.count == 0 {
			continue
		}
		at := r.begins.Add(time.Duration(stretch) * r.stride).UTC()
		if at.Before(r.q.Since) {
			at = r.q.Since.UTC()
		}
		found = append(found, tandem.SeriesPoint{At: at, Min: of.min, Max: of.max, Mean: of.sum / float64(of.count), Count: of.count})
	}
	return found
}

// hours adds the hours that were summed up, and gives the time between them.
func (r *series) hours(ctx context.Context, tx bun.Conn) (gaps []span, err error) {
	at := r.q.Since
	err = query(ctx, tx, func(rows *sql.Rows) error {
		var within word
		var number int64
		of := sum{}
		if err := rows.Scan(&within, &number, &of.min, &of.max, &of.sum, &of.count); err != nil {
			return err
		}
		hour := hourAt(number)
		if within != "" {
			r.add(int64(hour.Sub(r.begins)/r.stride), of)
			return nil
		}
		if at.Before(hour) {
			gaps = append(gaps, span{at, hour})
		}
		at = hour.Add(time.Hour)
		return nil
	}, "SELECT h.within, h.hour, h.min, h.max, h.sum, h.count FROM observation_hours AS h WHERE h.organization_id = ? AND h.device_id = ? AND h.path = ? AND h.within IN ('', ?) AND h.hour >= ? AND h.hour <= ? ORDER BY h.hour",
		r.org, r.q.DeviceID, r.q.Path, string(appendStrings(nil, r.q.Within)), hourOf(r.q.Since.Add(time.Hour-1)), hourOf(r.q.Until.Add(-time.Hour)))
	if at.Before(r.q.Until) {
		gaps = append(gaps, span{at, r.q.Until})
	}
	return gaps, err
}

// raw adds what was observed in some time.
func (r *series) raw(ctx context.Context, tx bun.Conn, in []span) error {
	if len(in) == 0 {
		return nil
	}
	spans := make([]string, len(in))
	for i, one := range in {
		spans[i] = "(" + r.dialect.Cast(quoted(formatTime(one.since)), string(isTime)) + ", " + r.dialect.Cast(quoted(formatTime(one.until)), string(isTime)) + ")"
	}
	return query(ctx, tx, func(rows *sql.Rows) error {
		var stretch int64
		of := sum{}
		if err := rows.Scan(&stretch, &of.min, &of.max, &of.sum, &of.count); err != nil {
			return err
		}
		r.add(stretch, of)
		return nil
	}, "WITH g (since, until) AS (VALUES "+strings.Join(spans, ", ")+") SELECT v.stretch, MIN(v.number), MAX(v.number), SUM(v.number), COUNT(*) FROM (SELECT "+
		r.dialect.Stretch("o.observed_at", r.begins, r.stride)+" AS stretch, "+r.dialect.Number("o.value", r.q.Within)+
		` AS number FROM g CROSS JOIN device_observations AS o WHERE o.organization_id = ? AND o.device_id = ? AND o.observed_at >= g.since AND o.observed_at < g.until AND o.path = ?) AS v
		WHERE v.number IS NOT NULL GROUP BY v.stretch`, r.org, r.q.DeviceID, r.q.Path)
}
