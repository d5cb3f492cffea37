package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// How hours are summed up.
const (
	hoursChore   = "hours"
	hoursLag     = 5 * time.Minute // after which what belongs to an hour is there, as a rule; what comes later has it summed up again
	leastInHour  = 30              // observations of a path, or the sums would hardly be fewer
	mostInHour   = 64              // different numbers in the payloads of a path
	mostHours    = 100_000         // at once; what is left out is read row by row
	hoursAtOnce  = 50
	rollUpStride = time.Hour
)

// busyHour is an hour of one path of a device's history.
type busyHour struct {
	org, device, path string
	begins            time.Time
}

// hourOf gives the number of an hour, since 1970; hourAt its beginning.
func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

func hourAt(n int64) time.Time { return time.Unix(n*3600, 0).UTC() }

// RollUp sums up the hours in which devices reported often, of what was written in one more hour.
func (s *Store) RollUp(ctx context.Context, now time.Time) (hours int, more bool, err error) {
	const op = "sum up hours"
	end := now.Add(-hoursLag).UTC().Truncate(rollUpStride)
	from, err := s.rolledUntil(ctx, end)
	if err != nil || !from.Before(end) {
		return 0, false, s.fail(op, err)
	}
	to := from.Add(rollUpStride)
	busy, err := s.busyHours(ctx, from, to)
	if err != nil {
		return 0, false, err
	}
	for some := range slices.Chunk(busy, hoursAtOnce) {
		n, err := s.sumUp(ctx, some)
		if err != nil {
			return hours, false, err
		}
		hours += n
	}
	err = s.write(ctx, op, everyOrganization, func(tx bun.Conn) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO chores (name, until) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE excluded.until > chores.until", hoursChore, at(to))
		return err
	})
	return hours, to.Before(end), err
}

