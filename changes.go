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

	PutNotLinked  []NotLinked    // by service and external id; keeps ignored, first seen
	ShowNotLinked []NotLinkedKey // ignored no more
	DropNotLinked []NotLinkedKey

	PutEntities []KnownEntity // by service, kind and id

	PutRuns     []Run // by id: added or rewritten
	PutServices []ServiceMark

	PutMembers     []Membership // by user; Version is the one read (Stale when it moved), 0 for whatever is there
	DropMembers    []Versioned  // by user; their tokens of the organization are revoked
	KeepOwner      bool         // Invalid when no owner who can sign in would be left
	PutInvitations []Invitation // by id
	PutTokens      []Token      // by id

	// PutCredentials adds a credential (Version 0) or rewrites one (Version as read; the row gets the next, Stale when it moved).
	// Exists when another unrevoked one of the kind has the identity.
	PutCredentials []Credential
	PutCommands    []Command // added; or rewritten by id where it is still open

	// PutAlerts adds an alert (Version 0) or rewrites one (Version as read; the row gets the next).
	// Adding one where another is open for the same kind and subject is Stale.
	PutAlerts []Alert
	// PutChannels likewise; Exists when the name is taken.
	PutChannels      []Channel
	DropChannels     []Versioned // their unsent notifications go too
	PutNotifications []Notification

	Observations []DeviceObservation // history, added
	Deliveries   []DeliveryOutcome   // of deliveries that are there
	DropPushes   []Push              // by service, device and remote id, where Due is not later than the one given

	// Repeats says that what was durable before leads to the same again, so that this need not be durable itself when Apply
	// returns: a power cut may undo it, whole, as long as nothing durable was written after it. A process that dies undoes nothing.
	Repeats bool

	// Along is written last. Entries get an entry of the audit by themselves: "run.batch", with their number and digest.
	Along
}

// Versioned names a row by its id, at the version that was read: Stale when it moved, NotFound when it went. Version 0
// stands for whatever is there, or nothing.
type Versioned struct {
	ID      string
	Version int64
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
	NextSyncAt     **time.Time // when the schedule starts its next run
	SyncFailures   *int        // scheduled runs that failed in a row
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
