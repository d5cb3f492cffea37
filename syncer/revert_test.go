package syncer_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/syncer"
)

// reverted undoes a run, after a preview that must show what it then does.
func (w *world) reverted(run tandem.Run) tandem.Run {
	w.t.Helper()
	w.advance(time.Minute)
	before := w.everything()
	w.requests()
	var shown []tandem.Change
	p, err := w.engine.PreviewRevert(w.ctx, w.org, run.ID, func(c tandem.Change) error { shown = append(shown, c); return nil })
	w.must(err)
	w.equal(w.requests().Writes, 0)
	w.equal(w.everything(), before)
	undone, err := w.engine.Revert(w.ctx, w.org, run.ID, "ada", nil)
	w.must(err)
	w.equal(w.doneLines(undone), lines(shown))
	w.equal(undone.Summary, p.Run.Summary)
	w.equal([]any{undone.Operation, undone.Reverts, undone.CreatedBy}, []any{tandem.OpRevert, run.ID, "ada"})
	w.equal(len(w.intents()), 0)
	return undone
}

// TestS29RevertUndoes each kind of change, and the next sync carries that to the other side instead of bringing it back.
func TestS29RevertUndoes(t *testing.T) {
	everything := config(func(c *tandem.ServiceConfig) {
		withMetadata(c)
		c.CreateRemote, c.DeleteRemote = true, true
	})
	for name, options := range map[string][]option{"sqlite": {everything}, "postgresql": {everything, onPostgres}} {
		t.Run(name+"/updates", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options...)
			ids := w.remotes("gate", 12)
			for _, id := range ids { // an empty document is not believed where there was something (S6)
				w.setState(id, "info/site/room", "attic")
			}
			w.completed(w.sync(tandem.OpBidirectional))
			before := w.sides()
			w.advance(time.Minute)
			here := func(i int) string { return w.localOf(ids[i]).ID }
			w.setHere(here(0), "name", "renamed-here")
			w.setThere(ids[1], "name", "renamed-there")
			w.setHere(here(2), "enabled", false)
			w.setHere(here(3), "tags", []string{"blue"})
			w.editRemote(ids[4], tandem.RemotePatch{AddTagIDs: w.tags("red")})
			w.setHere(here(5), "metadata/site/floor", "2")
			w.setThere(ids[6], "metadata/site/floor", "3")
			w.setThere(ids[7], "enabled", false)
			w.setThere(ids[8], "cohort", "north")
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.completed(w.reverted(run))
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.sides(), before)
			w.completed(w.quiet(tandem.OpBidirectional))
		})
		t.Run(name+"/creates", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options...)
			w.remotes("gate", 12)
			w.completed(w.sync(tandem.OpBidirectional))
			there := w.remote("new-there")
			here := w.local("new-here")
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.completed(w.reverted(run))
			w.equal([]bool{w.hasNamed("new-there"), w.hasNamed("new-here"), w.device(here).DeletedAt == nil, slices.Contains(w.names(), "new-there")},
				[]bool{true, false, true, false})
			w.completed(w.sync(tandem.OpBidirectional)) // nothing comes back as a zombie (S17)
			w.equal([]bool{w.hasNamed("new-there"), w.hasNamed("new-here"), w.isLinked(here), slices.Contains(w.names(), "new-there")},
				[]bool{true, false, false, false})
			w.equal(w.hasRemote(there), true)
			w.completed(w.quiet(tandem.OpBidirectional))
		})
		t.Run(name+"/ends", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options...)
			ids := w.remotes("gate", 12)
			w.completed(w.sync(tandem.OpBidirectional))
			unlinked, deleted := w.localOf(ids[0]).ID, w.localOf(ids[1]).ID
			w.deleteRemote(ids[0])
			w.deleteLocal(deleted)
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal([]bool{w.isLinked(unlinked), w.hasRemote(ids[1])}, []bool{false, false})
			undone := w.reverted(run)
			w.ended(undone, tandem.RunPartial) // what was deleted on the service is named
			w.equal([]bool{w.isLinked(unlinked), w.device(deleted).DeletedAt == nil}, []bool{true, false})
			w.equal(w.device(unlinked).Lifecycle, tandem.Active)
			named := ""
			for _, e := range w.entries(undone) {
				if e.Outcome == tandem.OutcomeFailed {
					named += e.DeviceName + ": " + e.Error
				}
			}
			if !strings.Contains(named, "gate-001") || !strings.Contains(named, "credentials") {
				t.Errorf("what cannot be undone is told as %q", named)
			}
		})
		t.Run(name+"/links", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options...)
			local := w.local("gate")
			w.remote("gate")
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal(w.isLinked(local), true)
			w.completed(w.reverted(run))
			w.equal(w.isLinked(local), false)
			w.sync(tandem.OpBidirectional)
			w.equal([]any{w.isLinked(local), len(w.devices()), w.remoteCount()}, []any{false, 1, 1})
		})
	}
}

