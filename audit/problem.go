package audit

import (
	"fmt"
	"slices"

	"tandem"
)

// Kind says what is wrong at a place of the chain.
type Kind string

// The kinds.
const (
	Changed   Kind = "changed"    // the entry is not the one that was sealed
	Removed   Kind = "removed"    // there is a place without an entry
	Inserted  Kind = "inserted"   // the place does not follow the one before it
	Reordered Kind = "re-ordered" // the entry was sealed at another place
	Resealed  Kind = "resealed"   // the seal was changed, not the entry; or the chain is not the one of the earlier head
	RunDiffer Kind = "run"        // the entries of a run are not those that the audit tells of
	NoMatch   Kind = "no match"   // the earlier head cannot be compared, or is of another organization
)

// Problem is one thing that is wrong.
type Problem struct {
	Kind    Kind   `json:"kind"`
	Seq     int64  `json:"seq"`
	EntryID string `json:"entry_id,omitempty"`
	Message string `json:"message"` // for people
}

// Result is what a check found.
type Result struct {
	OrganizationID string `json:"organization_id"`
	After          int64  `json:"after"`  // the place of the checkpoint that the chain begins with, 0 where nothing was removed
	Sealed         int64  `json:"sealed"` // places that were looked at
	Head           Head   `json:"head"`   // where the chain ends
	Compared       bool   `json:"compared"`
	// Unsealed counts the entries that have no place yet: nothing proves them.
	Unsealed int `json:"unsealed"`
	// Batches counts the records of runs that were held against their audit, Pruned those that retention has removed.
	Batches  int       `json:"batches"`
	Pruned   int       `json:"pruned"`
	Problems []Problem `json:"problems,omitempty"` // at most MaxProblems
	More     int       `json:"more,omitempty"`     // problems beyond those
}

// MaxProblems is how many problems a result names.
const MaxProblems = 200

// OK reports whether nothing is wrong.
func (r *Result) OK() bool { return len(r.Problems) == 0 }

// add enters a problem.
func (r *Result) add(kind Kind, seq int64, entry, format string, args ...any) {
	if len(r.Problems) >= MaxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{Kind: kind, Seq: seq, EntryID: entry, Message: fmt.Sprintf(format, args...)})
}

// Err gives the first problem as a Corrupt error, nil when there is none. Where the chain is whole and only the earlier
// head says nothing about it, that is Invalid.
func (r *Result) Err() error {
	if r.OK() {
		return nil
	}
	at := slices.IndexFunc(r.Problems, func(p Problem) bool { return p.Kind != NoMatch })
	if at < 0 {
		return tandem.Errorf(tandem.Invalid, "audit: verify", "", "%s", r.Problems[0].Message)
	}
	p := r.Problems[at]
	e := tandem.Errorf(tandem.Corrupt, "audit: verify", fmt.Sprintf("place %d", p.Seq), "%s", p.Message)
	if n := len(r.Problems) + r.More - 1; n > 0 {
		return e.WithHint("and %d more; compare with an export or a backup from before", n)
	}
	return e.WithHint("compare with an export or a backup from before")
}
