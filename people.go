package tandem

import "time"

// Role is what a person or a token may do in one organization. Package registry says what each allows.
type Role string

// The roles, the mightiest first.
const (
	Owner    Role = "owner"
	Admin    Role = "admin"
	Manager  Role = "manager"
	Operator Role = "operator"
	Viewer   Role = "viewer"
)

// Roles lists the roles, the mightiest first.
var Roles = []Role{Owner, Admin, Manager, Operator, Viewer}

// User is a person who signs in. A person may be a member of several organizations.
type User struct {
	ID    string `json:"id"`
	Email string `json:"email"` // unique, ignoring case
	Name  string `json:"name"`
	// PasswordHash is argon2id in PHC form; "" for one who only signs in through the identity provider.
	PasswordHash string `json:"-"`
	// TOTPSecret is sealed by package secret; TOTPEnabled says that it was confirmed once and is asked for.
	TOTPSecret  []byte `json:"-"`
	TOTPEnabled bool   `json:"totp_enabled"`
	// TOTPStep is the last 30-second step whose code was used: a code works once.
	TOTPStep int64 `json:"-"`
	// RecoveryHashes are SHA-256 of the recovery codes that are left, hex.
	RecoveryHashes []string `json:"-"`
	// Issuer and Subject name the person at the identity provider, "" where none was used.
	Issuer  string `json:"-"`
	Subject string `json:"-"`
	// Epoch rises with each change of the password or second factor: sessions of an older epoch have ended.
	Epoch int64 `json:"-"`
	// Failures counts wrong passwords and codes in a row; LockedUntil is when the next try is looked at.
	Failures    int        `json:"-"`
	LockedUntil *time.Time `json:"-"`
	DisabledAt  *time.Time `json:"disabled_at,omitempty"`
	LastLoginAt *time.Time `json:"last_login_at,omitempty"`
	Version     int64      `json:"version"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

// Membership gives a person a role in an organization.
type Membership struct {
	OrganizationID string    `json:"organization_id"`
	UserID         string    `json:"user_id"`
	Role           Role      `json:"role"`
	Version        int64     `json:"version"` // rises with each change
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// Member is a person with the role in the organization that was asked about.
type Member struct {
	User
	Role Role `json:"role"`
	// Version rises with each change of the person or of the role: it is the sum of both versions.
	Version    int64 `json:"version"`
	Membership int64 `json:"-"` // the version of the membership alone
}

// Belonging is an organization with a person's role in it.
type Belonging struct {
	Organization Organization `json:"organization"`
	Role         Role         `json:"role"`
}

// MemberFilter narrows a listing of members; by email.
type MemberFilter struct {
	Search string // substring of email or name, ignoring case
	Role   Role
	Sort   string // one of MemberSorts, or a minus and one; "" for by email
	Page
}

// LinkPurpose says what a one-time link lets its bearer do.
type LinkPurpose string

// The purposes.
const (
	SetUpLink  LinkPurpose = "set_up"         // make the first owner
	ResetLink  LinkPurpose = "reset_password" // of UserID
	InviteLink LinkPurpose = "invitation"     // of InvitationID
)

// OneTimeLink is the right to do one thing once, for whoever has the secret; only its hash is kept.
type OneTimeLink struct {
	ID             string
	Purpose        LinkPurpose
	Hash           string // SHA-256 of the secret, hex; unique
	UserID         string // "" where there is none yet
	OrganizationID string // of an invitation
	InvitationID   string
	ExpiresAt      time.Time
	UsedAt         *time.Time
	CreatedAt      time.Time
}

// Invitation asks a person to join an organization.
type Invitation struct {
	ID             string     `json:"id"`
	OrganizationID string     `json:"organization_id"`
	Email          string     `json:"email"`
	Role           Role       `json:"role"`
	InvitedBy      string     `json:"invited_by"`
	ExpiresAt      time.Time  `json:"expires_at"`
	AcceptedAt     *time.Time `json:"accepted_at,omitempty"`
	RevokedAt      *time.Time `json:"revoked_at,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
}

// Admission lets somebody in. What it names is written in one transaction.
type Admission struct {
	Link         *OneTimeLink  // spent first, by its Purpose and Hash
	Now          time.Time     // by which the link has not expired
	Organization *Organization // new
	User         *User         // new
	Memberships  []Membership  // added, or rewritten
	Invitation   *Invitation   // rewritten
	Audit        []AuditEntry  // of any of the organizations
}

// Token lets a program act in one organization. Its secret is shown once and kept as a hash.
type Token struct {
	ID             string     `json:"id"`
	OrganizationID string     `json:"organization_id"`
	Name           string     `json:"name"`
	UserID         string     `json:"user_id,omitempty"` // whose token it is; it ends with that person's membership
	Role           Role       `json:"role"`              // it may do what this role and the person may
	Scopes         []string   `json:"scopes,omitempty"`  // permissions such as "devices:read"; empty for all of the role's
	Hash           string     `json:"-"`                 // SHA-256 of the secret, hex; unique
	ExpiresAt      *time.Time `json:"expires_at,omitempty"`
	RevokedAt      *time.Time `json:"revoked_at,omitempty"`
	LastUsedAt     *time.Time `json:"last_used_at,omitempty"`
	CreatedBy      string     `json:"created_by,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
}

// Session is a signed-in browser. Its id is the SHA-256 of what the cookie holds.
type Session struct {
	ID        string // hex
	UserID    string // "" before signing in
	Data      []byte // of the session library
	ExpiresAt time.Time
}

// Answer is what was replied to a request with an Idempotency-Key, to be replied again.
type Answer struct {
	Key         string // with the actor and the route: unique in the organization
	Fingerprint string // SHA-256 of the request, hex: another one under the same key is refused
	Status      int    // 0 while the first request is still under way
	Header      map[string]string
	Body        []byte
	ExpiresAt   time.Time
}
