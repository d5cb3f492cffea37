package storetest

import (
	"errors"
	"slices"
	"time"

	"tandem"
)

var applyTests = map[string]func(*world){
	"S22 all or nothing": func(w *world) {
		s, d, e := w.service("s"), w.device("d"), w.device("e")
		a := w.link(d, s, "x")
		run := w.newRun(s)
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}, PutIntents: []tandem.Intent{w.newIntent(s, e)}})
		open := w.newConflict(s, d, "name")
		w.apply(tandem.Changes{PutConflicts: []tandem.Conflict{open}})
		before := snapshot(w)
		good := func() *tandem.Changes {
			edited, linked := w.readDevice(d.ID), a
			edited.Name, linked.Status = "edited", tandem.SyncError
			state := tandem.ServiceDegraded
			return &tandem.Changes{CreateDevices: []tandem.Device{w.newDevice("new")}, UpdateDevices: []tandem.Device{edited},
				Observe:           []tandem.Observation{{DeviceID: d.ID, Observed: tandem.Observed{LastSeen: &w.now}}},
				UpdateAssignments: []tandem.Assignment{linked}, CreateAssignments: []tandem.Assignment{w.newAssignment(e, s, "y")},
				PutIntents: []tandem.Intent{w.newIntent(s, d)}, PutConflicts: []tandem.Conflict{w.newConflict(s, d, "tags")},
				Entries: []tandem.Entry{w.newEntry(run, d)}, PutNotLinked: []tandem.NotLinked{w.newNotLinked(s, "n1", "n")},
				PutEntities: []tandem.KnownEntity{{ServiceID: s.ID, RemoteEntity: tandem.RemoteEntity{Kind: tandem.TagEntity, ID: "t", Name: "t"}}},
				PutRuns:     []tandem.Run{w.newRun(s)}, PutServices: []tandem.ServiceMark{{ServiceID: s.ID, State: &state}}}
		}
		for name, spoil := range map[string]func(*tandem.Changes){
			"a device that moved":           func(c *tandem.Changes) { c.UpdateDevices[0].Version += 7 },
			"an assignment that moved":      func(c *tandem.Changes) { c.UpdateAssignments[0].Version += 7 },
			"a device that is not there":    func(c *tandem.Changes) { c.UpdateDevices[0].ID = "none" },
			"an assignment that is missing": func(c *tandem.Changes) { c.UpdateAssignments[0].ID = "none" },
			"a device_id that is taken":     func(c *tandem.Changes) { c.CreateDevices[0].DeviceID = d.DeviceID },
			"an id that is taken":           func(c *tandem.Changes) { c.CreateDevices[0].ID = d.ID },
			"a remote id that is taken":     func(c *tandem.Changes) { c.CreateAssignments[0].ExternalDeviceID = "x" },
			"a link to no device":           func(c *tandem.Changes) { c.CreateAssignments[0].DeviceID = "none" },
			"a link to no service":          func(c *tandem.Changes) { c.CreateAssignments[0].ServiceID = "none" },
			"a device that is busy":         func(c *tandem.Changes) { c.PutIntents[0].DeviceID = e.ID },
			"a conflict that is open":       func(c *tandem.Changes) { c.PutConflicts[0].FieldName = "name" },
			"a fence that is not held":      func(c *tandem.Changes) { c.Fence = &tandem.Fence{ServiceID: s.ID, Token: 99} },
			"a mark on no service":          func(c *tandem.Changes) { c.PutServices[0].ServiceID = "none" },
			"a remote device on no service": func(c *tandem.Changes) { c.PutNotLinked[0].ServiceID = "none" },
			"a run of no service":           func(c *tandem.Changes) { c.PutRuns[0].ServiceID = "none" },
			"text that cannot be stored":    func(c *tandem.Changes) { c.Entries[0].Error = "a\x00b" },
		} {
			changes := good()
			spoil(changes)
			if err := w.st.Apply(w.ctx, w.org, changes); err == nil {
				w.Errorf("%s: no error", name)
			} else if code := tandem.CodeOf(err); code == tandem.Internal || code == tandem.Unavailable {
				w.Errorf("%s: code %q: %v", name, code, err)
			}
			if after := snapshot(w); after != before {
				w.Fatalf("%s: something was written: %s", name, diff(after, before))
			}
		}
		w.must(w.st.Apply(w.ctx, w.org, good()))
		if after := snapshot(w); after == before {
			w.Error("nothing was written")
		}
	},
	"S22 MovedError names exactly what moved": func(w *world) {
		s := w.service("s")
		var devices []tandem.Device
		var links []tandem.Assignment
		var conflicts []tandem.Conflict
		for i, name := range []string{"a", "b", "c", "d"} {
			d := w.device(name)
			devices, links = append(devices, d), append(links, w.link(d, s, "x"+name))
			c := w.newConflict(s, d, "name")
			w.apply(tandem.Changes{PutConflicts: []tandem.Conflict{c}})
			c, err := w.st.Conflict(w.ctx, w.org, c.ID)
			w.must(err)
			conflicts = append(conflicts, c)
			if i%2 == 0 {
				w.apply(tandem.Changes{UpdateDevices: devices[i:], UpdateAssignments: links[i:], PutConflicts: conflicts[i:]})
			}
		}
		err := w.st.Apply(w.ctx, w.org, &tandem.Changes{UpdateDevices: devices, UpdateAssignments: links, PutConflicts: conflicts})
		var moved *tandem.MovedError
		if !errors.As(err, &moved) {
			w.Fatalf("got %v", err)
		}
		w.wantCode(err, tandem.Stale)
		for _, ids := range [][]string{moved.Devices, moved.Assignments, moved.Conflicts} {
			slices.Sort(ids)
		}
		w.equal(moved, &tandem.MovedError{Devices: []string{devices[0].ID, devices[2].ID}, Assignments: []string{links[0].ID, links[2].ID},
			Conflicts: []string{conflicts[0].ID, conflicts[2].ID}})
	},
	"a version rises with each edit": func(w *world) {
		s, d := w.service("s"), w.device("d")
		a := w.link(d, s, "x")
		for range 3 {
			d.Name += "+"
			a.Retries++
			w.apply(tandem.Changes{UpdateDevices: []tandem.Device{d}, UpdateAssignments: []tandem.Assignment{a}})
			gotD, gotA := w.readDevice(d.ID), w.readAssignment(s.ID, "x")
			if gotD.Version != d.Version+1 || gotA.Version != a.Version+1 {
				w.Errorf("versions %d and %d after %d and %d", gotD.Version, gotA.Version, d.Version, a.Version)
			}
			d.Version, a.Version = gotD.Version, gotA.Version
			w.equal(gotD, d)
			w.equal(gotA, a)
		}
	},
	"an assignment keeps all that it is given": func(w *world) {
		s, d := w.service("s"), w.device("d")
		at := w.now.Add(time.Microsecond)
		want := w.newAssignment(d, s, "x'y", func(a *tandem.Assignment) {
			a.Base.Remote.Name = "other"
			a.Base.Local.Metadata = tandem.Map{"a": map[string]any{"b": 1.0}}
			a.LastSync, a.StateReadAt, a.RemoteUpdatedAt, a.WrittenAt = &at, &at, &at, &at
			a.Drift, a.Error, a.Retries, a.Status = map[tandem.Path]string{"name": "print"}, "it failed", 3, tandem.SyncError
			a.WrittenOver = map[tandem.Path]any{"name": "old", "enabled": true}
		})
		w.apply(tandem.Changes{CreateAssignments: []tandem.Assignment{want}})
		got := w.readAssignment(s.ID, "x'y")
		want.Version = got.Version
		w.equal(got, want)
		got.LastSync, got.Drift, got.Error, got.WrittenOver = nil, nil, "", nil
		w.apply(tandem.Changes{UpdateAssignments: []tandem.Assignment{got}})
		got.Version++
		w.equal(w.readAssignment(s.ID, "x'y"), got)
	},
	"a device is linked once on a service": func(w *world) {
		s, u, d := w.service("s"), w.service("u"), w.device("d")
		w.link(d, s, "x")
		w.link(d, u, "x")
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{CreateAssignments: []tandem.Assignment{w.newAssignment(d, s, "z")}}), tandem.Exists)
	},
	"S5 the newer observation stays, value by value": func(w *world) {
		d := w.device("d")
		at := func(minutes int) *time.Time { t := w.now.Add(time.Duration(minutes) * time.Minute); return &t }
		level := func(v float64) *float64 { return &v }
		observe := func(list ...tandem.Observed) {
			var all []tandem.Observation
			for _, o := range list {
				all = append(all, tandem.Observation{DeviceID: d.ID, Observed: o})
			}
			w.apply(tandem.Changes{Observe: all})
		}
		observe(tandem.Observed{LastSeen: at(10), BatteryLevel: level(50), BatteryAt: at(10)})
		observe(tandem.Observed{LastSeen: at(5), BatteryLevel: level(60), BatteryAt: at(11)})              // older sighting, newer battery
		observe(tandem.Observed{LastSeen: at(12), BatteryLevel: level(70), BatteryAt: at(9)})              // newer sighting, older battery
		observe(tandem.Observed{Location: &tandem.Location{Latitude: 1, Longitude: 2}, LocationAt: at(3)}) // nil says nothing of the rest
		observe(                                                                                           // in one batch, in any order
			tandem.Observed{Firmware: map[string]tandem.Firmware{"main": {Version: "2"}}, FirmwareAt: at(20)},
			tandem.Observed{Firmware: map[string]tandem.Firmware{"main": {Version: "3"}}, FirmwareAt: at(30), LastSeen: at(14)},
			tandem.Observed{Firmware: map[string]tandem.Firmware{"main": {Version: "1"}}, FirmwareAt: at(10), LastSeen: at(13)})
		observe(tandem.Observed{})
		got := w.readDevice(d.ID)
		w.equal(got.Observed, tandem.Observed{LastSeen: at(14), BatteryLevel: level(60), BatteryAt: at(11),
			Location: &tandem.Location{Latitude: 1, Longitude: 2}, LocationAt: at(3), Firmware: map[string]tandem.Firmware{"main": {Version: "3"}}, FirmwareAt: at(30)})
		if got.Version != d.Version {
			w.Errorf("an observation moved the version from %d to %d", d.Version, got.Version)
		}
		d.Name = "edited with what was read before" // an edit does not take an observation back
		w.apply(tandem.Changes{UpdateDevices: []tandem.Device{d}})
		w.equal(w.readDevice(d.ID).Observed, got.Observed)
		if err := w.st.Apply(w.ctx, w.org, &tandem.Changes{Observe: []tandem.Observation{{DeviceID: "none", Observed: tandem.Observed{LastSeen: at(1)}}}}); err != nil {
			w.wantCode(err, tandem.NotFound)
		}
	},
	"S24 a second open intent is busy": func(w *world) {
		s, u, d := w.service("s"), w.service("u"), w.device("d")
		first := w.newIntent(s, d)
		first.Create = &tandem.NewRemoteDevice{Name: "n", HardwareIDs: []string{"h"}}
		first.Temporary, first.ConflictID = "tmp", "c1"
		w.apply(tandem.Changes{PutIntents: []tandem.Intent{first}})
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutIntents: []tandem.Intent{w.newIntent(s, d)}}), tandem.Busy)
		w.apply(tandem.Changes{PutIntents: []tandem.Intent{w.newIntent(u, d)}}) // another service
		list, err := w.st.Intents(w.ctx, w.org, s.ID)
		w.must(err)
		w.equal(list, []tandem.Intent{first})
		w.apply(tandem.Changes{DropIntents: []string{first.ID, "none"}})
		w.apply(tandem.Changes{PutIntents: []tandem.Intent{w.newIntent(s, d)}})
	},
	"nothing at all is fine": func(w *world) {
		w.apply(tandem.Changes{})
		w.wantCode(w.st.Apply(w.ctx, "no such organization", &tandem.Changes{CreateDevices: []tandem.Device{w.newDevice("d")}}), tandem.NotFound)
	},
}

// newNotLinked gives a remote device that is not stored.
func (w *world) newNotLinked(s tandem.Service, external, name string, edits ...func(*tandem.NotLinked)) tandem.NotLinked {
	n := tandem.NotLinked{ServiceID: s.ID, ExternalDeviceID: external, Name: name, Reason: "not_imported", FirstSeenAt: w.now, SeenAt: w.now,
		Device: tandem.RemoteDevice{ID: external, Name: name, HardwareIDs: []string{"h"}, Enabled: true, CreatedAt: w.now, UpdatedAt: w.now}}
	for _, edit := range edits {
		edit(&n)
	}
	return n
}
