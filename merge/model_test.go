package merge_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tandem"
	"tandem/merge"
)

// S2 against its own formula: (base ∪ added here ∪ added there) ∖ (removed here ∪ removed there).
func TestS2SetsAgainstTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, local, remote := drawSet(t, "base"), drawSet(t, "local"), drawSet(t, "remote")
		based := rapid.Bool().Draw(t, "based")
		s := merge.Sides{Local: tags(local), Remote: tags(remote)}
		if based {
			s.Base = tandem.Base{Local: tags(base), Remote: tags(base)}
		} else {
			base = nil // S4: sets unite
		}
		var want []string
		for _, e := range []string{"p", "q", "r", "s"} {
			b, l, r := slices.Contains(base, e), slices.Contains(local, e), slices.Contains(remote, e)
			addedHere, addedThere, removedHere, removedThere := l && !b, r && !b, b && !l, b && !r
			if (b || addedHere || addedThere) && !(removedHere || removedThere) {
				want = append(want, e)
			}
		}
		r := merge.Device(s, merge.Policy{Fields: tandem.SharedFields, Direction: tandem.Bidirectional})
		if got := r.After.Tags; !sameElements(got, want) {
			t.Fatalf("local gets %v, want %v", got, want)
		}
		if got := mustApply(t, s.Remote, r.Remote...).Tags; !sameElements(got, want) {
			t.Fatalf("remote gets %v, want %v", got, want)
		}
		if len(r.Conflicts) > 0 {
			t.Fatalf("a set in conflict: %+v", r.Conflicts)
		}
		// In the new base stands what both sides have once local is done; what only one has stays as it was.
		for _, e := range []string{"p", "q", "r", "s"} {
			here, there := slices.Contains(r.After.Tags, e), slices.Contains(remote, e)
			agreed := slices.Contains(base, e)
			if here == there {
				agreed = here
			}
			if slices.Contains(r.Base.Local.Tags, e) != agreed {
				t.Fatalf("element %s in base %v: local %v remote %v, base was %v", e, r.Base.Local.Tags, r.After.Tags, remote, base)
			}
		}
	})
}

func tags(set []string) tandem.Shared {
	return tandem.Shared{Known: tandem.FieldSet(tandem.FieldTags), Tags: set}
}

func sameElements(a, b []string) bool {
	in := func(set []string) map[string]bool {
		m := map[string]bool{}
		for _, e := range set {
			m[e] = true
		}
		return m
	}
	return fmt.Sprint(in(a)) == fmt.Sprint(in(b))
}

// S3 against a flat table of leaves, each decided by the four cells of S1. The maps have one structure,
// so that no leaf meets a subtree.
func TestS3MapsAgainstATableOfLeaves(t *testing.T) {
	leaves := []tandem.Path{"metadata/a", "metadata/b/c", "metadata/b/d", "metadata/b/e/f", "metadata/g~1h"}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) map[tandem.Path]int {
			m := map[tandem.Path]int{} // 0 is absent
			for _, p := range leaves {
				m[p] = rapid.IntRange(0, 3).Draw(t, label+string(p))
			}
			return m
		}
		base, local, remote := draw("base "), draw("local "), draw("remote ")
		build := func(values map[tandem.Path]int) tandem.Shared {
			side := tandem.Shared{Known: tandem.FieldSet(tandem.FieldMetadata), Metadata: tandem.Map{"kept": true}}
			for _, p := range leaves {
				if values[p] != 0 {
					side = mustApply(t, side, merge.Edit{Path: p, After: values[p]})
				}
			}
			return side
		}
		s := merge.Sides{Base: tandem.Base{Local: build(base), Remote: build(base)}, Local: build(local), Remote: build(remote)}
		r := merge.Device(s, merge.Policy{Fields: tandem.SharedFields, Direction: tandem.Bidirectional})

		wantLocal, wantRemote, wantBase := map[tandem.Path]int{}, map[tandem.Path]int{}, map[tandem.Path]int{}
		var disputed []tandem.Path
		for _, p := range leaves {
			b, l, m := base[p], local[p], remote[p]
			switch {
			case l == m:
				b = l
			case l == b:
				l, b = m, m
			case m == b:
				m = l
			default:
				disputed = append(disputed, p)
			}
			wantLocal[p], wantRemote[p], wantBase[p] = l, m, b
		}
		if want := build(wantLocal); !same(r.After, want) {
			t.Fatalf("local gets %v, want %v", r.After.Metadata, want.Metadata)
		}
		if got, want := mustApply(t, s.Remote, r.Remote...), build(wantRemote); !same(got, want) {
			t.Fatalf("remote gets %v, want %v", got.Metadata, want.Metadata)
		}
		if want := build(wantBase); !same(r.Base.Local, want) || !same(r.Base.Remote, want) {
			t.Fatalf("base is %v, want %v", r.Base.Local.Metadata, want.Metadata)
		}
		var got []tandem.Path
		for _, c := range r.Conflicts {
			got = append(got, c.Path)
		}
		if slices.Sort(disputed); !slices.Equal(got, disputed) {
			t.Fatalf("conflicts at %v, want %v", got, disputed)
		}
	})
}
