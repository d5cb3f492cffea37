package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"tandem"
	"tandem/golioth"
	"tandem/registry"
	"tandem/secret"
	"tandem/syncer"
)

// onDatabase does the use cases on the database itself, as whoever sits at the command line. Runs are done in this
// process, to their end.
type onDatabase struct{ *session }

// Organizations lists all tenants.
func (s onDatabase) Organizations(ctx context.Context) ([]tandem.Organization, error) {
	return s.registry.Organizations(ctx, s.actor)
}

// Organization finds one by id or slug.
func (s onDatabase) Organization(ctx context.Context, ref string) (tandem.Organization, error) {
	return s.registry.Organization(ctx, s.actor, ref)
}

// CreateOrganization makes one.
func (s onDatabase) CreateOrganization(ctx context.Context, name, slug string) (tandem.Organization, error) {
	return s.registry.CreateOrganization(ctx, s.actor, name, slug)
}

// UpdateOrganization changes one.
func (s onDatabase) UpdateOrganization(ctx context.Context, ref string, edit registry.OrganizationEdit) (tandem.Organization, error) {
	return s.registry.UpdateOrganization(ctx, s.actor, ref, edit)
}

// DeleteOrganization removes one with everything that it has here.
func (s onDatabase) DeleteOrganization(ctx context.Context, ref string, ifVersion ...int64) (tandem.Organization, error) {
	return s.registry.DeleteOrganization(ctx, s.actor, ref, ifVersion...)
}

// Services lists an organization's services.
func (s onDatabase) Services(ctx context.Context, org string) ([]tandem.Service, error) {
	return s.registry.Services(ctx, s.actor, org)
}

// Service finds one by id or name.
func (s onDatabase) Service(ctx context.Context, org, ref string) (tandem.Service, error) {
	return s.registry.Service(ctx, s.actor, org, ref)
}

// AddService connects a project.
func (s onDatabase) AddService(ctx context.Context, org string, add newService) (tandem.Service, error) {
	return s.registry.AddService(ctx, s.actor, org, registry.NewService{Name: add.Name, ServiceType: add.Type, Config: add.Config,
		Key: func(org, id string) ([]byte, error) {
			if add.Check {
				if _, err := askProject(ctx, &add.Config, add.Key, nil); err != nil {
					return nil, err
				}
			}
			return s.keys.Seal(add.Key, where(org, id))
		}})
}

// askProject asks a project whether it answers and takes a key; transport carries the requests, nil for any address.
func askProject(ctx context.Context, config *tandem.ServiceConfig, key secret.Text, transport http.RoundTripper) (tandem.RemoteProject, error) {
	client, err := golioth.New(golioth.Options{BaseURL: config.BaseURL, Project: config.Project, Key: golioth.Secret(key.Reveal()), Transport: transport})
	if err != nil {
		return tandem.RemoteProject{}, err
	}
	defer client.Close()
	return client.Project(ctx)
}

// UpdateService changes a service.
func (s onDatabase) UpdateService(ctx context.Context, org, ref string, edit serviceEdit) (tandem.Service, error) {
	change := registry.ServiceEdit{Name: edit.Name, Config: edit.Config, IsActive: edit.IsActive, SyncEnabled: edit.SyncEnabled, SyncInterval: edit.SyncInterval}
	if edit.Key != nil {
		change.Key = func(org, id string) ([]byte, error) { return s.keys.Seal(*edit.Key, where(org, id)) }
	}
	return s.registry.UpdateService(ctx, s.actor, org, ref, change)
}

// DeleteService removes a service and unlinks its devices.
func (s onDatabase) DeleteService(ctx context.Context, org, ref string, ifVersion ...int64) (tandem.Service, int, error) {
	return s.registry.DeleteService(ctx, s.actor, org, ref, ifVersion...)
}

// ConfirmProject lets a service have another project, unlinking its devices.
func (s onDatabase) ConfirmProject(ctx context.Context, org, id string) (int, error) {
	return s.registry.ConfirmProject(ctx, s.actor, org, id)
}

// TestService asks the service's project once.
func (s onDatabase) TestService(ctx context.Context, _ string, v *tandem.Service) (tandem.RemoteProject, time.Duration, error) {
	remote, err := s.client(*v)
	if err != nil {
		return tandem.RemoteProject{}, 0, err
	}
	began := time.Now()
	project, err := remote.Project(ctx)
	if err != nil {
		return project, 0, err
	}
	return project, time.Since(began), checkPin(v, project.ProjectIdentity)
}

