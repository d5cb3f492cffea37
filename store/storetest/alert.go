package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"tandem"
)

var alertTests = map[string]func(*world){
	"an alert reads back, and at most one is open for each kind and subject": func(w *world) {
		s := w.service("s")
		escalated := w.now.Add(time.Minute)
		a := w.newAlert(s, tandem.AlertConflicts, func(a *tandem.Alert) {
			a.RunID, a.EscalatedAt, a.AcknowledgedBy, a.AcknowledgedAt = "run", &escalated, "me", &escalated
		})
		w.apply(tandem.Changes{PutAlerts: []tandem.Alert{a}})
		got, err := w.st.Alert(w.ctx, w.org, a.ID)
		w.must(err)
		a.Version = 1
		w.equal(got, a)
		second := w.newAlert(s, tandem.AlertConflicts)
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutAlerts: []tandem.Alert{second}}), tandem.Stale)
		open, err := w.st.OpenAlert(w.ctx, w.org, tandem.AlertConflicts, s.ID)
		w.must(err)
		w.equal(open, a)
		a.Status, a.ResolvedBy, a.ResolvedAt = tandem.AlertResolved, "me", &escalated
		w.apply(tandem.Changes{PutAlerts: []tandem.Alert{second, a}}) // resolving one and raising the next is one transaction
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutAlerts: []tandem.Alert{a}}), tandem.Stale)
		open, err = w.st.OpenAlert(w.ctx, w.org, tandem.AlertConflicts, s.ID)
		w.must(err)
		w.equal(open.ID, second.ID)
		_, err = w.st.OpenAlert(w.ctx, w.org, tandem.AlertRunFailed, s.ID)
		w.wantCode(err, tandem.NotFound)
		_, err = w.st.Alert(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
	},
	"alerts are listed by each filter, open ones unless asked": func(w *world) {
		s, t := w.service("s"), w.service("t")
		at := func(n int) func(*tandem.Alert) {
			return func(a *tandem.Alert) { a.RaisedAt = w.now.Add(time.Duration(n) * time.Minute) }
		}
		a, b, c := w.newAlert(s, tandem.AlertConflicts, at(1)), w.newAlert(t, tandem.AlertRunFailed, at(2)), w.newAlert(s, tandem.AlertRunFailed, at(3))
		b.Status, c.Status = tandem.AlertAcknowledged, tandem.AlertResolved
		w.apply(tandem.Changes{PutAlerts: []tandem.Alert{a, b, c}})
		for _, step := range []struct {
			filter tandem.AlertFilter
			want   []string
		}{
			{tandem.AlertFilter{}, []string{b.ID, a.ID}}, {tandem.AlertFilter{All: true}, []string{c.ID, b.ID, a.ID}}, {tandem.AlertFilter{ServiceID: s.ID, All: true}, []string{c.ID, a.ID}},
			{tandem.AlertFilter{Kind: tandem.AlertRunFailed}, []string{b.ID}}, {tandem.AlertFilter{Status: tandem.AlertResolved}, []string{c.ID}}, {tandem.AlertFilter{IDs: []string{a.ID}}, []string{a.ID}},
		} {
			found, total, err := w.st.Alerts(w.ctx, w.org, step.filter)
			w.must(err)
			w.equal(pick(found, func(a tandem.Alert) string { return a.ID }), step.want)
			w.equal(total, len(step.want))
		}
	},
	"what nobody acknowledged escalates once": func(w *world) {
		s := w.service("s")
		a := w.newAlert(s, tandem.AlertConflicts, func(a *tandem.Alert) { a.RaisedAt = past })
		seen := w.newAlert(s, tandem.AlertRunFailed, func(a *tandem.Alert) { a.RaisedAt, a.Status = past, tandem.AlertAcknowledged })
		w.apply(tandem.Changes{PutAlerts: []tandem.Alert{a, seen}})
		due := func() []string {
			found, err := w.st.AlertsToEscalate(w.ctx, past.Add(time.Minute), 100)
			w.must(err)
			return pick(found, func(a tandem.Alert) string { return a.OrganizationID + " " + a.ID })
		}
		w.equal(due(), []string{w.org + " " + a.ID})
		a.Version, a.EscalatedAt = 1, &w.now
		w.apply(tandem.Changes{PutAlerts: []tandem.Alert{a}})
		w.equal(due(), []string{})
	},
	"a channel reads back, by id and by name, and keeps what its sending noted": func(w *world) {
		c := w.newChannel("ops")
		w.apply(tandem.Changes{PutChannels: []tandem.Channel{c}})
		c.Version = 1
		for _, ref := range []string{c.ID, "ops"} {
			got, err := w.st.Channel(w.ctx, w.org, ref)
			w.must(err)
			w.equal(got, c)
		}
		again := w.newChannel("ops")
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutChannels: []tandem.Channel{again}}), tandem.Exists)
		w.must(w.st.NoteChannel(w.ctx, w.org, c.ID, &w.now, "away"))
		w.must(w.st.NoteChannel(w.ctx, w.org, c.ID, nil, "away again"))
		edited := c
		edited.IsActive, edited.Kinds, edited.Credentials = false, nil, nil
		w.apply(tandem.Changes{PutChannels: []tandem.Channel{edited}})
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutChannels: []tandem.Channel{edited}}), tandem.Stale)
		edited.Version, edited.LastSentAt, edited.LastError = 2, &w.now, "away again"
		list, err := w.st.Channels(w.ctx, w.org)
		w.must(err)
		w.equal(list, []tandem.Channel{edited})
		w.wantCode(w.st.NoteChannel(w.ctx, w.org, "none", nil, ""), tandem.NotFound)
	},
	"notifications are claimed once, until they are sent or given up": func(w *world) {
		c, a := w.newChannel("ops"), w.newAlert(w.service("s"), tandem.AlertConflicts)
		one, two, test := w.newNotification(c, a), w.newNotification(c, a), w.newNotification(c, tandem.Alert{})
		one.NextAt, two.NextAt, test.NextAt = past, past.Add(time.Second), past.Add(2*time.Second)
		w.apply(tandem.Changes{PutAlerts: []tandem.Alert{a}, PutChannels: []tandem.Channel{c}, PutNotifications: []tandem.Notification{two, one, test}})
		var claims atomic.Int64
		var wait sync.WaitGroup
		for i := range 4 {
			wait.Go(func() {
				got, err := w.handles[i%len(w.handles)].ClaimNotifications(w.ctx, "h", 10, time.Minute)
				if err != nil {
					w.Error(err)
				}
				claims.Add(int64(len(got)))
			})
		}
		wait.Wait()
		if claims.Load() != 3 {
			w.Fatalf("%d claims of 3 notifications", claims.Load())
		}
		all := []tandem.Notification{one, two, test}
		w.must(w.st.KeepNotifications(w.ctx, "another", all, 0)) // whose they are not
		none, err := w.st.ClaimNotifications(w.ctx, "h", 10, time.Minute)
		w.must(err)
		w.equal(len(none), 0)
		w.must(w.st.KeepNotifications(w.ctx, "h", all, 0))
		again, err := w.st.ClaimNotifications(w.ctx, "h", 10, time.Minute)
		w.must(err)
		w.equal(len(again), 3)
		one.SentAt, two.DeadAt, two.Error, two.Attempts = &w.now, &w.now, "no such host", 5
		test.Attempts = 1 // again: putting it back lets go of it
		w.apply(tandem.Changes{PutNotifications: []tandem.Notification{one, two, test}})
		got, err := w.st.ClaimNotifications(w.ctx, "h", 10, time.Minute)
		w.must(err)
		w.equal(got, []tandem.Notification{test})
		list, total, err := w.st.Notifications(w.ctx, w.org, c.ID, tandem.Page{})
		w.must(err)
		w.equal(list, []tandem.Notification{test, two, one})
		w.equal(total, 3)
		w.apply(tandem.Changes{DropChannels: []tandem.Versioned{{ID: c.ID}}})
		list, _, err = w.st.Notifications(w.ctx, w.org, "", tandem.Page{})
		w.must(err)
		w.equal(list, []tandem.Notification{one}) // what was sent stays
		_, err = w.st.Channel(w.ctx, w.org, c.ID)
		w.wantCode(err, tandem.NotFound)
		one.Error = "a sender notes it although the channel went meanwhile"
		w.apply(tandem.Changes{PutNotifications: []tandem.Notification{one}})
	},
}
