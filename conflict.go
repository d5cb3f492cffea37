package tandem

import (
	"encoding/json"
	"time"
)

// ConflictType says what is disputed.
type ConflictType string

// The conflict types.
const (
	ConcurrentModification ConflictType = "concurrent_modification"
	InitialMismatch        ConflictType = "initial_mismatch" // no base yet, and the sides differ (S4)
	AmbiguousMatch         ConflictType = "ambiguous_match"  // which device is it? (S12)
	DeletedRemotely        ConflictType = "deleted_remotely" // and changed here since (S16)
	DeletedLocally         ConflictType = "deleted_locally"  // and changed there since (S17)
)

// ResolutionStatus is the state of a conflict.
type ResolutionStatus string

// The resolution statuses. Pending and resolving are open, the others closed.
const (
	ConflictPending      ResolutionStatus = "pending"
	ConflictResolving    ResolutionStatus = "resolving" // waits for the remote to confirm
	ConflictResolved     ResolutionStatus = "resolved"
	ConflictIgnored      ResolutionStatus = "ignored"
	ConflictAutoResolved ResolutionStatus = "auto_resolved"
	ConflictConverged    ResolutionStatus = "converged"  // the sides no longer differ, or only one has changed
	ConflictSuperseded   ResolutionStatus = "superseded" // its device or field is gone
)

// Conflict is something that both sides changed differently since base, or that the engine may not decide (device_conflicts).
// At most one is open for each service, device (or remote device) and field (S9).
type Conflict struct {
	ID                 string           `json:"id"`
	OrganizationID     string           `json:"organization_id"`
	ServiceID          string           `json:"service_id"`
	RunID              string           `json:"run_id,omitempty"`    // the run that found it
	DeviceID           string           `json:"device_id,omitempty"` // "" for an ambiguous match
	DeviceName         string           `json:"device_name,omitempty"`
	ExternalDeviceID   string           `json:"external_device_id,omitempty"`
	Type               ConflictType     `json:"conflict_type"`
	FieldName          Path             `json:"field_name"`   // "" for the device itself
	BaseValue          json.RawMessage  `json:"base_value"`   // null where there is no base; for an ambiguous match, absent
	LocalValue         json.RawMessage  `json:"local_value"`  // for an ambiguous match, the candidates' ids
	RemoteValue        json.RawMessage  `json:"remote_value"` // for an ambiguous match, the remote device
	LocalUpdatedAt     *time.Time       `json:"local_updated_at,omitempty"`
	RemoteUpdatedAt    *time.Time       `json:"remote_updated_at,omitempty"`
	Explanation        string           `json:"explanation,omitempty"`
	ByHand             bool             `json:"by_hand,omitempty"` // no strategy may settle it (S24, S25)
	Status             ResolutionStatus `json:"resolution_status"`
	ResolutionStrategy string           `json:"resolution_strategy,omitempty"` // local, remote, value, ignore, link, create, …; or the Strategy that settled it
	ResolvedValue      json.RawMessage  `json:"resolved_value,omitempty"`
	ResolvedBy         string           `json:"resolved_by,omitempty"`
	ResolvedAt         *time.Time       `json:"resolved_at,omitempty"`
	Version            int64            `json:"version"`
	CreatedAt          time.Time        `json:"created_at"`
	UpdatedAt          time.Time        `json:"updated_at"`
}

// Open reports whether the conflict still freezes something.
func (c *Conflict) Open() bool {
	return c.Status == ConflictPending || c.Status == ConflictResolving
}

// ConflictFilter narrows a listing of conflicts; newest first. Open ones only unless All or Status.
type ConflictFilter struct {
	IDs       []string
	ServiceID string
	DeviceIDs []string // Device.ID
	// ExternalDeviceIDs also finds ambiguous matches, which have no device yet.
	ExternalDeviceIDs []string
	Field             Path // a path; a bare field also finds its leaves
	Type              ConflictType
	Status            ResolutionStatus
	All               bool
	Search            string // substring of the device name
	Sort              string // one of ConflictSorts, or a minus and one; "" for the newest first
	Page
}
