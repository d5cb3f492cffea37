// Package syncer is one run: list, match, merge, apply, record (SYNC.md S12–S33).
// It is the only place that knows the order of things. What differs is decided in merge;
// what is kept is kept by the store; what the remote does is behind tandem.Remote.
package syncer

import (
	"context"
	"log/slog"
	"time"

	"tandem"
)

// Engine runs syncs. Its members are set once, before use; it is safe for concurrent use.
type Engine struct {
	Store tandem.Store
	// Connect gives the remote of a service, with its key and budget.
	Connect func(ctx context.Context, service tandem.Service) (tandem.Remote, error)
	Clock   tandem.Clock
	NewID   tandem.IDs
	// Holder names this process in leases; unique over all processes.
	Holder string
	Log    *slog.Logger
	// LeaseTTL is how long a dead process keeps a service from others (S19); 0 means DefaultLeaseTTL.
	// WriteTimeout is after how long a remote write has certainly ended; 0 means DefaultWriteTimeout.
	// The first must be the longer by a good margin.
	LeaseTTL, WriteTimeout time.Duration
	// Settle is within what time of our own write reading the value from before it is not an edit (S6); 0 means DefaultSettle.
	SettleWindow time.Duration
}

// Missing says on which sides a run creates what is missing there; "" leaves it to the service's settings.
type Missing string

// The answers to "create what is missing?".
const (
	MissingLocal  Missing = "local"
	MissingRemote Missing = "remote"
	MissingBoth   Missing = "both"
	MissingNone   Missing = "none"
)

// Request asks for a run.
type Request struct {
	ServiceID     string
	Operation     tandem.Operation // import, export or bidirectional
	Trigger       tandem.Trigger
	DeviceIDs     []string // Device.ID; empty means all
	Force         bool     // S11
	CreateMissing Missing
	PlanID        string // apply this stored plan and nothing else (S27)
	CreatedBy     string
}

// Progress is where a run stands; given to Options.Report often, from one goroutine at a time.
type Progress struct {
	RunID   string
	Phase   string // "recovering", "listing", "creating", "writing", "reading state", "deleting"
	Done    int
	Total   int // 0 while unknown
	Summary tandem.Summary
}

// Report receives progress; it must not block for long. Nil is allowed.
type Report func(Progress)

// Preview is what a dry run found (S27).
type Preview struct {
	Run    tandem.Run // its summary counts what would happen; it is not stored
	PlanID string     // when it was saved
}

// Choice is how a person settles a conflict (S10).
type Choice string

// The choices. For a field: local, remote, value, ignore. For an ambiguous match: link, create, ignore.
// For a deleted device: delete, recreate, unlink.
const (
	TakeLocal    Choice = "local"
	TakeRemote   Choice = "remote"
	TakeValue    Choice = "value"
	TakeIgnore   Choice = "ignore"
	TakeLink     Choice = "link"
	TakeCreate   Choice = "create"
	TakeDelete   Choice = "delete"
	TakeRecreate Choice = "recreate"
	TakeUnlink   Choice = "unlink"
)

// Settlement settles the pending conflicts that Filter names.
type Settlement struct {
	Filter   tandem.ConflictFilter
	Take     Choice
	Value    any    // with value
	DeviceID string // with link: the device to link
	By       string
	DryRun   bool
}

// Settled is what became of one conflict.
type Settled struct {
	Conflict tandem.Conflict `json:"conflict"`
	Changes  []tandem.Change `json:"changes"` // made, or that would be made
	Error    error           `json:"-"`
	Refusal  string          `json:"error,omitempty"` // Error's text
}

// Comparison puts one linked device's three values side by side.
type Comparison struct {
	Service     tandem.Service
	Assignment  tandem.Assignment
	Base        tandem.Base
	Local       tandem.Shared
	Remote      *tandem.Shared // nil when the remote could not be asked, see RemoteError
	RemoteError error
}
