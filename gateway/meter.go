package gateway

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
)

// Outcome is what became of a report, or of somebody who wanted to be let in.
type Outcome string

// The outcomes.
const (
	Stored      Outcome = "stored"      // it is durable
	Duplicate   Outcome = "duplicate"   // a redelivery of what was stored
	Malformed   Outcome = "malformed"   // it can never be stored
	TooMany     Outcome = "too_many"    // the device was told to slow down
	Overloaded  Outcome = "overloaded"  // the database is away, or too many wait for it
	Unauthentic Outcome = "unauthentic" // a wrong, revoked or expired credential
	Throttled   Outcome = "throttled"   // too many wrong credentials before
	Delivered   Outcome = "delivered"   // a command was handed to its device
	Answered    Outcome = "answered"    // a device answered a command
)

// refusal is the outcome that an error stands for.
func refusal(err error) Outcome {
	switch {
	case err == nil:
		return Stored
	case tandem.Is(err, tandem.Unauthorized, tandem.NotFound):
		return Unauthentic
	case tandem.Is(err, tandem.RateLimited):
		return TooMany
	case tandem.Is(err, tandem.Invalid, tandem.Malformed):
		return Malformed
	}
	return Overloaded
}

// Meter is told what happens, for metrics: from many goroutines and often, so it must not block.
type Meter interface {
	// Count adds n; via is "" where nobody was let in yet.
	Count(via tandem.Via, what Outcome, n int)
	// Took is told how long a message waited until it was durable.
	Took(via tandem.Via, d time.Duration)
}

// Tally is a Meter that keeps the numbers. The zero value is ready.
type Tally struct {
	mu     sync.RWMutex
	counts map[tallyKey]*atomic.Int64
	took   sync.Map // tandem.Via to *timing
}

type tallyKey struct {
	via  tandem.Via
	what Outcome
}

type timing struct{ n, nanos atomic.Int64 }

// Count adds n.
func (t *Tally) Count(via tandem.Via, what Outcome, n int) {
	key := tallyKey{via, what}
	t.mu.RLock()
	counter := t.counts[key]
	t.mu.RUnlock()
	if counter == nil {
		t.mu.Lock()
		if t.counts == nil {
			t.counts = map[tallyKey]*atomic.Int64{}
		}
		if counter = t.counts[key]; counter == nil {
			counter = new(atomic.Int64)
			t.counts[key] = counter
		}
		t.mu.Unlock()
	}
	counter.Add(int64(n))
}

// Took adds one duration.
func (t *Tally) Took(via tandem.Via, d time.Duration) {
	kept, ok := t.took.Load(via)
	if !ok {
		kept, _ = t.took.LoadOrStore(via, new(timing))
	}
	one, ok := kept.(*timing)
	if ok {
		one.n.Add(1)
		one.nanos.Add(int64(d))
	}
}

// Counted is one number of a Tally.
type Counted struct {
	Via  tandem.Via `json:"via,omitempty"`
	What Outcome    `json:"outcome"`
	N    int64      `json:"n"`
}

// Counts gives the numbers, in a stable order.
func (t *Tally) Counts() []Counted {
	t.mu.RLock()
	defer t.mu.RUnlock()
	keys := slices.SortedFunc(maps.Keys(t.counts), func(a, b tallyKey) int {
		switch {
		case a == b:
			return 0
		case a.via < b.via || a.via == b.via && a.what < b.what:
			return -1
		}
		return 1
	})
	list := make([]Counted, len(keys))
	for i, key := range keys {
		list[i] = Counted{key.via, key.what, t.counts[key].Load()}
	}
	return list
}

// Timing gives how many messages by a way became durable and how long that took together.
func (t *Tally) Timing(via tandem.Via) (n int64, sum time.Duration) {
	kept, ok := t.took.Load(via)
	if !ok {
		return 0, 0
	}
	one, ok := kept.(*timing)
	if !ok {
		return 0, 0
	}
	return one.n.Load(), time.Duration(one.nanos.Load())
}

// silent is the Meter of those who want none.
type silent struct{}

func (silent) Count(tandem.Via, Outcome, int) {}
func (silent) Took(tandem.Via, time.Duration) {}
