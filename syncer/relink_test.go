package syncer_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/syncer"
)

// relinked links a device to another remote one, as a person would.
func (w *world) relinked(local, external string) {
	w.t.Helper()
	w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, local, "ada"))
	_, err := w.engine.Link(w.ctx, w.org, w.service.ID, local, external, "ada")
	w.must(err)
}

// TestS29RevertOfWhatIsLinkedElsewhere leaves the other device alone, whatever the run had done to the one before.
func TestS29RevertOfWhatIsLinkedElsewhere(t *testing.T) {
	for name, do := range map[string]struct {
		prepare func(w *world) (local string) // before the run
		edit    func(w *world, local string)
	}{
		"create": {edit: func(*world, string) {}, prepare: func(w *world) string { return w.local("gate") }},
		"link": {edit: func(*world, string) {}, prepare: func(w *world) string {
			w.remote("gate")
			return w.local("gate")
		}},
		"update there": {edit: func(w *world, local string) { w.setHere(local, "tags", []string{"blue"}) }, prepare: func(w *world) string {
			id := w.remote("gate")
			w.completed(w.sync(tandem.OpBidirectional))
			return w.localOf(id).ID
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.CreateRemote = true }))
			local := do.prepare(w)
			do.edit(w, local)
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			first := w.assignment(local).ExternalDeviceID
			w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, local, "ada"))
			w.deleteRemote(first)
			other := w.remote("gate", hardware("hw-gate")) // a twin in every respect
			w.editRemote(other, tandem.RemotePatch{AddTagIDs: w.tags(w.device(local).Tags...)})
			_, err := w.engine.Link(w.ctx, w.org, w.service.ID, local, other, "ada")
			w.must(err)
			w.completed(w.sync(tandem.OpBidirectional))
			w.advance(time.Minute)
			undone, err := w.engine.Revert(w.ctx, w.org, run.ID, "ada", nil)
			w.must(err)
			w.ended(undone, tandem.RunPartial)
			w.equal(undone.Summary.Remote, tandem.Counts{})
			w.equal([]bool{w.hasRemote(other), w.isLinked(local)}, []bool{true, true})
			w.equal(len(w.remoteTags(other)), len(w.device(local).Tags))
		})
	}
}

// TestS6TwoWritesShortlyAfterEachOther: what either of them replaced may be read for a while yet, and is no edit.
func TestS6TwoWritesShortlyAfterEachOther(t *testing.T) {
	w := newWorld(t)
	id := w.remote("gate")
	w.entity(tandem.BlueprintEntity, "big")
	w.completed(w.sync(tandem.OpBidirectional))
	local := w.localOf(id).ID
	w.setHere(local, "name", "renamed")
	_, err := w.run(request(w))
	w.must(err)
	w.advance(5 * time.Second)
	w.setHere(local, "blueprint", "big")
	_, err = w.run(request(w))
	w.must(err)
	w.equal(w.assignment(local).WrittenOver, map[tandem.Path]any{"name": "gate", "blueprint": ""})
	w.advance(time.Minute)
	w.setHere(local, "name", "again")
	_, err = w.run(request(w))
	w.must(err)
	w.equal(w.assignment(local).WrittenOver, map[tandem.Path]any{"name": "renamed"})
}

