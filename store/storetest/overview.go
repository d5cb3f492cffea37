package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

// rate waits until the counts of a status over an hour from w.now add up to want, and gives the buckets.
func (w *world) rate(service string, status tandem.DeliveryStatus, want int) (buckets []tandem.DeliveryBucket) {
	w.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	over := time.After(30 * time.Second)
	for {
		var err error
		buckets, err = w.st.DeliveryRate(w.ctx, w.org, service, w.now, w.now.Add(time.Hour), 5*time.Minute)
		w.must(err)
		n := 0
		for _, b := range buckets {
			n += b.Counts[status]
		}
		if n == want {
			return buckets
		}
		select {
		case <-look.C:
		case <-over:
			w.Fatalf("%d are %s, want %d: %+v", n, status, want, buckets)
		}
	}
}

var overviewTests = map[string]func(*world){
	"the overview counts devices, links, what is not linked and what is open": func(w *world) {
		s, u := w.service("a"), w.service("b", func(s *tandem.Service) { s.Config.OnlineWindow = 60 })
		ago := func(d time.Duration) func(*tandem.Device) {
			at := w.now.Add(-d)
			return func(d *tandem.Device) { d.LastSeen = &at }
		}
		online, offline, strict, never, gone := w.device("1", ago(5*time.Minute)), w.device("2", ago(time.Hour)), w.device("3", ago(5*time.Minute)), w.device("4"), w.device("5", ago(time.Minute))
		gone.DeletedAt = &w.now
		w.apply(tandem.Changes{UpdateDevices: []tandem.Device{gone}})
		w.link(online, s, "x1")
		w.link(strict, u, "x3", func(a *tandem.Assignment) { a.Status = tandem.SyncError })
		w.link(offline, s, "x2", func(a *tandem.Assignment) { a.Status = tandem.SyncUnlinked })
		w.link(never, s, "x4", func(a *tandem.Assignment) { a.Status = tandem.SyncConflict })
		ignored := w.newNotLinked(s, "x9", "nine")
		ignored.Ignored = true
		closed := w.newConflict(s, online, "tags", func(c *tandem.Conflict) { c.Status = tandem.ConflictResolved })
		dead := w.newDelivery(s, func(d *tandem.Delivery) { d.Status = tandem.DeliveryDead })
		w.store(dead, w.newDelivery(s))
		w.apply(tandem.Changes{PutNotLinked: []tandem.NotLinked{ignored, w.newNotLinked(s, "x8", "eight")},
			PutConflicts: []tandem.Conflict{w.newConflict(s, never, "name"), closed}, PutAlerts: []tandem.Alert{w.newAlert(s, tandem.AlertConflicts)}})
		got, err := w.st.Overview(w.ctx, w.org, w.now)
		w.must(err)
		w.equal(got, tandem.Overview{Devices: 4, At: w.now, ConflictsOpen: 1, AlertsOpen: 1, DeadDeliveries: 1,
			ByStatus: map[tandem.Status]int{tandem.Online: 1, tandem.Offline: 2, tandem.NeverSeen: 1},
			BySync:   map[tandem.SyncStatus]int{tandem.SyncSynced: 1, tandem.SyncError: 1, tandem.SyncUnlinked: 1, tandem.SyncConflict: 1},
			Services: []tandem.ServiceOverview{
				{ServiceID: s.ID, BySync: map[tandem.SyncStatus]int{tandem.SyncSynced: 1, tandem.SyncUnlinked: 1, tandem.SyncConflict: 1}, Linked: 2, NotLinked: 1, ConflictsOpen: 1},
				{ServiceID: u.ID, BySync: map[tandem.SyncStatus]int{tandem.SyncError: 1}, Linked: 1}}})
		open, err := w.st.OpenCounts(w.ctx, w.org)
		w.must(err)
		w.equal(open, tandem.OpenCounts{Conflicts: 1, Alerts: 1, DeadDeliveries: 1})
	},
	"facets are what live devices have, each once": func(w *world) {
		w.device("1", func(d *tandem.Device) {
			d.DeviceType, d.Tags, d.Blueprint, d.Cohort = "pump", []string{"b", "a"}, "p1", "stable"
		})
		w.device("2", func(d *tandem.Device) { d.DeviceType, d.Tags = "meter", []string{"b"} })
		gone := w.device("3", func(d *tandem.Device) { d.DeviceType, d.Blueprint = "valve", "old" })
		gone.DeletedAt = &w.now
		w.apply(tandem.Changes{UpdateDevices: []tandem.Device{gone}})
		got, err := w.st.DeviceFacets(w.ctx, w.org)
		w.must(err)
		w.equal(got, tandem.DeviceFacets{Types: []string{"meter", "pump"}, Tags: []string{"a", "b"}, Blueprints: []string{"p1"}, Cohorts: []string{"stable"}})
	},
	"the rate of deliveries counts by the minute what came to each status": func(w *world) {
		w.now = w.now.Truncate(time.Hour)
		s, u := w.service("s"), w.service("u")
		at := func(d time.Duration) func(*tandem.Delivery) {
			return func(one *tandem.Delivery) { one.ReceivedAt = w.now.Add(d) }
		}
		first := w.newDelivery(s, at(time.Minute))
		w.store(first, w.newDelivery(s, at(4*time.Minute)), w.newDelivery(s, at(11*time.Minute)), w.newDelivery(u, at(time.Minute)))
		w.store(first) // there already
		w.apply(tandem.Changes{Deliveries: []tandem.DeliveryOutcome{{ID: first.ID, ServiceID: s.ID, Status: tandem.DeliveryProcessed, At: w.now.Add(12 * time.Minute)}}})
		w.rate("", tandem.DeliveryStored, 4)
		w.rate(s.ID, tandem.DeliveryStored, 3)
		buckets := w.rate(s.ID, tandem.DeliveryProcessed, 1)
		if len(buckets) != 12 {
			w.Fatalf("%d buckets", len(buckets))
		}
		for i, want := range []map[tandem.DeliveryStatus]int{{tandem.DeliveryStored: 2}, {}, {tandem.DeliveryStored: 1, tandem.DeliveryProcessed: 1}, {}} {
			w.equal(buckets[i], tandem.DeliveryBucket{At: w.now.Add(time.Duration(i) * 5 * time.Minute), Counts: want})
		}
		for _, until := range []time.Duration{0, -time.Hour, (tandem.MaxDeliveryBuckets + 1) * time.Minute} {
			_, err := w.st.DeliveryRate(w.ctx, w.org, "", w.now, w.now.Add(until), time.Minute)
			w.wantCode(err, tandem.Invalid)
		}
		removed, err := w.st.Prune(w.ctx, tandem.Retention{Deliveries: time.Hour}, w.now.Add(2*time.Hour), 1000)
		w.must(err)
		if removed["delivery counts"] == 0 {
			w.Errorf("old counts stay: %v", removed)
		}
	},
	"conflicts are counted by service, field and type, the most first": func(w *world) {
		s, u := w.service("s"), w.service("u")
		var c tandem.Changes
		for i := range 3 {
			c.PutConflicts = append(c.PutConflicts, w.newConflict(s, w.device(fmt.Sprint(i)), "tags", func(c *tandem.Conflict) { c.CreatedAt = w.now.Add(time.Duration(i) * time.Minute) }))
		}
		d := w.device("d")
		c.PutConflicts = append(c.PutConflicts, w.newConflict(u, d, "name"), w.newConflict(s, d, "name", func(c *tandem.Conflict) { c.Status = tandem.ConflictIgnored }))
		w.apply(c)
		got, err := w.st.ConflictGroups(w.ctx, w.org, tandem.ConflictFilter{Page: tandem.Page{Number: 7}})
		w.must(err)
		w.equal(got, []tandem.ConflictGroup{{ServiceID: s.ID, Field: "tags", Type: tandem.ConcurrentModification, Count: 3, OldestAt: w.now},
			{ServiceID: u.ID, Field: "name", Type: tandem.ConcurrentModification, Count: 1, OldestAt: w.now}})
		got, err = w.st.ConflictGroups(w.ctx, w.org, tandem.ConflictFilter{Status: tandem.ConflictIgnored})
		w.must(err)
		if len(got) != 1 || got[0].ServiceID != s.ID || got[0].Count != 1 {
			w.Errorf("ignored: %+v", got)
		}
	},
	"what a run did not get done is handed on, oldest first, up to a limit": func(w *world) {
		run, d := w.newRun(w.service("s")), w.device("d")
		entry := func(outcome tandem.EntryOutcome, after time.Duration) tandem.Entry {
			return w.newEntry(run, d, func(e *tandem.Entry) {
				e.Outcome, e.Code, e.Error, e.Note, e.CreatedAt = outcome, tandem.Exists, "taken", "n", w.now.Add(after)
			})
		}
		late, early, done := entry(tandem.OutcomeFailed, time.Minute), entry(tandem.OutcomeHeld, 0), entry(tandem.OutcomeDone, 0)
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}, Entries: []tandem.Entry{late, early, done}})
		for limit, want := range map[int][]string{10: {early.ID, late.ID}, 1: {early.ID}} {
			var got []string
			w.must(w.st.UndoneEntries(w.ctx, w.org, run.ID, limit, func(e *tandem.Entry) {
				if e.Code != tandem.Exists || e.Error != "taken" || e.Note != "n" || e.DeviceID != d.ID || e.DeviceName != "d" || e.Action != tandem.ActUpdate {
					w.Errorf("%+v", e)
				}
				got = append(got, e.ID)
			}))
			w.equal(got, want)
		}
	},
	"what a run did is read from its end, some at a time": func(w *world) {
		run, other, d := w.newRun(w.service("s")), w.newRun(w.service("u")), w.device("d")
		var entries, want []tandem.Entry
		for i := range 7 {
			entries = append(entries, w.newEntry(run, d, func(e *tandem.Entry) { e.CreatedAt = w.now.Add(time.Duration(i/2) * time.Minute) }))
		}
		entries[3].Outcome = tandem.OutcomeFailed
		for i, e := range entries {
			if i != 3 {
				want = append(want, e)
			}
		}
		slices.SortFunc(want, func(a, b tandem.Entry) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(b.ID, a.ID))
		})
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run, other}, Entries: append(entries, w.newEntry(other, d))})
		var got []tandem.Entry
		for place := (tandem.EntryPlace{}); ; {
			some, err := w.st.DoneEntries(w.ctx, w.org, run.ID, place, 2)
			w.must(err)
			if len(some) == 0 {
				break
			}
			got = append(got, some...)
			place = tandem.EntryPlace{CreatedAt: some[len(some)-1].CreatedAt, ID: some[len(some)-1].ID}
		}
		w.equal(got, want)
	},
	"a device's history names runs, their triggers and the webhooks that led to them, and edits": historyOfDevice,
	"where a run stands is what was noted last, until it ends": func(w *world) {
		run := w.newRun(w.service("s"))
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}})
		started, err := w.st.RunProgress(w.ctx, w.org, run.ID)
		w.must(err)
		w.equal(started, tandem.Progress{RunID: run.ID, Status: tandem.RunRunning, StartedAt: run.StartedAt})
		noted := tandem.Progress{RunID: run.ID, Phase: "listing", Done: 3, Total: 9, Summary: tandem.Summary{Processed: 3}, PhaseAt: &w.now, At: &w.now}
		_, cursor, err := w.st.EventsSince(w.ctx, "", 1000)
		w.must(err)
		w.must(w.st.NoteProgress(w.ctx, w.org, noted))
		events, _, err := w.st.EventsSince(w.ctx, cursor, 1000)
		w.must(err)
		told := 0
		for _, e := range events {
			if e.OrganizationID == w.org && e.Kind == "runs" && len(e.IDs) == 1 && e.IDs[0] == run.ID {
				told++
			}
		}
		if told != 1 {
			w.Errorf("%d events tell of it: %+v", told, events)
		}
		got, err := w.st.RunProgress(w.ctx, w.org, run.ID)
		w.must(err)
		noted.Status, noted.StartedAt = tandem.RunRunning, run.StartedAt
		w.equal(got, noted)
		run.Status, run.CompletedAt, run.Summary = tandem.RunCompleted, &w.now, tandem.Summary{Processed: 9, Successful: 9}
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}})
		w.must(w.st.NoteProgress(w.ctx, w.org, noted))
		got, err = w.st.RunProgress(w.ctx, w.org, run.ID)
		w.must(err)
		w.equal(got, tandem.Progress{RunID: run.ID, Done: 9, Summary: run.Summary, Status: tandem.RunCompleted, StartedAt: run.StartedAt, At: &w.now})
		_, err = w.st.RunProgress(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
	},
	"runs are found by trigger, device, whose they are, time and error": func(w *world) {
		s := w.service("s")
		names := map[string]string{}
		add := func(name string, edit func(*tandem.Run)) {
			r := w.newRun(s, edit)
			names[r.ID] = name
			w.apply(tandem.Changes{PutRuns: []tandem.Run{r}})
		}
		add("1", func(r *tandem.Run) { r.Trigger, r.CreatedBy = tandem.BySchedule, "ada@example.com" })
		add("2", func(r *tandem.Run) {
			r.CreatedAt, r.DeviceID, r.Error = w.now.Add(time.Minute), "d7", "The Über key is refused"
		})
		for _, test := range []struct {
			filter tandem.RunFilter
			want   string
		}{
			{tandem.RunFilter{Trigger: tandem.BySchedule}, "1"}, {tandem.RunFilter{CreatedBy: "ada@example.com"}, "1"}, {tandem.RunFilter{DeviceID: "d7"}, "2"},
			{tandem.RunFilter{Since: w.now.Add(time.Minute)}, "2"}, {tandem.RunFilter{Until: w.now.Add(time.Minute)}, "1"},
			{tandem.RunFilter{Search: "the über"}, "2"}, {tandem.RunFilter{Search: "100%"}, ""}, {tandem.RunFilter{}, "1 2"},
		} {
			list, _, err := w.st.Runs(w.ctx, w.org, test.filter)
			w.must(err)
			if got := joined(list, func(r tandem.Run) string { return names[r.ID] }); got != test.want {
				w.Errorf("%+v gives %q, want %q", test.filter, got, test.want)
			}
		}
	},
	"entries are listed newest first, of a service": func(w *world) {
		d := w.device("d")
		run, other := w.newRun(w.service("s")), w.newRun(w.service("u"))
		first := w.newEntry(run, d)
		second := w.newEntry(run, d, func(e *tandem.Entry) { e.CreatedAt = w.now.Add(time.Minute) })
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run, other}, Entries: []tandem.Entry{first, second, w.newEntry(other, d)}})
		list, total, err := w.st.Entries(w.ctx, w.org, tandem.EntryFilter{DeviceID: d.ID, ServiceID: run.ServiceID, Newest: true})
		w.must(err)
		w.equal(pick(list, func(e tandem.Entry) string { return e.ID }), []string{second.ID, first.ID})
		if total != 2 {
			w.Errorf("%d in all", total)
		}
	},
}

