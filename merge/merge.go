package merge

import (
	"time"

	"tandem"
)

// Policy is what a service's settings and a run's request say about merging.
type Policy struct {
	Fields    tandem.Fields // the selected ones; others are neither compared nor kept in the base
	Direction tandem.Direction
	Strategy  func(tandem.Field) tandem.Strategy // nil is Manual for all
	Force     bool                               // S11: with Import local becomes remote, with Export remote becomes local; else of no effect
}

// Sides is what is known of one linked device.
type Sides struct {
	Base   tandem.Base
	Local  tandem.Shared
	Remote tandem.Shared

	// For newest_wins (S8). A zero time is unknown, which leaves the decision to a person.
	LocalEdited       tandem.EditTimes
	RemoteUnchangedAt time.Time     // when a run last saw the remote as base has it
	RemoteUpdatedAt   time.Time     // the remote's updatedAt: no edit of a listed field is later
	ReadAt            time.Time     // when the remote was read: no edit of metadata is later
	Skew              time.Duration // how far the two clocks may be apart

	// Hold says which paths the engine may not decide now, with all that lies above and below them; "" is all.
	Hold map[tandem.Path]Hold
	// WrittenOver is what our own write within the settle window replaced; reading it again is not an edit (S6).
	WrittenOver map[tandem.Path]any
	// Drift is the fingerprint of each pair already recorded (S7).
	Drift map[tandem.Path]string
}

// Hold limits what a merge may do with a path.
type Hold uint8

// The holds.
const (
	// Frozen leaves the path alone: it is being settled, or paused (S25).
	Frozen Hold = iota + 1
	// ByHand makes a conflict of any difference, whatever the strategy (S24).
	ByHand
)

// Edit is one change of one path on one side. Before and After are the path's JSON values:
// string, bool, []string for sets (sorted), any JSON value for a metadata leaf; nil is absent.
type Edit struct {
	Path   tandem.Path
	Before any
	After  any
	At     time.Time // of an imported value: when it was edited at its source at the latest, zero when unknown (S8)
}

// Conflict is a path that both sides changed differently.
type Conflict struct {
	Path                tandem.Path
	Type                tandem.ConflictType // ConcurrentModification or InitialMismatch
	Base, Local, Remote any                 // Base is nil where there is none, local's half where a person kept both values (S10)
	// Settled is the strategy that settled it, "" when it waits for a person; its edit is among Local or Remote.
	Settled tandem.Strategy
	Value   any // of a settled one
}

// Drift is a difference that the direction holds back (S7).
type Drift struct {
	Path        tandem.Path
	Local       any
	Remote      any
	Fingerprint string
	Known       bool // already recorded for this pair of values
}

// Result is what is to be done with one device. The zero Result but for Base means nothing.
type Result struct {
	Local  []Edit // to apply here, in the order of the fields
	Remote []Edit // to send, in the order of the fields
	// After is the local side once Local is applied.
	After tandem.Shared
	// Base is the base once Local is applied and before anything of Remote is: what is to be stored with Local.
	// Merging again with the remote's reply to the write moves it on.
	Base tandem.Base
	// BaseMoved says that Base differs from the one given.
	BaseMoved bool
	Conflicts []Conflict
	Drift     []Drift
	// Compared are the fields that both sides knew and that are not frozen as a whole; an open conflict
	// in another field, or at a frozen path, stays as it is.
	Compared tandem.Fields
	// Unknown are paths whose remote value was not believed: a null root where base has leaves (S6).
	Unknown []tandem.Path
}
