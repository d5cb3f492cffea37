package tandem

import (
	"context"
	"time"
)

// ServerStore keeps everything: what Store does, and what a server with people, schedules and webhooks needs beside it.
type ServerStore interface {
	Store
	PeopleStore
	TokenStore
	AuditStore
	DeliveryStore
	AlertStore
	ScheduleStore
	JobStore
	EventStore
	AnswerStore
	RetentionStore
	CredentialStore
	CommandStore
	TelemetryStore
	OverviewStore
	PlanView
}

// PeopleStore keeps the people who sign in. A person belongs to no organization: these calls, like those about
// organizations, have none, except where they say so. Memberships, invitations and tokens are written with Apply.
type PeopleStore interface {
	// CreateUser adds a person, and the memberships; Exists when the email is taken. The audit may be of any of the
	// person's organizations.
	CreateUser(ctx context.Context, u User, memberships []Membership, audit ...AuditEntry) error
	// Admit writes all that letting a person in takes, or nothing: NotFound when the link was used or has expired,
	// Exists when the email or the slug is taken.
	Admit(ctx context.Context, a Admission) error
	// UpdateUser rewrites a person; u.Version is the one read (Stale when it moved).
	UpdateUser(ctx context.Context, u User, audit ...AuditEntry) error
	// NoteLogin writes Failures, LockedUntil, TOTPStep and LastLoginAt alone, without a version. A TOTPStep that is not
	// above the stored one, and not equal to what u was read with, is Stale: the code was used meanwhile.
	NoteLogin(ctx context.Context, u User, readStep int64, audit ...AuditEntry) error
	User(ctx context.Context, idOrEmail string) (User, error)
	UserBySubject(ctx context.Context, issuer, subject string) (User, error)
	CountUsers(ctx context.Context) (int, error)
	Belongings(ctx context.Context, user string) ([]Belonging, error)                    // by slug
	Members(ctx context.Context, org string, filter MemberFilter) ([]Member, int, error) // of one organization
	Member(ctx context.Context, org, idOrEmail string) (Member, error)                   // NotFound where not one
	Invitations(ctx context.Context, org string) ([]Invitation, error)                   // newest first
	Invitation(ctx context.Context, org, id string) (Invitation, error)                  //
	// InvitationTo gives the open invitation, of any organization, that an email was sent first; NotFound where there is none.
	InvitationTo(ctx context.Context, email string, now time.Time) (Invitation, error)
	CreateLink(ctx context.Context, link OneTimeLink) error                                         // earlier ones of the same purpose and person end, but for set-up links
	Link(ctx context.Context, purpose LinkPurpose, hash string, now time.Time) (OneTimeLink, error) // NotFound when used or expired
	// UseLink spends it: NotFound when it was used or has expired.
	UseLink(ctx context.Context, purpose LinkPurpose, hash string, now time.Time) (OneTimeLink, error)
	Session(ctx context.Context, id string, now time.Time) (Session, error)
	PutSession(ctx context.Context, s Session) error
	DeleteSession(ctx context.Context, id string) error
	DeleteSessions(ctx context.Context, user string) error
}

// TokenStore reads API tokens.
type TokenStore interface {
	// TokenByHash finds a token of any organization.
	TokenByHash(ctx context.Context, hash string) (Token, error)
	Tokens(ctx context.Context, org string) ([]Token, error) // newest first
	Token(ctx context.Context, org, id string) (Token, error)
	// TouchToken notes when it was last used; called at most once a minute for each.
	TouchToken(ctx context.Context, org, id string, at time.Time) error
}

