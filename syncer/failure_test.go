package syncer_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/golioth"
	"tandem/syncer"
)

// TestS26FailuresAreOfADevice: one that cannot be written or read fails alone; each device counts once.
func TestS26FailuresAreOfADevice(t *testing.T) {
	for _, tt := range []struct {
		fault string
		done  bool // the write took effect all the same
	}{
		{"400:PATCH /devices/%s", false},
		{"503:PATCH /devices/%s", false},
		{"reset-before:PATCH /devices/%s", false},
		{"reset-after:PATCH /devices/%s", true},
		{"malformed:PATCH /devices/%s", true},
		{"429:PATCH /devices/%s", false},
		{"503:GET /devices/%s", false},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withEngine(func(e *syncer.Engine) { e.WriteTimeout = 20 * time.Millisecond }))
			ids := w.remotes("gate", 5)
			w.completed(w.sync(tandem.OpBidirectional))
			for _, id := range ids[:3] {
				w.setHere(w.localOf(id).ID, "tags", []string{"blue"})
			}
			w.fault(fmt.Sprintf(tt.fault, ids[1]))
			run := w.sync(tandem.OpBidirectional)
			w.fault()
			if tt.done {
				w.completed(run)
				w.equal(run.Summary, tandem.Summary{Processed: 5, Successful: 5, Remote: tandem.Counts{Updated: 3}})
			} else {
				w.ended(run, tandem.RunPartial)
				w.equal(run.Summary, tandem.Summary{Processed: 5, Successful: 4, Failed: 1, Remote: tandem.Counts{Updated: 2}})
				a := w.assignment(w.localOf(ids[1]).ID)
				w.equal([]any{a.Status, a.Error != ""}, []any{tandem.SyncError, true})
				for _, e := range w.entries(run) {
					if e.Outcome == tandem.OutcomeFailed && (e.Error == "" || e.Code == "" || e.DeviceName != "gate-001") {
						t.Errorf("a failure is told as %+v", e)
					}
				}
			}
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteTags(ids[1]), []string{"blue"})
			w.equal([]any{len(w.intents()), w.assignment(w.localOf(ids[1]).ID).Status}, []any{0, tandem.SyncSynced})
			w.completed(w.quiet(tandem.OpBidirectional))
		})
	}
}

// TestS30DegradedAndS31Rejected: the service shows why, and when it is tried again; work done is kept, and taken up.
func TestS30DegradedAndS31Rejected(t *testing.T) {
	for _, tt := range []struct {
		fault string
		code  tandem.Code
		state tandem.ServiceState
		retry bool
	}{
		{"503:*:retry-after=1s", tandem.Unavailable, tandem.ServiceDegraded, true},
		{"500:*", tandem.Unavailable, tandem.ServiceDegraded, true},
		{"html:*", tandem.Malformed, tandem.ServiceDegraded, true},
		{"401:*", tandem.Unauthorized, tandem.ServiceRejected, false},
		{"403:*", tandem.Forbidden, tandem.ServiceRejected, false},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.remotes("gate", 3)
			w.fault(tt.fault)
			run, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
			w.wantCode(err, tt.code)
			w.equal([]any{run.Status, run.Error != "", len(w.devices())}, []any{tandem.RunFailed, true, 0})
			s := w.stored()
			w.equal([]any{s.State, s.StateReason != "", s.RetryAt != nil}, []any{tt.state, true, tt.retry})
			if strings.Contains(s.StateReason+run.Error, apiKey) {
				t.Error("the key is in the reason")
			}
			if s.RetryAt != nil && !s.RetryAt.After(w.now()) {
				t.Errorf("tried again at %v, which is past", s.RetryAt)
			}
			w.fault()
			w.advance(time.Minute)
			w.completed(w.sync(tandem.OpBidirectional))
			s = w.stored()
			w.equal([]any{s.State, s.StateReason, s.RetryAt == nil, len(w.devices())}, []any{tandem.ServiceOK, "", true, 3})
		})
	}
}