// historyOfDevice is a test.
func historyOfDevice(w *world) {
	s, d := w.service("s"), w.device("d")
	hinted := w.newRun(s, func(r *tandem.Run) { r.Trigger, r.CreatedBy = tandem.ByWebhook, "webhook" })
	by := w.newRun(s, func(r *tandem.Run) { r.CreatedBy = "ada@example.com" })
	name := w.newEntry(by, d)
	leaf := w.newEntry(hinted, d, func(e *tandem.Entry) {
		e.Path, e.CreatedAt, e.Outcome, e.Error, e.Note = "metadata/site/floor", w.now.Add(time.Minute), tandem.OutcomeFailed, "away", "n"
	})
	delivery := w.newDelivery(s)
	w.store(delivery)
	edit := tandem.AuditEntry{ID: w.id(), OrganizationID: w.org, At: w.now, ActorKind: tandem.PersonActor, ActorID: "u", Actor: "ada@example.com", Action: "device.update",
		ThingType: "device", ThingID: d.ID, Thing: "d", Before: raw(`{"name":"a"}`), After: raw(`{"name":"b"}`)}
	w.apply(tandem.Changes{PutRuns: []tandem.Run{hinted, by}, Entries: []tandem.Entry{name, leaf, w.newEntry(by, w.device("other"))},
		Deliveries: []tandem.DeliveryOutcome{{ID: delivery.ID, ServiceID: s.ID, Status: tandem.DeliveryProcessed, RunID: hinted.ID, At: w.now}},
		Along:      tandem.Along{Audit: []tandem.AuditEntry{edit}}})
	wantLeaf := tandem.HistoryEntry{At: leaf.CreatedAt, Field: "metadata/site/floor", Side: tandem.LocalSide, Action: tandem.ActUpdate, Before: leaf.Before, After: leaf.After, By: "webhook",
		RunID: hinted.ID, Trigger: tandem.ByWebhook, Operation: tandem.OpBidirectional, DeliveryID: delivery.ID, Outcome: tandem.OutcomeFailed, Source: tandem.FromDelivery, Note: "n", Error: "away"}
	wantName := tandem.HistoryEntry{At: w.now, Field: "name", Side: tandem.LocalSide, Action: tandem.ActUpdate, Before: name.Before, After: name.After, By: "ada@example.com",
		RunID: by.ID, Trigger: tandem.ByHand, Operation: tandem.OpBidirectional, Outcome: tandem.OutcomeDone, Source: tandem.FromRun}
	for _, test := range []struct {
		field tandem.Path
		limit int
		want  []tandem.HistoryEntry
		total int
	}{
		{"", 10, []tandem.HistoryEntry{wantLeaf, wantName}, 2}, {"", 1, []tandem.HistoryEntry{wantLeaf}, 2}, {"metadata", 10, []tandem.HistoryEntry{wantLeaf}, 1},
		{"metadata/site/floor", 10, []tandem.HistoryEntry{wantLeaf}, 1}, {"name", 10, []tandem.HistoryEntry{wantName}, 1}, {"tags", 10, nil, 0},
	} {
		got, total, err := w.st.DeviceEntries(w.ctx, w.org, d.ID, test.field, test.limit)
		w.must(err)
		w.equal(got, test.want)
		if total != test.total {
			w.Errorf("%q: %d in all, want %d", test.field, total, test.total)
		}
	}
	edits, err := w.st.DeviceEdits(w.ctx, w.org, d.ID, 10)
	w.must(err)
	w.equal(edits, []tandem.AuditEntry{edit})
	for _, perDevice := range []int{1, 0} {
		edits, err = w.st.RecentEdits(w.ctx, w.org, []string{d.ID, "another"}, perDevice)
		w.must(err)
		w.equal(edits, []tandem.AuditEntry{edit}[:perDevice])
	}
}