// AuditStore reads and seals the audit. Entries are written with Apply; the database refuses to rewrite or remove them,
// except below a checkpoint.
type AuditStore interface {
	// Audit lists entries, newest first.
	Audit(ctx context.Context, org string, filter AuditFilter) ([]SealedEntry, int, error)
	// Sealed walks the sealed entries in order of the chain, after a place.
	Sealed(ctx context.Context, org string, after int64, limit int) ([]SealedEntry, error)
	// Unsealed walks the others, oldest first, and counts them.
	Unsealed(ctx context.Context, org string, limit int) ([]AuditEntry, int, error)
	// LastSeal and LastCheckpoint give where the chain ends and begins; zero values where there is none yet.
	LastSeal(ctx context.Context, org string) (AuditSeal, error)
	LastCheckpoint(ctx context.Context, org string) (AuditCheckpoint, error)
	// Seal adds seals; Stale when the chain does not end where the first begins: another sealer was there.
	Seal(ctx context.Context, org string, seals []AuditSeal) error
	// DeletedOrganizations lists those whose audit outlives them, the last deleted first.
	DeletedOrganizations(ctx context.Context) ([]DeletedOrganization, error)
	// OrganizationsToSeal names those with unsealed entries.
	OrganizationsToSeal(ctx context.Context) ([]string, error)
	// RunDigests reads all entries of a run, once, and gives what its "run.batch" audit entries are to be held against.
	RunDigests(ctx context.Context, org, run string) (RunDigests, error)
	// PruneAudit removes sealed entries older than an instant, leaving a checkpoint.
	PruneAudit(ctx context.Context, org string, before time.Time, limit int) (removed int, err error)
}

// DeliveryStore keeps received webhooks.
type DeliveryStore interface {
	// WebhookService finds a service by its id alone, for a request that names no organization.
	WebhookService(ctx context.Context, service string) (Service, error)
	// StoreDeliveries adds deliveries of any organizations in one transaction (S34). Those that were stored before are
	// left out and named by their position (S35): the same service and event id ever, or, without an event id, the same digest within 60 s.
	StoreDeliveries(ctx context.Context, deliveries []Delivery) (duplicates []int, err error)
	// StoreAndClaim does so and gives those that are due, as reading them would, to a process for a time: it has them in
	// its hands already, and a claim of its own would be one more transaction. Which of a device's deliveries is brought to
	// effect first does not matter to what it leads to (S5).
	StoreAndClaim(ctx context.Context, deliveries []Delivery, holder string, ttl time.Duration) (claimed []Delivery, duplicates []int, err error)
	// ClaimDeliveries gives deliveries to one process for a time, oldest first of each device, from any organization:
	// stored and retrying ones that are due, and those whose claim ran out.
	ClaimDeliveries(ctx context.Context, holder string, limit int, ttl time.Duration) ([]Delivery, error)
	// Reporting gives what LinkedByExternal does with no more of each device than a report is held against: of the
	// assignment its device, remote id, status and whether it is synced, of the device when it was made and deleted, when
	// it was last seen, and its firmware.
	Reporting(ctx context.Context, org, service string, externalIDs []string) ([]Linked, error)
	// Deliveries and Delivery read one organization's.
	Deliveries(ctx context.Context, org string, filter DeliveryFilter) ([]Delivery, int, error)
	Delivery(ctx context.Context, org, id string) (Delivery, error)
	// ReplayDeliveries sets deliveries back to stored, due now; ids of others are left out.
	ReplayDeliveries(ctx context.Context, org string, ids []string, along ...Along) (int, error)
	// WakeDeliveries sets those that wait for remote devices back to stored: they were linked meanwhile.
	WakeDeliveries(ctx context.Context, org, service string, externalIDs []string) (int, error)
	// CountDeliveries gives how many there are in each status, over all organizations when org is "".
	CountDeliveries(ctx context.Context, org string) (map[DeliveryStatus]int, error)
	// Observations reads a device's history.
	Observations(ctx context.Context, org string, filter ObservationFilter) ([]DeviceObservation, int, error)
}

