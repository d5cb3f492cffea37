package jobs

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem"
	"tandem/audit"
	"tandem/golioth/simulator"
	"tandem/store/pgtest"
	"tandem/store/postgres/postgrestest"
	"tandem/syncer"
)

// alerts gives the open ones, by kind.
func (w *world) alerts() map[tandem.AlertKind]tandem.Alert {
	w.t.Helper()
	list, _, err := w.store.Alerts(w.ctx, w.org, tandem.AlertFilter{})
	w.must(err)
	open := map[tandem.AlertKind]tandem.Alert{}
	for _, a := range list {
		open[a.Kind] = a
	}
	return open
}

// scheduled waits until the schedule has put the next run off to a later time than now.
func (w *world) scheduled(what string) tandem.Service {
	w.t.Helper()
	w.eventually(what, func() bool {
		s := w.stored()
		return s.NextSyncAt != nil && s.NextSyncAt.After(w.now().Add(30*time.Second))
	})
	return w.stored()
}

// TestWrongKeyStopsTheSchedule: one confirmation, an alert, and then nothing until a person acts (S31).
func TestWrongKeyStopsTheSchedule(t *testing.T) {
	inBoth(t, func(w *world) {
		w.sim.SetFaults(simulator.Fault{Kind: "401"})
		w.process("one", nil)
		w.eventually("an alert is raised", func() bool { _, ok := w.alerts()[tandem.AlertKeyRejected]; return ok })
		if s := w.stored(); s.State != tandem.ServiceRejected || w.history()[0].Status != tandem.RunFailed {
			w.t.Errorf("the service is %s, the run %s", s.State, w.history()[0].Status)
		}
		asked := w.sim.Requests().Total
		for range 3 {
			w.advance(2 * time.Hour)
			w.scheduled("it was looked at again")
		}
		if n := w.sim.Requests().Total; n != asked || len(w.history()) != 1 {
			w.t.Errorf("a wrong key was tried again: %d requests, then %d; %d runs", asked, n, len(w.history()))
		}
	})
}

// TestDegradedBacksOff: the next run comes later and later, and in time again once the service answers.
func TestDegradedBacksOff(t *testing.T) {
	inBoth(t, func(w *world) {
		w.sim.SetFaults(simulator.Fault{Kind: "503"})
		w.process("one", nil)
		for failures, least := range []time.Duration{8 * time.Minute, 17 * time.Minute, 35 * time.Minute, 53 * time.Minute} {
			w.eventually("the run failed", func() bool { return w.stored().SyncFailures == failures+1 })
			s := w.scheduled("the next one is later")
			if wait := s.NextSyncAt.Sub(w.now()); wait < least || wait > 67*time.Minute {
				w.t.Errorf("after %d failures the next run is in %v", failures+1, wait)
			}
			if failures == 0 {
				w.eventually("an alert is raised", func() bool { _, ok := w.alerts()[tandem.AlertServiceDegraded]; return ok })
			}
			if failures < 3 {
				w.advance(s.NextSyncAt.Sub(w.now()))
			}
		}
		w.sim.SetFaults()
		w.advance(2 * time.Hour)
		w.eventually("it is well again", func() bool { s := w.stored(); return s.SyncFailures == 0 && s.State == tandem.ServiceOK })
		w.eventually("the alert has passed", func() bool { return len(w.alerts()) == 0 })
		if wait := w.scheduled("the next one is in time").NextSyncAt.Sub(w.now()); wait > 6*time.Minute {
			w.t.Errorf("the next run is in %v", wait)
		}
	})
}

