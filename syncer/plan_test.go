package syncer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/syncer"
)

// everything is all that the organization's database says, as text; a dry run must not change it.
func (w *world) everything() string {
	w.t.Helper()
	all := map[string]any{"versions": w.versions(), "not linked": w.notLinked(), "service": w.stored(), "closed": w.closed()}
	runs, _, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{ServiceID: w.service.ID})
	w.must(err)
	plans, err := w.store.Plans(w.ctx, w.org, w.service.ID)
	w.must(err)
	words, err := w.store.KnownEntities(w.ctx, w.org, w.service.ID)
	w.must(err)
	rows, _, err := w.store.Devices(w.ctx, w.org, tandem.DeviceFilter{Sort: "name", Now: w.now(), Page: tandem.Page{Limit: 1000}})
	w.must(err)
	for i := range rows {
		rows[i].Status = "" // it depends on the time
	}
	_, entries, err := w.store.Entries(w.ctx, w.org, tandem.EntryFilter{})
	w.must(err)
	all["runs"], all["plans"], all["words"], all["devices"], all["entries"] = runs, plans, words, rows, entries
	b, err := json.MarshalIndent(all, "", " ")
	w.must(err)
	return string(b)
}

// line says what a change does, without ids, which a created device has only once it is created.
func line(c tandem.Change) string {
	s := fmt.Sprintf("%s %s %s", c.Side, c.Action, c.DeviceName)
	if c.Path != "" {
		s += fmt.Sprintf(" %s %s → %s", c.Path, c.Before, c.After)
	}
	return s
}

func lines(list []tandem.Change) []string {
	out := []string{}
	for _, c := range list {
		out = append(out, line(c))
	}
	slices.Sort(out)
	return out
}

// doneLines are the lines of what a run did.
func (w *world) doneLines(run tandem.Run) []string {
	w.t.Helper()
	out := []string{}
	for _, e := range w.entries(run) {
		out = append(out, line(e.Change))
	}
	slices.Sort(out)
	return out
}

// busyWorld has something of everything for a bidirectional run to do.
func busyWorld(t *testing.T, options ...option) *world {
	t.Helper()
	w := newWorld(t, append([]option{config(func(c *tandem.ServiceConfig) {
		withMetadata(c)
		c.CreateRemote, c.DeleteRemote = true, true
	})}, options...)...)
	w.entity(tandem.CohortEntity, "north")
	w.entity(tandem.TagEntity, "blue")
	ids := w.remotes("gate", 30)
	for _, id := range ids {
		w.setState(id, "info/site", "attic")
	}
	w.completed(w.sync(tandem.OpBidirectional))
	w.advance(time.Minute)
	here := func(i int) string { return w.localOf(ids[i]).ID }
	w.setHere(here(0), "name", "renamed-here")
	w.setThere(ids[1], "name", "renamed-there")
	w.setHere(here(2), "enabled", false)
	w.setHere(here(3), "cohort", "north")
	w.setHere(here(4), "tags", []string{"blue", "green"})
	w.editRemote(ids[5], tandem.RemotePatch{AddTagIDs: w.tags("red")})
	w.setHere(here(6), "metadata/site", "cellar")
	w.setThere(ids[7], "metadata/site", "roof")
	w.setHere(here(8), "name", "both-here") // a conflict
	w.setThere(ids[8], "name", "both-there")
	w.setHere(here(9), "name", "gate-010") // a swap of names
	w.setHere(here(10), "name", "gate-009")
	w.setHere(here(11), "blueprint", "not-on-the-service")
	w.deleteLocal(here(12))
	w.deleteRemote(ids[13])
	w.remote("new-there")
	w.local("new-here", func(d *tandem.Device) {
		d.Tags, d.Cohort, d.Metadata = []string{"blue"}, "north", tandem.Map{"site": "yard"}
	})
	w.local("new-here-disabled", func(d *tandem.Device) { d.Enabled = false })
	return w
}