// AlertStore reads alerts, channels and notifications; they are written with Apply.
type AlertStore interface {
	Alerts(ctx context.Context, org string, filter AlertFilter) ([]Alert, int, error)
	Alert(ctx context.Context, org, id string) (Alert, error)
	// OpenAlert finds the open one of a kind and subject, NotFound where there is none.
	OpenAlert(ctx context.Context, org string, kind AlertKind, subject string) (Alert, error)
	// AlertsToEscalate gives raised ones, of any organization, that nobody acknowledged since an instant and that did not escalate.
	AlertsToEscalate(ctx context.Context, raisedBefore time.Time, limit int) ([]Alert, error)
	Channels(ctx context.Context, org string) ([]Channel, error) // by name
	Channel(ctx context.Context, org, idOrName string) (Channel, error)
	// ClaimNotifications gives due ones of any organization to one process for a time.
	ClaimNotifications(ctx context.Context, holder string, limit int, ttl time.Duration) ([]Notification, error)
	// KeepNotifications keeps from other processes for longer what this one has claimed and still has.
	KeepNotifications(ctx context.Context, holder string, claimed []Notification, ttl time.Duration) error
	Notifications(ctx context.Context, org, channel string, page Page) ([]Notification, int, error) // newest first
	// NoteChannel writes LastSentAt and LastError alone.
	NoteChannel(ctx context.Context, org, id string, sentAt *time.Time, lastError string) error
}

// ScheduleStore is what the background work looks at, over all organizations.
type ScheduleStore interface {
	// DueServices gives active services with automatic sync whose NextSyncAt has come or was never set, the longest due first.
	DueServices(ctx context.Context, now time.Time, limit int) ([]Service, error)
	// ActiveServices walks all active services by id, after one.
	ActiveServices(ctx context.Context, after string, limit int) ([]Service, error)
	// DuePushes gives a service's pushes that are due, without taking them: they are dropped with Changes.DropPushes.
	DuePushes(ctx context.Context, org, service string, now time.Time, limit int) ([]Push, error)
	// ServicesToPush names the organizations and services with pushes due before an instant.
	ServicesToPush(ctx context.Context, before time.Time, limit int) ([]Push, error)
	// UnendedRuns gives runs of any organization that are queued or running since before an instant.
	UnendedRuns(ctx context.Context, since time.Time, limit int) ([]Run, error)
	// LeaseHolder gives the run that holds a service's lease now, "" where nobody does.
	LeaseHolder(ctx context.Context, org, service string) (run string, err error)
	// TurnedOffline gives linked devices of a service whose last report is older than their online window now and was not at since.
	TurnedOffline(ctx context.Context, org, service string, since, now time.Time, limit int) ([]LinkedID, error)
}

// JobStore keeps the jobs of Along until a process with a job engine has taken them over. The row is written in the
// transaction of the change that it is about, so that neither is there without the other, whoever makes the change: a
// command line without a job engine, or a transaction that runs as a role that sees none of the engine's tables.
// A process takes them over like this: ClaimJobs, hand them to the engine under their ids as unique keys, DropJobs.
// When it dies in between, another claims them again, and the keys make that harmless.
type JobStore interface {
	// ClaimJobs gives jobs, of any organization, to one process for a time, in the order of their ids. A job is given to
	// one process only, until its claim runs out.
	ClaimJobs(ctx context.Context, holder string, limit int, ttl time.Duration) ([]PendingJob, error)
	// DropJobs removes those that were taken over.
	DropJobs(ctx context.Context, ids []int64) error
	// WaitForJobs returns when there may be new ones, or with ctx.
	WaitForJobs(ctx context.Context) error
}

// EventStore reads what changed, for live streams.
type EventStore interface {
	// EventsSince walks the events of all organizations in the order in which they became visible, after a cursor; an empty
	// cursor begins now. The caller may see one twice, and misses none that was committed after its cursor.
	EventsSince(ctx context.Context, cursor string, limit int) (events []Event, next string, err error)
	// WaitForEvents returns when there may be new ones, or with ctx.
	WaitForEvents(ctx context.Context) error
}

