package syncer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem"
)

// TestS29UndoOfAnEditedCreate: a device that the run created there, and that was edited there since, stays,
// is named, and stays synced: nobody deleted it here.
func TestS29UndoOfAnEditedCreate(t *testing.T) {
	for _, synced := range []bool{false, true} { // whether the edit has come here meanwhile
		w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.CreateRemote = true }))
		w.remotes("gate", 3)
		w.completed(w.sync(tandem.OpBidirectional))
		here := w.local("made")
		run := w.sync(tandem.OpBidirectional)
		w.completed(run)
		w.editRemote(w.remoteNamed("made").ID, enable(false))
		if synced {
			w.completed(w.sync(tandem.OpBidirectional))
		}
		undone := w.reverted(run)
		w.ended(undone, tandem.RunPartial)
		w.equal([]any{w.hasNamed("made"), w.isLinked(here), len(w.conflicts())}, []any{true, true, 0})
		told := w.told(undone)
		if len(told) != 1 || !strings.Contains(told[0], "changed since the run created it (enabled)") {
			t.Errorf("the revert told %q", told)
		}
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.device(here).Enabled, false)
	}
}

// TestS29UndoOfMany: more than is read at once, several changes of a device, and names that went from one to the next, on both sides.
func TestS29UndoOfMany(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options...)
			ids := w.remotes("gate", 110)
			w.completed(w.sync(tandem.OpBidirectional))
			before := w.sides()
			w.advance(time.Minute)
			here := make([]string, len(ids))
			for i, id := range ids {
				here[i] = w.localOf(id).ID
				w.setHere(here[i], "tags", []string{"blue"})
				w.editRemote(id, tandem.RemotePatch{AddHardwareIDs: []string{"hw-" + id}})
			}
			for i := range 20 { // a chain: each can have its old name back after the next one has
				w.setHere(here[i], "name", []string{"last", fmt.Sprintf("gate-%03d", i-1)}[min(i, 1)])
			}
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal(w.remoteDevice(ids[2]).Name, "gate-001")
			w.completed(w.reverted(run))
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.sides(), before)
			w.completed(w.quiet(tandem.OpBidirectional))
		})
	}
}

// TestS29UndoOfRings: two devices that exchanged their names, and three that did so round, have their own again; a name that
// a stranger has taken meanwhile is named, and stays.
func TestS29UndoOfRings(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options...)
			ids := w.remotes("gate", 6)
			w.completed(w.sync(tandem.OpBidirectional))
			before := w.sides()
			w.advance(time.Minute)
			for i, next := range []int{1, 0, 3, 4, 2} {
				w.setHere(w.localOf(ids[i]).ID, "name", fmt.Sprintf("gate-%03d", next))
			}
			w.setHere(w.localOf(ids[5]).ID, "name", "last")
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal(w.remoteDevice(ids[0]).Name, "gate-001")
			undone := w.reverted(run)
			w.completed(undone)
			w.equal(undone.Summary.Remote.Updated, 6)
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.sides(), before)
			w.equal(len(w.intents()), 0)
			w.completed(w.quiet(tandem.OpBidirectional))

			w.advance(time.Minute)
			w.setHere(w.localOf(ids[0]).ID, "name", "free")
			again := w.sync(tandem.OpBidirectional)
			w.completed(again)
			taken := "gate-000"
			w.editRemote(w.remote("stranger"), tandem.RemotePatch{Name: &taken})
			told, err := w.engine.Revert(w.ctx, w.org, again.ID, "ada", nil) // a preview does not ask who has which name
			w.must(err)
			w.ended(told, tandem.RunPartial)
			w.equal([]any{w.remoteDevice(ids[0]).Name, len(w.told(told))}, []any{"free", 1})
		})
	}
}

// TestS18Revert: what undoing would delete or roll out is guarded like everything else, exactly that is held
// back, and a person lets it through.
func TestS18Revert(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.CreateRemote = true }))
	ids := w.remotes("gate", 20)
	w.completed(w.sync(tandem.OpBidirectional))
	for i := range 8 {
		w.local(fmt.Sprint("made-", i))
	}
	w.setHere(w.localOf(ids[0]).ID, "name", "renamed")
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	w.equal(w.remoteCount(), 28)
	w.advance(time.Minute)
	p, err := w.engine.PreviewRevert(w.ctx, w.org, run.ID, nil)
	w.must(err)
	w.equal(p.Run.Status, tandem.RunBlocked)
	undone, err := w.engine.Revert(w.ctx, w.org, run.ID, "ada", nil)
	w.must(err)
	w.ended(undone, tandem.RunBlocked)
	w.equal([]any{w.remoteCount(), w.details(undone).Held, w.remoteDevice(ids[0]).Name}, []any{28, 8, "gate-000"})
	w.equal(w.openPlans(), []string{undone.PlanID})
	_, err = w.run(tandem.RunRequest{PlanID: undone.PlanID})
	w.wantCode(err, tandem.Stale) // no sync does it
	let, err := w.engine.Approve(w.ctx, w.org, undone.ID, "ada", nil)
	w.must(err)
	w.completed(let)
	w.equal([]any{let.Reverts, w.remoteCount(), let.Summary.Remote.Deleted}, []any{run.ID, 20, 8})
	_, err = w.engine.Approve(w.ctx, w.org, undone.ID, "ada", nil)
	w.wantCode(err, tandem.Stale)
}

// TestS18RevertOfRollouts: an old cohort is rolled out with care too.
func TestS18RevertOfRollouts(t *testing.T) {
	w, ids := stocked(t, 60)
	for _, id := range ids[:6] {
		w.setHere(w.localOf(id).ID, "enabled", false)
	}
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	w.advance(time.Minute)
	undone, err := w.engine.Revert(w.ctx, w.org, run.ID, "ada", nil) // six and six are more than a tenth of sixty
	w.must(err)
	w.ended(undone, tandem.RunBlocked)
	w.equal([]any{w.remoteDevice(ids[0]).Enabled, w.details(undone).Held}, []any{false, 6})
	let, err := w.engine.Approve(w.ctx, w.org, undone.ID, "ada", nil)
	w.must(err)
	w.completed(let)
	w.equal(w.remoteDevice(ids[0]).Enabled, true)
}
