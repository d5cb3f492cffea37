package syncer_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/syncer"
)

// another gives a second process over the same database: an engine that the hooks do not reach.
func (w *world) another(h *hooks) *syncer.Engine {
	w.t.Helper()
	client, err := w.client(w.service)
	w.must(err)
	e := *w.engine
	e.Holder = "there"
	if s, ok := w.store.(hookedStore); ok && s.h == h {
		e.Store = s.Store
	}
	e.Connect = func(context.Context, tandem.Service) (tandem.Remote, error) { return client, nil }
	return &e
}

// TestS19TwoRunsAtOnce: one waits for the other, whatever they are; an equal one that has not begun is joined.
func TestS19TwoRunsAtOnce(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h hooks
			w := newWorld(t, append([]option{h.hooked()}, options...)...)
			w.remotes("gate", 20)
			w.completed(w.sync(tandem.OpBidirectional))
			other := w.another(&h)
			reached, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			h.on(nil, func(call, _ string) error {
				if call == "remote project" {
					once.Do(func() { close(reached); <-goOn })
				}
				return nil
			})
			type answer struct {
				run tandem.Run
				err error
			}
			start := func(e *syncer.Engine, op tandem.Operation) chan answer {
				to := make(chan answer, 1)
				go func() {
					run, err := e.Run(w.ctx, w.org, tandem.RunRequest{ServiceID: w.service.ID, Operation: op, CreatedBy: "ada"}, nil)
					to <- answer{run, err}
				}()
				return to
			}
			first := start(w.engine, tandem.OpBidirectional)
			<-reached
			second := start(other, tandem.OpBidirectional) // the first has begun to read: this one is the next
			w.waitFor(func() bool { return w.countRuns(tandem.RunQueued) == 1 })
			third := start(w.another(&h), tandem.OpBidirectional) // joins the second
			fourth := start(w.another(&h), tandem.OpImport)       // another operation: its own turn
			w.waitFor(func() bool { return w.countRuns(tandem.RunQueued) == 2 })
			w.equal(w.countRuns(tandem.RunRunning), 1)
			close(goOn)
			a, b, c, d := <-first, <-second, <-third, <-fourth
			for _, x := range []answer{a, b, c, d} {
				w.must(x.err)
				w.completed(x.run)
			}
			w.equal(b.run.ID == c.run.ID, true)
			w.equal(a.run.ID != b.run.ID && d.run.ID != b.run.ID, true)
			w.equal(len(w.devices()), 20)
			runs, _, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{ServiceID: w.service.ID})
			w.must(err)
			w.equal(len(runs), 4)
		})
	}
}

func (w *world) countRuns(status tandem.RunStatus) int {
	_, n, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{ServiceID: w.service.ID, Status: status})
	if err != nil {
		w.t.Error(err)
	}
	return n
}

// waitFor waits until a state that another goroutine brings about is there.
func (w *world) waitFor(there func() bool) {
	w.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			w.t.Fatal("it did not come about in time")
		}
	}
}

// TestS19LeaseLostInTheMiddle: an old holder neither commits nor writes any more, and whoever took over ends its run.
func TestS19LeaseLostInTheMiddle(t *testing.T) {
	for _, at := range []string{"remote project", "remote read", "remote update"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			var h hooks
			w := newWorld(t, h.hooked(), withEngine(func(e *syncer.Engine) { e.WriteTimeout = 10 * time.Millisecond }))
			ids := w.remotes("gate", 3)
			w.completed(w.sync(tandem.OpBidirectional))
			local := w.localOf(ids[0]).ID
			w.setHere(local, "name", "here")
			w.setThere(ids[1], "name", "there")
			other := w.another(&h)
			w.advance(time.Minute)
			var newer tandem.Run
			var taken atomic.Bool
			take := func(call, _ string) error {
				if call != at || !taken.CompareAndSwap(false, true) {
					return nil
				}
				h.mu.Lock()
				lease := h.lease
				h.mu.Unlock()
				w.must(other.Store.ReleaseLease(w.ctx, w.org, lease)) // as if it had run out
				run, err := other.Run(w.ctx, w.org, tandem.RunRequest{ServiceID: w.service.ID, Operation: tandem.OpBidirectional}, nil)
				w.must(err)
				newer = run
				return nil
			}
			if at == "remote update" {
				h.on(nil, take) // the write took effect, its record did not
			} else {
				h.on(take, nil)
			}
			old, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
			h.on(nil, nil)
			w.wantCode(err, tandem.LeaseLost)
			w.equal(old.Status, tandem.RunFailed)
			w.completed(newer)
			kept, err := w.store.Run(w.ctx, w.org, old.ID)
			w.must(err)
			w.equal(kept.Status, tandem.RunInterrupted)
			w.equal([]string{w.remoteDevice(ids[0]).Name, w.localOf(ids[1]).Name}, []string{"here", "there"})
			w.equal(len(w.intents()), 0)
			n := 0
			for _, run := range []tandem.Run{old, newer} {
				for _, e := range w.entries(run) {
					if e.Action == tandem.ActUpdate && e.Outcome == tandem.OutcomeDone {
						n++
					}
				}
			}
			w.equal(n, 2) // each change is told once
			w.completed(w.quiet(tandem.OpBidirectional))
		})
	}
}

