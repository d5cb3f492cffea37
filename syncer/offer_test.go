package syncer_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/syncer"
)

// queue offers a run over the whole service.
func (w *world) queue(req tandem.RunRequest) tandem.Run {
	w.t.Helper()
	req.ServiceID = w.service.ID
	run, err := w.engine.Queue(w.ctx, w.org, req)
	w.must(err)
	w.equal(run.Status, tandem.RunQueued)
	return run
}

// perform does a queued run.
func (w *world) perform(e *syncer.Engine, run tandem.Run) tandem.Run {
	w.t.Helper()
	done, err := e.Perform(w.ctx, w.org, run.ID, nil)
	w.must(err)
	return done
}

// TestQueuedRunIsPerformedOnce: by whichever process comes first, under the id that was given when it was queued.
func TestQueuedRunIsPerformedOnce(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h hooks
			w := newWorld(t, append([]option{h.hooked()}, options...)...)
			w.remotes("gate", 20)
			queued := w.queue(tandem.RunRequest{CreatedBy: "ada"})
			engines := []*syncer.Engine{w.engine, w.another(&h), w.another(&h)}
			runs := make([]tandem.Run, len(engines))
			errs := make([]error, len(engines))
			var all sync.WaitGroup
			for i, e := range engines {
				all.Go(func() { runs[i], errs[i] = e.Perform(w.ctx, w.org, queued.ID, nil) })
			}
			all.Wait()
			for i := range engines {
				w.must(errs[i])
				w.equal(runs[i].ID, queued.ID)
			}
			stored, err := w.store.Run(w.ctx, w.org, queued.ID)
			w.must(err)
			w.completed(stored)
			w.equal(stored.CreatedBy, "ada")
			w.equal(stored.Summary.Local.Created, 20)
			_, total, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{})
			w.must(err)
			w.equal(total, 1)
		})
	}
}

// TestQueuedRunIsNotPutBack: who waits for the turn of a run that another process does leaves its row alone, however long it takes.
func TestQueuedRunIsNotPutBack(t *testing.T) {
	t.Parallel()
	var h hooks
	w := newWorld(t, h.hooked(), withEngine(func(e *syncer.Engine) { e.LeaseTTL = 800 * time.Millisecond }))
	w.remotes("gate", 20)
	queued := w.queue(tandem.RunRequest{})
	w.sim.SetLatency(simulator.Latency{Mean: 200 * time.Millisecond})
	var all sync.WaitGroup
	for _, e := range []*syncer.Engine{w.engine, w.another(&h), w.another(&h)} {
		all.Go(func() {
			if _, err := e.Perform(w.ctx, w.org, queued.ID, nil); err != nil {
				t.Error(err)
			}
		})
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for was := tandem.RunQueued; !was.Ended(); <-look.C {
		stored, err := w.store.Run(w.ctx, w.org, queued.ID)
		w.must(err)
		if was != tandem.RunQueued && stored.Status == tandem.RunQueued {
			t.Errorf("a run that was %s is queued again", was)
		}
		was = stored.Status
	}
	all.Wait()
	stored, err := w.store.Run(w.ctx, w.org, queued.ID)
	w.must(err)
	w.completed(stored)
}

// TestQueuedApprovalAndUndoing: what a person lets through, and what a person takes back, goes through the queue too.
func TestQueuedApprovalAndUndoing(t *testing.T) {
	w := newWorld(t)
	w.remotes("gate", 20)
	scheduled := w.perform(w.engine, w.queue(tandem.RunRequest{Trigger: tandem.BySchedule}))
	w.ended(scheduled, tandem.RunBlocked)
	w.completed(w.perform(w.engine, w.queue(tandem.RunRequest{Approves: scheduled.ID, CreatedBy: "ada"})))
	w.equal(len(w.devices()), 20)
	id := w.devices()[0].ID
	external := w.devices()[0].Assignments[0].ExternalDeviceID
	w.editRemote(external, rename("other"))
	w.advance(time.Minute)
	run := w.perform(w.engine, w.queue(tandem.RunRequest{}))
	w.completed(run)
	w.equal(w.device(id).Name, "other")
	undone := w.perform(w.engine, w.queue(tandem.RunRequest{Reverts: run.ID, CreatedBy: "ada"}))
	w.completed(undone)
	w.equal(undone.Operation, tandem.OpRevert)
	w.equal(undone.Reverts, run.ID)
	w.equal(w.device(id).Name == "other", false)
}

// TestShutdownQueuesTheRest: a process that stops leaves its run at a batch border, and another goes on.
func TestShutdownQueuesTheRest(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked())
	w.remotes("gate", 20)
	queued := w.queue(tandem.RunRequest{CreatedBy: "ada"})
	ctx, stop := context.WithCancelCause(w.ctx)
	var once sync.Once
	h.on(nil, func(call, _ string) error {
		if call == "remote project" {
			once.Do(func() { stop(syncer.ErrShutdown) })
		}
		return nil
	})
	run, err := w.engine.Perform(ctx, w.org, queued.ID, nil)
	w.must(err)
	w.ended(run, tandem.RunInterrupted)
	runs, _, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{Status: tandem.RunQueued})
	w.must(err)
	w.equal(len(runs), 1)
	w.equal(runs[0].CreatedBy, "ada")
	w.completed(w.perform(w.another(&h), runs[0]))
	w.equal(len(w.devices()), 20)
}

