package syncer_test

import (
	"encoding/json"
	"testing"

	"tandem"
	"tandem/syncer"
)

// noHardware is a local device that carries no hardware id; withHardware one that carries these.
func noHardware(d *tandem.Device) { d.HardwareIDs = nil }

func withHardware(ids ...string) func(*tandem.Device) {
	return func(d *tandem.Device) { d.HardwareIDs = ids }
}

func deviceID(id string) func(*tandem.Device) { return func(d *tandem.Device) { d.DeviceID = id } }

// TestS12Match: what a remote device that no assignment names is linked to.
func TestS12Match(t *testing.T) {
	for _, c := range []struct {
		name  string
		here  func(*world) string // gives the device that must be linked, "" for none
		there func(*world) string // gives the remote device in question
		// reason is why a person must say; "" when the match is certain. created says that it came as a new device.
		ambiguous bool
		created   bool
	}{
		{name: "one shared hardware id links",
			here:  func(w *world) string { return w.local("anything", withHardware("hw-a", "hw-b")) },
			there: func(w *world) string { return w.remote("gw-1", hardware("hw-b", "hw-c")) }},
		{name: "a hardware id comes before a name",
			here: func(w *world) string {
				w.local("gw-1", noHardware)
				return w.local("other", withHardware("hw-1"))
			},
			there: func(w *world) string { return w.remote("gw-1", hardware("hw-1")) }},
		{name: "its name is a device_id here",
			here:  func(w *world) string { return w.local("Pump in hall 3", noHardware, deviceID("pump-3")) },
			there: func(w *world) string { return w.remote("pump-3") }},
		{name: "its name is a name here",
			here:  func(w *world) string { return w.local("pump-3", noHardware, deviceID("p3")) },
			there: func(w *world) string { return w.remote("pump-3") }},
		{name: "two devices here share a hardware id with it", ambiguous: true,
			here: func(w *world) string {
				w.local("a", withHardware("hw-a"))
				w.local("b", withHardware("hw-b"))
				return ""
			},
			there: func(w *world) string { return w.remote("gw-1", hardware("hw-a", "hw-b")) }},
		{name: "two devices here have its name", ambiguous: true,
			here: func(w *world) string {
				w.local("gw-1", noHardware, deviceID("a"))
				w.local("gw-1", noHardware, deviceID("b"))
				return ""
			},
			there: func(w *world) string { return w.remote("gw-1") }},
		{name: "one has its name, another its name as device_id", ambiguous: true,
			here: func(w *world) string {
				w.local("gw-1", noHardware, deviceID("a"))
				w.local("b", noHardware, deviceID("gw-1"))
				return ""
			},
			there: func(w *world) string { return w.remote("gw-1") }},
		{name: "its name, but disjoint hardware ids", ambiguous: true,
			here:  func(w *world) string { w.local("gw-1", withHardware("old")); return "" },
			there: func(w *world) string { return w.remote("gw-1", hardware("new")) }},
		{name: "a hardware id that differs by letter case only", ambiguous: true,
			here:  func(w *world) string { w.local("x", withHardware("AA:BB")); return "" },
			there: func(w *world) string { return w.remote("gw-1", hardware("aa:bb")) }},
		{name: "a name that differs by letter case only", ambiguous: true,
			here:  func(w *world) string { w.local("GW-1", noHardware, deviceID("x")); return "" },
			there: func(w *world) string { return w.remote("gw-1") }},
		{name: "a tombstone is no candidate", created: true,
			here:  func(w *world) string { w.deleteLocal(w.local("gw-1")); return "" },
			there: func(w *world) string { return w.remote("gw-1") }},
		{name: "nothing here resembles it", created: true,
			here:  func(w *world) string { w.local("other"); return "" },
			there: func(w *world) string { return w.remote("gw-1") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, config(func(s *tandem.ServiceConfig) {
				s.FieldStrategies = map[string]tandem.Strategy{"name": tandem.RemoteWins}
			}))
			want, id := c.here(w), c.there(w)
			before := len(w.devices())
			run := w.sync(tandem.OpBidirectional)
			a, err := w.store.Assignment(w.ctx, w.org, w.service.ID, id)
			switch {
			case c.ambiguous:
				w.ended(run, tandem.RunPartial)
				w.wantCode(err, tandem.NotFound)
				list := w.conflicts()
				if len(list) != 1 || list[0].Type != tandem.AmbiguousMatch || list[0].ExternalDeviceID != id || list[0].Explanation == "" {
					t.Fatalf("want one explained ambiguous match, got %+v", list)
				}
				w.equal(w.notLinked(), map[string]string{w.remoteDevice(id).Name: "ambiguous"})
				w.equal(len(w.devices()), before)
				w.equal(run.Summary.Conflicts, 1)
			case c.created:
				w.completed(run)
				w.must(err)
				w.equal(len(w.devices()), before+1)
			default:
				w.completed(run)
				w.must(err)
				w.equal(a.DeviceID, want)
				w.equal(len(w.devices()), before)
			}
			again := w.quiet(tandem.OpBidirectional)
			w.equal(again.Summary.Conflicts, run.Summary.Conflicts)
			w.equal(again.Status, run.Status)
		})
	}
}

