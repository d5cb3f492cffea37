package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"tandem"
)

// store stores deliveries and gives the positions of those that were there.
func (w *world) store(deliveries ...tandem.Delivery) []int {
	w.Helper()
	duplicates, err := w.st.StoreDeliveries(w.ctx, deliveries)
	w.must(err)
	return duplicates
}

func (w *world) readDelivery(id string) tandem.Delivery {
	w.Helper()
	d, err := w.st.Delivery(w.ctx, w.org, id)
	w.must(err)
	return d
}

// claim claims and gives the ids of this organization's, in the order of the reply.
func (w *world) claim(holder string, limit int, ttl time.Duration) []string {
	w.Helper()
	claimed, err := w.st.ClaimDeliveries(w.ctx, holder, limit, ttl)
	w.must(err)
	var ids []string
	for i := range claimed {
		if claimed[i].OrganizationID == w.org {
			ids = append(ids, claimed[i].ID)
		}
	}
	return ids
}

// drain takes the deliveries of other tests away.
func (w *world) drain() {
	w.Helper()
	for {
		claimed, err := w.st.ClaimDeliveries(w.ctx, "drain", 1000, time.Minute)
		w.must(err)
		if len(claimed) == 0 {
			return
		}
		byOrg := map[string][]tandem.DeliveryOutcome{}
		for i := range claimed {
			byOrg[claimed[i].OrganizationID] = append(byOrg[claimed[i].OrganizationID], tandem.DeliveryOutcome{ID: claimed[i].ID, Status: tandem.DeliveryProcessed, At: w.now})
		}
		for org, outcomes := range byOrg {
			w.must(w.st.Apply(w.ctx, org, &tandem.Changes{Deliveries: outcomes}))
		}
	}
}

// outcome writes what became of deliveries.
func (w *world) outcome(status tandem.DeliveryStatus, ids ...string) {
	w.Helper()
	w.apply(tandem.Changes{Deliveries: pick(ids, func(id string) tandem.DeliveryOutcome {
		return tandem.DeliveryOutcome{ID: id, Status: status, Attempts: 1, Error: string(status), At: w.now}
	})})
}

