package registry_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"tandem"
	"tandem/registry"
)

// things are one organization with one of everything in it.
type things struct {
	org, device, deviceID, service, run, blocked, finished, conflict, plan, delivery, alert, channel, token, user, invitation, credential, revoked, command string
}

// use is how a use case is called, and what it needs.
type use struct {
	needs registry.Permission
	// byID says that it is about one thing that is named: another organization's is not found.
	byID bool
	call func(w *world, a registry.Actor, org string, t things) error
}

// who says who calls a use case that belongs to no organization.
type who string

const (
	anybody  who = "anybody"  // a secret or a password is what lets them
	person   who = "person"   // signed in, for themselves
	database who = "database" // the command line
	members  who = "members"  // whoever belongs there, for their own
)

// elsewhere are the use cases that need no permission of an organization, with who may call them.
var elsewhere = map[string]who{
	"SignIn": anybody, "SignInCode": anybody, "SignInExternal": anybody, "SessionActor": anybody, "TokenActor": anybody, "SetUp": anybody,
	"LookAtLink": anybody, "LookAtInvitation": anybody, "AcceptInvitation": anybody, "RequestPasswordReset": anybody, "ResetPassword": anybody,
	"Me": person, "Rename": person, "ChangePassword": person, "EnrollFactor": person, "ConfirmFactor": person, "DisableFactor": person,
	"RenewRecoveryCodes": person, "Join": person, "SignOut": person,
	"NewSetUpLink": database, "CreateOwner": database, "CreateUser": database, "ResetByCommand": database, "DeletedOrganizations": database,
	"Organizations": members, "Organization": members, "OpenCounts": members, "CreateOrganization": members, "CreateToken": members, "Tokens": members, "RevokeToken": members,
}

// second drops the value of a use case that gives one.
func second[T any](_ T, err error) error { return err }

func third[T, U any](_ T, _ U, err error) error { return err }

