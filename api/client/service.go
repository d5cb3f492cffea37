package client

import (
	"context"
	"net/http"
	"time"

	"tandem"
	"tandem/registry"
)

// Service is a service with whether its settings may run.
type Service struct {
	tandem.Service
	Approved     bool `json:"settings_approved"` // a person has let these settings run (S28)
	EverApproved bool `json:"ever_approved"`     // there was a run that a person let
}

// NewService is what a service is made of.
type NewService struct {
	Name   string
	Type   string // "golioth"
	Config tandem.ServiceConfig
	Key    string // the project's API key
	Check  bool   // ask the project first
}

// ServiceEdit names what is to change of a service; nil leaves a value as it is.
type ServiceEdit struct {
	Name         *string
	Config       func(*tandem.ServiceConfig)
	Key          *string
	IsActive     *bool
	SyncEnabled  *bool
	SyncInterval *int // seconds
	IfVersion    *int64
}

// settings are a service's settings as they are sent: all of them but those of its webhook, which have a call of their own.
type settings struct {
	tandem.ServiceConfig
	Webhook        *struct{} `json:"webhook,omitempty"`         // changed on its own
	PrivateAddress *struct{} `json:"private_address,omitempty"` // follows from who named the address
}

type serviceBody struct {
	Name         *string   `json:"name,omitempty"`
	Type         string    `json:"service_type,omitempty"`
	Config       *settings `json:"config,omitempty"`
	Key          *string   `json:"api_key,omitempty"`
	IsActive     *bool     `json:"is_active,omitempty"`
	SyncEnabled  *bool     `json:"sync_enabled,omitempty"`
	SyncInterval *int      `json:"sync_interval_seconds,omitempty"`
	Check        bool      `json:"check,omitempty"`
}

// Services lists services by name.
func (c *Client) Services(ctx context.Context, org string) ([]Service, error) {
	var all []Service
	for number := 1; ; number++ {
		var r struct {
			Services   []Service
			Pagination tandem.Pagination
		}
		if err := c.do(ctx, call{method: http.MethodGet, path: path("services"), org: org, query: paging(values(), tandem.Page{Number: number, Limit: 1000})}, &r); err != nil {
			return all, err
		}
		if all = append(all, r.Services...); number >= r.Pagination.Pages {
			return all, nil
		}
	}
}

// Service finds one by id or name.
func (c *Client) Service(ctx context.Context, org, ref string) (Service, error) {
	var s Service
	err := c.do(ctx, call{method: http.MethodGet, path: path("services", ref), org: org}, &s)
	return s, err
}

// AddService connects a project.
func (c *Client) AddService(ctx context.Context, org string, add NewService) (Service, error) {
	var s Service
	body := serviceBody{Name: &add.Name, Type: add.Type, Config: &settings{ServiceConfig: add.Config}, Key: &add.Key, Check: add.Check}
	err := c.do(ctx, call{method: http.MethodPost, path: path("services"), org: org, body: body, once: true}, &s)
	return s, err
}

// UpdateService changes what the edit names. Settings are read first and sent back as a whole, so that what somebody else
// changed of them meanwhile is found out: then the call is repeated.
func (c *Client) UpdateService(ctx context.Context, org, ref string, edit ServiceEdit) (Service, error) {
	body := serviceBody{Name: edit.Name, Key: edit.Key, IsActive: edit.IsActive, SyncEnabled: edit.SyncEnabled, SyncInterval: edit.SyncInterval}
	if edit.Config == nil {
		return c.patchService(ctx, org, ref, body, edit.IfVersion)
	}
	for try := 1; ; try++ {
		now, err := c.Service(ctx, org, ref)
		if err != nil {
			return now, err
		}
		body.Config = &settings{ServiceConfig: now.Config}
		edit.Config(&body.Config.ServiceConfig)
		match := edit.IfVersion
		if match == nil {
			match = &now.Version
		}
		after, err := c.patchService(ctx, org, now.ID, body, match)
		if !tandem.Is(err, tandem.Stale) || edit.IfVersion != nil || try == 3 {
			return after, err
		}
	}
}