// TestS27DryRunWritesNothing: it plans what the run then does, and writes nothing on either side.
func TestS27DryRunWritesNothing(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := busyWorld(t, options...)
			w.advance(time.Minute)
			before := w.everything()
			w.requests()
			p, planned := w.preview(tandem.RunRequest{Operation: tandem.OpBidirectional})
			w.equal(w.requests().Writes, 0)
			w.equal(w.everything(), before)
			run := w.sync(tandem.OpBidirectional)
			w.equal(lines(planned), w.doneLines(run))
			w.equal(p.Run.Summary, run.Summary)
			w.sync(tandem.OpBidirectional)
			w.quietButForConflicts()
		})
	}
}

// quietButForConflicts does one more run that must write nothing; conflicts may be pending.
func (w *world) quietButForConflicts() {
	w.t.Helper()
	before := w.versions()
	w.requests()
	w.sync(tandem.OpBidirectional)
	w.equal(w.requests().Writes, 0)
	w.equal(w.versions(), before)
}

// save stores a plan.
func (w *world) save(req tandem.RunRequest) string {
	w.t.Helper()
	req.ServiceID, req.CreatedBy = w.service.ID, "ada"
	p, err := w.engine.Preview(w.ctx, w.org, req, true, nil, nil)
	w.must(err)
	if p.PlanID == "" {
		w.t.Fatal("the plan has no id")
	}
	return p.PlanID
}

// TestS27StoredPlan: applied later it does what it showed, once, and nothing that came up since.
func TestS27StoredPlan(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := busyWorld(t, options...)
			_, planned := w.preview(tandem.RunRequest{Operation: tandem.OpBidirectional})
			plan := w.save(tandem.RunRequest{Operation: tandem.OpBidirectional})
			w.advance(time.Minute)
			// What comes up later is not in it.
			w.remote("later-there")
			w.local("later-here")
			late := w.localOf(w.remoteNamed("gate-020").ID).ID
			w.setHere(late, "name", "later")
			run, err := w.run(tandem.RunRequest{PlanID: plan})
			w.must(err)
			w.equal(w.doneLines(run), lines(planned))
			w.equal(run.PlanID, plan)
			if w.hasNamed("later-here") || w.hasNamed("later") || slices.Contains(w.names(), "later-there") {
				t.Error("the plan did what it had not shown")
			}
			for _, want := range []string{"new-here", "new-here-disabled", "renamed-here", "gate-009", "gate-010"} {
				if !w.hasNamed(want) {
					t.Errorf("%s is not on the service", want)
				}
			}
			if !slices.Contains(w.names(), "new-there") {
				t.Error("new-there was not imported")
			}
			_, err = w.run(tandem.RunRequest{PlanID: plan})
			w.wantCode(err, tandem.Stale) // single use
		})
	}
}

func (w *world) hasNamed(name string) bool {
	_, err := w.sim.DeviceByName(w.project, name)
	return err == nil
}

// TestS27PlanLeavesOutWhatMoved and names it.
func TestS27PlanLeavesOutWhatMoved(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.CreateRemote = true }))
	ids := w.remotes("gate", 8)
	w.completed(w.sync(tandem.OpBidirectional))
	w.advance(time.Minute)
	for i := range 4 {
		w.setHere(w.localOf(ids[i]).ID, "name", fmt.Sprintf("here-%d", i))
		w.setThere(ids[4+i], "name", fmt.Sprintf("there-%d", i))
	}
	created := w.local("created")
	gone := w.remote("gone")
	plan := w.save(tandem.RunRequest{Operation: tandem.OpBidirectional})
	w.setHere(w.localOf(ids[0]).ID, "name", "moved-here")
	w.setThere(ids[5], "name", "moved-there")
	w.setHere(created, "name", "created-otherwise")
	w.deleteRemote(gone)
	w.advance(time.Minute)
	run, err := w.run(tandem.RunRequest{PlanID: plan})
	w.must(err)
	w.ended(run, tandem.RunPartial)
	var out []string
	for _, e := range w.entries(run) {
		if e.Outcome == tandem.OutcomeMoved {
			out = append(out, line(e.Change))
			if e.Error == "" {
				t.Errorf("%s is left out without a reason", line(e.Change))
			}
		}
	}
	slices.Sort(out)
	w.equal(out, []string{`local create gone`, `local update gate-005 name "gate-005" → "there-1"`, `remote create created`, `remote update here-0 name "gate-000" → "here-0"`})
	w.equal([]string{w.remoteDevice(ids[0]).Name, w.remoteDevice(ids[1]).Name, w.localOf(ids[4]).Name, w.localOf(ids[5]).Name}, []string{"gate-000", "here-1", "there-0", "gate-005"})
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal([]string{w.remoteDevice(ids[0]).Name, w.localOf(ids[5]).Name}, []string{"moved-here", "moved-there"})
}

