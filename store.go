package tandem

import (
	"context"
	"time"
)

// Store is what the engine needs, and all that the command line of one process does. The organization is an explicit argument of every call and a row of
// another organization is NotFound. Lists of ids may be of any length; what is not found is left out.
// Both databases behave alike; storetest says how.
type Store interface {
	Applier
	OrganizationStore
	ServiceStore
	DeviceStore
	SyncReader
	RunStore
	ConflictStore
	PlanStore
	LeaseStore
	BudgetStore
	// Now is the database's clock.
	Now(ctx context.Context) (time.Time, error)
	Close() error
}

// Applier writes Changes in one transaction.
type Applier interface {
	// Apply writes everything or nothing. A *MovedError names rows at another version.
	Apply(ctx context.Context, org string, changes *Changes) error
}

// OrganizationStore keeps organizations; the only calls without an organization.
type OrganizationStore interface {
	CreateOrganization(ctx context.Context, o Organization, along ...Along) error // Exists when the slug is taken
	// UpdateOrganization rewrites one; o.Version is the one read (Stale when it moved), 0 for any.
	UpdateOrganization(ctx context.Context, o Organization, along ...Along) error
	// DeleteOrganization removes an organization and everything in it but its audit, to which it adds the last entries; Stale
	// when it is not at the version, 0 for whatever is there.
	DeleteOrganization(ctx context.Context, id string, version int64, now time.Time, audit ...AuditEntry) error
	Organizations(ctx context.Context) ([]Organization, error)               // by slug
	Organization(ctx context.Context, idOrSlug string) (Organization, error) // NotFound
}

// ServiceStore keeps services.
type ServiceStore interface {
	CreateService(ctx context.Context, org string, s Service, along ...Along) error // Exists when the name is taken
	// UpdateService rewrites what people set (name, config, credentials, switches); s.Version is the one
	// read (Stale when it moved). What ServiceMark notes stays.
	UpdateService(ctx context.Context, org string, s Service, along ...Along) error
	// DeleteService marks it deleted, unlinks its assignments and supersedes its conflicts.
	DeleteService(ctx context.Context, org, id string, version int64, now time.Time, along ...Along) (unlinked int, err error)
	// DetachService lets go of all that ties a service to its project (S21), in one transaction under the fence:
	// the run and an entry for each assignment are kept, the assignments go, and the pin is cleared.
	DetachService(ctx context.Context, org string, fence Fence, run Run, entry func(Linked) Entry, now time.Time) (detached int, err error)
	Services(ctx context.Context, org string) ([]Service, error) // by name, without deleted ones
	Service(ctx context.Context, org, idOrName string) (Service, error)
}

// DeviceStore keeps the registry. Devices are written with Apply.
type DeviceStore interface {
	Device(ctx context.Context, org, id string) (Device, error)
	// FindDevices gives the live devices whose id or device_id is ref, else those named ref.
	FindDevices(ctx context.Context, org, ref string) ([]Device, error)
	Devices(ctx context.Context, org string, filter DeviceFilter) ([]DeviceRow, int, error) // rows, total matches
	Assignments(ctx context.Context, org string, deviceIDs []string) ([]Assignment, error)
	// Assignment finds one by service and remote id, or NotFound.
	Assignment(ctx context.Context, org, service, externalID string) (Assignment, error)
}

// DeviceRow is a device with where it is linked.
type DeviceRow struct {
	Device
	Status      Status       `json:"status"`
	Assignments []Assignment `json:"assignments"`
}

// DeviceFilter narrows a listing of devices; all conditions hold together. Tombstones are left out.
type DeviceFilter struct {
	IDs        []string
	Search     string // substring of name, device_id or a hardware id, ignoring case
	Status     Status
	Type       string
	Lifecycle  Lifecycle
	Tag        string
	Blueprint  string
	Cohort     string
	Enabled    *bool
	ServiceID  string     // linked to this service …
	SyncStatus SyncStatus // … with this status (of any service when ServiceID is "")
	NotLinked  bool       // has no assignment on ServiceID (on any service when that is "")
	Sort       string     // one of DeviceSorts, or a minus and one; "" for by name
	Now        time.Time  // for Status
	Page
}

// SyncReader is what a run reads, in batches.
type SyncReader interface {
	LinkedByExternal(ctx context.Context, org, service string, externalIDs []string) ([]Linked, error)
	LinkedByDevice(ctx context.Context, org, service string, deviceIDs []string) ([]Linked, error)
	// LinkedIDs walks the enabled, not unlinked assignments in order of external id, after the given one.
	LinkedIDs(ctx context.Context, org, service, after string, limit int) ([]LinkedID, error)
	// LinkedCount counts the same.
	LinkedCount(ctx context.Context, org, service string) (int, error)
	// StateUnread gives linked devices whose state was least recently read, never-read ones first.
	StateUnread(ctx context.Context, org, service string, limit int) ([]LinkedID, error)
	// LocalOnly walks live devices without any assignment on the service, by device id after the given one.
	LocalOnly(ctx context.Context, org, service, after string, limit int) ([]Device, error)
	// Candidates gives the devices (tombstones too) that share a hardware id, ignoring case, with a probe, or whose name or
	// device_id equals its name, ignoring case, each with its assignment on the service if any.
	Candidates(ctx context.Context, org, service string, probes []Probe) ([]Candidate, error)
	// Intents gives the service's open intents, oldest first.
	Intents(ctx context.Context, org, service string) ([]Intent, error)
	// KnownEntities gives the tags, blueprints and cohorts kept of the service.
	KnownEntities(ctx context.Context, org, service string) ([]KnownEntity, error)
	// NotLinked lists what the last listing showed that is not linked; ignored ones only when asked.
	NotLinked(ctx context.Context, org, service string, filter NotLinkedFilter) ([]NotLinked, int, error)
	// RecentChanges gives the newest done create and update entries of the devices over all services, newest first,
	// at most perDevice for each device, path and side.
	RecentChanges(ctx context.Context, org string, deviceIDs []string, perDevice int) ([]Entry, error)
	// Removals counts the done delete, unlink and recreate entries with GuardedNote of the service since an instant;
	// Rollouts the done remote updates of enabled and cohort.
	Removals(ctx context.Context, org, service string, since time.Time) (int, error)
	Rollouts(ctx context.Context, org, service string, since time.Time) (int, error)
}

