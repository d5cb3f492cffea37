package syncer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/merge"
	"tandem/syncer"
)

// withMetadata makes the service sync metadata at a state path.
func withMetadata(c *tandem.ServiceConfig) { c.Paths.Metadata = "state:info" }

// fieldCase is one field that can be in conflict: what both sides began with, what each made of it, and a third value.
type fieldCase struct {
	path                      tandem.Path
	base, here, there, chosen any
}

var fieldCases = []fieldCase{
	{"name", "gate", "gate-here", "gate-there", "gate-chosen"},
	{"blueprint", "one", "two", "three", "four"},
	{"cohort", "north", "south", "east", "west"},
	{"metadata/site/floor", "1", "2", "3", "4"},
}

// setHere gives a path of a device here a value; setThere does it on the service.
func (w *world) setHere(id string, p tandem.Path, v any) {
	w.t.Helper()
	w.editLocal(id, func(d *tandem.Device) {
		s, err := merge.Apply(d.Shared(), []merge.Edit{{Path: p, After: v}})
		w.must(err)
		d.Name, d.Enabled, d.Blueprint, d.Cohort, d.Metadata, d.Tags, d.HardwareIDs = s.Name, s.Enabled, s.Blueprint, s.Cohort, s.Metadata, s.Tags, s.HardwareIDs
	})
}

func (w *world) setThere(id string, p tandem.Path, v any) {
	w.t.Helper()
	text, _ := v.(string)
	switch f, _ := p.Field(); f {
	case tandem.FieldName:
		w.editRemote(id, rename(text))
	case tandem.FieldEnabled:
		w.editRemote(id, enable(v.(bool)))
	case tandem.FieldBlueprint:
		to := w.entity(tandem.BlueprintEntity, text)
		w.editRemote(id, tandem.RemotePatch{BlueprintID: &to})
	case tandem.FieldCohort:
		to := w.entity(tandem.CohortEntity, text)
		w.editRemote(id, tandem.RemotePatch{CohortID: &to})
	default:
		w.setState(id, "info"+p.Pointer(), v)
	}
}

// here and there give a path's value on either side.
func (w *world) here(id string, p tandem.Path) any {
	w.t.Helper()
	d := w.device(id)
	v, _ := merge.Value(d.Shared(), p)
	return v
}

func (w *world) there(id string, p tandem.Path) any {
	w.t.Helper()
	rd := w.remoteDevice(id)
	named := func(kind tandem.EntityKind, id string) any {
		all, err := w.sim.Entities(w.project, kind)
		w.must(err)
		for _, e := range all {
			if e.ID == id {
				return e.Name
			}
		}
		return ""
	}
	switch f, _ := p.Field(); f {
	case tandem.FieldName:
		return rd.Name
	case tandem.FieldEnabled:
		return rd.Enabled
	case tandem.FieldBlueprint:
		return named(tandem.BlueprintEntity, rd.BlueprintID)
	case tandem.FieldCohort:
		return named(tandem.CohortEntity, rd.CohortID)
	}
	return w.state(id, "info"+p.Pointer())
}

// disputed makes a device whose field both sides changed since they agreed, and the conflict about it.
// It gives the ids of both.
func (w *world) disputed(f fieldCase) (local, remote string) {
	w.t.Helper()
	for _, v := range []any{f.base, f.here, f.there, f.chosen} {
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
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunPartial)
	w.equal(run.Summary.Conflicts, 1)
	return local, remote
}

// mismatched makes a device that differs on both sides when it is linked, and the conflict about it.
func (w *world) mismatched(f fieldCase) (local, remote string) {
	w.t.Helper()
	for _, v := range []any{f.here, f.there, f.chosen} {
		if f.path == "blueprint" || f.path == "cohort" {
			w.entity(map[tandem.Path]tandem.EntityKind{"blueprint": tandem.BlueprintEntity, "cohort": tandem.CohortEntity}[f.path], v.(string))
		}
	}
	remote = w.remote("gate")
	w.setThere(remote, f.path, f.there)
	local = w.local("gate")
	w.setHere(local, f.path, f.here)
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunPartial)
	w.equal(run.Summary.Conflicts, 1)
	return local, remote
}

// conflictByID reads a conflict, closed ones too.
func (w *world) conflictByID(id string) tandem.Conflict {
	w.t.Helper()
	c, err := w.store.Conflict(w.ctx, w.org, id)
	w.must(err)
	return c
}