var overviewForeign = cases{
	"Overview": func(b *world, _ filled) []outcome {
		o, err := b.st.Overview(b.ctx, b.org, b.now)
		return got(o.Devices+len(o.Services)+len(o.BySync)+o.ConflictsOpen+o.AlertsOpen+o.DeadDeliveries, err)
	},
	"OpenCounts": func(b *world, _ filled) []outcome { return one(b.st.OpenCounts(b.ctx, b.org)) },
	"DeliveryRate": func(b *world, a filled) []outcome {
		n := 0
		buckets, err := b.st.DeliveryRate(b.ctx, b.org, a.service.ID, b.now.Add(-time.Hour), b.now.Add(time.Hour), time.Minute)
		for _, bucket := range buckets {
			n += len(bucket.Counts)
		}
		return got(n, err)
	},
	"ConflictGroups": func(b *world, a filled) []outcome {
		return append(one(b.st.ConflictGroups(b.ctx, b.org, tandem.ConflictFilter{All: true})), one(b.st.ConflictGroups(b.ctx, b.org, tandem.ConflictFilter{ServiceID: a.service.ID}))...)
	},
	"UndoneEntries": func(b *world, a filled) []outcome {
		n := 0
		err := b.st.UndoneEntries(b.ctx, b.org, a.run.ID, 10, func(*tandem.Entry) { n++ })
		return got(n, err)
	},
	"DeviceEntries": func(b *world, a filled) []outcome {
		return two(b.st.DeviceEntries(b.ctx, b.org, a.device.ID, "", 10))
	},
	"DeviceEdits": func(b *world, a filled) []outcome { return one(b.st.DeviceEdits(b.ctx, b.org, a.device.ID, 10)) },
	"RecentEdits": func(b *world, a filled) []outcome {
		return one(b.st.RecentEdits(b.ctx, b.org, []string{a.device.ID}, 10))
	},
	"DeviceFacets": func(b *world, _ filled) []outcome {
		f, err := b.st.DeviceFacets(b.ctx, b.org)
		return got(len(f.Types)+len(f.Tags)+len(f.Blueprints)+len(f.Cohorts), err)
	},
	"RunProgress": func(b *world, a filled) []outcome {
		_, err := b.st.RunProgress(b.ctx, b.org, a.run.ID)
		return refused(err)
	},
	"NoteProgress": func(b *world, a filled) []outcome {
		return got(nil, b.st.NoteProgress(b.ctx, b.org, tandem.Progress{RunID: a.run.ID, Phase: "stolen"}))
	},
}

