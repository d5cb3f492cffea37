package merge_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
	"tandem/merge"
)

// Values are drawn from few, so that the sides often agree.

func drawScalar(t *rapid.T, label string) string {
	return rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, label)
}

func drawSet(t *rapid.T, label string) []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"p", "q", "r", "s"}), 0, 4).Draw(t, label)
}

func drawLeaf(t *rapid.T) any {
	return rapid.SampledFrom([]any{"", "x", "y", 0, 1, 2.0, false, true, []any{}, []any{"x"}}).Draw(t, "leaf")
}

func drawMap(t *rapid.T, depth int, label string) tandem.Map {
	m := tandem.Map{}
	for _, k := range []string{"a", "b", "c/d"} {
		switch kind := rapid.IntRange(0, 5).Draw(t, label+k); {
		case kind < 2:
		case kind < 4 || depth == 0:
			m[k] = drawLeaf(t)
		case kind == 4:
			m[k] = nil
		default:
			m[k] = drawMap(t, depth-1, label+k)
		}
	}
	return m
}

func drawSide(t *rapid.T, label string) tandem.Shared {
	side := tandem.Shared{Known: tandem.SharedFields, Name: drawScalar(t, label+" name"), Enabled: rapid.Bool().Draw(t, label+" enabled"),
		HardwareIDs: drawSet(t, label+" hardware ids"), Tags: drawSet(t, label+" tags"), Blueprint: drawScalar(t, label+" blueprint"),
		Cohort: drawScalar(t, label+" cohort"), Metadata: drawMap(t, 2, label+" metadata")}
	// A root that is not empty, so that it is not taken for an unread one (S6), which scenarios cover.
	side.Metadata["kept"] = "kept"
	return side
}

// drawSides draws base, often one value for both halves, and two sides that often are as base has them.
func drawSides(t *rapid.T) merge.Sides {
	base := tandem.Base{Local: drawSide(t, "base")}
	base.Remote = base.Local
	if rapid.IntRange(0, 3).Draw(t, "apart") == 0 {
		base.Remote = drawSide(t, "base.remote")
	}
	side := func(label string, from tandem.Shared) tandem.Shared {
		drawn := drawSide(t, label)
		changed := tandem.Fields(rapid.Uint16().Draw(t, label+" changed"))
		for f := tandem.FieldName; f <= tandem.FieldMetadata; f++ {
			if v, ok := merge.Value(from, tandem.Path(f.String())); ok && !changed.Has(f) {
				drawn = mustApply(t, drawn, merge.Edit{Path: tandem.Path(f.String()), After: v})
			}
		}
		return drawn
	}
	s := merge.Sides{Base: base, Local: side("local", base.Local), Remote: side("remote", base.Remote)}
	known := tandem.Fields(rapid.Uint16().Draw(t, "fields with a base")) | tandem.Fields(rapid.Uint16().Draw(t, "more of them"))
	s.Base = merge.DropFields(s.Base, known)
	if rapid.IntRange(0, 3).Draw(t, "holds") == 0 {
		p := rapid.SampledFrom([]tandem.Path{"name", "tags", "metadata", "metadata/a", "metadata/a/b", "metadata/c~1d"}).Draw(t, "held")
		s.Hold = map[tandem.Path]merge.Hold{p: rapid.SampledFrom([]merge.Hold{merge.Frozen, merge.ByHand}).Draw(t, "hold")}
	}
	return s
}

func drawPolicy(t *rapid.T) merge.Policy {
	return merge.Policy{
		Fields:    tandem.SharedFields,
		Direction: rapid.SampledFrom([]tandem.Direction{tandem.Bidirectional, tandem.Import, tandem.Export}).Draw(t, "direction"),
		Strategy:  always(rapid.SampledFrom([]tandem.Strategy{tandem.Manual, tandem.LocalWins, tandem.RemoteWins}).Draw(t, "strategy")),
		Force:     rapid.IntRange(0, 5).Draw(t, "force") == 0,
	}
}