func TestS10EveryChoiceForAField(t *testing.T) {
	for _, kind := range []tandem.ConflictType{tandem.ConcurrentModification, tandem.InitialMismatch} {
		for _, f := range fieldCases {
			for _, take := range []tandem.Choice{tandem.TakeLocal, tandem.TakeRemote, tandem.TakeValue, tandem.TakeIgnore} {
				t.Run(fmt.Sprintf("%s/%s/%s", kind, f.path, take), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, config(withMetadata))
					begin := w.disputed
					if kind == tandem.InitialMismatch {
						begin = w.mismatched
					}
					local, remote := begin(f)
					c := w.conflict(f.path)
					w.equal(c.Type, kind)
					done := w.settle(f.path, take, f.chosen)
					w.equal(len(done), 1)
					want := map[tandem.Choice][2]any{tandem.TakeLocal: {f.here, f.here}, tandem.TakeRemote: {f.there, f.there},
						tandem.TakeValue: {f.chosen, f.chosen}, tandem.TakeIgnore: {f.here, f.there}}[take]
					check := func() {
						t.Helper()
						w.equal([2]any{w.here(local, f.path), w.there(remote, f.path)}, want)
					}
					check()
					status := tandem.ConflictResolved
					if take == tandem.TakeIgnore {
						status = tandem.ConflictIgnored
					}
					c = w.conflictByID(c.ID)
					w.equal([]string{string(c.Status), c.ResolutionStrategy, c.ResolvedBy}, []string{string(status), string(take), "ada"})
					if c.ResolvedAt == nil {
						t.Error("nothing says when it was settled")
					}
					w.equal(len(w.intents()), 0)
					w.completed(w.sync(tandem.OpBidirectional))
					w.completed(w.quiet(tandem.OpBidirectional))
					check()
					w.equal(w.closed(), []tandem.ResolutionStatus{status})
				})
			}
		}
	}
}

// TestS10IgnoreKeepsBoth: while the pair stands, a change of either side is a conflict, never an import over what somebody kept (S1).
func TestS10IgnoreKeepsBoth(t *testing.T) {
	for _, strategy := range []tandem.Strategy{tandem.Manual, tandem.RemoteWins, tandem.LocalWins} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f := fieldCases[0]
			local, remote := w.disputed(f)
			w.settle("name", tandem.TakeIgnore, nil)
			w.configure(func(c *tandem.ServiceConfig) { c.Strategy = strategy })
			w.completed(w.sync(tandem.OpBidirectional))
			w.setThere(remote, "name", "moved-there")
			w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
			w.equal([2]any{w.here(local, "name"), w.there(remote, "name")}, [2]any{f.here, "moved-there"})
			w.setHere(local, "name", "moved-there")
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(len(w.conflicts()), 0)
			w.setThere(remote, "name", "again")
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.here(local, "name"), any("again"))
		})
	}
}

func TestS10AmbiguousMatch(t *testing.T) {
	for _, take := range []tandem.Choice{tandem.TakeLink, tandem.TakeCreate, tandem.TakeIgnore} {
		t.Run(string(take), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.local("gate")
			w.local("gate-two", func(d *tandem.Device) { d.HardwareIDs = []string{"hw-gate", "other"} })
			remote := w.remote("gate")
			w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
			c := w.conflict("")
			w.equal(c.Type, tandem.AmbiguousMatch)
			done, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{c.ID}}, Take: take, DeviceID: a, By: "ada"})
			w.must(err)
			w.equal(len(done), 1)
			w.must(done[0].Error)
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			switch take {
			case tandem.TakeLink:
				w.equal(w.localOf(remote).ID, a)
				w.equal(len(w.devices()), 2)
			case tandem.TakeCreate:
				w.equal(len(w.devices()), 3)
				w.equal(w.localOf(remote).HardwareIDs, []string{"hw-gate"})
			default:
				w.equal(len(w.devices()), 2)
				w.equal(w.notLinked(), map[string]string{"gate": "ignored"})
			}
			w.completed(w.quiet(tandem.OpBidirectional))
			want := tandem.ConflictResolved
			if take == tandem.TakeIgnore {
				want = tandem.ConflictIgnored
			}
			w.equal(w.closed(), []tandem.ResolutionStatus{want})
		})
	}
}

