package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"tandem"
)

// eventsSince reads all of this organization's events after a cursor.
func (w *world) eventsSince(cursor string, limit int) (events []tandem.Event, next string) {
	w.Helper()
	for next = cursor; ; {
		some, after, err := w.st.EventsSince(w.ctx, next, limit)
		w.must(err)
		next = after
		for _, e := range some {
			if e.OrganizationID == w.org {
				events = append(events, e)
			}
		}
		if len(some) < limit {
			return events, next
		}
	}
}

var eventTests = map[string]func(*world){
	"changes are told, one event of each kind": func(w *world) {
		s, d := w.service("s"), w.device("d")
		_, cursor := w.eventsSince("", 100)
		run, conflict, alert := w.newRun(s), w.newConflict(s, d, "name"), w.newAlert(s, tandem.AlertConflicts)
		state := tandem.ServiceOK
		seen := w.now.Add(time.Hour)
		created := w.newDevice("new")
		w.apply(tandem.Changes{CreateDevices: []tandem.Device{created}, Observe: []tandem.Observation{{DeviceID: d.ID, Observed: tandem.Observed{LastSeen: &seen}}},
			PutConflicts: []tandem.Conflict{conflict}, PutRuns: []tandem.Run{run}, PutServices: []tandem.ServiceMark{{ServiceID: s.ID, State: &state}},
			PutAlerts: []tandem.Alert{alert}, Deliveries: []tandem.DeliveryOutcome{{ID: "gone", Status: tandem.DeliveryProcessed, At: w.now}},
			Along: tandem.Along{Events: []tandem.Event{{ID: w.id(), At: w.now, Kind: "device.online", IDs: []string{d.ID}, Data: raw(`{"a":1}`)}}}})
		events, next := w.eventsSince(cursor, 2)
		w.equal(pick(events, func(e tandem.Event) string { return fmt.Sprint(e.Kind, e.IDs) }), []string{fmt.Sprintf("devices[%s %s]", created.ID, d.ID),
			fmt.Sprintf("conflicts[%s]", conflict.ID), fmt.Sprintf("runs[%s]", run.ID), fmt.Sprintf("services[%s]", s.ID), fmt.Sprintf("alerts[%s]", alert.ID),
			"deliveries[gone]", fmt.Sprintf("device.online[%s]", d.ID)})
		w.equal(events[len(events)-1].Data, raw(`{"a":1}`))
		if again, _ := w.eventsSince(next, 100); len(again) != 0 {
			w.Errorf("told again: %+v", again)
		}
		var many []tandem.Device
		for range 101 {
			many = append(many, w.newDevice("m"))
		}
		w.apply(tandem.Changes{CreateDevices: many})
		events, next = w.eventsSince(next, 100)
		if len(events) != 1 || !events[0].Many || len(events[0].IDs) != 0 {
			w.Errorf("%+v", events)
		}
		w.store(w.newDelivery(s, func(d *tandem.Delivery) { d.Status = tandem.DeliveryWaiting }))
		events, _ = w.eventsSince(next, 100)
		if len(events) != 1 || events[0].Kind != "deliveries" || events[0].ID == "" || events[0].At.IsZero() {
			w.Errorf("%+v", events)
		}
	},
	"a cursor that is none is refused": func(w *world) {
		for _, cursor := range []string{"x", "1:2", "-1", "'", "1:1:|1:1:", "9999999999999999999999999"} {
			_, _, err := w.st.EventsSince(w.ctx, cursor, 1)
			w.wantCode(err, tandem.Invalid)
		}
	},
	"no event is missed, whichever transaction ends first": func(w *world) {
		const writers, each = 6, 40
		_, cursor := w.eventsSince("", 100)
		start := cursor
		var writing sync.WaitGroup
		devices := make([]tandem.Device, writers)
		for i := range devices {
			devices[i] = w.device(fmt.Sprint(i))
		}
		for i := range writers {
			writing.Go(func() {
				for n := range each {
					changes := tandem.Changes{Along: tandem.Along{Events: []tandem.Event{{ID: fmt.Sprintf("%d-%d", i, n), At: w.now, Kind: "own"}}}}
					for range n % 3 { // transactions of different lengths
						at := w.now.Add(time.Duration(n) * time.Second)
						changes.Observe = append(changes.Observe, tandem.Observation{DeviceID: devices[i].ID, Observed: tandem.Observed{LastSeen: &at}})
					}
					if err := w.handles[i%len(w.handles)].Apply(w.ctx, w.org, &changes); err != nil {
						w.Error(err)
						return
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { writing.Wait(); close(done) }()
		seen := map[string]int{}
		last := map[int]int{}
		collect := func(limit int) {
			var events []tandem.Event
			events, cursor = w.eventsSince(cursor, limit)
			for _, e := range events {
				if e.Kind != "own" {
					continue
				}
				seen[e.ID]++
				var i, n int
				if _, err := fmt.Sscanf(e.ID, "%d-%d", &i, &n); err != nil {
					w.Fatal(err)
				}
				if n < last[i] {
					w.Errorf("%s after %d: not in the order of becoming visible", e.ID, last[i])
				}
				last[i] = n
			}
		}
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			collect(1 + len(seen)%7) // also in parts
		}
		if len(seen) != writers*each {
			w.Errorf("%d of %d events were seen", len(seen), writers*each)
		}
		for id, n := range seen {
			if n != 1 {
				w.Errorf("%s was seen %d times", id, n)
			}
		}
		all, _ := w.eventsSince(start, 1000)
		all = slices.DeleteFunc(all, func(e tandem.Event) bool { return e.Kind != "own" })
		if len(all) != writers*each {
			w.Errorf("another reader saw %d", len(all))
		}
	},
	"whoever waits hears of an event from another handle": func(w *world) {
		_, cursor := w.eventsSince("", 100)
		w.heard(func(st tandem.ServerStore, ctx context.Context) (bool, error) {
			events, next, err := st.EventsSince(ctx, cursor, 100)
			cursor = next
			return len(events) > 0, err
		}, tandem.ServerStore.WaitForEvents, tandem.Along{Events: []tandem.Event{{ID: w.id(), At: w.now, Kind: "k"}}})
	},
}
