package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"tandem"
)

// maxPlanned is how many changes of a plan are asked for at once.
const maxPlanned = 100_000

// runReply is a run as it is replied.
type runReply struct {
	tandem.Run
	Details []tandem.Entry            `json:"details"`
	Record  json.RawMessage           `json:"record"`
	Error   *struct{ Message string } `json:"error"`
	Total   int                       `json:"total_details"`
}

// run gives the run in the house's own form.
func (r *runReply) run() tandem.Run {
	run := r.Run
	run.Details = r.Record
	if r.Error != nil {
		run.Error = r.Error.Message
	}
	return run
}

func runBody(req *tandem.RunRequest) map[string]any {
	b := map[string]any{}
	add := func(name string, value any, given bool) {
		if given {
			b[name] = value
		}
	}
	add("operation", req.Operation, req.Operation != "")
	add("device_ids", req.DeviceIDs, len(req.DeviceIDs) > 0)
	add("external_ids", req.ExternalIDs, len(req.ExternalIDs) > 0)
	add("force", true, req.Force)
	add("plan_id", req.PlanID, req.PlanID != "")
	add("create_missing", req.CreateMissing, req.CreateMissing != "")
	return b
}

// StartRun queues a run.
func (c *Client) StartRun(ctx context.Context, org string, req tandem.RunRequest) (tandem.Run, error) {
	var r runReply
	err := c.do(ctx, call{method: http.MethodPost, path: path("services", req.ServiceID, "runs"), org: org, body: runBody(&req), once: true}, &r)
	return r.run(), err
}

// Sync starts a run and follows it to its end. When ctx ends the run goes on at the server.
func (c *Client) Sync(ctx context.Context, org string, req tandem.RunRequest, report tandem.Report) (tandem.Run, error) {
	run, err := c.StartRun(ctx, org, req)
	if err != nil {
		return run, err
	}
	return c.Await(ctx, org, run, report)
}

// Await follows a run to its end, telling report how far it is.
func (c *Client) Await(ctx context.Context, org string, run tandem.Run, report tandem.Report) (tandem.Run, error) {
	for !run.Status.Ended() {
		if report != nil {
			report(c.standing(ctx, org, &run))
		}
		var r runReply
		err := c.do(ctx, call{method: http.MethodGet, path: path("runs", run.ID), org: org, query: values("wait", "2s")}, &r)
		if err != nil {
			return run, err
		}
		run = r.run()
	}
	return run, nil
}

// standing gives where a run stands, or what the run itself tells of that.
func (c *Client) standing(ctx context.Context, org string, run *tandem.Run) tandem.Progress {
	p, err := c.RunProgress(ctx, org, run.ID)
	if err != nil || p.Phase == "" {
		return tandem.Progress{RunID: run.ID, Phase: string(run.Status), Done: run.Summary.Processed, Summary: run.Summary}
	}
	return p
}

// Preview plans a run without a write and hands each change to each; with save the plan is kept.
func (c *Client) Preview(ctx context.Context, org string, req tandem.RunRequest, save bool, each func(tandem.Change) error) (tandem.Preview, error) {
	b := runBody(&req)
	b["dry_run"], b["save"], b["max_details"] = true, save, maxPlanned
	return c.preview(ctx, org, call{method: http.MethodPost, path: path("services", req.ServiceID, "runs"), org: org, body: b}, each)
}

// preview reads a plan; what it holds beyond one reply is read page by page where it is stored.
func (c *Client) preview(ctx context.Context, org string, one call, each func(tandem.Change) error) (tandem.Preview, error) {
	var r runReply
	if err := c.do(ctx, one, &r); err != nil {
		return tandem.Preview{}, err
	}
	p := tandem.Preview{Run: r.run(), PlanID: r.PlanID}
	if each == nil { // the counts are all that is wanted
		return p, nil
	}
	for i := range r.Details {
		if err := each(r.Details[i].Change); err != nil {
			return p, err
		}
	}
	if r.Total <= len(r.Details) {
		return p, nil
	}
	if p.PlanID == "" {
		return p, tandem.Errorf(tandem.Invalid, "plan run", "", "the plan has %d changes, more than one reply holds", r.Total).WithHint("save it, and look at it page by page")
	}
	for offset := len(r.Details); ; {
		rows, err := c.PlanRows(ctx, org, p.PlanID, offset, 1000)
		if err != nil || len(rows) == 0 {
			return p, err
		}
		for _, change := range rows {
			if err := each(change); err != nil {
				return p, err
			}
		}
		offset += len(rows)
	}
}

// ApproveRun queues a run that lets through what a blocked one held back.
func (c *Client) ApproveRun(ctx context.Context, org, id string) (tandem.Run, error) {
	var r runReply
	err := c.do(ctx, call{method: http.MethodPost, path: path("runs", id, "approve"), org: org, once: true}, &r)
	return r.run(), err
}

