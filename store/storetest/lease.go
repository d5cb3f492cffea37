package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/store"
)

var leaseTests = map[string]func(*world){
	"S19 one holder at a time, each with a higher fence": func(w *world) {
		s := w.service("s")
		a, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "a", "run-a", time.Minute)
		w.must(err)
		if a.Holder != "a" || a.ServiceID != s.ID || a.Died != "" || !a.ExpiresAt.Equal(a.Now.Add(time.Minute)) {
			w.Errorf("%+v", a)
		}
		_, err = w.handles[1].AcquireLease(w.ctx, w.org, s.ID, "b", "run-b", time.Minute)
		var busy *tandem.Error
		if !errors.As(err, &busy) || busy.Code != tandem.Busy || busy.Thing != "a" || busy.RetryAfter <= 0 || busy.RetryAfter > time.Minute {
			w.Errorf("%#v", err)
		}
		renewed, err := w.st.RenewLease(w.ctx, w.org, a, 2*time.Minute)
		w.must(err)
		if renewed.Fence != a.Fence || !renewed.ExpiresAt.After(a.ExpiresAt) {
			w.Errorf("renewed %+v", renewed)
		}
		w.must(w.st.ReleaseLease(w.ctx, w.org, renewed))
		b, err := w.handles[1].AcquireLease(w.ctx, w.org, s.ID, "b", "run-b", time.Minute)
		w.must(err)
		if b.Fence <= a.Fence || b.Died != "" {
			w.Errorf("after a release: %+v", b)
		}
		_, err = w.st.RenewLease(w.ctx, w.org, renewed, time.Minute)
		w.wantCode(err, tandem.LeaseLost)
		if err := w.st.ReleaseLease(w.ctx, w.org, renewed); err != nil { // an old holder gives nothing away
			w.wantCode(err, tandem.LeaseLost)
		}
		_, err = w.st.RenewLease(w.ctx, w.org, b, time.Minute)
		w.must(err)
	},
	"S19 a lease that ran out says whose run died": func(w *world) {
		s := w.service("s")
		a, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "a", "run-a", 2*time.Millisecond)
		w.must(err)
		w.waitUntil(a.ExpiresAt)
		b, err := w.handles[1].AcquireLease(w.ctx, w.org, s.ID, "b", "run-b", time.Minute)
		w.must(err)
		if b.Died != "run-a" || b.Fence <= a.Fence {
			w.Errorf("%+v", b)
		}
		_, err = w.st.RenewLease(w.ctx, w.org, a, time.Minute)
		w.wantCode(err, tandem.LeaseLost)
	},
	"S19 an old fence writes nothing": func(w *world) {
		s, u := w.service("s"), w.service("u")
		a, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "a", "run-a", 2*time.Millisecond)
		w.must(err)
		w.waitUntil(a.ExpiresAt)
		b, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "b", "run-b", time.Minute)
		w.must(err)
		write := func(fence tandem.Fence) error {
			return w.st.Apply(w.ctx, w.org, &tandem.Changes{Fence: &fence, CreateDevices: []tandem.Device{w.newDevice("d")}})
		}
		w.wantCode(write(tandem.Fence{ServiceID: s.ID, Token: a.Fence}), tandem.LeaseLost)
		w.wantCode(write(tandem.Fence{ServiceID: u.ID, Token: b.Fence}), tandem.LeaseLost)
		w.wantCode(write(tandem.Fence{ServiceID: "none", Token: b.Fence}), tandem.LeaseLost, tandem.NotFound)
		_, total, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now})
		w.must(err)
		if total != 0 {
			w.Errorf("%d devices were written", total)
		}
		w.must(write(tandem.Fence{ServiceID: s.ID, Token: b.Fence}))
		w.must(w.st.ReleaseLease(w.ctx, w.org, b))
		w.wantCode(write(tandem.Fence{ServiceID: s.ID, Token: b.Fence}), tandem.LeaseLost)
	},
	"S19 a lease that ran out is lost before another takes it": func(w *world) {
		s := w.service("s")
		a, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "a", "run-a", 2*time.Millisecond)
		w.must(err)
		w.waitUntil(a.ExpiresAt)
		_, err = w.st.RenewLease(w.ctx, w.org, a, time.Minute)
		w.wantCode(err, tandem.LeaseLost)
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{Fence: &tandem.Fence{ServiceID: s.ID, Token: a.Fence},
			CreateDevices: []tandem.Device{w.newDevice("d")}}), tandem.LeaseLost)
		w.must(w.st.ReleaseLease(w.ctx, w.org, a))
		b, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "b", "run-b", time.Minute)
		w.must(err)
		if b.Died != "" {
			w.Errorf("a lease that was given back late has a dead run %q", b.Died)
		}
	},
	"S19 many want it and one gets it": func(w *world) {
		s := w.service("s")
		var wins atomic.Int64
		var wait sync.WaitGroup
		for i := range 12 {
			wait.Go(func() {
				holder := string(rune('a' + i))
				_, err := w.handles[i%len(w.handles)].AcquireLease(w.ctx, w.org, s.ID, holder, "run-"+holder, time.Minute)
				if err == nil {
					wins.Add(1)
				} else if !tandem.Is(err, tandem.Busy) {
					w.Error(err)
				}
			})
		}
		wait.Wait()
		if wins.Load() != 1 {
			w.Errorf("%d holders", wins.Load())
		}
	},
	"no lease on a service that is not there": func(w *world) {
		_, err := w.st.AcquireLease(w.ctx, w.org, "none", "a", "run", time.Minute)
		w.wantCode(err, tandem.NotFound)
	},
}

