package tandem

import "time"

// Lifecycle is where a device stands in its life; only local.
type Lifecycle string

// The lifecycles.
const (
	Active         Lifecycle = "active"
	Inactive       Lifecycle = "inactive"
	Maintenance    Lifecycle = "maintenance"
	Decommissioned Lifecycle = "decommissioned"
)

// Status is a device's connectivity, computed when read: online means that it reported
// within the service's online window. Golioth's own status field is always "-".
type Status string

// The statuses.
const (
	Online    Status = "online"
	Offline   Status = "offline"
	NeverSeen Status = "never_seen"
)

// DefaultOnlineWindow is how recent a report makes a device online where no service says otherwise.
const DefaultOnlineWindow = 15 * time.Minute

// StatusAt gives the status at now for a device last seen at seen (nil for never).
func StatusAt(seen *time.Time, now time.Time, window time.Duration) Status {
	switch {
	case seen == nil:
		return NeverSeen
	case now.Sub(*seen) <= window:
		return Online
	}
	return Offline
}

// StatusAt gives the status at now: offline also where it was said to have gone and was not seen since.
func (o *Observed) StatusAt(now time.Time, window time.Duration) Status {
	if o.LastSeen != nil && o.OfflineAt != nil && !o.OfflineAt.Before(*o.LastSeen) {
		return Offline
	}
	return StatusAt(o.LastSeen, now, window)
}

// Device is an entry of the local registry: what this organization calls the device.
// Names need not be unique; DeviceID is, within the organization.
type Device struct {
	ID             string     `json:"id"`
	OrganizationID string     `json:"organization_id"`
	Name           string     `json:"name"`
	DeviceID       string     `json:"device_id"`
	DeviceType     string     `json:"device_type"`
	Lifecycle      Lifecycle  `json:"lifecycle"`
	HardwareIDs    []string   `json:"hardware_ids"`
	Tags           []string   `json:"tags"`
	Enabled        bool       `json:"enabled"`
	Blueprint      string     `json:"blueprint"` // its name, "" for none
	Cohort         string     `json:"cohort"`    // its name, "" for none
	Metadata       Map        `json:"metadata"`
	Notes          string     `json:"notes"`
	Observed                  // last_seen, battery_level, location, firmware
	Version        int64      `json:"version"` // rises with each edit; observations do not move it (S5)
	FieldEditedAt  EditTimes  `json:"field_edited_at,omitempty"`
	DeletedAt      *time.Time `json:"deleted_at,omitempty"` // a tombstone when set
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
}

// Map is a JSON object as encoding/json decodes it, numbers as json.Number or float64.
type Map = map[string]any

// EditTimes says when each path was last edited at its source (S8: an imported value keeps its source's time).
type EditTimes map[Path]time.Time

// Observed is what the remote or the device itself reports and nobody edits (S5).
// Each value carries the instant it was observed; an older one never overwrites a newer.
type Observed struct {
	LastSeen     *time.Time          `json:"last_seen"`
	OfflineAt    *time.Time          `json:"offline_at,omitempty"` // when it was last said to have gone; it is back once it was seen later
	BatteryLevel *float64            `json:"battery_level"`        // percent, 0 to 100
	BatteryAt    *time.Time          `json:"battery_at"`
	Location     *Location           `json:"location"`
	LocationAt   *time.Time          `json:"location_at"`
	Firmware     map[string]Firmware `json:"firmware"` // by package name
	FirmwareAt   *time.Time          `json:"firmware_at"`
}

// Location is a position on earth, WGS 84.
type Location struct {
	Latitude  float64 `json:"lat"`                // degrees, -90 to 90
	Longitude float64 `json:"lon"`                // degrees, -180 to 180
	Accuracy  float64 `json:"accuracy,omitempty"` // metres, 0 when not known
}

// Firmware is what one package on a device reported of its update (golioth metadata.update).
type Firmware struct {
	Version    string `json:"version"`
	Target     string `json:"target,omitempty"`
	State      string `json:"state,omitempty"`
	StateCode  string `json:"state_code,omitempty"`
	Reason     string `json:"reason,omitempty"`
	ReasonCode string `json:"reason_code,omitempty"`
	Time       string `json:"time,omitempty"` // RFC 3339, as reported
}

// Shared is what one side holds of the shared fields (SYNC.md §2).
// A field outside Known was not read: it is unknown, which is not empty (S6).
type Shared struct {
	Known       Fields   `json:"known"`
	Name        string   `json:"name,omitempty"`
	Enabled     bool     `json:"enabled,omitempty"`
	HardwareIDs []string `json:"hardware_ids,omitempty"`
	Tags        []string `json:"tags,omitempty"` // names, not ids
	Blueprint   string   `json:"blueprint,omitempty"`
	Cohort      string   `json:"cohort,omitempty"`
	Metadata    Map      `json:"metadata,omitempty"`
}

// Whole puts empty lists and objects where there are none, so that as JSON every member is there with its type.
func (d *Device) Whole() {
	if d.HardwareIDs == nil {
		d.HardwareIDs = []string{}
	}
	if d.Tags == nil {
		d.Tags = []string{}
	}
	if d.Metadata == nil {
		d.Metadata = Map{}
	}
	if d.Firmware == nil {
		d.Firmware = map[string]Firmware{}
	}
}

// Shared gives the device's side of a merge: every shared field known.
func (d *Device) Shared() Shared {
	return Shared{Known: SharedFields, Name: d.Name, Enabled: d.Enabled, HardwareIDs: d.HardwareIDs,
		Tags: d.Tags, Blueprint: d.Blueprint, Cohort: d.Cohort, Metadata: d.Metadata}
}
