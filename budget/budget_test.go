package budget_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem"
	"tandem/budget"
	"tandem/store"
)

// ledger is a BudgetStore in memory that also notes how it was used.
type ledger struct {
	mu      sync.Mutex
	arrival time.Time // as in service_budgets
	slots   map[string]lease
	queries int
	err     error
}

type lease struct {
	n     int
	until time.Time
}

func (l *ledger) TakeRequests(_ context.Context, _, _ string, want, perMinute int) (int, time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queries++
	if l.err != nil {
		return 0, 0, l.err
	}
	now := time.Now()
	pace, ahead := store.Pace(perMinute)
	if l.arrival.Before(now) {
		l.arrival = now
	}
	room := now.Add(ahead).Sub(l.arrival)
	granted := min(want, int(room/pace))
	l.arrival = l.arrival.Add(time.Duration(granted) * pace)
	if granted == 0 {
		return 0, pace - room, nil
	}
	return granted, 0, nil
}

func (l *ledger) TakeSlots(_ context.Context, _, _, holder string, want, limit int, ttl time.Duration) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queries++
	if l.err != nil {
		return 0, l.err
	}
	if l.slots == nil {
		l.slots = map[string]lease{}
	}
	others := 0
	for name, held := range l.slots {
		if name != holder && held.until.After(time.Now()) {
			others += held.n
		}
	}
	granted := max(min(want, limit-others), 0)
	l.slots[holder] = lease{granted, time.Now().Add(ttl)}
	return granted, nil
}

func (l *ledger) heldBy(holder string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slots[holder].n
}

// traffic watches requests of all handles together.
type traffic struct {
	mu      sync.Mutex
	flying  int
	most    int
	started []time.Time
}

func (tr *traffic) request(t *testing.T, ctx context.Context, b *budget.Budget, length time.Duration) {
	release, err := b.Acquire(ctx)
	if err != nil {
		t.Errorf("acquire: %v", err)
		return
	}
	tr.mu.Lock()
	tr.flying++
	tr.most = max(tr.most, tr.flying)
	tr.started = append(tr.started, time.Now())
	tr.mu.Unlock()
	<-time.After(length)
	tr.mu.Lock()
	tr.flying--
	tr.mu.Unlock()
	release()
	release() // once is enough, twice is harmless
}

// mostWithin gives the most requests that started in any window of that length.
func (tr *traffic) mostWithin(window time.Duration) int {
	most, first := 0, 0
	for last := range tr.started {
		for tr.started[last].Sub(tr.started[first]) >= window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func open(db tandem.BudgetStore, name string, perMinute, concurrency int) *budget.Budget {
	return budget.New(budget.Options{Store: db, OrganizationID: "o", ServiceID: "s", Holder: name,
		RequestsPerMinute: perMinute, Concurrency: concurrency})
}

// TestS32TogetherWithinTheLimits runs several holders at once and counts what they do together.
func TestS32TogetherWithinTheLimits(t *testing.T) {
	for _, c := range []struct {
		holders, workers, requests, perMinute, concurrency int
	}{
		{1, 40, 100, 30_000, 32},
		{2, 40, 50, 30_000, 32},
		{4, 10, 40, 6_000, 8},
		{3, 5, 20, 600, 3},
		{3, 4, 10, 600, 1},
		{2, 20, 20, 0, 4},
		{2, 20, 20, 6_000, 0},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db, tr := &ledger{}, &traffic{}
				var workers sync.WaitGroup
				for h := range c.holders {
					b := open(db, fmt.Sprint(h), c.perMinute, c.concurrency)
					t.Cleanup(b.Close)
					for range c.workers {
						workers.Go(func() {
							for range c.requests {
								tr.request(t, t.Context(), b, 50*time.Millisecond)
							}
						})
					}
				}
				workers.Wait()
				if want := c.holders * c.workers * c.requests; len(tr.started) != want {
					t.Errorf("%d requests were made, want %d", len(tr.started), want)
				}
				if c.concurrency > 0 && tr.most > c.concurrency {
					t.Errorf("%d requests were in flight together, the limit is %d", tr.most, c.concurrency)
				}
				if most := tr.mostWithin(time.Minute); c.perMinute > 0 && most > c.perMinute {
					t.Errorf("%d requests started within a minute, the limit is %d", most, c.perMinute)
				}
			})
		})
	}
}

