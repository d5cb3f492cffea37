package tandem

import (
	"encoding/json"
	"strings"
	"time"
)

// Operation says what a run does.
type Operation string

// The operations of a run.
const (
	OpImport        Operation = "import"
	OpExport        Operation = "export"
	OpBidirectional Operation = "bidirectional"
	OpWebhook       Operation = "webhook"
	OpRevert        Operation = "revert"
)

// Trigger says what started a run.
type Trigger string

// The triggers.
const (
	ByHand     Trigger = "manual"
	BySchedule Trigger = "schedule"
	ByEdit     Trigger = "edit"
	ByWebhook  Trigger = "webhook"
)

// RunStatus is the state of a run (S26).
type RunStatus string

// The run statuses.
const (
	RunQueued      RunStatus = "queued"
	RunRunning     RunStatus = "running"
	RunCompleted   RunStatus = "completed"
	RunPartial     RunStatus = "partial" // entries failed, conflicts pending, listing unproven
	RunFailed      RunStatus = "failed"
	RunBlocked     RunStatus = "blocked" // a guard or an approval holds something back; see Run.PlanID
	RunCanceled    RunStatus = "canceled"
	RunInterrupted RunStatus = "interrupted" // its process died
)

// Ended reports whether a run in this status is over.
func (s RunStatus) Ended() bool { return s != RunQueued && s != RunRunning }

// Counts are the devices that a run changed on one side.
type Counts struct {
	Created int `json:"created"`
	Updated int `json:"updated"`
	Deleted int `json:"deleted"`
}

// Summary counts what a run did. Each device counts once in Processed.
type Summary struct {
	Processed  int    `json:"processed"`
	Successful int    `json:"successful"`
	Failed     int    `json:"failed"`
	Conflicts  int    `json:"conflicts"` // pending ones that the run met
	Local      Counts `json:"local"`
	Remote     Counts `json:"remote"`
}

// Run is one execution of a sync (golioth_sync_log). Its id is the operation_id.
type Run struct {
	ID             string          `json:"operation_id"`
	OrganizationID string          `json:"organization_id"`
	ServiceID      string          `json:"service_id"`
	Operation      Operation       `json:"operation"`
	Trigger        Trigger         `json:"trigger"`
	DeviceID       string          `json:"device_id,omitempty"` // a run about one device
	Status         RunStatus       `json:"status"`
	Forced         bool            `json:"forced,omitempty"` // S11
	Summary        Summary         `json:"summary"`
	Details        json.RawMessage `json:"details,omitempty"` // phases, proof of the listing, what was left for later
	PlanID         string          `json:"plan_id,omitempty"` // the plan applied, or the one that holds what was blocked
	Reverts        string          `json:"reverts,omitempty"` // the run that this one undoes
	Error          string          `json:"error,omitempty"`
	StartedAt      *time.Time      `json:"started_at"`
	CompletedAt    *time.Time      `json:"completed_at"`
	DurationMS     int64           `json:"duration_ms"`
	CreatedBy      string          `json:"created_by,omitempty"`
	CreatedAt      time.Time       `json:"created_at"`
}

// Side is one of the two systems.
type Side string

// The sides.
const (
	LocalSide  Side = "local"
	RemoteSide Side = "remote"
)

// Action says what a change does to its device.
type Action string

// The actions.
const (
	ActCreate   Action = "create"
	ActUpdate   Action = "update"
	ActDelete   Action = "delete"
	ActLink     Action = "link"
	ActUnlink   Action = "unlink"
	ActRecreate Action = "recreate"
	ActConflict Action = "conflict" // a conflict was found, refreshed or closed
	ActSettle   Action = "settle"   // a conflict was settled, by rule or by a person
	ActDrift    Action = "drift"    // a difference that is not sent (S7)
	ActRename   Action = "rename"   // a tag, blueprint or cohort was renamed on the remote (S33)
	ActRead     Action = "read"     // a device that could not be read
)

