package syncer_test

import (
	"testing"

	"tandem"
)

// TestS7Directions: an import applies only what flows to local, an export only what flows to remote; what is
// held back is drift, told once for its pair of values, and flows when it may.
func TestS7Directions(t *testing.T) {
	for op, held := range map[tandem.Operation]tandem.Side{tandem.OpImport: tandem.RemoteSide, tandem.OpExport: tandem.LocalSide} {
		t.Run(string(op), func(t *testing.T) {
			w := newWorld(t, metadataAt("meta"))
			a, b := w.remote("a", tags("x")), w.remote("b", tags("x"))
			w.remotes("other", 9)
			w.setState(a, "meta", object{"n": 1})
			w.setState(b, "meta", object{"n": 1})
			w.completed(w.sync(tandem.OpBidirectional))
			w.editRemote(a, tandem.RemotePatch{Name: ptr("a-there"), AddTagIDs: w.tags("there")})
			w.setState(a, "meta/n", 2)
			w.editLocal(w.localOf(b).ID, func(d *tandem.Device) {
				d.Name, d.Tags, d.Metadata = "b-here", []string{"here", "x"}, object{"n": 2}
			})
			run := w.sync(op)
			w.completed(run)
			w.equal(w.count(run, tandem.ActDrift, tandem.OutcomeHeld), 3)
			for _, e := range w.entries(run) {
				if e.Action == tandem.ActDrift {
					w.equal(e.Side, held)
				}
			}
			w.equal(w.details(run).Drift, 3)
			if op == tandem.OpImport {
				w.equal(w.localOf(a).Name, "a-there")
				w.equal(w.localOf(a).Tags, []string{"there", "x"})
				w.like(w.localOf(a).Metadata, object{"n": 2})
				w.equal(w.remoteDevice(b).Name, "b")
				w.equal(w.remoteTags(b), []string{"x"})
				w.like(w.state(b, "meta"), object{"n": 1})
			} else {
				w.equal(w.remoteDevice(b).Name, "b-here")
				w.equal(w.remoteTags(b), []string{"here", "x"})
				w.like(w.state(b, "meta"), object{"n": 2})
				w.equal(w.localOf(a).Name, "a")
				w.equal(w.localOf(a).Tags, []string{"x"})
				w.like(w.localOf(a).Metadata, object{"n": 1})
			}
			w.completed(w.quiet(op)) // recorded once

			// Another pair of values is told again.
			if op == tandem.OpImport {
				w.editLocal(w.localOf(b).ID, func(d *tandem.Device) { d.Name = "b-again" })
			} else {
				w.editRemote(a, rename("a-again"))
			}
			again := w.sync(op)
			w.equal(w.count(again, tandem.ActDrift, tandem.OutcomeHeld), 1)
			w.completed(w.quiet(op))

			// And both ways it flows.
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.localOf(a).Name, w.remoteDevice(a).Name)
			w.equal(w.localOf(b).Name, w.remoteDevice(b).Name)
			w.equal(w.localOf(a).Tags, w.remoteTags(a))
			w.equal(w.localOf(b).Tags, w.remoteTags(b))
			w.like(w.localOf(b).Metadata, w.state(b, "meta"))
			w.equal(len(w.assignment(w.localOf(b).ID).Drift), 0)
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS7WinnerHeld: a winner that the direction cannot deliver is drift, and no base moves.
func TestS7WinnerHeld(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.Strategy = tandem.LocalWins }))
	id := w.remote("a")
	w.completed(w.sync(tandem.OpBidirectional))
	here := w.localOf(id).ID
	w.editLocal(here, func(d *tandem.Device) { d.Name = "here" })
	w.editRemote(id, rename("there"))
	run := w.sync(tandem.OpImport)
	w.completed(run)
	w.equal(w.count(run, tandem.ActDrift, tandem.OutcomeHeld), 1)
	w.equal(w.assignment(here).Base.Local.Name, "a")
	w.completed(w.quiet(tandem.OpImport))
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteDevice(id).Name, "here")
	w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictAutoResolved})
}

