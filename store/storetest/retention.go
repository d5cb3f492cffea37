package storetest

import (
	"fmt"
	"time"

	"tandem"
)

// prune removes what is old at an instant, in steps of limit, and gives how much of each kind went and in how many steps.
func (w *world) prune(keep tandem.Retention, now time.Time, limit int) (removed map[string]int, steps int) {
	w.Helper()
	removed = map[string]int{}
	for {
		some, err := w.st.Prune(w.ctx, keep, now, limit)
		w.must(err)
		sum := 0
		for kind, n := range some {
			sum += n
			removed[kind] += n
			if n > 2*limit {
				w.Errorf("%d %s in one step of %d", n, kind, limit)
			}
		}
		if sum == 0 {
			return removed, steps
		}
		steps++
	}
}

// old makes the time of a run, a conflict or a plan long past.
var old = past.Add(-24 * time.Hour)

var retentionTests = map[string]func(*world){
	"nothing goes that is kept for ever": func(w *world) {
		s := w.service("s")
		w.store(w.newDelivery(s, func(d *tandem.Delivery) { d.ReceivedAt, d.Status = old, tandem.DeliveryDead }))
		before := snapshot(w)
		w.prune(tandem.Retention{}, w.now.Add(-20*365*24*time.Hour), 100)
		if after := snapshot(w); after != before {
			w.Errorf("removed: %s", diff(after, before))
		}
	},
	"old deliveries go with what they are told apart by, in steps": func(w *world) {
		s, d := w.service("s"), w.device("d")
		var batch []tandem.Delivery
		for i := range 25 {
			batch = append(batch, w.newDelivery(s, func(d *tandem.Delivery) {
				d.EventID, d.ReceivedAt, d.Status = fmt.Sprintf("e%d", i), old, tandem.DeliveryWaiting
			}))
		}
		young := w.newDelivery(s, func(d *tandem.Delivery) { d.Status = tandem.DeliveryDead })
		w.store(append(batch, young)...)
		w.apply(tandem.Changes{Observations: []tandem.DeviceObservation{{DeviceID: d.ID, Path: "p", Value: raw("1"), ObservedAt: old}}})
		removed, steps := w.prune(tandem.Retention{Deliveries: time.Hour}, past, 10)
		if removed["deliveries"] < 25 || steps < 3 {
			w.Errorf("%v in %d steps", removed, steps)
		}
		found, _, err := w.st.Deliveries(w.ctx, w.org, tandem.DeliveryFilter{})
		w.must(err)
		w.equal(pick(found, func(d tandem.Delivery) string { return d.ID }), []string{young.ID})
		if dup := w.store(again(batch[0], w.id())); len(dup) != 0 {
			w.Error("an event id outlived its delivery")
		}
		now, err := w.st.Now(w.ctx)
		w.must(err)
		if removed, _ = w.prune(tandem.Retention{Observations: time.Hour}, now.Add(-time.Hour), 10); removed["observations"] != 0 {
			w.Errorf("a value that was just written went because of what it is about: %v", removed)
		}
		if removed, _ = w.prune(tandem.Retention{Observations: time.Hour}, now.Add(2*time.Hour), 1000); removed["observations"]+removed["weeks of observations"] == 0 {
			w.Error("an old value stayed")
		}
	},
	"S29 whole runs go, with their entries, closed conflicts and used plans, and the audit says so": func(w *world) {
		s, d := w.service("s"), w.device("d")
		ended := func(r *tandem.Run) {
			r.Status, r.CreatedAt, r.StartedAt, r.CompletedAt = tandem.RunCompleted, old, &old, &old
		}
		gone, young := w.newRun(s, ended), w.newRun(s, func(r *tandem.Run) { r.Status = tandem.RunCompleted })
		holds := map[string]tandem.Run{"plan": w.newRun(s, ended), "plan of run": w.newRun(s, ended, func(r *tandem.Run) { r.Status = tandem.RunBlocked }), "conflict": w.newRun(s, ended), "intent": w.newRun(s, ended),
			"running": w.newRun(s, ended, func(r *tandem.Run) { r.Status = tandem.RunRunning })}
		open := tandem.Plan{ID: w.id(), OrganizationID: w.org, ServiceID: s.ID, RunID: holds["plan of run"].ID, Operation: tandem.OpExport, Reason: tandem.PlanSaved,
			Status: tandem.PlanOpen, CreatedAt: old}
		openToo, used, saved, fresh := open, open, open, open
		openToo.ID, openToo.RunID, used.ID, used.RunID = w.id(), "", w.id(), gone.ID
		saved.ID, saved.RunID, fresh.ID, fresh.RunID, fresh.CreatedAt = w.id(), "", w.id(), "", w.now
		blocked := holds["plan"]
		blocked.PlanID, blocked.Status = openToo.ID, tandem.RunBlocked
		holds["plan"] = blocked
		runs := []tandem.Run{gone, young}
		for _, name := range sorted(holds) {
			runs = append(runs, holds[name])
		}
		intent := w.newIntent(s, d)
		intent.RunID = holds["intent"].ID
		aged := func(run tandem.Run) func(*tandem.Conflict) {
			return func(c *tandem.Conflict) { c.RunID, c.CreatedAt, c.UpdatedAt = run.ID, old, old }
		}
		pending, closed := w.newConflict(s, d, "name", aged(holds["conflict"])), w.newConflict(s, d, "tags", aged(gone))
		closed.Status = tandem.ConflictResolved
		var entries []tandem.Entry
		for range 25 {
			entries = append(entries, w.newEntry(gone, d, func(e *tandem.Entry) { e.CreatedAt = old }))
		}
		kept := w.newEntry(young, d)
		w.apply(tandem.Changes{PutRuns: runs, PutIntents: []tandem.Intent{intent}, PutConflicts: []tandem.Conflict{pending, closed}, Entries: append(entries, kept)})
		for _, p := range []tandem.Plan{open, openToo, used, saved, fresh} {
			w.must(w.st.CreatePlan(w.ctx, w.org, p))
			w.must(w.st.AppendPlan(w.ctx, w.org, p.ID, []tandem.Change{{Side: tandem.LocalSide, Action: tandem.ActUpdate}, {Side: tandem.LocalSide, Action: tandem.ActUpdate}}))
		}
		w.must(w.st.ClosePlan(w.ctx, w.org, used.ID, tandem.PlanUsed, old))
		_, steps := w.prune(tandem.Retention{Runs: time.Hour}, past, 10)
		if steps < 3 {
			w.Errorf("%d steps", steps)
		}
		_, err := w.st.Run(w.ctx, w.org, gone.ID)
		w.wantCode(err, tandem.NotFound)
		for _, run := range runs[1:] {
			if _, err := w.st.Run(w.ctx, w.org, run.ID); err != nil {
				w.Error(err)
			}
		}
		_, total, err := w.st.Entries(w.ctx, w.org, tandem.EntryFilter{})
		w.must(err)
		w.equal(total, 1)
		conflicts, _, err := w.st.Conflicts(w.ctx, w.org, tandem.ConflictFilter{All: true})
		w.must(err)
		w.equal(pick(conflicts, func(c tandem.Conflict) string { return c.ID }), []string{pending.ID})
		plans, err := w.st.Plans(w.ctx, w.org, s.ID)
		w.must(err)
		w.equal(joined(plans, func(p tandem.Plan) string { return p.ID }), open.ID+" "+openToo.ID+" "+fresh.ID)
		told, _, err := w.st.Audit(w.ctx, w.org, tandem.AuditFilter{Action: "run.pruned"})
		w.must(err)
		if len(told) != 1 || told[0].RunID != gone.ID || told[0].ActorKind != tandem.SystemActor {
			w.Errorf("the audit tells %+v", told)
		}
	},
	"resolved alerts go with their notifications, open ones stay": func(w *world) {
		s := w.service("s")
		a, b := w.newAlert(s, tandem.AlertConflicts), w.newAlert(s, tandem.AlertRunFailed)
		a.Status, a.RaisedAt, a.ResolvedAt, b.RaisedAt = tandem.AlertResolved, old, &old, old
		c := w.newChannel("c")
		gone, stays := w.newNotification(c, a), w.newNotification(c, b)
		gone.SentAt, stays.SentAt = &old, &old
		w.apply(tandem.Changes{PutAlerts: []tandem.Alert{a, b}, PutChannels: []tandem.Channel{c}, PutNotifications: []tandem.Notification{gone, stays}})
		w.prune(tandem.Retention{Alerts: time.Hour}, past, 10)
		alerts, _, err := w.st.Alerts(w.ctx, w.org, tandem.AlertFilter{All: true})
		w.must(err)
		w.equal(pick(alerts, func(a tandem.Alert) string { return a.ID }), []string{b.ID})
		left, _, err := w.st.Notifications(w.ctx, w.org, "", tandem.Page{})
		w.must(err)
		w.equal(pick(left, func(n tandem.Notification) string { return n.ID }), []string{stays.ID})
	},
	"old events go, and a reader goes on": func(w *world) {
		_, cursor := w.eventsSince("", 100)
		w.apply(tandem.Changes{Along: tandem.Along{Events: []tandem.Event{{ID: w.id(), At: old, Kind: "old"}, {ID: w.id(), At: w.now.Add(time.Hour), Kind: "young"}}}})
		w.prune(tandem.Retention{Events: time.Hour}, past, 10)
		events, next := w.eventsSince(cursor, 100)
		w.equal(pick(events, func(e tandem.Event) string { return e.Kind }), []string{"young"})
		w.apply(tandem.Changes{Along: tandem.Along{Events: []tandem.Event{{ID: w.id(), At: w.now, Kind: "next"}}}})
		events, _ = w.eventsSince(next, 100)
		w.equal(pick(events, func(e tandem.Event) string { return e.Kind }), []string{"next"})
	},
	"what has expired goes by itself": func(w *world) {
		w.must(w.st.PutSession(w.ctx, tandem.Session{ID: w.id(), ExpiresAt: old}))
		_, _, err := w.st.BeginAnswer(w.ctx, w.org, tandem.Answer{Key: "k", Fingerprint: "f", ExpiresAt: old}, old.Add(-time.Hour))
		w.must(err)
		removed, _ := w.prune(tandem.Retention{}, past, 10)
		if removed["sessions"] != 1 || removed["answers"] != 1 {
			w.Errorf("%v", removed)
		}
	},
}
