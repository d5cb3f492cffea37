package client

import (
	"context"
	"net/http"
	"strings"
	"time"

	"tandem"
)

// Overview counts the fleet and what is wrong with it; of a large fleet it is some seconds old.
func (c *Client) Overview(ctx context.Context, org string) (tandem.Overview, error) {
	var o tandem.Overview
	err := c.do(ctx, call{method: http.MethodGet, path: path("overview"), org: org}, &o)
	return o, err
}

// OpenCounts counts what waits for somebody.
func (c *Client) OpenCounts(ctx context.Context, org string) (tandem.OpenCounts, error) {
	var o tandem.OpenCounts
	err := c.do(ctx, call{method: http.MethodGet, path: path("overview", "open"), org: org}, &o)
	return o, err
}

// DeviceFacets gives the most used types, tags, blueprints and cohorts.
func (c *Client) DeviceFacets(ctx context.Context, org string) (tandem.DeviceFacets, error) {
	var f tandem.DeviceFacets
	err := c.do(ctx, call{method: http.MethodGet, path: path("devices", "facets"), org: org}, &f)
	return f, err
}

// DeliveryRate gives how many deliveries came to each status, of a service or of all, in steps of whole minutes.
func (c *Client) DeliveryRate(ctx context.Context, org, service string, since, until time.Time, step time.Duration) ([]tandem.DeliveryBucket, error) {
	var r struct{ Buckets []tandem.DeliveryBucket }
	query := values("service", service, "since", instant(since), "until", instant(until), "step", step.String())
	err := c.do(ctx, call{method: http.MethodGet, path: path("deliveries", "rate"), org: org, query: query}, &r)
	return r.Buckets, err
}

// ConflictGroups counts conflicts by service, field and type, the most first.
func (c *Client) ConflictGroups(ctx context.Context, org string, filter tandem.ConflictFilter) ([]tandem.ConflictGroup, error) {
	var r struct{ Groups []tandem.ConflictGroup }
	query := values("service", filter.ServiceID, "device", strings.Join(filter.DeviceIDs, ","), "external_device", strings.Join(filter.ExternalDeviceIDs, ","),
		"field", string(filter.Field), "type", string(filter.Type), "status", string(filter.Status), "all", truth(filter.All), "search", filter.Search)
	err := c.do(ctx, call{method: http.MethodGet, path: path("conflicts", "groups"), org: org, query: query}, &r)
	return r.Groups, err
}

// EntryGroups groups what a run did not get done by its cause, the most first.
func (c *Client) EntryGroups(ctx context.Context, org, run string) ([]tandem.EntryGroup, error) {
	var r struct{ Groups []tandem.EntryGroup }
	err := c.do(ctx, call{method: http.MethodGet, path: path("runs", run, "errors"), org: org}, &r)
	return r.Groups, err
}

// RunProgress gives where a run stands.
func (c *Client) RunProgress(ctx context.Context, org, run string) (tandem.Progress, error) {
	var p tandem.Progress
	err := c.do(ctx, call{method: http.MethodGet, path: path("runs", run, "progress"), org: org}, &p)
	return p, err
}

// DeviceHistory lists what changed a device, newest first.
func (c *Client) DeviceHistory(ctx context.Context, org, ref string, filter tandem.HistoryFilter) ([]tandem.HistoryEntry, int, error) {
	var r struct {
		History    []tandem.HistoryEntry
		Pagination tandem.Pagination
	}
	err := c.do(ctx, call{method: http.MethodGet, path: path("devices", ref, "history"), org: org, query: paging(values("field", string(filter.Field)), filter.Page)}, &r)
	return r.History, r.Pagination.Total, err
}