// uses are all others.
var uses = map[string]use{
	"Devices": {registry.ReadDevices, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Devices(w.ctx, a, org, tandem.DeviceFilter{}))
	}},
	"Device": {registry.ReadDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Device(w.ctx, a, org, t.device))
	}},
	"CreateDevice": {registry.CreateDevices, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.CreateDevice(w.ctx, a, org, registry.DeviceEdit{Name: ptr("new " + w.id())}))
	}},
	"UpdateDevice": {registry.UpdateDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.UpdateDevice(w.ctx, a, org, t.device, registry.DeviceEdit{Notes: ptr(w.id())}))
	}},
	"DeleteDevice": {registry.DeleteDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		if org == t.org && a.May(org, registry.DeleteDevices) {
			return second(w.DeleteDevice(w.ctx, a, org, w.device(org, "gone "+w.id()).ID))
		}
		return second(w.DeleteDevice(w.ctx, a, org, t.device))
	}},
	"Credentials": {registry.ReadDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Credentials(w.ctx, a, org, t.device))
	}},
	"CreateCredential": {registry.ManageCredentials, true, func(w *world, a registry.Actor, org string, t things) error {
		c, _, err := w.CreateCredential(w.ctx, a, org, t.device, registry.NewCredential{Kind: tandem.TokenCredential})
		if err == nil {
			_, err = w.RevokeCredential(w.ctx, registry.System("test"), org, t.device, c.ID)
		}
		return err
	}},
	"RotateCredential": {registry.ManageCredentials, true, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.RotateCredential(w.ctx, a, org, t.device, t.credential, 0))
	}},
	"RevokeCredential": {registry.ManageCredentials, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.RevokeCredential(w.ctx, a, org, t.device, t.revoked))
	}},
	"SendCommand": {registry.CommandDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		c, err := w.SendCommand(w.ctx, a, org, t.device, registry.NewCommand{Name: "blink"})
		if err == nil {
			_, err = w.CancelCommand(w.ctx, registry.System("test"), org, t.device, c.ID)
		}
		return err
	}},
	"Commands": {registry.ReadDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Commands(w.ctx, a, org, t.device, tandem.CommandFilter{}))
	}},
	"Command": {registry.ReadDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Command(w.ctx, a, org, t.device, t.command))
	}},
	"CancelCommand": {registry.CommandDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		_, err := w.CancelCommand(w.ctx, a, org, t.device, t.command)
		if tandem.Is(err, tandem.Stale) { // canceled before
			return nil
		}
		return err
	}},
	"DeviceSeries": {registry.ReadDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.DeviceSeries(w.ctx, a, org, t.device, "battery_level", time.Unix(0, 0), time.Unix(1, 0), 10))
	}},
	"EditDevices": {registry.UpdateDevices, false, func(w *world, a registry.Actor, org string, t things) error {
		results, err := w.EditDevices(w.ctx, a, org, registry.Selection{Refs: []string{t.device}}, registry.BulkEdit{AddTags: []string{w.id()}})
		if err == nil && org != t.org && !tandem.Is(results[0].Error, tandem.NotFound) {
			w.t.Errorf("a foreign device gave %+v", results[0])
		}
		return err
	}},
	"ImportDevices": {registry.CreateDevices, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ImportDevices(w.ctx, a, org, registry.ReadRows(strings.NewReader("device_id\nx\n")), registry.ImportOptions{DryRun: true}, nil))
	}},
	"ExportDevices": {registry.ReadDevices, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ExportDevices(w.ctx, a, org, tandem.DeviceFilter{}, tandem.Service{}, registry.CSV, io.Discard))
	}},
	"Link": {registry.UpdateDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Link(w.ctx, a, org, t.service, t.device, "r1"))
	}},
	"Unlink": {registry.UpdateDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return unlinked(second(w.Unlink(w.ctx, a, org, t.service, t.device)), org == t.org)
	}},
	"CompareDevice": {registry.ReadDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.CompareDevice(w.ctx, a, org, t.device))
	}},
	"DeviceObservations": {registry.ReadDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.DeviceObservations(w.ctx, a, org, t.device, tandem.ObservationFilter{}))
	}},
	"NotLinked": {registry.ReadDevices, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.NotLinked(w.ctx, a, org, t.service, tandem.NotLinkedFilter{}))
	}},
	"ImportRemote": {registry.CreateDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ImportRemote(w.ctx, a, org, t.service, []string{"r1"}))
	}},
	"IgnoreRemote": {registry.UpdateDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return w.IgnoreRemote(w.ctx, a, org, t.service, []string{"r9"}, true)
	}},
	"Services": {registry.ReadServices, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Services(w.ctx, a, org))
	}},
	"Service": {registry.ReadServices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Service(w.ctx, a, org, t.service))
	}},
	"AddService": {registry.ManageServices, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.AddService(w.ctx, a, org, registry.NewService{Name: "bad/name/that/fails", ServiceType: "none"}))
	}},
	"UpdateService": {registry.UpdateServices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.UpdateService(w.ctx, a, org, t.service, registry.ServiceEdit{SyncInterval: ptr(600)}))
	}},
	"TestService": {registry.UpdateServices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.TestService(w.ctx, a, org, t.service))
	}},
	"PreviewSettings": {registry.UpdateServices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.PreviewSettings(w.ctx, a, org, t.service, registry.ServiceEdit{}, nil))
	}},
	"DeleteService": {registry.ManageServices, true, func(w *world, a registry.Actor, org string, t things) error {
		if org == t.org && a.May(org, registry.ManageServices) {
			s := w.service(org, "gone "+w.id(), func(n *registry.NewService) { n.Config.Project = w.id() })
			return third(w.DeleteService(w.ctx, a, org, s.ID))
		}
		return third(w.DeleteService(w.ctx, a, org, t.service))
	}},
	"ConfirmProject": {registry.ManageServices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ConfirmProject(w.ctx, a, org, t.service))
	}},
	"UpdateWebhook": {registry.ManageServices, true, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.UpdateWebhook(w.ctx, a, org, t.service, registry.WebhookEdit{NewSecret: true}))
	}},
	"ConnectWebhook": {registry.ManageServices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ConnectWebhook(w.ctx, a, org, t.service, "https://tandem.example.com", true))
	}},
	"DisconnectWebhook": {registry.ManageServices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.DisconnectWebhook(w.ctx, a, org, t.service))
	}},
	"StartRun": {registry.StartRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.StartRun(w.ctx, a, org, tandem.RunRequest{ServiceID: t.service, DeviceIDs: []string{t.device}}))
	}},
	"RunHere": {registry.StartRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.RunHere(w.ctx, a, org, tandem.RunRequest{ServiceID: t.service, DeviceIDs: []string{t.device}}, nil))
	}},
	"PreviewRun": {registry.StartRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.PreviewRun(w.ctx, a, org, tandem.RunRequest{ServiceID: t.service}, false, nil, nil))
	}},
	"Runs": {registry.ReadRuns, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Runs(w.ctx, a, org, tandem.RunFilter{}))
	}},
	"Run": {registry.ReadRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Run(w.ctx, a, org, t.run))
	}},
	"Entries": {registry.ReadRuns, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Entries(w.ctx, a, org, tandem.EntryFilter{RunID: t.run}))
	}},
	"CancelRun": {registry.CancelRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.CancelRun(w.ctx, a, org, t.run))
	}},
	"ApproveRun": {registry.ApproveRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ApproveRun(w.ctx, a, org, t.blocked))
	}},
	"ApproveHere": {registry.ApproveRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ApproveHere(w.ctx, a, org, t.blocked, nil))
	}},
	"DiscardRun": {registry.ApproveRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return w.DiscardRun(w.ctx, a, org, t.blocked)
	}},
	"RevertRun": {registry.RevertRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.RevertRun(w.ctx, a, org, t.finished))
	}},
	"RevertHere": {registry.RevertRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.RevertHere(w.ctx, a, org, t.finished, nil))
	}},
	"PreviewRevert": {registry.RevertRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.PreviewRevert(w.ctx, a, org, t.finished, nil))
	}},
	"Plans": {registry.ReadPlans, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Plans(w.ctx, a, org, t.service))
	}},
	"Plan": {registry.ReadPlans, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Plan(w.ctx, a, org, t.plan))
	}},
	"PlanRows": {registry.ReadPlans, false, func(w *world, a registry.Actor, org string, t things) error {
		rows, err := w.PlanRows(w.ctx, a, org, t.plan, 0, 10)
		if org != t.org && len(rows) > 0 {
			w.t.Error("rows of a foreign plan")
		}
		return err
	}},
	"PlanChanges": {registry.ReadPlans, true, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.PlanChanges(w.ctx, a, org, t.plan, tandem.PlanFilter{}))
	}},
	"DiscardPlan": {registry.ApproveRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.DiscardPlan(w.ctx, a, org, t.plan))
	}},
	"PlanGroups": {registry.ReadPlans, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.PlanGroups(w.ctx, a, org, t.plan))
	}},
	"TryService": {registry.ManageServices, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.TryService(w.ctx, a, org, t.service, "https://api.golioth.io", "p", nil))
	}},
	"Conflicts": {registry.ReadConflicts, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Conflicts(w.ctx, a, org, tandem.ConflictFilter{}))
	}},
	"Conflict": {registry.ReadConflicts, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Conflict(w.ctx, a, org, t.conflict))
	}},
	"SettleConflicts": {registry.SettleConflicts, false, func(w *world, a registry.Actor, org string, t things) error {
		settled, err := w.SettleConflicts(w.ctx, a, org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{t.conflict}}, Take: tandem.TakeLocal, DryRun: true})
		if org != t.org && len(settled) > 0 {
			w.t.Error("a foreign conflict was settled")
		}
		return err
	}},
	"SettleConflictsLater": {registry.SettleConflicts, false, func(w *world, a registry.Actor, org string, t things) error {
		return w.SettleConflictsLater(w.ctx, a, org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{t.conflict}}, Take: tandem.TakeLocal})
	}},
	"Deliveries": {registry.ReadDeliveries, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Deliveries(w.ctx, a, org, tandem.DeliveryFilter{}))
	}},
	"Delivery": {registry.ReadDeliveries, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Delivery(w.ctx, a, org, t.delivery))
	}},
	"DeliveryDevices": {registry.ReadDevices, false, func(w *world, a registry.Actor, org string, t things) error {
		found, err := w.DeliveryDevices(w.ctx, a, org, tandem.Delivery{ID: "d", ServiceID: t.service, ExternalDeviceID: "remote-1"})
		if err == nil && org != t.org && len(found) > 0 {
			w.t.Errorf("another organization's device is told: %v", found)
		}
		return err
	}},
	"ReplayDeliveries": {registry.ReplayDeliveries, false, func(w *world, a registry.Actor, org string, t things) error {
		n, err := w.ReplayDeliveries(w.ctx, a, org, []string{t.delivery})
		if n > 0 && org != t.org {
			w.t.Errorf("%d were replayed", n)
		}
		return err
	}},
	"Alerts": {registry.ReadAlerts, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Alerts(w.ctx, a, org, tandem.AlertFilter{}))
	}},
	"Alert": {registry.ReadAlerts, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Alert(w.ctx, a, org, t.alert))
	}},
	"AcknowledgeAlert": {registry.AcknowledgeAlerts, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.AcknowledgeAlert(w.ctx, a, org, t.alert))
	}},
	"ResolveAlert": {registry.AcknowledgeAlerts, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ResolveAlert(w.ctx, a, org, t.alert))
	}},
	"Channels": {registry.ManageChannels, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Channels(w.ctx, a, org))
	}},
	"Channel": {registry.ManageChannels, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Channel(w.ctx, a, org, t.channel))
	}},
	"CreateChannel": {registry.ManageChannels, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.CreateChannel(w.ctx, a, org, registry.NewChannel{Name: w.id(), Type: tandem.SlackChannel, Secret: []byte("https://hooks.example.com/x")}))
	}},
	"UpdateChannel": {registry.ManageChannels, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.UpdateChannel(w.ctx, a, org, t.channel, registry.ChannelEdit{Throttle: ptr(60)}))
	}},
	"DeleteChannel": {registry.ManageChannels, true, func(w *world, a registry.Actor, org string, t things) error {
		if org == t.org && a.May(org, registry.ManageChannels) {
			c, err := w.CreateChannel(w.ctx, a, org, registry.NewChannel{Name: w.id(), Type: tandem.SlackChannel})
			w.must(err)
			return second(w.DeleteChannel(w.ctx, a, org, c.ID))
		}
		return second(w.DeleteChannel(w.ctx, a, org, t.channel))
	}},
	"TestChannel": {registry.ManageChannels, true, func(w *world, a registry.Actor, org string, t things) error {
		return w.TestChannel(w.ctx, a, org, t.channel)
	}},
	"ChannelNotifications": {registry.ManageChannels, true, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.ChannelNotifications(w.ctx, a, org, t.channel, tandem.Page{}))
	}},
	"Users": {registry.ReadUsers, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Users(w.ctx, a, org, tandem.MemberFilter{}))
	}},
	"User": {registry.ReadUsers, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.User(w.ctx, a, org, t.user))
	}},
	"ChangeRole": {registry.ManageUsers, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ChangeRole(w.ctx, a, org, t.user, tandem.Viewer))
	}},
	"RemoveUser": {registry.ManageUsers, true, func(w *world, a registry.Actor, org string, t things) error {
		if org == t.org && a.May(org, registry.ManageUsers) {
			return second(w.RemoveUser(w.ctx, a, org, w.person(org, w.id()+"@example.com", tandem.Viewer).ID))
		}
		return second(w.RemoveUser(w.ctx, a, org, t.user))
	}},
	"DisableUser": {registry.ManageUsers, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.DisableUser(w.ctx, a, org, t.user, false))
	}},
	"Invite": {registry.ManageUsers, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Invite(w.ctx, a, org, w.id()+"@example.com", tandem.Viewer))
	}},
	"Invitations": {registry.ManageUsers, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Invitations(w.ctx, a, org))
	}},
	"RevokeInvitation": {registry.ManageUsers, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.RevokeInvitation(w.ctx, a, org, t.invitation))
	}},
	"UpdateOrganization": {registry.UpdateOrganization, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.UpdateOrganization(w.ctx, a, org, registry.OrganizationEdit{Name: ptr("Renamed " + w.id())}))
	}},
	"DeleteOrganization": {registry.DeleteOrganization, false, func(w *world, a registry.Actor, org string, t things) error {
		if a.May(org, registry.DeleteOrganization) {
			a.Roles = maps.Clone(a.Roles)
			org = w.organization("Gone " + w.id())
			a.Roles[org] = tandem.Owner
		}
		return second(w.DeleteOrganization(w.ctx, a, org))
	}},
	"Audit": {registry.ReadAudit, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.Audit(w.ctx, a, org, tandem.AuditFilter{}))
	}},
	"AuditChain": {registry.ReadAudit, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.AuditChain(w.ctx, a, org, 0, 10))
	}},
	"Overview": {registry.ReadDevices, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.Overview(w.ctx, a, org))
	}},
	"DeliveryRate": {registry.ReadDeliveries, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.DeliveryRate(w.ctx, a, org, t.service, w.start, w.start.Add(time.Hour), time.Minute))
	}},
	"ConflictGroups": {registry.ReadConflicts, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ConflictGroups(w.ctx, a, org, tandem.ConflictFilter{}))
	}},
	"ConflictEditors": {registry.ReadConflicts, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.ConflictEditors(w.ctx, a, org, nil))
	}},
	"EntryGroups": {registry.ReadRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.EntryGroups(w.ctx, a, org, t.run))
	}},
	"DeviceHistory": {registry.ReadDevices, true, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.DeviceHistory(w.ctx, a, org, t.device, tandem.HistoryFilter{}))
	}},
	"RunProgress": {registry.ReadRuns, true, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.RunProgress(w.ctx, a, org, t.run))
	}},
	"DeviceFacets": {registry.ReadDevices, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.DeviceFacets(w.ctx, a, org))
	}},
	"AuditEnd": {registry.ReadAudit, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.AuditEnd(w.ctx, a, org))
	}},
	"RunDigests": {registry.ReadAudit, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.RunDigests(w.ctx, a, org, t.finished))
	}},
	"VerifyAudit": {registry.ReadAudit, false, func(w *world, a registry.Actor, org string, t things) error {
		return second(w.VerifyAudit(w.ctx, a, org, nil))
	}},
	"ExportAudit": {registry.ReadAudit, false, func(w *world, a registry.Actor, org string, t things) error {
		return w.ExportAudit(w.ctx, a, org, io.Discard)
	}},
	"AuditTail": {registry.ReadAudit, false, func(w *world, a registry.Actor, org string, t things) error {
		return third(w.AuditTail(w.ctx, a, org, 10))
	}},
}

