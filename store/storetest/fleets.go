package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tandem"
)

// RunFleets checks what a process keeps in memory of a fleet: kept opens a database so that it does so of every organization,
// plain so that it does of none. Both have to give the same, whoever changed what.
func RunFleets(t *testing.T, kept, plain Database) {
	where := plain.Fresh(t)
	handles := []tandem.ServerStore{kept.open(t, where), kept.open(t, where), plain.open(t, where)}
	for _, one := range sorted(deviceTests) {
		t.Run(one, func(t *testing.T) { deviceTests[one](newWorld(t, handles[:2])) })
	}
	t.Run("Changed", func(t *testing.T) { changeFleet(newWorld(t, handles), rand.New(rand.NewPCG(1, 2))) })
	t.Run("Many", func(t *testing.T) { changeMany(newWorld(t, handles)) })
}

// fleetOfTest is an organization that changes at random.
type fleetOfTest struct {
	*world
	random   *rand.Rand
	services []tandem.Service
	made     []string // ids of devices, also of deleted ones
}

// changeFleet has three processes change devices by turns, and asks all of them after each change.
func changeFleet(w *world, random *rand.Rand) {
	f := fleetOfTest{world: w, random: random, services: []tandem.Service{w.service("s"), w.service("u", func(s *tandem.Service) { s.Config.OnlineWindow = 300 })}}
	f.create(40)
	for step := range 36 {
		f.world = w.as(step % len(w.handles))
		f.change(step)
		f.list(5)
	}
	f.world = w.as(0)
	f.list(120)
	f.count()
}

// as is the same world through another handle.
func (w *world) as(handle int) *world {
	other := *w
	other.st = w.handles[handle]
	return &other
}

func oneOf[T any](random *rand.Rand, values ...T) T { return values[random.IntN(len(values))] }

// shape gives a device some of a few values.
func (f *fleetOfTest) shape(d *tandem.Device) {
	d.Name = oneOf(f.random, "Pump", "pump", "Ärger", "valve") + fmt.Sprint("-", f.random.IntN(30))
	d.DeviceType, d.Blueprint, d.Cohort = oneOf(f.random, "", "sensor", "valve"), oneOf(f.random, "", "bp"), oneOf(f.random, "", "co", "ko")
	d.Lifecycle, d.Enabled = oneOf(f.random, tandem.Active, tandem.Maintenance), f.random.IntN(4) > 0
	d.Tags = oneOf(f.random, nil, []string{"red"}, []string{"blue", "red"})
	d.UpdatedAt = f.now.Add(time.Duration(f.random.IntN(100)) * time.Minute)
}

func (f *fleetOfTest) create(n int) {
	f.Helper()
	c := tandem.Changes{}
	for range n {
		d := f.newDevice("", f.shape)
		d.CreatedAt = f.now.Add(time.Duration(f.random.IntN(100)) * time.Minute)
		f.made = append(f.made, d.ID)
		c.CreateDevices = append(c.CreateDevices, d)
		for _, s := range f.services {
			if f.random.IntN(2) == 0 {
				c.CreateAssignments = append(c.CreateAssignments, f.newAssignment(d, s, "ext-"+d.ID, func(a *tandem.Assignment) { a.Status = f.status() }))
			}
		}
	}
	f.apply(c)
}

func (f *fleetOfTest) status() tandem.SyncStatus {
	return oneOf(f.random, tandem.SyncSynced, tandem.SyncError, tandem.SyncUnlinked, tandem.SyncConflict)
}

// change makes one of the changes that there are.
func (f *fleetOfTest) change(step int) {
	f.Helper()
	d := f.readDevice(oneOf(f.random, f.made...))
	switch step % 6 {
	case 0:
		f.create(1 + f.random.IntN(5))
	case 1:
		f.shape(&d)
		f.apply(tandem.Changes{UpdateDevices: []tandem.Device{d}})
	case 2:
		if d.DeletedAt = nil; f.random.IntN(3) > 0 { // a deleted one may come back
			d.DeletedAt = &f.now
		}
		f.apply(tandem.Changes{UpdateDevices: []tandem.Device{d}})
	case 3:
		links, err := f.st.Assignments(f.ctx, f.org, []string{d.ID})
		f.must(err)
		for i := range links {
			links[i].Status = f.status()
		}
		f.apply(tandem.Changes{UpdateAssignments: links})
	case 4, 5:
		f.report(1 + f.random.IntN(20))
	}
}

// report has devices report, some of them what is older than what is known.
func (f *fleetOfTest) report(n int) {
	f.Helper()
	c := tandem.Changes{}
	for range n {
		at, level := f.now.Add(time.Duration(-f.random.IntN(20))*time.Minute), float64(f.random.IntN(200)-20)/2
		o := tandem.Observation{DeviceID: oneOf(f.random, f.made...), Observed: tandem.Observed{LastSeen: &at}}
		switch f.random.IntN(3) {
		case 0:
			o.BatteryLevel = &level
		case 1:
			o.OfflineAt = &at
		}
		c.Observe = append(c.Observe, o)
	}
	f.apply(c)
}

