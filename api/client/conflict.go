package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"tandem"
	"tandem/registry"
)

// Conflicts lists conflicts, newest first.
func (c *Client) Conflicts(ctx context.Context, org string, filter tandem.ConflictFilter) ([]tandem.Conflict, int, error) {
	var r struct {
		Conflicts  []tandem.Conflict
		Pagination tandem.Pagination
	}
	query := paging(values("service", filter.ServiceID, "device", strings.Join(filter.DeviceIDs, ","), "external_device", strings.Join(filter.ExternalDeviceIDs, ","),
		"field", string(filter.Field), "type", string(filter.Type), "status", string(filter.Status), "all", truth(filter.All), "search", filter.Search, "sort", filter.Sort), filter.Page)
	err := c.do(ctx, call{method: http.MethodGet, path: path("conflicts"), org: org, query: query}, &r)
	return r.Conflicts, r.Pagination.Total, err
}

// Conflict finds one.
func (c *Client) Conflict(ctx context.Context, org, id string) (tandem.Conflict, error) {
	var v tandem.Conflict
	err := c.do(ctx, call{method: http.MethodGet, path: path("conflicts", id), org: org}, &v)
	return v, err
}

// Settle settles the open conflicts that the settlement's filter names; what became of each is in its place.
func (c *Client) Settle(ctx context.Context, org string, s tandem.Settlement) ([]tandem.Settled, error) {
	body := map[string]any{"take": s.Take, "dry_run": s.DryRun}
	if s.Take == tandem.TakeValue {
		text, err := json.Marshal(s.Value)
		if err != nil {
			return nil, tandem.Errorf(tandem.Invalid, "settle conflicts", "", "the value cannot be written: %w", err)
		}
		body["value"] = json.RawMessage(text)
	}
	f := &s.Filter
	for name, value := range map[string]string{"device_id": s.DeviceID, "service": f.ServiceID, "field": string(f.Field), "type": string(f.Type), "search": f.Search} {
		if value != "" {
			body[name] = value
		}
	}
	for name, list := range map[string][]string{"ids": f.IDs, "device_ids": f.DeviceIDs} {
		if len(list) > 0 {
			body[name] = list
		}
	}
	var r struct{ Settled []tandem.Settled }
	err := c.do(ctx, call{method: http.MethodPost, path: path("conflicts", "resolve"), org: org, body: body, once: true}, &r)
	for i := range r.Settled {
		if one := &r.Settled[i]; one.Refusal != "" {
			one.Error = &tandem.Error{Code: tandem.Stale, Op: "settle conflict", Message: one.Refusal}
		}
	}
	return r.Settled, err
}

// Deliveries lists received webhooks, newest first; more than tandem.CountedTo matches are so many or more.
func (c *Client) Deliveries(ctx context.Context, org string, filter tandem.DeliveryFilter) ([]tandem.Delivery, int, error) {
	var r struct {
		Deliveries []tandem.Delivery
		Pagination tandem.Pagination
	}
	query := paging(values("service", filter.ServiceID, "status", string(filter.Status), "type", filter.Type, "external_device", filter.ExternalDeviceID, "sort", filter.Sort), filter.Page)
	err := c.do(ctx, call{method: http.MethodGet, path: path("deliveries"), org: org, query: query}, &r)
	return r.Deliveries, r.Pagination.Matches(), err
}

// Delivery finds one.
func (c *Client) Delivery(ctx context.Context, org, id string) (tandem.Delivery, error) {
	var d tandem.Delivery
	err := c.do(ctx, call{method: http.MethodGet, path: path("deliveries", id), org: org}, &d)
	return d, err
}

// ReplayDeliveries has webhooks processed again and says how many.
func (c *Client) ReplayDeliveries(ctx context.Context, org string, ids []string) (int, error) {
	var r struct{ Replayed int }
	err := c.do(ctx, call{method: http.MethodPost, path: path("deliveries", "replay"), org: org, body: map[string]any{"ids": ids}, once: true}, &r)
	return r.Replayed, err
}

// Alerts lists alerts, newest first.
func (c *Client) Alerts(ctx context.Context, org string, filter tandem.AlertFilter) ([]tandem.Alert, int, error) {
	var r struct {
		Alerts     []tandem.Alert
		Pagination tandem.Pagination
	}
	query := paging(values("service", filter.ServiceID, "kind", string(filter.Kind), "status", string(filter.Status), "all", truth(filter.All), "sort", filter.Sort), filter.Page)
	err := c.do(ctx, call{method: http.MethodGet, path: path("alerts"), org: org, query: query}, &r)
	return r.Alerts, r.Pagination.Total, err
}