// TestS32UncontendedIsCheap: the budget must not slow an export of 640 requests a second.
func TestS32UncontendedIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, tr := &ledger{}, &traffic{}
		b := open(db, "one", 60_000, 32)
		defer b.Close()
		began := time.Now()
		var workers sync.WaitGroup
		for range 32 {
			workers.Go(func() {
				for range 200 {
					tr.request(t, t.Context(), b, 50*time.Millisecond)
				}
			})
		}
		workers.Wait()
		bare := 200 * 50 * time.Millisecond
		if took := time.Since(began); took > bare*103/100 {
			t.Errorf("6,400 requests took %v, without a budget they take %v", took, bare)
		}
		if db.queries > 100 {
			t.Errorf("10 seconds of work made %d queries", db.queries)
		}
	})
}

// TestS32AnotherProcessGetsIn: a holder that is always full does not keep others out.
func TestS32AnotherProcessGetsIn(t *testing.T) {
	for _, concurrency := range []int{1, 4, 32} {
		synctest.Test(t, func(t *testing.T) {
			db, tr := &ledger{}, &traffic{}
			busy, quick := open(db, "busy", 0, concurrency), open(db, "quick", 0, concurrency)
			defer busy.Close()
			defer quick.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var workers sync.WaitGroup
			for range 2 * concurrency {
				workers.Go(func() {
					for ctx.Err() == nil {
						tr.request(t, t.Context(), busy, 50*time.Millisecond)
					}
				})
			}
			<-time.After(5 * time.Second)
			asked := time.Now()
			tr.request(t, t.Context(), quick, 0)
			if waited := time.Since(asked); waited > 3*time.Second {
				t.Errorf("concurrency %d: the other process waited %v", concurrency, waited)
			}
			cancel()
			workers.Wait()
		})
	}
}

// TestS32SlotsComeBack: idling, closing and dying give the slots back.
func TestS32SlotsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, tr := &ledger{}, &traffic{}
		a, b := open(db, "a", 600, 2), open(db, "b", 600, 2)
		defer b.Close()
		release, err := a.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		release()
		<-time.After(time.Second)
		if n := db.heldBy("a"); n != 0 {
			t.Errorf("an idle holder keeps %d slots", n)
		}
		tr.request(t, t.Context(), a, 0)
		a.Close()
		if n := db.heldBy("a"); n != 0 {
			t.Errorf("a closed holder keeps %d slots", n)
		}
		if _, err := a.Acquire(t.Context()); !tandem.Is(err, tandem.Unavailable) {
			t.Errorf("a closed budget gave %v", err)
		}
		db.mu.Lock()
		db.slots["dead"] = lease{2, time.Now().Add(10 * time.Second)}
		db.mu.Unlock()
		asked := time.Now()
		tr.request(t, t.Context(), b, 0)
		if waited := time.Since(asked); waited < 9*time.Second || waited > 11*time.Second {
			t.Errorf("a dead holder's slots came after %v, want about 10s", waited)
		}
	})
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &ledger{slots: map[string]lease{"other": {1, time.Now().Add(time.Hour)}}}
		b := open(db, "b", 600, 1)
		defer b.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := b.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a dead context gave %v", err)
		}
	})
}

func TestAcquireGivesTheStoresError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := tandem.Errorf(tandem.DiskFull, "take slots", "", "no room")
		db := &ledger{err: full}
		b := open(db, "b", 600, 1)
		defer b.Close()
		if _, err := b.Acquire(t.Context()); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		db.mu.Lock()
		db.err = nil
		db.mu.Unlock()
		release, err := b.Acquire(t.Context())
		if err != nil {
			t.Fatalf("after the store recovered: %v", err)
		}
		release()
	})
}
