package registry

import (
	"container/list"
	"sync"
	"time"

	"tandem"
)

// Throttle slows down guessing: after some failures an address waits twice as long each time. It keeps a bounded
// number of addresses, in this process: each account's own count, in the database, is what holds over all of them.
type Throttle struct {
	mu    sync.Mutex
	most  int
	rows  map[string]*list.Element
	order *list.List // of *tries, the one that failed last in front
}

// attempts are an address's failures.
type attempts struct {
	address string
	count   int
	last    time.Time
	until   time.Time
}

// The bounds of waiting.
const (
	freeAddress = 20 // failures that cost nothing: people share addresses
	freeAccount = 5
	freeResets  = 3
	firstWait   = time.Second
	longestWait = 15 * time.Minute
	forgotten   = time.Hour
)

// NewThrottle keeps at most so many addresses, forgetting those that failed the longest ago.
func NewThrottle(most int) *Throttle {
	return &Throttle{most: most, rows: map[string]*list.Element{}, order: list.New()}
}

// waiting is how long to wait after so many failures, of which some are free.
func waiting(failures, free int) time.Duration {
	if failures < free {
		return 0
	}
	if more := failures - free; more < 20 {
		return min(firstWait<<more, longestWait)
	}
	return longestWait
}

// allow refuses an address that has to wait.
func (t *Throttle) allow(address string, now time.Time) error {
	if t == nil || address == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.rows[address]
	if !ok {
		return nil
	}
	if wait := e.Value.(*attempts).until.Sub(now); wait > 0 {
		return &tandem.Error{Code: tandem.RateLimited, Op: "sign in", Message: "there were too many wrong tries from this address",
			Hint: "wait and try again", RetryAfter: wait}
	}
	return nil
}

// fail counts a failure of an address.
func (t *Throttle) fail(address string, now time.Time) { t.failAfter(freeAddress, address, now) }

// failAfter counts something of which so many are free.
func (t *Throttle) failAfter(free int, address string, now time.Time) {
	if t == nil || address == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.rows[address]
	if !ok {
		e = t.order.PushFront(&attempts{address: address})
		t.rows[address] = e
	}
	t.order.MoveToFront(e)
	a := e.Value.(*attempts)
	if now.Sub(a.last) > forgotten {
		a.count = 0
	}
	a.count, a.last = a.count+1, now
	a.until = now.Add(waiting(a.count, free))
	for t.order.Len() > t.most {
		oldest := t.order.Back()
		delete(t.rows, t.order.Remove(oldest).(*attempts).address)
	}
}
