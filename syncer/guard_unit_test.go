package syncer

import (
	"testing"

	"pgregory.net/rapid"

	"tandem"
	"tandem/merge"
)

func TestS18OverLimit(t *testing.T) {
	for _, tt := range []struct {
		n, earlier, linked int
		ratio              float64
		over               bool
	}{
		{0, 100, 100, 0.1, false}, // nothing is asked for
		{5, 0, 1000, 0.001, false},
		{6, 0, 1000, 0.001, true}, // at least five
		{100, 0, 1000, 0.1, false},
		{101, 0, 1000, 0.1, true},
		{50, 51, 1000, 0.1, true}, // counted over 24 hours
		{5, 0, 10, 0.1, false},    // exactly half
		{5, 0, 9, 0.1, true},      // more than half, though only five
		{1, 0, 1, 0.1, true},
		{600, 0, 1000, 1, true}, // half holds whatever the ratio
	} {
		if got := overLimit(tt.n, tt.earlier, tt.linked, tt.ratio); got != tt.over {
			t.Errorf("overLimit(%d, %d, %d, %v) is %v", tt.n, tt.earlier, tt.linked, tt.ratio, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n, earlier, linked := rapid.IntRange(1, 50).Draw(t, "n"), rapid.IntRange(0, 50).Draw(t, "earlier"), rapid.IntRange(0, 100).Draw(t, "linked")
		ratio := rapid.Float64Range(0, 1).Draw(t, "ratio")
		if overLimit(n, earlier, linked, ratio) && !overLimit(n+1, earlier, linked, ratio) {
			t.Fatal("one more makes it less")
		}
	})
}

func TestS25FlapsTable(t *testing.T) {
	at := func(side tandem.Side, service, after string) tandem.Entry {
		return tandem.Entry{ServiceID: service, Change: tandem.Change{Side: side, Path: "name", After: value(after)}}
	}
	local, remote := tandem.LocalSide, tandem.RemoteSide
	for _, tt := range []struct {
		name string
		side tandem.Side
		to   string
		past []tandem.Entry
		want bool
	}{
		{"first edit", remote, "a", nil, false},
		{"one round", local, "b", []tandem.Entry{at(remote, "s", "a")}, false},
		{"a round and a half", remote, "a", []tandem.Entry{at(local, "s", "b"), at(remote, "s", "a")}, false},
		{"two rounds", local, "b", []tandem.Entry{at(remote, "s", "a"), at(local, "s", "b"), at(remote, "s", "a")}, true},
		{"one side changes its mind", remote, "a", []tandem.Entry{at(remote, "s", "b"), at(remote, "s", "a"), at(remote, "s", "b")}, false},
		{"each time another value", local, "d", []tandem.Entry{at(remote, "s", "c"), at(local, "s", "b"), at(remote, "s", "a")}, false},
		{"both say the same", local, "a", []tandem.Entry{at(remote, "s", "a"), at(local, "s", "a"), at(remote, "s", "a")}, false},
		{"two services quarrel", remote, "a", []tandem.Entry{at(local, "t", "b"), at(remote, "t", "a"), at(local, "t", "b"), at(remote, "t", "a")}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := flaps("s", tt.side, merge.Edit{Path: "name", After: tt.to}, tt.past); got != tt.want {
				t.Fatalf("flaps is %v", got)
			}
		})
	}
}
