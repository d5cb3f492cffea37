package syncer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem"
)

// renameEntity renames a tag, blueprint or cohort there; its id stays.
func (w *world) renameEntity(kind tandem.EntityKind, from, to string) {
	w.t.Helper()
	w.must(w.sim.RenameEntity(w.project, kind, w.entity(kind, from), to))
}

// TestS33Renamed: same id, new name is one rename: one entry, and every device here follows, edited or not.
func TestS33Renamed(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run("tags on "+name, func(t *testing.T) {
			w := newWorld(t, options...)
			w.remotes("plain", 3)
			kept, cut, added := w.remote("kept", tags("blue", "round")), w.remote("cut", tags("blue")), w.remote("added", tags("blue"))
			w.completed(w.sync(tandem.OpBidirectional))
			w.editLocal(w.localOf(cut).ID, func(d *tandem.Device) { d.Tags = nil })
			w.editLocal(w.localOf(added).ID, func(d *tandem.Device) { d.Tags = append(d.Tags, "new") })
			w.renameEntity(tandem.TagEntity, "blue", "navy")
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal(w.count(run, tandem.ActRename, tandem.OutcomeDone), 1)
			w.equal(w.localOf(kept).Tags, []string{"navy", "round"})
			w.equal(w.remoteTags(cut), []string{})
			w.equal(len(w.localOf(cut).Tags), 0)
			w.equal(w.localOf(added).Tags, []string{"navy", "new"})
			w.equal(w.remoteTags(added), []string{"navy", "new"})
			w.quiet(tandem.OpBidirectional)
		})
	}
	t.Run("blueprint and cohort", func(t *testing.T) {
		w := newWorld(t)
		w.remotes("plain", 10)
		id, moved := w.remote("gw", blueprint("gateway"), cohort("early")), w.remote("moved", cohort("early"))
		w.entity(tandem.CohortEntity, "late")
		w.completed(w.sync(tandem.OpBidirectional))
		w.editLocal(w.localOf(moved).ID, func(d *tandem.Device) { d.Cohort = "late" })
		w.renameEntity(tandem.BlueprintEntity, "gateway", "gateway-2")
		w.renameEntity(tandem.CohortEntity, "early", "first")
		run := w.sync(tandem.OpBidirectional)
		w.completed(run)
		w.equal(w.count(run, tandem.ActRename, tandem.OutcomeDone), 2)
		w.equal([]string{w.localOf(id).Blueprint, w.localOf(id).Cohort}, []string{"gateway-2", "first"})
		w.equal(w.localOf(moved).Cohort, "late")
		w.equal(w.remoteDevice(moved).CohortID, "late")
		w.equal(len(w.conflicts()), 0)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("swapped names", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.remote("a", tags("blue")), w.remote("b", tags("red"))
		w.completed(w.sync(tandem.OpBidirectional))
		blue, red := w.entity(tandem.TagEntity, "blue"), w.entity(tandem.TagEntity, "red")
		for _, to := range [][2]string{{blue, "between"}, {red, "blue"}, {blue, "red"}} {
			w.must(w.sim.RenameEntity(w.project, tandem.TagEntity, to[0], to[1]))
		}
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.localOf(a).Tags, []string{"red"})
		w.equal(w.localOf(b).Tags, []string{"blue"})
		w.equal(w.remoteTags(a), []string{"red"})
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("an export does not follow, the next import does", func(t *testing.T) {
		w := newWorld(t)
		id := w.remote("a", tags("blue"))
		w.completed(w.sync(tandem.OpBidirectional))
		w.renameEntity(tandem.TagEntity, "blue", "navy")
		w.completed(w.sync(tandem.OpExport))
		w.equal(w.localOf(id).Tags, []string{"blue"})
		w.equal(w.remoteTags(id), []string{"navy"})
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.localOf(id).Tags, []string{"navy"})
		w.equal(w.remoteTags(id), []string{"navy"})
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("the old name lives on as another tag", func(t *testing.T) {
		w := newWorld(t)
		id := w.remote("a", tags("blue"))
		w.completed(w.sync(tandem.OpBidirectional))
		w.renameEntity(tandem.TagEntity, "blue", "navy")
		w.editRemote(id, tandem.RemotePatch{AddTagIDs: w.tags("blue")})
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.localOf(id).Tags, []string{"blue", "navy"})
		w.equal(w.remoteTags(id), []string{"blue", "navy"})
		w.quiet(tandem.OpBidirectional)
	})
}

// TestS33TagsCreated: a tag here that the service lacks is created there once, for however many devices.
func TestS33TagsCreated(t *testing.T) {
	w, ids := stocked(t, 20)
	for _, id := range ids {
		w.editLocal(w.localOf(id).ID, func(d *tandem.Device) { d.Tags = []string{"new", "newer"} })
	}
	w.requests()
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.requests().ByRoute["POST /v1/projects/{project}/tags"], 2)
	w.equal(w.remoteTags(ids[19]), []string{"new", "newer"})
	w.quiet(tandem.OpBidirectional)
}