// TestUnseenSettingsWait: a scheduled run shows what settings that nobody has approved would do, once; after that the
// schedule waits for a person (S28).
func TestUnseenSettingsWait(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remote("gate")
		s := w.stored()
		s.SyncEnabled = false
		w.must(w.store.UpdateService(w.ctx, w.org, s))
		w.service = w.addService("new", func(s *tandem.Service) { s.ApprovedConfig = "" })
		p := w.process("one", nil)
		w.eventually("a run waits for approval", func() bool { runs := w.history(); return len(runs) == 1 && runs[0].Status == tandem.RunBlocked })
		for range 3 {
			w.advance(10 * time.Minute)
			w.scheduled("it was looked at again")
		}
		if n := len(w.history()); n != 1 {
			w.t.Fatalf("%d runs wait for one approval", n)
		}
		_, err := p.engine.Queue(w.ctx, w.org, tandem.RunRequest{ServiceID: w.service, Approves: w.history()[0].ID, CreatedBy: "ada@example.com"})
		w.must(err)
		w.eventually("the device is here", func() bool { _, ok := w.named("gate"); return ok })
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 2 && all })
		w.remote("door")
		w.advance(10 * time.Minute)
		w.eventually("the schedule goes on", func() bool { _, ok := w.named("door"); return ok })

		// The same settings, of which the approval was taken back: a person is asked again.
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 3 && all })
		none := ""
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: w.service, ApprovedConfig: &none}}}))
		w.advance(10 * time.Minute)
		w.eventually("a person is asked again", func() bool { runs := w.history(); return len(runs) == 4 && runs[0].Status == tandem.RunBlocked })
	})
}

// TestDevicesTurnOffline: a device that stopped reporting is told of, once, and it is kept.
func TestDevicesTurnOffline(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remote("gate")
		w.remote("door")
		p := w.process("one", nil)
		w.process("two", nil)
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
		_, cursor, err := w.store.EventsSince(w.ctx, "", 1)
		w.must(err)
		gate, _ := w.named("gate")
		seen := w.now()
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{Observe: []tandem.Observation{{DeviceID: gate.ID, Observed: tandem.Observed{LastSeen: &seen}}}}))
		w.eventually("it was looked at while it was online", func() bool {
			last, ok, err := p.Jobs.engine.lastDone(w.ctx, kindOffline)
			w.must(err)
			at, _ := time.Parse(time.RFC3339Nano, last.Args["at"])
			return ok && at.After(seen)
		})
		told := 0
		listen := func() bool {
			events, next, err := w.store.EventsSince(w.ctx, cursor, 100)
			w.must(err)
			cursor = next
			for _, e := range events {
				if e.Kind == "device.offline" && slices.Equal(e.IDs, []string{gate.ID}) && e.OrganizationID == w.org {
					told++
				}
			}
			return told > 0
		}
		listen()
		if told != 0 {
			w.t.Error("it was told of while it was online")
		}
		w.advance(tandem.DefaultOnlineWindow + time.Minute)
		w.eventually("it is told of", listen)
		kept, _, err := w.store.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: gate.ID, Path: "status"})
		if err != nil || len(kept) != 1 || string(kept[0].Value) != `"offline"` {
			w.t.Errorf("kept is %+v (%v)", kept, err)
		}
		w.advance(time.Minute)
		later := w.now()
		w.eventually("it was looked at again", func() bool {
			last, ok, err := p.Jobs.engine.lastDone(w.ctx, kindOffline)
			w.must(err)
			at, _ := time.Parse(time.RFC3339Nano, last.Args["at"])
			return ok && at.After(later)
		})
		listen()
		if told != 1 {
			w.t.Errorf("it was told of %d times", told)
		}
	})
}

// TestAuditIsSealed: what was written is in the chain soon after, though several processes look.
func TestAuditIsSealed(t *testing.T) {
	inBoth(t, func(w *world) {
		w.process("one", nil)
		w.process("two", nil)
		for range 20 {
			c := &tandem.Changes{}
			c.Audit = []tandem.AuditEntry{{ID: newID(), OrganizationID: w.org, At: w.now(), ActorKind: tandem.CommandActor, Actor: "the command line", Action: "service.update", ThingType: "service", ThingID: w.service}}
			w.must(w.store.Apply(w.ctx, w.org, c))
		}
		w.eventually("all is sealed", func() bool {
			_, left, err := w.store.Unsealed(w.ctx, w.org, 1)
			w.must(err)
			head, err := w.store.LastSeal(w.ctx, w.org)
			w.must(err)
			return left == 0 && head.Seq >= 20
		})
		result, err := audit.Verify(w.ctx, w.store, w.org, nil, nil)
		w.must(err)
		w.must(result.Err())
	})
}

