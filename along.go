package tandem

import (
	"encoding/json"
	"time"
)

// Along is what goes into the transaction of a change beside the change itself: the audit of it, the jobs that it
// leads to, and what is to be told to whoever looks.
type Along struct {
	Audit  []AuditEntry
	Jobs   []Job
	Pushes []Push
	Events []Event
}

// Job is work to be done soon, by any process (DESIGN.md §2). It is enqueued in the transaction of the change that it is about.
type Job struct {
	Kind           string // one of package jobs
	OrganizationID string
	Args           map[string]string // small: ids
	At             time.Time         // zero for now
}

// PendingJob is a job as the database keeps it until a process with a job engine takes it over.
type PendingJob struct {
	ID int64 // rises with each; also what makes taking one over twice harmless
	Job
}

// The kinds of jobs that others than package jobs enqueue.
const (
	JobRun      = "run"       // Args run_id, trigger: perform a queued run
	JobRunEnded = "run_ended" // Args run_id: raise or resolve alerts
	JobPush     = "push"      // Args service_id: runs about the devices that are due (S36, S38)
	JobNotify   = "notify"    // send the notifications that are due
	JobSettle   = "settle"    // Args settlement as JSON: settle conflicts in bulk
)

// Event says that something changed, for live pages and streams. It is a hint to read again, kept for some minutes.
// The store adds those that follow from Changes by itself.
type Event struct {
	ID             string          `json:"id"` // UUIDv7
	OrganizationID string          `json:"-"`
	At             time.Time       `json:"at"`
	Kind           string          `json:"kind"` // devices, conflicts, runs, services, deliveries, alerts, credentials, commands, device.online, device.offline
	IDs            []string        `json:"ids,omitempty"`
	Many           bool            `json:"many,omitempty"` // more than IDs says
	Data           json.RawMessage `json:"data,omitempty"`
}
