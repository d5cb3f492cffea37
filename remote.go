package tandem

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Remote is one project on an IoT platform, as a run talks to it. Its errors are *Error.
// Reads are retried inside (S30); writes never are, since their effect may be unknown (S23).
type Remote interface {
	// Project identifies the project (S21) and tells the remote's clock.
	Project(ctx context.Context) (RemoteProject, error)
	// Devices lists in ascending id order, pages in order, fetched ahead within the budget.
	// A page's error ends the iteration.
	Devices(ctx context.Context, listing RemoteListing) iter.Seq2[RemotePage, error]
	// Device reads one device. NotFound only when the reply proves it (404 with body code 5).
	Device(ctx context.Context, id string) (RemoteDevice, error)
	// CreateDevice creates; Exists when the name or a hardware id is taken.
	CreateDevice(ctx context.Context, device NewRemoteDevice) (RemoteDevice, error)
	// UpdateDevice changes only what the patch names and gives the device as it is then.
	UpdateDevice(ctx context.Context, id string, patch RemotePatch) (RemoteDevice, error)
	DeleteDevice(ctx context.Context, id string) error
	// Entities lists all tags, blueprints or cohorts.
	Entities(ctx context.Context, kind EntityKind) ([]RemoteEntity, error)
	// CreateTag creates a tag; Exists when the name is taken, Invalid when the remote cannot hold it.
	CreateTag(ctx context.Context, name string) (RemoteEntity, error)
	// State reads a LightDB State value, nil for an absent one. Path "" is the root.
	State(ctx context.Context, id, path string) (any, error)
	// SetState writes a value at a path; DeleteState removes it.
	SetState(ctx context.Context, id, path string, value any) error
	DeleteState(ctx context.Context, id, path string) error
	// Stream queries LightDB Stream over the whole project, rows in no certain order.
	Stream(ctx context.Context, query StreamQuery) iter.Seq2[StreamRow, error]
}

// RemoteProject is the project behind a service.
type RemoteProject struct {
	ProjectIdentity
	Name string    `json:"name"`
	Now  time.Time `json:"now"` // the remote's Date header, whole seconds
}

// RemoteListing narrows a listing; the zero value lists everything. All conditions hold together.
type RemoteListing struct {
	Name        string   // exact
	HardwareID  string   // exact
	TagIDs      []string // has all
	BlueprintID string
	CohortID    string
	Enabled     *bool
	Term        string // substring of name or hardware id
	StatePath   string // adds RemoteDevice.State to each
	PerPage     int    // 1 to 100; 0 means 100
}

// RemotePage is one page of a listing.
type RemotePage struct {
	Number  int // from 0
	PerPage int
	Total   int // matches over all pages, as this reply said
	Devices []RemoteDevice
	Now     time.Time // the reply's Date header
}

// RemoteDevice is a device as the remote shows it. Its tags, blueprint and cohort are ids.
type RemoteDevice struct {
	ID             string              `json:"id"`
	Name           string              `json:"name"`
	HardwareIDs    []string            `json:"hardware_ids"`
	TagIDs         []string            `json:"tag_ids"`
	BlueprintID    string              `json:"blueprint_id,omitempty"`
	CohortID       string              `json:"cohort_id,omitempty"`
	Enabled        bool                `json:"enabled"`
	CreatedAt      time.Time           `json:"created_at"`
	UpdatedAt      time.Time           `json:"updated_at"` // configuration edits only, never activity
	LastReport     *time.Time          `json:"last_report,omitempty"`
	LastSeenOnline *time.Time          `json:"last_seen_online,omitempty"`
	Firmware       map[string]Firmware `json:"firmware,omitempty"`
	State          json.RawMessage     `json:"state,omitempty"` // the listing's "data", when a state path was asked
	// Problem is set when the device could not be read whole: it fails alone, by id (S33).
	Problem error `json:"-"`
}

// NewRemoteDevice is what a create sends. It always carries a hardware id (S14).
type NewRemoteDevice struct {
	Name        string   `json:"name"`
	HardwareIDs []string `json:"hardware_ids"`
	TagIDs      []string `json:"tag_ids,omitempty"`
	BlueprintID string   `json:"blueprint_id,omitempty"`
	CohortID    string   `json:"cohort_id,omitempty"`
}

// RemotePatch changes only what is set. For blueprint and cohort a pointer to "" clears (null on the wire).
type RemotePatch struct {
	Name              *string
	Enabled           *bool
	BlueprintID       *string
	CohortID          *string
	AddTagIDs         []string
	RemoveTagIDs      []string
	AddHardwareIDs    []string
	RemoveHardwareIDs []string
}

// EntityKind is a kind of named thing that devices refer to by id.
type EntityKind string

// The entity kinds.
const (
	TagEntity       EntityKind = "tag"
	BlueprintEntity EntityKind = "blueprint"
	CohortEntity    EntityKind = "cohort"
)

// RemoteEntity is a tag, blueprint or cohort.
type RemoteEntity struct {
	Kind EntityKind `json:"kind"`
	ID   string     `json:"id"`
	Name string     `json:"name"`
}

// KnownEntity is an entity as kept here (S33): same id, new name is one rename.
type KnownEntity struct {
	RemoteEntity
	ServiceID string
	// Was is the name before a rename that not every linked device has followed yet, else "".
	Was string
}

// StreamQuery asks for the newest value of some paths since an instant.
type StreamQuery struct {
	Since time.Time
	Until time.Time
	Paths []string // dotted on the wire; slash-separated here
}

// StreamRow is one row of a stream reply.
type StreamRow struct {
	DeviceID string
	Time     time.Time
	Values   map[string]any // by the path asked
}

// Budget keeps a service's calls within its requests a minute and concurrency, over all processes (S32).
type Budget interface {
	// Acquire waits for one request's worth; release gives the concurrency back, once.
	Acquire(ctx context.Context) (release func(), err error)
}

// NotLinked is a remote device that the last listing showed and nothing here is linked to (remote_devices).
type NotLinked struct {
	ServiceID        string       `json:"service_id"`
	ExternalDeviceID string       `json:"external_device_id"`
	Name             string       `json:"name"`
	Device           RemoteDevice `json:"device"`
	Reason           string       `json:"reason"`               // not_imported, filtered, ambiguous, ignored, unlinked
	Candidates       []string     `json:"candidates,omitempty"` // local device ids, when ambiguous
	Ignored          bool         `json:"ignored"`
	FirstSeenAt      time.Time    `json:"first_seen_at"`
	SeenAt           time.Time    `json:"seen_at"`
}
