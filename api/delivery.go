package api

import (
	"context"
	"net/http"

	"tandem"
)

func (a *API) deliveries() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Service  string       `query:"service" maxLength:"200" doc:"Of this service, by id or name."`
		Status   string       `query:"status" enum:"stored,retrying,waiting,processed,dead,refused"`
		Type     string       `query:"type" maxLength:"100" doc:"Of this event type, such as device.data."`
		External string       `query:"external_device" maxLength:"200" doc:"About this remote device, by id."`
		Sort     deliverySort `query:"sort"`
	}
	type deliveryList struct {
		Deliveries []tandem.Delivery `json:"deliveries"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("deliveries-list", http.MethodGet, "/api/v1/deliveries", "deliveries", "List received webhooks, newest first"),
		func(ctx context.Context, in *listInput) (*body[deliveryList], error) {
			c := callerOf(ctx)
			service, err := a.serviceID(ctx, c, in.Service)
			if err != nil {
				return nil, err
			}
			rows, total, err := a.options.Registry.Deliveries(ctx, c.actor, c.org, tandem.DeliveryFilter{ServiceID: service, Status: tandem.DeliveryStatus(in.Status), Type: in.Type,
				ExternalDeviceID: in.External, Sort: string(in.Sort), Page: in.page()})
			for i := range rows {
				rows[i].Body = list(rows[i].Body)
			}
			return with(deliveryList{list(rows), tandem.PaginatedSome(in.page(), total)}, err)
		})

	handle(a, route("deliveries-show", http.MethodGet, "/api/v1/deliveries/{id}", "deliveries", "Show a received webhook"),
		func(ctx context.Context, in *ByID) (*body[tandem.Delivery], error) {
			c := callerOf(ctx)
			d, err := a.options.Registry.Delivery(ctx, c.actor, c.org, in.ID)
			d.Body = list(d.Body)
			return with(d, err)
		})

	type replayReply struct {
		Replayed int `json:"replayed" doc:"How many are processed again."`
	}
	handle(a, route("deliveries-replay", http.MethodPost, "/api/v1/deliveries/{id}/replay", "deliveries", "Process a webhook again"),
		func(ctx context.Context, in *OnceByID) (*body[replayReply], error) {
			c := callerOf(ctx)
			n, err := a.options.Registry.ReplayDeliveries(ctx, c.actor, c.org, []string{in.ID})
			if err == nil && n == 0 {
				err = tandem.Errorf(tandem.NotFound, "replay delivery", in.ID, "there is no such delivery")
			}
			return with(replayReply{n}, err)
		})

	type deliveryReplayInput struct {
		InOrg
		Once
		Body struct {
			IDs []string `json:"ids" minItems:"1" maxItems:"1000"`
		}
	}
	handle(a, route("deliveries-replay-many", http.MethodPost, "/api/v1/deliveries/replay", "deliveries", "Process many webhooks again"),
		func(ctx context.Context, in *deliveryReplayInput) (*body[replayReply], error) {
			c := callerOf(ctx)
			n, err := a.options.Registry.ReplayDeliveries(ctx, c.actor, c.org, in.Body.IDs)
			return with(replayReply{n}, err)
		})
}

func (a *API) alerts() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Service string    `query:"service" maxLength:"200" doc:"About this service, by id or name."`
		Kind    string    `query:"kind" enum:"conflicts,run_failed,run_blocked,service_degraded,key_rejected,dead_letters,test"`
		Status  string    `query:"status" enum:"raised,acknowledged,resolved" doc:"With this status; open ones when left out."`
		All     bool      `query:"all" doc:"Resolved ones too."`
		Sort    alertSort `query:"sort"`
	}
	type alertList struct {
		Alerts     []tandem.Alert    `json:"alerts"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("alerts-list", http.MethodGet, "/api/v1/alerts", "alerts", "List alerts, newest first"),
		func(ctx context.Context, in *listInput) (*body[alertList], error) {
			c := callerOf(ctx)
			service, err := a.serviceID(ctx, c, in.Service)
			if err != nil {
				return nil, err
			}
			rows, total, err := a.options.Registry.Alerts(ctx, c.actor, c.org, tandem.AlertFilter{ServiceID: service, Kind: tandem.AlertKind(in.Kind), Status: tandem.AlertStatus(in.Status),
				All: in.All, Sort: string(in.Sort), Page: in.page()})
			return with(alertList{list(rows), in.pagination(total)}, err)
		})
	handle(a, route("alerts-show", http.MethodGet, "/api/v1/alerts/{id}", "alerts", "Show an alert"),
		func(ctx context.Context, in *ByID) (*body[tandem.Alert], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.Alert(ctx, c.actor, c.org, in.ID))
		})
	handle(a, describing(route("alerts-acknowledge", http.MethodPost, "/api/v1/alerts/{id}/acknowledge", "alerts", "Say that somebody looks after an alert"), "It does not escalate any more."),
		func(ctx context.Context, in *ByID) (*body[tandem.Alert], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.AcknowledgeAlert(ctx, c.actor, c.org, in.ID))
		})
	handle(a, describing(route("alerts-resolve", http.MethodPost, "/api/v1/alerts/{id}/resolve", "alerts", "Close an alert"), "Where its cause is still there, another is raised."),
		func(ctx context.Context, in *ByID) (*body[tandem.Alert], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.ResolveAlert(ctx, c.actor, c.org, in.ID))
		})
}