// gone makes a linked device that one side deleted and the other changed since, and the conflict about it.
func (w *world) gone(kind tandem.ConflictType) (local, remote string) {
	w.t.Helper()
	w.remotes("other", 12)
	remote = w.remote("gate")
	w.completed(w.sync(tandem.OpBidirectional))
	local = w.localOf(remote).ID
	w.advance(time.Minute)
	if kind == tandem.DeletedRemotely {
		w.setHere(local, "name", "gate-here")
		w.deleteRemote(remote)
	} else {
		w.setThere(remote, "name", "gate-there")
		w.deleteLocal(local)
	}
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal(w.conflict("").Type, kind)
	return local, remote
}

func deletesThere(c *tandem.ServiceConfig) { c.DeleteRemote = true }

func TestS10DeletedDevice(t *testing.T) {
	for _, kind := range []tandem.ConflictType{tandem.DeletedRemotely, tandem.DeletedLocally} {
		for _, take := range []tandem.Choice{tandem.TakeDelete, tandem.TakeRecreate, tandem.TakeUnlink} {
			t.Run(fmt.Sprintf("%s/%s", kind, take), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, config(deletesThere))
				local, remote := w.gone(kind)
				id := w.conflict("").ID
				done, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{id}}, Take: take, By: "ada"})
				w.must(err)
				w.must(done[0].Error)
				w.equal(len(done[0].Changes), 1)
				c := w.conflictByID(id)
				w.equal([]string{string(c.Status), c.ResolutionStrategy, c.ResolvedBy}, []string{"resolved", string(take), "ada"})
				w.equal(len(w.intents()), 0)
				w.completed(w.sync(tandem.OpBidirectional))
				d := w.device(local)
				switch {
				case take == tandem.TakeDelete:
					w.equal([]bool{d.DeletedAt != nil, w.hasRemote(remote), w.isLinked(local)}, []bool{true, false, false})
				case take == tandem.TakeUnlink:
					w.equal([]bool{d.DeletedAt != nil, w.hasRemote(remote), w.isLinked(local)}, []bool{kind == tandem.DeletedLocally, kind == tandem.DeletedLocally, false})
				case kind == tandem.DeletedRemotely:
					w.equal([]any{d.Name, w.isLinked(local), w.remoteNamed("gate-here").ID}, []any{"gate-here", true, w.assignment(local).ExternalDeviceID})
				default:
					w.equal([]any{d.DeletedAt == nil, d.Name, w.isLinked(local)}, []any{true, "gate-there", true})
				}
				w.completed(w.quiet(tandem.OpBidirectional))
				w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictResolved})
			})
		}
	}
}

// TestS10LooksAgain: a settlement that was decided on what is no longer so changes nothing but the conflict, and says so.
func TestS10LooksAgain(t *testing.T) {
	for _, moved := range []string{"here", "there"} {
		for _, take := range []tandem.Choice{tandem.TakeLocal, tandem.TakeRemote, tandem.TakeValue, tandem.TakeIgnore} {
			t.Run("field/"+moved+"/"+string(take), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				f := fieldCases[0]
				local, remote := w.disputed(f)
				c := w.conflict("name")
				want := [2]any{f.here, f.there}
				if moved == "here" {
					w.setHere(local, "name", "moved")
					want[0] = "moved"
				} else {
					w.setThere(remote, "name", "moved")
					want[1] = "moved"
				}
				s := tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{c.ID}}, Take: take, Value: "chosen", By: "ada"}
				done, err := w.engine.Settle(w.ctx, w.org, s)
				w.must(err)
				w.wantCode(done[0].Error, tandem.Stale)
				w.equal([2]any{w.here(local, "name"), w.there(remote, "name")}, want)
				c = w.conflict("name")
				w.equal([2]string{string(c.LocalValue), string(c.RemoteValue)}, [2]string{fmt.Sprintf("%q", want[0]), fmt.Sprintf("%q", want[1])})
				w.equal(c.Status, tandem.ConflictPending)
				done, err = w.engine.Settle(w.ctx, w.org, s) // seen now
				w.must(err)
				w.must(done[0].Error)
			})
		}
	}
	for _, kind := range []tandem.ConflictType{tandem.DeletedRemotely, tandem.DeletedLocally} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, config(deletesThere))
			local, remote := w.gone(kind)
			if kind == tandem.DeletedRemotely {
				w.setHere(local, "cohort", "moved")
			} else {
				w.setThere(remote, "name", "moved")
			}
			s := tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{w.conflict("").ID}}, Take: tandem.TakeDelete, By: "ada"}
			done, err := w.engine.Settle(w.ctx, w.org, s)
			w.must(err)
			w.wantCode(done[0].Error, tandem.Stale)
			w.equal([]bool{w.device(local).DeletedAt != nil, w.hasRemote(remote)}, []bool{kind == tandem.DeletedLocally, kind == tandem.DeletedLocally})
			w.equal(w.conflict("").Status, tandem.ConflictPending)
			done, err = w.engine.Settle(w.ctx, w.org, s)
			w.must(err)
			w.must(done[0].Error)
			w.equal([]bool{w.device(local).DeletedAt != nil, w.hasRemote(remote)}, []bool{true, false})
		})
	}
}