// Change is one thing that a run does, or a plan would do, to one side of one device.
// Before and After are JSON values in the local vocabulary (tags by name); a created device's After is the whole of it.
type Change struct {
	Side             Side            `json:"side"`
	Action           Action          `json:"action"`
	DeviceID         string          `json:"device_id,omitempty"`
	ExternalDeviceID string          `json:"external_device_id,omitempty"`
	DeviceName       string          `json:"device_name,omitempty"`
	Path             Path            `json:"field,omitempty"`
	Before           json.RawMessage `json:"before,omitempty"`
	After            json.RawMessage `json:"after,omitempty"`
	Note             string          `json:"note,omitempty"` // why, or what to know about it
}

// RefusedNote begins the note of a planned change that the service would refuse (S27).
const RefusedNote = "would be refused"

// Refused reports whether a planned change is one that the service would refuse.
func (c *Change) Refused() bool { return strings.HasPrefix(c.Note, RefusedNote) }

// EntryOutcome says what became of a change.
type EntryOutcome string

// The outcomes.
const (
	OutcomeDone    EntryOutcome = "done"
	OutcomeFailed  EntryOutcome = "failed"
	OutcomeMoved   EntryOutcome = "moved"   // kept moving while it was merged; left to the next run (S22)
	OutcomeHeld    EntryOutcome = "held"    // a guard, a direction or a frozen field holds it back
	OutcomePending EntryOutcome = "pending" // waits for a person
)

// GuardedNote in an entry's note says that the guard on deletes, unlinks and recreates counts it (S18): those
// that a run made of itself. What a person did to a device that they named is not counted.
const GuardedNote = "counted by the guard"

// Entry is one line of a run's record (golioth_sync_log_entries).
type Entry struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organization_id"`
	RunID          string `json:"run_id"`
	ServiceID      string `json:"service_id"`
	Change
	Outcome   EntryOutcome `json:"outcome"`
	Code      Code         `json:"code,omitempty"`  // of a failure
	Error     string       `json:"error,omitempty"` // for a person
	CreatedAt time.Time    `json:"created_at"`
}

// RunFilter narrows a listing of runs; newest first.
type RunFilter struct {
	ServiceID string
	Status    RunStatus
	Operation Operation
	Trigger   Trigger
	CreatedBy string    // whole
	DeviceID  string    // runs about this one device
	Since     time.Time // created; the first instant
	Until     time.Time // the first instant after
	Search    string    // substring of the error
	Sort      string    // one of RunSorts, or a minus and one; "" for the newest first
	Page
}

// EntryFilter narrows a listing of entries; oldest first.
type EntryFilter struct {
	RunID     string // of a run, or …
	DeviceID  string // … about a device
	ServiceID string
	Path      Path
	Side      Side
	Action    Action
	Outcome   EntryOutcome
	Search    string // substring of device name or error
	Newest    bool   // newest first, where Sort says nothing
	Sort      string // one of EntrySorts, or a minus and one; "" for the oldest first
	Page
}

// EntryPlace is where an entry stands in its run; the zero value is behind the last one.
type EntryPlace struct {
	CreatedAt time.Time
	ID        string
}

// Page asks for a part of a listing. Number counts from 1; Limit 0 means 100, at most 1000.
type Page struct {
	Number int
	Limit  int
}

// Pagination says which part of a listing a reply holds.
type Pagination struct {
	Page  int `json:"page"`
	Limit int `json:"limit"`
	Total int `json:"total"`
	Pages int `json:"pages"`
	// Capped says that there are more than Total: of what grows without end, no more than CountedTo are counted.
	Capped bool `json:"capped,omitempty" doc:"There are more than total: deliveries, runs and what they did, observations and notifications are counted up to 10,000. Pages beyond can be asked for."`
}

// CountedTo is how far matches are counted in tables that grow without end; whoever needs more narrows the filter. A
// number of matches above it stands for any number above it.
const CountedTo = 10_000

// Paginated says which part of a listing a page is.
func Paginated(p Page, total int) Pagination {
	return Pagination{Page: p.Number, Limit: p.Limit, Total: total, Pages: (total + p.Limit - 1) / p.Limit}
}

// PaginatedSome does so where matches are counted up to CountedTo.
func PaginatedSome(p Page, total int) Pagination {
	some := Paginated(p, min(total, CountedTo))
	some.Capped = total > CountedTo
	return some
}

// Matches gives back the number of matches that Paginated or PaginatedSome was made of.
func (p Pagination) Matches() int {
	if p.Capped {
		return p.Total + 1
	}
	return p.Total
}