// TestS27PlanMovesUnderTheRun: a row that was still good when the device was listed, and moved before it was written, is named too.
func TestS27PlanMovesUnderTheRun(t *testing.T) {
	var h hooks
	w := newWorld(t, h.hooked())
	id := w.remote("gate")
	w.completed(w.sync(tandem.OpBidirectional))
	w.setHere(w.localOf(id).ID, "enabled", false)
	plan := w.save(tandem.RunRequest{Operation: tandem.OpBidirectional})
	w.advance(time.Minute)
	h.on(func(call, _ string) error {
		if call == "remote read" {
			h.on(nil, nil)
			w.editRemote(id, enable(false)) // someone else does it meanwhile
		}
		return nil
	}, nil)
	run, err := w.run(tandem.RunRequest{PlanID: plan})
	w.must(err)
	w.equal(w.count(run, tandem.ActUpdate, tandem.OutcomeMoved), 1)
}

func TestS27PlanIsVoid(t *testing.T) {
	for _, tt := range []struct {
		name string
		void func(w *world, plan string)
	}{
		{"when the settings changed", func(w *world, _ string) {
			w.configure(func(c *tandem.ServiceConfig) { c.Strategy = tandem.RemoteWins })
		}},
		{"when it was discarded", func(w *world, plan string) {
			w.must(w.store.ClosePlan(w.ctx, w.org, plan, tandem.PlanDiscarded, w.now()))
		}},
		{"when its rows are not those that were stored", func(w *world, plan string) {
			w.must(w.store.AppendPlan(w.ctx, w.org, plan, []tandem.Change{{Side: tandem.RemoteSide, Action: tandem.ActDelete, ExternalDeviceID: "x"}}))
		}},
		{"for another service", func(w *world, _ string) { w.addService("other", "second", nil) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.remote("gate")
			plan := w.save(tandem.RunRequest{Operation: tandem.OpBidirectional})
			tt.void(w, plan)
			run, err := w.run(tandem.RunRequest{PlanID: plan})
			w.wantCode(err, tandem.Stale)
			w.equal(run.Status, tandem.RunFailed)
			w.equal(len(w.devices()), 0)
			w.equal(syncer.Approved(ptr(w.stored())), false) // who asks for a void plan approves of nothing (S28)
		})
	}
	t.Run("when there is none", func(t *testing.T) {
		w := newWorld(t)
		_, err := w.run(tandem.RunRequest{PlanID: w.id()})
		w.wantCode(err, tandem.NotFound)
	})
}

func ptr[T any](v T) *T { return &v }