// TryService asks a project once, and keeps nothing.
func (s onDatabase) TryService(ctx context.Context, org, ref, baseURL, project string, key *secret.Text) (tandem.RemoteProject, time.Duration, error) {
	var seal registry.Seal
	if key != nil {
		seal = func(org, id string) ([]byte, error) { return s.keys.Seal(*key, where(org, id)) }
	}
	at, err := s.registry.TryService(ctx, s.actor, org, ref, baseURL, project, seal)
	return at.Project, at.Took, err
}

// HasKey compares with the stored key, where that can be opened and works.
func (s onDatabase) HasKey(v *tandem.Service, key secret.Text) bool {
	old, err := s.keys.Unseal(v.Credentials, where(v.OrganizationID, v.ID))
	return err == nil && old.Reveal() == key.Reveal() && v.State == tandem.ServiceOK
}

// Approved compares the settings with those that a person has let run.
func (s onDatabase) Approved(v *tandem.Service) (now, ever bool) {
	return syncer.Approved(v), v.ApprovedConfig != ""
}

// LinkedCount counts a service's linked devices.
func (s onDatabase) LinkedCount(ctx context.Context, org, service string) (int, error) {
	return s.store.LinkedCount(ctx, org, service)
}

// Devices lists devices.
func (s onDatabase) Devices(ctx context.Context, org string, filter tandem.DeviceFilter) ([]tandem.DeviceRow, int, error) {
	return s.registry.Devices(ctx, s.actor, org, filter)
}

// Device finds one by id, device_id or name.
func (s onDatabase) Device(ctx context.Context, org, ref string) (tandem.Device, error) {
	return s.registry.Device(ctx, s.actor, org, ref)
}

// CreateDevice adds one.
func (s onDatabase) CreateDevice(ctx context.Context, org string, edit registry.DeviceEdit) (tandem.Device, error) {
	return s.registry.CreateDevice(ctx, s.actor, org, edit)
}

// UpdateDevice changes one.
func (s onDatabase) UpdateDevice(ctx context.Context, org, ref string, edit registry.DeviceEdit) (tandem.Device, []registry.FieldChange, error) {
	return s.registry.UpdateDevice(ctx, s.actor, org, ref, edit)
}

// DeleteDevice removes one here.
func (s onDatabase) DeleteDevice(ctx context.Context, org, ref string) (tandem.Device, error) {
	return s.registry.DeleteDevice(ctx, s.actor, org, ref)
}

// Link links a device to a remote one.
func (s onDatabase) Link(ctx context.Context, org, service, ref, externalID string) (tandem.Device, tandem.Assignment, error) {
	return s.registry.Link(ctx, s.actor, org, service, ref, externalID)
}

// Unlink stops syncing a device with a service.
func (s onDatabase) Unlink(ctx context.Context, org, service, ref string) (tandem.Device, error) {
	return s.registry.Unlink(ctx, s.actor, org, service, ref)
}

// CompareDevice puts a device's sides beside each other.
func (s onDatabase) CompareDevice(ctx context.Context, org, ref string) ([]tandem.Comparison, error) {
	return s.registry.CompareDevice(ctx, s.actor, org, ref)
}

// ImportDevices adds, updates and links devices from a file.
func (s onDatabase) ImportDevices(ctx context.Context, org string, file io.Reader, options registry.ImportOptions, each func(registry.ImportChange)) (registry.ImportReport, error) {
	return s.registry.ImportDevices(ctx, s.actor, org, registry.ReadRows(file), options, each)
}

// ExportDevices writes devices to a file.
func (s onDatabase) ExportDevices(ctx context.Context, org string, filter tandem.DeviceFilter, service tandem.Service, format registry.Format, to io.Writer) (int, error) {
	return s.registry.ExportDevices(ctx, s.actor, org, filter, service, format, to)
}

// NotLinked lists what a service showed and nothing here is linked to.
func (s onDatabase) NotLinked(ctx context.Context, org, service string, filter tandem.NotLinkedFilter) ([]tandem.NotLinked, int, error) {
	return s.registry.NotLinked(ctx, s.actor, org, service, filter)
}

// IgnoreRemote hides remote devices, or shows them again.
func (s onDatabase) IgnoreRemote(ctx context.Context, org, service string, externalIDs []string, ignore bool) error {
	return s.registry.IgnoreRemote(ctx, s.actor, org, service, externalIDs, ignore)
}

// Sync does a run here.
func (s onDatabase) Sync(ctx context.Context, org string, req tandem.RunRequest, report tandem.Report) (tandem.Run, error) {
	return s.registry.RunHere(ctx, s.actor, org, req, report)
}

