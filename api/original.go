package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"tandem"
)

// OriginalOrganization names the organization as the original specification does.
type OriginalOrganization struct {
	OrganizationID string `query:"organization_id" maxLength:"200" doc:"The organization, by id or slug, as the original specification names it."`
}

// originalRun is a run's reply in the original specification's words: queued and running are started.
type originalRun struct {
	OperationID string           `json:"operation_id"`
	Status      string           `json:"status" enum:"started,completed,failed"`
	Summary     tandem.Summary   `json:"summary"`
	Details     []detail         `json:"details"`
	RunStatus   tandem.RunStatus `json:"run_status" doc:"The status as /api/v1 says it."`
}

// originalStatus tells a run's status in three words.
func originalStatus(status tandem.RunStatus) string {
	switch {
	case !status.Ended():
		return "started"
	case status == tandem.RunCompleted || status == tandem.RunPartial:
		return "completed"
	}
	return "failed"
}

// original registers the routes of the original specification under a prefix, thin over the same use cases.
func (a *API) original(prefix string) {
	id := strings.ReplaceAll(strings.TrimPrefix(prefix, "/api/"), "/", "-")
	type originalSyncInput struct {
		Once
		Waiting
		Body struct {
			OrganizationID string           `json:"organization_id,omitempty" maxLength:"200" doc:"By id or slug; may be left out by who belongs to one only."`
			ServiceID      string           `json:"service_id,omitempty" maxLength:"200" doc:"By id or name; may be left out where there is one only."`
			Operation      tandem.Operation `json:"operation,omitempty" enum:"import,export,bidirectional"`
			DeviceIDs      []string         `json:"device_ids,omitempty" maxItems:"10000"`
			Force          bool             `json:"force,omitempty"`
		}
	}
	handle(a, route(id+"-sync", http.MethodPost, prefix+"/sync", "golioth", "Start a sync"),
		func(ctx context.Context, in *originalSyncInput) (*body[originalRun], error) {
			ctx, err := a.within(ctx, in.Body.OrganizationID)
			if err != nil {
				return nil, err
			}
			service, err := a.oneService(ctx, callerOf(ctx), in.Body.ServiceID)
			if err != nil {
				return nil, err
			}
			out, err := a.startRun(ctx, service, &runInput{Operation: in.Body.Operation, DeviceIDs: in.Body.DeviceIDs, Force: in.Body.Force}, in.Wait)
			if err != nil {
				return nil, err
			}
			return with(originalRun{out.Body.ID, originalStatus(out.Body.Status), out.Body.Summary, out.Body.Details, out.Body.Status}, nil)
		})

	type devicesInput struct {
		OriginalOrganization
		Listing
		ServiceID string `query:"service_id" maxLength:"200" doc:"Linked to this service, by id or name."`
		Search    string `query:"search" maxLength:"200"`
		Status    string `query:"status" enum:"online,offline,never_seen"`
	}
	type syncStatus struct {
		LastSync     *time.Time `json:"last_sync"`
		TotalDevices int        `json:"total_devices"`
		Conflicts    int        `json:"conflicts"`
	}
	type devicesReply struct {
		Devices    []tandem.DeviceRow `json:"devices"`
		SyncStatus syncStatus         `json:"sync_status"`
		Pagination tandem.Pagination  `json:"pagination"`
	}
	handle(a, route(id+"-devices", http.MethodGet, prefix+"/devices", "golioth", "List devices and how the sync stands"),
		func(ctx context.Context, in *devicesInput) (*body[devicesReply], error) {
			ctx, err := a.within(ctx, in.OrganizationID)
			if err != nil {
				return nil, err
			}
			c := callerOf(ctx)
			service, err := a.serviceID(ctx, c, in.ServiceID)
			if err != nil {
				return nil, err
			}
			rows, total, err := a.options.Registry.Devices(ctx, c.actor, c.org, tandem.DeviceFilter{ServiceID: service, Search: in.Search, Status: tandem.Status(in.Status), Page: in.page()})
			if err != nil {
				return nil, err
			}
			for i := range rows {
				whole(&rows[i])
			}
			out := devicesReply{Devices: list(rows), Pagination: in.pagination(total), SyncStatus: syncStatus{TotalDevices: total}}
			_, out.SyncStatus.Conflicts, err = a.options.Registry.Conflicts(ctx, c.actor, c.org, tandem.ConflictFilter{ServiceID: service, Page: tandem.Page{Number: 1, Limit: 1}})
			if err != nil {
				return nil, err
			}
			out.SyncStatus.LastSync, err = a.lastSync(ctx, c, service)
			return with(out, err)
		})
	a.originalConflicts(id, prefix)
}