func mustApply(t *rapid.T, side tandem.Shared, edits ...merge.Edit) tandem.Shared {
	t.Helper()
	after, err := merge.Apply(side, edits)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

// same compares two sides in canonical form.
func same(a, b tandem.Shared) bool {
	if a.Known != b.Known {
		return false
	}
	for _, name := range a.Known.Names() {
		x, _ := merge.Value(a, tandem.Path(name))
		y, _ := merge.Value(b, tandem.Path(name))
		if !merge.Equal(x, y) {
			return false
		}
	}
	return true
}

func sameBase(a, b tandem.Base) bool { return same(a.Local, b.Local) && same(a.Remote, b.Remote) }

func quiet(r merge.Result) bool { return len(r.Local) == 0 && len(r.Remote) == 0 && !r.BaseMoved }

// next gives the sides as the next run finds them: what was recorded is remembered.
func next(s merge.Sides, r merge.Result, remote tandem.Shared) merge.Sides {
	s.Local, s.Base, s.Remote = r.After, r.Base, remote
	s.Drift = map[tandem.Path]string{}
	for _, d := range r.Drift {
		s.Drift[d.Path] = d.Fingerprint
	}
	return s
}

// Convergence and idempotence: a plan that was carried out leaves a next one that only moves the base, and the
// one after that nothing. Conflicts for a person stay, as they were, and drift is recorded once (S7).
func TestS25CarriedOutPlanLeavesNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := drawSides(t), drawPolicy(t)
		first := merge.Device(s, p)
		s = next(s, first, mustApply(t, s.Remote, first.Remote...))
		second := merge.Device(s, p)
		if len(second.Local)+len(second.Remote) > 0 {
			t.Fatalf("the plan after a plan has edits\nfirst  %+v\nsecond %+v", first, second)
		}
		if len(first.Unknown)+len(second.Unknown) > 0 {
			t.Fatalf("a root that is not empty is unknown: %+v", second)
		}
		if open, still := waiting(first), waiting(second); !reflect.DeepEqual(open, still) {
			t.Fatalf("conflicts for a person changed\nfirst  %v\nsecond %v", open, still)
		}
		for _, d := range second.Drift {
			if !d.Known {
				t.Fatalf("drift is recorded twice: %+v, after %+v", d, first.Drift)
			}
		}
		if len(first.Drift) != len(second.Drift) {
			t.Fatalf("drift changed\nfirst  %+v\nsecond %+v", first.Drift, second.Drift)
		}
		third := merge.Device(next(s, second, s.Remote), p)
		if !quiet(third) || !sameBase(third.Base, second.Base) {
			t.Fatalf("a third merge still does something: %+v", third)
		}
	})
}

// waiting says which conflicts wait for a person, with type and values.
func waiting(r merge.Result) []string {
	var all []string
	for _, c := range r.Conflicts {
		if c.Settled == "" {
			all = append(all, fmt.Sprint(c.Path, " ", c.Type, " ")+merge.Fingerprint(c.Local, c.Remote))
		}
	}
	return all
}

// Both sides are equal afterwards wherever nothing keeps them apart: both ways, a strategy that decides, no holds, nothing kept.
func TestS1BothSidesEndEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := drawSides(t), drawPolicy(t)
		s.Hold, s.Base.Remote = nil, s.Base.Local
		p.Direction = tandem.Bidirectional
		p.Strategy = always(rapid.SampledFrom([]tandem.Strategy{tandem.LocalWins, tandem.RemoteWins}).Draw(t, "winner"))
		r := merge.Device(s, p)
		remote := mustApply(t, s.Remote, r.Remote...)
		if !same(r.After, remote) {
			t.Fatalf("the sides differ\nlocal  %+v\nremote %+v\n%+v", r.After, remote, r)
		}
		if done := merge.Device(next(s, r, remote), p); !same(done.Base.Local, remote) || !same(done.Base.Remote, remote) {
			t.Fatalf("the base is not what both have: %+v", done.Base)
		}
	})
}

// Killed at any instant, the next merge finishes what the first one began: with only the local half done, with
// some of the remote edits made, or with those made before anything was stored here.
func TestS24CutShortMergeIsFinishedByTheNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := drawSides(t), drawPolicy(t)
		first := merge.Device(s, p)
		wantLocal, wantRemote := first.After, mustApply(t, s.Remote, first.Remote...)

		var made []merge.Edit
		for _, e := range first.Remote {
			if rapid.Bool().Draw(t, "made "+string(e.Path)) {
				made = append(made, e)
			}
		}
		after := s
		after.Remote = mustApply(t, s.Remote, made...)
		if rapid.Bool().Draw(t, "stored") {
			after = next(s, first, after.Remote)
		}
		second := merge.Device(after, p)
		if got := second.After; !same(got, wantLocal) {
			t.Fatalf("local ends otherwise\ngot  %+v\nwant %+v\nfirst %+v\nsecond %+v", got, wantLocal, first, second)
		}
		if got := mustApply(t, after.Remote, second.Remote...); !same(got, wantRemote) {
			t.Fatalf("remote ends otherwise\ngot  %+v\nwant %+v\nfirst %+v\nsecond %+v", got, wantRemote, first, second)
		}
		if a, b := waiting(first), waiting(second); !reflect.DeepEqual(a, b) {
			t.Fatalf("conflicts for a person changed\nfirst  %v\nsecond %v", a, b)
		}
	})
}