// rolledUntil gives up to when what was written is summed up; end where there is nothing.
func (s *Store) rolledUntil(ctx context.Context, end time.Time) (time.Time, error) {
	var until stamp
	err := s.read(ctx, "sum up hours", everyOrganization, func(tx bun.Conn) error {
		if err := tx.QueryRowContext(ctx, "SELECT MAX(until) FROM chores WHERE name = ?", hoursChore).Scan(&until); err != nil || !until.IsZero() {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT MIN(created_at) FROM device_observations").Scan(&until)
	})
	if until.IsZero() {
		return end, err
	}
	return until.UTC().Truncate(rollUpStride), err
}

// busyHours gives the hours that are over of which enough was written, and those of which anything was that are summed up already.
func (s *Store) busyHours(ctx context.Context, from, to time.Time) (found []busyHour, err error) {
	err = s.read(ctx, "look for busy hours", everyOrganization, func(tx bun.Conn) error {
		found = nil
		return query(ctx, tx, func(rows *sql.Rows) error {
			var org, device, path word
			var hour, n int64
			err := rows.Scan(&org, &device, &path, &hour, &n)
			found = append(found, busyHour{string(org), string(device), string(path), hourAt(hour)})
			return err
		}, "SELECT b.organization_id, b.device_id, b.path, b.hour, b.n FROM (SELECT o.organization_id, o.device_id, o.path, "+s.dialect.Stretch("o.observed_at", time.Unix(0, 0), time.Hour)+` AS hour,
			COUNT(*) AS n FROM device_observations AS o WHERE o.created_at >= ? AND o.created_at < ? AND o.observed_at < ? GROUP BY 1, 2, 3, 4) AS b
			WHERE b.n >= ? OR EXISTS (SELECT 1 FROM observation_hours AS h WHERE h.organization_id = b.organization_id AND h.device_id = b.device_id AND h.path = b.path
				AND h.within = '' AND h.hour = b.hour) ORDER BY b.n DESC LIMIT ?`, at(from), at(to.Add(hoursLag)), at(to), leastInHour, mostHours)
	})
	return found, err
}

// rolled is an hour, summed up.
type rolled struct {
	busyHour
	observations int
	numbers      map[string]*sum // by the way to them
}

// sumUp sums some hours up and writes those that are worth it. An hour's sums are replaced only by those of as many
// observations: retention may have begun with it.
func (s *Store) sumUp(ctx context.Context, hours []busyHour) (n int, err error) {
	var sums []rolled
	var plain []busyHour
	err = s.readKeyed(ctx, "sum up hours", everyOrganization, func(tx bun.Conn) error {
		sums, plain = nil, nil
		for _, hour := range hours {
			one, err := hour.read(ctx, tx)
			switch {
			case err != nil:
				return err
			case one.observations < leastInHour:
			case len(one.numbers) > mostInHour:
				plain = append(plain, hour)
			default:
				sums = append(sums, one)
			}
		}
		return nil
	})
	if err != nil || len(sums)+len(plain) == 0 {
		return 0, err
	}
	type row struct {
		*rolled
		within string
		sum    sum
	}
	var rows []row
	for i := range sums {
		rows = append(rows, row{rolled: &sums[i]}) // says that the hour is summed up
		for within, of := range sums[i].numbers {
			rows = append(rows, row{&sums[i], within, *of})
		}
	}
	return len(sums), s.write(ctx, "sum up hours", everyOrganization, func(tx bun.Conn) error {
		if err := s.insert(ctx, tx, "observation_hours", "organization_id, device_id, path, within, hour, observations, count, min, max, sum",
			" ON CONFLICT (organization_id, device_id, path, within, hour) DO UPDATE SET "+assign("observations", "count", "min", "max", "sum")+
				" WHERE excluded.observations >= observation_hours.observations", len(rows), func(b *bulk, i int) {
				r := &rows[i]
				b.text(r.org)
				b.text(r.device)
				b.text(r.path)
				b.text(r.within)
				b.int(hourOf(r.begins))
				b.int(int64(r.observations))
				b.int(int64(r.sum.count))
				b.real(&r.sum.min)
				b.real(&r.sum.max)
				b.real(&r.sum.sum)
			}); err != nil {
			return err
		}
		_, err := s.bulkly(ctx, tx, "DELETE FROM observation_hours WHERE (organization_id, device_id, path, within, hour) IN (", ")", len(plain), func(b *bulk, i int) {
			h := &plain[i]
			b.text(h.org)
			b.text(h.device)
			b.text(h.path)
			b.text("")
			b.int(hourOf(h.begins))
		})
		return err
	})
}

// read sums an hour up.
func (h busyHour) read(ctx context.Context, tx bun.Conn) (rolled, error) {
	r := rolled{busyHour: h, numbers: map[string]*sum{}}
	err := query(ctx, tx, func(rows *sql.Rows) error {
		var value word
		err := rows.Scan(&value)
		r.observations++
		r.take([]byte(value))
		return err
	}, "SELECT o.value FROM device_observations AS o WHERE o.organization_id = ? AND o.device_id = ? AND o.observed_at >= ? AND o.observed_at < ? AND o.path = ?",
		h.org, h.device, at(h.begins), at(h.begins.Add(time.Hour)), h.path)
	return r, err
}

// take adds the numbers of one value.
func (r *rolled) take(text []byte) {
	if n, err := strconv.ParseFloat(string(text), 64); err == nil && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') {
		r.number(nil, n)
		return
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if d.Decode(&value) == nil {
		r.walk(nil, value)
	}
}

// walk adds the numbers in a value that stands at a place of the payload.
func (r *rolled) walk(within []string, value any) {
	if len(r.numbers) > mostInHour {
		return
	}
	within = within[:len(within):len(within)]
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Float64(); err == nil {
			r.number(within, n)
		}
	case []any:
		for i := range v {
			r.walk(append(within, strconv.Itoa(i)), v[i])
		}
	case map[string]any:
		for name, member := range v {
			r.walk(append(within, name), member)
		}
	}
}

func (r *rolled) number(within []string, n float64) {
	key := string(appendStrings(nil, within))
	one := r.numbers[key]
	if one == nil {
		one = &sum{}
		r.numbers[key] = one
	}
	one.add(sum{n, n, n, 1})
}

var _ tandem.RetentionStore = (*Store)(nil)