// TestS30BreakerStopsTheRun: a remote that dies under a run ends it, instead of failing each device in turn.
func TestS30BreakerStopsTheRun(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked(), config(func(c *tandem.ServiceConfig) { c.Concurrency = 4 }),
		withEngine(func(e *syncer.Engine) { e.WriteTimeout = 10 * time.Millisecond }))
	ids := w.remotes("gate", 120)
	w.completed(w.sync(tandem.OpBidirectional))
	for _, id := range ids {
		w.setHere(w.localOf(id).ID, "tags", []string{"blue"})
	}
	var mu sync.Mutex
	n := 0
	h.on(func(call, _ string) error {
		if call != "remote update" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if n++; n == 40 {
			w.fault("500:*")
		}
		return nil
	}, nil)
	w.advance(time.Minute)
	run, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
	h.on(nil, nil)
	w.wantCode(err, tandem.Unavailable)
	w.equal([]any{run.Status, w.stored().State}, []any{tandem.RunFailed, tandem.ServiceDegraded})
	if run.Summary.Remote.Updated < 10 || run.Summary.Failed > 100 {
		t.Errorf("the run counts %+v", run.Summary)
	}
	w.fault()
	w.shared.mu.Lock()
	delete(w.shared.clients, w.service.ID) // a new client: the old one's breaker is open for a while
	w.shared.mu.Unlock()
	w.advance(time.Minute)
	w.sync(tandem.OpBidirectional)
	w.completed(w.sync(tandem.OpBidirectional))
	for _, id := range ids {
		if tags := w.remoteTags(id); len(tags) != 1 {
			t.Fatalf("%s has the tags %v", id, tags)
		}
	}
	w.completed(w.quiet(tandem.OpBidirectional))
}

// TestCancelAtABorder: a run that is asked to stop keeps what is done, writes nothing in halves, and is taken up again.
func TestCancelAtABorder(t *testing.T) {
	for _, byRequest := range []bool{true, false} {
		for _, at := range []string{"remote list", "remote read", "remote update", "remote create"} {
			if byRequest && (at == "remote read" || at == "remote update") {
				continue // the last batch: there is no border after it
			}
			t.Run(fmt.Sprintf("%v/%s", map[bool]string{true: "request", false: "context"}[byRequest], at), func(t *testing.T) {
				t.Parallel()
				var h hooks
				w := newWorld(t, h.hooked(), config(func(c *tandem.ServiceConfig) { c.CreateRemote, c.Concurrency = true, 1 }),
					withEngine(func(e *syncer.Engine) { e.WriteTimeout = 20 * time.Millisecond }))
				ids := w.remotes("gate", 12)
				w.completed(w.sync(tandem.OpBidirectional))
				for _, id := range ids {
					w.setHere(w.localOf(id).ID, "tags", []string{"blue"})
				}
				for i := range 4 {
					w.local(fmt.Sprintf("new-%d", i))
				}
				ctx, cancel := context.WithCancel(w.ctx)
				defer cancel()
				var once sync.Once
				h.on(func(call, _ string) error {
					if call == at {
						once.Do(func() {
							rows, _, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{ServiceID: w.service.ID, Status: tandem.RunRunning})
							if err != nil || len(rows) != 1 {
								t.Errorf("%d runs are running: %v", len(rows), err)
								return
							}
							if !byRequest {
								cancel()
							} else if err := w.store.RequestCancel(w.ctx, w.org, rows[0].ID); err != nil {
								t.Error(err)
							}
						})
					}
					return nil
				}, nil)
				w.advance(time.Minute)
				run, err := w.engine.Run(ctx, w.org, tandem.RunRequest{ServiceID: w.service.ID, Operation: tandem.OpBidirectional}, nil)
				h.on(nil, nil)
				w.must(err)
				w.ended(run, tandem.RunCanceled)
				if run.Summary.Failed != 0 {
					t.Errorf("canceling counts as %d failures:\n%s", run.Summary.Failed, strings.Join(w.told(run), "\n"))
				}
				w.completed(w.sync(tandem.OpBidirectional))
				for _, id := range ids {
					w.equal(w.remoteTags(id), []string{"blue"})
				}
				w.equal([]int{w.remoteCount(), len(w.devices()), len(w.intents())}, []int{16, 16, 0})
				w.completed(w.quiet(tandem.OpBidirectional))
			})
		}
	}
}