// TestS12ClaimedTwice: two remote devices that may be the same device here link neither, wherever in the listing they stand.
func TestS12ClaimedTwice(t *testing.T) {
	w := newWorld(t, config(func(s *tandem.ServiceConfig) { s.Strategy = tandem.RemoteWins }))
	w.local("twin", withHardware("hw-a", "hw-b"))
	first := w.remote("one", hardware("hw-a"))
	w.remotes("filler", 120)
	second := w.remote("two", hardware("hw-b"))
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	ids := map[string]bool{}
	for _, c := range w.conflicts() {
		w.equal(c.Type, tandem.AmbiguousMatch)
		ids[c.ExternalDeviceID] = true
	}
	w.equal(ids, map[string]bool{first: true, second: true})

	// With one of them gone the other is certain: it is linked, and nothing is left to ask.
	w.deleteRemote(first)
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.localOf(second).DeviceID, "twin")
	w.equal(len(w.conflicts()), 0)
}

// TestS12Exclusions: devices linked on this service, and unlinked assignments, are no candidates.
func TestS12Exclusions(t *testing.T) {
	t.Run("a linked device is not matched again by name", func(t *testing.T) {
		w := newWorld(t)
		id := w.remote("gw-1")
		w.completed(w.sync(tandem.OpBidirectional))
		mine := w.localOf(id)
		w.configure(func(c *tandem.ServiceConfig) { c.Fields = c.Fields.Without(tandem.FieldName) })
		w.editRemote(id, rename("gw-1-old"))
		other := w.remote("gw-1", hardware("hw-other"))
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.localOf(id).ID, mine.ID)
		if w.localOf(other).ID == mine.ID {
			t.Error("a second remote device was linked to the same device")
		}
	})
	t.Run("a reappearance under a new id is for a person", func(t *testing.T) {
		w := newWorld(t)
		id := w.remote("gw-1", hardware("hw-1"))
		w.remotes("filler", 9)
		w.completed(w.sync(tandem.OpBidirectional))
		mine := w.localOf(id)
		w.deleteRemote(id)
		again := w.remote("gw-1", hardware("hw-1"))
		w.sync(tandem.OpBidirectional)
		c := w.conflict("")
		w.equal(c.Type, tandem.AmbiguousMatch)
		w.equal(c.ExternalDeviceID, again)
		w.equal(w.assignment(mine.ID).Status, tandem.SyncUnlinked)
		w.equal(len(w.devices()), 10)

		// A person links it: the assignment lives again under the new id.
		done, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{c.ID}}, Take: tandem.TakeLink, DeviceID: mine.ID, By: "ada"})
		w.must(err)
		w.must(done[0].Error)
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.localOf(again).ID, mine.ID)
		w.equal(w.localOf(again).Lifecycle, tandem.Active)
		w.quiet(tandem.OpBidirectional)
	})
}

