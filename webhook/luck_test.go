package webhook_test

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
	"tandem/webhook"
)

// flaky fails on demand in front of a real store.
type flaky struct {
	webhook.Store
	apply   func(*tandem.Changes) error
	storing func([]tandem.Delivery) error
	lookups atomic.Int64
}

func (f *flaky) Apply(ctx context.Context, org string, c *tandem.Changes) error {
	if f.apply != nil {
		if err := f.apply(c); err != nil {
			return err
		}
	}
	return f.Store.Apply(ctx, org, c)
}

func (f *flaky) StoreAndClaim(ctx context.Context, d []tandem.Delivery, holder string, ttl time.Duration) ([]tandem.Delivery, []int, error) {
	if f.storing != nil {
		if err := f.storing(d); err != nil {
			return nil, nil, err
		}
	}
	return f.Store.StoreAndClaim(ctx, d, holder, ttl)
}

func (f *flaky) WebhookService(ctx context.Context, id string) (tandem.Service, error) {
	f.lookups.Add(1)
	return f.Store.WebhookService(ctx, id)
}

// between puts a flaky store between both ends and the real one.
func between(f *flaky) option {
	return wrap(func(s webhook.Store) webhook.Store { f.Store = s; return f })
}

// touches reports whether changes hold a delivery's effect (not only its outcome).
func touches(c *tandem.Changes, battery float64) bool {
	for _, o := range c.Observe {
		if o.BatteryLevel != nil && *o.BatteryLevel == battery {
			return true
		}
	}
	return false
}

func TestAPoisonedDeliveryHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	poison := tandem.Errorf(tandem.Internal, "apply changes", "", "this one cannot be applied")
	f := &flaky{apply: func(c *tandem.Changes) error {
		if touches(c, 66) {
			return poison
		}
		return nil
	}}
	w := newWorld(t, sqlitetest.Open(t), between(f))
	for n := range 20 {
		w.linked(n)
		w.accept(signed(event(strconv.Itoa(n), "device.data", n, w.now(), map[string]any{"battery": 60 + n})))
	}
	w.process()
	w.equal(w.statuses(), "retrying=1 processed=19")
	d := w.deliveries(tandem.DeliveryRetrying)[0]
	w.equal(d.Attempts, 1)
	if wait := d.NextAt.Sub(w.now()); wait < 0 || wait > time.Second || !strings.Contains(d.Error, "cannot be applied") {
		w.Errorf("again in %s: %s", wait, d.Error)
	}
	waits := []time.Duration{}
	for range 7 { // as if each wait had passed
		w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{Deliveries: []tandem.DeliveryOutcome{{ID: d.ID, Status: tandem.DeliveryRetrying, Attempts: d.Attempts, NextAt: &d.ReceivedAt, At: w.now()}}}))
		before := w.now()
		w.process()
		after, err := w.store.Delivery(w.Context(), w.org, d.ID)
		w.must(err)
		if d = after; d.NextAt != nil {
			waits = append(waits, d.NextAt.Sub(before).Truncate(time.Second))
		}
	}
	w.equal(waits, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, 64 * time.Second})
	w.equal(w.statuses(), "processed=19 dead=1")
	w.equal(d.Attempts, 8)
	poison = nil // it was mended: a person replays it
	f.apply = nil
	n, err := w.store.ReplayDeliveries(w.Context(), w.org, []string{d.ID})
	w.must(err)
	w.equal(n, 1)
	w.process()
	w.equal(w.statuses(), "processed=20")
}

func TestTheDatabaseAwayIs503(t *testing.T) {
	t.Parallel()
	var isAway atomic.Bool
	away := func() error {
		if isAway.Load() {
			return tandem.Errorf(tandem.Unavailable, "store", "", "the database is away")
		}
		return nil
	}
	f := &flaky{storing: func([]tandem.Delivery) error { return away() }, apply: func(*tandem.Changes) error { return away() }}
	w := newWorld(t, sqlitetest.Open(t), between(f))
	id := w.linked(1)
	q := signed(event("a", "device.data", 1, w.now(), map[string]any{"battery": 9}))
	w.accept(signed(event("b", "device.data", 1, w.now().Add(-time.Second), map[string]any{"battery": 8})))
	isAway.Store(true)
	r := w.send(q)
	w.equal(r.status, 503)
	w.equal(r.code(), "unavailable")
	if s, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || s < 1 {
		w.Errorf("Retry-After %q", r.header.Get("Retry-After"))
	}
	if _, err := w.processor.Process(w.Context()); !tandem.Is(err, tandem.Unavailable) {
		w.Errorf("processing: %v", err)
	}
	isAway.Store(false)
	w.accept(q)
	w.process()
	w.equal(w.device(id).BatteryLevel, 9)
	w.equal(w.deliveries(tandem.DeliveryProcessed)[0].Attempts <= 1, true) // the database's absence is no attempt of the delivery
}

