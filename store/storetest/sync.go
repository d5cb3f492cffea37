package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

var syncTests = map[string]func(*world){
	"linked devices by either id": func(w *world) {
		s, u, d, e := w.service("s"), w.service("u"), w.device("d"), w.device("e")
		a := w.link(d, s, "x1")
		b := w.link(e, s, "x2", func(a *tandem.Assignment) { a.Status = tandem.SyncUnlinked })
		w.link(d, u, "y1")
		want := []tandem.Linked{{Assignment: a, Device: d}, {Assignment: b, Device: e}}
		external := func(l tandem.Linked) string { return l.Assignment.ExternalDeviceID }
		byExternal, err := w.st.LinkedByExternal(w.ctx, w.org, s.ID, []string{"x2", "x1", "none", "x1", "y1"})
		w.must(err)
		reporting, err := w.st.Reporting(w.ctx, w.org, s.ID, []string{"x2", "x1", "none", "x1", "y1"})
		w.must(err)
		byDevice, err := w.st.LinkedByDevice(w.ctx, w.org, s.ID, []string{e.ID, d.ID, "none"})
		w.must(err)
		for _, got := range [][]tandem.Linked{byExternal, byDevice} {
			slices.SortFunc(got, func(a, b tandem.Linked) int { return strings.Compare(external(a), external(b)) })
			w.equal(got, want)
		}
		slices.SortFunc(reporting, func(a, b tandem.Linked) int { return strings.Compare(external(a), external(b)) })
		for i := range want { // what a report is held against
			a, d := want[i].Assignment, want[i].Device
			want[i].Assignment = tandem.Assignment{OrganizationID: a.OrganizationID, ServiceID: a.ServiceID, DeviceID: a.DeviceID, ExternalDeviceID: a.ExternalDeviceID,
				SyncEnabled: a.SyncEnabled, Status: a.Status}
			want[i].Device = tandem.Device{ID: d.ID, OrganizationID: d.OrganizationID, DeletedAt: d.DeletedAt, CreatedAt: d.CreatedAt,
				Observed: tandem.Observed{LastSeen: d.LastSeen, Firmware: d.Firmware, FirmwareAt: d.FirmwareAt}}
		}
		w.equal(reporting, want)
	},
	"walks over linked pairs and over local devices": func(w *world) {
		s := w.service("s")
		var linked, lonely []string
		for i := range 17 {
			d := w.device(fmt.Sprint(i))
			external := fmt.Sprintf("%c%02d", "aBzéZ"[i%3], i)
			switch i % 4 {
			case 0:
				lonely = append(lonely, d.ID)
			case 1:
				w.link(d, s, external, func(a *tandem.Assignment) { a.Status = tandem.SyncUnlinked })
			case 2:
				w.link(d, s, external, func(a *tandem.Assignment) { a.SyncEnabled = i > 4 })
				if i > 4 {
					linked = append(linked, external)
				}
			default:
				w.link(d, s, external)
				linked = append(linked, external)
			}
		}
		gone := w.device("gone")
		at := w.now
		gone.DeletedAt = &at
		w.apply(tandem.Changes{UpdateDevices: []tandem.Device{gone}})
		slices.Sort(linked)
		var walked []string
		for after := ""; ; {
			page, err := w.st.LinkedIDs(w.ctx, w.org, s.ID, after, 3)
			w.must(err)
			if len(page) == 0 {
				break
			}
			if len(page) > 3 {
				w.Fatalf("a page of %d", len(page))
			}
			walked = append(walked, pick(page, func(l tandem.LinkedID) string { return l.ExternalDeviceID })...)
			after = page[len(page)-1].ExternalDeviceID
		}
		w.equal(walked, linked)
		n, err := w.st.LinkedCount(w.ctx, w.org, s.ID)
		w.must(err)
		if n != len(linked) {
			w.Errorf("count %d, want %d", n, len(linked))
		}
		walked = nil
		for after := ""; ; {
			page, err := w.st.LocalOnly(w.ctx, w.org, s.ID, after, 2)
			w.must(err)
			if len(page) == 0 {
				break
			}
			walked = append(walked, pick(page, func(d tandem.Device) string { return d.ID })...)
			after = page[len(page)-1].ID
		}
		w.equal(walked, lonely)
	},
	"state least recently read comes first": func(w *world) {
		s := w.service("s")
		for i, external := range []string{"recent", "older", "never"} {
			w.link(w.device(external), s, external, func(a *tandem.Assignment) {
				if external != "never" {
					at := w.now.Add(time.Duration(-i) * time.Hour)
					a.StateReadAt = &at
				}
			})
		}
		w.link(w.device("off"), s, "off", func(a *tandem.Assignment) { a.Status = tandem.SyncUnlinked })
		got, err := w.st.StateUnread(w.ctx, w.org, s.ID, 2)
		w.must(err)
		w.equal(pick(got, func(l tandem.LinkedID) string { return l.ExternalDeviceID }), []string{"never", "older"})
		if got[0].StateReadAt != nil || got[1].StateReadAt == nil {
			w.Errorf("read at %v, %v", got[0].StateReadAt, got[1].StateReadAt)
		}
	},
	"S12 candidates by hardware id, name and device_id, ignoring case": func(w *world) {
		s, u := w.service("s"), w.service("u")
		hardware := w.device("h", func(d *tandem.Device) { d.HardwareIDs = []string{"AA:BB", "Ünit-7"} })
		named := w.device("Kühler Nord")
		id := w.device("other", func(d *tandem.Device) { d.DeviceID = "Pump-7" })
		gone := w.device("gone", func(d *tandem.Device) { d.HardwareIDs = []string{"AA:BB"} })
		at := w.now
		gone.DeletedAt = &at
		w.apply(tandem.Changes{UpdateDevices: []tandem.Device{gone}})
		w.link(hardware, s, "x", func(a *tandem.Assignment) { a.Status = tandem.SyncUnlinked })
		w.link(named, u, "y")
		for _, test := range []struct {
			probes []tandem.Probe
			want   []string
		}{
			{[]tandem.Probe{{Name: "none", HardwareIDs: []string{"AA:BB"}}}, []string{hardware.ID, gone.ID}},
			{[]tandem.Probe{{Name: "none", HardwareIDs: []string{"aa:bb", "zz"}}}, []string{hardware.ID, gone.ID}},
			{[]tandem.Probe{{Name: "none", HardwareIDs: []string{"ÜNIT-7"}}}, []string{hardware.ID}},
			{[]tandem.Probe{{Name: "KÜHLER nord"}}, []string{named.ID}},
			{[]tandem.Probe{{Name: "pump-7"}}, []string{id.ID}},
			{[]tandem.Probe{{Name: "pump-7"}, {Name: "Kühler Nord"}}, []string{named.ID, id.ID}},
			{[]tandem.Probe{{Name: "kuhler nord"}, {Name: "%"}, {Name: ""}}, nil},
			{nil, nil},
		} {
			got, err := w.st.Candidates(w.ctx, w.org, s.ID, test.probes)
			w.must(err)
			if ids := joined(got, func(c tandem.Candidate) string { return c.Device.ID }); ids != strings.Join(test.want, " ") {
				w.Errorf("%+v gives %s, want %v", test.probes, ids, test.want)
			}
			for _, c := range got {
				if linked := c.Assignment != nil; linked != (c.Device.ID == hardware.ID) {
					w.Errorf("%s has the assignment %+v", c.Device.Name, c.Assignment)
				}
				if (c.Device.DeletedAt != nil) != (c.Device.ID == gone.ID) {
					w.Errorf("%s deleted at %v", c.Device.Name, c.Device.DeletedAt)
				}
			}
		}
		hardware.HardwareIDs = []string{"new"} // the old id matches no more
		w.apply(tandem.Changes{UpdateDevices: []tandem.Device{hardware}})
		got, err := w.st.Candidates(w.ctx, w.org, s.ID, []tandem.Probe{{Name: "none", HardwareIDs: []string{"aa:bb"}}, {Name: "none", HardwareIDs: []string{"NEW"}}})
		w.must(err)
		if ids := joined(got, func(c tandem.Candidate) string { return c.Device.ID }); ids != hardware.ID+" "+gone.ID {
			w.Errorf("after the edit: %s", ids)
		}
	},
	"intents come oldest first": func(w *world) {
		s := w.service("s")
		var want []string
		for i := range 4 {
			intent := w.newIntent(s, w.device(fmt.Sprint(i)))
			intent.CreatedAt = w.now.Add(time.Duration(-i) * time.Second)
			w.apply(tandem.Changes{PutIntents: []tandem.Intent{intent}})
			want = append(want, intent.ID)
		}
		slices.Reverse(want)
		got, err := w.st.Intents(w.ctx, w.org, s.ID)
		w.must(err)
		w.equal(pick(got, func(i tandem.Intent) string { return i.ID }), want)
	},
	"S33 entities are kept by id": func(w *world) {
		s := w.service("s")
		tag := tandem.KnownEntity{ServiceID: s.ID, RemoteEntity: tandem.RemoteEntity{Kind: tandem.TagEntity, ID: "1", Name: "red"}}
		cohort := tandem.KnownEntity{ServiceID: s.ID, RemoteEntity: tandem.RemoteEntity{Kind: tandem.CohortEntity, ID: "1", Name: "beta"}}
		w.apply(tandem.Changes{PutEntities: []tandem.KnownEntity{tag, cohort}})
		tag.Was, tag.Name = "red", "crimson"
		w.apply(tandem.Changes{PutEntities: []tandem.KnownEntity{tag}})
		got, err := w.st.KnownEntities(w.ctx, w.org, s.ID)
		w.must(err)
		slices.SortFunc(got, func(a, b tandem.KnownEntity) int { return strings.Compare(a.Name, b.Name) })
		w.equal(got, []tandem.KnownEntity{cohort, tag})
	},
	"S13 remote devices that are not linked": func(w *world) {
		s, u := w.service("s"), w.service("u")
		a := w.newNotLinked(s, "1", "Beta")
		b := w.newNotLinked(s, "2", "älpha%", func(n *tandem.NotLinked) { n.Reason, n.Candidates = "ambiguous", []string{"c1", "c2"} })
		c := w.newNotLinked(s, "3", "Gamma", func(n *tandem.NotLinked) { n.Ignored, n.Reason = true, "ignored" })
		w.apply(tandem.Changes{PutNotLinked: []tandem.NotLinked{a, b, c, w.newNotLinked(u, "1", "elsewhere")}})
		for _, test := range []struct {
			filter tandem.NotLinkedFilter
			want   string
			total  int
		}{
			{tandem.NotLinkedFilter{}, "1 2", 2},
			{tandem.NotLinkedFilter{Ignored: true}, "1 2 3", 3},
			{tandem.NotLinkedFilter{OnlyIgnored: true}, "3", 1},
			{tandem.NotLinkedFilter{Search: "ÄLPHA"}, "2", 1},
			{tandem.NotLinkedFilter{Search: "%"}, "2", 1},
			{tandem.NotLinkedFilter{Reason: "ambiguous"}, "2", 1},
			{tandem.NotLinkedFilter{ExternalDeviceIDs: []string{"1", "9"}}, "1", 1},
			{tandem.NotLinkedFilter{Page: tandem.Page{Number: 2, Limit: 1}}, "2", 2},
		} {
			got, total, err := w.st.NotLinked(w.ctx, w.org, s.ID, test.filter)
			w.must(err)
			if ids := joined(got, func(n tandem.NotLinked) string { return n.ExternalDeviceID }); ids != test.want || total != test.total {
				w.Errorf("%+v gives %s of %d, want %s of %d", test.filter, ids, total, test.want, test.total)
			}
		}
		seen := w.now.Add(time.Hour)
		again := w.newNotLinked(s, "3", "Gamma 2", func(n *tandem.NotLinked) { n.FirstSeenAt, n.SeenAt = seen, seen })
		hidden := w.newNotLinked(s, "1", "Beta", func(n *tandem.NotLinked) { n.Ignored = true })
		w.apply(tandem.Changes{PutNotLinked: []tandem.NotLinked{again, hidden}, DropNotLinked: []tandem.NotLinkedKey{{ServiceID: s.ID, ExternalDeviceID: "2"}}})
		got, _, err := w.st.NotLinked(w.ctx, w.org, s.ID, tandem.NotLinkedFilter{Ignored: true})
		w.must(err)
		again.Ignored, again.FirstSeenAt = true, w.now
		again.Reason = got[len(got)-1].Reason // what stands there while it is ignored is the caller's matter
		w.equal(got, []tandem.NotLinked{hidden, again})
		w.apply(tandem.Changes{ShowNotLinked: []tandem.NotLinkedKey{{ServiceID: s.ID, ExternalDeviceID: "1"}, {ServiceID: u.ID, ExternalDeviceID: "3"}}})
		got, _, err = w.st.NotLinked(w.ctx, w.org, s.ID, tandem.NotLinkedFilter{Ignored: true})
		w.must(err)
		hidden.Ignored = false
		w.equal(got, []tandem.NotLinked{hidden, again})
	},
	"S25 recent changes by device, path and side": func(w *world) {
		s := w.service("s")
		run, d, e := w.newRun(s), w.device("d"), w.device("e")
		var entries []tandem.Entry
		add := func(d tandem.Device, minute int, edit func(*tandem.Entry)) string {
			entry := w.newEntry(run, d, func(e *tandem.Entry) { e.CreatedAt = w.now.Add(time.Duration(minute) * time.Minute) }, edit)
			entries = append(entries, entry)
			return entry.ID
		}
		keep := func(*tandem.Entry) {}
		add(d, 1, keep)
		n2, n3 := add(d, 2, keep), add(d, 3, keep)
		r1 := add(d, 4, func(e *tandem.Entry) { e.Side = tandem.RemoteSide })
		t1 := add(d, 5, func(e *tandem.Entry) { e.Path = "tags" })
		add(d, 6, func(e *tandem.Entry) { e.Outcome = tandem.OutcomeFailed })
		add(d, 7, func(e *tandem.Entry) { e.Action = tandem.ActDrift })
		e1 := add(e, 8, func(e *tandem.Entry) { e.Action = tandem.ActCreate })
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}, Entries: entries})
		got, err := w.st.RecentChanges(w.ctx, w.org, []string{d.ID, "none"}, 2)
		w.must(err)
		w.equal(pick(got, func(e tandem.Entry) string { return e.ID }), []string{t1, r1, n3, n2})
		got, err = w.st.RecentChanges(w.ctx, w.org, []string{d.ID, e.ID}, 1)
		w.must(err)
		w.equal(pick(got, func(e tandem.Entry) string { return e.ID }), []string{e1, t1, r1, n3})
	},
	"S18 removals and rollouts are counted since an instant": func(w *world) {
		s, u := w.service("s"), w.service("u")
		d := w.device("d")
		for _, service := range []tandem.Service{s, u} {
			run := w.newRun(service)
			var entries []tandem.Entry
			for _, action := range []tandem.Action{tandem.ActDelete, tandem.ActUnlink, tandem.ActRecreate, tandem.ActCreate, tandem.ActUpdate} {
				for _, path := range []tandem.Path{"", "enabled", "cohort", "name"} {
					for _, side := range []tandem.Side{tandem.LocalSide, tandem.RemoteSide} {
						for _, outcome := range []tandem.EntryOutcome{tandem.OutcomeDone, tandem.OutcomeHeld} {
							for _, hours := range []int{-2, 0} {
								for _, note := range []string{"why; " + tandem.GuardedNote, "by hand"} {
									entries = append(entries, w.newEntry(run, d, func(e *tandem.Entry) {
										e.Action, e.Path, e.Side, e.Outcome, e.Note, e.CreatedAt = action, path, side, outcome, note, w.now.Add(time.Duration(hours)*time.Hour)
									}))
								}
							}
						}
					}
				}
			}
			w.apply(tandem.Changes{PutRuns: []tandem.Run{run}, Entries: entries})
		}
		removals, err := w.st.Removals(w.ctx, w.org, s.ID, w.now.Add(-time.Hour))
		w.must(err)
		rollouts, err := w.st.Rollouts(w.ctx, w.org, s.ID, w.now.Add(-time.Hour))
		w.must(err)
		all, err := w.st.Removals(w.ctx, w.org, s.ID, w.now.Add(-3*time.Hour))
		w.must(err)
		if removals != 3*4*2 || rollouts != 4 || all != 2*removals {
			w.Errorf("removals %d, rollouts %d, all %d", removals, rollouts, all)
		}
	},
}