func (c *Client) patchService(ctx context.Context, org, ref string, body serviceBody, match *int64) (Service, error) {
	var s Service
	err := c.do(ctx, call{method: http.MethodPatch, path: path("services", ref), org: org, body: body, match: version(match)}, &s)
	return s, err
}

// DeleteService removes a service, with a version only that one; its devices are unlinked and stay.
func (c *Client) DeleteService(ctx context.Context, org, ref string, ifVersion ...int64) (s Service, unlinked int, err error) {
	if s, err = c.Service(ctx, org, ref); err != nil {
		return s, 0, err
	}
	var r struct{ Unlinked int }
	err = c.do(ctx, call{method: http.MethodDelete, path: path("services", s.ID), org: org, match: versions(ifVersion)}, &r)
	return s, r.Unlinked, err
}

// TestService asks the service's project once, and says how long it took.
func (c *Client) TestService(ctx context.Context, org, ref string) (tandem.RemoteProject, time.Duration, error) {
	var r struct {
		Project  tandem.RemoteProject
		Duration int64 `json:"duration_ms"`
	}
	err := c.do(ctx, call{method: http.MethodPost, path: path("services", ref, "test"), org: org}, &r)
	return r.Project, time.Duration(r.Duration) * time.Millisecond, err
}

// ConfirmProject lets a service have another project behind it; its devices are unlinked first.
func (c *Client) ConfirmProject(ctx context.Context, org, ref string) (detached int, err error) {
	var r struct{ Unlinked int }
	err = c.do(ctx, call{method: http.MethodPost, path: path("services", ref, "confirm-project"), org: org}, &r)
	return r.Unlinked, err
}

// LinkedCount counts the devices that are linked on a service.
func (c *Client) LinkedCount(ctx context.Context, org, service string) (int, error) {
	_, all, err := c.Devices(ctx, org, first(tandem.DeviceFilter{ServiceID: service}))
	if err != nil {
		return 0, err
	}
	_, unlinked, err := c.Devices(ctx, org, first(tandem.DeviceFilter{ServiceID: service, SyncStatus: tandem.SyncUnlinked}))
	return all - unlinked, err
}

// UpdateWebhook changes how a service's deliveries are authenticated and read. A secret that was made is given this once.
func (c *Client) UpdateWebhook(ctx context.Context, org, ref string, edit registry.WebhookEdit) (Service, string, error) {
	body := map[string]any{}
	if edit.Scheme != nil {
		body["scheme"] = *edit.Scheme
	}
	if edit.Header != nil {
		body["header"] = *edit.Header
	}
	if edit.Paths != nil {
		body["paths"] = *edit.Paths
	}
	if len(edit.Secret) > 0 {
		body["secret"] = string(edit.Secret)
	}
	if edit.NewSecret {
		body["new_secret"] = true
	}
	if edit.DropOld {
		body["drop_old"] = true
	}
	var r struct {
		Service
		Secret string `json:"secret"`
	}
	err := c.do(ctx, call{method: http.MethodPatch, path: path("services", ref, "webhook"), org: org, body: body, match: version(edit.IfVersion)}, &r)
	return r.Service, r.Secret, err
}

// ConnectWebhook has the project's messages posted to the server.
func (c *Client) ConnectWebhook(ctx context.Context, org, ref, publicURL string, dry bool, paths ...string) (registry.Connection, error) {
	body := map[string]any{"dry_run": dry}
	if publicURL != "" {
		body["public_url"] = publicURL
	}
	if len(paths) > 0 {
		body["paths"] = paths
	}
	var r registry.Connection
	err := c.do(ctx, call{method: http.MethodPost, path: path("services", ref, "connect"), org: org, body: body}, &r)
	return r, err
}

// DisconnectWebhook takes the webhook out of the project again.
func (c *Client) DisconnectWebhook(ctx context.Context, org, ref string) (Service, error) {
	var s Service
	err := c.do(ctx, call{method: http.MethodPost, path: path("services", ref, "disconnect"), org: org}, &s)
	return s, err
}
