package syncer_test

import (
	"strings"
	"testing"

	"tandem"
)

// quarrel is a program here and one there that each insist on their value: before each run, both write it.
func (w *world) quarrel(here, there string, rounds int) (paused int) {
	w.t.Helper()
	for i := range rounds {
		if w.device(here).Name != "ours" {
			w.editLocal(here, func(d *tandem.Device) { d.Name = "ours" })
		} else if w.remoteDevice(there).Name != "theirs" {
			w.editRemote(there, rename("theirs"))
		}
		w.sync(tandem.OpBidirectional)
		if len(w.conflicts()) > 0 {
			return i + 1
		}
	}
	return 0
}

// TestS25Flapping: a field that both sides keep changing back is noticed after two rounds, paused alone, and explained.
func TestS25Flapping(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			w, ids := stocked(t, 10, options...)
			here, there := w.localOf(ids[0]).ID, ids[0]
			if n := w.quarrel(here, there, 10); n < 3 || n > 5 {
				t.Errorf("paused after %d changes", n)
			}
			c := w.conflict("name")
			w.equal(c.ByHand, true)
			w.equal(strings.Contains(c.Explanation, "back"), true)
			run := w.quiet(tandem.OpBidirectional)
			w.ended(run, tandem.RunPartial)

			// It alone: the device's other fields go on, and other devices' names.
			w.editLocal(here, func(d *tandem.Device) { d.Tags = []string{"blue"} })
			w.editRemote(ids[1], rename("gw-one"))
			w.sync(tandem.OpBidirectional)
			w.equal(w.remoteTags(there), []string{"blue"})
			w.equal(w.localOf(ids[1]).Name, "gw-one")

			// No strategy settles it (S25); a person does, and it begins anew.
			w.configure(func(c *tandem.ServiceConfig) { c.Strategy = tandem.RemoteWins })
			w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
			w.settle("name", tandem.TakeLocal, nil)
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteDevice(there).Name, w.device(here).Name)
			w.editRemote(there, rename("another"))
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.device(here).Name, "another")
		})
	}
}

// TestS25TwoServices: two services whose projects disagree over one device are a quarrel too.
func TestS25TwoServices(t *testing.T) {
	w, ids := stocked(t, 3)
	here := w.localOf(ids[0]).ID
	other := w.second("second", config2)
	there := other.remote("twin", hardware("hw-gw-000"))
	other.completed(other.sync(tandem.OpBidirectional))
	w.sync(tandem.OpBidirectional)
	w.equal(other.localOf(there).ID, here)
	// A program on each project writes its own name back, whenever it sees another.
	paused := 0
	for i := range 12 {
		if w.remoteDevice(ids[0]).Name != "first" {
			w.editRemote(ids[0], rename("first"))
		}
		w.sync(tandem.OpBidirectional)
		if other.remoteDevice(there).Name != "second" {
			other.editRemote(there, rename("second"))
		}
		other.sync(tandem.OpBidirectional)
		if len(w.conflicts())+len(other.conflicts()) > 0 {
			paused = i + 1
			break
		}
	}
	if paused == 0 || paused > 5 { // a round takes two: each value comes, and goes
		t.Errorf("paused after %d rounds", paused)
	}
}

// config2 takes what the service says.
func config2(c *tandem.ServiceConfig) {
	c.FieldStrategies = map[string]tandem.Strategy{"name": tandem.RemoteWins}
}

// TestS25Toggling: somebody who merely changes their mind, on either side or with other values, is not paused.
func TestS25Toggling(t *testing.T) {
	t.Run("here", func(t *testing.T) {
		w, ids := stocked(t, 30)
		here := w.localOf(ids[0]).ID
		for i := range 8 {
			w.editLocal(here, func(d *tandem.Device) { d.Name = []string{"day", "night"}[i%2]; d.Tags = []string{d.Name} })
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteDevice(ids[0]).Name, w.device(here).Name)
			w.equal(w.remoteTags(ids[0]), w.device(here).Tags)
		}
	})
	t.Run("there", func(t *testing.T) {
		w, ids := stocked(t, 30)
		here := w.localOf(ids[0]).ID
		for i := range 8 {
			w.editRemote(ids[0], tandem.RemotePatch{Name: &[]string{"day", "night"}[i%2], Enabled: ptr(i%2 == 0)})
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.device(here).Name, w.remoteDevice(ids[0]).Name)
			w.equal(w.device(here).Enabled, i%2 == 0)
		}
	})
	t.Run("on both sides, taking turns with new values", func(t *testing.T) {
		w, ids := stocked(t, 30)
		here := w.localOf(ids[0]).ID
		for i := range 8 {
			name := string(rune('a' + i))
			if i%2 == 0 {
				w.editLocal(here, func(d *tandem.Device) { d.Name = name })
			} else {
				w.editRemote(ids[0], rename(name))
			}
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal([]string{w.device(here).Name, w.remoteDevice(ids[0]).Name}, []string{name, name})
		}
	})
	t.Run("over two services, edited at one of them", func(t *testing.T) {
		w, ids := stocked(t, 3)
		other := w.second("second", config2)
		there := other.remote("twin", hardware("hw-gw-000"))
		other.completed(other.sync(tandem.OpBidirectional))
		w.sync(tandem.OpBidirectional)
		for i := range 8 {
			name := []string{"day", "night"}[i%2]
			w.editRemote(ids[0], rename(name))
			w.completed(w.sync(tandem.OpBidirectional))
			other.completed(other.sync(tandem.OpBidirectional))
			w.equal(other.remoteDevice(there).Name, name)
		}
	})
}
