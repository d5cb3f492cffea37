package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// noteRate is how long a process collects how many deliveries it stored and processed before it notes it.
const noteRate = time.Second

// ratesKept bounds what is collected while the database takes nothing.
const ratesKept = 10_000

// rateKey is what deliveries are counted by.
type rateKey struct {
	org, service string
	minute       int64 // since 1970
	status       tandem.DeliveryStatus
}

// rates collects counts: thousands of deliveries a second become some rows a second.
type rates struct {
	mu     sync.Mutex
	counts map[rateKey]int
	timer  *time.Timer // set while something is to be noted
	closed bool
	noting sync.WaitGroup
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// received counts deliveries that were stored.
func (s *Store) received(deliveries []tandem.Delivery, stored []int) {
	counts := map[rateKey]int{}
	for _, i := range stored {
		d := &deliveries[i]
		status := d.Status
		if status == "" {
			status = tandem.DeliveryStored
		}
		counts[rateKey{d.OrganizationID, d.ServiceID, minuteOf(d.ReceivedAt), status}]++
	}
	s.count(counts)
}

// cameTo counts what became of deliveries.
func (s *Store) cameTo(org string, outcomes []tandem.DeliveryOutcome) {
	if len(outcomes) == 0 {
		return
	}
	counts := map[rateKey]int{}
	for i := range outcomes {
		o := &outcomes[i]
		counts[rateKey{org, o.ServiceID, minuteOf(o.At), o.Status}]++
	}
	s.count(counts)
}

func (s *Store) count(counts map[rateKey]int) {
	r := &s.rates
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(counts) == 0 || r.closed {
		return
	}
	if r.counts == nil {
		r.counts = map[rateKey]int{}
	}
	for key, n := range counts {
		if _, there := r.counts[key]; there || len(r.counts) < ratesKept {
			r.counts[key] += n
		}
	}
	if r.timer == nil {
		r.noting.Add(1)
		r.timer = time.AfterFunc(noteRate, func() {
			defer r.noting.Done()
			s.noteRates()
		})
	}
}

// noteRates writes what was collected. What cannot be written is kept for the next time.
func (s *Store) noteRates() {
	r := &s.rates
	r.mu.Lock()
	counts := r.counts
	r.counts, r.timer = nil, nil
	r.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), finishing)
	defer cancel()
	if s.addRates(ctx, counts) != nil {
		s.count(counts)
	}
}

// addRates adds to what is noted, of the organizations that there still are.
func (s *Store) addRates(ctx context.Context, counts map[rateKey]int) error {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b rateKey) int { // one order, so that processes do not wait for each other in a circle
		return cmp.Or(cmp.Compare(a.org, b.org), cmp.Compare(a.minute, b.minute), cmp.Compare(a.service, b.service), cmp.Compare(a.status, b.status))
	})
	orgs := make([]string, len(keys))
	for i := range keys {
		orgs[i] = keys[i].org
	}
	return s.write(ctx, "count deliveries", everyOrganization, func(tx bun.Conn) error {
		there := map[string]bool{}
		if err := s.inChunks("id", slices.Compact(slices.Clone(orgs)), chunk, func(list bun.Safe) error {
			return query(ctx, tx, func(rows *sql.Rows) error {
				var id word
				err := rows.Scan(&id)
				there[string(id)] = true
				return err
			}, "SELECT id FROM organizations WHERE ? ORDER BY id"+s.dialect.Share(), list)
		}); err != nil {
			return err
		}
		rows := slices.DeleteFunc(slices.Clone(keys), func(k rateKey) bool { return !there[k.org] })
		return s.insert(ctx, tx, "delivery_counts", "organization_id, minute, service_id, status, count",
			" ON CONFLICT (organization_id, minute, service_id, status) DO UPDATE SET count = delivery_counts.count + excluded.count", len(rows), func(b *bulk, i int) {
				b.text(rows[i].org)
				b.int(rows[i].minute)
				b.text(rows[i].service)
				b.text(string(rows[i].status))
				b.int(int64(counts[rows[i]]))
			})
	})
}

// close notes what is left.
func (s *Store) closeRates() {
	r := &s.rates
	r.mu.Lock()
	r.closed = true
	if r.timer != nil && r.timer.Stop() {
		r.noting.Done()
	}
	r.mu.Unlock()
	r.noting.Wait()
	s.noteRates()
}

// DeliveryRate gives how many deliveries came to each status, in steps of whole minutes, from the step that holds since
// to the one before until.
func (s *Store) DeliveryRate(ctx context.Context, org, service string, since, until time.Time, step time.Duration) ([]tandem.DeliveryBucket, error) {
	const op = "count deliveries over time"
	step = max(step.Truncate(time.Minute), time.Minute)
	start := since.UTC().Truncate(step)
	n := int((until.Sub(start) + step - 1) / step)
	if !until.After(since) || n > tandem.MaxDeliveryBuckets {
		return nil, s.fail(op, tandem.Errorf(tandem.Invalid, "", "", "from since to until there are %d steps, and 1 to %d can be asked for", max(n, 0), tandem.MaxDeliveryBuckets).
			WithHint("take longer steps, or a shorter time"))
	}
	buckets := make([]tandem.DeliveryBucket, n)
	for i := range buckets {
		buckets[i] = tandem.DeliveryBucket{At: start.Add(time.Duration(i) * step), Counts: map[tandem.DeliveryStatus]int{}}
	}
	first, minutes := minuteOf(start), int64(step/time.Minute)
	f := &filter{}
	f.add("c.organization_id = ? AND c.minute >= ? AND c.minute < ?", org, first, first+int64(n)*minutes)
	f.equal("c.service_id", service)
	if f.err != nil {
		return nil, s.fail(op, f.err)
	}
	err := s.read(ctx, op, org, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var at, count int64
			var status tandem.DeliveryStatus
			if err := rows.Scan(&at, &status, &count); err != nil {
				return err
			}
			buckets[at].Counts[status] += int(count)
			return nil
		}, "SELECT (c.minute - ?) / ? AS step, c.status, SUM(c.count) FROM delivery_counts AS c"+f.where()+" GROUP BY 1, 2", append([]any{first, minutes}, f.args...)...)
	})
	return buckets, err
}
