package tandem

import "time"

// Direction says which way a service's changes flow.
type Direction string

// The directions.
const (
	Import        Direction = "import"        // remote to local only
	Export        Direction = "export"        // local to remote only
	Bidirectional Direction = "bidirectional" // both
)

// Strategy settles what both sides changed differently (S8).
type Strategy string

// The strategies.
const (
	Manual     Strategy = "manual" // record the conflict, touch neither side
	LocalWins  Strategy = "local_wins"
	RemoteWins Strategy = "remote_wins"
	NewestWins Strategy = "newest_wins"
)

// OnRemoteDelete says what becomes of a local device whose remote one was deleted (S16).
type OnRemoteDelete string

// The reactions to a remote deletion.
const (
	UnlinkLocal    OnRemoteDelete = "unlink"
	DeleteLocal    OnRemoteDelete = "delete"
	RecreateRemote OnRemoteDelete = "recreate"
)

// ServiceState says whether a service's remote can be talked to.
type ServiceState string

// The service states.
const (
	ServiceOK       ServiceState = "ok"
	ServiceDegraded ServiceState = "degraded" // the remote fails; tried again at RetryAt (S30)
	ServiceRejected ServiceState = "rejected" // the key is refused; not tried until a person changes it (S31)
	ServiceLocked   ServiceState = "locked"   // the stored key cannot be decrypted
)

// ProjectIdentity pins a service to one remote project (S21).
type ProjectIdentity struct {
	ID             string    `json:"id"`
	OrganizationID string    `json:"organization_id"` // the remote's own organization
	CreatedAt      time.Time `json:"created_at"`
}

// Paths says where the values that a listing lacks are found; an empty one is off.
// Each is "state:" or "stream:" and a slash-separated path, such as "state:device/info".
// Metadata takes only a state path, since it is written too.
type Paths struct {
	Metadata string `json:"metadata,omitempty"`
	Battery  string `json:"battery,omitempty"`
	Location string `json:"location,omitempty"`
}

// Filters decide which new remote devices an import lets in, never which linked ones stay (S13).
type Filters struct {
	Name      string   `json:"name,omitempty"` // shell pattern (path.Match) on the remote name
	Tags      []string `json:"tags,omitempty"` // names; the remote device has all of them
	Blueprint string   `json:"blueprint,omitempty"`
	Cohort    string   `json:"cohort,omitempty"`
}

// Guards hold back what would hurt if it were a mistake (S18), counted over 24 hours.
// A ratio is of the linked devices, and lets at least five through; deletes are held back too where they
// are more than half of the linked devices.
type Guards struct {
	MaxDelete float64 `json:"max_delete"` // deletes, unlinks, recreates; 0.1 by default
	MaxChange float64 `json:"max_change"` // exports of enabled and cohort; 0.1 by default
}

// ServiceConfig is a service's settings that hold no secret.
type ServiceConfig struct {
	BaseURL           string              `json:"base_url"`
	Project           string              `json:"project"`
	Fields            Fields              `json:"fields"`
	Direction         Direction           `json:"sync_direction"`
	Strategy          Strategy            `json:"conflict_resolution"`
	FieldStrategies   map[string]Strategy `json:"field_strategies,omitempty"` // by field name
	CreateLocal       bool                `json:"create_local"`
	CreateRemote      bool                `json:"create_remote"`
	OnRemoteDelete    OnRemoteDelete      `json:"on_remote_delete"`
	DeleteRemote      bool                `json:"delete_remote"`
	Guards            Guards              `json:"guards"`
	Paths             Paths               `json:"paths"`
	Filters           Filters             `json:"filters"`
	RequestsPerMinute int                 `json:"requests_per_minute"`
	Concurrency       int                 `json:"concurrency"`   // requests in flight, over all processes
	StateReads        int                 `json:"state_reads"`   // device-by-device state reads a run may make for reading alone
	OnlineWindow      int                 `json:"online_window"` // seconds
	Webhook           WebhookConfig       `json:"webhook"`
	// PrivateAddress says that whoever has the command line named BaseURL: it may lead to a private network. An address
	// that came over the network may not, unless the server allows that.
	PrivateAddress bool `json:"private_address,omitempty"`
	// GatewayPSK lets the devices' pre-shared keys there be used to authenticate here too.
	GatewayPSK bool `json:"gateway_psk"`
}

// StrategyFor gives the strategy for a field: its own override, else the service's.
func (c *ServiceConfig) StrategyFor(f Field) Strategy {
	if s, ok := c.FieldStrategies[f.String()]; ok {
		return s
	}
	return c.Strategy
}

