package tandem

import "time"

// Overview is how an organization's fleet and its syncs are, at a glance. Of a large fleet it is some seconds old.
type Overview struct {
	Devices        int                `json:"devices"`
	ByStatus       map[Status]int     `json:"by_status"`
	BySync         map[SyncStatus]int `json:"by_sync"` // assignments, over all services
	Services       []ServiceOverview  `json:"services"`
	ConflictsOpen  int                `json:"conflicts_open"`
	AlertsOpen     int                `json:"alerts_open"`
	DeadDeliveries int                `json:"dead_deliveries"` // counted up to CountedTo
	At             time.Time          `json:"at"`              // when it was counted
}

// ServiceOverview is how one service's devices are.
type ServiceOverview struct {
	ServiceID     string             `json:"service_id"`
	BySync        map[SyncStatus]int `json:"by_sync"`    // assignments
	Linked        int                `json:"linked"`     // assignments that are not unlinked
	NotLinked     int                `json:"not_linked"` // on the remote and not linked here, without ignored ones
	ConflictsOpen int                `json:"conflicts_open"`
}

// OpenCounts is how much waits for somebody; each is counted up to CountedTo, and one more stands for any number above.
type OpenCounts struct {
	Conflicts      int `json:"conflicts"`
	Alerts         int `json:"alerts"`
	DeadDeliveries int `json:"dead_deliveries"`
}

// DeliveryBucket is how many deliveries came to each status in the time from At: stored are those that were received,
// and one that failed twice before it was processed counts as stored, twice as retrying, and as processed.
type DeliveryBucket struct {
	At     time.Time              `json:"at"`
	Counts map[DeliveryStatus]int `json:"counts"`
}

// MaxDeliveryBuckets bounds what is asked for of a rate at once.
const MaxDeliveryBuckets = 1_500

// ConflictGroup is how many conflicts are of one kind.
type ConflictGroup struct {
	ServiceID string       `json:"service_id"`
	Field     Path         `json:"field_name"` // "" for the device itself
	Type      ConflictType `json:"conflict_type"`
	Count     int          `json:"count"`
	OldestAt  time.Time    `json:"oldest_at"`
}

// EntryGroup is the entries of a run that did not get done for one cause.
type EntryGroup struct {
	Outcome EntryOutcome  `json:"outcome"`
	Code    Code          `json:"code,omitempty"`
	Error   string        `json:"error,omitempty"` // with … in the place of what differs from device to device
	Action  Action        `json:"action"`
	Count   int           `json:"count"`
	Devices []EntryDevice `json:"devices"`        // the first ones, at most 5
	Hint    string        `json:"hint,omitempty"` // what a person can do about it
}

// EntryDevice names the device of an entry.
type EntryDevice struct {
	DeviceID         string `json:"device_id,omitempty"`
	DeviceName       string `json:"device_name,omitempty"`
	ExternalDeviceID string `json:"external_device_id,omitempty"`
}

// DeviceFacets are the values that devices are told apart by: of each the most used, in their order. They are up to a minute old.
type DeviceFacets struct {
	Types      []string `json:"types"`
	Tags       []string `json:"tags"`
	Blueprints []string `json:"blueprints"`
	Cohorts    []string `json:"cohorts"`
}
