package syncer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/merge"
)

// metadataAt syncs metadata with a LightDB State path.
func metadataAt(path string) option {
	return config(func(c *tandem.ServiceConfig) { c.Paths.Metadata = "state:" + path })
}

type object = map[string]any

// like reports a JSON value that is not as expected, by value.
func (w *world) like(got, want any) {
	w.t.Helper()
	if !merge.Equal(got, want) {
		w.t.Errorf("got %v, want %v", got, want)
	}
}

// stateRequests counts the device-by-device state reads since the counts were reset.
func (w *world) stateReads() int {
	n := 0
	for route, k := range w.requests().ByRoute {
		if strings.HasPrefix(route, "GET ") && strings.Contains(route, "{device}/data") {
			n += k
		}
	}
	return n
}

// TestMetadataInListing: whatever shape a listing's data has, metadata merges leaf by leaf, with no more
// reads than it takes to recognize that shape; where there is none, device by device.
func TestMetadataInListing(t *testing.T) {
	for _, shape := range []string{"nested", "value", "keyed", "null"} {
		for _, path := range []string{"meta", "device/info"} {
			t.Run(shape+" at "+path, func(t *testing.T) {
				w := newWorld(t, unknown("listing-data="+shape), metadataAt(path))
				ids := w.remotes("gw", 130)
				for i, id := range ids[:120] {
					w.setState(id, path, object{"site": object{"floor": i, "name": "hall"}, "on": true})
					w.setState(id, "other", "not ours")
				}
				w.requests()
				w.completed(w.sync(tandem.OpBidirectional))
				if n := w.stateReads(); shape != "null" && n > 3 || shape == "null" && n != 130 {
					t.Errorf("%d state reads", n)
				}
				w.like(w.localOf(ids[7]).Metadata, object{"site": object{"floor": 7, "name": "hall"}, "on": true})
				w.equal(len(w.localOf(ids[125]).Metadata), 0)
				w.quiet(tandem.OpBidirectional)

				// Each side edits another leaf; the device adds one; here one goes.
				w.setState(ids[7], path+"/site/floor", 70)
				w.setState(ids[7], path+"/added", "there")
				w.editLocal(w.localOf(ids[7]).ID, func(d *tandem.Device) {
					d.Metadata = object{"site": object{"floor": 7, "name": "annex"}}
				})
				w.editLocal(w.localOf(ids[125]).ID, func(d *tandem.Device) { d.Metadata = object{"fresh": object{"from": "here"}} })
				run := w.sync(tandem.OpBidirectional)
				w.completed(run)
				want := object{"site": object{"floor": 70, "name": "annex"}, "added": "there"}
				w.like(w.localOf(ids[7]).Metadata, want)
				w.like(w.state(ids[7], path), want)
				w.like(w.state(ids[7], "other"), "not ours")
				w.like(w.state(ids[125], path), object{"fresh": object{"from": "here"}})
				w.quiet(tandem.OpBidirectional)
			})
		}
	}
}

