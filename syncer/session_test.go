package syncer_test

import (
	"slices"
	"testing"
	"time"

	"tandem"
)

// TestLinkAndUnlink by a person's hand; an unlinked device is left alone until it is linked again (S17).
func TestLinkAndUnlink(t *testing.T) {
	w := newWorld(t)
	local := w.local("gate-here")
	remote := w.remote("gate-there")
	other := w.remote("other")
	_, err := w.engine.Link(w.ctx, w.org, w.service.ID, local, remote, "ada")
	w.must(err)
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunPartial) // their names differ (S4)
	w.settle("name", tandem.TakeRemote, nil)
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.device(local).Name, "gate-there")

	_, err = w.engine.Link(w.ctx, w.org, w.service.ID, local, other, "ada")
	w.wantCode(err, tandem.Exists)
	second := w.local("second")
	_, err = w.engine.Link(w.ctx, w.org, w.service.ID, second, remote, "ada")
	w.wantCode(err, tandem.Exists)
	_, err = w.engine.Link(w.ctx, w.org, w.service.ID, second, "65e1f0a1b2c3d4e5f6000000", "ada")
	w.wantCode(err, tandem.NotFound)
	w.wantCode(w.engine.Unlink(w.ctx, w.org, w.service.ID, second, "ada"), tandem.NotFound)

	w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, local, "ada"))
	w.setThere(remote, "name", "moved")
	w.setHere(local, "cohort", "north")
	w.sync(tandem.OpBidirectional)
	w.equal([]any{w.device(local).Name, w.remoteDevice(remote).CohortID, len(w.devices())}, []any{"gate-there", "", 3})
	w.wantCode(w.engine.Unlink(w.ctx, w.org, w.service.ID, local, "ada"), tandem.NotFound)
	_, err = w.engine.Link(w.ctx, w.org, w.service.ID, local, remote, "ada")
	w.must(err)
	w.sync(tandem.OpBidirectional)
	w.equal(w.conflict("name").Type, tandem.InitialMismatch)
	w.deleteLocal(second)
	_, err = w.engine.Link(w.ctx, w.org, w.service.ID, second, other, "ada")
	w.wantCode(err, tandem.Invalid)
}

// TestUnlinkClosesConflicts that nobody can settle any more (S9).
func TestUnlinkClosesConflicts(t *testing.T) {
	w := newWorld(t)
	local, _ := w.disputed(fieldCases[0])
	w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, local, "ada"))
	w.equal([]any{len(w.conflicts()), w.closed()}, []any{0, []tandem.ResolutionStatus{tandem.ConflictSuperseded}})
	w.completed(w.quiet(tandem.OpBidirectional))
}

// TestS13ImportAndIgnoreRemote: what is not linked is let in or hidden one by one, whatever the filters say.
func TestS13ImportAndIgnoreRemote(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.Filters.Name = "gate-*" }))
	a, b, c := w.remote("pump-1"), w.remote("pump-2"), w.remote("pump-3")
	w.remote("gate-1")
	w.local("pump-3", func(d *tandem.Device) { d.DeviceID = "ours-3" })
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.notLinked(), map[string]string{"pump-1": "filtered", "pump-2": "filtered"})
	w.must(w.engine.IgnoreRemote(w.ctx, w.org, w.service.ID, []string{b}, true))
	w.equal(w.notLinked()["pump-2"], "ignored")
	run, err := w.engine.ImportRemote(w.ctx, w.org, w.service.ID, []string{a, b, c, "65e1f0a1b2c3d4e5f6000000"}, "ada")
	w.must(err)
	w.ended(run, tandem.RunPartial) // c is linked already, and one is not there
	w.equal(run.Summary, tandem.Summary{Processed: 4, Successful: 2, Failed: 2, Local: tandem.Counts{Created: 2}})
	w.equal(w.names(), []string{"gate-1", "pump-1", "pump-2", "pump-3"})
	w.equal(len(w.notLinked()), 0)
	w.completed(w.quiet(tandem.OpBidirectional))

	d := w.remote("pump-4")
	w.completed(w.sync(tandem.OpBidirectional))
	w.must(w.engine.IgnoreRemote(w.ctx, w.org, w.service.ID, []string{d}, true))
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.notLinked(), map[string]string{"pump-4": "ignored"})
	w.must(w.engine.IgnoreRemote(w.ctx, w.org, w.service.ID, nil, true))
	told := w.store.(tandem.EventStore)
	for _, ignored := range []bool{false, true, false} {
		_, cursor, err := told.EventsSince(w.ctx, "", 1000)
		w.must(err)
		w.must(w.engine.IgnoreRemote(w.ctx, w.org, w.service.ID, []string{d}, ignored))
		events, _, err := told.EventsSince(w.ctx, cursor, 1000)
		w.must(err)
		if len(events) != 1 || events[0].Kind != "services" || !slices.Equal(events[0].IDs, []string{w.service.ID}) {
			t.Errorf("ignored %t tells %+v", ignored, events)
		}
	}
	w.equal(w.notLinked(), map[string]string{"pump-4": "filtered"})
	w.wantCode(w.engine.IgnoreRemote(w.ctx, w.org, w.service.ID, []string{"65e1f0a1b2c3d4e5f6000000"}, true), tandem.NotFound)
}

// TestCompare puts the three values side by side, and says why where the remote cannot be asked.
func TestCompare(t *testing.T) {
	w := newWorld(t, config(withMetadata))
	id := w.remote("gate", tags("blue"))
	w.setState(id, "info/site", "attic")
	w.completed(w.sync(tandem.OpBidirectional))
	local := w.localOf(id).ID
	w.advance(time.Minute)
	w.setHere(local, "name", "here")
	w.setThere(id, "name", "there")
	list, err := w.engine.Compare(w.ctx, w.org, local)
	w.must(err)
	w.equal(len(list), 1)
	c := list[0]
	w.must(c.RemoteError)
	w.equal([]any{c.Base.Local.Name, c.Local.Name, c.Remote.Name, c.Remote.Tags, c.Remote.Metadata}, []any{"gate", "here", "there", []string{"blue"}, tandem.Map{"site": "attic"}})
	w.deleteRemote(id)
	list, err = w.engine.Compare(w.ctx, w.org, local)
	w.must(err)
	w.wantCode(list[0].RemoteError, tandem.NotFound)
	w.equal(list[0].Remote == nil, true)
	_, err = w.engine.Compare(w.ctx, w.org, w.id())
	w.wantCode(err, tandem.NotFound)
}