// RevertRun queues a run that undoes a finished one.
func (c *Client) RevertRun(ctx context.Context, org, id string) (tandem.Run, error) {
	var r runReply
	err := c.do(ctx, call{method: http.MethodPost, path: path("runs", id, "revert"), org: org, body: map[string]any{}, once: true}, &r)
	return r.run(), err
}

// PreviewRevert hands each change that RevertRun would make to each.
func (c *Client) PreviewRevert(ctx context.Context, org, id string, each func(tandem.Change) error) (tandem.Preview, error) {
	return c.preview(ctx, org, call{method: http.MethodPost, path: path("runs", id, "revert"), org: org, body: map[string]any{"dry_run": true, "max_details": maxPlanned}}, each)
}

// DiscardRun drops what a blocked run held back.
func (c *Client) DiscardRun(ctx context.Context, org, id string) error {
	return c.do(ctx, call{method: http.MethodPost, path: path("runs", id, "discard"), org: org}, nil)
}

// CancelRun asks a run to stop at its next batch, and gives it as it is.
func (c *Client) CancelRun(ctx context.Context, org, id string) (tandem.Run, error) {
	if err := c.do(ctx, call{method: http.MethodPost, path: path("runs", id, "cancel"), org: org}, nil); err != nil {
		return tandem.Run{}, err
	}
	return c.Run(ctx, org, id)
}

// Runs lists runs, newest first.
func (c *Client) Runs(ctx context.Context, org string, filter tandem.RunFilter) ([]tandem.Run, int, error) {
	var r struct {
		Runs       []tandem.Run
		Pagination tandem.Pagination
	}
	query := paging(values("service", filter.ServiceID, "status", string(filter.Status), "operation", string(filter.Operation), "trigger", string(filter.Trigger),
		"created_by", filter.CreatedBy, "device", filter.DeviceID, "since", instant(filter.Since), "until", instant(filter.Until), "search", filter.Search, "sort", filter.Sort), filter.Page)
	err := c.do(ctx, call{method: http.MethodGet, path: path("runs"), org: org, query: query}, &r)
	return r.Runs, r.Pagination.Matches(), err
}

// Run finds one run.
func (c *Client) Run(ctx context.Context, org, id string) (tandem.Run, error) {
	var r runReply
	err := c.do(ctx, call{method: http.MethodGet, path: path("runs", id), org: org}, &r)
	return r.run(), err
}

// Entries lists what a run did, or with a device alone what runs did to it, oldest first.
func (c *Client) Entries(ctx context.Context, org string, filter tandem.EntryFilter) ([]tandem.Entry, int, error) {
	var r struct {
		Entries    []tandem.Entry
		Pagination tandem.Pagination
	}
	query := paging(values("device", filter.DeviceID, "field", string(filter.Path), "side", string(filter.Side), "action", string(filter.Action), "outcome", string(filter.Outcome),
		"search", filter.Search, "service", filter.ServiceID, "newest", truth(filter.Newest), "sort", filter.Sort), filter.Page)
	at := path("entries")
	if filter.RunID != "" {
		at = path("runs", filter.RunID, "entries")
	}
	err := c.do(ctx, call{method: http.MethodGet, path: at, org: org, query: query}, &r)
	return r.Entries, r.Pagination.Matches(), err
}

// Plans lists stored plans of a service, or of all, newest first.
func (c *Client) Plans(ctx context.Context, org, service string) ([]tandem.Plan, error) {
	var all []tandem.Plan
	for number := 1; ; number++ {
		var r struct {
			Plans      []tandem.Plan
			Pagination tandem.Pagination
		}
		query := paging(values("service", service), tandem.Page{Number: number, Limit: 1000})
		if err := c.do(ctx, call{method: http.MethodGet, path: path("plans"), org: org, query: query}, &r); err != nil {
			return all, err
		}
		if all = append(all, r.Plans...); number >= r.Pagination.Pages {
			return all, nil
		}
	}
}

// Plan finds one plan.
func (c *Client) Plan(ctx context.Context, org, id string) (tandem.Plan, error) {
	var p tandem.Plan
	err := c.do(ctx, call{method: http.MethodGet, path: path("plans", id), org: org}, &p)
	return p, err
}

// PlanRows gives a plan's changes from offset on, at most limit; the offset must be a multiple of the limit or in its first page.
func (c *Client) PlanRows(ctx context.Context, org, id string, offset, limit int) ([]tandem.Change, error) {
	limit = min(max(limit, 1), 1000)
	var r struct{ Rows []tandem.Change }
	query := values("page", strconv.Itoa(offset/limit+1), "limit", strconv.Itoa(limit))
	err := c.do(ctx, call{method: http.MethodGet, path: path("plans", id, "rows"), org: org, query: query}, &r)
	return r.Rows[min(offset%limit, len(r.Rows)):], err
}

// instant writes a time for a query, "" for the zero one.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