// TestMetadataWrites: whether a state write merges or replaces is unknown of the remote; nothing depends on it.
func TestMetadataWrites(t *testing.T) {
	for _, how := range []string{"merge", "replace"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, unknown("state-write="+how), unknown("state-patch="+how), metadataAt("meta"), creating)
			here := w.local("gw-1", func(d *tandem.Device) {
				d.Metadata = object{"a": object{"b": 1, "c": object{"d": "x"}}, "list": []any{1, 2}}
			})
			w.completed(w.sync(tandem.OpBidirectional))
			id := w.assignment(here).ExternalDeviceID
			w.like(w.state(id, "meta"), object{"a": object{"b": 1, "c": object{"d": "x"}}, "list": []any{1, 2}})
			w.quiet(tandem.OpBidirectional)
			w.editLocal(here, func(d *tandem.Device) {
				d.Metadata = object{"a": object{"b": 2, "c": object{"e": "y"}}, "list": []any{3}, "n": object{"deep": object{"er": true}}}
			})
			w.completed(w.sync(tandem.OpBidirectional))
			w.like(w.state(id, "meta"), object{"a": object{"b": 2, "c": object{"e": "y"}}, "list": []any{3}, "n": object{"deep": object{"er": true}}})
			w.quiet(tandem.OpBidirectional)
			w.editLocal(here, func(d *tandem.Device) { d.Metadata = nil })
			w.completed(w.sync(tandem.OpBidirectional))
			w.like(w.state(id, "meta"), nil)
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestMetadataConflict: the same leaf changed on both sides is a conflict of that leaf alone.
func TestMetadataConflict(t *testing.T) {
	for _, shape := range []string{"nested", "null"} {
		t.Run(shape, func(t *testing.T) {
			w := newWorld(t, unknown("listing-data="+shape), metadataAt("meta"))
			id := w.remote("gw-1")
			w.setState(id, "meta", object{"a": 1, "b": 1})
			w.completed(w.sync(tandem.OpBidirectional))
			here := w.localOf(id).ID
			w.setState(id, "meta", object{"a": 2, "b": 2})
			w.editLocal(here, func(d *tandem.Device) { d.Metadata = object{"a": 3, "b": 1} })
			run := w.sync(tandem.OpBidirectional)
			w.ended(run, tandem.RunPartial)
			w.equal(run.Summary.Conflicts, 1)
			w.equal(w.conflict("metadata/a").Type, tandem.ConcurrentModification)
			w.like(w.device(here).Metadata, object{"a": 3, "b": 2})
			w.equal(w.quiet(tandem.OpBidirectional).Summary.Conflicts, 1)
			w.settle("metadata/a", tandem.TakeValue, 4)
			w.like(w.device(here).Metadata, object{"a": 4, "b": 2})
			w.like(w.state(id, "meta"), object{"a": 4, "b": 2})
			w.completed(w.quiet(tandem.OpBidirectional))
		})
	}
}

// TestStateReads: where the listing has no state, a run reads so many devices as it may, least recently read
// first, and says how many it left for later.
func TestStateReads(t *testing.T) {
	w := newWorld(t, unknown("listing-data=null"), metadataAt("meta"), config(func(c *tandem.ServiceConfig) { c.StateReads = 4 }))
	ids := w.remotes("gw", 10)
	for i, id := range ids {
		w.setState(id, "meta", object{"n": i})
	}
	read := func() (n int) {
		for _, d := range w.devices() {
			if len(d.Metadata) > 0 {
				n++
			}
		}
		return n
	}
	w.requests()
	for i, want := range []int{4, 8, 10} {
		run := w.sync(tandem.OpBidirectional)
		w.completed(run)
		w.equal(read(), want)
		w.equal(w.details(run).StateRead, 4)
		w.equal(w.details(run).StateLeft, 6)
		if i == 0 {
			w.equal(w.stateReads() <= 4+3, true) // and what it took to look at the listing's shape
		}
	}
	// Nobody is forgotten: within three runs every device is read again.
	for i, id := range ids {
		w.setState(id, "meta", object{"n": 100 + i})
	}
	for range 3 {
		w.completed(w.sync(tandem.OpBidirectional))
	}
	for i, id := range ids {
		w.like(w.localOf(id).Metadata, object{"n": 100 + i})
	}
	// An edit here is sent at once, whoever's turn it is.
	for _, id := range ids {
		w.editLocal(w.localOf(id).ID, func(d *tandem.Device) { d.Metadata = object{"n": "here"} })
	}
	w.completed(w.sync(tandem.OpBidirectional))
	for _, id := range ids {
		w.like(w.state(id, "meta"), object{"n": "here"})
	}
}

// TestS6NullRoot: nothing at all where there was something is unknown, and told; it empties nothing.
func TestS6NullRoot(t *testing.T) {
	for _, shape := range []string{"nested", "null"} {
		t.Run(shape, func(t *testing.T) {
			w := newWorld(t, unknown("listing-data="+shape), metadataAt("meta"))
			id, other := w.remote("gw-1"), w.remote("gw-2")
			w.setState(id, "meta", object{"a": 1})
			w.setState(other, "meta", object{"a": 1})
			w.completed(w.sync(tandem.OpBidirectional))
			w.must(w.sim.DeleteState(w.project, id, "meta"))
			run := w.quiet(tandem.OpBidirectional)
			w.like(w.localOf(id).Metadata, object{"a": 1})
			if d := w.details(run); len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "gw-1") {
				t.Errorf("nothing tells of it: %q", d.Warnings)
			}
			// The document is there again with another value: that is an edit.
			w.setState(id, "meta", object{"b": 2})
			w.completed(w.sync(tandem.OpBidirectional))
			w.like(w.localOf(id).Metadata, object{"b": 2})
			// A leaf that goes while others stay is removed.
			w.setState(other, "meta", object{"x": 1})
			w.completed(w.sync(tandem.OpBidirectional))
			w.like(w.localOf(other).Metadata, object{"x": 1})
		})
	}
}

