package tandem

import "time"

// Organization is a tenant. Every other row belongs to exactly one.
type Organization struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Slug      string         `json:"slug"` // unique over all organizations, lower-case letters, digits and hyphens
	Settings  map[string]any `json:"settings,omitempty"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}
