package syncer_test

import (
	"testing"

	"tandem"
)

// TestS16ChangedHere: local changed since base is a conflict, which a person settles.
func TestS16ChangedHere(t *testing.T) {
	start := func(t *testing.T) (*world, string) {
		w, ids := stocked(t, 12)
		here := w.localOf(ids[0]).ID
		w.editLocal(here, func(d *tandem.Device) { d.Name = "renamed" })
		w.deleteRemote(ids[0])
		run := w.sync(tandem.OpBidirectional)
		w.ended(run, tandem.RunPartial)
		w.equal(run.Summary.Conflicts, 1)
		w.equal(w.conflict("").Type, tandem.DeletedRemotely)
		w.equal(w.assignment(here).Status, tandem.SyncConflict)
		w.equal(w.quiet(tandem.OpBidirectional).Summary.Conflicts, 1) // S9: it freezes the device
		return w, here
	}
	t.Run("delete", func(t *testing.T) {
		w, here := start(t)
		w.settle("", tandem.TakeDelete, nil)
		w.equal(w.device(here).DeletedAt != nil, true)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("recreate", func(t *testing.T) {
		w, here := start(t)
		w.settle("", tandem.TakeRecreate, nil)
		w.equal(w.localOf(w.remoteNamed("renamed").ID).ID, here)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("unlink", func(t *testing.T) {
		w, here := start(t)
		w.settle("", tandem.TakeUnlink, nil)
		w.equal(w.assignment(here).Status, tandem.SyncUnlinked)
		w.equal(w.device(here).Name, "renamed")
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("it converges when the change here is taken back", func(t *testing.T) { // S9
		w, here := start(t)
		w.editLocal(here, func(d *tandem.Device) { d.Name = "gw-000" })
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictConverged})
		w.equal(w.assignment(here).Status, tandem.SyncUnlinked)
	})
	t.Run("and when the device is deleted here too", func(t *testing.T) {
		w, here := start(t)
		w.deleteLocal(here)
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(len(w.conflicts()), 0)
		w.equal(w.assignment(here).Status, tandem.SyncUnlinked)
		w.quiet(tandem.OpBidirectional)
	})
}

// TestS17ChangedThere: remote changed since base is a conflict, which a person settles.
func TestS17ChangedThere(t *testing.T) {
	start := func(t *testing.T) (w *world, here, there string) {
		w, ids := stocked(t, 12, deletingRemote)
		here, there = w.localOf(ids[0]).ID, ids[0]
		w.deleteLocal(here)
		w.editRemote(there, rename("renamed"))
		run := w.sync(tandem.OpBidirectional)
		w.ended(run, tandem.RunPartial)
		w.equal(w.conflict("").Type, tandem.DeletedLocally)
		w.equal(w.hasRemote(there), true)
		w.equal(w.quiet(tandem.OpBidirectional).Summary.Conflicts, 1)
		return w, here, there
	}
	t.Run("delete", func(t *testing.T) {
		w, here, there := start(t)
		w.settle("", tandem.TakeDelete, nil)
		w.equal(w.hasRemote(there), false)
		w.equal(w.assignment(here).Status, tandem.SyncUnlinked)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("recreate brings the device here back", func(t *testing.T) {
		w, here, there := start(t)
		w.settle("", tandem.TakeRecreate, nil)
		w.equal(w.device(here).DeletedAt == nil, true)
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.localOf(there).Name, "renamed")
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("unlink", func(t *testing.T) {
		w, here, there := start(t)
		w.settle("", tandem.TakeUnlink, nil)
		w.equal(w.hasRemote(there), true)
		w.equal(w.assignment(here).Status, tandem.SyncUnlinked)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("it converges when the change there is taken back", func(t *testing.T) { // S9
		w, here, there := start(t)
		w.editRemote(there, rename("gw-000"))
		w.completed(w.sync(tandem.OpBidirectional))
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.hasRemote(there), false)
		w.equal(w.assignment(here).Status, tandem.SyncUnlinked)
		w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictConverged})
	})
	t.Run("it converges when the device comes back here", func(t *testing.T) {
		w, here, there := start(t)
		w.editLocal(here, func(d *tandem.Device) { d.DeletedAt = nil })
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.localOf(there).Name, "renamed")
		w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictConverged})
	})
}