var budgetTests = map[string]func(*world){
	"S32 all handles together stay within the budget": func(w *world) {
		s, u := w.service("s"), w.service("u")
		const perMinute = 120
		var granted atomic.Int64
		var wait sync.WaitGroup
		begun, err := w.st.Now(w.ctx)
		w.must(err)
		for i := range 6 {
			wait.Go(func() {
				for range 40 {
					n, pause, err := w.handles[i%len(w.handles)].TakeRequests(w.ctx, w.org, s.ID, 5, perMinute)
					if err != nil || n < 0 || n > 5 || n == 0 && pause <= 0 {
						w.Errorf("granted %d, wait %v, %v", n, pause, err)
						return
					}
					granted.Add(int64(n))
				}
			})
		}
		wait.Wait()
		ended, err := w.st.Now(w.ctx)
		w.must(err)
		pace, ahead := store.Pace(perMinute)
		if got := granted.Load(); got == 0 || got > int64((ahead+ended.Sub(begun))/pace)+1 {
			w.Errorf("%d requests in %v, at most %d a minute", got, ended.Sub(begun), perMinute)
		}
		n, _, err := w.st.TakeRequests(w.ctx, w.org, u.ID, 1, perMinute)
		w.must(err)
		if n != 1 {
			w.Error("another service's budget was used up")
		}
	},
	"S32 a budget refills as it says": func(w *world) {
		s := w.service("s")
		const perMinute = 1_200 // one every 50 ms
		for range 200 {
			n, wait, err := w.st.TakeRequests(w.ctx, w.org, s.ID, perMinute, perMinute)
			w.must(err)
			if n > 0 {
				continue
			}
			now, err := w.st.Now(w.ctx)
			w.must(err)
			w.waitUntil(now.Add(wait))
			n, _, err = w.st.TakeRequests(w.ctx, w.org, s.ID, 1, perMinute)
			w.must(err)
			if n != 1 {
				w.Error("nothing was granted after the wait")
			}
			return
		}
		w.Error("a budget of one request every 50 ms never ran out")
	},
	"S32 slots are leased up to the limit": func(w *world) {
		s := w.service("s")
		take := func(holder string, want int, ttl time.Duration) int {
			w.Helper()
			n, err := w.handles[len(holder)%len(w.handles)].TakeSlots(w.ctx, w.org, s.ID, holder, want, 5, ttl)
			w.must(err)
			return n
		}
		got := []int{take("a", 3, time.Minute), take("bb", 4, time.Minute), take("a", 0, time.Minute), take("bb", 5, time.Minute),
			take("a", 1, time.Minute), take("bb", 2, time.Minute), take("a", 9, time.Minute), take("a", 1, time.Minute), take("bb", 0, time.Minute)}
		w.equal(got, []int{3, 2, 0, 5, 0, 2, 3, 1, 0})
		take("a", 5, time.Millisecond)
		now, err := w.st.Now(w.ctx)
		w.must(err)
		w.waitUntil(now.Add(2 * time.Millisecond))
		if n := take("bb", 5, time.Minute); n != 5 {
			w.Errorf("%d slots after the others ran out, want 5", n)
		}
	},
	"S32 slots over many holders at once": func(w *world) {
		s := w.service("s")
		var granted atomic.Int64
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				n, err := w.handles[i%len(w.handles)].TakeSlots(w.ctx, w.org, s.ID, string(rune('a'+i)), 3, 10, time.Minute)
				if err != nil {
					w.Error(err)
				}
				granted.Add(int64(n))
			})
		}
		wait.Wait()
		if granted.Load() != 10 {
			w.Errorf("%d slots of 10", granted.Load())
		}
	},
}