// heldLongAgo stores a plan of a run like the one given that is blocked; one of no run where it has no settings' print.
func (w *world) heldLongAgo(like tandem.Run, settings string) (plan string) {
	w.t.Helper()
	p := tandem.Plan{ID: newID(), OrganizationID: w.org, ServiceID: w.service, Operation: tandem.OpImport, Reason: tandem.PlanSaved, Status: tandem.PlanOpen,
		ConfigPrint: settings, CreatedAt: like.CreatedAt}
	if settings != "" {
		like.ID, like.Status, like.PlanID = newID(), tandem.RunBlocked, p.ID
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutRuns: []tandem.Run{like}}))
		p.RunID, p.Reason = like.ID, tandem.PlanGuarded
	}
	w.must(w.store.CreatePlan(w.ctx, w.org, p))
	return p.ID
}

// TestRetention: what is older than it is kept goes when a process begins, and from then on.
func TestRetention(t *testing.T) {
	inBoth(t, func(w *world) {
		long := w.now().Add(-100 * 24 * time.Hour)
		old := tandem.Run{ID: newID(), OrganizationID: w.org, ServiceID: w.service, Operation: tandem.OpImport, Trigger: tandem.ByHand,
			Status: tandem.RunCompleted, Details: json.RawMessage("{}"), StartedAt: &long, CompletedAt: &long, CreatedAt: long}
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutRuns: []tandem.Run{old}}))
		s := w.stored()
		waits, void, saved := w.heldLongAgo(old, syncer.Fingerprint(&s.Config)), w.heldLongAgo(old, "other settings"), w.heldLongAgo(old, "")
		w.process("one", nil)
		w.eventually("plans that are good for nothing are gone", func() bool {
			plans, err := w.store.Plans(w.ctx, w.org, w.service)
			w.must(err)
			is := map[string]tandem.PlanStatus{}
			for _, p := range plans {
				is[p.ID] = p.Status
			}
			if is[waits] != tandem.PlanOpen {
				w.t.Fatalf("what waits for a person is %s", is[waits])
			}
			return is[void] == tandem.PlanDiscarded && is[saved] == ""
		})
		w.eventually("the old run is gone", func() bool { _, err := w.store.Run(w.ctx, w.org, old.ID); return tandem.Is(err, tandem.NotFound) })
		w.eventually("the new one has ended, the blocked one stays", func() bool { n, all := w.ended(); return n == 2 && all })
	})
}

// TestBulkSettlement: conflicts are settled in the background, by a job in the transaction of a person's word.
func TestBulkSettlement(t *testing.T) {
	inBoth(t, func(w *world) {
		there := w.remote("gate")
		w.process("one", nil)
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
		there.Name = "theirs"
		_, err := w.sim.EditDevice("demo", there.ID, tandem.RemotePatch{Name: &there.Name})
		w.must(err)
		w.advance(time.Minute)
		w.edit(map[string]string{"gate": "ours"})
		w.eventually("an alert is raised", func() bool { _, ok := w.alerts()[tandem.AlertConflicts]; return ok })
		s, err := json.Marshal(tandem.Settlement{Filter: tandem.ConflictFilter{ServiceID: w.service, Field: "name"}, Take: tandem.TakeRemote, By: "ada@example.com"})
		w.must(err)
		c := &tandem.Changes{}
		c.Jobs = []tandem.Job{{Kind: tandem.JobSettle, OrganizationID: w.org, Args: map[string]string{"settlement": string(s)}}}
		w.must(w.store.Apply(w.ctx, w.org, c))
		w.eventually("theirs is here", func() bool { _, ok := w.named("theirs"); return ok })
		w.eventually("the alert has passed", func() bool { return len(w.alerts()) == 0 })
	})
}