// list asks all handles for pages of listings.
func (f *fleetOfTest) list(pages int) {
	f.Helper()
	plain := f.handles[len(f.handles)-1]
	for range pages {
		q := f.filter()
		want, total, err := plain.Devices(f.ctx, f.org, q)
		f.must(err)
		for i, st := range f.handles {
			got, n, err := st.Devices(f.ctx, f.org, q)
			f.must(err)
			if diff := diff(got, want); diff != "" || n != total {
				f.Fatalf("handle %d lists %d of %d, of %+v (-want +got):\n%s", i, n, total, q, diff)
			}
		}
	}
}

// count asks all handles for what is counted of a fleet.
func (f *fleetOfTest) count() {
	f.Helper()
	plain := f.handles[len(f.handles)-1]
	facets, err := plain.DeviceFacets(f.ctx, f.org)
	f.must(err)
	overview, err := plain.Overview(f.ctx, f.org, f.now)
	f.must(err)
	for _, st := range f.handles {
		got, err := st.DeviceFacets(f.ctx, f.org)
		f.must(err)
		f.equal(got, facets)
		seen, err := st.Overview(f.ctx, f.org, f.now)
		f.must(err)
		f.equal(seen, overview)
	}
}

// filter asks for something, in some order.
func (f *fleetOfTest) filter() tandem.DeviceFilter {
	yes, no := true, false
	q := oneOf(f.random, tandem.DeviceFilter{}, tandem.DeviceFilter{Search: "PUMP-1"}, tandem.DeviceFilter{Search: "är"}, tandem.DeviceFilter{Status: tandem.Online},
		tandem.DeviceFilter{Status: tandem.Offline}, tandem.DeviceFilter{Status: tandem.NeverSeen}, tandem.DeviceFilter{Type: "sensor"}, tandem.DeviceFilter{Lifecycle: tandem.Maintenance},
		tandem.DeviceFilter{Tag: "red"}, tandem.DeviceFilter{Tag: "blue", Enabled: &yes}, tandem.DeviceFilter{Blueprint: "bp"}, tandem.DeviceFilter{Cohort: "ko", Status: tandem.Offline},
		tandem.DeviceFilter{Enabled: &no}, tandem.DeviceFilter{ServiceID: f.services[0].ID}, tandem.DeviceFilter{ServiceID: f.services[1].ID, Status: tandem.Online},
		tandem.DeviceFilter{SyncStatus: tandem.SyncError}, tandem.DeviceFilter{SyncStatus: tandem.SyncUnlinked}, tandem.DeviceFilter{ServiceID: f.services[1].ID, SyncStatus: tandem.SyncSynced},
		tandem.DeviceFilter{NotLinked: true}, tandem.DeviceFilter{NotLinked: true, ServiceID: f.services[1].ID, Tag: "red"})
	q.Sort = oneOf(f.random, append([]string{""}, tandem.DeviceSorts.All()...)...)
	q.Page = tandem.Page{Number: 1 + f.random.IntN(4), Limit: oneOf(f.random, 1, 3, 10, 100)}
	q.Now = f.now
	return q
}

// changeMany makes changes of more devices than an event names: whoever makes one sees it at once, others soon.
func changeMany(w *world) {
	f := fleetOfTest{world: w, random: rand.New(rand.NewPCG(3, 4)), services: []tandem.Service{w.service("s"), w.service("u")}}
	matches := func(st tandem.ServerStore, q tandem.DeviceFilter) int {
		q.Now = w.now
		_, n, err := st.Devices(w.ctx, w.org, q)
		w.must(err)
		return n
	}
	everyone := func(q tandem.DeviceFilter, changed func()) {
		w.Helper()
		for _, st := range w.handles {
			matches(st, q) // they know of what was before
		}
		changed()
		want := matches(w.handles[2], q)
		if got := matches(f.st, q); got != want {
			w.Errorf("who made the change lists %d, want %d of %+v", got, want, q)
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for began, got := time.Now(), -1; got != want; <-tick.C {
			if got = matches(w.handles[1], q); got != want && time.Since(began) > 20*time.Second {
				w.Fatalf("another process lists %d, want %d of %+v", got, want, q)
			}
		}
	}
	everyone(tandem.DeviceFilter{}, func() { f.create(300) })
	everyone(tandem.DeviceFilter{Status: tandem.Online}, func() { f.report(500) })
	everyone(tandem.DeviceFilter{ServiceID: f.services[0].ID}, func() {
		_, err := f.st.DeleteService(w.ctx, w.org, f.services[0].ID, f.services[0].Version, w.now)
		w.must(err)
	})
	lease, err := f.st.AcquireLease(w.ctx, w.org, f.services[1].ID, "holder", "run", time.Minute)
	w.must(err)
	everyone(tandem.DeviceFilter{NotLinked: true}, func() {
		run := w.newRun(f.services[1])
		_, err := f.st.DetachService(w.ctx, w.org, tandem.Fence{ServiceID: f.services[1].ID, Token: lease.Fence}, run, func(l tandem.Linked) tandem.Entry { return w.newEntry(run, l.Device) }, w.now)
		w.must(err)
	})
	f.list(30)
	f.count()
	for _, st := range w.handles {
		w.wantCode(deviceSorted(w, st, "nonsense"), tandem.Invalid)
	}
}

func deviceSorted(w *world, st tandem.ServerStore, sort string) error {
	_, _, err := st.Devices(w.ctx, w.org, tandem.DeviceFilter{Sort: sort, Now: w.now})
	return err
}