// TestS6Unread: what was not read in this run is not merged, and does not look empty.
func TestS6Unread(t *testing.T) {
	w := newWorld(t, unknown("listing-data=null"), metadataAt("meta"))
	id := w.remote("gw-1")
	w.setState(id, "meta", object{"a": 1})
	w.completed(w.sync(tandem.OpBidirectional))
	w.editRemote(id, rename("gw-2"))
	w.fault("503:GET /devices/{id}/data/*")
	run := w.sync(tandem.OpBidirectional)
	w.fault()
	w.ended(run, tandem.RunPartial)
	w.like(w.localOf(id).Metadata, object{"a": 1})
	w.equal(w.localOf(id).Name, "gw-2")
	w.completed(w.sync(tandem.OpBidirectional))
	w.quiet(tandem.OpBidirectional)
}

// TestS6Settle: reading the value from before our own write, within the settle window, is not an edit.
func TestS6Settle(t *testing.T) {
	t.Run("of the listing", func(t *testing.T) {
		w, ids := stocked(t, 10)
		here := w.localOf(ids[0]).ID
		w.editLocal(here, func(d *tandem.Device) { d.Name, d.Tags = "new", []string{"blue"} })
		w.completed(w.sync(tandem.OpBidirectional))
		// A console user puts the old name back at once: it cannot be told from a stale read.
		w.editRemote(ids[0], rename("gw-000"))
		w.advance(time.Second)
		run, err := w.run(request(w))
		w.must(err)
		w.completed(run)
		w.equal(w.device(here).Name, "new")
		w.equal(w.remoteDevice(ids[0]).Name, "gw-000")
		// When the window is over it is an edit like any other.
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.device(here).Name, "gw-000")
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("a third value is an edit at once", func(t *testing.T) {
		w, ids := stocked(t, 10)
		here := w.localOf(ids[0]).ID
		w.editLocal(here, func(d *tandem.Device) { d.Name = "new" })
		w.completed(w.sync(tandem.OpBidirectional))
		w.editRemote(ids[0], rename("third"))
		run, err := w.run(request(w))
		w.must(err)
		w.completed(run)
		w.equal(w.device(here).Name, "third")
	})
	t.Run("of the state", func(t *testing.T) {
		w := newWorld(t, metadataAt("meta"), simulated(func(o *simulator.Options) { o.Unknowns.StateDelay = 5 * time.Second }))
		id := w.remote("gw-1")
		w.setState(id, "meta", object{"a": 1})
		w.advance(10 * time.Second)
		w.completed(w.sync(tandem.OpBidirectional))
		here := w.localOf(id).ID
		w.editLocal(here, func(d *tandem.Device) { d.Metadata = object{"a": 2} })
		w.completed(w.sync(tandem.OpBidirectional))
		run, err := w.run(request(w)) // the state still reads as before
		w.must(err)
		w.completed(run)
		w.like(w.device(here).Metadata, object{"a": 2})
		w.quiet(tandem.OpBidirectional)
		w.like(w.state(id, "meta"), object{"a": 2})
	})
}

// TestS6UnknownFields: what replies hold beyond what is known here changes nothing.
func TestS6UnselectedFields(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.Fields = tandem.FieldSet(tandem.FieldName) }))
	id := w.remote("gw-1", tags("blue"), cohort("early"))
	w.completed(w.sync(tandem.OpBidirectional))
	here := w.localOf(id).ID
	w.equal(len(w.device(here).Tags), 0)
	w.editRemote(id, tandem.RemotePatch{AddTagIDs: w.tags("round")})
	w.editLocal(here, func(d *tandem.Device) { d.Enabled, d.Cohort = false, "mine" })
	w.must(w.sim.Report(w.project, id, simulator.Activity{Version: "1.2.3"}))
	w.quiet(tandem.OpBidirectional)
	w.equal(w.remoteDevice(id).Enabled, true)
	w.equal(w.device(here).LastSeen == nil, true)
	w.equal(len(w.device(here).Firmware), 0)

	// Switched on, they merge as without a base (S4): sets unite, the empty side takes the other, the rest is asked.
	w.configure(func(c *tandem.ServiceConfig) { c.Fields = tandem.AllFields })
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal(w.device(here).Tags, []string{"blue", "round"})
	w.equal(w.conflict("cohort").Type, tandem.InitialMismatch)
	w.equal(w.conflict("enabled").Type, tandem.InitialMismatch)

	// Switched off again, the base goes and the conflicts close.
	w.configure(func(c *tandem.ServiceConfig) { c.Fields = tandem.FieldSet(tandem.FieldName) })
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictSuperseded, tandem.ConflictSuperseded})
	w.equal(w.assignment(here).Base.Local.Known, tandem.FieldSet(tandem.FieldName))
	w.quiet(tandem.OpBidirectional)
}

