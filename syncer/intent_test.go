package syncer_test

import (
	"testing"

	"tandem"
	"tandem/syncer"
)

// intentsEnded waits until the open intents count as ended, by the database's clock.
func (w *world) intentsEnded() {
	w.t.Helper()
	w.waitFor(func() bool {
		now, err := w.store.Now(w.ctx)
		w.must(err)
		for _, in := range w.intents() {
			if now.Before(in.Until) {
				return false
			}
		}
		return true
	})
}

// TestS24SettlementThatSlept sends nothing once its intent counts as ended: others have gone on since.
func TestS24SettlementThatSlept(t *testing.T) {
	for name, sleeps := range map[string]struct{ waitsIn string }{
		"before its call": {waitsIn: "store apply"},
		"within its call": {waitsIn: "remote update"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h hooks
			w := newWorld(t, h.hooked())
			ids := w.remotes("gate", 3)
			w.completed(w.sync(tandem.OpBidirectional))
			local := w.localOf(ids[0]).ID
			w.setHere(local, "name", "here")
			w.setThere(ids[0], "name", "there")
			w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
			disputed := w.conflict("name").ID
			slept := false
			sleep := func(call, _ string) error {
				if slept || call != sleeps.waitsIn || len(w.intents()) == 0 {
					return nil
				}
				slept = true
				w.intentsEnded()
				w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
				w.equal(len(w.intents()), 0)
				w.settle("name", syncer.TakeValue, "decided")
				return nil
			}
			if sleeps.waitsIn == "store apply" {
				h.on(nil, sleep) // its intent is stored
			} else {
				h.on(sleep, nil)
			}
			done, err := w.engine.Settle(w.ctx, w.org, syncer.Settlement{Filter: tandem.ConflictFilter{IDs: []string{disputed}}, Take: syncer.TakeLocal, By: "ada"})
			w.must(err)
			w.equal([]bool{slept, len(done) == 1}, []bool{true, true})
			w.equal([]string{w.remoteDevice(ids[0]).Name, w.device(local).Name}, []string{"decided", "decided"})
			w.equal(len(w.intents()), 0)
			w.completed(w.quiet(tandem.OpBidirectional))
		})
	}
}