// unlinked takes away the answer to unlinking what is not linked, which is NotFound too.
func unlinked(err error, own bool) error {
	if own && err != nil && strings.Contains(err.Error(), "not linked on") {
		return nil
	}
	return err
}

// counter counts statements.
type counter struct{ n atomic.Int64 }

func (c *counter) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	c.n.Add(1)
	return ctx
}

func (*counter) AfterQuery(context.Context, *bun.QueryEvent) {}

// furnish makes an organization with one of everything.
func (w *world) furnish(name string) things {
	w.t.Helper()
	org := w.organization(name)
	t := things{org: org, run: w.id(), blocked: w.id(), finished: w.id(), conflict: w.id(), plan: w.id(), delivery: w.id(), alert: w.id()}
	d := w.device(org, "one "+name)
	t.device, t.deviceID = d.ID, d.DeviceID
	t.service = w.service(org, "prod", nil).ID
	now := w.now()
	run := tandem.Run{ID: t.run, OrganizationID: org, ServiceID: t.service, Operation: tandem.OpImport, Trigger: tandem.ByHand, Status: tandem.RunRunning, CreatedAt: now}
	blocked, finished := run, run
	blocked.ID, blocked.Status, blocked.PlanID = t.blocked, tandem.RunBlocked, t.plan
	finished.ID, finished.Status = t.finished, tandem.RunCompleted
	w.must(w.store.CreatePlan(w.ctx, org, tandem.Plan{ID: t.plan, OrganizationID: org, ServiceID: t.service, Operation: tandem.OpImport, Reason: tandem.PlanGuarded, Status: tandem.PlanOpen, CreatedAt: now}))
	w.must(w.store.AppendPlan(w.ctx, org, t.plan, []tandem.Change{{Side: tandem.LocalSide, Action: tandem.ActUpdate, DeviceID: t.device, Path: "name", After: json.RawMessage(`"x"`)}}))
	w.must(w.store.Apply(w.ctx, org, &tandem.Changes{PutRuns: []tandem.Run{run, blocked, finished},
		PutConflicts: []tandem.Conflict{{ID: t.conflict, OrganizationID: org, ServiceID: t.service, DeviceID: t.device, ExternalDeviceID: "r1", Type: tandem.ConcurrentModification,
			FieldName: "name", Status: tandem.ConflictPending, CreatedAt: now, UpdatedAt: now}},
		PutAlerts: []tandem.Alert{{ID: t.alert, OrganizationID: org, Kind: tandem.AlertConflicts, Subject: t.service, ServiceID: t.service, Severity: tandem.Warning, Message: "a conflict",
			Count: 1, Status: tandem.AlertRaised, RaisedAt: now, LastAt: now}}}))
	_, err := w.store.StoreDeliveries(w.ctx, []tandem.Delivery{{ID: t.delivery, OrganizationID: org, ServiceID: t.service, Digest: strings.Repeat("a", 64), Type: "device.data",
		ContentType: "application/json", Body: []byte(`{}`), Status: tandem.DeliveryDead, ReceivedAt: now}})
	w.must(err)
	c, err := w.CreateChannel(w.ctx, root, org, registry.NewChannel{Name: "ops", Type: tandem.SlackChannel, Secret: []byte("https://hooks.example.com/x")})
	w.must(err)
	token, _, err := w.CreateToken(w.ctx, root, org, registry.NewToken{Name: "ci", Role: tandem.Viewer, Shared: true})
	w.must(err)
	in, _, err := w.Invite(w.ctx, root, org, "guest-"+org+"@example.com", tandem.Viewer)
	w.must(err)
	t.channel, t.token, t.invitation = c.ID, token.ID, in.ID
	for _, id := range []*string{&t.credential, &t.revoked} {
		one, _, err := w.CreateCredential(w.ctx, root, org, t.device, registry.NewCredential{Kind: tandem.TokenCredential})
		w.must(err)
		*id = one.ID
	}
	command, err := w.SendCommand(w.ctx, root, org, t.device, registry.NewCommand{Name: "blink"})
	w.must(err)
	t.command = command.ID
	t.user = w.person(org, "member-"+org+"@example.com", tandem.Viewer).ID
	return t
}

