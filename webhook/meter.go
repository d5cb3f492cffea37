package webhook

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Outcome is what became of a request or a delivery, to be counted.
type Outcome string

// The outcomes.
const (
	Received  Outcome = "received"  // a request, whatever became of it
	Stored    Outcome = "stored"    // it is durable, and was answered so
	Duplicate Outcome = "duplicate" // it was there already, and was answered so (S35)
	Refused   Outcome = "refused"   // see the Reason
	Processed Outcome = "processed" // its effect is committed
	Waited    Outcome = "waiting"   // about a device that is not linked
	Retried   Outcome = "retried"   // it failed, and will be tried again
	Died      Outcome = "dead"      // it failed for good
)

// Reason says why a delivery was refused. It is counted and shown, and tells a sender nothing.
type Reason string

// The reasons. Down to KeyLost they all look alike to the sender.
const (
	UnknownService  Reason = "unknown_service"
	InactiveService Reason = "inactive_service"
	NoScheme        Reason = "no_scheme" // the service accepts no deliveries
	Unsigned        Reason = "unsigned"  // nothing proves where it comes from
	WrongSignature  Reason = "wrong_signature"
	WrongTime       Reason = "wrong_time" // older or newer than five minutes: replayed, or a wrong clock
	KeyLost         Reason = "key_lost"   // the service's secrets cannot be opened
	TooLarge        Reason = "too_large"
	WrongMethod     Reason = "wrong_method"
	WrongType       Reason = "wrong_type" // a content type that is neither JSON nor CBOR
	BadRequest      Reason = "malformed"  // authentic, and cannot be read
	Overloaded      Reason = "overloaded" // too many wait for the database
	StoreAway       Reason = "store_away" // the database is away
)

// Stage is a stretch of a delivery's way that is timed.
type Stage string

// The stages.
const (
	ToStored    Stage = "stored"    // from its arrival until it is durable
	ToProcessed Stage = "processed" // from its arrival until its effect is visible
)

// Meter is told what happens, for metrics: from many goroutines and often, so it must not block.
type Meter interface {
	// Count adds n; service is "" where there is no such service.
	Count(service string, what Outcome, why Reason, n int)
	Took(stage Stage, d time.Duration)
}

// Tally is a Meter that keeps the numbers. The zero value is ready.
type Tally struct {
	mu     sync.RWMutex
	counts map[tallyKey]*atomic.Int64
	stages [2]histogram
}

type tallyKey struct {
	service string
	what    Outcome
	why     Reason
}

// Bounds are the upper ends of a Timing's buckets.
var Bounds = []time.Duration{time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, time.Minute, time.Hour}

type histogram struct {
	buckets [16]atomic.Int64 // one more than Bounds
	sum     atomic.Int64
}

// Count adds n.
func (t *Tally) Count(service string, what Outcome, why Reason, n int) {
	if n == 0 {
		return
	}
	key := tallyKey{service, what, why}
	t.mu.RLock()
	counter := t.counts[key]
	t.mu.RUnlock()
	if counter == nil {
		counter = t.add(key)
	}
	counter.Add(int64(n))
}

// add makes a counter, unless there is one by now.
func (t *Tally) add(key tallyKey) *atomic.Int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[tallyKey]*atomic.Int64{}
	}
	if t.counts[key] == nil {
		t.counts[key] = new(atomic.Int64)
	}
	return t.counts[key]
}

// Took adds one duration.
func (t *Tally) Took(stage Stage, d time.Duration) {
	h := &t.stages[0]
	if stage == ToProcessed {
		h = &t.stages[1]
	}
	i, _ := slices.BinarySearch(Bounds, d)
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Counted is one number of a Tally.
type Counted struct {
	Service string  `json:"service_id,omitempty"`
	What    Outcome `json:"outcome"`
	Why     Reason  `json:"reason,omitempty"`
	N       int64   `json:"n"`
}

// Counts gives the numbers, in a stable order.
func (t *Tally) Counts() []Counted {
	t.mu.RLock()
	counts := make([]Counted, 0, len(t.counts))
	for key, n := range t.counts {
		counts = append(counts, Counted{key.service, key.what, key.why, n.Load()})
	}
	t.mu.RUnlock()
	slices.SortFunc(counts, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.What, b.What), cmp.Compare(a.Why, b.Why))
	})
	return counts
}

// Total adds the numbers of one outcome over all services and reasons.
func (t *Tally) Total(what Outcome) int64 {
	total := int64(0)
	for _, c := range t.Counts() {
		if c.What == what {
			total += c.N
		}
	}
	return total
}

// Timing is a histogram: Buckets[i] counts what took at most Bounds[i], the last what took longer.
type Timing struct {
	Buckets []int64
	Count   int64
	Sum     time.Duration
}

// Timing gives a stage's histogram.
func (t *Tally) Timing(stage Stage) Timing {
	h := &t.stages[0]
	if stage == ToProcessed {
		h = &t.stages[1]
	}
	timing := Timing{Buckets: make([]int64, len(h.buckets)), Sum: time.Duration(h.sum.Load())}
	for i := range h.buckets {
		timing.Buckets[i] = h.buckets[i].Load()
		timing.Count += timing.Buckets[i]
	}
	return timing
}

// silent is the Meter of those who want none.
type silent struct{}

func (silent) Count(string, Outcome, Reason, int) {}
func (silent) Took(Stage, time.Duration)          {}
