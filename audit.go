package tandem

import (
	"encoding/json"
	"time"
)

// ActorKind says who or what acted.
type ActorKind string

// The actor kinds.
const (
	PersonActor  ActorKind = "person"
	TokenActor   ActorKind = "token"
	CommandActor ActorKind = "command" // the command line, on the database itself
	SystemActor  ActorKind = "system"  // a schedule, a webhook, retention
)

// AuditEntry says who or what changed something (audit_log, S37). It is never rewritten; what seals it is an AuditSeal.
type AuditEntry struct {
	ID             string          `json:"id"` // UUIDv7
	OrganizationID string          `json:"organization_id"`
	At             time.Time       `json:"at"`
	ActorKind      ActorKind       `json:"actor_kind"`
	ActorID        string          `json:"actor_id,omitempty"`
	Actor          string          `json:"actor"`  // for people
	Action         string          `json:"action"` // "device.update", "service.delete", "run.batch", …
	ThingType      string          `json:"thing_type"`
	ThingID        string          `json:"thing_id,omitempty"`
	Thing          string          `json:"thing,omitempty"` // its name
	Before         json.RawMessage `json:"before,omitempty"`
	After          json.RawMessage `json:"after,omitempty"`
	RunID          string          `json:"run_id,omitempty"`
	RequestID      string          `json:"request_id,omitempty"`
	Address        string          `json:"address,omitempty"` // where the request came from
}

// AuditSeal puts an entry at its place in the organization's chain: Hash is over the place before, and the entry.
type AuditSeal struct {
	Seq      int64     `json:"seq"` // from 1, without gaps
	EntryID  string    `json:"entry_id"`
	Previous string    `json:"previous"` // hex; of the first, 64 zeros
	Hash     string    `json:"hash"`     // hex
	SealedAt time.Time `json:"sealed_at"`
}

// RunDigests is what the entries of a run are now, to be held against what the audit tells of them.
type RunDigests struct {
	Batches map[string]BatchDigest `json:"batches"`           // by the id of the first entry, which every entry of the batch names
	Unnamed []string               `json:"unnamed,omitempty"` // ids of entries that name no batch, in order
}

// BatchDigest is over the entries of a batch, by id.
type BatchDigest struct {
	Entries int    `json:"entries"`
	Digest  string `json:"digest"` // SHA-256, hex
}

// AuditCheckpoint stands for the seals up to Seq, which retention has removed with their entries.
type AuditCheckpoint struct {
	Seq       int64     `json:"seq"`
	Hash      string    `json:"hash"`
	Entries   int64     `json:"entries"` // removed since the checkpoint before
	CreatedAt time.Time `json:"created_at"`
}

// SealedEntry is an entry with its seal, nil for one of the unsealed tail.
type SealedEntry struct {
	AuditEntry
	Seal *AuditSeal `json:"seal,omitempty"`
}

// AuditFilter narrows a listing of the audit; newest first.
type AuditFilter struct {
	Actor     string // id, or substring of the name
	Action    string // a whole one, or what precedes its dot
	ThingType string
	ThingID   string
	RunID     string
	Search    string // substring of thing or actor
	Since     time.Time
	Until     time.Time
	Sort      string // one of AuditSorts, or a minus and one; "" for the newest first
	Page
}
