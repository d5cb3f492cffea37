package tandem

import "time"

// Organization is a tenant. Every other row belongs to exactly one.
type Organization struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Slug      string         `json:"slug"` // unique over all organizations, lower-case letters, digits and hyphens
	Settings  map[string]any `json:"settings,omitempty"`
	Version   int64          `json:"version"` // rises with each change
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

// DeletedOrganization is a tenant that is no more, and whose audit is still kept.
type DeletedOrganization struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Slug      string    `json:"slug"` // at that time; another organization may have it now
	DeletedAt time.Time `json:"deleted_at"`
}

// EscalateSetting is the name of an organization's setting: the minutes after which an alert that nobody acknowledged
// escalates. 0 is never.
const EscalateSetting = "escalate_after_minutes"

// MaxEscalation is the longest that it can be, in minutes: 30 days.
const MaxEscalation = 30 * 24 * 60