var deliveryTests = map[string]func(*world){
	"S34 a delivery reads back as it was received": func(w *world) {
		s := w.service("s")
		sent := w.now.Add(-time.Second)
		d := w.newDelivery(s, func(d *tandem.Delivery) {
			d.Body, d.Path, d.SentAt, d.Headers = []byte{0, 1, 0xff, '\''}, "sensor", &sent, map[string]string{"Ce-Type": "sensor", "X": `"'ü`}
		})
		bare := tandem.Delivery{ID: w.id(), OrganizationID: w.org, ServiceID: s.ID, Digest: "x", Type: "pipeline", Status: tandem.DeliveryStored, ReceivedAt: w.now}
		if dup := w.store(d, bare); len(dup) != 0 {
			w.Fatalf("duplicates %v", dup)
		}
		for _, want := range []tandem.Delivery{d, bare} {
			got := w.readDelivery(want.ID)
			if got.NextAt == nil {
				w.Error("a stored one is not due")
			}
			got.NextAt = nil
			w.equal(got, want)
		}
		_, err := w.st.Delivery(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
	},
	"a claimed delivery is what is read, the first time and later": func(w *world) {
		s := w.service("s")
		w.drain()
		sent := w.now.Add(-time.Second + 1234*time.Nanosecond)
		d := w.newDelivery(s, func(d *tandem.Delivery) {
			d.Body, d.Path, d.SentAt, d.Headers, d.ReceivedAt = []byte{0, 0xff}, "sensor", &sent, map[string]string{"Ce-Type": "sensor"}, w.now.Add(5678*time.Nanosecond).Local()
		})
		bare := tandem.Delivery{ID: w.id(), OrganizationID: w.org, ServiceID: s.ID, Digest: "x", Type: "pipeline", Body: []byte{}, Headers: map[string]string{}, ReceivedAt: w.now}
		w.store(d, bare)
		for _, status := range []tandem.DeliveryStatus{tandem.DeliveryRetrying, tandem.DeliveryProcessed} {
			want := map[string]tandem.Delivery{d.ID: w.readDelivery(d.ID), bare.ID: w.readDelivery(bare.ID)}
			claimed, err := w.st.ClaimDeliveries(w.ctx, "h", 1000, time.Minute)
			w.must(err)
			found := 0
			for _, got := range claimed {
				if got.OrganizationID == w.org {
					found++
					w.equal(got, want[got.ID])
				}
			}
			if found != 2 {
				w.Errorf("%d were claimed", found)
			}
			w.outcome(status, d.ID, bare.ID)
		}
	},
	"S35 an event id counts once for ever, equal content once a minute": func(w *world) {
		s, t := w.service("s"), w.service("t")
		with := func(service tandem.Service, event, digest string, after time.Duration) tandem.Delivery {
			return w.newDelivery(service, func(d *tandem.Delivery) { d.EventID, d.Digest, d.ReceivedAt = event, digest, w.now.Add(after) })
		}
		for i, step := range []struct {
			batch []tandem.Delivery
			want  string
		}{
			{[]tandem.Delivery{with(s, "e1", "d1", 0), with(s, "e1", "d2", 0), with(t, "e1", "d1", 0)}, "[1]"},
			{[]tandem.Delivery{with(s, "e1", "d3", 1000*time.Hour)}, "[0]"},
			{[]tandem.Delivery{with(s, "e2", "d1", 0), with(s, "", "d1", 0), with(s, "", "d1", 59*time.Second), with(t, "", "d1", 0)}, "[2]"},
			{[]tandem.Delivery{with(s, "", "d1", 59*time.Second), with(s, "", "d1", 60*time.Second), with(s, "", "d1", 130*time.Second)}, "[0 1]"},
			{[]tandem.Delivery{with(s, "", "d1", 131*time.Second), with(s, "", "d4", 131*time.Second)}, "[0]"},
		} {
			if got := fmt.Sprint(w.store(step.batch...)); got != step.want {
				w.Errorf("step %d: duplicates %s, want %s", i, got, step.want)
			}
		}
		_, total, err := w.st.Deliveries(w.ctx, w.org, tandem.DeliveryFilter{ServiceID: s.ID})
		w.must(err)
		if total != 5 {
			w.Errorf("%d deliveries, want 5", total)
		}
	},
	"S35 a refused delivery stands in nobody's way": func(w *world) {
		s := w.service("s")
		forged := w.newDelivery(s, func(d *tandem.Delivery) {
			d.EventID, d.Digest, d.Status, d.Error = "e", "d", tandem.DeliveryRefused, "wrong signature"
		})
		genuine := w.newDelivery(s, func(d *tandem.Delivery) { d.EventID, d.Digest = "e", "d" })
		if a, b := w.store(forged), w.store(genuine, again(forged, w.id())); len(a)+len(b) != 0 {
			w.Errorf("duplicates %v, %v", a, b)
		}
		if n, err := w.st.ReplayDeliveries(w.ctx, w.org, []string{forged.ID}); n != 0 || err != nil {
			w.Errorf("a refused delivery was replayed: %d, %v", n, err)
		}
	},
	"several processes store the same deliveries once": func(w *world) {
		s := w.service("s")
		var batch []tandem.Delivery
		for i := range 60 {
			batch = append(batch, w.newDelivery(s, func(d *tandem.Delivery) { d.EventID = fmt.Sprintf("e%d", i) }))
		}
		var mu sync.Mutex
		var wait sync.WaitGroup
		stored := 0
		for i := range 6 {
			mine := make([]tandem.Delivery, len(batch))
			for j := range batch {
				mine[j] = batch[(j*7+i*11)%len(batch)] // each in another order
				mine[j].ID = w.id()
			}
			wait.Go(func() {
				duplicates, err := w.handles[i%len(w.handles)].StoreDeliveries(w.ctx, mine)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					w.Error(err)
				}
				stored += len(mine) - len(duplicates)
			})
		}
		wait.Wait()
		_, total, err := w.st.Deliveries(w.ctx, w.org, tandem.DeliveryFilter{})
		w.must(err)
		if stored != len(batch) || total != len(batch) {
			w.Errorf("%d stored, %d there, want %d", stored, total, len(batch))
		}
	},
	"one transaction stores the deliveries of several organizations": func(w *world) {
		other := w.other()
		mine, theirs := w.newDelivery(w.service("s")), other.newDelivery(other.service("s"))
		w.store(mine, theirs)
		w.equal(w.readDelivery(mine.ID).ServiceID, mine.ServiceID)
		w.equal(other.readDelivery(theirs.ID).ServiceID, theirs.ServiceID)
		lost := theirs
		lost.ID, lost.EventID, lost.OrganizationID = w.id(), "another", w.org // their service
		_, err := w.st.StoreDeliveries(w.ctx, []tandem.Delivery{w.newDelivery(tandem.Service{ID: mine.ServiceID}), lost})
		w.wantCode(err, tandem.NotFound)
		if _, total, err := w.st.Deliveries(w.ctx, w.org, tandem.DeliveryFilter{}); total != 1 || err != nil {
			w.Errorf("%d deliveries, %v: half a batch was stored", total, err)
		}
	},
	"a webhook's service is found by its id while it is in use": func(w *world) {
		s := w.service("s", func(s *tandem.Service) { s.WebhookSecrets = []byte{1, 0, 2} })
		found, err := w.st.WebhookService(w.ctx, s.ID)
		w.must(err)
		w.equal(found, s)
		if string(found.WebhookSecrets) != "\x01\x00\x02" {
			w.Errorf("secrets %x", found.WebhookSecrets)
		}
		_, err = w.st.DeleteService(w.ctx, w.org, s.ID, s.Version, w.now)
		w.must(err)
		for _, id := range []string{s.ID, "none", "", "a\x00b", "\xff"} {
			_, err = w.st.WebhookService(w.ctx, id)
			w.wantCode(err, tandem.NotFound)
		}
	},
	"deliveries are claimed in order, once, until the claim runs out": func(w *world) {
		w.drain()
		s := w.service("s")
		var ids []string
		for i := range 6 {
			d := w.newDelivery(s, func(d *tandem.Delivery) { d.ExternalDeviceID = fmt.Sprintf("x%d", i%2) })
			ids = append(ids, d.ID)
			w.store(d)
		}
		w.equal(w.claim("a", 2, time.Minute), ids[:2])     // one of each device: both are a's now
		w.equal(w.claim("b", 10, time.Minute), []string{}) // the rest stays behind them
		w.outcome(tandem.DeliveryProcessed, ids[0])        // x0 is free
		w.equal(w.claim("b", 10, time.Millisecond), []string{ids[2], ids[4]})
		now, err := w.st.Now(w.ctx)
		w.must(err)
		w.waitUntil(now.Add(5 * time.Millisecond))
		w.equal(w.claim("c", 10, time.Minute), []string{ids[2], ids[4]}) // b's claim ran out
		w.outcome(tandem.DeliveryDead, ids[1])
		w.equal(w.claim("c", 10, time.Minute), []string{ids[3], ids[5]})
		got := w.readDelivery(ids[1])
		if got.Status != tandem.DeliveryDead || got.Error != "dead" || got.Attempts != 1 || got.NextAt != nil || got.ProcessedAt != nil {
			w.Errorf("%+v", got)
		}
		if got := w.readDelivery(ids[0]); got.ProcessedAt == nil || !got.ProcessedAt.Equal(w.now) {
			w.Errorf("processed at %v", got.ProcessedAt)
		}
	},
	"what is stored and claimed at once is nobody else's until the claim runs out": func(w *world) {
		w.drain()
		s := w.service("s")
		later := w.now.Add(24 * 365 * 20 * time.Hour) // by the database's clock
		fresh, again, refused := w.newDelivery(s, same("x")), w.newDelivery(s, same("y")), w.newDelivery(s, same("z"))
		waits := w.newDelivery(s, same("z"))
		again.EventID, refused.Status, waits.Status, waits.NextAt = "once", tandem.DeliveryRefused, tandem.DeliveryRetrying, &later
		w.store(again)
		double := again
		double.ID = w.id()
		claimed, duplicates, err := w.st.StoreAndClaim(w.ctx, []tandem.Delivery{double, fresh, refused, waits}, "a", 300*time.Millisecond)
		w.must(err)
		w.equal(duplicates, []int{0})
		w.equal(len(claimed), 1)
		read := w.readDelivery(fresh.ID)
		w.equal(claimed[0], read) // as reading it gives it
		w.equal(w.claim("b", 10, time.Minute), []string{again.ID})
		now, err := w.st.Now(w.ctx)
		w.must(err)
		w.waitUntil(now.Add(400 * time.Millisecond))
		w.equal(w.claim("b", 10, time.Minute), []string{fresh.ID})
		w.outcome(tandem.DeliveryProcessed, fresh.ID)
		w.equal(w.readDelivery(fresh.ID).Status, tandem.DeliveryProcessed)
		_, _, err = w.st.StoreAndClaim(w.ctx, []tandem.Delivery{w.newDelivery(s)}, "a\x00", time.Minute)
		w.wantCode(err, tandem.Invalid)
	},
	"a failed delivery waits for its next attempt and lets the next of its device pass": func(w *world) {
		w.drain()
		s := w.service("s")
		first, second := w.newDelivery(s, same("x")), w.newDelivery(s, same("x"))
		w.store(first, second)
		w.equal(w.claim("a", 1, time.Minute), []string{first.ID})
		now, err := w.st.Now(w.ctx)
		w.must(err)
		later := now.Add(time.Hour)
		w.apply(tandem.Changes{Deliveries: []tandem.DeliveryOutcome{{ID: first.ID, Status: tandem.DeliveryRetrying, Attempts: 1, NextAt: &later, Error: "away", At: w.now}}})
		w.equal(w.claim("a", 10, time.Minute), []string{second.ID})
		got := w.readDelivery(first.ID)
		if got.Status != tandem.DeliveryRetrying || got.NextAt == nil || !got.NextAt.Equal(later.Round(time.Microsecond)) {
			w.Errorf("%+v", got)
		}
		w.outcome(tandem.DeliveryProcessed, second.ID)
		soon := now.Add(-time.Minute)
		w.apply(tandem.Changes{Deliveries: []tandem.DeliveryOutcome{{ID: first.ID, Status: tandem.DeliveryRetrying, Attempts: 2, NextAt: &soon, At: w.now},
			{ID: second.ID, Status: tandem.DeliveryRetrying, Attempts: 9, NextAt: &soon, At: w.now}, {ID: "none", Status: tandem.DeliveryProcessed}}})
		w.equal(w.claim("a", 10, time.Minute), []string{first.ID}) // what is processed stays so
	},
	"two claimers never have the same delivery": func(w *world) {
		w.drain()
		s := w.service("s")
		var batch []tandem.Delivery
		for i := range 300 {
			batch = append(batch, w.newDelivery(s, same(fmt.Sprintf("x%d", i%20))))
		}
		w.store(batch...)
		var mu sync.Mutex
		var wait sync.WaitGroup
		times, order := map[string]int{}, map[string]string{}
		for i := range 4 {
			st := w.handles[i%len(w.handles)]
			wait.Go(func() {
				for left := true; left; {
					claimed, err := st.ClaimDeliveries(w.ctx, fmt.Sprintf("holder-%d", i), 25, time.Minute)
					if err != nil {
						w.Error(err)
						return
					}
					mu.Lock()
					var outcomes []tandem.DeliveryOutcome
					for _, d := range claimed {
						times[d.ID]++
						if d.ID < order[d.ExternalDeviceID] {
							w.Errorf("%s came after %s", d.ID, order[d.ExternalDeviceID])
						}
						order[d.ExternalDeviceID] = d.ID
						outcomes = append(outcomes, tandem.DeliveryOutcome{ID: d.ID, Status: tandem.DeliveryProcessed, At: w.now})
					}
					left = len(times) < len(batch)
					mu.Unlock()
					if err := st.Apply(w.ctx, w.org, &tandem.Changes{Deliveries: outcomes}); err != nil {
						w.Error(err)
						return
					}
				}
			})
		}
		wait.Wait()
		for id, n := range times {
			if n != 1 {
				w.Errorf("%s was claimed %d times", id, n)
			}
		}
	},
	"deliveries are listed by each filter and counted by status": func(w *world) {
		s := w.service("s")
		a := w.newDelivery(s, func(d *tandem.Delivery) { d.Type = "device.online"; d.ExternalDeviceID = "x" })
		b := w.newDelivery(s, func(d *tandem.Delivery) { d.Status = tandem.DeliveryWaiting })
		c := w.newDelivery(w.service("t"), func(d *tandem.Delivery) { d.Status = tandem.DeliveryRefused })
		w.store(a, b, c)
		w.outcome(tandem.DeliveryProcessed, a.ID)
		for name, step := range map[string]struct {
			filter tandem.DeliveryFilter
			want   []string
		}{
			"all": {tandem.DeliveryFilter{}, []string{c.ID, b.ID, a.ID}}, "ids": {tandem.DeliveryFilter{IDs: []string{a.ID, "none"}}, []string{a.ID}},
			"service": {tandem.DeliveryFilter{ServiceID: s.ID}, []string{b.ID, a.ID}}, "status": {tandem.DeliveryFilter{Status: tandem.DeliveryWaiting}, []string{b.ID}},
			"processed": {tandem.DeliveryFilter{Status: tandem.DeliveryProcessed}, []string{a.ID}}, "type": {tandem.DeliveryFilter{Type: "device.online"}, []string{a.ID}},
			"device": {tandem.DeliveryFilter{ExternalDeviceID: "x"}, []string{a.ID}}, "any of devices": {tandem.DeliveryFilter{AboutAny: []string{"none", "x"}}, []string{a.ID}},
			"none of devices": {tandem.DeliveryFilter{AboutAny: []string{"none"}}, nil}, "both": {tandem.DeliveryFilter{Status: tandem.DeliveryRefused, ServiceID: s.ID}, nil},
			"page": {tandem.DeliveryFilter{Page: tandem.Page{Number: 2, Limit: 2}}, []string{a.ID}},
		} {
			found, total, err := w.st.Deliveries(w.ctx, w.org, step.filter)
			w.must(err)
			w.equal(pick(found, func(d tandem.Delivery) string { return d.ID }), step.want)
			if name != "page" && total != len(step.want) {
				w.Errorf("%s: total %d", name, total)
			}
		}
		counts, err := w.st.CountDeliveries(w.ctx, w.org)
		w.must(err)
		w.equal(counts, map[tandem.DeliveryStatus]int{tandem.DeliveryProcessed: 1, tandem.DeliveryWaiting: 1, tandem.DeliveryRefused: 1})
		everywhere, err := w.st.CountDeliveries(w.ctx, "")
		w.must(err)
		if everywhere[tandem.DeliveryWaiting] < 1 || everywhere[tandem.DeliveryRefused] < 1 {
			w.Errorf("everywhere: %v", everywhere)
		}
	},
	"S35 deliveries that wait are woken by their device, replayed ones are due at once": func(w *world) {
		w.drain()
		s := w.service("s")
		waiting := func(external string) tandem.Delivery {
			return w.newDelivery(s, same(external), func(d *tandem.Delivery) { d.Status = tandem.DeliveryWaiting })
		}
		a, b, c := waiting("x"), waiting("y"), w.newDelivery(s, same("z"))
		w.store(a, b, c)
		if n, err := w.st.WakeDeliveries(w.ctx, w.org, s.ID, []string{"x", "z", "none"}); n != 1 || err != nil {
			w.Errorf("woke %d, %v", n, err)
		}
		due := w.claim("h", 10, time.Minute)
		slices.Sort(due) // they became due one after the other, yet maybe in the same millisecond
		w.equal(due, []string{a.ID, c.ID})
		w.outcome(tandem.DeliveryDead, a.ID)
		if n, err := w.st.ReplayDeliveries(w.ctx, w.org, []string{a.ID, b.ID, c.ID, "none"}, tandem.Along{Jobs: []tandem.Job{{Kind: "k"}}}); n != 2 || err != nil {
			w.Errorf("replayed %d, %v, want all but the claimed one", n, err)
		}
		if got := w.readDelivery(a.ID); got.Status != tandem.DeliveryStored || got.Attempts != 0 || got.Error != "" {
			w.Errorf("%+v", got)
		}
		w.equal(w.claim("h", 10, time.Minute), []string{a.ID, b.ID})
	},
	"S35 linking a device wakes what waits for it": func(w *world) {
		w.drain()
		s := w.service("s")
		x := w.newDelivery(s, same("x"), func(d *tandem.Delivery) { d.Status = tandem.DeliveryWaiting })
		y := w.newDelivery(s, same("y"), func(d *tandem.Delivery) { d.Status = tandem.DeliveryWaiting })
		w.store(x, y)
		d := w.device("d")
		w.apply(tandem.Changes{CreateAssignments: []tandem.Assignment{w.newAssignment(d, s, "x", func(a *tandem.Assignment) { a.Status = tandem.SyncUnlinked })}})
		w.equal(w.claim("h", 10, time.Minute), []string(nil))
		a := w.readAssignment(s.ID, "x")
		a.Status = tandem.SyncPending
		w.apply(tandem.Changes{UpdateAssignments: []tandem.Assignment{a}})
		w.equal(w.claim("h", 10, time.Minute), []string{x.ID})
		w.link(w.device("e"), s, "y")
		w.equal(w.claim("h", 10, time.Minute), []string{y.ID})
	},
	"S36 history is kept once for each instant and read by path and time": func(w *world) {
		d, s := w.device("d"), w.service("s")
		at := func(minutes int, path, value string) tandem.DeviceObservation {
			return tandem.DeviceObservation{DeviceID: d.ID, ServiceID: s.ID, Path: path, Value: raw(value), ObservedAt: w.now.Add(time.Duration(minutes) * time.Minute)}
		}
		list := []tandem.DeviceObservation{at(0, "battery_level", "50"), at(1, "battery_level", "49.5"), at(1, "location", `{"lat":1}`), at(2, "status", `"online"`)}
		for range 2 { // a delivery that is processed twice changes nothing
			w.apply(tandem.Changes{Observations: append(list, list[0])})
		}
		read := func(f tandem.ObservationFilter) []tandem.DeviceObservation {
			f.DeviceID = d.ID
			found, total, err := w.st.Observations(w.ctx, w.org, f)
			w.must(err)
			if total != len(found) {
				w.Errorf("total %d of %d", total, len(found))
			}
			return found
		}
		w.equal(read(tandem.ObservationFilter{}), []tandem.DeviceObservation{list[3], list[2], list[1], list[0]})
		w.equal(read(tandem.ObservationFilter{Path: "battery_level"}), []tandem.DeviceObservation{list[1], list[0]})
		w.equal(read(tandem.ObservationFilter{Since: w.now.Add(time.Minute), Until: w.now.Add(2 * time.Minute)}), []tandem.DeviceObservation{list[2], list[1]})
		err := w.st.Apply(w.ctx, w.org, &tandem.Changes{Observations: []tandem.DeviceObservation{{DeviceID: "none", Path: "p", Value: raw("1"), ObservedAt: w.now}}})
		w.wantCode(err, tandem.NotFound)
	},
}

// same makes deliveries of one device.
func same(external string) func(*tandem.Delivery) {
	return func(d *tandem.Delivery) { d.ExternalDeviceID = external }
}

// again gives the same delivery under another id.
func again(d tandem.Delivery, id string) tandem.Delivery {
	d.ID = id
	return d
}
