package syncer_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem"
)

// renameHere gives the devices that are linked to ids new names here.
func (w *world) renameHere(names map[string]string) {
	w.t.Helper()
	for id, name := range names {
		w.editLocal(w.localOf(id).ID, func(d *tandem.Device) { d.Name = name })
	}
}

// TestS27Renames: names that depend on each other arrive, whatever the order, and no temporary name is ever seen here.
func TestS27Renames(t *testing.T) {
	for name, c := range map[string]struct {
		have []string
		want []string
	}{
		"two swapped":           {[]string{"a", "b"}, []string{"b", "a"}},
		"a ring of three":       {[]string{"a", "b", "c"}, []string{"b", "c", "a"}},
		"a chain":               {[]string{"a", "b", "c", "d"}, []string{"b", "c", "d", "e"}},
		"two rings and a chain": {[]string{"a", "b", "c", "d", "e", "f", "g"}, []string{"b", "a", "d", "e", "c", "g", "h"}},
		"a long ring":           {[]string{"a", "b", "c", "d", "e", "f"}, []string{"f", "a", "b", "c", "d", "e"}},
	} {
		for _, code := range []string{"409", "400"} {
			t.Run(name+" "+code, func(t *testing.T) {
				w := newWorld(t, unknown("duplicate="+code))
				var ids []string
				for i, n := range c.have {
					ids = append(ids, w.remote(n, hardware(fmt.Sprintf("hw-%d", i))))
				}
				w.completed(w.sync(tandem.OpBidirectional))
				here := map[string]string{}
				for i, id := range ids {
					here[id] = c.want[i]
				}
				w.renameHere(here)
				run := w.sync(tandem.OpBidirectional)
				w.completed(run)
				for i, id := range ids {
					w.equal(w.remoteDevice(id).Name, c.want[i])
					w.equal(w.localOf(id).Name, c.want[i])
				}
				w.equal(len(w.intents()), 0)
				w.equal(run.Summary, tandem.Summary{Processed: len(ids), Successful: len(ids), Remote: tandem.Counts{Updated: len(ids)}})
				for _, line := range w.told(run) {
					if strings.Contains(line, "tandem-renaming") {
						t.Errorf("an entry tells of a temporary name: %s", line)
					}
				}
				w.quiet(tandem.OpBidirectional)
			})
		}
	}
}

// TestS27RingWithOtherEdits: what goes with a renamed device arrives with it; the temporary name goes alone.
func TestS27RingWithOtherEdits(t *testing.T) {
	var h hooks
	w, ids := stocked(t, 20, h.hooked())
	parked := 0
	h.on(nil, func(call, _ string) error {
		for _, in := range w.intents() {
			if call == "remote update" && in.Temporary != "" && parked == 0 {
				parked = len(in.Changes)
			}
		}
		return nil
	})
	defer func() { w.equal(parked, 1) }()
	for i, id := range ids[:2] {
		w.editLocal(w.localOf(id).ID, func(d *tandem.Device) {
			d.Name, d.Enabled, d.Tags = fmt.Sprintf("gw-%03d", 1-i), false, []string{fmt.Sprintf("tag-%d", i)}
		})
	}
	w.completed(w.sync(tandem.OpBidirectional))
	for i, id := range ids[:2] {
		w.equal(w.remoteDevice(id).Name, fmt.Sprintf("gw-%03d", 1-i))
		w.equal(w.remoteDevice(id).Enabled, false)
		w.equal(w.remoteTags(id), []string{fmt.Sprintf("tag-%d", i)})
	}
	w.quiet(tandem.OpBidirectional)
}

// TestS27NameTaken: a name that stays taken fails its device alone and says who has it.
func TestS27NameTaken(t *testing.T) {
	for name, c := range map[string]struct {
		have, want []string
		left       []int // whose names are refused
	}{
		"by a device that keeps it":         {[]string{"a", "b"}, []string{"b", "b"}, []int{0}},
		"two want the same":                 {[]string{"a", "b"}, []string{"c", "c"}, nil},
		"a chain that ends at a taken name": {[]string{"a", "b", "c"}, []string{"b", "c", "c"}, []int{0, 1}},
		"beside a ring that works":          {[]string{"a", "b", "c", "d"}, []string{"b", "a", "d", "d"}, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var ids []string
			for i, n := range c.have {
				ids = append(ids, w.remote(n, hardware(fmt.Sprintf("hw-%d", i))))
			}
			w.completed(w.sync(tandem.OpBidirectional))
			for i, id := range ids {
				if c.want[i] != c.have[i] {
					w.renameHere(map[string]string{id: c.want[i]})
				}
			}
			run := w.sync(tandem.OpBidirectional)
			w.ended(run, tandem.RunPartial)
			failed := 1
			if c.left != nil {
				failed = len(c.left)
				for i, id := range ids {
					want := c.want[i]
					if slices.Contains(c.left, i) {
						want = c.have[i]
						w.equal(w.assignment(w.localOf(id).ID).Status, tandem.SyncError)
					}
					w.equal(w.remoteDevice(id).Name, want)
					w.equal(w.localOf(id).Name, c.want[i])
				}
			}
			w.equal(run.Summary.Failed, failed)
			w.equal(run.Summary.Successful, len(ids)-failed)
			w.equal(len(w.intents()), 0)
			for _, e := range w.entries(run) {
				if e.Outcome == tandem.OutcomeFailed && (e.Code != tandem.Exists || !strings.Contains(e.Error, "named")) {
					t.Errorf("the entry does not say what happened: %+v", e)
				}
				if kept := strconv.Quote(w.remoteDevice(e.ExternalDeviceID).Name); e.Outcome == tandem.OutcomeFailed && string(e.Before) != kept {
					t.Errorf("the entry says that the name there is %s, it is %s", e.Before, kept)
				}
			}
		})
	}
}

