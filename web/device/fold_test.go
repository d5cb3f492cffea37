package device

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tandem"
)

// TestFold: what says the same is one row, wherever the pages of the history are cut.
func TestFold(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name, entries string // newest first: a letter is a failure of that field, a capital a change of it that was done
		want          []string
	}{
		{"none", "", nil},
		{"one", "a", []string{"a×1@0"}},
		{"the same", "aaa", []string{"a×3@0"}},
		{"each try fails in two fields", "ababab", []string{"a×3@0", "b×3@1"}},
		{"what was done between divides failures", "aaAaa", []string{"a×2@0", "A×1@2", "a×2@3"}},
		{"what was done is folded with its neighbours alone", "ABA", []string{"A×1@0", "B×1@1", "A×1@2"}},
		{"neighbours that were done", "AAb", []string{"A×2@0", "b×1@2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var entries []tandem.HistoryEntry
			for i, letter := range test.entries {
				e := tandem.HistoryEntry{At: start.Add(-time.Duration(i) * time.Minute), Field: tandem.Path(letter), Outcome: tandem.OutcomeFailed, Error: "no", RunID: fmt.Sprint("run-", i)}
				if letter < 'a' {
					e.Outcome, e.Error = tandem.OutcomeDone, ""
				}
				entries = append(entries, e)
			}
			var got []string
			for _, row := range fold(entries) {
				got = append(got, fmt.Sprintf("%s×%d@%d", row.Field, row.Times, row.at))
				if oldest := entries[row.at]; row.At != oldest.At || row.First.At.After(row.At) || row.Times == 1 && row.First.RunID != row.RunID {
					t.Errorf("the row is %+v", row)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("the rows are %v, want %v", got, test.want)
			}
		})
	}
}