// TestS12Settled: a person's word about an ambiguous match holds.
func TestS12Settled(t *testing.T) {
	start := func(t *testing.T) (w *world, here, there string) {
		w = newWorld(t)
		here, there = w.local("gw-1", withHardware("old")), w.remote("gw-1", hardware("new"))
		w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
		return w, here, there
	}
	take := func(w *world, take tandem.Choice, device string) {
		w.t.Helper()
		c := w.conflict("")
		done, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{c.ID}}, Take: take, DeviceID: device, By: "ada"})
		w.must(err)
		w.must(done[0].Error)
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(len(w.conflicts()), 0)
		w.quiet(tandem.OpBidirectional)
	}
	t.Run("link", func(t *testing.T) {
		w, here, there := start(t)
		take(w, tandem.TakeLink, here)
		w.equal(w.localOf(there).ID, here)
		w.equal(w.device(here).HardwareIDs, []string{"new", "old"}) // S4: sets unite
		w.equal(w.remoteDevice(there).HardwareIDs, []string{"new", "old"})
		w.equal(w.notLinked(), map[string]string{})
	})
	t.Run("create", func(t *testing.T) {
		w, here, there := start(t)
		take(w, tandem.TakeCreate, "")
		if d := w.localOf(there); d.ID == here || d.Name != "gw-1" {
			t.Errorf("want a new device gw-1, got %+v", d)
		}
		w.equal(len(w.devices()), 2)
	})
	t.Run("ignore", func(t *testing.T) {
		w, _, there := start(t)
		take(w, tandem.TakeIgnore, "")
		w.equal(w.notLinked(), map[string]string{"gw-1": "ignored"})
		_, err := w.store.Assignment(w.ctx, w.org, w.service.ID, there)
		w.wantCode(err, tandem.NotFound)
	})
}

// TestS12LinkedConflictsCountOnce: what a fresh link disputes is one pending conflict of the run.
func TestS12LinkedConflictsCountOnce(t *testing.T) {
	w := newWorld(t)
	w.local("twin", withHardware("hw-a", "hw-b"))
	w.remote("gw-1", hardware("hw-a"))
	run := w.sync(tandem.OpBidirectional) // links, sends a hardware id, and cannot decide the name
	w.ended(run, tandem.RunPartial)
	w.equal(run.Summary, tandem.Summary{Processed: 1, Successful: 1, Conflicts: 1, Remote: tandem.Counts{Updated: 1}})
	w.equal(w.quiet(tandem.OpBidirectional).Summary.Conflicts, 1)
}

// TestS13Create: the switches say on which side missing devices are created; what is not, is listed as not linked.
func TestS13Create(t *testing.T) {
	for _, c := range []struct {
		name           string
		local, remote  bool
		missing        tandem.Missing
		op             tandem.Operation
		here, there    bool // the other's device is created here, or there
		listed, nearby int  // not linked, remote and local
	}{
		{name: "by default only here", local: true, op: tandem.OpBidirectional, here: true, nearby: 1},
		{name: "both", local: true, remote: true, op: tandem.OpBidirectional, here: true, there: true},
		{name: "neither", op: tandem.OpBidirectional, listed: 1, nearby: 1},
		{name: "an import creates nothing there", local: true, remote: true, op: tandem.OpImport, here: true, nearby: 1},
		{name: "an export creates nothing here", local: true, remote: true, op: tandem.OpExport, there: true, listed: 1},
		{name: "the request says both", missing: tandem.MissingBoth, op: tandem.OpBidirectional, here: true, there: true},
		{name: "the request says none", local: true, remote: true, missing: tandem.MissingNone, op: tandem.OpBidirectional, listed: 1, nearby: 1},
		{name: "the request says remote", local: true, missing: tandem.MissingRemote, op: tandem.OpBidirectional, there: true, listed: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, config(func(s *tandem.ServiceConfig) { s.CreateLocal, s.CreateRemote = c.local, c.remote }))
			w.local("ours")
			w.remote("theirs")
			w.advance(1)
			run, err := w.run(tandem.RunRequest{Operation: c.op, CreateMissing: c.missing})
			w.must(err)
			w.completed(run)
			want := []string{"ours"}
			if c.here {
				want = append(want, "theirs")
			}
			w.equal(w.names(), want)
			w.equal(w.remoteCount() == 2, c.there)
			w.equal(w.details(run).NotLinked, syncer.NotLinkedCount{Remote: c.listed, Local: c.nearby})
			w.equal(len(w.notLinked()), c.listed)
		})
	}
}

