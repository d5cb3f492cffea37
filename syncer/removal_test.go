package syncer_test

import (
	"sync/atomic"
	"testing"

	"tandem"
)

// meanwhile does something once, at the first commit after a device was read directly: between looking
// for it and ending its link.
func (h *hooks) meanwhile(external string, do func()) {
	var looked atomic.Bool
	h.on(nil, func(call, thing string) error {
		if call == "remote read" && thing == external {
			looked.Store(true)
		}
		if looked.Load() && call == "store apply" {
			h.on(nil, nil)
			do()
		}
		return nil
	})
}

// TestS16EditedWhileItVanishes: an edit made here after the run missed the device is not tombstoned with
// it, nor unlinked or written over.
func TestS16EditedWhileItVanishes(t *testing.T) {
	for _, policy := range []tandem.OnRemoteDelete{tandem.UnlinkLocal, tandem.DeleteLocal, tandem.RecreateRemote} {
		t.Run(string(policy), func(t *testing.T) {
			var h hooks
			w, ids := stocked(t, 20, h.hooked(), onRemoteDelete(policy))
			local := w.localOf(ids[0]).ID
			w.deleteRemote(ids[0])
			h.meanwhile(ids[0], func() { w.setHere(local, "name", "edited") })
			run := w.sync(tandem.OpBidirectional)
			w.ended(run, tandem.RunPartial)
			d := w.device(local)
			w.equal([]any{d.Name, d.DeletedAt == nil, d.Lifecycle, w.isLinked(local), w.remoteCount()}, []any{"edited", true, tandem.Active, true, 19})
			w.equal(w.conflict("").Type, tandem.DeletedRemotely)
			w.equal(run.Summary.Processed, 20)
		})
	}
}

// TestS17RestoredWhileItIsDeleted: a tombstone that a person takes back meanwhile is not deleted there.
func TestS17RestoredWhileItIsDeleted(t *testing.T) {
	for name, last := range map[string]string{"after the listing": "store apply", "after the last look": "remote read"} {
		t.Run(name, func(t *testing.T) {
			var h hooks
			w, ids := stocked(t, 20, h.hooked(), deletingRemote)
			local := w.localOf(ids[0]).ID
			w.deleteLocal(local)
			var listed atomic.Bool
			h.on(nil, func(call, thing string) error {
				if call == "remote list" {
					listed.Store(true)
				}
				if listed.Load() && call == last && (thing == "" || thing == ids[0]) {
					h.on(nil, nil)
					w.editLocal(local, func(d *tandem.Device) { d.DeletedAt = nil })
				}
				return nil
			})
			w.editRemote(ids[1], rename("something to commit"))
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal([]bool{w.hasRemote(ids[0]), w.isLinked(local)}, []bool{true, true})
			if last == "store apply" {
				w.equal(run.Summary.Processed, 20)
			}
			w.quiet(tandem.OpBidirectional)
		})
	}
}