// TestEveryUseCaseIsInTheTable: a method of the registry that takes an organization and is not in the table could be
// one that asks nobody.
func TestEveryUseCaseIsInTheTable(t *testing.T) {
	t.Parallel()
	of := reflect.TypeFor[*registry.Registry]()
	methods := map[string]bool{}
	for i := range of.NumMethod() {
		name := of.Method(i).Name
		methods[name] = true
		_, in := uses[name]
		_, other := elsewhere[name]
		if in == other {
			t.Errorf("%s must stand in exactly one of the tables of use cases", name)
		}
	}
	for name := range uses {
		if !methods[name] {
			t.Errorf("%s is no use case any more", name)
		}
	}
	for name := range elsewhere {
		if !methods[name] {
			t.Errorf("%s is no use case any more", name)
		}
	}
}

// TestRolesAreAsTheDesignSays holds the table of permissions against what DESIGN.md says in words.
func TestRolesAreAsTheDesignSays(t *testing.T) {
	t.Parallel()
	for role, want := range map[tandem.Role][]registry.Permission{
		tandem.Viewer:   {registry.ReadDevices, registry.ReadServices, registry.ReadRuns, registry.ReadConflicts},
		tandem.Operator: {registry.ReadDevices, registry.CreateDevices, registry.UpdateDevices, registry.CommandDevices, registry.SettleConflicts, registry.StartRuns},
		tandem.Manager:  {registry.DeleteDevices, registry.ManageCredentials, registry.UpdateServices, registry.ReadUsers, registry.ApproveRuns, registry.ForceRuns, registry.RevertRuns},
		tandem.Admin:    {registry.ManageUsers, registry.ManageServices, registry.UpdateOrganization, registry.ReadPlans, registry.ReadAudit, registry.ManageTokens},
		tandem.Owner:    {registry.DeleteOrganization},
	} {
		for _, p := range want {
			if !registry.RoleMay(role, p) {
				t.Errorf("%s may not %s", role, p)
			}
		}
	}
	for role, no := range map[tandem.Role][]registry.Permission{
		tandem.Viewer:   {registry.CreateDevices, registry.UpdateDevices, registry.CommandDevices, registry.SettleConflicts, registry.StartRuns, registry.ReadAudit},
		tandem.Operator: {registry.DeleteDevices, registry.ManageCredentials, registry.ForceRuns, registry.ApproveRuns, registry.UpdateServices, registry.ReadUsers},
		tandem.Manager:  {registry.ManageServices, registry.ManageUsers, registry.ManageTokens, registry.ReadAudit, registry.UpdateOrganization},
		tandem.Admin:    {registry.DeleteOrganization},
		"":              {registry.ReadDevices},
		"god":           {registry.ReadDevices},
	} {
		for _, p := range no {
			if registry.RoleMay(role, p) {
				t.Errorf("%s may %s", role, p)
			}
		}
	}
	for i, role := range tandem.Roles[1:] {
		for _, p := range registry.Permissions(role) {
			if !registry.RoleMay(tandem.Roles[i], p) {
				t.Errorf("%s may %s, but %s may not", role, p, tandem.Roles[i])
			}
		}
	}
}

