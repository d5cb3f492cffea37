package main

import (
	"context"
	"io"
	"time"

	"tandem"
	"tandem/audit"
	"tandem/registry"
	"tandem/secret"
)

// useCases is what commands do, in the registry's terms, wherever it is done: on the database itself, or at a
// server that runs. org is an organization's id.
type useCases interface {
	organizationCases
	serviceCases
	webhookCases
	deviceCases
	runCases
	planCases
	conflictCases
	peopleCases
	alertCases
	gatewayCases
	auditCases
	overviewCases
}

type organizationCases interface {
	Organizations(ctx context.Context) ([]tandem.Organization, error)
	Organization(ctx context.Context, ref string) (tandem.Organization, error)
	CreateOrganization(ctx context.Context, name, slug string) (tandem.Organization, error)
	UpdateOrganization(ctx context.Context, ref string, edit registry.OrganizationEdit) (tandem.Organization, error)
	DeleteOrganization(ctx context.Context, ref string, ifVersion ...int64) (tandem.Organization, error)
}

// newService is what a service is made of; with check the project is asked first.
type newService struct {
	Name   string
	Type   string
	Config tandem.ServiceConfig
	Key    secret.Text
	Check  bool
}

// serviceEdit names what is to change of a service; nil leaves a value as it is.
type serviceEdit struct {
	Name         *string
	Config       func(*tandem.ServiceConfig)
	Key          *secret.Text
	IsActive     *bool
	SyncEnabled  *bool
	SyncInterval *int // seconds
}

type serviceCases interface {
	Services(ctx context.Context, org string) ([]tandem.Service, error)
	Service(ctx context.Context, org, ref string) (tandem.Service, error)
	AddService(ctx context.Context, org string, add newService) (tandem.Service, error)
	UpdateService(ctx context.Context, org, ref string, edit serviceEdit) (tandem.Service, error)
	DeleteService(ctx context.Context, org, ref string, ifVersion ...int64) (s tandem.Service, unlinked int, err error)
	ConfirmProject(ctx context.Context, org, id string) (detached int, err error)
	// TestService asks the project once, and says how long it took.
	TestService(ctx context.Context, org string, v *tandem.Service) (tandem.RemoteProject, time.Duration, error)
	// TryService asks a project once with settings that are not stored, of a new service where ref is ""; a nil key is the stored one.
	TryService(ctx context.Context, org, ref, baseURL, project string, key *secret.Text) (tandem.RemoteProject, time.Duration, error)
	// HasKey reports whether the service is known to have this key already.
	HasKey(v *tandem.Service, key secret.Text) bool
	// Approved reports whether a person has let the service's settings run, and whether there ever was such a run (S28).
	Approved(v *tandem.Service) (now, ever bool)
	LinkedCount(ctx context.Context, org, service string) (int, error)
}

type deviceCases interface {
	Devices(ctx context.Context, org string, filter tandem.DeviceFilter) ([]tandem.DeviceRow, int, error)
	Device(ctx context.Context, org, ref string) (tandem.Device, error)
	CreateDevice(ctx context.Context, org string, edit registry.DeviceEdit) (tandem.Device, error)
	UpdateDevice(ctx context.Context, org, ref string, edit registry.DeviceEdit) (tandem.Device, []registry.FieldChange, error)
	DeleteDevice(ctx context.Context, org, ref string) (tandem.Device, error)
	Link(ctx context.Context, org, service, ref, externalID string) (tandem.Device, tandem.Assignment, error)
	Unlink(ctx context.Context, org, service, ref string) (tandem.Device, error)
	CompareDevice(ctx context.Context, org, ref string) ([]tandem.Comparison, error)
	ImportDevices(ctx context.Context, org string, file io.Reader, options registry.ImportOptions, each func(registry.ImportChange)) (registry.ImportReport, error)
	ExportDevices(ctx context.Context, org string, filter tandem.DeviceFilter, service tandem.Service, format registry.Format, to io.Writer) (int, error)
	NotLinked(ctx context.Context, org, service string, filter tandem.NotLinkedFilter) ([]tandem.NotLinked, int, error)
	IgnoreRemote(ctx context.Context, org, service string, externalIDs []string, ignore bool) error
}