// AnswerStore keeps what was replied to requests with an Idempotency-Key.
type AnswerStore interface {
	// BeginAnswer reserves the key, or gives what is there: begun is true for the one who is to do the request.
	BeginAnswer(ctx context.Context, org string, a Answer, now time.Time) (stored Answer, begun bool, err error)
	FinishAnswer(ctx context.Context, org string, a Answer) error
	// DropAnswer frees a key whose request failed without an effect.
	DropAnswer(ctx context.Context, org, key string) error
}

// OverviewStore counts and gathers what a page shows at a glance.
type OverviewStore interface {
	// Overview counts an organization's fleet and what is wrong with it, with the statuses of now. Of a large fleet it
	// gives what was counted at most 15 seconds ago, by Overview.At.
	Overview(ctx context.Context, org string, now time.Time) (Overview, error)
	OpenCounts(ctx context.Context, org string) (OpenCounts, error)
	// DeliveryRate gives how many deliveries came to each status, of one service or of all, in steps of whole minutes.
	// A process notes once a second what it stored and processed: what is newer may lack, and a process that is killed
	// leaves its last second out.
	DeliveryRate(ctx context.Context, org, service string, since, until time.Time, step time.Duration) ([]DeliveryBucket, error)
	// ConflictGroups counts conflicts by service, field and type, the most first; the filter's page does not matter.
	ConflictGroups(ctx context.Context, org string, filter ConflictFilter) ([]ConflictGroup, error)
	// UndoneEntries hands the entries of a run that did not get done to each, without their values, oldest first, at most limit of them.
	UndoneEntries(ctx context.Context, org, run string, limit int, each func(*Entry)) error
	// DeviceEntries gives the newest entries of runs about a device with what is known of their runs, and counts all matches.
	DeviceEntries(ctx context.Context, org, device string, field Path, limit int) ([]HistoryEntry, int, error)
	// DeviceEdits gives the newest audit entries about a device.
	DeviceEdits(ctx context.Context, org, device string, limit int) ([]AuditEntry, error)
	// RecentEdits gives the audit entries of people's edits of several devices, the newest first, at most perDevice of each.
	RecentEdits(ctx context.Context, org string, devices []string, perDevice int) ([]AuditEntry, error)
	DeviceFacets(ctx context.Context, org string) (DeviceFacets, error)
	// RunProgress gives where a run stands: as it was last noted while it runs, else as it ended.
	RunProgress(ctx context.Context, org, run string) (Progress, error)
}

// Retention says how long things are kept; 0 keeps them for ever.
type Retention struct {
	Runs         time.Duration // with their entries, conflicts that are closed and plans; 90 days
	Deliveries   time.Duration // 7 days; dead ones, waiting ones and refused ones too
	Observations time.Duration // 90 days
	Audit        time.Duration // 365 days, leaving a checkpoint
	Events       time.Duration // 1 hour
	Alerts       time.Duration // resolved ones, with their notifications; 90 days
	Commands     time.Duration // of devices, and their revoked credentials; 90 days
}

// DefaultRetention is what is kept where nothing else is set; docs/operations.md says what it takes on disk.
func DefaultRetention() Retention {
	const day = 24 * time.Hour
	return Retention{Runs: 90 * day, Deliveries: 7 * day, Observations: 90 * day, Audit: 365 * day, Events: time.Hour, Alerts: 90 * day, Commands: 90 * day}
}

// RetentionStore removes what is older than it is kept, in bounded steps.
type RetentionStore interface {
	// Prune removes up to about limit rows of each kind and says how many; called again until it gives 0.
	// Expired sessions, links, answers and claims go too. The audit goes with PruneAudit. Where observations lie in partitions
	// it also makes those that come, and drops one that is over: a partition counts as one row.
	Prune(ctx context.Context, keep Retention, now time.Time, limit int) (removed map[string]int, err error)
	// RollUp sums up the hours in which devices reported often, so that long series read few rows: those of what was written in one
	// more hour that is over, and says how many they were. More says that there is more to do.
	RollUp(ctx context.Context, now time.Time) (hours int, more bool, err error)
}