// TestS27TakenByAStranger: a name that a device has which is not linked is refused, and works when it is free.
func TestS27TakenByAStranger(t *testing.T) {
	w, ids := stocked(t, 3, config(func(c *tandem.ServiceConfig) { c.Filters.Name = "gw-*" }))
	stranger := w.remote("taken")
	w.renameHere(map[string]string{ids[0]: "taken"})
	for range 2 {
		run := w.sync(tandem.OpBidirectional)
		w.ended(run, tandem.RunPartial)
		w.equal(run.Summary.Failed, 1)
	}
	w.deleteRemote(stranger)
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteDevice(ids[0]).Name, "taken")
	w.quiet(tandem.OpBidirectional)
}

// TestS27Killed: a process killed while a name is parked leaves a temporary name there; it is never imported,
// and the next run gives the device the name it was to have.
func TestS27Killed(t *testing.T) {
	updates := func(n int) func(string, *tandem.Changes) bool {
		seen := 0
		return func(call string, _ *tandem.Changes) bool {
			if call == "update" {
				seen++
			}
			return call == "update" && seen == n
		}
	}
	for n := 1; n <= 6; n++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("at write %d, after it %v", n, after), func(t *testing.T) {
				t.Parallel() // recovery waits a write's timeout out
				m := &mortal{after: after}
				w := newWorld(t, dying(m))
				a, b := w.remote("a"), w.remote("b")
				w.completed(w.sync(tandem.OpBidirectional))
				w.renameHere(map[string]string{a: "b", b: "a"})
				m.kill = updates(n)
				w.advance(time.Minute)
				_, err := w.run(request(w))
				if err == nil && n < 5 {
					t.Fatal("the process outlived its death")
				}
				m.revive()
				w.completed(w.sync(tandem.OpBidirectional))
				w.equal([]string{w.remoteDevice(a).Name, w.remoteDevice(b).Name}, []string{"b", "a"})
				w.equal([]string{w.localOf(a).Name, w.localOf(b).Name}, []string{"b", "a"})
				w.equal(len(w.intents()), 0)
				w.quiet(tandem.OpBidirectional)
			})
		}
	}
}

// TestS27PlanOfRenames: a dry run says which names would be refused, by the end state and not by today's.
func TestS27PlanOfRenames(t *testing.T) {
	w, ids := stocked(t, 4, creating)
	w.renameHere(map[string]string{ids[0]: "gw-001", ids[1]: "gw-000", ids[2]: "gw-003"})
	w.local("gw-003", withHardware("other"), deviceID("other"))
	w.local("free")
	_, changes := w.preview(tandem.RunRequest{Operation: tandem.OpBidirectional})
	refused := map[string]bool{}
	for _, c := range changes {
		if strings.Contains(c.Note, "refused") {
			refused[string(c.Action)+" "+string(c.After)] = true
		}
	}
	for what := range refused {
		if !strings.Contains(what, "gw-003") {
			t.Errorf("%s would not be refused", what)
		}
	}
	w.equal(len(refused), 2)
	w.equal(w.requests().Writes, 0)
}

// TestS26TemporaryNameRefused: a ring of names that cannot be opened keeps its devices back, and nothing else.
func TestS26TemporaryNameRefused(t *testing.T) {
	refusing := &noTemporaryNames{refuses: true}
	w := newWorld(t, wrapRemote(func(r tandem.Remote) tandem.Remote { refusing.Remote = r; return refusing }),
		config(func(c *tandem.ServiceConfig) { c.DeleteRemote = true }))
	a, b, gone := w.remote("a"), w.remote("b"), w.remote("gone")
	w.remotes("other", 5)
	w.completed(w.sync(tandem.OpBidirectional))
	w.renameHere(map[string]string{a: "b", b: "a"})
	w.deleteLocal(w.localOf(gone).ID)
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal(w.hasRemote(gone), false) // what comes after the names is done
	refusing.refuses = false
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteDevice(a).Name, "b")
	w.equal(w.remoteDevice(b).Name, "a")
	w.equal(len(w.intents()), 0)
	w.quiet(tandem.OpBidirectional)
}

type noTemporaryNames struct {
	tandem.Remote
	refuses bool
}

func (n *noTemporaryNames) UpdateDevice(ctx context.Context, id string, p tandem.RemotePatch) (tandem.RemoteDevice, error) {
	if n.refuses && p.Name != nil && strings.HasPrefix(*p.Name, "tandem-renaming") {
		return tandem.RemoteDevice{}, tandem.Errorf(tandem.Unavailable, "test", id, "busy")
	}
	return n.Remote.UpdateDevice(ctx, id, p)
}
