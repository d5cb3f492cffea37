package syncer_test

import (
	"testing"
	"time"

	"tandem"
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
