package syncer_test

import (
	"context"
	"testing"
	"time"

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
				w.settle("name", tandem.TakeValue, "decided")
				return nil
			}
			if sleeps.waitsIn == "store apply" {
				h.on(nil, sleep) // its intent is stored
			} else {
				h.on(sleep, nil)
			}
			done, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{disputed}}, Take: tandem.TakeLocal, By: "ada"})
			w.must(err)
			w.equal([]bool{slept, len(done) == 1}, []bool{true, true})
			w.equal([]string{w.remoteDevice(ids[0]).Name, w.device(local).Name}, []string{"decided", "decided"})
			w.equal(len(w.intents()), 0)
			w.completed(w.quiet(tandem.OpBidirectional))
		})
	}
}

// youngIntents is a store in which another process begins a write while a run waits for the intents that it found.
type youngIntents struct {
	tandem.Store
	waited bool
	begin  func()
}

func (s *youngIntents) Now(ctx context.Context) (time.Time, error) {
	s.waited = true
	return s.Store.Now(ctx)
}

func (s *youngIntents) Intents(ctx context.Context, org, service string) ([]tandem.Intent, error) {
	if begin := s.begin; s.waited && begin != nil {
		s.begin = nil
		begin()
	}
	return s.Store.Intents(ctx, org, service)
}

// TestS24YoungIntent of a settlement that is under way is left to it: nobody takes its write for never made.
func TestS24YoungIntent(t *testing.T) {
	var young youngIntents
	w := newWorld(t, wrapStore(func(s tandem.Store) tandem.Store { young.Store = s; return &young }),
		withEngine(func(e *syncer.Engine) { e.WriteTimeout = time.Second }))
	ids := w.remotes("gate", 2)
	w.completed(w.sync(tandem.OpBidirectional))
	here := []string{w.localOf(ids[0]).ID, w.localOf(ids[1]).ID}
	now, err := w.store.Now(w.ctx)
	w.must(err)
	intent := func(i int, until time.Time) *tandem.Changes {
		return &tandem.Changes{PutIntents: []tandem.Intent{{ID: w.id(), OrganizationID: w.org, ServiceID: w.service.ID, RunID: w.id(), DeviceID: here[i],
			ExternalDeviceID: ids[i], Kind: tandem.IntentUpdate, Until: until, CreatedAt: w.now(), Changes: []tandem.Change{{Side: tandem.RemoteSide,
				Action: tandem.ActUpdate, DeviceID: here[i], DeviceName: "gate", ExternalDeviceID: ids[i], Path: "name", Before: []byte(`"gate"`), After: []byte(`"renamed"`)}}}}}
	}
	w.must(w.store.Apply(w.ctx, w.org, intent(0, now)))
	for _, id := range here {
		w.setHere(id, "tags", []string{"blue"})
	}
	young.begin = func() { w.must(w.store.Apply(w.ctx, w.org, intent(1, now.Add(6*time.Second)))) }
	young.waited = false
	w.sync(tandem.OpBidirectional)
	w.equal(len(w.intents()), 1)
	w.equal([]int{len(w.remoteTags(ids[0])), len(w.remoteTags(ids[1]))}, []int{1, 0})
}

// TestS27SessionsKnowTemporaryNames: what a person looks at or settles has the name that the device is to keep.
func TestS27SessionsKnowTemporaryNames(t *testing.T) {
	w := newWorld(t)
	id := w.remote("gate")
	w.completed(w.sync(tandem.OpBidirectional))
	local := w.localOf(id).ID
	w.setHere(local, "name", "renamed")
	now, err := w.store.Now(w.ctx)
	w.must(err)
	w.setThere(id, "name", "tandem-renaming-"+local)
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutIntents: []tandem.Intent{{ID: w.id(), OrganizationID: w.org, ServiceID: w.service.ID, RunID: w.id(),
		DeviceID: local, ExternalDeviceID: id, Kind: tandem.IntentRename, Temporary: "tandem-renaming-" + local, Until: now, CreatedAt: w.now(),
		Changes: []tandem.Change{{Side: tandem.RemoteSide, Action: tandem.ActUpdate, DeviceID: local, DeviceName: "gate", ExternalDeviceID: id,
			Path: "name", Before: []byte(`"gate"`), After: []byte(`"renamed"`)}}}}}))
	all, err := w.engine.Compare(w.ctx, w.org, local)
	w.must(err)
	w.must(all[0].RemoteError)
	w.equal(all[0].Remote.Name, "gate")
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal([]any{w.remoteDevice(id).Name, w.device(local).Name, len(w.intents())}, []any{"renamed", "renamed", 0})
}

// TestS19IntentLastsForAllCalls: one for the device's own update, one for each tag to be made and each leaf.
func TestS19IntentLastsForAllCalls(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked(), config(withMetadata), withEngine(func(e *syncer.Engine) { e.WriteTimeout = time.Second }))
	id := w.remote("gate")
	w.setState(id, "info/site/room", "attic")
	w.completed(w.sync(tandem.OpBidirectional))
	local := w.localOf(id).ID
	w.setHere(local, "tags", []string{"new"})
	w.setHere(local, "metadata/site/room", "cellar")
	w.setHere(local, "metadata/site/floor", "1")
	asked := false
	h.on(func(call, _ string) error {
		if asked || call != "remote tag" {
			return nil
		}
		asked = true
		now, err := w.store.Now(w.ctx)
		w.must(err)
		if left := w.intents()[0].Until.Sub(now); left <= 3*time.Second || left > 4*time.Second+100*time.Millisecond {
			t.Errorf("an intent of four calls of a second each lasts for %v", left)
		}
		return nil
	}, nil)
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal([]any{asked, w.remoteTags(id), w.state(id, "info/site/floor")}, []any{true, []string{"new"}, "1"})
}