func TestS10RefusesChoicesThatDoNotFit(t *testing.T) {
	w := newWorld(t)
	w.disputed(fieldCases[0])
	c := w.conflict("name")
	for _, tt := range []struct {
		take  tandem.Choice
		value any
	}{{tandem.TakeLink, nil}, {tandem.TakeDelete, nil}, {"", nil}, {"newest", nil}, {tandem.TakeValue, nil}, {tandem.TakeValue, ""}, {tandem.TakeValue, 7}} {
		before := w.versions()
		done, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{c.ID}}, Take: tt.take, Value: tt.value, By: "ada"})
		w.must(err)
		w.wantCode(done[0].Error, tandem.Invalid)
		if done[0].Refusal == "" {
			t.Errorf("%s %v is refused without a reason", tt.take, tt.value)
		}
		w.equal(w.versions(), before)
	}
}

// TestS10Resolving: the conflict is resolving while the remote is written, and pending again when it was not taken.
func TestS10Resolving(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  string
		code   tandem.Code
		status tandem.ResolutionStatus
	}{
		{"taken", "", "", tandem.ConflictResolved},
		{"taken, the reply lost", "reset-after:PATCH /devices/*:count=1", "", tandem.ConflictResolved},
		{"refused", "400:PATCH /devices/*", tandem.Invalid, tandem.ConflictPending},
		{"not taken", "503:PATCH /devices/*", tandem.Unavailable, tandem.ConflictPending},
		{"connection reset", "reset-before:PATCH /devices/*", tandem.Timeout, tandem.ConflictPending},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var h hooks
			w := newWorld(t, h.hooked(), withEngine(func(e *syncer.Engine) { e.WriteTimeout = 20 * time.Millisecond }))
			f := fieldCases[0]
			_, remote := w.disputed(f)
			c := w.conflict("name")
			var during []tandem.ResolutionStatus
			h.on(func(call, _ string) error {
				if call == "remote update" {
					during = append(during, w.conflictByID(c.ID).Status)
				}
				return nil
			}, nil)
			if tt.fault != "" {
				w.fault(tt.fault)
			}
			done, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{c.ID}}, Take: tandem.TakeLocal, By: "ada"})
			w.must(err)
			w.wantCode(done[0].Error, tt.code)
			w.equal(during, []tandem.ResolutionStatus{tandem.ConflictResolving})
			w.equal(w.conflictByID(c.ID).Status, tt.status)
			w.equal(w.there(remote, "name") == f.here, tt.status == tandem.ConflictResolved)
			w.equal(len(w.intents()), 0)
			w.fault()
			h.on(nil, nil)
			run := w.sync(tandem.OpBidirectional)
			if tt.status == tandem.ConflictResolved {
				w.completed(run)
				return
			}
			w.ended(run, tandem.RunPartial)
			w.settle("name", tandem.TakeLocal, nil)
			w.equal(w.there(remote, "name"), f.here)
		})
	}
}

