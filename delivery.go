package tandem

import (
	"encoding/json"
	"time"
)

// DeliveryStatus is the state of a received webhook.
type DeliveryStatus string

// The delivery statuses.
const (
	DeliveryStored    DeliveryStatus = "stored"    // waits for its processing
	DeliveryRetrying  DeliveryStatus = "retrying"  // failed, and is tried again at NextAt
	DeliveryWaiting   DeliveryStatus = "waiting"   // about a device that is not linked yet (S35)
	DeliveryProcessed DeliveryStatus = "processed" // its effect is committed
	DeliveryDead      DeliveryStatus = "dead"      // failed for good: kept to look at and replay (S36)
	DeliveryRefused   DeliveryStatus = "refused"   // not authentic, too large or malformed; a sample is kept
)

// Delivery is one webhook request as received (deliveries). It holds no secret: of the headers only those that say
// what it is about are kept.
type Delivery struct {
	ID               string            `json:"id"` // UUIDv7
	OrganizationID   string            `json:"organization_id"`
	ServiceID        string            `json:"service_id"`
	EventID          string            `json:"event_id,omitempty"` // the sender's id, "" where it has none
	Digest           string            `json:"digest"`             // SHA-256 over what identifies the content, hex
	Type             string            `json:"type"`               // device.data, …, or pipeline
	ExternalDeviceID string            `json:"external_device_id,omitempty"`
	ProjectID        string            `json:"project_id,omitempty"`
	Path             string            `json:"path,omitempty"` // of a pipeline's payload, without the leading /.s
	ContentType      string            `json:"content_type"`
	Headers          map[string]string `json:"headers,omitempty"`
	Body             []byte            `json:"body"`
	Status           DeliveryStatus    `json:"status"`
	Attempts         int               `json:"attempts"`
	NextAt           *time.Time        `json:"next_at,omitempty"` // when it is tried (again)
	Error            string            `json:"error,omitempty"`   // of the last attempt, or why it was refused
	SentAt           *time.Time        `json:"sent_at,omitempty"` // by the sender's clock, where it said
	ReceivedAt       time.Time         `json:"received_at"`
	ProcessedAt      *time.Time        `json:"processed_at,omitempty"`
	RunID            string            `json:"run_id,omitempty"` // the run that a hint led to
}

// DeliveryFilter narrows a listing of deliveries; newest first.
type DeliveryFilter struct {
	IDs              []string
	ServiceID        string
	Status           DeliveryStatus
	Type             string
	ExternalDeviceID string
	AboutAny         []string // remote devices, by id: about any of them
	Sort             string   // one of DeliverySorts, or a minus and one; "" for the newest first
	Page
}

// DeliveryOutcome is what became of one attempt to process a delivery.
type DeliveryOutcome struct {
	ID        string
	ServiceID string // to count by; nothing else goes by it
	Status    DeliveryStatus
	Attempts  int
	NextAt    *time.Time
	Error     string
	RunID     string
	At        time.Time
}

// Push is a device that is to go through a run of its own soon (S36, S38): edited here, or hinted at by a webhook.
// One row for each service and device (or remote device): a later one moves Due, at most until 5 s after First.
type Push struct {
	OrganizationID   string // as read; writing goes by the transaction's
	ServiceID        string
	DeviceID         string  // Device.ID, "" when only the remote id is known
	ExternalDeviceID string  // "" when the device is known here
	Trigger          Trigger // edit or webhook
	By               string
	First            time.Time
	Due              time.Time
}

// WebhookScheme is how a service's deliveries prove where they come from (S34).
type WebhookScheme string

// The schemes; "" accepts none.
const (
	SignatureScheme WebhookScheme = "signature" // X-Golioth-Signature: HMAC-SHA256 of the raw body, hex
	StandardScheme  WebhookScheme = "standard"  // Standard Webhooks
	HeaderScheme    WebhookScheme = "header"    // a secret header, as a Golioth pipeline sends it
)

// WebhookConfig is how a service's deliveries are authenticated and read. Its secrets are sealed in
// Service.WebhookSecrets.
type WebhookConfig struct {
	Scheme WebhookScheme `json:"scheme,omitempty"`
	Header string        `json:"header,omitempty"` // of the header scheme; "X-Tandem-Secret" by default
	// Paths maps what a payload holds: for each field a path into the body, slash-separated, optionally with the
	// pipeline path and a colon before it: "sensor:battery/level". Fields: battery_level, location, lat, lon, firmware, online.
	Paths map[string]string `json:"paths,omitempty"`
	// Pipeline and Secret name what `service connect` made in the project, to be removed again.
	Pipeline  string `json:"pipeline,omitempty"`
	Secret    string `json:"secret,omitempty"`
	PublicURL string `json:"public_url,omitempty"`
}

// DeviceObservation is one reported value of a device's history (device_observations).
type DeviceObservation struct {
	DeviceID   string          `json:"device_id"`
	ServiceID  string          `json:"service_id,omitempty"`
	Path       string          `json:"path"` // battery_level, location, status, or the path of the payload
	Value      json.RawMessage `json:"value"`
	ObservedAt time.Time       `json:"observed_at"`
}

// ObservationFilter narrows a device's history; newest first.
type ObservationFilter struct {
	DeviceID string
	Path     string
	Since    time.Time
	Until    time.Time
	Sort     string // one of ObservationSorts, or a minus and one; "" for the newest first
	Page
}