// TestS29RevertOfADeleteHere brings the device back, with its link.
func TestS29RevertOfADeleteHere(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.OnRemoteDelete = tandem.DeleteLocal }))
	ids := w.remotes("gate", 12)
	w.completed(w.sync(tandem.OpBidirectional))
	local := w.localOf(ids[0]).ID
	w.deleteRemote(ids[0])
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	w.equal(w.device(local).DeletedAt != nil, true)
	w.completed(w.reverted(run))
	w.equal([]bool{w.device(local).DeletedAt == nil, w.isLinked(local)}, []bool{true, true})
}

// TestS29RevertRefusesWhatChangedSince, field by field, and names it.
func TestS29RevertRefusesWhatChangedSince(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.CreateRemote = true }))
	ids := w.remotes("gate", 6)
	w.completed(w.sync(tandem.OpBidirectional))
	w.advance(time.Minute)
	here := func(i int) string { return w.localOf(ids[i]).ID }
	w.setHere(here(0), "name", "a")
	w.setHere(here(0), "enabled", false)
	w.setThere(ids[1], "name", "b")
	w.setThere(ids[1], "enabled", false)
	w.remote("new-there")
	newHere := w.local("new-here")
	goneThere := w.local("gone-there")
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	w.setThere(ids[0], "name", "since-there")
	w.setHere(here(1), "name", "since-here")
	w.setHere(w.localOf(w.remoteNamed("new-there").ID).ID, "name", "since-new")
	w.setThere(w.remoteNamed("new-here").ID, "name", "since-created")
	w.deleteRemote(w.remoteNamed("gone-there").ID)
	undone := w.reverted(run)
	w.ended(undone, tandem.RunPartial)
	w.equal([]any{w.remoteDevice(ids[0]).Name, w.remoteDevice(ids[0]).Enabled, w.device(here(1)).Name, w.device(here(1)).Enabled},
		[]any{"since-there", true, "since-here", true})
	w.equal([]bool{slices.Contains(w.names(), "since-new"), w.hasNamed("since-created")}, []bool{true, true})
	// The twin of what the run created is gone already: the device here stays.
	w.equal([]bool{w.device(goneThere).DeletedAt == nil, w.device(newHere).DeletedAt == nil}, []bool{true, true})
}

func TestS29RevertNeedsAnEndedRun(t *testing.T) {
	w := newWorld(t)
	now := w.now()
	running := tandem.Run{ID: w.id(), OrganizationID: w.org, ServiceID: w.service.ID, Operation: tandem.OpImport, Trigger: tandem.ByHand, Status: tandem.RunRunning, StartedAt: &now, CreatedAt: now}
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutRuns: []tandem.Run{running}}))
	_, err := w.engine.Revert(w.ctx, w.org, running.ID, "ada", nil)
	w.wantCode(err, tandem.Busy)
	_, err = w.engine.Revert(w.ctx, w.org, w.id(), "ada", nil)
	w.wantCode(err, tandem.NotFound)
	_, err = w.engine.PreviewRevert(w.ctx, w.org, w.id(), nil)
	w.wantCode(err, tandem.NotFound)
}

// TestS29RevertOfARefusedWrite tells of it, and leaves no intent.
func TestS29RevertOfARefusedWrite(t *testing.T) {
	for _, fault := range []string{"400:PATCH /devices/*", "503:PATCH /devices/*"} {
		w := newWorld(t, withEngine(func(e *syncer.Engine) { e.WriteTimeout = 20 * time.Millisecond }))
		id := w.remote("gate")
		w.completed(w.sync(tandem.OpBidirectional))
		w.setHere(w.localOf(id).ID, "name", "a")
		run := w.sync(tandem.OpBidirectional)
		w.completed(run)
		w.fault(fault)
		undone, err := w.engine.Revert(w.ctx, w.org, run.ID, "ada", nil)
		w.must(err)
		w.ended(undone, tandem.RunPartial)
		w.equal(undone.Summary, tandem.Summary{Processed: 1, Failed: 1})
		w.equal([]int{len(w.intents()), w.count(undone, tandem.ActUpdate, tandem.OutcomeFailed)}, []int{0, 1})
	}
}