// TestEveryUseCaseAsksWhoCalls goes through every use case as every role, in the own and in a foreign organization,
// on both databases: what is refused is refused before anything is looked up.
func TestEveryUseCaseAsksWhoCalls(t *testing.T) {
	t.Parallel()
	for database, open := range databases {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			st := open(t)
			queries := &counter{}
			st.AddQueryHook(queries)
			w := newWorld(t, st)
			own, foreign := w.furnish("Own"), w.furnish("Foreign")
			actors := map[tandem.Role]registry.Actor{}
			for _, role := range tandem.Roles {
				actors[role] = w.person(own.org, string(role)+"@example.com", role)
			}
			for _, name := range slices.Sorted(maps.Keys(uses)) {
				u := uses[name]
				for _, role := range slices.Backward(tandem.Roles) {
					w.asks(name, &u, actors[role], role, own, foreign, queries)
				}
				if u.byID { // another organization's thing, asked for in one's own
					w.wantsCode(name+" of a foreign thing", u.call(w, actors[tandem.Owner], own.org, foreign), tandem.NotFound)
					w.wantsCode(name+" of a foreign thing by the command line", u.call(w, root, own.org, foreign), tandem.NotFound)
				}
				narrow := actors[tandem.Owner]
				narrow.Kind, narrow.Scopes = tandem.TokenActor, []string{"none:at-all"}
				w.wantsCode(name+" by a token without the scope", u.call(w, narrow, own.org, own), tandem.Forbidden)
				w.wantsCode(name+" by nobody", u.call(w, registry.Actor{}, own.org, own), tandem.NotFound)
			}
		})
	}
}

