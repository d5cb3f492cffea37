package storetest

import (
	"slices"
	"time"

	"tandem"
)

var scheduleTests = map[string]func(*world){
	"due services are those with automatic sync whose time has come": func(w *world) {
		at := func(d time.Duration) func(*tandem.Service) {
			return func(s *tandem.Service) { next := past.Add(d); s.SyncEnabled, s.NextSyncAt = true, &next }
		}
		never := w.service("never", func(s *tandem.Service) { s.SyncEnabled = true })
		second, first := w.service("second", at(-time.Minute)), w.service("first", at(-time.Hour))
		later, off := w.service("later", at(time.Hour)), w.service("off", at(-time.Hour), func(s *tandem.Service) { s.SyncEnabled = false })
		paused := w.service("paused", at(-time.Hour), func(s *tandem.Service) { s.IsActive = false })
		due := func() (names []string) {
			found, err := w.st.DueServices(w.ctx, past, 1000)
			w.must(err)
			for _, s := range found {
				if s.OrganizationID == w.org {
					names = append(names, s.Name)
				}
			}
			return names
		}
		w.equal(due(), []string{"never", "first", "second"})
		next, failures := w.now, 3
		mark := &next
		w.apply(tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: first.ID, NextSyncAt: &mark, SyncFailures: &failures}}})
		w.equal(due(), []string{"never", "second"})
		got := w.readService(first.ID)
		if got.NextSyncAt == nil || !got.NextSyncAt.Equal(next) || got.SyncFailures != 3 || got.Version != first.Version {
			w.Errorf("%+v", got)
		}
		mark = nil
		w.apply(tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: first.ID, NextSyncAt: &mark}}})
		got = w.readService(first.ID)
		got.WebhookSecrets, got.NextSyncAt = []byte("sealed"), &next
		w.must(w.st.UpdateService(w.ctx, w.org, got))
		if got := w.readService(first.ID); string(got.WebhookSecrets) != "sealed" || got.NextSyncAt == nil || got.SyncFailures != 3 {
			w.Errorf("%+v", got)
		}
		var walked []string
		for after := ""; ; {
			page, err := w.st.ActiveServices(w.ctx, after, 2)
			w.must(err)
			if len(page) == 0 {
				break
			}
			for _, s := range page {
				after = s.ID
				if s.OrganizationID == w.org {
					walked = append(walked, s.ID)
				}
			}
		}
		want := []string{never.ID, second.ID, first.ID, later.ID, off.ID}
		slices.Sort(want)
		w.equal(walked, want)
		if slices.Contains(walked, paused.ID) {
			w.Error("a service that is not active was walked")
		}
	},
	"S38 a push is put off by the next, at most five seconds after the first": func(w *world) {
		s, d := w.service("s"), w.device("d")
		push := func(after, due time.Duration, by string) {
			w.apply(tandem.Changes{Along: tandem.Along{Pushes: []tandem.Push{{ServiceID: s.ID, DeviceID: d.ID, Trigger: tandem.ByEdit, By: by,
				First: w.now.Add(after), Due: w.now.Add(due)}}}})
		}
		read := func(at time.Duration) []tandem.Push {
			found, err := w.st.DuePushes(w.ctx, w.org, s.ID, w.now.Add(at), 10)
			w.must(err)
			return found
		}
		want := tandem.Push{OrganizationID: w.org, ServiceID: s.ID, DeviceID: d.ID, Trigger: tandem.ByEdit, By: "a", First: w.now, Due: w.now.Add(time.Second)}
		push(0, time.Second, "a")
		w.equal(read(time.Second), []tandem.Push{want})
		push(time.Second, 2*time.Second, "b")
		w.equal(read(time.Second), []tandem.Push{})
		want.By, want.Due = "b", w.now.Add(2*time.Second)
		w.equal(read(2*time.Second), []tandem.Push{want})
		push(5*time.Second, 6*time.Second, "c")
		want.By, want.Due = "c", w.now.Add(5*time.Second)
		w.equal(read(time.Minute), []tandem.Push{want})
		drop := want
		drop.Due = w.now.Add(4 * time.Second)
		w.apply(tandem.Changes{DropPushes: []tandem.Push{drop}}) // it was put off since it was read
		w.equal(read(time.Minute), []tandem.Push{want})
		found, err := w.st.ServicesToPush(w.ctx, w.now.Add(6*time.Second), 1000)
		w.must(err)
		found = slices.DeleteFunc(found, func(p tandem.Push) bool { return p.OrganizationID != w.org })
		w.equal(found, []tandem.Push{{OrganizationID: w.org, ServiceID: s.ID, Due: want.Due}})
		w.apply(tandem.Changes{DropPushes: []tandem.Push{want}})
		w.equal(read(time.Minute), []tandem.Push{})
		w.apply(tandem.Changes{Along: tandem.Along{Pushes: []tandem.Push{{ServiceID: s.ID, ExternalDeviceID: "x", Trigger: tandem.ByWebhook, First: w.now, Due: w.now}}}})
		got := read(0)
		if len(got) != 1 || got[0].ExternalDeviceID != "x" || got[0].DeviceID != "" {
			w.Errorf("%+v", got)
		}
	},
	"runs that have not ended are found, and who holds a service": func(w *world) {
		s := w.service("s")
		old := past.Add(time.Minute)
		queued := w.newRun(s, func(r *tandem.Run) { r.Status, r.CreatedAt, r.StartedAt = tandem.RunQueued, past, nil })
		running := w.newRun(s, func(r *tandem.Run) { r.CreatedAt, r.StartedAt = past.Add(time.Second), &old })
		ended := w.newRun(s, func(r *tandem.Run) { r.Status, r.CreatedAt = tandem.RunCompleted, past })
		young := w.newRun(s)
		w.apply(tandem.Changes{PutRuns: []tandem.Run{queued, running, ended, young}})
		found, err := w.st.UnendedRuns(w.ctx, past.Add(time.Hour), 1000)
		w.must(err)
		found = slices.DeleteFunc(found, func(r tandem.Run) bool { return r.OrganizationID != w.org })
		w.equal(found, []tandem.Run{queued, running})
		holder := func(want string) {
			w.Helper()
			run, err := w.st.LeaseHolder(w.ctx, w.org, s.ID)
			w.must(err)
			w.equal(run, want)
		}
		holder("")
		lease, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "p", running.ID, time.Hour)
		w.must(err)
		holder(running.ID)
		w.must(w.st.ReleaseLease(w.ctx, w.org, lease))
		holder("")
	},
	"devices turn offline once, by the smallest window of their services": func(w *world) {
		s := w.service("s")
		quick := w.service("quick", func(s *tandem.Service) { s.Config.OnlineWindow = 60 })
		seen := func(ago time.Duration) func(*tandem.Device) {
			return func(d *tandem.Device) { at := w.now.Add(-ago); d.LastSeen = &at }
		}
		link := func(name string, ago time.Duration, services ...tandem.Service) tandem.Device {
			d := w.device(name, seen(ago))
			for _, s := range services {
				w.link(d, s, name)
			}
			return d
		}
		window := tandem.DefaultOnlineWindow
		turned, both := link("turned", window+10*time.Second, s), link("both", 70*time.Second, s, quick)
		link("online", window-time.Second, s)
		link("long ago", window+time.Minute, s)
		link("edge", window, s)
		w.device("unlinked", seen(window+10*time.Second))
		found := func(s tandem.Service) []string {
			list, err := w.st.TurnedOffline(w.ctx, w.org, s.ID, w.now.Add(-30*time.Second), w.now, 100)
			w.must(err)
			return pick(list, func(l tandem.LinkedID) string { return l.DeviceID + " " + l.ExternalDeviceID })
		}
		w.equal(found(s), []string{turned.ID + " turned", both.ID + " both"})
		w.equal(found(quick), []string{both.ID + " both"})
	},
}
