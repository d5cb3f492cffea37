package tandem

import "time"

// Missing says on which sides a run creates what is missing there; "" leaves it to the service's settings.
type Missing string

// The answers to "create what is missing?".
const (
	MissingLocal  Missing = "local"
	MissingRemote Missing = "remote"
	MissingBoth   Missing = "both"
	MissingNone   Missing = "none"
)

// RunRequest asks for a run.
type RunRequest struct {
	ServiceID     string    `json:"service_id"`
	Operation     Operation `json:"operation,omitempty"` // import, export or bidirectional; "" for the service's direction
	Trigger       Trigger   `json:"trigger,omitempty"`
	DeviceIDs     []string  `json:"device_ids,omitempty"`   // Device.ID; with ExternalIDs empty too, all
	ExternalIDs   []string  `json:"external_ids,omitempty"` // of remote devices, linked or not; new ones go by settings and filters
	Force         bool      `json:"force,omitempty"`        // S11
	CreateMissing Missing   `json:"create_missing,omitempty"`
	PlanID        string    `json:"plan_id,omitempty"`  // apply this stored plan and nothing else (S27)
	Reverts       string    `json:"reverts,omitempty"`  // undo this run (S29); of the others only ServiceID and CreatedBy count
	Approves      string    `json:"approves,omitempty"` // let through what this blocked run left (S18, S28); likewise
	CreatedBy     string    `json:"created_by,omitempty"`
}

// Scoped reports whether the run is about some devices only.
func (r *RunRequest) Scoped() bool { return len(r.DeviceIDs)+len(r.ExternalIDs) > 0 }

// Progress is where a run stands.
type Progress struct {
	RunID   string  `json:"operation_id"`
	Phase   string  `json:"phase"` // "recovering", "listing", "creating", "writing", "reading state", "deleting"
	Done    int     `json:"done"`  // devices, in this phase
	Total   int     `json:"total"` // 0 while unknown
	Summary Summary `json:"summary"`

	// What follows is told of a run that another process may perform.
	Status    RunStatus  `json:"status,omitempty"`
	StartedAt *time.Time `json:"started_at,omitempty"` // the run
	PhaseAt   *time.Time `json:"phase_at,omitempty"`   // when the phase began
	At        *time.Time `json:"at,omitempty"`         // when this was so: by how much Done rose since PhaseAt is the rate
}

// Report receives progress, often, from one goroutine at a time; it must not block for long. Nil is allowed.
type Report func(Progress)

// Preview is what a dry run found (S27).
type Preview struct {
	Run    Run    // its summary counts what would happen; it is not stored
	PlanID string // when it was saved
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
	Filter   ConflictFilter
	Take     Choice
	Value    any    // with value
	DeviceID string // with link: the device to link
	By       string
	DryRun   bool
	Along    Along `json:"-"` // its audit is written with the run that the settling is
}

// Settled is what became of one conflict.
type Settled struct {
	Conflict Conflict `json:"conflict"`
	Changes  []Change `json:"changes"` // made, or that would be made
	Error    error    `json:"-"`
	Refusal  string   `json:"error,omitempty"` // Error's text
}

// Comparison puts one linked device's three values side by side.
type Comparison struct {
	Service     Service
	Assignment  Assignment
	Base        Base
	Local       Shared
	Remote      *Shared // nil when the remote could not be asked, see RemoteError
	RemoteError error
}
