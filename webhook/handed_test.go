package webhook_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/store/sqlite/sqlitetest"
	"tandem/webhook"
)

// claims counts what is claimed from the database, and can keep effects waiting.
type claims struct {
	webhook.Store
	claimed atomic.Int64
	gate    atomic.Pointer[chan struct{}]
	waiting atomic.Int64
}

func (c *claims) ClaimDeliveries(ctx context.Context, holder string, limit int, ttl time.Duration) ([]tandem.Delivery, error) {
	list, err := c.Store.ClaimDeliveries(ctx, holder, limit, ttl)
	c.claimed.Add(int64(len(list)))
	return list, err
}

func (c *claims) Apply(ctx context.Context, org string, changes *tandem.Changes) error {
	if gate := c.gate.Load(); gate != nil && len(changes.Deliveries) > 0 {
		c.waiting.Add(1)
		<-*gate
	}
	return c.Store.Apply(ctx, org, changes)
}

// running runs the world's processor; stop ends it and waits.
func (w *world) running(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { _ = w.processor.Run(ctx) })
	return func() { cancel(); ended.Wait() }
}

// TestWhatIsStoredHereIsDoneHere: a process does not ask the database for what it has in its hands, and the state is the same.
func TestWhatIsStoredHereIsDoneHere(t *testing.T) {
	both(t, func(w *world) {
		id := w.linked(1)
		w.process()
		stop := w.running(w.TB.(*testing.T))
		defer stop()
		for n := range 40 {
			w.accept(signed(event(strconv.Itoa(n), "device.data", 1, w.now().Add(time.Duration(n)*time.Second), map[string]any{"battery": n})))
		}
		until(w.TB.(*testing.T), "all are done", func() bool { return w.statuses() == "processed=40" })
		w.equal(w.device(id).BatteryLevel, 39)
		d := w.deliveries(tandem.DeliveryProcessed)
		w.equal([]any{len(d), d[0].Attempts, d[0].ProcessedAt != nil}, []any{40, 1, true})
	})
}

func counted(c *claims) option {
	return wrap(func(s webhook.Store) webhook.Store { c.Store = s; return c })
}

// TestNothingIsClaimedThatIsInHand: of a stream of deliveries none takes the way through a claim.
func TestNothingIsClaimedThatIsInHand(t *testing.T) {
	t.Parallel()
	c := &claims{}
	w := newWorld(t, sqlitetest.Open(t), counted(c))
	w.linked(1)
	stop := w.running(t)
	defer stop()
	// The processor takes what is in hand from its first look on.
	w.accept(signed(event("first", "device.data", 1, w.now(), nil)))
	until(t, "the first is done", func() bool { return w.statuses() == "processed=1" })
	before := c.claimed.Load()
	for n := range 60 {
		w.accept(signed(event(strconv.Itoa(n), "device.data", 1, w.now(), nil)))
	}
	until(t, "all are done", func() bool { return w.statuses() == "processed=61" })
	w.equal(c.claimed.Load(), before)
}

// TestAnEndingProcessorDoesWhatIsInItsHands: nothing waits for a claim to run out when a server is stopped in order.
func TestAnEndingProcessorDoesWhatIsInItsHands(t *testing.T) {
	t.Parallel()
	c := &claims{}
	w := newWorld(t, sqlitetest.Open(t), counted(c))
	w.linked(1)
	stop := w.running(t)
	w.accept(signed(event("first", "device.data", 1, w.now(), nil)))
	until(t, "the first is done", func() bool { return w.statuses() == "processed=1" })
	gate := make(chan struct{})
	c.gate.Store(&gate)
	w.accept(signed(event("second", "device.data", 1, w.now(), nil)))
	until(t, "the second is under way", func() bool { return c.waiting.Load() == 1 })
	for n := range 5 {
		w.accept(signed(event(strconv.Itoa(n), "device.data", 1, w.now(), nil)))
	}
	var ended sync.WaitGroup
	ended.Go(stop)
	close(gate)
	ended.Wait()
	w.equal([]string{w.statuses(), w.log.String()}, []string{"processed=7", ""})
	w.accept(signed(event("late", "device.data", 1, w.now(), nil))) // nobody has it in hand any more: the next process has it at once
	n, err := w.processor.Process(t.Context())
	w.must(err)
	w.equal(n, 1)
}

// TestOlderOnesComeFirst: a processor that is behind leaves what is new to the database, and does it in its turn.
func TestOlderOnesComeFirst(t *testing.T) {
	t.Parallel()
	c := &claims{}
	w := newWorld(t, sqlitetest.Open(t), counted(c))
	for n := range 300 { // more than two claims
		w.accept(signed(event("old"+strconv.Itoa(n), "device.data", n, w.now(), nil)))
	}
	for n := range 300 {
		w.linked(n)
	}
	stop := w.running(t)
	defer stop()
	for n := range 50 {
		w.accept(signed(event("new"+strconv.Itoa(n), "device.data", n, w.now(), nil)))
	}
	until(t, "all are done", func() bool { return w.statuses() == "processed=350" })
}
