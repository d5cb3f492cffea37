package api

import (
	"context"
	"net/http"
	"time"

	"tandem"
)

// overview registers what pages show at a glance.
func (a *API) overview() {
	handle(a, describing(route("overview-show", http.MethodGet, "/api/v1/overview", "overview", "Count the fleet and what is wrong with it"),
		"Of more than 2,000 devices it is what was counted at most 15 seconds ago, see at. What the caller may not read is not counted."),
		func(ctx context.Context, in *InOrg) (*body[tandem.Overview], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.Overview(ctx, c.actor, c.org))
		})

	handle(a, describing(route("overview-open", http.MethodGet, "/api/v1/overview/open", "overview", "Count what waits for somebody"),
		"Each is counted up to 10,000; 10,001 stands for more. What the caller may not read is 0."),
		func(ctx context.Context, in *InOrg) (*body[tandem.OpenCounts], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.OpenCounts(ctx, c.actor, c.org))
		})

	handle(a, describing(route("devices-facets", http.MethodGet, "/api/v1/devices/facets", "devices", "List the types, tags, blueprints and cohorts that devices have"),
		"Of each the 200 most used. Of more than 2,000 devices it is up to a minute old."),
		func(ctx context.Context, in *InOrg) (*body[tandem.DeviceFacets], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.DeviceFacets(ctx, c.actor, c.org))
		})

	a.groups()
	a.deliveryRate()
	a.histories()
}

// groups registers what is counted by cause.
func (a *API) groups() {
	type conflictGroups struct {
		Groups []tandem.ConflictGroup `json:"groups"`
	}
	type groupsInput struct {
		OrganizationParam
		ConflictFilter
	}
	handle(a, route("conflicts-groups", http.MethodGet, "/api/v1/conflicts/groups", "conflicts", "Count conflicts by service, field and type, the most first"),
		func(ctx context.Context, in *groupsInput) (*body[conflictGroups], error) {
			c := callerOf(ctx)
			service, err := a.serviceID(ctx, c, in.Service)
			if err != nil {
				return nil, err
			}
			groups, err := a.options.Registry.ConflictGroups(ctx, c.actor, c.org, tandem.ConflictFilter{ServiceID: service, DeviceIDs: splitList(in.Device),
				ExternalDeviceIDs: splitList(in.External), Field: tandem.Path(in.Field), Type: tandem.ConflictType(in.Type), Status: tandem.ResolutionStatus(in.Status),
				All: in.All, Search: in.Search})
			return with(conflictGroups{list(groups)}, err)
		})

	type entryGroups struct {
		Groups []tandem.EntryGroup `json:"groups"`
	}
	handle(a, describing(route("run-errors", http.MethodGet, "/api/v1/runs/{id}/errors", "runs", "Group what a run did not get done by its cause, the most first"),
		"Failed, moved, held and pending entries. Texts that differ in names, ids and numbers alone are one group, with … in their place."),
		func(ctx context.Context, in *ByID) (*body[entryGroups], error) {
			c := callerOf(ctx)
			groups, err := a.options.Registry.EntryGroups(ctx, c.actor, c.org, in.ID)
			return with(entryGroups{list(groups)}, err)
		})

	handle(a, describing(route("run-progress", http.MethodGet, "/api/v1/runs/{id}/progress", "runs", "Show where a run stands"),
		"Whichever process performs it: a run notes it once a second, and an event of the kind runs tells of it. Of a run that has ended it is how it ended."),
		func(ctx context.Context, in *ByID) (*body[tandem.Progress], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.RunProgress(ctx, c.actor, c.org, in.ID))
		})
}

