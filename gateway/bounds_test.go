package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/gateway"
	"tandem/store/sqlite/sqlitetest"
)

func TestAnOldCredentialLocksOutNobodyBesideIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t))
	good := w.credential(&w.device, tandem.TokenCredential)
	right := claim(&good)
	right.Address = "192.0.2.1"
	old := gateway.Claim{Kind: tandem.TokenCredential, Secret: "tdd_old", Address: right.Address}
	for i := range 300 {
		_, err := w.g.Authenticate(w.ctx, old)
		if i > 50 {
			w.want(err, tandem.RateLimited)
		}
		_, err = w.g.Authenticate(w.ctx, right)
		w.must(err)
	}
}

func TestManyGuessesOfOneNetworkAreSlowedDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t))
	for name, address := range map[string]func(i int) string{
		"one address": func(int) string { return "192.0.2.1" },
		"one network": func(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) },
	} {
		let := 0
		for i := range 200 {
			_, err := w.g.Authenticate(w.ctx, gateway.Claim{Kind: tandem.TokenCredential, Secret: fmt.Sprint("tdd_", i), Address: address(i)})
			if tandem.Is(err, tandem.Unauthorized) {
				let++
			} else {
				w.want(err, tandem.RateLimited)
			}
		}
		if let < 15 || let > 40 {
			w.Errorf("%s: %d of 200 guesses were looked up", name, let)
		}
	}
}

// TestWhoGuessesLocksOutNobodyWhoWasThere: devices behind one address with somebody who guesses are let in when they were
// before; others wait, and so does a wrong secret of theirs.
func TestWhoGuessesLocksOutNobodyWhoWasThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t))
	const address = "192.0.2.1"
	d := w.newDevice("sensor-2")
	here, stranger := w.credential(&w.device, tandem.PasswordCredential), w.credential(&d, tandem.PasswordCredential)
	right, late := claim(&here), claim(&stranger)
	right.Address, late.Address = address, address
	_, err := w.g.Authenticate(w.ctx, right)
	w.must(err)
	for i := range 100 {
		_, err = w.g.Authenticate(w.ctx, gateway.Claim{Kind: tandem.TokenCredential, Secret: fmt.Sprint("tdd_", i), Address: address})
	}
	w.want(err, tandem.RateLimited)
	_, err = w.g.Authenticate(w.ctx, right)
	w.must(err)
	_, err = w.g.Authenticate(w.ctx, late)
	w.want(err, tandem.RateLimited)
	right.Secret = "another"
	_, err = w.g.Authenticate(w.ctx, right)
	w.want(err, tandem.RateLimited)
}

// stuck is a database that takes its time.
type stuck struct {
	tandem.ServerStore
	free  chan struct{}
	tries atomic.Int32
}

func (s *stuck) ApplyAll(ctx context.Context, all []tandem.OrganizationChanges) error {
	s.tries.Add(1)
	select {
	case <-s.free:
		return s.ServerStore.ApplyAll(ctx, all)
	case <-ctx.Done():
		return tandem.Errorf(tandem.Timeout, "", "", "it took too long")
	}
}

// TestADatabaseThatHangsHoldsTheEndUpOnce: when the gateway stops, all that waits has one time together, however many batches
// it is; what is not stored then is not acknowledged.
func TestADatabaseThatHangsHoldsTheEndUpOnce(t *testing.T) {
	t.Parallel()
	s := &stuck{ServerStore: sqlitetest.Open(t), free: make(chan struct{})}
	w := newWorld(t, s)
	g := w.open(func(o *gateway.Options) { o.Batch = 1 })
	in := w.in(&w.device)
	var waiting []*gateway.Pending
	for n := range 20 {
		p, err := g.Begin(w.ctx, in, body(`{"battery":%d}`, n))
		w.must(err)
		waiting = append(waiting, p)
	}
	g.Stopping(200 * time.Millisecond)
	g.Stopping(time.Hour) // the first one counts
	for _, p := range waiting {
		_, err := p.Wait(w.ctx)
		w.want(err, tandem.Unavailable)
	}
	if n := s.tries.Load(); n > 2 {
		w.Errorf("the database was asked %d times", n)
	}
	_, err := g.Report(w.ctx, in, body(`{"battery":1}`))
	w.want(err, tandem.Unavailable)
	g.Close()
	close(s.free)
	if got := w.history(&w.device, "telemetry"); len(got) != 0 {
		w.Errorf("%d reports are stored that were not acknowledged", len(got))
	}
}