func TestPostgreSQLAwayAndBack(t *testing.T) {
	t.Parallel()
	at := postgrestest.URL(t)
	st, err := postgres.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, st)
	id := w.linked(1)
	w.accept(signed(event("a", "device.data", 1, w.now(), nil)))
	w.process()
	doors(t, at, false)
	q := signed(event("b", "device.data", 1, w.now(), map[string]any{"battery": 3}))
	w.equal(w.send(q).status, 503)
	w.offset.Store(int64(5 * time.Second)) // past what is remembered of the service
	r := w.send(q)
	w.equal(r.status, 503)
	w.equal(r.header.Get("Retry-After") != "", true)
	if _, err := w.processor.Process(t.Context()); err == nil {
		t.Error("it processes without a database")
	}
	doors(t, at, true)
	w.accept(q)
	w.process()
	w.equal(w.device(id).BatteryLevel, 3)
	w.equal(w.statuses(), "processed=2")
}

// doors closes a database to everyone, throwing out who is inside, or opens it again.
func doors(t *testing.T, at string, open bool) {
	t.Helper()
	u, err := url.Parse(pgtest.AdminURL(t, at))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{fmt.Sprintf("ALTER DATABASE %s WITH ALLOW_CONNECTIONS %t", name, open),
		fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s' AND NOT %t", name, open)} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOneThatCannotBeStoredHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	gate, inside := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f := &flaky{storing: func(list []tandem.Delivery) error {
		once.Do(func() { close(inside); <-gate }) // so that the others gather into one batch
		for _, d := range list {
			if d.EventID == "7" {
				return tandem.Errorf(tandem.Invalid, "store", "", "this one cannot be stored")
			}
		}
		return nil
	}}
	w := newWorld(t, sqlitetest.Open(t), between(f), options(func(o *webhook.Options) { o.Writers = 1 }))
	statuses := make([]int, 20)
	var wait sync.WaitGroup
	send := func(n int) {
		statuses[n] = w.send(signed(event(strconv.Itoa(n), "device.data", 1, w.now(), nil))).status
	}
	wait.Go(func() { send(0) })
	<-inside
	for n := range statuses[1:] {
		wait.Go(func() { send(n + 1) })
	}
	until(t, "the others gather", func() bool { return w.handler.Waiting() == len(statuses)-1 })
	close(gate)
	wait.Wait()
	for n, status := range statuses {
		if want := map[bool]int{true: 500, false: 202}[n == 7]; status != want {
			t.Errorf("%d: %d", n, status)
		}
	}
	w.equal(w.statuses(), "stored=19")
}

// until looks again and again, and gives up after half a minute.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	look, late := time.NewTicker(5*time.Millisecond), time.After(30*time.Second)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func TestAFullBufferIs503(t *testing.T) {
	t.Parallel()
	gate, inside := make(chan struct{}), make(chan struct{}, 10)
	f := &flaky{storing: func([]tandem.Delivery) error { inside <- struct{}{}; <-gate; return nil }}
	w := newWorld(t, sqlitetest.Open(t), between(f), options(func(o *webhook.Options) { o.Writers, o.Batch, o.Waiting = 1, 1, 2 }))
	var accepted, refused atomic.Int64
	var wait sync.WaitGroup
	send := func(n int) {
		switch w.send(signed(event(strconv.Itoa(n), "device.data", 1, w.now(), nil))).status {
		case 202:
			accepted.Add(1)
		case 503:
			refused.Add(1)
		}
	}
	wait.Go(func() { send(0) })
	<-inside // one is with the database; two may wait
	for n := range 9 {
		wait.Go(func() { send(n + 1) })
	}
	until(t, "seven are refused", func() bool { return refused.Load() == 7 })
	close(gate)
	wait.Wait()
	w.equal([]int64{accepted.Load(), refused.Load()}, []int64{3, 7})
	w.equal(w.statuses(), "stored=3")
}

func TestUnknownIdsCostFewQueries(t *testing.T) {
	t.Parallel()
	f := &flaky{}
	w := newWorld(t, sqlitetest.Open(t), between(f))
	other := newID()
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() { w.send(request{service: other}) })
		wait.Go(func() { w.send(request{service: "no.id"}) })
	}
	wait.Wait()
	w.equal(f.lookups.Load(), 1)
}

func TestRunShowsAReportWithinASecond(t *testing.T) {
	both(t, func(w *world) {
		id := w.linked(1)
		ctx, stop := context.WithCancel(w.Context())
		var wait sync.WaitGroup
		wait.Go(func() { _ = w.processor.Run(ctx) })
		defer wait.Wait()
		defer stop()
		for n := range 5 {
			begin := time.Now()
			w.accept(signed(event(strconv.Itoa(n), "device.data", 1, w.now(), map[string]any{"battery": n + 1})))
			w.processor.Poke()
			for w.device(id).BatteryLevel == nil || *w.device(id).BatteryLevel != float64(n+1) {
				if time.Since(begin) > 10*time.Second {
					w.Fatal("it never shows")
				}
			}
			if took := time.Since(begin); took > time.Second {
				w.Errorf("after %s", took)
			}
		}
	})
}
