package tandem

import (
	"context"
	"time"
)

// PlanStatus is the state of a stored plan.
type PlanStatus string

// The plan statuses. A plan is used once (S27).
const (
	PlanOpen      PlanStatus = "open"
	PlanUsed      PlanStatus = "used"
	PlanDiscarded PlanStatus = "discarded"
)

// PlanReason says why a plan is kept.
type PlanReason string

// The reasons.
const (
	PlanSaved    PlanReason = "saved"    // a person saved a dry run
	PlanGuarded  PlanReason = "guarded"  // a guard held these changes back (S18)
	PlanApproval PlanReason = "approval" // a scheduled run waits for a person (S28)
)

// Plan is the changes that a run would make, stored to be applied later (sync_plans).
type Plan struct {
	ID             string     `json:"id"`
	OrganizationID string     `json:"organization_id"`
	ServiceID      string     `json:"service_id"`
	RunID          string     `json:"run_id,omitempty"` // the run that left it, when guarded or for approval
	Operation      Operation  `json:"operation"`
	Reason         PlanReason `json:"reason"`
	Status         PlanStatus `json:"status"`
	Rows           int        `json:"rows"`
	Checksum       string     `json:"checksum"`           // SHA-256 over the rows in order, hex
	ConfigPrint    string     `json:"config_fingerprint"` // of the service's settings; the plan is void when they changed
	CreatedBy      string     `json:"created_by,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	UsedAt         *time.Time `json:"used_at,omitempty"`
}

// IntentKind says what a remote write is.
type IntentKind string

// The intent kinds.
const (
	IntentCreate IntentKind = "create"
	IntentUpdate IntentKind = "update"
	IntentRename IntentKind = "rename" // may go through a temporary name (S27)
	IntentDelete IntentKind = "delete"
	IntentState  IntentKind = "state" // LightDB State leaves
)

// Intent is a remote write that is about to be made, stored first (S24). While it is open nobody else
// writes to that device on that service: the store refuses a second one (Busy).
type Intent struct {
	ID               string           `json:"id"`
	OrganizationID   string           `json:"organization_id"`
	ServiceID        string           `json:"service_id"`
	RunID            string           `json:"run_id"`
	DeviceID         string           `json:"device_id"`
	ExternalDeviceID string           `json:"external_device_id,omitempty"` // "" before a create
	Kind             IntentKind       `json:"kind"`
	Changes          []Change         `json:"changes"`               // with before and after, in local vocabulary
	Create           *NewRemoteDevice `json:"create,omitempty"`      // the create, verbatim (S14)
	Temporary        string           `json:"temporary,omitempty"`   // the name it may have meanwhile; never imported
	ConflictID       string           `json:"conflict_id,omitempty"` // the conflict that this write settles
	Fence            int64            `json:"fence"`
	Until            time.Time        `json:"until"` // the write's timeout; by the database's clock
	CreatedAt        time.Time        `json:"created_at"`
}

// Lease is the right to run one service (S19). Times are the database's.
type Lease struct {
	ServiceID string
	Holder    string
	Fence     int64 // rises with each new holder
	ExpiresAt time.Time
	Now       time.Time // the database's clock when it was taken or renewed
	// Died is the run of a holder whose lease ran out instead of being given back, "" otherwise.
	Died string
}

// Removes reports whether an action takes something away, or, as making a remote device anew, replaces it (S18).
func (a Action) Removes() bool { return a == ActDelete || a == ActUnlink || a == ActRecreate }

// Does reports whether an action is something that a run does, rather than something that it tells: applying a plan
// does nothing about a conflict or a difference that stays.
func (a Action) Does() bool {
	switch a {
	case ActCreate, ActUpdate, ActDelete, ActLink, ActUnlink, ActRecreate:
		return true
	case ActConflict, ActSettle, ActDrift, ActRename, ActRead:
	}
	return false
}

// PlanFilter narrows a plan's changes; in their order.
type PlanFilter struct {
	Side     Side
	Action   Action
	Removals *bool  // only what removes, or only what does not
	Refused  bool   // only what the service would refuse
	Field    Path   // a field with all that lies in it
	Search   string // substring of the device's name, ignoring case
	Page
}

// PlanGroup is how many of a plan's changes are alike.
type PlanGroup struct {
	Side   Side   `json:"side"`
	Action Action `json:"action"`
	Field  Path   `json:"field"` // without what lies below a field; "" for the device itself
	Count  int    `json:"count"`
}

// PlanView looks into large plans.
type PlanView interface {
	PlanChanges(ctx context.Context, org, plan string, filter PlanFilter) ([]Change, int, error) // rows, total matches
	PlanGroups(ctx context.Context, org, plan string) ([]PlanGroup, error)                       // the most first
}