// DefaultServiceConfig gives the settings of a new service. The budget is reasoned in docs/decisions.
func DefaultServiceConfig() ServiceConfig {
	return ServiceConfig{
		Fields: AllFields, Direction: Bidirectional, Strategy: Manual, CreateLocal: true,
		OnRemoteDelete: UnlinkLocal, Guards: Guards{MaxDelete: 0.1, MaxChange: 0.1},
		RequestsPerMinute: 30_000, Concurrency: 32, StateReads: 2_000, OnlineWindow: int(DefaultOnlineWindow.Seconds()),
	}
}

// Service is a connection to one project on one IoT platform (device_services).
type Service struct {
	ID             string           `json:"id"`
	OrganizationID string           `json:"organization_id"`
	Name           string           `json:"name"`         // unique in the organization
	ServiceType    string           `json:"service_type"` // "golioth"
	Config         ServiceConfig    `json:"config"`
	Credentials    []byte           `json:"-"`                // sealed by package secret; never printed
	Pin            *ProjectIdentity `json:"project_identity"` // nil until the first contact
	IsActive       bool             `json:"is_active"`
	SyncEnabled    bool             `json:"sync_enabled"`          // automatic sync; off by default
	SyncInterval   int              `json:"sync_interval_seconds"` // ≥ 60, default 300
	State          ServiceState     `json:"state"`
	StateReason    string           `json:"state_reason,omitempty"`
	RetryAt        *time.Time       `json:"retry_at,omitempty"`
	// ApprovedConfig is the fingerprint of the settings that a person has let run (S28); "" before the first run.
	ApprovedConfig string `json:"-"`
	// LastListedAt is when the last proven listing of the remote began, by the remote's clock (S8, S15).
	LastListedAt *time.Time `json:"last_listed_at,omitempty"`
	LastRunID    string     `json:"last_run_id,omitempty"`
	LastRunAt    *time.Time `json:"last_run_at,omitempty"`
	// WebhookSecrets are sealed by package secret: a JSON array of one, or two while rotating. Never printed.
	WebhookSecrets []byte `json:"-"`
	// NextSyncAt is when the schedule starts the next run, nil where it does not; SyncFailures counts its failed runs in a row.
	NextSyncAt   *time.Time `json:"next_sync_at,omitempty"`
	SyncFailures int        `json:"sync_failures,omitempty"`
	Version      int64      `json:"version"`
	DeletedAt    *time.Time `json:"deleted_at,omitempty"`
	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
}

// SyncStatus is the state of an assignment.
type SyncStatus string

// The sync statuses.
const (
	SyncPending  SyncStatus = "pending"  // linked, not yet merged
	SyncSynced   SyncStatus = "synced"   // merged; drift may remain
	SyncError    SyncStatus = "error"    // the last attempt failed; see Assignment.Error
	SyncConflict SyncStatus = "conflict" // a pending conflict
	SyncUnlinked SyncStatus = "unlinked" // kept, not synced, until a person links it again
)

// Assignment links one device to one remote device on one service (device_service_assignments).
type Assignment struct {
	ID               string          `json:"id"`
	OrganizationID   string          `json:"organization_id"`
	DeviceID         string          `json:"device_id"` // Device.ID
	ServiceID        string          `json:"service_id"`
	ExternalDeviceID string          `json:"external_device_id"`
	SyncEnabled      bool            `json:"sync_enabled"`
	Status           SyncStatus      `json:"sync_status"`
	LastSync         *time.Time      `json:"last_sync"` // when something was last agreed
	Base             Base            `json:"base"`
	Drift            map[Path]string `json:"drift,omitempty"` // fingerprint of the pair of values already recorded as drift (S7)
	Error            string          `json:"error,omitempty"`
	Retries          int             `json:"retries"`
	StateReadAt      *time.Time      `json:"state_read_at,omitempty"`     // when the state paths were last read
	RemoteUpdatedAt  *time.Time      `json:"remote_updated_at,omitempty"` // the remote's updatedAt at the last agreement
	WrittenAt        *time.Time      `json:"written_at,omitempty"`        // our last write to the remote (S6, settle)
	WrittenOver      map[Path]any    `json:"written_over,omitempty"`      // what that write replaced, by path
	Version          int64           `json:"version"`
	CreatedAt        time.Time       `json:"created_at"`
	UpdatedAt        time.Time       `json:"updated_at"`
}

// Linked is an assignment with its device.
type Linked struct {
	Assignment Assignment
	Device     Device
}