// TestS13Filters: they decide which new remote devices are let in, never which linked ones stay.
func TestS13Filters(t *testing.T) {
	for name, c := range map[string]struct {
		filters tandem.Filters
		want    []string
	}{
		"a name pattern": {tandem.Filters{Name: "gw-*"}, []string{"gw-1", "gw-2"}},
		"tags":           {tandem.Filters{Tags: []string{"blue", "round"}}, []string{"gw-2"}},
		"a blueprint":    {tandem.Filters{Blueprint: "pump"}, []string{"pump-1"}},
		"a cohort":       {tandem.Filters{Cohort: "early"}, []string{"gw-1"}},
		"all together":   {tandem.Filters{Name: "gw-*", Tags: []string{"blue"}, Cohort: "early"}, []string{"gw-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config(func(s *tandem.ServiceConfig) {
				s.Filters = c.filters
				s.Fields = tandem.FieldSet(tandem.FieldName) // what the filters ask is known though the field is off
			}))
			w.remote("gw-1", tags("blue"), cohort("early"))
			w.remote("gw-2", tags("blue", "round"))
			w.remote("pump-1", blueprint("pump"))
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal(w.names(), c.want)
			w.equal(w.details(run).NotLinked.Remote, 3-len(c.want))
			for _, reason := range w.notLinked() {
				w.equal(reason, "filtered")
			}
			w.quiet(tandem.OpBidirectional)
		})
	}
	t.Run("linked ones stay", func(t *testing.T) {
		w := newWorld(t)
		id := w.remote("gw-1")
		w.completed(w.sync(tandem.OpBidirectional))
		w.configure(func(s *tandem.ServiceConfig) { s.Filters.Name = "pump-*" })
		w.editRemote(id, rename("gw-2"))
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.localOf(id).Name, "gw-2")
	})
}

// TestS13NotLinked: a person imports, links or ignores what is listed, and gone devices leave the list.
func TestS13NotLinked(t *testing.T) {
	w := newWorld(t, config(func(s *tandem.ServiceConfig) { s.CreateLocal = false }))
	a, b, c, d := w.remote("a"), w.remote("b"), w.remote("c"), w.remote("d")
	mine := w.local("mine")
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.notLinked(), map[string]string{"a": "not_imported", "b": "not_imported", "c": "not_imported", "d": "not_imported"})

	run, err := w.engine.ImportRemote(w.ctx, w.org, w.service.ID, []string{a}, "ada")
	w.must(err)
	w.completed(run)
	w.must(w.engine.IgnoreRemote(w.ctx, w.org, w.service.ID, []string{b}, true))
	_, err = w.engine.Link(w.ctx, w.org, w.service.ID, mine, c, "ada")
	w.must(err)
	w.deleteRemote(d)
	w.sync(tandem.OpBidirectional)
	w.equal(w.notLinked(), map[string]string{"b": "ignored"})
	w.equal(w.localOf(a).Name, "a")
	w.equal(w.localOf(c).ID, mine)
	// S4: the linked pair has no base, and its names differ.
	w.equal(w.conflict("name").Type, tandem.InitialMismatch)
	w.equal(w.remoteDevice(c).HardwareIDs, []string{"hw-c", "hw-mine"})

	// What was ignored stays so, and is found again when a person wants that.
	w.quiet(tandem.OpBidirectional)
	w.must(w.engine.IgnoreRemote(w.ctx, w.org, w.service.ID, []string{b}, false))
	w.equal(w.notLinked()["b"], "not_imported")
}

// TestS13ImportedWhole: an imported device has everything the service shows, on both databases.
func TestS13ImportedWhole(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options...)
			id := w.remote("gw-1", hardware("hw-a", "hw-b"), tags("round", "blue"), blueprint("gateway"), cohort("early"))
			w.editRemote(id, enable(false))
			w.completed(w.sync(tandem.OpBidirectional))
			d := w.localOf(id)
			got, err := json.Marshal([]any{d.Name, d.DeviceID, d.HardwareIDs, d.Tags, d.Blueprint, d.Cohort, d.Enabled, d.Lifecycle})
			w.must(err)
			w.equal(string(got), `["gw-1","gw-1",["hw-a","hw-b"],["blue","round"],"gateway","early",false,"active"]`)
			w.equal(d.FieldEditedAt[""].Equal(w.remoteDevice(id).UpdatedAt), true) // S8: its source's time
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS13DeviceIDTaken: a name that is somebody's device_id here does not keep a device out.
func TestS13DeviceIDTaken(t *testing.T) {
	w := newWorld(t)
	w.deleteLocal(w.local("gw-1")) // a tombstone keeps its device_id
	id := w.remote("gw-1", hardware("hw-new"))
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.localOf(id).Name, "gw-1")
}