// Alert finds one.
func (c *Client) Alert(ctx context.Context, org, id string) (tandem.Alert, error) {
	return c.alert(ctx, org, http.MethodGet, id)
}

// AcknowledgeAlert says that somebody looks after it.
func (c *Client) AcknowledgeAlert(ctx context.Context, org, id string) (tandem.Alert, error) {
	return c.alert(ctx, org, http.MethodPost, id, "acknowledge")
}

// ResolveAlert closes it.
func (c *Client) ResolveAlert(ctx context.Context, org, id string) (tandem.Alert, error) {
	return c.alert(ctx, org, http.MethodPost, id, "resolve")
}

func (c *Client) alert(ctx context.Context, org, method string, parts ...string) (tandem.Alert, error) {
	var a tandem.Alert
	err := c.do(ctx, call{method: method, path: path(append([]string{"alerts"}, parts...)...), org: org}, &a)
	return a, err
}

// Channels lists where alerts are sent, by name.
func (c *Client) Channels(ctx context.Context, org string) ([]tandem.Channel, error) {
	var r struct{ Channels []tandem.Channel }
	err := c.do(ctx, call{method: http.MethodGet, path: path("channels"), org: org, query: values("limit", "1000")}, &r)
	return r.Channels, err
}

// Channel finds one by id or name.
func (c *Client) Channel(ctx context.Context, org, ref string) (tandem.Channel, error) {
	var v tandem.Channel
	err := c.do(ctx, call{method: http.MethodGet, path: path("channels", ref), org: org}, &v)
	return v, err
}

type channelBody struct {
	Name           *string             `json:"name,omitempty"`
	Type           tandem.ChannelType  `json:"type,omitempty"`
	Config         json.RawMessage     `json:"config,omitempty"`
	Secret         string              `json:"secret,omitempty"`
	Kinds          *[]tandem.AlertKind `json:"kinds,omitempty"`
	MinSeverity    *tandem.Severity    `json:"min_severity,omitempty"`
	EscalationOnly *bool               `json:"escalation_only,omitempty"`
	Throttle       *int                `json:"throttle_seconds,omitempty"`
	IsActive       *bool               `json:"is_active,omitempty"`
}

// CreateChannel adds one.
func (c *Client) CreateChannel(ctx context.Context, org string, add registry.NewChannel) (tandem.Channel, error) {
	body := channelBody{Name: &add.Name, Type: add.Type, Config: add.Config, Secret: string(add.Secret), EscalationOnly: &add.EscalationOnly, Throttle: &add.Throttle}
	if len(add.Kinds) > 0 {
		body.Kinds = &add.Kinds
	}
	if add.MinSeverity != "" {
		body.MinSeverity = &add.MinSeverity
	}
	var v tandem.Channel
	err := c.do(ctx, call{method: http.MethodPost, path: path("channels"), org: org, body: body, once: true}, &v)
	return v, err
}

// UpdateChannel changes what the edit names.
func (c *Client) UpdateChannel(ctx context.Context, org, ref string, edit registry.ChannelEdit) (tandem.Channel, error) {
	body := channelBody{Name: edit.Name, Config: edit.Config, Secret: string(edit.Secret), Kinds: edit.Kinds, MinSeverity: edit.MinSeverity, EscalationOnly: edit.EscalationOnly,
		Throttle: edit.Throttle, IsActive: edit.IsActive}
	if body.Kinds != nil && *body.Kinds == nil {
		body.Kinds = &[]tandem.AlertKind{}
	}
	var v tandem.Channel
	err := c.do(ctx, call{method: http.MethodPatch, path: path("channels", ref), org: org, body: body, match: version(edit.IfVersion)}, &v)
	return v, err
}

// DeleteChannel removes one, with a version only that one.
func (c *Client) DeleteChannel(ctx context.Context, org, ref string, ifVersion ...int64) (tandem.Channel, error) {
	v, err := c.Channel(ctx, org, ref)
	if err != nil {
		return v, err
	}
	return v, c.do(ctx, call{method: http.MethodDelete, path: path("channels", v.ID), org: org, match: versions(ifVersion)}, nil)
}

// TestChannel sends a test message.
func (c *Client) TestChannel(ctx context.Context, org, ref string) error {
	return c.do(ctx, call{method: http.MethodPost, path: path("channels", ref, "test"), org: org}, nil)
}