// TestS33TagRefused: what the remote cannot hold is drift: told once, the rest goes through.
func TestS33TagRefused(t *testing.T) {
	for name, created := range map[string]bool{"on an existing device": false, "on a new device": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, creating)
			var there, here string
			refused := func(d *tandem.Device) { d.Tags = []string{"Not A Tag!", "fine"}; d.Enabled = false }
			w.remotes("other", 9)
			if created {
				here = w.local("gw-1", refused)
			} else {
				there = w.remote("gw-1")
				w.completed(w.sync(tandem.OpBidirectional))
				here = w.localOf(there).ID
				w.editLocal(here, refused)
			}
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			there = w.assignment(here).ExternalDeviceID
			w.equal(w.remoteTags(there), []string{"fine"})
			w.equal(w.remoteDevice(there).Enabled, false)
			w.equal(w.device(here).Tags, []string{"Not A Tag!", "fine"})
			if n := w.count(run, tandem.ActDrift, tandem.OutcomeHeld); n == 0 {
				t.Errorf("nothing tells of the drift:\n%s", strings.Join(w.told(run), "\n"))
			}
			w.requests()
			w.quiet(tandem.OpBidirectional)
			// A further tag goes, though the refused one is still there.
			w.editLocal(here, func(d *tandem.Device) { d.Tags = append(d.Tags, "more") })
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteTags(there), []string{"fine", "more"})
			w.quiet(tandem.OpBidirectional)
			// And drift ends with its cause.
			w.editLocal(here, func(d *tandem.Device) { d.Tags = []string{"fine", "more"} })
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(len(w.assignment(here).Drift), 0)
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS33MissingEntity: a blueprint or cohort that the service lacks is drift until it is there.
func TestS33MissingEntity(t *testing.T) {
	w, ids := stocked(t, 10)
	here := w.localOf(ids[0]).ID
	w.editLocal(here, func(d *tandem.Device) { d.Cohort, d.Blueprint, d.Name = "early", "gateway", "renamed" })
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	w.equal(w.count(run, tandem.ActDrift, tandem.OutcomeHeld), 2)
	w.equal(w.remoteDevice(ids[0]).Name, "renamed")
	w.quiet(tandem.OpBidirectional)
	w.entity(tandem.CohortEntity, "early")
	w.entity(tandem.BlueprintEntity, "gateway")
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteDevice(ids[0]).CohortID, "early")
	w.equal(w.remoteDevice(ids[0]).BlueprintID, w.entity(tandem.BlueprintEntity, "gateway"))
	w.quiet(tandem.OpBidirectional)
}

// TestS33Unresolvable: an id that no listing explains fails that field alone; it is no removal.
func TestS33Unresolvable(t *testing.T) {
	w := newWorld(t, unknown("in-use=leave"), unknown("bad-id=404"))
	w.remotes("other", 9)
	id := w.remote("gw-1", tags("blue", "round"), blueprint("gateway"))
	w.completed(w.sync(tandem.OpBidirectional))
	here := w.localOf(id).ID
	w.must(w.sim.DeleteEntity(w.project, tandem.TagEntity, w.entity(tandem.TagEntity, "blue")))
	w.must(w.sim.DeleteEntity(w.project, tandem.BlueprintEntity, w.entity(tandem.BlueprintEntity, "gateway")))
	w.editRemote(id, rename("gw-2"))
	late := w.remote("late")
	w.editRemote(late, tandem.RemotePatch{})
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunPartial)
	w.equal(w.device(here).Name, "gw-2") // the other fields merge
	w.equal(w.device(here).Tags, []string{"blue", "round"})
	w.equal(w.device(here).Blueprint, "gateway")
	w.equal(w.count(run, tandem.ActRead, tandem.OutcomeFailed), 2)
	w.equal(run.Summary.Failed, 1) // one device
	w.equal(run.Summary.Processed, run.Summary.Failed+run.Summary.Successful)
	w.equal(w.assignment(here).Status, tandem.SyncError)
}