// TestResume: a run whose process died goes on in another; one that is alive, or has ended, is left alone.
func TestResume(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked(), withEngine(func(e *syncer.Engine) { e.LeaseTTL, e.WriteTimeout = time.Second, 100*time.Millisecond }))
	w.remotes("gate", 20)
	queued := w.queue(tandem.RunRequest{CreatedBy: "ada"})
	other := w.another(&h)
	h.on(nil, func(call, _ string) error {
		if call == "remote project" {
			_, ok, err := other.Resume(w.ctx, w.org, queued.ID)
			w.must(err)
			w.equal(ok, false) // it is alive
			h.on(nil, nil)
		}
		return nil
	})
	w.completed(w.perform(w.engine, queued))
	_, ok, err := other.Resume(w.ctx, w.org, queued.ID)
	w.must(err)
	w.equal(ok, false)

	dead := w.queue(tandem.RunRequest{CreatedBy: "ada"})
	_, err = w.store.AcquireLease(w.ctx, w.org, w.service.ID, "dead", dead.ID, 10*time.Millisecond)
	w.must(err)
	d := w.details(dead)
	d.Offered, d.WaitingUntil = false, nil
	dead.Status, dead.Details = tandem.RunRunning, mustJSON(t, d)
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutRuns: []tandem.Run{dead}}))
	var next tandem.Run
	w.waitFor(func() bool {
		next, ok, err = other.Resume(w.ctx, w.org, dead.ID)
		w.must(err)
		return ok
	})
	w.equal(next.CreatedBy, "ada")
	dead, err = w.store.Run(w.ctx, w.org, dead.ID)
	w.must(err)
	w.equal(dead.Status, tandem.RunInterrupted)
	w.completed(w.perform(other, next))
}

// TestResumeOfADeletedService: nothing goes on, and nobody is told that something will.
func TestResumeOfADeletedService(t *testing.T) {
	w := newWorld(t)
	cut := w.queue(tandem.RunRequest{})
	d := w.details(cut)
	d.Offered, d.WaitingUntil = false, nil
	cut.Status, cut.Details = tandem.RunRunning, mustJSON(t, d)
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutRuns: []tandem.Run{cut}}))
	service, err := w.store.Service(w.ctx, w.org, w.service.ID)
	w.must(err)
	_, err = w.store.DeleteService(w.ctx, w.org, service.ID, service.Version, w.now())
	w.must(err)
	_, ok, err := w.engine.Resume(w.ctx, w.org, cut.ID)
	w.must(err)
	w.equal(ok, false)
	cut, err = w.store.Run(w.ctx, w.org, cut.ID)
	w.must(err)
	w.equal(cut.Status, tandem.RunInterrupted)
	w.equal(cut.Error, "its service was deleted meanwhile; what it had done by then stays as it is, on both sides")
}

// TestS36NamedDevices: a run about remote ids reads these alone; a new one is let in by settings and filters.
func TestS36NamedDevices(t *testing.T) {
	w, ids := stocked(t, 12, config(func(c *tandem.ServiceConfig) { c.Filters.Name = "gw*" }))
	w.editRemote(ids[0], tandem.RemotePatch{AddTagIDs: w.tags("there")})
	let, kept := w.remote("gw-new"), w.remote("door-new")
	twin := w.remote("twin", hardware("serial-1"))
	w.local("my twin", func(d *tandem.Device) { d.HardwareIDs = []string{"serial-1"} })
	w.advance(time.Minute)
	w.requests()
	run, err := w.run(tandem.RunRequest{Trigger: tandem.ByWebhook, ExternalIDs: []string{ids[0], let, kept, twin, "0123456789abcdef01234567", let}})
	w.must(err)
	w.completed(run)
	w.equal(w.requests().ByRoute["GET /v1/projects/{project}/devices"], 0)
	w.equal(w.localOf(ids[0]).Tags, []string{"there"})
	w.equal(w.localOf(let).Name, "gw-new")
	w.equal(w.notLinked(), map[string]string{"door-new": "filtered", "twin": "not_imported"})
	w.deleteRemote(let)
	run, err = w.run(tandem.RunRequest{Trigger: tandem.ByWebhook, ExternalIDs: []string{let}})
	w.must(err)
	w.completed(run)
	w.equal(w.count(run, tandem.ActUnlink, tandem.OutcomeDone), 1)
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial) // a whole listing shows who the twin is, and that the names differ
	w.equal(w.localOf(twin).Name, "my twin")
}

// mustJSON writes a value as JSON.
func mustJSON(t *testing.T, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