// Preview plans a run.
func (s onDatabase) Preview(ctx context.Context, org string, req tandem.RunRequest, save bool, each func(tandem.Change) error, report tandem.Report) (tandem.Preview, error) {
	return s.registry.PreviewRun(ctx, s.actor, org, req, save, each, report)
}

// ImportRemote creates devices here for remote ones.
func (s onDatabase) ImportRemote(ctx context.Context, org, service string, externalIDs []string, _ tandem.Report) (tandem.Run, error) {
	return s.registry.ImportRemote(ctx, s.actor, org, service, externalIDs)
}

// ApproveRun does here what a run held back.
func (s onDatabase) ApproveRun(ctx context.Context, org, id string, report tandem.Report) (tandem.Run, error) {
	return s.registry.ApproveHere(ctx, s.actor, org, id, report)
}

// RevertRun undoes a run here.
func (s onDatabase) RevertRun(ctx context.Context, org, id string, report tandem.Report) (tandem.Run, error) {
	return s.registry.RevertHere(ctx, s.actor, org, id, report)
}

// PreviewRevert says what undoing a run would change.
func (s onDatabase) PreviewRevert(ctx context.Context, org, id string, each func(tandem.Change) error) (tandem.Preview, error) {
	return s.registry.PreviewRevert(ctx, s.actor, org, id, each)
}

// DiscardRun drops what a run held back.
func (s onDatabase) DiscardRun(ctx context.Context, org, id string) error {
	return s.registry.DiscardRun(ctx, s.actor, org, id)
}

// CancelRun asks a run to stop.
func (s onDatabase) CancelRun(ctx context.Context, org, id string) (tandem.Run, error) {
	return s.registry.CancelRun(ctx, s.actor, org, id)
}

// Runs lists runs.
func (s onDatabase) Runs(ctx context.Context, org string, filter tandem.RunFilter) ([]tandem.Run, int, error) {
	return s.registry.Runs(ctx, s.actor, org, filter)
}

// Run finds a run.
func (s onDatabase) Run(ctx context.Context, org, id string) (tandem.Run, error) {
	return s.registry.Run(ctx, s.actor, org, id)
}

// Entries lists what runs did.
func (s onDatabase) Entries(ctx context.Context, org string, filter tandem.EntryFilter) ([]tandem.Entry, int, error) {
	return s.registry.Entries(ctx, s.actor, org, filter)
}

// Plans lists stored plans.
func (s onDatabase) Plans(ctx context.Context, org, service string) ([]tandem.Plan, error) {
	return s.registry.Plans(ctx, s.actor, org, service)
}

// Plan finds one.
func (s onDatabase) Plan(ctx context.Context, org, id string) (tandem.Plan, error) {
	return s.registry.Plan(ctx, s.actor, org, id)
}

// PlanChanges lists a plan's changes that match.
func (s onDatabase) PlanChanges(ctx context.Context, org, id string, filter tandem.PlanFilter) ([]tandem.Change, int, error) {
	return s.registry.PlanChanges(ctx, s.actor, org, id, filter)
}

// PlanGroups counts a plan's changes.
func (s onDatabase) PlanGroups(ctx context.Context, org, id string) ([]tandem.PlanGroup, error) {
	return s.registry.PlanGroups(ctx, s.actor, org, id)
}

// DiscardPlan drops a saved plan.
func (s onDatabase) DiscardPlan(ctx context.Context, org, id string) (tandem.Plan, error) {
	return s.registry.DiscardPlan(ctx, s.actor, org, id)
}

// PlanRows gives a part of a plan.
func (s onDatabase) PlanRows(ctx context.Context, org, id string, offset, limit int) ([]tandem.Change, error) {
	return s.registry.PlanRows(ctx, s.actor, org, id, offset, limit)
}

// Conflicts lists conflicts.
func (s onDatabase) Conflicts(ctx context.Context, org string, filter tandem.ConflictFilter) ([]tandem.Conflict, int, error) {
	return s.registry.Conflicts(ctx, s.actor, org, filter)
}

// Conflict finds one.
func (s onDatabase) Conflict(ctx context.Context, org, id string) (tandem.Conflict, error) {
	return s.registry.Conflict(ctx, s.actor, org, id)
}

// Settle settles conflicts, or says what that would do.
func (s onDatabase) Settle(ctx context.Context, org string, settlement tandem.Settlement) ([]tandem.Settled, error) {
	return s.registry.SettleConflicts(ctx, s.actor, org, settlement)
}