func (w *world) wantsCode(what string, err error, code tandem.Code) {
	w.t.Helper()
	if tandem.CodeOf(err) != code {
		w.t.Errorf("%s gave %v (%s), want %s", what, err, tandem.CodeOf(err), code)
	}
}

// asks calls a use case as a role.
func (w *world) asks(name string, u *use, a registry.Actor, role tandem.Role, own, foreign things, queries *counter) {
	w.t.Helper()
	looks := name == "UpdateOrganization" || name == "DeleteOrganization" // they find the own one by its slug
	before := queries.n.Load()
	err := u.call(w, a, foreign.org, foreign)
	w.wantsCode(name+" in a foreign organization as "+string(role), err, tandem.NotFound)
	if n := queries.n.Load() - before; n > 0 && !looks {
		w.t.Errorf("%s looked at the database %d times before it refused a stranger", name, n)
	}
	none := things{org: w.id()}
	if err2 := u.call(w, a, none.org, none); err != nil && err2 != nil &&
		strings.ReplaceAll(err.Error(), foreign.org, "") != strings.ReplaceAll(err2.Error(), none.org, "") {
		w.t.Errorf("%s tells a foreign organization from none: %q and %q", name, err, err2)
	}
	before = queries.n.Load()
	err = u.call(w, a, own.org, own)
	if !registry.RoleMay(role, u.needs) {
		w.wantsCode(name+" as "+string(role), err, tandem.Forbidden)
		if n := queries.n.Load() - before; n > 0 && !looks {
			w.t.Errorf("%s looked at the database %d times before it refused %s", name, n, role)
		}
		return
	}
	if tandem.Is(err, tandem.Forbidden, tandem.NotFound) && !strings.Contains(err.Error(), "no such device among those") {
		w.t.Errorf("%s as %s gave %v (%s)", name, role, err, tandem.CodeOf(err))
	}
}

