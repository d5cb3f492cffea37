package client

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"tandem"
)

// PlanChanges lists a plan's changes that match, in their order, and counts all matches.
func (c *Client) PlanChanges(ctx context.Context, org, id string, filter tandem.PlanFilter) ([]tandem.Change, int, error) {
	var r struct {
		Rows       []tandem.Change
		Pagination tandem.Pagination
	}
	removals := ""
	if filter.Removals != nil {
		removals = strconv.FormatBool(*filter.Removals)
	}
	refused := ""
	if filter.Refused {
		refused = "true"
	}
	query := paging(values("side", string(filter.Side), "action", string(filter.Action), "removals", removals, "refused", refused, "field", string(filter.Field), "search", filter.Search), filter.Page)
	err := c.do(ctx, call{method: http.MethodGet, path: path("plans", id, "rows"), org: org, query: query}, &r)
	return r.Rows, r.Pagination.Matches(), err
}

// PlanGroups counts a plan's changes by side, action and field, the most first.
func (c *Client) PlanGroups(ctx context.Context, org, id string) ([]tandem.PlanGroup, error) {
	var r struct{ Groups []tandem.PlanGroup }
	err := c.do(ctx, call{method: http.MethodGet, path: path("plans", id, "groups"), org: org}, &r)
	return r.Groups, err
}

// DiscardPlan drops a saved plan.
func (c *Client) DiscardPlan(ctx context.Context, org, id string) (tandem.Plan, error) {
	var p tandem.Plan
	err := c.do(ctx, call{method: http.MethodPost, path: path("plans", id, "discard"), org: org}, &p)
	return p, err
}

// TryService asks a project once, with settings that are not stored: of a service where ref names one. A nil key is the stored one.
func (c *Client) TryService(ctx context.Context, org, ref, baseURL, project string, key *string) (tandem.RemoteProject, time.Duration, error) {
	var r struct {
		Project  tandem.RemoteProject
		Duration int64 `json:"duration_ms"`
	}
	body := map[string]any{}
	for name, text := range map[string]string{"service": ref, "base_url": baseURL, "project": project} {
		if text != "" {
			body[name] = text
		}
	}
	if key != nil {
		body["api_key"] = *key
	}
	err := c.do(ctx, call{method: http.MethodPost, path: path("services", "test"), org: org, body: body}, &r)
	return r.Project, time.Duration(r.Duration) * time.Millisecond, err
}