// TestS19WriteOnlyWithinTheLease: no remote write starts that the lease may not outlast.
func TestS19WriteOnlyWithinTheLease(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked(), withEngine(func(e *syncer.Engine) { e.LeaseTTL, e.WriteTimeout = 400*time.Millisecond, 600*time.Millisecond }))
	id := w.remote("gate")
	w.sync(tandem.OpImport)
	w.setHere(w.localOf(id).ID, "name", "here")
	w.requests()
	_, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
	w.wantCode(err, tandem.LeaseLost)
	w.equal(w.requests().Writes, 0)
	w.equal(w.remoteDevice(id).Name, "gate")
	w.intentsEnded()
	w.engine.LeaseTTL, w.engine.WriteTimeout = 10*time.Second, 10*time.Millisecond
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteDevice(id).Name, "here")
}

// TestS19ClockThatJumps: the wall clock of the process neither shortens nor stretches its lease.
func TestS19ClockThatJumps(t *testing.T) {
	for _, jump := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		var h hooks
		w := newWorld(t, h.hooked())
		ids := w.remotes("gate", 4)
		w.completed(w.sync(tandem.OpBidirectional))
		w.setHere(w.localOf(ids[0]).ID, "name", "here")
		w.setThere(ids[1], "name", "there")
		var jumped atomic.Bool
		h.on(func(call, _ string) error {
			if call == "remote read" && jumped.CompareAndSwap(false, true) {
				w.advance(jump)
			}
			return nil
		}, nil)
		run, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
		h.on(nil, nil)
		w.must(err)
		w.completed(run)
		if run.DurationMS < 0 {
			t.Errorf("the run took %d ms", run.DurationMS)
		}
		w.equal([]string{w.remoteDevice(ids[0]).Name, w.localOf(ids[1]).Name}, []string{"here", "there"})
		w.advance(49 * time.Hour)
		w.completed(w.quiet(tandem.OpBidirectional))
	}
}

// TestS19AQueuedRunThatDiedIsNotJoined: its place is taken.
func TestS19AQueuedRunThatDiedIsNotJoined(t *testing.T) {
	w := newWorld(t)
	w.remote("gate")
	queued := func(until time.Time) tandem.Run {
		run := tandem.Run{ID: w.id(), OrganizationID: w.org, ServiceID: w.service.ID, Operation: tandem.OpBidirectional, Trigger: tandem.ByHand, Status: tandem.RunQueued,
			Details: []byte(`{"waiting_until":"` + until.Format(time.RFC3339Nano) + `"}`), CreatedAt: w.now()}
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutRuns: []tandem.Run{run}}))
		return run
	}
	dead := queued(w.now().Add(-time.Second))
	dying := queued(w.now().Add(300 * time.Millisecond)) // looks alive for a moment
	run, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
	w.must(err)
	w.completed(run)
	w.equal(len(w.devices()), 1)
	for _, old := range []tandem.Run{dead, dying} {
		kept, err := w.store.Run(w.ctx, w.org, old.ID)
		w.must(err)
		w.equal(kept.Status, tandem.RunInterrupted)
	}
}

// TestCancelWhileWaiting ends a run that waits for its turn as canceled, by request and by its context.
func TestCancelWhileWaiting(t *testing.T) {
	for _, byRequest := range []bool{true, false} {
		w := newWorld(t)
		lease, err := w.store.AcquireLease(w.ctx, w.org, w.service.ID, "someone", "", time.Minute)
		w.must(err)
		ctx, cancel := context.WithCancel(w.ctx)
		defer cancel()
		type answer struct {
			run tandem.Run
			err error
		}
		to := make(chan answer, 1)
		go func() {
			run, err := w.engine.Run(ctx, w.org, tandem.RunRequest{ServiceID: w.service.ID, Operation: tandem.OpImport}, nil)
			to <- answer{run, err}
		}()
		w.waitFor(func() bool { return w.countRuns(tandem.RunQueued) == 1 })
		rows, _, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{ServiceID: w.service.ID})
		w.must(err)
		if byRequest {
			w.must(w.store.RequestCancel(w.ctx, w.org, rows[0].ID))
		} else {
			cancel()
		}
		got := <-to
		w.must(got.err)
		w.ended(got.run, tandem.RunCanceled)
		w.must(w.store.ReleaseLease(w.ctx, w.org, lease))
		w.completed(w.sync(tandem.OpImport))
	}
}
