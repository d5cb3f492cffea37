package tandem

import "time"

// Changes is what one transaction writes (S22): decided first, then applied as a whole or not at all.
// Rows are written in the order of the members.
type Changes struct {
	// Fence, when set, must still hold the service's lease, or nothing is written (LeaseLost).
	Fence *Fence

	CreateDevices []Device
	UpdateDevices []Device // Version is the one read; the row gets the next
	Observe       []Observation

	CreateAssignments []Assignment
	UpdateAssignments []Assignment // Version is the one read; the row gets the next

	PutIntents  []Intent // Busy when the device has another open intent on the service
	DropIntents []string // ids

	// PutConflicts adds a conflict (Version 0) or rewrites one (Version as read; the row gets the next).
	// Adding one where another is open for the same service, device and field is Stale.
	PutConflicts []Conflict

	Entries []Entry

	PutNotLinked  []NotLinked // by service and external id; keeps ignored, first seen
	DropNotLinked []NotLinkedKey

	PutEntities []KnownEntity // by service, kind and id

	PutRuns     []Run // by id: added or rewritten
	PutServices []ServiceMark
}

// Fence is the proof of a lease.
type Fence struct {
	ServiceID string
	Token     int64
}

// Observation brings what was reported of a device; the store keeps the newer of each value (S5).
// LastSeen is compared by itself, each other value by its own time. Nil values say nothing.
type Observation struct {
	DeviceID string
	Observed
}

// NotLinkedKey names one row of remote_devices.
type NotLinkedKey struct {
	ServiceID        string
	ExternalDeviceID string
}

// ServiceMark is what a run notes on its service; nil members stay as they are. It moves no version.
type ServiceMark struct {
	ServiceID      string
	Pin            *ProjectIdentity
	State          *ServiceState
	StateReason    *string
	RetryAt        **time.Time
	ApprovedConfig *string
	LastListedAt   *time.Time
	LastRunID      *string
	LastRunAt      *time.Time
}

// MovedError is what Apply gives when rows are not at the version that was read: nothing was written.
// Its code is Stale.
type MovedError struct {
	Devices     []string // device ids
	Assignments []string // assignment ids
	Conflicts   []string // conflict ids
}

// Error says how many rows moved.
func (e *MovedError) Error() string { return e.stale().Error() }

// Unwrap gives the error with its code.
func (e *MovedError) Unwrap() error { return e.stale() }

// stale gives the Error that people see.
func (e *MovedError) stale() *Error {
	n := len(e.Devices) + len(e.Assignments) + len(e.Conflicts)
	return Errorf(Stale, "apply changes", "", "%d of the rows were changed by someone else meanwhile", n).
		WithHint("read them again and repeat")
}