// TestS9Conflict: a pending conflict freezes its field only, is refreshed by later runs, and closed by them.
func TestS9Conflict(t *testing.T) {
	start := func(t *testing.T, options ...option) (w *world, here, there string) {
		w = newWorld(t, options...)
		w.remotes("other", 9)
		there = w.remote("a", cohort("early"))
		w.entity(tandem.CohortEntity, "late")
		w.completed(w.sync(tandem.OpBidirectional))
		here = w.localOf(there).ID
		w.editLocal(here, func(d *tandem.Device) { d.Name = "here" })
		w.editRemote(there, rename("there"))
		run := w.sync(tandem.OpBidirectional)
		w.ended(run, tandem.RunPartial)
		w.equal(run.Summary.Conflicts, 1)
		c := w.conflict("name")
		w.equal([]string{string(c.BaseValue), string(c.LocalValue), string(c.RemoteValue)}, []string{`"a"`, `"here"`, `"there"`})
		w.equal(w.assignment(here).Status, tandem.SyncConflict)
		w.equal(w.quiet(tandem.OpBidirectional).Summary.Conflicts, 1)
		return w, here, there
	}
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run("other fields go on, on "+name, func(t *testing.T) {
			w, here, there := start(t, options...)
			w.editLocal(here, func(d *tandem.Device) { d.Cohort = "late" })
			w.editRemote(there, enable(false))
			run := w.sync(tandem.OpBidirectional)
			w.ended(run, tandem.RunPartial)
			w.equal(run.Summary.Conflicts, 1)
			w.equal(w.device(here).Enabled, false)
			w.equal(w.remoteDevice(there).CohortID, "late")
			w.equal([]string{w.device(here).Name, w.remoteDevice(there).Name}, []string{"here", "there"})
			w.equal(w.quiet(tandem.OpBidirectional).Summary.Conflicts, 1)
		})
	}
	t.Run("refreshed", func(t *testing.T) {
		w, here, there := start(t)
		id := w.conflict("name").ID
		w.editRemote(there, rename("there-2"))
		w.sync(tandem.OpBidirectional)
		c := w.conflict("name")
		w.equal([]string{c.ID, string(c.LocalValue), string(c.RemoteValue)}, []string{id, `"here"`, `"there-2"`})
		w.editLocal(here, func(d *tandem.Device) { d.Name = "here-2" })
		w.sync(tandem.OpBidirectional)
		w.equal(string(w.conflict("name").LocalValue), `"here-2"`)
		w.equal(len(w.conflicts()), 1)
	})
	t.Run("converged: both sides got the same value", func(t *testing.T) {
		w, here, _ := start(t)
		w.editLocal(here, func(d *tandem.Device) { d.Name = "there" })
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictConverged})
		w.equal(w.assignment(here).Status, tandem.SyncSynced)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("converged: only one has changed", func(t *testing.T) {
		w, here, there := start(t)
		w.editLocal(here, func(d *tandem.Device) { d.Name = "a" })
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictConverged})
		w.equal(w.device(here).Name, "there")
		w.equal(w.remoteDevice(there).Name, "there")
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("converged: the other took it back, so that ours goes out", func(t *testing.T) {
		w, here, there := start(t)
		w.editRemote(there, rename("a"))
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictConverged})
		w.equal(w.remoteDevice(there).Name, "here")
		w.equal(w.assignment(here).Status, tandem.SyncSynced)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("superseded: its device is gone", func(t *testing.T) {
		w, here, _ := start(t)
		w.deleteLocal(here)
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictSuperseded})
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("superseded: unlinked by hand", func(t *testing.T) {
		w, here, _ := start(t)
		w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, here, "ada"))
		w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictSuperseded})
		w.completed(w.quiet(tandem.OpBidirectional))
	})
	t.Run("a strategy set later settles it", func(t *testing.T) {
		w, _, there := start(t)
		w.configure(func(c *tandem.ServiceConfig) { c.Strategy = tandem.LocalWins })
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.remoteDevice(there).Name, "here")
		w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictAutoResolved})
		w.quiet(tandem.OpBidirectional)
	})
}

// TestS11Force: one side becomes the other's equal in the selected fields of linked devices; nothing is created or deleted.
func TestS11Force(t *testing.T) {
	for _, op := range []tandem.Operation{tandem.OpImport, tandem.OpExport} {
		t.Run(string(op), func(t *testing.T) {
			w := newWorld(t, creating)
			w.remotes("other", 9)
			there := w.remote("a", tags("x"))
			w.completed(w.sync(tandem.OpBidirectional))
			here := w.localOf(there).ID
			w.editLocal(here, func(d *tandem.Device) { d.Name, d.Tags, d.Enabled = "here", []string{"mine"}, false })
			w.editRemote(there, tandem.RemotePatch{Name: ptr("there"), AddTagIDs: w.tags("theirs")})
			w.local("ours")
			w.remote("theirs")
			w.deleteRemote(w.remoteNamed("other-003").ID)
			run, err := w.run(tandem.RunRequest{Operation: op, Force: true})
			w.must(err)
			w.completed(run)
			w.equal(run.Forced, true)
			d, rd := w.device(here), w.remoteDevice(there)
			if op == tandem.OpImport {
				w.equal([]any{d.Name, d.Enabled, d.Tags}, []any{"there", true, []string{"theirs", "x"}})
				w.equal(rd.Name, "there")
			} else {
				w.equal([]any{rd.Name, rd.Enabled, w.remoteTags(there)}, []any{"here", false, []string{"mine"}})
				w.equal(d.Name, "here")
			}
			w.equal(w.remoteCount(), 10)
			w.equal(len(w.devices()), 11)
			for _, e := range w.entries(run) {
				w.equal(e.Note, "forced")
			}
			w.equal(len(w.conflicts()), 0)
		})
	}
}
