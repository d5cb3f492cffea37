package api

import (
	"context"
	"net/http"

	"tandem"
)

// remoteDevices registers what is on a service and not here.
func (a *API) remoteDevices() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Service   string        `query:"service" maxLength:"200" doc:"By id or name; may be left out where there is one only."`
		Search    string        `query:"search" maxLength:"200" doc:"Part of the name."`
		Reason    string        `query:"reason" enum:"not_imported,filtered,ambiguous,ignored,unlinked"`
		Ignored   bool          `query:"ignored" doc:"With the ignored ones."`
		NotLinked bool          `query:"not_linked" doc:"Only those that nothing here is linked to, which is what is kept."`
		Sort      notLinkedSort `query:"sort"`
	}
	type remoteList struct {
		RemoteDevices []tandem.NotLinked `json:"remote_devices"`
		Pagination    tandem.Pagination  `json:"pagination"`
	}
	handle(a, describing(route("remote-devices-list", http.MethodGet, "/api/v1/remote-devices", "remote-devices", "List remote devices that are not linked"), "As the last listing of the service showed them."),
		func(ctx context.Context, in *listInput) (*body[remoteList], error) {
			c := callerOf(ctx)
			service, err := a.oneService(ctx, c, in.Service)
			if err != nil {
				return nil, err
			}
			rows, total, err := a.options.Registry.NotLinked(ctx, c.actor, c.org, service, tandem.NotLinkedFilter{Search: in.Search, Reason: in.Reason, Ignored: in.Ignored,
				Sort: string(in.Sort), Page: in.page()})
			for i := range rows {
				rows[i].Device.HardwareIDs, rows[i].Device.TagIDs = list(rows[i].Device.HardwareIDs), list(rows[i].Device.TagIDs)
			}
			return with(remoteList{list(rows), in.pagination(total)}, err)
		})

	type RemoteIDs struct {
		Service string   `json:"service,omitempty" maxLength:"200" doc:"By id or name; may be left out where there is one only."`
		IDs     []string `json:"external_device_ids" minItems:"1" maxItems:"1000"`
	}
	type importInput struct {
		InOrg
		Once
		Body RemoteIDs
	}
	handle(a, describing(route("remote-devices-import", http.MethodPost, "/api/v1/remote-devices/import", "remote-devices", "Create devices for remote ones"), "Whatever the service's filters say."),
		func(ctx context.Context, in *importInput) (*body[runReply], error) {
			c := callerOf(ctx)
			service, err := a.oneService(ctx, c, in.Body.Service)
			if err != nil {
				return nil, err
			}
			run, err := a.options.Registry.ImportRemote(ctx, c.actor, c.org, service, in.Body.IDs)
			if err != nil {
				return nil, err
			}
			out, err := a.awaited(ctx, c, run, 0)
			if err != nil {
				return nil, err
			}
			return with(out.Body, nil)
		})

	type remoteIgnoreInput struct {
		InOrg
		Body struct {
			RemoteIDs
			Undo bool `json:"undo,omitempty" doc:"Show them again."`
		}
	}
	type remoteIgnored struct {
		Ignored bool     `json:"ignored"`
		IDs     []string `json:"external_device_ids"`
	}
	handle(a, route("remote-devices-ignore", http.MethodPost, "/api/v1/remote-devices/ignore", "remote-devices", "Hide remote devices from the list"),
		func(ctx context.Context, in *remoteIgnoreInput) (*body[remoteIgnored], error) {
			c := callerOf(ctx)
			service, err := a.oneService(ctx, c, in.Body.Service)
			if err != nil {
				return nil, err
			}
			return with(remoteIgnored{!in.Body.Undo, in.Body.IDs}, a.options.Registry.IgnoreRemote(ctx, c.actor, c.org, service, in.Body.IDs, !in.Body.Undo))
		})
}