// lastSync gives when a service, or any, last ran.
func (a *API) lastSync(ctx context.Context, c caller, service string) (*time.Time, error) {
	all, err := a.options.Registry.Services(ctx, c.actor, c.org)
	var last *time.Time
	for i := range all {
		s := &all[i]
		if (service == "" || s.ID == service) && s.LastRunAt != nil && (last == nil || s.LastRunAt.After(*last)) {
			last = s.LastRunAt
		}
	}
	return last, err
}

func (a *API) originalConflicts(id, prefix string) {
	type conflictsInput struct {
		OriginalOrganization
		Listing
		ServiceID string `query:"service_id" maxLength:"200" doc:"Of this service, by id or name."`
		DeviceID  string `query:"device_id" maxLength:"100" doc:"About this device, by id."`
		Status    string `query:"status" enum:"pending,resolving,resolved,ignored,auto_resolved,converged,superseded"`
	}
	type conflictsReply struct {
		Conflicts  []tandem.Conflict `json:"conflicts"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route(id+"-conflicts", http.MethodGet, prefix+"/conflicts", "golioth", "List conflicts"),
		func(ctx context.Context, in *conflictsInput) (*body[conflictsReply], error) {
			ctx, err := a.within(ctx, in.OrganizationID)
			if err != nil {
				return nil, err
			}
			c := callerOf(ctx)
			service, err := a.serviceID(ctx, c, in.ServiceID)
			if err != nil {
				return nil, err
			}
			rows, total, err := a.options.Registry.Conflicts(ctx, c.actor, c.org, tandem.ConflictFilter{ServiceID: service, DeviceIDs: splitList(in.DeviceID),
				Status: tandem.ResolutionStatus(in.Status), Page: in.page()})
			return with(conflictsReply{list(rows), in.pagination(total)}, err)
		})

	type originalResolveInput struct {
		OriginalOrganization
		Once
		ID   string `path:"id" maxLength:"100"`
		Body struct {
			OrganizationID string          `json:"organization_id,omitempty" maxLength:"200"`
			Resolution     string          `json:"resolution" enum:"local,remote,custom"`
			Value          json.RawMessage `json:"value,omitempty" doc:"With custom: the value, on both sides."`
		}
	}
	handle(a, route(id+"-conflicts-resolve", http.MethodPost, prefix+"/conflicts/{id}/resolve", "golioth", "Settle a conflict"),
		func(ctx context.Context, in *originalResolveInput) (*body[tandem.Settled], error) {
			org := in.Body.OrganizationID
			if org == "" {
				org = in.OrganizationID
			}
			ctx, err := a.within(ctx, org)
			if err != nil {
				return nil, err
			}
			take := map[string]tandem.Choice{"local": tandem.TakeLocal, "remote": tandem.TakeRemote, "custom": tandem.TakeValue}[in.Body.Resolution]
			return with(a.settleOne(ctx, in.ID, &SettleInput{Take: take, Value: in.Body.Value}))
		})
}

// within finds the organization that a request of the original specification names.
func (a *API) within(ctx context.Context, ref string) (context.Context, error) {
	c := callerOf(ctx)
	var err error
	if c.org, err = a.organizationID(ctx, c.actor, strings.TrimSpace(ref)); err != nil {
		return ctx, err
	}
	return context.WithValue(ctx, callerKey{}, c), nil
}
