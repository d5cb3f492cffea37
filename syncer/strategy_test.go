package syncer_test

import (
	"fmt"
	"testing"
	"time"

	"tandem"
)

// TestS8Strategies settles a field that both sides changed, records it once with both values, and is never silent.
func TestS8Strategies(t *testing.T) {
	for _, f := range fieldCases {
		for _, strategy := range []tandem.Strategy{tandem.LocalWins, tandem.RemoteWins} {
			t.Run(fmt.Sprintf("%s/%s", f.path, strategy), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, config(func(c *tandem.ServiceConfig) {
					withMetadata(c)
					c.Guards.MaxChange = 1
					field, _ := f.path.Field()
					c.FieldStrategies = map[string]tandem.Strategy{field.String(): strategy} // the service's own stays manual
				}))
				w.remotes("other", 5)
				local, remote := w.undecided(f)
				run := w.sync(tandem.OpBidirectional)
				w.completed(run)
				want := f.here
				if strategy == tandem.RemoteWins {
					want = f.there
				}
				w.equal([]any{w.here(local, f.path), w.there(remote, f.path)}, []any{want, want})
				w.equal(w.count(run, tandem.ActSettle, tandem.OutcomeDone), 1)
				c := w.autoResolved()
				w.equal([]string{string(c.FieldName), string(c.Type), string(c.BaseValue), string(c.LocalValue), string(c.RemoteValue), string(c.ResolvedValue), c.ResolutionStrategy},
					[]string{string(f.path), "concurrent_modification", quoted(f.base), quoted(f.here), quoted(f.there), quoted(want), string(strategy)})
				w.completed(w.quiet(tandem.OpBidirectional))
				w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictAutoResolved})
			})
		}
	}
}

func quoted(v any) string { return fmt.Sprintf("%q", v) }

// undecided makes a device whose field both sides changed, not yet looked at.
func (w *world) undecided(f fieldCase) (local, remote string) {
	w.t.Helper()
	for _, v := range []any{f.base, f.here, f.there} {
		if f.path == "blueprint" || f.path == "cohort" {
			w.entity(map[tandem.Path]tandem.EntityKind{"blueprint": tandem.BlueprintEntity, "cohort": tandem.CohortEntity}[f.path], v.(string))
		}
	}
	remote = w.remote("gate")
	w.setThere(remote, f.path, f.base)
	w.completed(w.sync(tandem.OpBidirectional))
	local = w.localOf(remote).ID
	w.advance(time.Minute)
	w.setHere(local, f.path, f.here)
	w.setThere(remote, f.path, f.there)
	return local, remote
}

// autoResolved gives the one conflict that a strategy settled.
func (w *world) autoResolved() tandem.Conflict {
	w.t.Helper()
	rows, _, err := w.store.Conflicts(w.ctx, w.org, tandem.ConflictFilter{ServiceID: w.service.ID, All: true})
	w.must(err)
	if len(rows) != 1 || rows[0].Status != tandem.ConflictAutoResolved {
		w.t.Fatalf("the conflicts are %+v", rows)
	}
	return rows[0]
}

// TestS8WinnerThatCannotBeDelivered is drift, recorded once (S7).
func TestS8WinnerThatCannotBeDelivered(t *testing.T) {
	for _, tt := range []struct {
		strategy  tandem.Strategy
		operation tandem.Operation
	}{{tandem.LocalWins, tandem.OpImport}, {tandem.RemoteWins, tandem.OpExport}} {
		t.Run(string(tt.strategy), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.Strategy = tt.strategy }))
			f := fieldCases[0]
			local, remote := w.undecided(f)
			first := w.sync(tt.operation)
			w.completed(first)
			w.equal(w.count(first, tandem.ActDrift, tandem.OutcomeHeld), 1)
			w.equal([]any{w.here(local, "name"), w.there(remote, "name")}, []any{f.here, f.there})
			w.completed(w.quiet(tt.operation))
			w.completed(w.sync(tandem.OpBidirectional)) // now it is delivered
			w.equal(w.here(local, "name"), w.there(remote, "name"))
			w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictAutoResolved})
		})
	}
}

// TestS8NewestWins: the remote's edit lies between the last run that saw the old value and its updatedAt;
// a local edit inside that interval, or within the clocks' difference, is left to a person.
func TestS8NewestWins(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edits func(w *world, local, remote string)
		want  string // "" for a person
	}{
		{"local later", func(w *world, local, remote string) {
			w.setThere(remote, "name", "there")
			w.advance(10 * time.Minute)
			w.setHere(local, "name", "here")
		}, "here"},
		{"local before the remote's last edit, after the run", func(w *world, local, remote string) {
			w.setHere(local, "name", "here")
			w.advance(10 * time.Minute)
			w.setThere(remote, "name", "there")
		}, ""},
		{"within the clocks' difference", func(w *world, local, remote string) {
			w.setThere(remote, "name", "there")
			w.advance(500 * time.Millisecond)
			w.setHere(local, "name", "here")
		}, ""},
		{"another field moves updatedAt past the local edit", func(w *world, local, remote string) {
			w.setThere(remote, "name", "there")
			w.advance(10 * time.Minute)
			w.setHere(local, "name", "here")
			w.advance(10 * time.Minute)
			w.editRemote(remote, tandem.RemotePatch{AddTagIDs: w.tags("blue")})
		}, ""},
		{"local edited before the last run saw the old value", func(w *world, local, remote string) {
			w.setHere(local, "name", "here")
			w.advance(10 * time.Minute)
			w.completed(w.sync(tandem.OpImport)) // does not send it, but sees the remote unchanged
			w.advance(10 * time.Minute)
			w.setThere(remote, "name", "there")
		}, "there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.Strategy = tandem.NewestWins }))
			remote := w.remote("gate")
			w.advance(time.Minute)
			w.completed(w.sync(tandem.OpBidirectional))
			local := w.localOf(remote).ID
			w.advance(10 * time.Minute)
			tt.edits(w, local, remote)
			w.advance(10 * time.Minute)
			run := w.sync(tandem.OpBidirectional)
			if tt.want == "" {
				w.ended(run, tandem.RunPartial)
				w.equal(w.conflict("name").Status, tandem.ConflictPending)
				w.equal([]any{w.here(local, "name"), w.there(remote, "name")}, []any{"here", "there"})
				return
			}
			w.completed(run)
			w.equal([]any{w.here(local, "name"), w.there(remote, "name")}, []any{tt.want, tt.want})
			w.equal(w.autoResolved().ResolutionStrategy, string(tandem.NewestWins))
			w.completed(w.quiet(tandem.OpBidirectional))
		})
	}
}

// TestS8RenameThereIsNotOverridden: a cohort renamed there and changed here, in one run, is no conflict that a strategy settled.
func TestS8RenameThereIsNotOverridden(t *testing.T) {
	for _, strategy := range []tandem.Strategy{tandem.Manual, tandem.LocalWins} {
		w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.Strategy = strategy }))
		other := w.entity(tandem.CohortEntity, "south")
		w.remotes("other", 20) // so that no guard minds one
		id := w.remote("gate", cohort("north"))
		w.completed(w.sync(tandem.OpBidirectional))
		w.renameEntity(tandem.CohortEntity, "north", "north-2")
		w.setHere(w.localOf(id).ID, "cohort", "south")
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.remoteDevice(id).CohortID, other)
		w.equal(w.closed(), []tandem.ResolutionStatus{})
		w.equal(len(w.conflicts()), 0)
	}
}
