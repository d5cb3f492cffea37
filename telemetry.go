package tandem

import (
	"context"
	"time"
)

// SeriesPoint is what was observed of one value in a stretch of time that begins at At.
type SeriesPoint struct {
	At    time.Time `json:"at"`
	Min   float64   `json:"min"`
	Max   float64   `json:"max"`
	Mean  float64   `json:"mean"`
	Count int       `json:"count"`
}

// SeriesFilter says which numbers of a device's history are wanted.
type SeriesFilter struct {
	DeviceID string
	Path     string   // in the history
	Within   []string // the way into the payload on it, from its root; none for the value itself
	Since    time.Time
	Until    time.Time // exclusive
	Points   int       // at most
}

// OrganizationChanges are changes of one organization among several.
type OrganizationChanges struct {
	OrganizationID string
	*Changes
}

// TelemetryStore takes what devices report to the gateway.
type TelemetryStore interface {
	// ApplyAll writes the changes of several organizations in one transaction, each as Apply does.
	ApplyAll(ctx context.Context, all []OrganizationChanges) error
	// Reporters gives of some devices what a report is held against: id, device_id, name, enabled, when it was made,
	// deleted, last seen and gone, and its firmware. What is not there is left out.
	Reporters(ctx context.Context, org string, ids []string) ([]Device, error)
	// Series gives a device's numbers in at most Points stretches of equal length; those without any are left out.
	Series(ctx context.Context, org string, filter SeriesFilter) ([]SeriesPoint, error)
}