func (a *API) deliveryRate() {
	type rateInput struct {
		OrganizationParam
		Service string    `query:"service" maxLength:"200" doc:"Of this service, by id or name."`
		Since   time.Time `query:"since" doc:"From the step that holds this; an hour before until when left out."`
		Until   time.Time `query:"until" doc:"Up to this; now when left out."`
		Step    string    `query:"step" maxLength:"20" default:"1m" doc:"How long a bucket is: whole minutes." example:"5m"`
	}
	type rate struct {
		Buckets []tandem.DeliveryBucket `json:"buckets"`
	}
	handle(a, describing(route("deliveries-rate", http.MethodGet, "/api/v1/deliveries/rate", "deliveries", "Count webhooks over time"),
		"How many came to each status in each step, empty steps too, at most 1,500: stored are those that were received. What happened in the last second may lack."),
		func(ctx context.Context, in *rateInput) (*body[rate], error) {
			step, err := time.ParseDuration(in.Step)
			if err != nil {
				return nil, tandem.Errorf(tandem.Invalid, "read step", "", "step is %.20q, it must be a duration of whole minutes, such as 5m", in.Step)
			}
			if in.Until.IsZero() {
				in.Until = a.options.Registry.Clock()
			}
			if in.Since.IsZero() {
				in.Since = in.Until.Add(-time.Hour)
			}
			c := callerOf(ctx)
			buckets, err := a.options.Registry.DeliveryRate(ctx, c.actor, c.org, in.Service, in.Since, in.Until, step)
			return with(rate{list(buckets)}, err)
		})
}

// histories registers what became of devices, over all runs.
func (a *API) histories() {
	type historyInput struct {
		DeviceByID
		Listing
		Selection
		Field string `query:"field" maxLength:"300" doc:"Of this field; a bare field also finds its leaves."`
	}
	type historyPage struct {
		History    []tandem.HistoryEntry `json:"history"`
		Pagination tandem.Pagination     `json:"pagination"`
	}
	handle(a, describing(route("devices-history-list", http.MethodGet, "/api/v1/devices/{id}/history", "devices", "List what changed a device, newest first"),
		"What runs did to it, and who edited it here, one for each field; the 10,000 newest can be paged through."),
		func(ctx context.Context, in *historyInput) (*body[historyPage], error) {
			c := callerOf(ctx)
			all, total, err := a.options.Registry.DeviceHistory(ctx, c.actor, c.org, in.ID, tandem.HistoryFilter{Field: tandem.Path(in.Field), Page: in.page()})
			return with(historyPage{list(all), in.pagination(total)}, err)
		})

	type entriesInput struct {
		OrganizationParam
		Listing
		Selection
		Device  string    `query:"device" required:"true" minLength:"1" maxLength:"100" doc:"About this device, by id."`
		Service string    `query:"service" maxLength:"200" doc:"Of this service, by id or name."`
		Field   string    `query:"field" maxLength:"300" doc:"About this field, or path of metadata."`
		Side    string    `query:"side" enum:"local,remote"`
		Action  string    `query:"action" enum:"create,update,delete,link,unlink,recreate,conflict,settle,drift,rename,read"`
		Outcome string    `query:"outcome" enum:"done,failed,moved,held,pending"`
		Search  string    `query:"search" maxLength:"200" doc:"Part of the device's name or the error."`
		Newest  bool      `query:"newest" doc:"Newest first, where sort says nothing."`
		Sort    entrySort `query:"sort"`
	}
	type entryPage struct {
		Entries    []tandem.Entry    `json:"entries"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("entries-list", http.MethodGet, "/api/v1/entries", "runs", "List what runs did to a device, oldest first"),
		func(ctx context.Context, in *entriesInput) (*body[entryPage], error) {
			c := callerOf(ctx)
			service, err := a.serviceID(ctx, c, in.Service)
			if err != nil {
				return nil, err
			}
			entries, total, err := a.options.Registry.Entries(ctx, c.actor, c.org, tandem.EntryFilter{DeviceID: in.Device, ServiceID: service, Path: tandem.Path(in.Field),
				Side: tandem.Side(in.Side), Action: tandem.Action(in.Action), Outcome: tandem.EntryOutcome(in.Outcome), Search: in.Search, Newest: in.Newest,
				Sort: string(in.Sort), Page: in.page()})
			return with(entryPage{list(entries), tandem.PaginatedSome(in.page(), total)}, err)
		})
}
