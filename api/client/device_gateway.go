package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"tandem"
	"tandem/registry"
)

// secretly is a credential with its secret.
type secretly struct {
	tandem.Credential
	Secret string `json:"secret"`
}

// Credentials lists what a device authenticates with, newest first.
func (c *Client) Credentials(ctx context.Context, org, ref string) ([]tandem.Credential, error) {
	var r struct{ Credentials []tandem.Credential }
	err := c.do(ctx, call{method: http.MethodGet, path: path("devices", ref, "credentials"), org: org}, &r)
	return r.Credentials, err
}

// CreateCredential makes one and gives its secret.
func (c *Client) CreateCredential(ctx context.Context, org, ref string, add registry.NewCredential) (tandem.Credential, string, error) {
	body := map[string]any{"kind": add.Kind}
	for name, value := range map[string]string{"name": add.Name, "identity": add.Identity, "certificate": add.Certificate, "service": add.Service} {
		if value != "" {
			body[name] = value
		}
	}
	if add.Life > 0 {
		body["expires_in"] = add.Life.String()
	}
	var r secretly
	err := c.do(ctx, call{method: http.MethodPost, path: path("devices", ref, "credentials"), org: org, body: body, once: true}, &r)
	return r.Credential, r.Secret, err
}

// RotateCredential gives one a new secret.
func (c *Client) RotateCredential(ctx context.Context, org, ref, id string, grace time.Duration) (tandem.Credential, string, error) {
	body := map[string]any{}
	if grace > 0 {
		body["grace"] = grace.String()
	}
	var r secretly
	err := c.do(ctx, call{method: http.MethodPost, path: path("devices", ref, "credentials", id, "rotate"), org: org, body: body, once: true}, &r)
	return r.Credential, r.Secret, err
}

// RevokeCredential ends one.
func (c *Client) RevokeCredential(ctx context.Context, org, ref, id string) (tandem.Credential, error) {
	var r tandem.Credential
	err := c.do(ctx, call{method: http.MethodDelete, path: path("devices", ref, "credentials", id), org: org}, &r)
	return r, err
}

// SendCommand tells a device to do something.
func (c *Client) SendCommand(ctx context.Context, org, ref string, add registry.NewCommand) (tandem.Command, error) {
	body := map[string]any{"name": add.Name}
	if len(add.Payload) > 0 {
		body["payload"] = json.RawMessage(add.Payload)
	}
	if add.Life > 0 {
		body["expires_in"] = add.Life.String()
	}
	if add.Service != "" {
		body["service"] = add.Service
	}
	var r tandem.Command
	err := c.do(ctx, call{method: http.MethodPost, path: path("devices", ref, "commands"), org: org, body: body, once: true}, &r)
	return r, err
}

// Commands lists a device's commands, newest first, and counts all matches.
func (c *Client) Commands(ctx context.Context, org, ref string, filter tandem.CommandFilter) ([]tandem.Command, int, error) {
	var r struct {
		Commands   []tandem.Command
		Pagination tandem.Pagination
	}
	err := c.do(ctx, call{method: http.MethodGet, path: path("devices", ref, "commands"), org: org, query: paging(values("status", string(filter.Status)), filter.Page)}, &r)
	return r.Commands, r.Pagination.Total, err
}

// Command shows one.
func (c *Client) Command(ctx context.Context, org, ref, id string) (tandem.Command, error) {
	var r tandem.Command
	err := c.do(ctx, call{method: http.MethodGet, path: path("devices", ref, "commands", id), org: org}, &r)
	return r, err
}

// CancelCommand withdraws one.
func (c *Client) CancelCommand(ctx context.Context, org, ref, id string) (tandem.Command, error) {
	var r tandem.Command
	err := c.do(ctx, call{method: http.MethodDelete, path: path("devices", ref, "commands", id), org: org}, &r)
	return r, err
}

// DeviceSeries gives the numbers that a device reported.
func (c *Client) DeviceSeries(ctx context.Context, org, ref, of string, since, until time.Time, points int) ([]tandem.SeriesPoint, error) {
	query := values("path", of, "since", since.UTC().Format(time.RFC3339Nano), "points", strconv.Itoa(points))
	if !until.IsZero() {
		query.Set("until", until.UTC().Format(time.RFC3339Nano))
	}
	var r struct{ Points []tandem.SeriesPoint }
	err := c.do(ctx, call{method: http.MethodGet, path: path("devices", ref, "series"), org: org, query: query}, &r)
	return r.Points, err
}