// TestDiskFull: no room here ends the run with that reason; with room again it goes on, and nothing is lost.
func TestDiskFull(t *testing.T) {
	for _, at := range []int{3, 4, 5, 6, 8} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			var h hooks
			w := newWorld(t, h.hooked(), config(func(c *tandem.ServiceConfig) { c.CreateRemote, c.Concurrency = true, 1 }),
				withEngine(func(e *syncer.Engine) { e.WriteTimeout = 10 * time.Millisecond }))
			ids := w.remotes("gate", 6)
			w.completed(w.sync(tandem.OpBidirectional))
			w.setHere(w.localOf(ids[0]).ID, "tags", []string{"blue"})
			w.setThere(ids[1], "name", "there")
			w.local("new-here")
			n := 0
			var mu sync.Mutex
			h.on(func(call, _ string) error {
				mu.Lock()
				defer mu.Unlock()
				if call == "store apply" {
					if n++; n >= at {
						return tandem.Errorf(tandem.DiskFull, "apply changes", "", "there is no room left").WithHint("make room")
					}
				}
				return nil
			}, nil)
			w.advance(time.Minute)
			run, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
			h.on(nil, nil)
			w.wantCode(err, tandem.DiskFull)
			w.equal(run.Status, tandem.RunFailed)
			h.resurrect(w)
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal([]any{w.remoteTags(ids[0]), w.localOf(ids[1]).Name, w.hasNamed("new-here"), w.remoteCount(), len(w.devices()), len(w.intents())},
				[]any{[]string{"blue"}, "there", true, 7, 7, 0})
			w.completed(w.quiet(tandem.OpBidirectional))
		})
	}
}

// TestS20SpoolWithoutRoom: the temporary folder is gone; what does not fit in memory ends the run with that reason.
func TestS20SpoolWithoutRoom(t *testing.T) {
	w := newWorld(t, fleet(2300))
	w.completed(w.sync(tandem.OpImport))
	rows, total, err := w.store.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now(), Page: tandem.Page{Limit: 1000}})
	w.must(err)
	c := &tandem.Changes{}
	for number := 1; ; {
		for _, row := range rows {
			d := row.Device
			d.Tags = append([]string{"spooled"}, d.Tags...)
			c.UpdateDevices = append(c.UpdateDevices, d)
		}
		if number*1000 >= total {
			break
		}
		number++
		rows, _, err = w.store.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now(), Page: tandem.Page{Number: number, Limit: 1000}})
		w.must(err)
	}
	w.must(w.store.Apply(w.ctx, w.org, c))
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "gone"))
	w.advance(time.Minute)
	w.requests()
	run, err := w.run(tandem.RunRequest{Operation: tandem.OpExport})
	w.wantCode(err, tandem.DiskFull)
	w.equal([]any{run.Status, w.requests().Writes}, []any{tandem.RunFailed, 0})
}

// gate is a budget of so many at once, which counts.
type gate struct {
	slots chan struct{}
	mu    sync.Mutex
	taken int
}

func (g *gate) Acquire(ctx context.Context) (func(), error) {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	g.mu.Lock()
	g.taken++
	g.mu.Unlock()
	return sync.OnceFunc(func() { <-g.slots }), nil
}

// TestS32BudgetOverTheEngine: every request of a run is one of the budget's, and no more are under way than it lets.
func TestS32BudgetOverTheEngine(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.CreateRemote = true }))
	g := &gate{slots: make(chan struct{}, 3)}
	client, err := golioth.New(golioth.Options{BaseURL: w.shared.url, Project: "demo", Key: golioth.Secret(apiKey), Budget: g})
	w.must(err)
	t.Cleanup(client.Close)
	w.engine.Connect = func(context.Context, tandem.Service) (tandem.Remote, error) { return client, nil }
	w.remotes("gate", 150)
	for i := range 40 {
		w.local(fmt.Sprintf("new-%02d", i))
	}
	w.requests()
	w.completed(w.sync(tandem.OpBidirectional))
	asked := w.requests()
	w.equal([]any{g.taken, asked.MaxInFlight <= 3, len(g.slots)}, []any{asked.Total, true, 0})
}

// TestS26ErrorsStayUntilMended: what could not be exported is not well again because an import found nothing to do.
func TestS26ErrorsStayUntilMended(t *testing.T) {
	w := newWorld(t)
	ids := w.remotes("gate", 3)
	w.completed(w.sync(tandem.OpBidirectional))
	here := w.localOf(ids[1]).ID
	w.setHere(here, "tags", []string{"blue"})
	w.fault("400:PATCH /devices/" + ids[1])
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal(w.assignment(here).Status, tandem.SyncError)
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal([]any{w.assignment(here).Status, w.assignment(here).Retries}, []any{tandem.SyncError, 2})
	w.fault()
	w.completed(w.sync(tandem.OpImport))
	a := w.assignment(here)
	w.equal([]any{a.Status, a.Error != ""}, []any{tandem.SyncError, true})
	w.completed(w.sync(tandem.OpBidirectional))
	a = w.assignment(here)
	w.equal([]any{a.Status, a.Error}, []any{tandem.SyncSynced, ""})
}