// counting is a notifier that counts how often it is asked.
type counting struct{ asked atomic.Int64 }

// Send counts.
func (c *counting) Send(context.Context) (int, error) { c.asked.Add(1); return 0, nil }

// TestNotifications: they are sent when there is word of one, and looked at by themselves.
func TestNotifications(t *testing.T) {
	inBoth(t, func(w *world) {
		n := &counting{}
		w.process("one", func(o *Options) { o.Notifier = n; o.pace = func(time.Duration) time.Duration { return time.Hour } })
		w.eventually("it is looked at", func() bool { return n.asked.Load() == 1 })
		c := &tandem.Changes{}
		c.Jobs = []tandem.Job{{Kind: tandem.JobNotify, OrganizationID: w.org}}
		w.must(w.store.Apply(w.ctx, w.org, c))
		w.eventually("it is told", func() bool { return n.asked.Load() == 2 })
	})
}

// TestDeadLettersAreTold: an alert is raised for them, and passes when none is left.
func TestDeadLettersAreTold(t *testing.T) {
	inBoth(t, func(w *world) {
		now := w.now()
		d := tandem.Delivery{ID: newID(), OrganizationID: w.org, ServiceID: w.service, Digest: strings.Repeat("a", 64), Type: "device.data",
			ContentType: "application/json", Body: []byte("{}"), Status: tandem.DeliveryStored, NextAt: &now, ReceivedAt: now}
		_, err := w.store.StoreDeliveries(w.ctx, []tandem.Delivery{d})
		w.must(err)
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{Deliveries: []tandem.DeliveryOutcome{{ID: d.ID, Status: tandem.DeliveryDead, Attempts: 1, Error: "it is not JSON", At: now}}}))
		p := w.process("one", nil)
		DeadLetters(w.store, w.now, newID, p.Log)(w.ctx, []tandem.Delivery{d, d})
		if a := w.alerts()[tandem.AlertDeadLetters]; a.Count != 1 || a.ServiceID != w.service {
			w.t.Errorf("the alert is %+v", a)
		}
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{Deliveries: []tandem.DeliveryOutcome{{ID: d.ID, Status: tandem.DeliveryProcessed, Attempts: 2, At: now}}}))
		w.eventually("the alert has passed", func() bool { _, ok := w.alerts()[tandem.AlertDeadLetters]; return !ok })
	})
}

// TestAnotherRoleServes: the role that serves need not own the tables, neither the store's nor the job engine's.
func TestAnotherRoleServes(t *testing.T) {
	t.Parallel()
	at := postgrestest.URL(t)
	w := newWorld(t, place{postgres: true, at: at}) // the owner migrates
	admin, err := pgx.Connect(w.ctx, pgtest.AdminURL(t, at))
	w.must(err)
	defer func() { w.must(admin.Close(context.Background())) }()
	u, err := url.Parse(at)
	w.must(err)
	role := "serving_" + strings.TrimPrefix(u.Path, "/")
	_, err = admin.Exec(w.ctx, "CREATE ROLE "+role+" LOGIN PASSWORD 'secret'; GRANT tandem_app TO "+role)
	w.must(err)
	defer func() {
		_, err := admin.Exec(context.Background(), "DROP ROLE "+role)
		w.must(err)
	}()
	u.User = url.UserPassword(role, "secret")
	w.place.at = u.String()
	w.remote("gate")
	p := w.process("one", nil)
	w.eventually("the device is here", func() bool { _, ok := w.named("gate"); return ok })
	w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
	_, err = p.Depth(w.ctx)
	w.must(err)
	w.must(p.close())
	if failed, given := p.Failures(); len(failed)+len(given) != 0 {
		t.Errorf("failed %v, given up %v", failed, given)
	}
}