// readOverview makes each read of what pages show at a glance.
func readOverview(w *world, f queried) {
	w.Helper()
	check := func(_ any, err error) { w.Helper(); w.must(err) }
	check(w.st.Overview(w.ctx, w.org, w.now))
	check(w.st.OpenCounts(w.ctx, w.org))
	for _, service := range []string{"", f.service.ID} {
		check(w.st.DeliveryRate(w.ctx, w.org, service, w.now.Add(-time.Hour), w.now, time.Minute))
	}
	for _, q := range []tandem.ConflictFilter{{}, {ServiceID: f.service.ID}, {Field: "name"}, {Type: tandem.InitialMismatch}, {Search: "device-7"}} {
		check(w.st.ConflictGroups(w.ctx, w.org, q))
	}
	check(w.st.DoneEntries(w.ctx, w.org, f.run.ID, tandem.EntryPlace{}, 10))
	check(w.st.DoneEntries(w.ctx, w.org, f.run.ID, tandem.EntryPlace{CreatedAt: w.now, ID: f.run.ID}, 10))
	w.must(w.st.UndoneEntries(w.ctx, w.org, f.run.ID, 10, func(*tandem.Entry) {}))
	for _, field := range []tandem.Path{"", "name", "metadata/x"} {
		_, _, err := w.st.DeviceEntries(w.ctx, w.org, f.device.ID, field, 10)
		w.must(err)
	}
	check(w.st.DeviceEdits(w.ctx, w.org, f.device.ID, 10))
	check(w.st.RecentEdits(w.ctx, w.org, []string{f.device.ID}, 10))
	check(w.st.DeviceFacets(w.ctx, w.org))
	check(w.st.RunProgress(w.ctx, w.org, f.run.ID))
	page := tandem.Page{Number: 2, Limit: 20}
	for _, q := range []tandem.RunFilter{{Trigger: tandem.ByWebhook}, {CreatedBy: "ada"}, {DeviceID: f.device.ID}, {Since: w.now}, {Until: w.now, ServiceID: f.service.ID}, {Search: "away"}} {
		q.Page = page
		_, _, err := w.st.Runs(w.ctx, w.org, q)
		w.must(err)
	}
	for _, q := range []tandem.EntryFilter{{RunID: f.run.ID, Newest: true}, {DeviceID: f.device.ID, Newest: true, ServiceID: f.service.ID}} {
		q.Page = page
		_, _, err := w.st.Entries(w.ctx, w.org, q)
		w.must(err)
	}
}