// TestMetadataKeys: what LightDB State cannot hold is drift, and never written elsewhere.
func TestMetadataKeys(t *testing.T) {
	w := newWorld(t, metadataAt("meta"))
	id := w.remote("gw-1")
	w.setState(id, "meta", object{"a": 1})
	w.completed(w.sync(tandem.OpBidirectional))
	here := w.localOf(id).ID
	w.editLocal(here, func(d *tandem.Device) {
		d.Metadata = object{"a": 1, "with/slash": 1, "": 2, "with space": 3, "ümlaut~1": 4}
	})
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	w.equal(w.count(run, tandem.ActDrift, tandem.OutcomeHeld), 2)
	w.like(w.state(id, "meta"), object{"a": 1, "with space": 3, "ümlaut~1": 4})
	w.quiet(tandem.OpBidirectional)
}

// TestMetadataMany: metadata of many devices goes out, and a run killed by a dying remote goes on later.
func TestMetadataMany(t *testing.T) {
	w := newWorld(t, metadataAt("meta"))
	ids := w.remotes("gw", 40)
	w.completed(w.sync(tandem.OpBidirectional))
	for i, id := range ids {
		w.editLocal(w.localOf(id).ID, func(d *tandem.Device) { d.Metadata = object{"n": i, "s": fmt.Sprint(i)} })
	}
	w.fault("reset-after:PUT /devices/{id}/data/*:every=3", "reset-after:POST /devices/{id}/data/*:every=3", "reset-after:PATCH /devices/{id}/data/*:every=3")
	w.completed(w.sync(tandem.OpBidirectional))
	w.fault()
	for i, id := range ids {
		w.like(w.state(id, "meta"), object{"n": i, "s": fmt.Sprint(i)})
	}
	w.quiet(tandem.OpBidirectional)
}

// TestS20EachDeviceCountsOnce: one that has something for there, and whose state is read by itself, too.
func TestS20EachDeviceCountsOnce(t *testing.T) {
	w := newWorld(t, config(withMetadata), unknown("listing-data=null"))
	ids := w.remotes("gate", 3)
	for _, id := range ids {
		w.setState(id, "info/site/floor", "1")
	}
	w.completed(w.sync(tandem.OpBidirectional))
	w.setHere(w.localOf(ids[0]).ID, "metadata/site/room", "x")
	w.setHere(w.localOf(ids[1]).ID, "enabled", false)
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	w.equal(run.Summary, tandem.Summary{Processed: 3, Successful: 3, Remote: tandem.Counts{Updated: 2}})
	w.equal(w.state(ids[0], "info/site/room"), any("x"))
}

// TestStatePathsApart: metadata, battery and location are found wherever each lies: with nothing in common but the root,
// below one place, one inside another. What both sides changed is a conflict then too (S1).
func TestStatePathsApart(t *testing.T) {
	for _, paths := range []tandem.Paths{
		{Metadata: "state:meta", Battery: "state:battery", Location: "state:place"},
		{Metadata: "state:a/meta", Battery: "state:b", Location: "state:c/place"},
		{Metadata: "state:x/meta", Battery: "state:x/battery", Location: "state:x/place"},
		{Metadata: "state:x/meta", Battery: "state:x/battery", Location: "state:y"},
		{Metadata: "state:meta", Battery: "state:metabattery", Location: "state:meta/place"},
		{Metadata: "state:meta", Location: "state:place"},
	} {
		t.Run(fmt.Sprint(paths), func(t *testing.T) {
			w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.Paths = paths }))
			at := func(p string) string { return strings.TrimPrefix(p, "state:") }
			id := w.remotes("gw", 1)[0]
			w.setState(id, at(paths.Metadata), object{"row": "1"})
			if paths.Battery != "" {
				w.setState(id, at(paths.Battery), 71)
			}
			w.setState(id, at(paths.Location), object{"lat": 1, "lon": 2})
			w.completed(w.sync(tandem.OpImport))
			d := w.localOf(id)
			w.like(d.Metadata["row"], "1")
			if d.Location == nil || d.Location.Latitude != 1 || paths.Battery != "" && (d.BatteryLevel == nil || *d.BatteryLevel != 71) {
				t.Errorf("battery %v, location %v", d.BatteryLevel, d.Location)
			}
			w.setState(id, at(paths.Metadata)+"/row", "7")
			w.editLocal(d.ID, func(d *tandem.Device) { d.Metadata["row"] = "4" })
			run := w.sync(tandem.OpBidirectional)
			w.equal(run.Summary.Conflicts, 1)
			w.like(w.state(id, at(paths.Metadata)+"/row"), "7")
			w.like(w.localOf(id).Metadata["row"], "4")
		})
	}
}