// LinkedID names a linked pair.
type LinkedID struct {
	DeviceID         string
	ExternalDeviceID string
	StateReadAt      *time.Time
}

// Probe is what a remote device is matched by (S12).
type Probe struct {
	Name        string
	HardwareIDs []string
}

// Candidate is a device that a probe may mean.
type Candidate struct {
	Device     Device
	Assignment *Assignment // on the service asked about, nil when there is none
}

// NotLinkedFilter narrows a listing of remote devices that are not linked; by name.
type NotLinkedFilter struct {
	ExternalDeviceIDs []string
	Search            string // substring of the name
	Reason            string
	Ignored           bool   // with the ignored ones
	OnlyIgnored       bool   // no others
	Sort              string // one of NotLinkedSorts, or a minus and one; "" for by name
	Page
}

// RunStore reads runs; they are written with Apply.
type RunStore interface {
	Run(ctx context.Context, org, id string) (Run, error)
	Runs(ctx context.Context, org string, filter RunFilter) ([]Run, int, error)
	Entries(ctx context.Context, org string, filter EntryFilter) ([]Entry, int, error)
	// DoneEntries gives what a run did before a place, newest first, at most limit entries.
	DoneEntries(ctx context.Context, org, run string, before EntryPlace, limit int) ([]Entry, error)
	// RequestCancel asks a running run to stop at its next batch; CancelRequested is what the run looks at.
	RequestCancel(ctx context.Context, org, run string, along ...Along) error
	CancelRequested(ctx context.Context, org, run string) (bool, error)
	// NoteProgress keeps where a running run stands, for others to see; what ended meanwhile stays as it is.
	NoteProgress(ctx context.Context, org string, progress Progress) error
}

// ConflictStore reads conflicts; they are written with Apply.
type ConflictStore interface {
	Conflict(ctx context.Context, org, id string) (Conflict, error)
	Conflicts(ctx context.Context, org string, filter ConflictFilter) ([]Conflict, int, error)
}

// PlanStore keeps plans and their rows.
type PlanStore interface {
	CreatePlan(ctx context.Context, org string, p Plan) error
	// AppendPlan adds rows; their order is the order of the plan.
	AppendPlan(ctx context.Context, org, plan string, rows []Change) error
	// SealPlan stores the count and checksum once all rows are in.
	SealPlan(ctx context.Context, org, plan string, rows int, checksum string) error
	Plan(ctx context.Context, org, id string) (Plan, error)
	Plans(ctx context.Context, org, service string) ([]Plan, error) // newest first
	// PlanRows gives rows from offset on, in order; an empty reply ends it.
	PlanRows(ctx context.Context, org, plan string, offset, limit int) ([]Change, error)
	// PlanRowsOf gives the rows about some devices, by device id or remote id.
	PlanRowsOf(ctx context.Context, org, plan string, deviceIDs, externalIDs []string) ([]Change, error)
	// ClosePlan moves an open plan to used or discarded, once: Stale when it is not open any more.
	ClosePlan(ctx context.Context, org, plan string, status PlanStatus, now time.Time, along ...Along) error
}

// LeaseStore keeps the leases, by the database's clock.
type LeaseStore interface {
	// AcquireLease takes a free or expired lease; Busy (with the holder as Thing, RetryAfter until it expires) otherwise.
	// A lease that expired lets nothing be applied under its fence and nothing renew it, whether or not another has
	// taken it: from the first moment in which another could have it, it is lost. Only its giving back stays possible,
	// until another takes it.
	AcquireLease(ctx context.Context, org, service, holder, run string, ttl time.Duration) (Lease, error)
	// RenewLease extends it; LeaseLost when it expired or another has it.
	RenewLease(ctx context.Context, org string, lease Lease, ttl time.Duration) (Lease, error)
	ReleaseLease(ctx context.Context, org string, lease Lease) error
}

// GrantLife is how long after asking a granted request may start. Requests that are granted early and started late
// come in clumps, so the pace of grants leaves room for exactly that much (S32).
const GrantLife = 600 * time.Millisecond

// BudgetStore keeps each service's budget over all processes (S32), by the database's clock.
type BudgetStore interface {
	// TakeRequests grants up to want requests now under perMinute, or says when to ask again. When each starts within
	// GrantLife, no 60 seconds see more than perMinute arrive.
	TakeRequests(ctx context.Context, org, service string, want, perMinute int) (granted int, wait time.Duration, err error)
	// TakeSlots leases up to want of the service's limit concurrent requests to a holder for ttl,
	// replacing what that holder had; 0 gives them back.
	TakeSlots(ctx context.Context, org, service, holder string, want, limit int, ttl time.Duration) (granted int, err error)
}
