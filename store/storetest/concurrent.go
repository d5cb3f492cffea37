package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"tandem"
)

var concurrentTests = map[string]func(*world){
	"S22 exactly one of many edits of a version wins": func(w *world) {
		d, s := w.device("d"), w.service("s")
		a := w.link(d, s, "x")
		for round := range 3 {
			var wins atomic.Int64
			var wait sync.WaitGroup
			for i := range 8 {
				wait.Go(func() {
					edited, linked := d, a
					edited.Name = fmt.Sprintf("%d-%d", round, i)
					linked.Error = edited.Name
					err := w.handles[i%len(w.handles)].Apply(w.ctx, w.org, &tandem.Changes{UpdateDevices: []tandem.Device{edited}, UpdateAssignments: []tandem.Assignment{linked}})
					var moved *tandem.MovedError
					switch {
					case err == nil:
						wins.Add(1)
					case !errors.As(err, &moved) || !tandem.Is(err, tandem.Stale):
						w.Errorf("a loser got %v", err)
					}
				})
			}
			wait.Wait()
			if wins.Load() != 1 {
				w.Fatalf("%d edits won", wins.Load())
			}
			version := d.Version
			d, a = w.readDevice(d.ID), w.readAssignment(s.ID, "x")
			if d.Version != version+1 || d.Name != a.Error {
				w.Errorf("version %d after %d; %q and %q are of different edits", d.Version, version, d.Name, a.Error)
			}
		}
	},
	"of an edit and a removal of the same version exactly one wins": func(w *world) {
		for range 5 {
			s, c, b, u := w.service(w.id()), w.newChannel(w.id()), w.other(), w.user(tandem.Viewer)
			w.apply(tandem.Changes{PutChannels: []tandem.Channel{c}})
			c.Version = 1
			org, err := b.st.Organization(b.ctx, b.org)
			w.must(err)
			role := w.newMember(u, tandem.Admin)
			role.Version = 1
			first, second := w.handles[0], w.handles[len(w.handles)-1]
			for what, both := range map[string][2]func() error{
				"service": {func() error { return first.UpdateService(w.ctx, w.org, s) }, func() error {
					_, err := second.DeleteService(w.ctx, w.org, s.ID, s.Version, w.now)
					return err
				}},
				"channel": {func() error { return first.Apply(w.ctx, w.org, &tandem.Changes{PutChannels: []tandem.Channel{c}}) },
					func() error {
						return second.Apply(w.ctx, w.org, &tandem.Changes{DropChannels: []tandem.Versioned{{ID: c.ID, Version: 1}}})
					}},
				"member": {func() error { return first.Apply(w.ctx, w.org, &tandem.Changes{PutMembers: []tandem.Membership{role}}) },
					func() error {
						return second.Apply(w.ctx, w.org, &tandem.Changes{DropMembers: []tandem.Versioned{{ID: u.ID, Version: 1}}})
					}},
				"organization": {func() error { return first.UpdateOrganization(w.ctx, org) }, func() error { return second.DeleteOrganization(w.ctx, org.ID, org.Version, w.now) }},
			} {
				var wins atomic.Int64
				var wait sync.WaitGroup
				for _, do := range both {
					wait.Go(func() {
						switch err := do(); {
						case err == nil:
							wins.Add(1)
						case !tandem.Is(err, tandem.Stale) && !tandem.Is(err, tandem.NotFound):
							w.Errorf("%s: the loser got %v", what, err)
						}
					})
				}
				wait.Wait()
				if wins.Load() != 1 {
					w.Errorf("%s: %d won", what, wins.Load())
				}
			}
		}
	},
	"S22 nothing is lost when losers read again": func(w *world) {
		d := w.device("d", func(d *tandem.Device) { d.Metadata = tandem.Map{"n": json.Number("0")} })
		const writers, edits = 4, 6
		var wait sync.WaitGroup
		for i := range writers {
			st := w.handles[i%len(w.handles)]
			wait.Go(func() {
				for done := 0; done < edits; {
					read, err := st.Device(w.ctx, w.org, d.ID)
					if err != nil {
						w.Error(err)
						return
					}
					n, err := json.Number(fmt.Sprint(read.Metadata["n"])).Int64()
					if err != nil {
						w.Error(err)
						return
					}
					read.Metadata = tandem.Map{"n": json.Number(fmt.Sprint(n + 1))}
					switch err := st.Apply(w.ctx, w.org, &tandem.Changes{UpdateDevices: []tandem.Device{read}}); {
					case err == nil:
						done++
					case !tandem.Is(err, tandem.Stale):
						w.Error(err)
						return
					}
				}
			})
		}
		wait.Wait()
		got := w.readDevice(d.ID)
		if fmt.Sprint(got.Metadata["n"]) != fmt.Sprint(writers*edits) || got.Version != d.Version+writers*edits {
			w.Errorf("n = %v, version %d", got.Metadata["n"], got.Version)
		}
	},
	"batches over the same devices in different orders all end": func(w *world) {
		var devices []tandem.Device
		for i := range 40 {
			devices = append(devices, w.newDevice(fmt.Sprint(i)))
		}
		w.apply(tandem.Changes{CreateDevices: devices})
		var wait sync.WaitGroup
		for i := range 6 {
			wait.Go(func() {
				var batch []tandem.Observation
				for k := range devices {
					at := w.now.Add(1)
					if i%2 == 1 {
						k = len(devices) - 1 - k
					}
					batch = append(batch, tandem.Observation{DeviceID: devices[k].ID, Observed: tandem.Observed{LastSeen: &at}})
				}
				if err := w.handles[i%len(w.handles)].Apply(w.ctx, w.org, &tandem.Changes{Observe: batch}); err != nil {
					w.Error(err)
				}
			})
		}
		wait.Wait()
	},
	"S24 one of many gets a device's intent": func(w *world) {
		s, d := w.service("s"), w.device("d")
		var wins atomic.Int64
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				err := w.handles[i%len(w.handles)].Apply(w.ctx, w.org, &tandem.Changes{PutIntents: []tandem.Intent{w.newIntent(s, d)}})
				if err == nil {
					wins.Add(1)
				} else if !tandem.Is(err, tandem.Busy) {
					w.Error(err)
				}
			})
		}
		wait.Wait()
		if wins.Load() != 1 {
			w.Errorf("%d intents", wins.Load())
		}
	},
}