// runCases have a run done to its end: in this process, or followed while another does it.
type runCases interface {
	Sync(ctx context.Context, org string, req tandem.RunRequest, report tandem.Report) (tandem.Run, error)
	Preview(ctx context.Context, org string, req tandem.RunRequest, save bool, each func(tandem.Change) error, report tandem.Report) (tandem.Preview, error)
	ImportRemote(ctx context.Context, org, service string, externalIDs []string, report tandem.Report) (tandem.Run, error)
	ApproveRun(ctx context.Context, org, id string, report tandem.Report) (tandem.Run, error)
	RevertRun(ctx context.Context, org, id string, report tandem.Report) (tandem.Run, error)
	PreviewRevert(ctx context.Context, org, id string, each func(tandem.Change) error) (tandem.Preview, error)
	DiscardRun(ctx context.Context, org, id string) error
	CancelRun(ctx context.Context, org, id string) (tandem.Run, error)
	Runs(ctx context.Context, org string, filter tandem.RunFilter) ([]tandem.Run, int, error)
	Run(ctx context.Context, org, id string) (tandem.Run, error)
	Entries(ctx context.Context, org string, filter tandem.EntryFilter) ([]tandem.Entry, int, error)
	Plans(ctx context.Context, org, service string) ([]tandem.Plan, error)
	Plan(ctx context.Context, org, id string) (tandem.Plan, error)
	PlanRows(ctx context.Context, org, id string, offset, limit int) ([]tandem.Change, error)
}

type conflictCases interface {
	Conflicts(ctx context.Context, org string, filter tandem.ConflictFilter) ([]tandem.Conflict, int, error)
	Conflict(ctx context.Context, org, id string) (tandem.Conflict, error)
	Settle(ctx context.Context, org string, s tandem.Settlement) ([]tandem.Settled, error)
}

type peopleCases interface {
	Users(ctx context.Context, org string, filter tandem.MemberFilter) ([]tandem.Member, int, error)
	User(ctx context.Context, org, ref string) (tandem.Member, error)
	CreateUser(ctx context.Context, org string, person registry.NewPerson, role tandem.Role) (tandem.User, error)
	ChangeRole(ctx context.Context, org, ref string, role tandem.Role, ifVersion ...int64) (tandem.Member, error)
	DisableUser(ctx context.Context, org, ref string, disabled bool, ifVersion ...int64) (tandem.User, error)
	RemoveUser(ctx context.Context, org, ref string, ifVersion ...int64) (tandem.Member, error)
	Invite(ctx context.Context, org, email string, role tandem.Role) (tandem.Invitation, string, error)
	// UnlockUser lets a person sign in again, with factor without their second one, and gives the secret of a reset link.
	UnlockUser(ctx context.Context, email string, factor bool) (tandem.User, string, error)
	ResetPassword(ctx context.Context, secret, password string) (tandem.User, error)
	Tokens(ctx context.Context, org string) ([]tandem.Token, error)
	CreateToken(ctx context.Context, org string, add registry.NewToken) (tandem.Token, string, error)
	RevokeToken(ctx context.Context, org, id string) (tandem.Token, error)
}

// webhookCases are about deliveries and what makes them come.
type webhookCases interface {
	Deliveries(ctx context.Context, org string, filter tandem.DeliveryFilter) ([]tandem.Delivery, int, error)
	Delivery(ctx context.Context, org, id string) (tandem.Delivery, error)
	ReplayDeliveries(ctx context.Context, org string, ids []string) (int, error)
	UpdateWebhook(ctx context.Context, org, ref string, edit registry.WebhookEdit) (tandem.Service, string, error)
	ConnectWebhook(ctx context.Context, org, ref, publicURL string, dry bool, paths ...string) (registry.Connection, error)
	DisconnectWebhook(ctx context.Context, org, ref string) (tandem.Service, error)
}

type alertCases interface {
	Alerts(ctx context.Context, org string, filter tandem.AlertFilter) ([]tandem.Alert, int, error)
	Alert(ctx context.Context, org, id string) (tandem.Alert, error)
	AcknowledgeAlert(ctx context.Context, org, id string) (tandem.Alert, error)
	ResolveAlert(ctx context.Context, org, id string) (tandem.Alert, error)
	Channels(ctx context.Context, org string) ([]tandem.Channel, error)
	Channel(ctx context.Context, org, ref string) (tandem.Channel, error)
	CreateChannel(ctx context.Context, org string, add registry.NewChannel) (tandem.Channel, error)
	UpdateChannel(ctx context.Context, org, ref string, edit registry.ChannelEdit) (tandem.Channel, error)
	DeleteChannel(ctx context.Context, org, ref string, ifVersion ...int64) (tandem.Channel, error)
	TestChannel(ctx context.Context, org, ref string) error
}

// auditCases are about the audit as a chain (S37).
type auditCases interface {
	ExportAudit(ctx context.Context, org string, to io.Writer) (audit.Head, error)
	VerifyAudit(ctx context.Context, org string, earlier *audit.Head, report audit.Progress) (audit.Result, error)
}
