package tandem

import (
	"encoding/json"
	"time"
)

// The sources of a device's history.
const (
	FromRun      = "run"      // a sync
	FromPerson   = "person"   // somebody, or their program, edited it here
	FromDelivery = "delivery" // a sync that a webhook led to, or what a webhook reported
)

// HistoryEntry is one change of one field of a device, or of the device itself.
type HistoryEntry struct {
	At         time.Time       `json:"at"`
	Field      Path            `json:"field,omitempty"` // "" for the device itself
	Side       Side            `json:"side"`
	Action     Action          `json:"action"`
	Before     json.RawMessage `json:"before,omitempty"`
	After      json.RawMessage `json:"after,omitempty"`
	By         string          `json:"by,omitempty"` // who edited it, or started the run
	RunID      string          `json:"run_id,omitempty"`
	Trigger    Trigger         `json:"trigger,omitempty"`
	Operation  Operation       `json:"operation,omitempty"`
	DeliveryID string          `json:"delivery_id,omitempty"` // the webhook that led to the run, while it is kept
	Outcome    EntryOutcome    `json:"outcome"`
	Source     string          `json:"source"`
	Note       string          `json:"note,omitempty"`
	Error      string          `json:"error,omitempty"`
}

// HistoryFilter narrows a device's history; newest first.
type HistoryFilter struct {
	Field Path // a path; a bare field also finds its leaves
	Page
}