// TestS27PlanHoldsWhatItWasAskedFor: what the request said beyond the settings is in its rows.
func TestS27PlanHoldsWhatItWasAskedFor(t *testing.T) {
	t.Run("creating", func(t *testing.T) {
		w := newWorld(t)
		w.completed(w.sync(tandem.OpBidirectional))
		w.local("new-here")
		plan := w.save(tandem.RunRequest{Operation: tandem.OpExport, CreateMissing: tandem.MissingRemote})
		run, err := w.run(tandem.RunRequest{PlanID: plan})
		w.must(err)
		w.completed(run)
		w.equal(run.Operation, tandem.OpExport)
		w.equal(w.hasNamed("new-here"), true)
	})
	t.Run("not creating", func(t *testing.T) {
		w := newWorld(t)
		w.completed(w.sync(tandem.OpBidirectional))
		w.remote("new-there")
		plan := w.save(tandem.RunRequest{Operation: tandem.OpBidirectional, CreateMissing: tandem.MissingNone})
		run, err := w.run(tandem.RunRequest{PlanID: plan})
		w.must(err)
		w.completed(run)
		w.equal(len(w.devices()), 0)
	})
	t.Run("force", func(t *testing.T) {
		w := newWorld(t)
		local, remote := w.disputed(fieldCases[0])
		plan := w.save(tandem.RunRequest{Operation: tandem.OpExport, Force: true})
		run, err := w.run(tandem.RunRequest{PlanID: plan})
		w.must(err)
		w.completed(run)
		w.equal(run.Forced, true)
		w.equal([]any{w.here(local, "name"), w.there(remote, "name")}, []any{"gate-here", "gate-here"})
	})
	t.Run("some devices", func(t *testing.T) {
		w := newWorld(t)
		ids := w.remotes("gate", 2)
		w.completed(w.sync(tandem.OpBidirectional))
		a, b := w.localOf(ids[0]).ID, w.localOf(ids[1]).ID
		w.setHere(a, "name", "a")
		w.setHere(b, "name", "b")
		plan := w.save(tandem.RunRequest{Operation: tandem.OpBidirectional, DeviceIDs: []string{b}})
		run, err := w.run(tandem.RunRequest{PlanID: plan})
		w.must(err)
		w.completed(run)
		w.equal([]string{w.remoteDevice(ids[0]).Name, w.remoteDevice(ids[1]).Name}, []string{"gate-000", "b"})
	})
}

// TestS27ShowsWhatWouldBeRefused before anything is tried.
func TestS27ShowsWhatWouldBeRefused(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.CreateRemote = true }))
	ids := w.remotes("gate", 4)
	w.completed(w.sync(tandem.OpBidirectional))
	w.remote("taken") // listed, imported, and keeps its name
	w.setHere(w.localOf(ids[0]).ID, "name", "taken")
	w.setHere(w.localOf(ids[1]).ID, "cohort", "nowhere")
	w.setHere(w.localOf(ids[2]).ID, "tags", []string{"Not A Tag"})
	w.setHere(w.localOf(ids[3]).ID, "name", "freed")
	w.local("gate-003", func(d *tandem.Device) { d.DeviceID, d.HardwareIDs = "new-003", []string{"hw-new"} }) // takes the freed name
	w.local("twice")
	w.local("twice", func(d *tandem.Device) { d.DeviceID, d.HardwareIDs = "twice-too", []string{"hw-too"} })
	w.local("far", func(d *tandem.Device) { d.Cohort, d.Tags = "nowhere", []string{"No Tag"} })
	_, planned := w.preview(tandem.RunRequest{Operation: tandem.OpBidirectional})
	notes := map[string]string{}
	for _, c := range planned {
		notes[fmt.Sprintf("%s %s %s", c.Action, c.DeviceName, c.Path)] += c.Note
	}
	for key, want := range map[string]string{
		"update taken name":     "would be refused",
		"drift gate-001 cohort": "there is no cohort nowhere",
		"update gate-002 tags":  "may refuse the tag Not A Tag",
		"update freed name":     "",
		"create gate-003 ":      "",
		"create twice ":         "would be refused",
		"create far ":           "may refuse the tag No Tag",
		"drift far cohort":      "there is no cohort nowhere",
		"create taken ":         "",
	} {
		note, shown := notes[key]
		if !shown || !strings.Contains(note, want) || (want == "" && note != "") {
			t.Errorf("%s: shown %v with the note %q, want %q", key, shown, note, want)
		}
	}
}

