package tandem

import (
	"context"
	"time"
)

// CredentialKind says how a device proves itself to the gateway.
type CredentialKind string

// The kinds.
const (
	TokenCredential       CredentialKind = "token"       // a bearer token over HTTP
	PasswordCredential    CredentialKind = "password"    // a user name and a password over MQTT
	PSKCredential         CredentialKind = "psk"         // a pre-shared key over CoAP with DTLS
	CertificateCredential CredentialKind = "certificate" // a client certificate over TLS
)

// CredentialKinds lists the kinds.
var CredentialKinds = []CredentialKind{TokenCredential, PasswordCredential, PSKCredential, CertificateCredential}

// Credential lets one device in (device_credentials).
type Credential struct {
	ID             string         `json:"id"`
	OrganizationID string         `json:"organization_id"`
	DeviceID       string         `json:"device_id"` // Device.ID
	Kind           CredentialKind `json:"kind"`
	// Identity is what the device names itself by, unique among the unrevoked ones of a kind over all organizations: the
	// user name of a password, the identity of a PSK, the SHA-256 of a certificate's DER in hex, of a token its own id.
	Identity string `json:"identity"`
	Name     string `json:"name"` // for people
	// Hash is SHA-256 of a token or password, hex; PreviousHash of the one before a rotation, good until PreviousUntil.
	Hash          string     `json:"-"`
	PreviousHash  string     `json:"-"`
	PreviousUntil *time.Time `json:"previous_until,omitempty"`
	Sealed        []byte     `json:"-"`                    // a PSK, sealed by package secret: it has to be known to be used
	ServiceID     string     `json:"service_id,omitempty"` // where a PSK was taken over from, "" for one of our own
	ExpiresAt     *time.Time `json:"expires_at,omitempty"`
	RevokedAt     *time.Time `json:"revoked_at,omitempty"`
	LastUsedAt    *time.Time `json:"last_used_at,omitempty"` // to the minute
	CreatedBy     string     `json:"created_by,omitempty"`
	Version       int64      `json:"version"` // rises with each change, but not with its use
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

// ValidAt reports whether the credential lets anybody in at now.
func (c *Credential) ValidAt(now time.Time) bool {
	return c.RevokedAt == nil && (c.ExpiresAt == nil || now.Before(*c.ExpiresAt))
}

// Credentialed is a credential with the device that it lets in.
type Credentialed struct {
	Credential Credential
	Device     Device // it may be deleted or disabled
	Slug       string // of the organization
}

// CredentialStore keeps what devices authenticate with; they are written with Apply.
type CredentialStore interface {
	Credentials(ctx context.Context, org, device string) ([]Credential, error) // newest first, revoked ones too
	Credential(ctx context.Context, org, id string) (Credential, error)
	// FindCredential finds an unrevoked one of any organization with its device: a token by the hash of it (or of the one
	// before it), others by their identity. NotFound where there is none.
	FindCredential(ctx context.Context, kind CredentialKind, key string) (Credentialed, error)
	// TouchCredentials notes when some, of any organizations, were last used.
	TouchCredentials(ctx context.Context, uses []CredentialUse) error
}

// CredentialUse is when a credential was last used.
type CredentialUse struct {
	OrganizationID string
	ID             string
	At             time.Time
}
