package tandem

import (
	"encoding/json"
	"time"
)

// AlertKind says what an alert is about.
type AlertKind string

// The alert kinds.
const (
	AlertConflicts       AlertKind = "conflicts"        // found by a run, and waiting for a person
	AlertRunFailed       AlertKind = "run_failed"       // or partly failed
	AlertRunBlocked      AlertKind = "run_blocked"      // a guard or an approval holds it
	AlertServiceDegraded AlertKind = "service_degraded" // S30
	AlertKeyRejected     AlertKind = "key_rejected"     // S31; also a stored key that cannot be opened
	AlertDeadLetters     AlertKind = "dead_letters"     // S36
	AlertTest            AlertKind = "test"             // a channel's test call
)

// AlertStatus is the state of an alert.
type AlertStatus string

// The alert statuses. Raised and acknowledged are open.
const (
	AlertRaised       AlertStatus = "raised"
	AlertAcknowledged AlertStatus = "acknowledged"
	AlertResolved     AlertStatus = "resolved"
)

// Severity says how much an alert hurts.
type Severity string

// The severities.
const (
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Alert is something that a person should look at (alerts). At most one is open for each kind and subject:
// what happens again raises Count and LastAt.
type Alert struct {
	ID             string      `json:"id"`
	OrganizationID string      `json:"organization_id"`
	Kind           AlertKind   `json:"kind"`
	Subject        string      `json:"subject"` // what it is about: a service's id
	ServiceID      string      `json:"service_id,omitempty"`
	RunID          string      `json:"run_id,omitempty"`
	Severity       Severity    `json:"severity"`
	Message        string      `json:"message"` // what happened, to what
	Hint           string      `json:"hint,omitempty"`
	Count          int         `json:"count"`
	Status         AlertStatus `json:"status"`
	RaisedAt       time.Time   `json:"raised_at"`
	LastAt         time.Time   `json:"last_at"`
	EscalatedAt    *time.Time  `json:"escalated_at,omitempty"` // nobody acknowledged it in time
	AcknowledgedBy string      `json:"acknowledged_by,omitempty"`
	AcknowledgedAt *time.Time  `json:"acknowledged_at,omitempty"`
	ResolvedBy     string      `json:"resolved_by,omitempty"` // "" when it passed by itself
	ResolvedAt     *time.Time  `json:"resolved_at,omitempty"`
	Version        int64       `json:"version"`
}

// Open reports whether somebody should still look.
func (a *Alert) Open() bool { return a.Status != AlertResolved }

// AlertFilter narrows a listing of alerts; newest first. Open ones only unless All or Status.
type AlertFilter struct {
	IDs       []string
	ServiceID string
	Kind      AlertKind
	Status    AlertStatus
	All       bool
	Sort      string // one of AlertSorts, or a minus and one; "" for the newest first
	Page
}

// ChannelType is a way to tell people.
type ChannelType string

// The channel types.
const (
	SlackChannel   ChannelType = "slack"   // a Slack-compatible incoming webhook
	EmailChannel   ChannelType = "email"   // SMTP
	WebhookChannel ChannelType = "webhook" // Standard Webhooks
)

// Channel is where alerts are sent (notification_channels).
type Channel struct {
	ID             string          `json:"id"`
	OrganizationID string          `json:"organization_id"`
	Name           string          `json:"name"` // unique in the organization
	Type           ChannelType     `json:"type"`
	Config         json.RawMessage `json:"config"` // no secrets: package alert says what each type has
	Credentials    []byte          `json:"-"`      // sealed: a Slack URL, an SMTP password, a signing secret
	Kinds          []AlertKind     `json:"kinds,omitempty"`
	MinSeverity    Severity        `json:"min_severity,omitempty"`
	EscalationOnly bool            `json:"escalation_only,omitempty"`
	ThrottleS      int             `json:"throttle_seconds"` // at most one message in this time; what comes meanwhile is summarized
	IsActive       bool            `json:"is_active"`
	LastSentAt     *time.Time      `json:"last_sent_at,omitempty"`
	LastError      string          `json:"last_error,omitempty"`
	Version        int64           `json:"version"`
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
}

// Notification is one alert on its way to one channel.
type Notification struct {
	ID             string
	OrganizationID string
	ChannelID      string
	AlertID        string
	Reason         string // raised, again, escalated, resolved, test
	Attempts       int
	NextAt         time.Time
	SentAt         *time.Time
	Error          string // of the last attempt; DeadAt says that it was given up
	DeadAt         *time.Time
	CreatedAt      time.Time
}