// Symmetry: with the sides, the direction and the strategy swapped the plan is swapped.
func TestS1SwappedSidesSwapThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := drawSides(t), drawPolicy(t)
		swapped, back := s, p
		swapped.Base = tandem.Base{Local: s.Base.Remote, Remote: s.Base.Local}
		swapped.Local, swapped.Remote = s.Remote, s.Local
		switch p.Direction {
		case tandem.Import:
			back.Direction = tandem.Export
		case tandem.Export:
			back.Direction = tandem.Import
		}
		back.Strategy = func(f tandem.Field) tandem.Strategy {
			return map[tandem.Strategy]tandem.Strategy{tandem.Manual: tandem.Manual,
				tandem.LocalWins: tandem.RemoteWins, tandem.RemoteWins: tandem.LocalWins}[p.Strategy(f)]
		}
		one, other := merge.Device(s, p), merge.Device(swapped, back)
		if a, b := plan(one.Local), plan(other.Remote); a != b {
			t.Fatalf("local edits\n%s\nremote edits, swapped\n%s", a, b)
		}
		if a, b := plan(one.Remote), plan(other.Local); a != b {
			t.Fatalf("remote edits\n%s\nlocal edits, swapped\n%s", a, b)
		}
		if len(one.Conflicts) != len(other.Conflicts) || len(one.Drift) != len(other.Drift) {
			t.Fatalf("records differ\n%+v\n%+v", one, other)
		}
		for i, c := range one.Conflicts {
			d := other.Conflicts[i]
			if c.Path != d.Path || c.Type != d.Type || !merge.Equal(c.Local, d.Remote) || !merge.Equal(c.Remote, d.Local) ||
				(c.Settled == "") != (d.Settled == "") || !merge.Equal(c.Value, d.Value) {
				t.Fatalf("conflict\n%+v\nswapped\n%+v", c, d)
			}
		}
		for i, d := range one.Drift {
			if e := other.Drift[i]; d.Path != e.Path || !merge.Equal(d.Local, e.Remote) || !merge.Equal(d.Remote, e.Local) {
				t.Fatalf("drift\n%+v\nswapped\n%+v", d, e)
			}
		}
	})
}

// plan says edits without their times.
func plan(edits []merge.Edit) string {
	var b strings.Builder
	for _, e := range edits {
		fmt.Fprintf(&b, "%s %s\n", e.Path, merge.Fingerprint(e.Before, e.After))
	}
	return b.String()
}

// Nothing is overwritten without a record: what disappears from a side is what base had there, or stands in a
// conflict. Without a base only an empty value gives way (S4).
func TestS1NothingOverwrittenWithoutRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := drawSides(t), drawPolicy(t)
		p.Force = false
		r := merge.Device(s, p)
		check := func(side, base tandem.Shared, edits []merge.Edit, recorded func(merge.Conflict) any) {
			for _, e := range edits {
				held, _ := merge.Value(side, e.Path)
				if !merge.Equal(held, e.Before) {
					t.Fatalf("%s says it replaces %v, the side has %v", e.Path, e.Before, held)
				}
				agreed, based := merge.Value(base, e.Path)
				if set, ok := e.Before.([]string); ok {
					before, _ := agreed.([]string)
					for _, x := range set {
						if !slices.Contains(e.After.([]string), x) && !slices.Contains(before, x) {
							t.Fatalf("%s loses %q, which base never had", e.Path, x)
						}
					}
					continue
				}
				i := slices.IndexFunc(r.Conflicts, func(c merge.Conflict) bool { return c.Path == e.Path && c.Settled != "" })
				switch {
				case based && merge.Equal(agreed, e.Before):
				case !based && (e.Before == nil || e.Before == "" || merge.Equal(e.Before, []any{})):
				case i >= 0 && merge.Equal(recorded(r.Conflicts[i]), e.Before) && merge.Equal(r.Conflicts[i].Value, e.After):
				default:
					t.Fatalf("%s %v is overwritten by %v without a record; base %v", e.Path, e.Before, e.After, agreed)
				}
			}
		}
		check(s.Local, s.Base.Local, r.Local, func(c merge.Conflict) any { return c.Local })
		check(s.Remote, s.Base.Remote, r.Remote, func(c merge.Conflict) any { return c.Remote })
		for _, c := range r.Conflicts {
			local, _ := merge.Value(s.Local, c.Path)
			remote, _ := merge.Value(s.Remote, c.Path)
			if !merge.Equal(c.Local, local) || !merge.Equal(c.Remote, remote) {
				t.Fatalf("a conflict with other values than the sides': %+v", c)
			}
			touched := func(e merge.Edit) bool { return e.Path == c.Path }
			if c.Settled == "" && (slices.ContainsFunc(r.Local, touched) || slices.ContainsFunc(r.Remote, touched)) {
				t.Fatalf("a conflict for a person, and an edit: %+v", r)
			}
		}
	})
}