// TestS28ScheduledRunWaitsForAPerson on a first run and after a change of settings.
func TestS28ScheduledRunWaitsForAPerson(t *testing.T) {
	w := newWorld(t)
	ids := w.remotes("gate", 3)
	scheduled := func() tandem.Run {
		t.Helper()
		w.advance(time.Minute)
		run, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional, Trigger: tandem.BySchedule})
		w.must(err)
		return run
	}
	first := scheduled()
	w.ended(first, tandem.RunBlocked)
	w.equal([]any{len(w.devices()), first.PlanID != ""}, []any{0, true})
	again := scheduled()
	w.ended(again, tandem.RunBlocked)
	plan, err := w.store.Plan(w.ctx, w.org, first.PlanID)
	w.must(err)
	w.equal(plan.Status, tandem.PlanDiscarded) // a person decides on the newest
	_, err = w.engine.Approve(w.ctx, w.org, first.ID, "ada", nil)
	w.wantCode(err, tandem.Stale)
	w.equal(syncer.Approved(ptr(w.stored())), false)
	approved, err := w.engine.Approve(w.ctx, w.org, again.ID, "ada", nil)
	w.must(err)
	w.completed(approved)
	w.equal([]any{len(w.devices()), approved.CreatedBy}, []any{3, "ada"})
	w.completed(scheduled())

	w.configure(func(c *tandem.ServiceConfig) { c.CreateRemote = true })
	w.local("new-here")
	w.setThere(ids[0], "name", "there")
	blocked := scheduled()
	w.ended(blocked, tandem.RunBlocked)
	w.equal([]any{w.hasNamed("new-here"), w.localOf(ids[0]).Name}, []any{false, "gate-000"})
	w.must(w.engine.Discard(w.ctx, w.org, blocked.ID, "ada"))
	_, err = w.engine.Approve(w.ctx, w.org, blocked.ID, "ada", nil)
	w.wantCode(err, tandem.Stale)
	w.ended(scheduled(), tandem.RunBlocked) // what caused it is still there
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal([]any{w.hasNamed("new-here"), w.localOf(ids[0]).Name}, []any{true, "there"})
	w.completed(scheduled())
	w.configure(func(c *tandem.ServiceConfig) { c.RequestsPerMinute, c.Guards.MaxDelete = 20_000, 0.2 })
	w.completed(scheduled()) // these need nobody
}

// TestS28ApprovalIsForWhatWasSeen: settings that changed after the run was blocked are not approved with it.
func TestS28ApprovalIsForWhatWasSeen(t *testing.T) {
	w := newWorld(t)
	w.remote("gate")
	run, err := w.run(tandem.RunRequest{Operation: tandem.OpImport, Trigger: tandem.BySchedule})
	w.must(err)
	w.configure(func(c *tandem.ServiceConfig) { c.DeleteRemote = true })
	_, err = w.engine.Approve(w.ctx, w.org, run.ID, "ada", nil)
	w.wantCode(err, tandem.Stale)
	w.equal(syncer.Approved(ptr(w.stored())), false)
	run, err = w.run(tandem.RunRequest{Operation: tandem.OpImport, Trigger: tandem.BySchedule})
	w.must(err)
	w.ended(run, tandem.RunBlocked)
}

func TestApproveNeedsABlockedRun(t *testing.T) {
	w := newWorld(t)
	run := w.sync(tandem.OpBidirectional)
	_, err := w.engine.Approve(w.ctx, w.org, run.ID, "ada", nil)
	w.wantCode(err, tandem.Invalid)
	w.wantCode(w.engine.Discard(w.ctx, w.org, run.ID, "ada"), tandem.Invalid)
	_, err = w.engine.Approve(w.ctx, w.org, w.id(), "ada", nil)
	w.wantCode(err, tandem.NotFound)
}

// TestPreviewLeavesNoHalfPlan: when planning fails, what was stored of the plan is discarded.
func TestPreviewLeavesNoHalfPlan(t *testing.T) {
	w := newWorld(t)
	w.remotes("gate", 3)
	w.fault("500:GET /devices")
	_, err := w.engine.Preview(context.Background(), w.org, tandem.RunRequest{ServiceID: w.service.ID}, true, nil, nil)
	w.wantCode(err, tandem.Unavailable)
	plans, err := w.store.Plans(w.ctx, w.org, w.service.ID)
	w.must(err)
	w.equal([]any{len(plans), plans[0].Status}, []any{1, tandem.PlanDiscarded})
}