// TestS10Bulk settles by field, names what could not be settled, and goes on with the rest.
func TestS10Bulk(t *testing.T) {
	w := newWorld(t)
	ids := w.remotes("gate", 6)
	w.completed(w.sync(tandem.OpBidirectional))
	w.advance(time.Minute)
	for _, id := range ids {
		d := w.localOf(id)
		w.setHere(d.ID, "name", d.Name+"-here")
		w.setThere(id, "name", d.Name+"-there")
	}
	w.setHere(w.localOf(ids[0]).ID, "enabled", false) // no conflict
	run := w.sync(tandem.OpBidirectional)
	w.equal(run.Summary.Conflicts, 6)
	s := tandem.Settlement{Filter: tandem.ConflictFilter{ServiceID: w.service.ID, Field: "name", Type: tandem.ConcurrentModification}, Take: tandem.TakeLocal, By: "ada"}

	s.DryRun = true
	before := w.versions()
	w.requests()
	shown, err := w.engine.Settle(w.ctx, w.org, s)
	w.must(err)
	w.equal(len(shown), 6)
	for _, x := range shown {
		w.equal(len(x.Changes), 1)
		w.equal(x.Changes[0].Side, tandem.RemoteSide)
	}
	w.equal(w.requests().Writes, 0)
	w.equal(w.versions(), before)

	s.DryRun = false
	w.setThere(ids[2], "name", "moved")
	w.fault("400:PATCH /devices/" + ids[4])
	done, err := w.engine.Settle(w.ctx, w.org, s)
	w.must(err)
	w.equal(len(done), 6)
	for i, x := range done {
		id := x.Conflict.ExternalDeviceID
		want := tandem.ConflictResolved
		code := tandem.Code("")
		switch id {
		case ids[2]:
			want, code = tandem.ConflictPending, tandem.Stale
		case ids[4]:
			want, code = tandem.ConflictPending, tandem.Invalid
		}
		w.wantCode(x.Error, code)
		w.equal(x.Conflict.Status, want)
		if (x.Error == nil) != (x.Refusal == "") {
			t.Errorf("%d: error %v, refusal %q", i, x.Error, x.Refusal)
		}
	}
	w.fault()
	w.equal(len(w.conflicts()), 2)
	rows, _, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{ServiceID: w.service.ID})
	w.must(err)
	w.equal(rows[0].Status, tandem.RunPartial) // the settlement is in the history
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
}

// TestS10WhileARunIsUnderWay settles in the middle of a run, at each of its remote calls and writes.
func TestS10WhileARunIsUnderWay(t *testing.T) {
	for _, take := range []tandem.Choice{tandem.TakeLocal, tandem.TakeRemote} {
		for _, call := range []string{"remote project", "remote list", "store apply", "remote read", "remote update"} {
			t.Run(string(take)+"/"+call, func(t *testing.T) {
				t.Parallel()
				var h hooks
				w := newWorld(t, h.hooked())
				f := fieldCases[0]
				local, remote := w.disputed(f)
				other := w.remote("busy")
				w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
				w.setHere(w.localOf(other).ID, "name", "busy-here") // makes the run read and write
				w.setHere(local, "enabled", false)                  // also of the very device
				id := w.conflict("name").ID
				beside := *w.engine
				client, err := w.client(w.service)
				w.must(err)
				beside.Store = w.store.(hookedStore).Store
				beside.Connect = func(context.Context, tandem.Service) (tandem.Remote, error) { return client, nil }
				var asked atomic.Bool
				var outcome error
				h.on(func(at, _ string) error {
					if at == call && asked.CompareAndSwap(false, true) {
						done, err := beside.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{id}}, Take: take, By: "ada"})
						if outcome = err; err == nil {
							outcome = done[0].Error
						}
					}
					return nil
				}, nil)
				run := w.sync(tandem.OpBidirectional)
				h.on(nil, nil)
				if !asked.Load() {
					t.Fatalf("the run made no call %q", call)
				}
				if outcome != nil && !tandem.Is(outcome, tandem.Stale) {
					t.Fatalf("the settlement failed: %v; the run: %s", outcome, run.Status)
				}
				w.sync(tandem.OpBidirectional)
				if outcome != nil { // it was told to try again
					w.settle("name", take, nil)
				}
				want := f.here
				if take == tandem.TakeRemote {
					want = f.there
				}
				w.sync(tandem.OpBidirectional)
				w.equal([]any{w.here(local, "name"), w.there(remote, "name"), w.there(remote, "enabled"), w.there(other, "name")}, []any{want, want, false, "busy-here"})
				w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictResolved})
				w.completed(w.quiet(tandem.OpBidirectional))
			})
		}
	}
}

func TestS10OnPostgres(t *testing.T) {
	w := newWorld(t, onPostgres, config(withMetadata))
	f := fieldCases[3]
	local, remote := w.disputed(f)
	w.settle(f.path, tandem.TakeValue, json.Number("4.0"))
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal([]bool{merge.Equal(w.here(local, f.path), 4.0), merge.Equal(w.there(remote, f.path), 4.0)}, []bool{true, true})
	w.completed(w.quiet(tandem.OpBidirectional))
}
