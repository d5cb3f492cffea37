package simtest

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/registry"
)

// Each test here is a fault that a seed found, told as a story of its own.

// scenario makes a small world on SQLite after its first sync.
func scenario(t *testing.T, seed uint64, config func(*tandem.ServiceConfig)) *world {
	t.Helper()
	s := settings{fleet: 4, root: "metadata", deletes: 9, switches: 9, config: func(c *tandem.ServiceConfig) {
		c.Guards, c.Paths.Metadata, c.CreateRemote = tandem.Guards{MaxDelete: 1, MaxChange: 1}, "state:metadata", true
		if config != nil {
			config(c)
		}
	}}
	w, err := newWorld(t.Context(), seed, s, rand.New(rand.NewPCG(seed, 7)), onSQLite(t), tandemProgram)
	if w != nil {
		t.Cleanup(func() {
			if err := w.close(); err != nil {
				t.Error(err)
			}
		})
	}
	if err == nil {
		_, err = w.told(t.Context(), nil, append(calm, "--operation", "bidirectional")...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair gives the i-th linked pair.
func (w *world) pair(t *testing.T, i int) (d tandem.Device, external string) {
	t.Helper()
	rows, err := w.linked(t.Context())
	must(t, err)
	return rows[i].Device, externalOf(&rows[i], w.service.ID)
}

// ends runs to rest, and wants every law kept.
func (w *world) ends(t *testing.T) *picture {
	t.Helper()
	p, wrong, err := w.finale(t.Context())
	must(t, err)
	if wrong = append(wrong, check(p)...); len(wrong) > 0 {
		t.Errorf("%s\n\nwhat happened:\n%s", strings.Join(wrong, "\n"), w.story)
	}
	return p
}

// killedOnce runs a sync that is killed at a moment when the world is as wanted.
func (w *world) killedOnce(t *testing.T, at moment, when func() bool) {
	t.Helper()
	var events []event
	for n := 1; n <= 60; n++ {
		events = append(events, event{at, n, func() bool {
			if when() {
				w.kill()
			}
			return true
		}})
	}
	w.gate.arm(events...)
	o, err := w.told(t.Context(), nil, hurried...)
	must(t, err)
	if !o.killed {
		t.Fatalf("the run was not killed: %s", w.story)
	}
}

// TestS7ElementsAddedThereStayInAnExport: a write that adds to a set once made the elements of the other side part of the base.
func TestS7ElementsAddedThereStayInAnExport(t *testing.T) {
	t.Parallel()
	w := scenario(t, 15, func(c *tandem.ServiceConfig) { c.Direction = tandem.Export })
	d, x := w.pair(t, 0)
	ids := append(d.HardwareIDs, "HW:ours")
	must(t, w.updateLocal(t.Context(), &d, registry.DeviceEdit{HardwareIDs: &ids}))
	must(t, w.byHand(x, func() error {
		_, err := w.sim.EditDevice(project, x, tandem.RemotePatch{AddHardwareIDs: []string{"HW:theirs"}})
		return err
	}))
	p := w.ends(t)
	if there := p.remote[x]; there["hardware_ids/HW:ours"] == "" || there["hardware_ids/HW:theirs"] == "" {
		t.Errorf("there: %v", there)
	}
}

// TestS14EditedBeforeItsCreateIsKnown: what a person added to a device whose create was never answered once counted as removed here.
func TestS14EditedBeforeItsCreateIsKnown(t *testing.T) {
	t.Parallel()
	w := scenario(t, 26, nil)
	before := w.gate.look("")
	must(t, w.createLocal(t.Context()))
	w.killedOnce(t, after, func() bool { return len(w.gate.look("")) > len(before) })
	for x := range w.gate.look("") {
		if before[x] == nil {
			must(t, w.byHand(x, func() error {
				_, err := w.sim.EditDevice(project, x, tandem.RemotePatch{AddHardwareIDs: []string{"HW:added"}})
				return err
			}))
		}
	}
	p := w.ends(t)
	if here := p.local[w.known[0]].facts; here["hardware_ids/HW:added"] == "" {
		t.Errorf("here: %v", here)
	}
}

// TestS8ASettlementIsRecordedThoughItsProcessDied: recovery once finished the write of a strategy and forgot the conflict.
func TestS8ASettlementIsRecordedThoughItsProcessDied(t *testing.T) {
	t.Parallel()
	w := scenario(t, 66, func(c *tandem.ServiceConfig) { c.Strategy = tandem.LocalWins })
	d, x := w.pair(t, 0)
	ours, theirs := "ours", "theirs"
	must(t, w.updateLocal(t.Context(), &d, registry.DeviceEdit{Name: &ours}))
	must(t, w.byHand(x, func() error {
		_, err := w.sim.EditDevice(project, x, tandem.RemotePatch{Name: &theirs})
		return err
	}))
	w.killedOnce(t, after, func() bool { return w.gate.look(x)[x]["name"] == `"ours"` })
	p := w.ends(t)
	if len(p.conflicts) != 1 || p.conflicts[0].Status != tandem.ConflictAutoResolved || string(p.conflicts[0].RemoteValue) != `"theirs"` {
		t.Errorf("the conflicts are %+v", p.conflicts)
	}
}

// TestS26ARefusedNameKeepsNothingElseBack: a name that another device has once held the device's tags back for ever.
func TestS26ARefusedNameKeepsNothingElseBack(t *testing.T) {
	t.Parallel()
	w := scenario(t, 388, nil)
	d, x := w.pair(t, 0)
	other, _ := w.pair(t, 1)
	tags := append(d.Tags, "sent-all-the-same")
	must(t, w.updateLocal(t.Context(), &d, registry.DeviceEdit{Name: &other.Name, Tags: &tags}))
	p := w.ends(t)
	if there := p.remote[x]; there["tags/sent-all-the-same"] == "" || there["name"] == text(other.Name) {
		t.Errorf("there: %v", there)
	}
}

// TestS19AJoinerOfADeadRunDoesItsOwn: a request that had joined a queued run whose process died once failed.
func TestS19AJoinerOfADeadRunDoesItsOwn(t *testing.T) {
	t.Parallel()
	w := scenario(t, 18, nil)
	w.killedOnce(t, arrives, func() bool { return true }) // it leaves the lease behind
	queued := func() bool {
		runs, _, err := w.store.Runs(t.Context(), w.org.ID, tandem.RunFilter{Status: tandem.RunQueued})
		return err == nil && len(runs) > 0
	}
	_, err := w.told(t.Context(), func(p *process) {
		go func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for !queued() {
				select {
				case <-p.ended:
					return
				case <-tick.C:
				}
			}
			p.kill()
		}()
	}, hurried...)
	must(t, err)
	o, err := w.told(context.WithoutCancel(t.Context()), nil, hurried...)
	must(t, err)
	if o.code != 0 {
		t.Errorf("%s\n\nwhat happened:\n%s", o.command, w.story)
	}
	w.ends(t)
}