func TestOneDeviceTakesNotAllOfTheRoom(t *testing.T) {
	t.Parallel()
	s := &stuck{ServerStore: sqlitetest.Open(t), free: make(chan struct{})}
	w := newWorld(t, s)
	d := w.newDevice("sensor-2")
	greedy, other := w.in(&w.device), w.in(&d)
	large := body(`{"n":[1%s]}`, strings.Repeat(",1", 100_000)) // little to look at, and much once it is read
	var waiting []*gateway.Pending
	refused := error(nil)
	for range 100 {
		p, err := w.g.Begin(w.ctx, greedy, large)
		if refused = err; err != nil {
			break
		}
		waiting = append(waiting, p)
	}
	w.want(refused, tandem.RateLimited)
	if len(waiting) > 20 {
		w.Errorf("%d large messages of one device wait", len(waiting))
	}
	large.Held = true
	_, err := w.g.Begin(w.ctx, greedy, large)
	w.want(err, tandem.Unavailable) // not refused for good: who holds it is to go on holding it
	_, err = w.g.Begin(w.ctx, greedy, body("%s", strings.Repeat("1", gateway.DefaultMaxBody+1)))
	w.want(err, tandem.Invalid) // that is for good
	p, err := w.g.Begin(w.ctx, other, body(`{"battery":5}`))
	w.must(err)
	gone, err := w.g.BeginPresence(w.ctx, greedy, tandem.ViaMQTT, false, nil)
	w.must(err)
	close(s.free)
	for _, p := range append(waiting, p, gone) {
		_, err := p.Wait(w.ctx)
		w.must(err)
	}
	_, err = w.g.Report(w.ctx, greedy, large)
	w.must(err)
}

func TestWhatADeviceSaysBesideItsReportsIsBoundedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t), func(o *gateway.Options) { o.Rate, o.Burst = 0.01, 5 })
	d := w.newDevice("sensor-2")
	first, second := w.in(&w.device), w.in(&d)
	for range 5 {
		p, err := w.g.BeginStatus(w.ctx, first, tandem.ViaMQTT, true, false)
		w.must(err)
		_, err = p.Wait(w.ctx)
		w.must(err)
		w.want(w.g.Acknowledge(w.ctx, second, tandem.CommandAnswer{ID: id()}), tandem.NotFound)
	}
	_, err := w.g.BeginStatus(w.ctx, first, tandem.ViaMQTT, true, false)
	w.want(err, tandem.RateLimited)
	w.want(w.g.Acknowledge(w.ctx, second, tandem.CommandAnswer{ID: id()}), tandem.RateLimited)
	w.must(w.g.Presence(w.ctx, first, tandem.ViaMQTT, false, nil)) // that its connection was lost is noted all the same
}

func TestWhatTheHistoryHasNoRoomForIsSaid(t *testing.T) {
	onBoth(t, func(w *world) {
		in := w.in(&w.device)
		receipt, err := w.g.Report(w.ctx, in, body(`{"battery":"much","x":%q}`, strings.Repeat("x", 20_000)))
		w.must(err)
		notes := strings.Join(receipt.Notes, "")
		for _, part := range []string{"battery_level", "16 KB"} {
			if !strings.Contains(notes, part) {
				w.Errorf("%q says nothing of %s", notes, part)
			}
		}
		receipt, err = w.g.Report(w.ctx, in, body(`{"battery":7,"x":%q}`, strings.Repeat("x", 10_000)))
		w.must(err)
		equal(w, len(receipt.Notes), 0)
		equal(w, len(w.history(&w.device, "telemetry")), 1)
	})
}

func TestAnOrganizationThatHasAnotherNameOrIsNoMore(t *testing.T) {
	onBoth(t, func(w *world) {
		in := w.in(&w.device)
		slug := "acme-" + w.org
		_, err := w.g.Named(w.ctx, slug, "sensor-1")
		w.must(err)
		o, err := w.store.Organization(w.ctx, w.org)
		w.must(err)
		o.Slug = "other-" + w.org
		w.must(w.store.UpdateOrganization(w.ctx, o))
		w.until("its former name is nobody's", 2*time.Second, func() bool {
			_, err := w.g.Named(w.ctx, slug, "sensor-1")
			return tandem.Is(err, tandem.NotFound)
		})
		_, err = w.g.Named(w.ctx, o.Slug, "sensor-1")
		w.must(err)
		w.must(w.g.Still(w.ctx, in))
		w.must(w.store.DeleteOrganization(w.ctx, w.org, 0, time.Now()))
		w.until("its devices are out", 2*time.Second, func() bool { return tandem.Is(w.g.Still(w.ctx, in), tandem.Unauthorized) })
		_, err = w.g.Report(w.ctx, in, body(`{}`))
		w.want(err, tandem.Unauthorized)
	})
}