// S7: a direction makes edits on one side only; both ways nothing drifts.
func TestS7DirectionsHoldBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := drawSides(t), drawPolicy(t)
		r := merge.Device(s, p)
		switch {
		case p.Direction == tandem.Import && len(r.Remote) > 0, p.Direction == tandem.Export && len(r.Local) > 0:
			t.Fatalf("%s made edits on the other side: %+v", p.Direction, r)
		case p.Direction == tandem.Bidirectional && len(r.Drift) > 0:
			t.Fatalf("drift both ways: %+v", r.Drift)
		case p.Force && p.Direction != tandem.Bidirectional && len(r.Conflicts)+len(r.Drift) > 0:
			t.Fatalf("force leaves something open (S11): %+v", r)
		}
		// What was held back is what opening the direction lets through, unless it is a conflict then.
		if p.Direction == tandem.Bidirectional || p.Force {
			return
		}
		open := p
		open.Direction = tandem.Bidirectional
		all := merge.Device(s, open)
		for _, d := range r.Drift {
			here := func(e merge.Edit) bool { return e.Path == d.Path }
			if p.Direction == tandem.Import && !slices.ContainsFunc(all.Remote, here) || p.Direction == tandem.Export && !slices.ContainsFunc(all.Local, here) {
				t.Fatalf("drift of %s is nothing that was held back: %+v", d.Path, all)
			}
		}
	})
}

// Pure: the input is never changed, After is Local with the local edits, BaseMoved tells the truth, the order is fixed.
func TestResultIsConsistentAndInputUntouched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p := drawSides(t), drawPolicy(t)
		was := copySides(s)
		r := merge.Device(s, p)
		if !reflect.DeepEqual(s, was) {
			t.Fatalf("the input changed\nwas %+v\nis  %+v", was, s)
		}
		applied := mustApply(t, s.Local, r.Local...)
		if !reflect.DeepEqual(s, was) {
			t.Fatalf("applying changed the input")
		}
		if !same(applied, r.After) {
			t.Fatalf("After %+v\nis not local with the edits %+v", r.After, applied)
		}
		if moved := !sameBase(r.Base, s.Base); moved != r.BaseMoved {
			t.Fatalf("BaseMoved %v, and the base\nwas %+v\nis  %+v", r.BaseMoved, s.Base, r.Base)
		}
		if r.Base.Local.Known != r.Base.Remote.Known {
			t.Fatalf("the halves of the base know different fields: %+v", r.Base)
		}
		if again := merge.Device(s, p); !reflect.DeepEqual(again, r) {
			t.Fatalf("the same input gave\n%+v\nand\n%+v", r, again)
		}
	})
}

// copySides copies deeply.
func copySides(s merge.Sides) merge.Sides {
	for _, side := range []*tandem.Shared{&s.Base.Local, &s.Base.Remote, &s.Local, &s.Remote} {
		side.HardwareIDs, side.Tags = slices.Clone(side.HardwareIDs), slices.Clone(side.Tags)
		if side.Metadata != nil {
			side.Metadata = copyValue(side.Metadata).(tandem.Map)
		}
	}
	s.Hold = maps.Clone(s.Hold)
	return s
}

func copyValue(v any) any {
	switch x := v.(type) {
	case tandem.Map:
		m := make(tandem.Map, len(x))
		for k, e := range x {
			m[k] = copyValue(e)
		}
		return m
	case []any:
		list := make([]any, len(x))
		for i, e := range x {
			list[i] = copyValue(e)
		}
		return list
	}
	return v
}

// S5: observations are no part of the merge, selected or not.
func TestS5ObservationsAreNotMerged(t *testing.T) {
	s := merge.Sides{Local: tandem.Shared{Known: tandem.AllFields}, Remote: tandem.Shared{Known: tandem.AllFields}}
	r := merge.Device(s, merge.Policy{Fields: tandem.AllFields, Direction: tandem.Bidirectional})
	if r.Compared != tandem.SharedFields || r.Base.Local.Known != tandem.SharedFields {
		t.Errorf("compared %v, base %v, want the shared fields only", r.Compared.Names(), r.Base.Local.Known.Names())
	}
}