// TestS33UnresolvableNewcomer: a new device with such an id is let in without that field.
func TestS33UnresolvableNewcomer(t *testing.T) {
	w := newWorld(t, unknown("in-use=leave"))
	id := w.remote("gw-1", tags("alpha", "blue"), cohort("early"))
	w.must(w.sim.DeleteEntity(w.project, tandem.TagEntity, w.entity(tandem.TagEntity, "blue")))
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunPartial)
	w.equal(w.localOf(id).Cohort, "early")
	w.equal(len(w.localOf(id).Tags), 0)
	w.equal(w.count(run, tandem.ActRead, tandem.OutcomeFailed), 1)
	// Once the tag can be resolved, both sides unite (S4).
	w.editRemote(id, tandem.RemotePatch{RemoveTagIDs: func() []string {
		var gone []string
		for _, tag := range w.remoteDevice(id).TagIDs {
			if tag != w.entity(tandem.TagEntity, "alpha") {
				gone = append(gone, tag)
			}
		}
		return gone
	}()})
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.localOf(id).Tags, []string{"alpha"})
	w.quiet(tandem.OpBidirectional)
}

// TestS33Malformed: a device that cannot be read fails alone, with its id and the reason; the rest of its page goes on.
func TestS33Malformed(t *testing.T) {
	t.Run("linked", func(t *testing.T) {
		w, ids := stocked(t, 30)
		for i, id := range ids {
			w.editRemote(id, rename(fmt.Sprintf("new-%d", i)))
		}
		w.fault("bad-device:GET /devices:count=1")
		run := w.sync(tandem.OpBidirectional)
		w.fault()
		w.ended(run, tandem.RunPartial)
		w.equal(run.Summary, tandem.Summary{Processed: 30, Successful: 29, Failed: 1, Local: tandem.Counts{Updated: 29}})
		w.equal(w.details(run).Listing.Complete, true)
		for _, e := range w.entries(run) {
			if e.Outcome == tandem.OutcomeFailed && (e.ExternalDeviceID == "" || e.Error == "" || e.DeviceID == "") {
				t.Errorf("the entry does not say which device, or why: %+v", e)
			}
		}
		w.completed(w.sync(tandem.OpBidirectional))
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("new", func(t *testing.T) {
		w := newWorld(t)
		w.remotes("gw", 30)
		w.fault("bad-device:GET /devices:count=1")
		run := w.sync(tandem.OpBidirectional)
		w.fault()
		w.ended(run, tandem.RunPartial)
		w.equal(run.Summary, tandem.Summary{Processed: 30, Successful: 29, Failed: 1, Local: tandem.Counts{Created: 29}})
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(len(w.devices()), 30)
	})
	t.Run("a whole page that is no JSON fails the run, and nothing is lost", func(t *testing.T) {
		w, _ := stocked(t, 12)
		before := w.versions()
		w.fault("malformed:GET /devices")
		run, err := w.run(request(w))
		w.fault()
		w.wantCode(err, tandem.Malformed)
		w.equal(run.Status, tandem.RunFailed)
		w.equal(w.versions(), before)
		w.completed(w.quiet(tandem.OpBidirectional))
	})
}

// TestS20WordsAreReadWhileATagIsMade: creating a tag there holds up nobody who only reads the words.
func TestS20WordsAreReadWhileATagIsMade(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked())
	ids := []string{w.remote("one"), w.remote("two", tags("red"))}
	w.completed(w.sync(tandem.OpBidirectional))
	w.setHere(w.localOf(ids[0]).ID, "tags", []string{"blue"})
	w.setHere(w.localOf(ids[1]).ID, "enabled", false)
	written := make(chan struct{})
	h.on(func(call, thing string) error {
		switch {
		case call == "remote tag": // until the other device was written
			select {
			case <-written:
			case <-time.After(10 * time.Second):
				t.Error("the other device waits for the tag")
			}
		case call == "remote update" && thing == ids[1]:
			close(written)
		}
		return nil
	}, nil)
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteTags(ids[0]), []string{"blue"})
}
