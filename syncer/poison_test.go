package syncer_test

import (
	"testing"

	"tandem"
)

// TestS24ThirdValueUnderASettlement: the reply of a settlement's write is lost, and before it is looked for
// someone writes a third value there. The conflict is asked about again, in one row, by every later run.
func TestS24ThirdValueUnderASettlement(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked(), config(withMetadata))
	id := w.remotes("gate", 3)[0]
	const room = tandem.Path("metadata/site/room")
	w.setState(id, "info/site/room", "attic")
	w.completed(w.sync(tandem.OpBidirectional))
	local := w.localOf(id).ID
	w.setHere(local, room, "here")
	w.setState(id, "info/site/room", "there")
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	asked := w.conflict(room)
	lost := false
	h.on(func(call, _ string) error {
		switch {
		case call == "remote set state":
			lost = true
			w.setState(id, "info/site/room", "third")
		case !lost || call == "store apply":
			return nil
		}
		return tandem.Errorf(tandem.Timeout, "test", "", "no answer")
	}, nil)
	_, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{ServiceID: w.service.ID}, Take: tandem.TakeLocal, By: "ada"})
	w.must(err)
	h.on(nil, nil)
	w.equal(len(w.intents()), 1)
	for range 2 {
		w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
		w.equal(len(w.intents()), 0)
		c := w.conflict(room)
		w.equal(c.ID, asked.ID)
		w.equal(c.Status, tandem.ConflictPending)
		w.equal(string(c.RemoteValue), `"third"`)
		w.equal(len(w.conflicts()), 1)
	}
	w.settle(room, tandem.TakeRemote, nil)
	w.completed(w.sync(tandem.OpBidirectional))
	w.quiet(tandem.OpBidirectional)
}

// TestS26OneWriteThatCannotBeRecovered keeps its device back, and nothing else.
func TestS26OneWriteThatCannotBeRecovered(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked(), config(withMetadata))
	ids := w.remotes("gate", 5)
	w.completed(w.sync(tandem.OpBidirectional))
	w.setHere(w.localOf(ids[0]).ID, "metadata/room", "here")
	h.dieAt("remote set state")
	_, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
	w.wantCode(err, tandem.Internal)
	h.resurrect(w)
	w.equal(len(w.intents()), 1)
	h.on(func(call, thing string) error {
		if call == "remote state" && thing == ids[0] {
			return tandem.Errorf(tandem.Malformed, "test", thing, "its state cannot be read")
		}
		return nil
	}, nil)
	w.setHere(w.localOf(ids[1]).ID, "name", "renamed")
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal(w.remoteDevice(ids[1]).Name, "renamed")
	w.equal(len(w.intents()), 1)
	h.on(nil, nil)
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.state(ids[0], "info/room"), any("here"))
	w.equal(len(w.intents()), 0)
}