// TestWhatBelongsToNoOrganization: the command line's use cases refuse everybody else, a person's own refuse tokens.
func TestWhatBelongsToNoOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	owner := w.person(org, "owner@example.com", tandem.Owner)
	token := owner
	token.Kind = tandem.TokenActor
	calls := map[string]func(a registry.Actor) error{
		"NewSetUpLink": func(a registry.Actor) error { return second(w.NewSetUpLink(w.ctx, a)) },
		"CreateOwner": func(a registry.Actor) error {
			return second(w.CreateOwner(w.ctx, a, org, registry.NewPerson{Email: "x@example.com", Password: good}))
		},
		"CreateUser": func(a registry.Actor) error {
			return second(w.CreateUser(w.ctx, a, org, registry.NewPerson{Email: "x@example.com", Password: good}, tandem.Viewer))
		},
		"ResetByCommand":       func(a registry.Actor) error { return third(w.ResetByCommand(w.ctx, a, "owner@example.com", true)) },
		"DeletedOrganizations": func(a registry.Actor) error { return second(w.DeletedOrganizations(w.ctx, a)) },
		"SignOut":              func(a registry.Actor) error { return w.SignOut(w.ctx, a) },
		"Me":                   func(a registry.Actor) error { return third(w.Me(w.ctx, a)) },
		"Rename":               func(a registry.Actor) error { return second(w.Rename(w.ctx, a, "x")) },
		"ChangePassword":       func(a registry.Actor) error { return second(w.ChangePassword(w.ctx, a, good, good+"!")) },
		"EnrollFactor":         func(a registry.Actor) error { return second(w.EnrollFactor(w.ctx, a, good)) },
		"ConfirmFactor":        func(a registry.Actor) error { return third(w.ConfirmFactor(w.ctx, a, "000000")) },
		"DisableFactor":        func(a registry.Actor) error { return second(w.DisableFactor(w.ctx, a, good, "000000")) },
		"RenewRecoveryCodes":   func(a registry.Actor) error { return second(w.RenewRecoveryCodes(w.ctx, a, good)) },
		"Join":                 func(a registry.Actor) error { return second(w.Join(w.ctx, a, "x")) },
	}
	for name, of := range elsewhere {
		call, ok := calls[name]
		if of != person && of != database {
			continue
		}
		if !ok {
			t.Errorf("%s has no call in this test", name)
			continue
		}
		w.wantsCode(name+" by a token", call(token), tandem.Forbidden)
		w.wantsCode(name+" by nobody", call(registry.Actor{}), tandem.Forbidden)
		if of == database {
			w.wantsCode(name+" by an owner", call(owner), tandem.Forbidden)
		}
	}
}