// TestS17UnlinkedWhileARunIsAtIt stays unlinked, whatever the run is just doing with the device.
func TestS17UnlinkedWhileARunIsAtIt(t *testing.T) {
	for _, when := range []string{"read", "write"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			var h hooks
			w := newWorld(t, h.hooked())
			ids := w.remotes("gate", 3)
			w.completed(w.sync(tandem.OpBidirectional))
			local := w.localOf(ids[0]).ID
			w.setHere(local, "tags", []string{"blue"})
			call := map[string]string{"read": "remote read", "write": "remote update"}[when]
			h.on(nil, func(c, thing string) error {
				if c != call || thing != ids[0] {
					return nil
				}
				h.on(nil, nil)
				err := w.engine.Unlink(w.ctx, w.org, w.service.ID, local, "ada")
				if when == "read" {
					w.must(err)
					return nil
				}
				w.wantCode(err, tandem.Busy) // the write is under way
				w.intentsEnded()
				w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, local, "ada"))
				return nil
			})
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal(w.assignment(local).Status, tandem.SyncUnlinked)
			written := when == "write"
			w.equal([]int{len(w.remoteTags(ids[0])), w.count(run, tandem.ActUpdate, tandem.OutcomeDone), len(w.intents())}, []int{one(written), one(written), 0})
			w.quiet(tandem.OpBidirectional)
			w.equal(w.assignment(local).Status, tandem.SyncUnlinked)
		})
	}
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// TestS24IntentOfALinkThatIsNoMore is settled as what it was: it tells what it did, and does nothing to
// a device that a person unlinked, or linked to another, meanwhile.
func TestS24IntentOfALinkThatIsNoMore(t *testing.T) {
	for name, c := range map[string]struct{ written, linked bool }{
		"unlinked, not written": {}, "unlinked, written": {written: true},
		"linked elsewhere, not written": {linked: true}, "linked elsewhere, written": {written: true, linked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h hooks
			w := newWorld(t, h.hooked(), withEngine(func(e *syncer.Engine) { e.WriteTimeout = 20 * time.Millisecond }))
			ids := w.remotes("gate", 3)
			other := w.remote("other")
			w.completed(w.sync(tandem.OpBidirectional))
			local := w.localOf(ids[0]).ID
			twin := w.localOf(other).ID
			w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, twin, "ada"))
			w.setHere(local, "tags", []string{"blue"})
			var lost atomic.Bool
			dead := func(call, thing string) error {
				if call == "remote update" {
					lost.Store(true)
				}
				if lost.Load() && thing == ids[0] {
					return tandem.Errorf(tandem.Timeout, "test", "", "no answer")
				}
				return nil
			}
			if c.written {
				h.on(nil, dead)
			} else {
				h.on(dead, nil)
			}
			run := w.sync(tandem.OpBidirectional)
			w.ended(run, tandem.RunPartial)
			h.on(nil, nil)
			w.equal(len(w.intents()), 1)
			w.intentsEnded()
			want := tandem.SyncUnlinked
			if c.linked {
				fresh := w.remote("fresh")
				w.relinked(local, fresh)
				want = tandem.SyncPending
			} else {
				w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, local, "ada"))
			}
			before := w.assignment(local)
			w.equal(before.Status, want)
			// A run about another device settles the intent all the same.
			_, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional, DeviceIDs: []string{w.localOf(ids[1]).ID}})
			w.must(err)
			w.equal([]int{len(w.intents()), w.count(run, tandem.ActUpdate, tandem.OutcomeDone)}, []int{0, one(c.written)})
			w.equal(w.assignment(local), before)
			w.equal(w.device(local).Name, "gate-000")
		})
	}
}

// TestS14LinkedWhileItIsCreated waits for the create; where the two cross after all, what was created is
// named, and the run goes on with the others.
func TestS14LinkedWhileItIsCreated(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked(), config(func(c *tandem.ServiceConfig) { c.CreateRemote, c.CreateLocal = true, false }))
	w.remotes("gate", 3)
	w.completed(w.sync(tandem.OpBidirectional))
	here := w.local("made")
	w.local("second")
	other := w.remote("other")
	h.on(nil, func(call, thing string) error {
		if call != "remote create" || thing != "made" {
			return nil
		}
		h.on(nil, nil)
		_, err := w.engine.Link(w.ctx, w.org, w.service.ID, here, other, "ada")
		w.wantCode(err, tandem.Busy)
		now := w.now()
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{CreateAssignments: []tandem.Assignment{{ID: w.id(), OrganizationID: w.org, DeviceID: here,
			ServiceID: w.service.ID, ExternalDeviceID: other, Status: tandem.SyncPending, SyncEnabled: true, Version: 1, CreatedAt: now, UpdatedAt: now}}}))
		return nil
	})
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunPartial)
	made := w.remoteNamed("made").ID
	w.equal([]any{w.assignment(here).ExternalDeviceID, len(w.intents()), w.hasNamed("second"), run.Summary.Remote.Created, run.Summary.Failed},
		[]any{other, 0, true, 1, 1})
	if told := strings.Join(w.told(run), "\n"); !strings.Contains(told, made) {
		t.Errorf("the run does not name %s:\n%s", made, told)
	}
}
