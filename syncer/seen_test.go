package syncer

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// anyID draws ids as Golioth makes them, near each other, and others.
func anyID() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Map(rapid.IntRange(0, 40), func(n int) string { return fmt.Sprintf("65e1f0a1b2c3d4e5f6%06x", n) }),
		rapid.Map(rapid.IntRange(0, 40), func(n int) string { return fmt.Sprintf("65E1F0A1B2C3D4E5F6%06X", n) }),
		rapid.SampledFrom([]string{"", "short", "zzzzzzzzzzzzzzzzzzzzzzzz", "000000000000000000000000", "ffffffffffffffffffffffff"}),
	)
}

func TestS20SeenIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, model := &seen{}, map[string]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "adds") {
			id := anyID().Draw(t, "id")
			if added := s.add(id); added == model[id] {
				t.Fatalf("add(%q) says %v, but the set has it: %v", id, added, model[id])
			}
			model[id] = true
		}
		for range 40 {
			id := anyID().Draw(t, "probe")
			if s.has(id) != model[id] {
				t.Fatalf("has(%q) is %v, want %v", id, s.has(id), model[id])
			}
		}
		if s.count != len(model) {
			t.Fatalf("count is %d, want %d", s.count, len(model))
		}
	})
}

func TestS20SeenKeepsTwelveBytesADevice(t *testing.T) {
	s := &seen{}
	const n = 3*seenBlock + 17
	for i := range n {
		s.add(fmt.Sprintf("65e1f0a1b2c3d4e5%08x", i))
	}
	if len(s.late) != 0 || len(s.blocks) != 4 || s.count != n {
		t.Fatalf("%d late ids, %d blocks, count %d; want none, 4, %d", len(s.late), len(s.blocks), s.count, n)
	}
	for i := range n {
		if id := fmt.Sprintf("65e1f0a1b2c3d4e5%08x", i); !s.has(id) {
			t.Fatalf("%s is not found", id)
		}
	}
	if s.has(fmt.Sprintf("65e1f0a1b2c3d4e5%08x", n)) || s.has("65e1f0a1b2c3d4e4ffffffff") {
		t.Fatal("an id outside is found")
	}
}

func TestS15SecondRoundCountsAnew(t *testing.T) {
	s := &seen{}
	for _, id := range []string{"a", "b"} {
		if !s.round(id) || !s.add(id) {
			t.Fatalf("%s is not new in the first round", id)
		}
	}
	s.again()
	for _, id := range []string{"a", "c"} {
		if !s.round(id) {
			t.Fatalf("%s is not new in the second round", id)
		}
		if s.round(id) {
			t.Fatalf("%s is new twice in the second round", id)
		}
	}
	if s.add("a") || !s.add("c") {
		t.Fatal("the set itself forgot, or had, what the second round shows")
	}
}

func TestTallyCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl, model := newTally(), map[string]int{}
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			word := rapid.SampledFrom([]string{"", "a", "b", "c", "gate-01", "gate-02"}).Draw(t, "word")
			if rapid.Bool().Draw(t, "ask") {
				if got := tl.count(word); got != model[word] {
					t.Fatalf("count(%q) is %d, want %d", word, got, model[word])
				}
				continue
			}
			tl.add(word)
			model[word]++
		}
	})
}

func TestS27PlannedNamesClash(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plan  func(n *plannedNames)
		of    string
		clash bool
	}{
		{"a name nobody has", func(n *plannedNames) { n.created("x") }, "x", false},
		{"a create takes a listed name", func(n *plannedNames) { n.listed("x"); n.created("x") }, "x", true},
		{"two creates of one name", func(n *plannedNames) { n.created("x"); n.created("x") }, "x", true},
		{"a rename takes a listed name", func(n *plannedNames) { n.listed("x"); n.listed("y"); n.rename("x", "y") }, "y", true},
		{"a swap", func(n *plannedNames) { n.listed("x"); n.listed("y"); n.rename("x", "y"); n.rename("y", "x") }, "y", false},
		{"a create takes a name that a rename frees", func(n *plannedNames) { n.listed("x"); n.rename("x", "y"); n.created("x") }, "x", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newPlannedNames()
			tt.plan(n)
			if got := n.clash(tt.of); got != tt.clash {
				t.Fatalf("clash(%q) is %v, want %v", tt.of, got, tt.clash)
			}
		})
	}
}