// TestDatabaseAway: while the database is away the process says that it is not ready, and goes on when it is back.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	at := postgrestest.URL(t)
	w := newWorld(t, place{postgres: true, at: at})
	p := w.process("one", nil)
	w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
	w.must(p.Healthy(w.ctx))
	u, err := url.Parse(at)
	w.must(err)
	admin, err := pgx.Connect(w.ctx, pgtest.AdminURL(t, at))
	w.must(err)
	defer func() { w.must(admin.Close(context.Background())) }()
	name := strings.TrimPrefix(u.Path, "/")
	_, err = admin.Exec(w.ctx, "ALTER DATABASE "+name+" CONNECTION LIMIT 0")
	w.must(err)
	_, err = admin.Exec(w.ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", name)
	w.must(err)
	w.eventually("it says that it is not ready", func() bool { return tandem.Is(p.Healthy(w.ctx), tandem.Unavailable) })
	_, err = admin.Exec(w.ctx, "ALTER DATABASE "+name+" CONNECTION LIMIT -1")
	w.must(err)
	w.eventually("it is ready again", func() bool { return p.Healthy(w.ctx) == nil })
	w.remote("gate")
	w.advance(10 * time.Minute)
	w.eventually("work goes on", func() bool { _, ok := w.named("gate"); return ok })
}

// TestAlertsPassWithTheirDecision: what a person has discarded asks nobody any more, though no run follows.
func TestAlertsPassWithTheirDecision(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remote("gate")
		s := w.stored()
		s.SyncEnabled = false
		w.must(w.store.UpdateService(w.ctx, w.org, s))
		w.service = w.addService("new", func(s *tandem.Service) { s.ApprovedConfig = "" })
		p := w.process("one", nil)
		w.eventually("a person is asked", func() bool { _, ok := w.alerts()[tandem.AlertRunBlocked]; return ok })
		w.must(p.escalate(w.ctx, nil))
		if _, ok := w.alerts()[tandem.AlertRunBlocked]; !ok {
			w.t.Fatal("the alert passed before anybody decided")
		}
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutAlerts: []tandem.Alert{{ID: newID(), OrganizationID: w.org, Kind: tandem.AlertConflicts,
			Subject: w.service, ServiceID: w.service, Severity: tandem.Warning, Message: "conflicts wait", Count: 1, Status: tandem.AlertRaised, RaisedAt: w.now(), LastAt: w.now()}}}))
		w.must(p.engine.Discard(w.ctx, w.org, w.history()[0].ID, "ada@example.com"))
		w.eventually("both have passed", func() bool { return len(w.alerts()) == 0 })
		if n := len(w.history()); n != 1 {
			w.t.Errorf("%d runs", n)
		}
	})
}

// TestAlertsOfADeletedServicePass: nobody is asked to look after what is gone.
func TestAlertsOfADeletedServicePass(t *testing.T) {
	inBoth(t, func(w *world) {
		j := w.process("one", nil)
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutAlerts: []tandem.Alert{{ID: newID(), OrganizationID: w.org, Kind: tandem.AlertConflicts,
			Subject: w.service, ServiceID: w.service, Severity: tandem.Warning, Message: "conflicts wait", Count: 1, Status: tandem.AlertRaised, RaisedAt: w.now(), LastAt: w.now()}}}))
		s := w.stored()
		_, err := w.store.DeleteService(w.ctx, w.org, s.ID, s.Version, w.now())
		w.must(err)
		w.must(j.escalate(w.ctx, nil))
		open, _, err := w.store.Alerts(w.ctx, w.org, tandem.AlertFilter{})
		w.must(err)
		if len(open) > 0 {
			w.t.Errorf("still open: %+v", open)
		}
	})
}