// S8: an imported value keeps its source's time, as far as the source tells one.
func TestS8ImportedValueKeepsItsTime(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	known := tandem.FieldSet(tandem.FieldName, tandem.FieldTags, tandem.FieldMetadata)
	base := tandem.Shared{Known: known, Name: "a"}
	s := merge.Sides{Base: tandem.Base{Local: base, Remote: base}, Local: base, RemoteUpdatedAt: at, ReadAt: at.Add(time.Hour),
		Remote: tandem.Shared{Known: known, Name: "b", Tags: []string{"x"}, Metadata: tandem.Map{"k": 1}}}
	r := merge.Device(s, merge.Policy{Fields: tandem.AllFields, Direction: tandem.Bidirectional})
	want := []time.Time{at, at, {}}
	for i, e := range r.Local {
		if !e.At.Equal(want[i]) {
			t.Errorf("%s was edited at %v, want %v", e.Path, e.At, want[i])
		}
	}
	if len(r.Local) != len(want) {
		t.Errorf("%d edits, want %d", len(r.Local), len(want))
	}
}

// S9: what is frozen was not compared, so its conflict is not closed as converged.
func TestS9FrozenFieldsAreNotCompared(t *testing.T) {
	side := tandem.Shared{Known: tandem.SharedFields}
	s := merge.Sides{Base: tandem.Base{Local: side, Remote: side}, Local: side, Remote: side}
	p := merge.Policy{Fields: tandem.AllFields, Direction: tandem.Bidirectional}
	for _, c := range []struct {
		hold merge.Hold
		path tandem.Path
		want tandem.Fields
	}{
		{merge.Frozen, "name", tandem.SharedFields.Without(tandem.FieldName)},
		{merge.Frozen, "metadata", tandem.SharedFields.Without(tandem.FieldMetadata)},
		{merge.Frozen, "metadata/a", tandem.SharedFields},
		{merge.Frozen, "", tandem.NoFields},
		{merge.ByHand, "name", tandem.SharedFields},
	} {
		s.Hold = map[tandem.Path]merge.Hold{c.path: c.hold}
		if r := merge.Device(s, p); r.Compared != c.want {
			t.Errorf("%q held: compared %v, want %v", c.path, r.Compared.Names(), c.want.Names())
		}
	}
}

// S6: the order of a set is no change, however large it is.
func TestS6LargeSetsCompareUnordered(t *testing.T) {
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprintf("h%02d", i))
	}
	reversed := slices.Clone(ids)
	slices.Reverse(reversed)
	known := tandem.FieldSet(tandem.FieldHardwareIDs)
	side := func(set []string) tandem.Shared { return tandem.Shared{Known: known, HardwareIDs: set} }
	s := merge.Sides{Base: tandem.Base{Local: side(ids), Remote: side(ids)}, Local: side(ids), Remote: side(reversed)}
	p := merge.Policy{Fields: known, Direction: tandem.Bidirectional}
	if r := merge.Device(s, p); !quiet(r) {
		t.Errorf("another order is a change: %+v", r)
	}
	s.Remote = side(reversed[1:])
	if r := merge.Device(s, p); len(r.Local) != 1 || slices.Contains(r.After.HardwareIDs, "h39") {
		t.Errorf("a removed element is none: %+v", r)
	}
}

// A map that an import empties is empty, not absent, for whoever stores it.
func TestS3EmptiedMapIsEmpty(t *testing.T) {
	known := tandem.FieldSet(tandem.FieldName, tandem.FieldMetadata)
	side := func(m tandem.Map) tandem.Shared { return tandem.Shared{Known: known, Metadata: m} }
	s := merge.Sides{Local: side(tandem.Map{"k": 1}), Remote: side(tandem.Map{"k": nil})}
	r := merge.Device(s, merge.Policy{Fields: known, Direction: tandem.Import, Force: true})
	if len(r.Local) != 1 || r.After.Metadata == nil || len(r.After.Metadata) != 0 {
		t.Errorf("got %#v after %+v, want an empty map", r.After.Metadata, r.Local)
	}
}

// S4, S8: without a strategy every conflict is for a person.
func TestS8NoStrategyIsManual(t *testing.T) {
	known := tandem.FieldSet(tandem.FieldName)
	s := merge.Sides{Local: tandem.Shared{Known: known, Name: "a"}, Remote: tandem.Shared{Known: known, Name: "b"}}
	r := merge.Device(s, merge.Policy{Fields: known, Direction: tandem.Bidirectional})
	if len(r.Conflicts) != 1 || r.Conflicts[0].Settled != "" || len(r.Local)+len(r.Remote) != 0 {
		t.Errorf("got %+v", r)
	}
}