// TestTokensStayBelowTheirMaker: neither the role, nor the scopes, nor the time of a token exceed what its maker may.
func TestTokensStayBelowTheirMaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org, other := w.organization("Acme"), w.organization("Other")
	operator, admin := w.person(org, "operator@example.com", tandem.Operator), w.person(org, "admin@example.com", tandem.Admin)
	mint := func(a registry.Actor, in string, add registry.NewToken) error {
		add.Name = "ci"
		return third(w.CreateToken(w.ctx, a, in, add))
	}
	w.wants(mint(operator, other, registry.NewToken{}), tandem.NotFound)
	w.wants(mint(operator, org, registry.NewToken{Role: tandem.Manager}), tandem.Forbidden)
	w.wants(mint(operator, org, registry.NewToken{Scopes: []string{"devices:delete"}}), tandem.Invalid)
	w.wants(mint(operator, org, registry.NewToken{Never: true}), tandem.Forbidden)
	w.wants(mint(operator, org, registry.NewToken{Shared: true}), tandem.Forbidden)
	w.wants(mint(operator, org, registry.NewToken{Life: 400 * 24 * time.Hour}), tandem.Invalid)
	w.wants(mint(admin, org, registry.NewToken{Role: tandem.Owner}), tandem.Forbidden)
	w.must(mint(admin, org, registry.NewToken{Never: true, Shared: true}))

	token, secret, err := w.CreateToken(w.ctx, operator, org, registry.NewToken{Name: "mine", Scopes: []string{"devices:read"}})
	w.must(err)
	if token.Role != tandem.Operator || token.ExpiresAt == nil || token.UserID != operator.ID || !strings.HasPrefix(secret, registry.TokenPrefix) {
		t.Errorf("the token is %+v", token)
	}
	as, err := w.TokenActor(w.ctx, secret)
	w.must(err)
	if !as.May(org, registry.ReadDevices) || as.May(org, registry.UpdateDevices) || as.May(other, registry.ReadDevices) {
		t.Errorf("the token may otherwise than said: %+v", as)
	}
	w.wants(mint(as, org, registry.NewToken{}), tandem.Forbidden)
	mine, err := w.Tokens(w.ctx, operator, org)
	if err != nil || len(mine) != 1 {
		t.Errorf("an operator sees the tokens %v, %v", mine, err)
	}
	all, err := w.Tokens(w.ctx, admin, org)
	if err != nil || len(all) != 2 {
		t.Errorf("an admin sees the tokens %v, %v", all, err)
	}
	for _, other := range all {
		if other.ID != token.ID {
			w.wants(second(w.RevokeToken(w.ctx, operator, org, other.ID)), tandem.NotFound)
		}
	}

	// A token of a person who may less now does less, and one of a person who left nothing.
	w.must(second(w.ChangeRole(w.ctx, admin, org, operator.ID, tandem.Viewer)))
	_, wide, err := w.CreateToken(w.ctx, operator, org, registry.NewToken{Name: "wide"})
	w.must(err)
	if as, err = w.TokenActor(w.ctx, wide); err != nil || as.May(org, registry.UpdateDevices) {
		t.Errorf("the token of a viewer may %+v, %v", as, err)
	}
	w.must(second(w.RemoveUser(w.ctx, admin, org, operator.ID)))
	w.wants(second(w.TokenActor(w.ctx, wide)), tandem.Unauthorized)

	_, short, err := w.CreateToken(w.ctx, admin, org, registry.NewToken{Name: "short", Life: time.Hour})
	w.must(err)
	w.must(second(w.TokenActor(w.ctx, short)))
	w.advance(time.Hour)
	w.wants(second(w.TokenActor(w.ctx, short)), tandem.Unauthorized)
	for _, wrong := range []string{"", "tdm_", "tdm_" + strings.Repeat("a", 52), "Bearer x", secret + "a", strings.ToUpper(secret)} {
		w.wants(second(w.TokenActor(w.ctx, wrong)), tandem.Unauthorized)
	}
}
