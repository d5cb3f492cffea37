package syncer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/syncer"
)

// crash is a story in which the process dies: what was there before, what it was about to do, and how a
// new process takes it up.
type crash struct {
	prepare func(w *world) (mark string) // before; the mark is for the others
	act     func(w *world, mark string)  // what may be cut short anywhere
	again   bool                         // whether a person does it again after a death; a run is taken up by any run
}

// crashes are the stories.
var crashes = map[string]crash{
	"run": {prepare: prepareRun, act: func(w *world, _ string) {
		_, _ = w.run(tandem.RunRequest{Operation: tandem.OpBidirectional}) // it may die
	}},
	"settle": {prepare: prepareSettle, act: settleAll, again: true},
	"revert": {prepare: prepareRevert, act: revertRun, again: true},
}

// prepareRun leaves something of everything to do: imports, exports, creates, deletes, renames, a conflict.
func prepareRun(w *world) string {
	ids := w.remotes("gate", 12)
	for _, id := range ids {
		w.setState(id, "info/site", "attic")
	}
	w.completed(w.sync(tandem.OpBidirectional))
	w.advance(time.Minute)
	here := func(i int) string { return w.localOf(ids[i]).ID }
	w.setHere(here(0), "name", "renamed-here")
	w.setThere(ids[1], "name", "renamed-there")
	w.setHere(here(2), "enabled", false)
	w.setHere(here(2), "tags", []string{"green"})
	w.setHere(here(3), "metadata/site", "cellar")
	w.setHere(here(3), "metadata/floor", "2")
	w.setThere(ids[3], "name", "moved-there")
	w.setHere(here(4), "name", "both-here") // a conflict
	w.setThere(ids[4], "name", "both-there")
	w.setHere(here(5), "name", "gate-006") // a swap
	w.setHere(here(6), "name", "gate-005")
	w.deleteLocal(here(7))
	w.deleteRemote(ids[8])
	w.remote("new-there")
	w.local("new-here", func(d *tandem.Device) {
		d.Enabled, d.Tags, d.Metadata = false, []string{"blue"}, tandem.Map{"site": "yard"}
	})
	w.local("new-bare", func(d *tandem.Device) { d.HardwareIDs = nil })
	return ""
}

// prepareSettle leaves a conflict of each kind.
func prepareSettle(w *world) string {
	ids := w.remotes("gate", 14)
	w.completed(w.sync(tandem.OpBidirectional))
	w.advance(time.Minute)
	here := func(i int) string { return w.localOf(ids[i]).ID }
	w.setHere(here(0), "name", "zero-here")
	w.setThere(ids[0], "name", "zero-there")
	w.setHere(here(1), "metadata/site", "here")
	w.setThere(ids[1], "metadata/site", "there")
	w.setHere(here(2), "name", "two-here")
	w.deleteRemote(ids[2])
	w.setThere(ids[3], "name", "three-there")
	w.deleteLocal(here(3))
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal(len(w.conflicts()), 4)
	return ""
}

// settleAll settles each by its type.
func settleAll(w *world, _ string) {
	for kind, take := range map[tandem.ConflictType]tandem.Choice{tandem.ConcurrentModification: tandem.TakeLocal,
		tandem.DeletedRemotely: tandem.TakeRecreate, tandem.DeletedLocally: tandem.TakeDelete} {
		_, _ = w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{ServiceID: w.service.ID, Type: kind}, Take: take, By: "ada"})
	}
}

// prepareRevert leaves a run to be undone.
func prepareRevert(w *world) string {
	ids := w.remotes("gate", 6)
	w.completed(w.sync(tandem.OpBidirectional))
	w.advance(time.Minute)
	here := func(i int) string { return w.localOf(ids[i]).ID }
	w.setHere(here(0), "name", "renamed-here")
	w.setThere(ids[1], "name", "renamed-there")
	w.setHere(here(2), "metadata/site", "cellar")
	w.local("new-here")
	w.remote("new-there")
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	return run.ID
}

func revertRun(w *world, run string) {
	_, _ = w.engine.Revert(w.ctx, w.org, run, "ada", nil)
}

// crashWorld is a world in which writes come one after the other.
func crashWorld(t testing.TB, h *hooks, options ...option) *world {
	t.Helper()
	w := newWorld(t, append([]option{h.hooked(), config(func(c *tandem.ServiceConfig) {
		withMetadata(c)
		c.CreateRemote, c.DeleteRemote, c.Concurrency = true, true, 1
	}), withEngine(func(e *syncer.Engine) { e.WriteTimeout = 5 * time.Millisecond })}, options...)...)
	w.entity(tandem.CohortEntity, "north")
	return w
}

