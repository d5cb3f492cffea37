// Package budget keeps the calls to one service within its requests a minute and its concurrency,
// over all processes together (S32). It is tandem.Budget over tandem.BudgetStore: the limits are
// kept in the database, and this package asks for them in blocks, so that a request costs no query.
//
// Requests are fetched ahead, as many as were lately used and at most a quarter of a second's worth, and die unused
// after tandem.GrantLife, so that no process hoards them and no minute sees more than its share. Concurrency is leased: a holder takes as many slots as it has work for,
// renews them every second and gives them back when idle. A holder that has every slot lets one
// go for a moment with each renewal, so that another process gets its first one within about a second.
package budget

import (
	"context"
	"sync"
	"time"

	"tandem"
)

// The rhythm, chosen so that a busy holder makes about five short queries a second.
const (
	slotLife  = 10 * time.Second       // a dead holder's slots come back after this
	slotGuard = time.Second            // no new request this close to the end of the lease
	beatEvery = time.Second            // how often slots are renewed
	ebbFor    = 60 * time.Millisecond  // how long a full holder lets one slot go
	ebbWithin = 500 * time.Millisecond // how long it waits for one of its requests to end for that
	askEvery  = 25 * time.Millisecond  // how often a holder that wants more slots asks
	idleAfter = 250 * time.Millisecond // slots are given back after this long without work
	maxBlock  = 1000                   // requests fetched at once
	callLimit = 5 * time.Second        // for one query
)

// Options say whose budget it is. A limit of 0 or less is none.
type Options struct {
	Store             tandem.BudgetStore
	OrganizationID    string
	ServiceID         string
	Holder            string // names this Budget; unique over all that are alive
	RequestsPerMinute int
	Concurrency       int // requests in flight
}

// Budget is one process's share of a service's budget. It is safe for concurrent use.
// Close gives back what it holds; without it that happens by itself after idling.
type Budget struct {
	options Options
	block   int // most requests fetched at once

	mu      sync.Mutex
	waiting []*waiter // in order of arrival
	flying  int       // requests under way
	keeping bool      // the keeper goroutine runs
	closed  bool
	wake    chan struct{}
	kept    sync.WaitGroup

	grants      []grant // requests that may start, the oldest first
	ask         int     // how many to fetch next
	unused      int     // how many died since the last fetch
	askTokensAt time.Time

	held       int // slots leased
	heldUntil  time.Time
	askSlotsAt time.Time
	beatAt     time.Time
	peak       int // most slots wanted since the last renewal
	idleSince  time.Time
	ebb        ebb
	ebbBy      time.Time
}

// grant are requests that may start until an instant.
type grant struct {
	n     int
	until time.Time
}

// waiter is one Acquire that has to wait. ready gets exactly one value.
type waiter struct{ ready chan error }

// ebb is where a full holder stands in letting one slot go.
type ebb uint8

const (
	flood  ebb = iota
	ebbing     // waits for one of its requests to end
	ebbed      // has given one back
)

// New makes a budget. It holds nothing until the first Acquire.
func New(options Options) *Budget {
	return &Budget{options: options, ask: 1, block: min(max(options.RequestsPerMinute/240, 1), maxBlock), wake: make(chan struct{}, 1)}
}

// Acquire waits for one request's worth, in order of arrival. release gives the concurrency back and
// may be called more than once. The error is the context's or the store's.
func (b *Budget) Acquire(ctx context.Context) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, errClosed(b.options.ServiceID)
	}
	now := time.Now()
	if len(b.waiting) == 0 && b.allowed(now) {
		b.start()
		if b.low(now) {
			b.nudge()
		}
		b.mu.Unlock()
		return b.releaser(), nil
	}
	w := &waiter{ready: make(chan error, 1)}
	b.waiting = append(b.waiting, w)
	b.nudge()
	b.mu.Unlock()

	select {
	case err := <-w.ready:
		if err != nil {
			return nil, err
		}
		return b.releaser(), nil
	case <-ctx.Done():
		b.leave(w)
		return nil, ctx.Err()
	}
}

// Close gives back what is held and fails those who wait. Requests under way may still be released.
func (b *Budget) Close() {
	b.mu.Lock()
	b.closed = true
	b.fail(errClosed(b.options.ServiceID))
	if b.keeping {
		b.nudge()
	}
	b.mu.Unlock()
	b.kept.Wait()
}

// allowed reports whether one more request may start.
func (b *Budget) allowed(now time.Time) bool {
	if b.options.RequestsPerMinute > 0 && b.tokens(now) == 0 {
		return false
	}
	return b.options.Concurrency <= 0 || (b.flying < min(b.held, b.ceiling()) && now.Before(b.heldUntil))
}

// tokens counts the requests that may start, and forgets those that died.
func (b *Budget) tokens(now time.Time) (n int) {
	for len(b.grants) > 0 && (b.grants[0].n == 0 || !now.Before(b.grants[0].until)) {
		b.unused += b.grants[0].n
		b.grants = b.grants[1:]
	}
	for _, g := range b.grants {
		n += g.n
	}
	return n
}

// low reports whether it is time to fetch the next block.
func (b *Budget) low(now time.Time) bool {
	return b.options.RequestsPerMinute > 0 && b.tokens(now) <= b.ask/2
}

// ceiling is the most slots that this holder may use now.
func (b *Budget) ceiling() int {
	if b.ebb != flood {
		return b.options.Concurrency - 1
	}
	return b.options.Concurrency
}

func (b *Budget) start() {
	b.flying++
	b.peak = max(b.peak, b.flying)
	if b.options.RequestsPerMinute > 0 {
		b.grants[0].n--
	}
}

// releaser gives the function that ends one request, once.
func (b *Budget) releaser() func() {
	var once sync.Once
	return func() { once.Do(b.release) }
}

func (b *Budget) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying--
	now := time.Now()
	b.hand(now)
	if b.flying == 0 {
		b.idleSince = now
		b.nudge()
	} else if b.ebb == ebbing {
		b.nudge()
	}
}

// leave takes w out of the line; what it was granted meanwhile is given back.
func (b *Budget) leave(w *waiter) {
	b.mu.Lock()
	for i, other := range b.waiting {
		if other == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.mu.Unlock()
			return
		}
	}
	b.mu.Unlock()
	if err := <-w.ready; err == nil {
		b.release()
	}
}

// hand lets those who wait start, as far as the budget goes.
func (b *Budget) hand(now time.Time) {
	for len(b.waiting) > 0 && b.allowed(now) {
		b.start()
		b.waiting[0].ready <- nil
		b.waiting = b.waiting[1:]
	}
}

func (b *Budget) fail(err error) {
	for _, w := range b.waiting {
		w.ready <- err
	}
	b.waiting = nil
}

// nudge makes the keeper look again, and starts it when it does not run.
func (b *Budget) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
	if !b.keeping && !b.closed {
		b.keeping = true
		b.kept.Go(b.keep)
	}
}

func errClosed(service string) error {
	return tandem.Errorf(tandem.Unavailable, "acquire budget", service, "the service's budget is closed")
}
