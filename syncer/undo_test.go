package syncer_test

import (
	"strings"
	"testing"

	"tandem"
)

// TestS29UndoOfAnEditedCreate: a device that the run created there, and that was edited there since, stays,
// is named, and stays synced: nobody deleted it here.
func TestS29UndoOfAnEditedCreate(t *testing.T) {
	for _, synced := range []bool{false, true} { // whether the edit has come here meanwhile
		w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.CreateRemote = true }))
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