// sides gives both sides by hardware id, as a person would compare them.
func (w *world) sides() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, d := range w.devices() {
		key := "here " + strings.Join(d.HardwareIDs, " ")
		if strings.HasPrefix(key, "here tandem-") {
			key = "here minted"
		}
		linked := 0
		for _, a := range d.Assignments {
			if a.Status != tandem.SyncUnlinked {
				linked++
			}
		}
		all[key] += fmt.Sprintf("[%s enabled=%v tags=%v metadata=%v linked=%d]", d.Name, d.Enabled, d.Tags, d.Metadata, linked)
	}
	there, err := w.sim.Devices(w.project)
	w.must(err)
	for _, d := range there {
		key := "there " + strings.Join(d.HardwareIDs, " ")
		if strings.HasPrefix(key, "there tandem-") {
			key = "there minted"
		}
		all[key] += fmt.Sprintf("[%s enabled=%v tags=%v metadata=%v]", d.Name, d.Enabled, w.remoteTags(d.ID), w.state(d.ID, "info"))
	}
	for _, c := range w.conflicts() {
		all["conflict "+string(c.Type)+" "+string(c.FieldName)] += string(c.Status)
	}
	return all
}

// done gives what the service's history claims to have done, in words that do not depend on ids.
func (w *world) done() []string {
	w.t.Helper()
	out := []string{}
	for page := 1; ; page++ {
		rows, total, err := w.store.Entries(w.ctx, w.org, tandem.EntryFilter{Outcome: tandem.OutcomeDone, Page: tandem.Page{Number: page, Limit: 1000}})
		w.must(err)
		for _, e := range rows {
			of := e.DeviceName
			if e.DeviceID != "" {
				if of = strings.Join(w.device(e.DeviceID).HardwareIDs, " "); strings.HasPrefix(of, "tandem-") {
					of = "minted"
				}
			}
			after := string(e.After)
			if e.Path == "" || strings.Contains(after, "tandem-") {
				after = ""
			}
			out = append(out, fmt.Sprintf("%s %s %s %s %s", e.Side, e.Action, of, e.Path, after))
		}
		if page*1000 >= total {
			slices.Sort(out)
			return out
		}
	}
}

// TestS24KilledAtEveryInstant: the process dies before each of its writes in turn; a new one runs. Both
// sides then are as if nothing had happened: no device twice, no edit lost, and the history tells of
// each change once.
func TestS24KilledAtEveryInstant(t *testing.T) {
	for name, story := range crashes {
		t.Run(name, func(t *testing.T) {
			var h hooks
			w := crashWorld(t, &h)
			mark := story.prepare(w)
			w.advance(time.Minute)
			writes := h.dieBefore(0)
			story.act(w, mark)
			total, _ := writes()
			h.on(nil, nil)
			if total < 5 {
				t.Fatalf("the story makes %d writes only", total)
			}
			w.sync(tandem.OpBidirectional)
			w.sync(tandem.OpBidirectional)
			sides, done := w.sides(), w.done()
			for n := 1; n <= total; n++ {
				t.Run(fmt.Sprint(n), func(t *testing.T) {
					t.Parallel()
					dieAndGoOn(t, story, n, sides, done)
				})
			}
			t.Run("postgresql", func(t *testing.T) {
				t.Parallel()
				dieAndGoOn(t, story, total/2, sides, done, onPostgres)
			})
		})
	}
}

// dieAndGoOn plays the story with a death before the n-th write.
func dieAndGoOn(t *testing.T, story crash, n int, sides map[string]string, done []string, options ...option) {
	t.Helper()
	var h hooks
	w := crashWorld(t, &h, options...)
	mark := story.prepare(w)
	w.advance(time.Minute)
	writes := h.dieBefore(n)
	story.act(w, mark)
	if _, died := writes(); !died {
		return // how many writes share a transaction depends on the moment
	}
	h.resurrect(w)
	w.sync(tandem.OpBidirectional)
	w.equal(len(w.intents()), 0)
	if story.again {
		w.advance(time.Minute)
		story.act(w, mark)
		w.sync(tandem.OpBidirectional)
	}
	w.sync(tandem.OpBidirectional)
	w.equal(w.sides(), sides)
	w.equal(w.done(), done)
	w.advance(2 * time.Hour) // a dead settlement looks alive for an hour
	w.quietButForConflicts()
	rows, _, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{ServiceID: w.service.ID})
	w.must(err)
	for _, run := range rows {
		if !run.Status.Ended() {
			t.Errorf("a run is still %s", run.Status)
		}
	}
}
