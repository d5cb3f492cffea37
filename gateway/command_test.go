package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/store/sqlite/sqlitetest"
)

func TestCommandsReachADeviceWhicheverProcessItIsAt(t *testing.T) {
	onBoth(t, func(w *world) {
		in := w.in(&w.device)
		got := make(chan tandem.Command, 10)
		send := func(name string) tandem.Command {
			now := time.Now().UTC().Truncate(time.Microsecond)
			c := tandem.Command{ID: id(), DeviceID: w.device.ID, Name: name, Payload: json.RawMessage(`{"on":true}`), Status: tandem.CommandQueued,
				ExpiresAt: now.Add(time.Minute), CreatedAt: now, UpdatedAt: now}
			w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutCommands: []tandem.Command{c}}))
			return c
		}
		next := func() tandem.Command {
			select {
			case c := <-got:
				return c
			case <-time.After(5 * time.Second):
				w.Fatal("no command came")
				return tandem.Command{}
			}
		}
		first := send("first")
		deliver := func(c tandem.Command) error { got <- c; return nil }
		cancel := w.g.Commands(in, tandem.ViaMQTT, deliver)
		equal(w, next().ID, first.ID)
		second := send("second")
		equal(w, next().ID, second.ID)
		w.must(w.g.Acknowledge(w.ctx, in, tandem.CommandAnswer{ID: first.ID, Reply: json.RawMessage(`{"done":1}`)}))
		cancel()

		other := w.open()
		cancel = other.Commands(in, tandem.ViaCoAP, deliver) // what was not answered comes again
		defer cancel()
		equal(w, next().ID, second.ID)
		w.must(other.Acknowledge(w.ctx, in, tandem.CommandAnswer{ID: second.ID, Failed: true, Error: "no such lamp"}))
		w.want(other.Acknowledge(w.ctx, in, tandem.CommandAnswer{ID: "none"}), tandem.NotFound)
		for c, want := range map[string]tandem.CommandStatus{first.ID: tandem.CommandAcknowledged, second.ID: tandem.CommandFailed} {
			is, err := w.store.Command(w.ctx, w.org, c)
			w.must(err)
			equal(w, is.Status, want)
		}
	})
}

// TestACommandThatWasNotTakenComesAgain: whoever else has the device may take it, and who did not is asked again after a pause.
func TestACommandThatWasNotTakenComesAgain(t *testing.T) {
	onBoth(t, func(w *world) {
		in := w.in(&w.device)
		const refusals = 3
		tries := make(chan tandem.Command, 100)
		left := atomic.Int32{}
		left.Store(refusals)
		deliver := func(c tandem.Command) error {
			tries <- c
			if left.Add(-1) >= 0 {
				return errors.New("too much waits for it")
			}
			return nil
		}
		defer w.g.Commands(in, tandem.ViaMQTT, deliver)()
		defer w.open().Commands(in, tandem.ViaCoAP, deliver)()
		now := time.Now().UTC().Truncate(time.Microsecond)
		c := tandem.Command{ID: id(), DeviceID: w.device.ID, Name: "blink", Payload: json.RawMessage("null"), Status: tandem.CommandQueued,
			ExpiresAt: now.Add(time.Hour), CreatedAt: now, UpdatedAt: now}
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutCommands: []tandem.Command{c}}))
		for n := range refusals + 1 {
			select {
			case got := <-tries:
				equal(w, got.ID, c.ID)
			case <-time.After(20 * time.Second):
				w.Fatalf("it came %d times", n)
			}
		}
		is, err := w.store.Command(w.ctx, w.org, c.ID)
		w.must(err)
		equal(w, is.Status, tandem.CommandSent)
	})
}

// counted counts how often commands are taken.
type counted struct {
	tandem.ServerStore
	takes atomic.Int32
}

func (c *counted) TakeCommands(ctx context.Context, org string, devices []string, via tandem.Via, again bool) ([]tandem.Command, error) {
	c.takes.Add(1)
	return c.ServerStore.TakeCommands(ctx, org, devices, via, again)
}

// TestWhoAsksForItsCommandsAllTheTimeIsNoBurden: what was not answered is given again now and then, not each time.
func TestWhoAsksForItsCommandsAllTheTimeIsNoBurden(t *testing.T) {
	t.Parallel()
	store := &counted{ServerStore: sqlitetest.Open(t)}
	w := newWorld(t, store)
	in := w.in(&w.device)
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := tandem.Command{ID: id(), DeviceID: w.device.ID, Name: "blink", Payload: json.RawMessage("null"), Status: tandem.CommandQueued,
		ExpiresAt: now.Add(time.Hour), CreatedAt: now, UpdatedAt: now}
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutCommands: []tandem.Command{c}}))
	got := make(chan tandem.Command, 1000)
	tick := time.NewTicker(6 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for range 100 {
		end := w.g.Commands(in, tandem.ViaHTTP, func(c tandem.Command) error { got <- c; return nil })
		<-tick.C
		end()
	}
	if n, most := int(store.takes.Load()), int(time.Since(began)/(250*time.Millisecond))+2; n < 1 || n > most {
		t.Errorf("the database is asked %d times in %s", n, time.Since(began))
	}
	defer w.g.Commands(in, tandem.ViaHTTP, func(c tandem.Command) error { got <- c; return nil })()
	late := time.After(5 * time.Second)
	for seen := range 2 {
		select {
		case <-got:
		case <-late:
			t.Fatalf("it came %d times", seen)
		}
	}
}
