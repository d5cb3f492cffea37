package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
)

// maxDetails bounds the details of a run's reply; all of them are at /entries, and at /rows of a stored plan.
const maxDetails = 1000

// How long a request may wait for a run, and how often it looks without being told.
const (
	maxWait  = time.Minute
	lookWait = 2 * time.Second
)

// detail is one thing that a run did or, of a dry run, would do; then it has no id and outcome.
type detail struct {
	ID             string `json:"id,omitempty"`
	OrganizationID string `json:"organization_id,omitempty"`
	RunID          string `json:"run_id,omitempty"`
	ServiceID      string `json:"service_id,omitempty"`
	tandem.Change
	Outcome   tandem.EntryOutcome `json:"outcome,omitempty"`
	Code      tandem.Code         `json:"code,omitempty"`
	Error     string              `json:"error,omitempty"`
	CreatedAt *time.Time          `json:"created_at,omitempty"`
}

// runFailure is why a run failed.
type runFailure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// runReply is a run with what it did.
type runReply struct {
	tandem.Run
	Details []detail    `json:"details" doc:"The first 1000 (of a dry run max_details); see entries for all."`
	Record  any         `json:"record,omitempty" doc:"What the run notes of itself: phases, warnings, the proof of its listing."`
	Error   *runFailure `json:"error,omitempty"`
	DryRun  bool        `json:"dry_run,omitempty" doc:"Nothing was done: details are what would be. With plan_id they are stored, to be looked at page by page and applied."`
	Total   int         `json:"total_details" doc:"How many details there are."`
}

// runInput is what a run is asked for.
type runInput struct {
	Operation     tandem.Operation `json:"operation,omitempty" enum:"import,export,bidirectional" doc:"The service's direction when left out."`
	DeviceIDs     []string         `json:"device_ids,omitempty" maxItems:"10000" doc:"Only these devices."`
	ExternalIDs   []string         `json:"external_ids,omitempty" maxItems:"10000" doc:"Only these remote devices, linked or not."`
	Force         bool             `json:"force,omitempty" doc:"Make the other side equal for every selected field of linked devices; needs its own permission."`
	DryRun        bool             `json:"dry_run,omitempty" doc:"Plan only; the reply says what would be done."`
	Save          *bool            `json:"save,omitempty" doc:"Of a dry run: store the plan (default true)."`
	MaxDetails    int              `json:"max_details,omitempty" minimum:"1" maximum:"100000" doc:"Of a dry run: how many details to reply (default 1000)."`
	PlanID        string           `json:"plan_id,omitempty" maxLength:"100" doc:"Apply this stored plan, and nothing else."`
	CreateMissing tandem.Missing   `json:"create_missing,omitempty" enum:"local,remote,both,none" doc:"Where to create what is missing; the service's settings when left out."`
}

func (in *runInput) request(service string) tandem.RunRequest {
	return tandem.RunRequest{ServiceID: service, Operation: in.Operation, Trigger: tandem.ByHand, DeviceIDs: in.DeviceIDs, ExternalIDs: in.ExternalIDs, Force: in.Force,
		PlanID: in.PlanID, CreateMissing: in.CreateMissing}
}

// Waiting lets a request wait for the end of a run.
type Waiting struct {
	Wait string `query:"wait" maxLength:"20" doc:"Wait so long for the run to end, at most 60s." example:"30s"`
}

// parseWait reads how long to wait; 0 for not at all.
func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxWait {
		return 0, tandem.Errorf(tandem.Invalid, "read wait", "", "wait is %.20q, it must be a duration up to 60s, such as 30s", text)
	}
	return d, nil
}

// runOutput is a run's reply: 200 when it has ended, else 202 with where to look.
type runOutput struct {
	Status   int
	Location string `header:"Location" doc:"The run."`
	Body     runReply
}

// accepted adds the reply of a run that has not ended.
func (a *API) accepted(op huma.Operation) huma.Operation {
	op.Responses = map[string]*huma.Response{}
	op.Responses["202"] = &huma.Response{Description: "The run is queued or running", Headers: map[string]*huma.Param{"Location": {Schema: &huma.Schema{Type: huma.TypeString}}},
		Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/RunReply"}}}}
	return op
}

func (a *API) runs() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Service   string    `query:"service" maxLength:"200" doc:"Of this service, by id or name."`
		Status    string    `query:"status" enum:"queued,running,completed,partial,failed,blocked,canceled,interrupted" doc:"With this status."`
		Operation string    `query:"operation" enum:"import,export,bidirectional,webhook,revert" doc:"Of this kind."`
		Trigger   string    `query:"trigger" enum:"manual,schedule,edit,webhook" doc:"Started by this."`
		CreatedBy string    `query:"created_by" maxLength:"300" doc:"Started by this person or program, as created_by says it."`
		Device    string    `query:"device" maxLength:"100" doc:"About this one device, by id."`
		Since     time.Time `query:"since" doc:"Not created before."`
		Until     time.Time `query:"until" doc:"Created before."`
		Search    string    `query:"search" maxLength:"200" doc:"Part of the error."`
		Sort      runSort   `query:"sort"`
	}
	type runList struct {
		Runs       []tandem.Run      `json:"runs"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("runs-list", http.MethodGet, "/api/v1/runs", "runs", "List runs, newest first"),
		func(ctx context.Context, in *listInput) (*body[runList], error) {
			c := callerOf(ctx)
			service, err := a.serviceID(ctx, c, in.Service)
			if err != nil {
				return nil, err
			}
			runs, total, err := a.options.Registry.Runs(ctx, c.actor, c.org, tandem.RunFilter{ServiceID: service, Status: tandem.RunStatus(in.Status),
				Operation: tandem.Operation(in.Operation), Trigger: tandem.Trigger(in.Trigger), CreatedBy: in.CreatedBy, DeviceID: in.Device,
				Since: in.Since, Until: in.Until, Search: in.Search, Sort: string(in.Sort), Page: in.page()})
			return with(runList{list(runs), tandem.PaginatedSome(in.page(), total)}, err)
		})

	type showInput struct {
		ByID
		Waiting
	}
	handle(a, route("runs-show", http.MethodGet, "/api/v1/runs/{id}", "runs", "Show a run and what it did"),
		func(ctx context.Context, in *showInput) (*body[runReply], error) {
			wait, err := parseWait(in.Wait)
			if err != nil {
				return nil, err
			}
			c := callerOf(ctx)
			run, err := a.options.Registry.Run(ctx, c.actor, c.org, in.ID)
			if err != nil {
				return nil, err
			}
			out, err := a.awaited(ctx, c, run, wait)
			if err != nil {
				return nil, err
			}
			return &body[runReply]{out.Body}, nil
		})

	type entriesInput struct {
		ByID
		Listing
		Selection
		Device  string    `query:"device" maxLength:"100" doc:"About this device, by id."`
		Field   string    `query:"field" maxLength:"300" doc:"About this field, or path of metadata."`
		Side    string    `query:"side" enum:"local,remote"`
		Action  string    `query:"action" enum:"create,update,delete,link,unlink,recreate,conflict,settle,drift,rename,read"`
		Outcome string    `query:"outcome" enum:"done,failed,moved,held,pending"`
		Search  string    `query:"search" maxLength:"200" doc:"Part of the device's name or the error."`
		Newest  bool      `query:"newest" doc:"Newest first, where sort says nothing."`
		Sort    entrySort `query:"sort"`
	}
	type entryList struct {
		Entries    []tandem.Entry    `json:"entries"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("run-entries-list", http.MethodGet, "/api/v1/runs/{id}/entries", "runs", "List what a run did, oldest first"),
		func(ctx context.Context, in *entriesInput) (*body[entryList], error) {
			c := callerOf(ctx)
			if _, err := a.options.Registry.Run(ctx, c.actor, c.org, in.ID); err != nil {
				return nil, err
			}
			entries, total, err := a.options.Registry.Entries(ctx, c.actor, c.org, tandem.EntryFilter{RunID: in.ID, DeviceID: in.Device, Path: tandem.Path(in.Field),
				Side: tandem.Side(in.Side), Action: tandem.Action(in.Action), Outcome: tandem.EntryOutcome(in.Outcome), Search: in.Search, Newest: in.Newest,
				Sort: string(in.Sort), Page: in.page()})
			return with(entryList{list(entries), tandem.PaginatedSome(in.page(), total)}, err)
		})

	type startInput struct {
		OnceByID
		Waiting
		Body runInput
	}
	handle(a, a.accepted(describing(route("runs-start", http.MethodPost, "/api/v1/services/{id}/runs", "runs", "Start a run, or plan one"),
		"The run is queued and done in the background; `wait` waits for its end. With `dry_run` the changes are planned before the reply.")),
		func(ctx context.Context, in *startInput) (*runOutput, error) {
			return a.startRun(ctx, in.ID, &in.Body, in.Wait)
		})
}

// startRun starts or plans a run.
func (a *API) startRun(ctx context.Context, service string, in *runInput, waitText string) (*runOutput, error) {
	wait, err := parseWait(waitText)
	if err != nil {
		return nil, err
	}
	c := callerOf(ctx)
	if in.DryRun {
		return a.planRun(ctx, c, in.request(service), in.Save == nil || *in.Save, in.MaxDetails)
	}
	run, err := a.options.Registry.StartRun(ctx, c.actor, c.org, in.request(service))
	if err != nil {
		return nil, err
	}
	return a.awaited(ctx, c, run, wait)
}

// planRun replies what a run would do.
func (a *API) planRun(ctx context.Context, c caller, req tandem.RunRequest, save bool, most int) (*runOutput, error) {
	service, err := a.options.Registry.Service(ctx, c.actor, c.org, req.ServiceID)
	if err != nil {
		return nil, err
	}
	req.ServiceID = service.ID
	planned := newPlanning(most)
	preview, err := a.options.Registry.PreviewRun(ctx, c.actor, c.org, req, save, planned.add, nil)
	if err != nil {
		return nil, err
	}
	return &runOutput{Status: http.StatusOK, Body: planned.reply(&preview)}, nil
}

// planning collects the first changes of a plan and counts all.
type planning struct {
	details []detail
	most    int
	total   int
}

func newPlanning(most int) planning {
	if most == 0 {
		most = maxDetails
	}
	return planning{details: []detail{}, most: most}
}

func (p *planning) add(change tandem.Change) error {
	if p.total++; len(p.details) < p.most {
		p.details = append(p.details, detail{Change: change})
	}
	return nil
}

func (p *planning) reply(preview *tandem.Preview) runReply {
	run := preview.Run
	run.PlanID = preview.PlanID
	r := replyOf(&run)
	r.Details, r.Total, r.DryRun = p.details, p.total, true
	return r
}

// replyOf writes a run without its details.
func replyOf(run *tandem.Run) runReply {
	r := runReply{Run: *run, Details: []detail{}}
	if run.Error != "" {
		r.Error = &runFailure{Code: string(run.Status), Message: run.Error}
	}
	if len(run.Details) > 0 {
		r.Record = run.Details
	}
	return r
}

// awaited waits for a run and replies it with its details.
func (a *API) awaited(ctx context.Context, c caller, run tandem.Run, wait time.Duration) (*runOutput, error) {
	if !run.Status.Ended() && wait > 0 {
		var err error
		if run, err = a.await(ctx, c, run, wait); err != nil {
			return nil, err
		}
	}
	out := &runOutput{Status: http.StatusOK, Location: "/api/v1/runs/" + run.ID, Body: replyOf(&run)}
	if !run.Status.Ended() {
		out.Status = http.StatusAccepted
	}
	entries, total, err := a.options.Registry.Entries(ctx, c.actor, c.org, tandem.EntryFilter{RunID: run.ID, Page: tandem.Page{Number: 1, Limit: maxDetails}})
	if tandem.Is(err, tandem.Forbidden) { // who may start a run need not be allowed to read runs
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	out.Body.Total = total
	for i := range entries {
		e := &entries[i]
		out.Body.Details = append(out.Body.Details, detail{ID: e.ID, OrganizationID: e.OrganizationID, RunID: e.RunID, ServiceID: e.ServiceID, Change: e.Change,
			Outcome: e.Outcome, Code: e.Code, Error: e.Error, CreatedAt: &e.CreatedAt})
	}
	return out, nil
}

// await looks at a run again each time that something about runs was published, until it has ended or the time is over.
func (a *API) await(ctx context.Context, c caller, run tandem.Run, wait time.Duration) (tandem.Run, error) {
	s, _, err := a.hub.open(ctx, c.org, "", []string{"runs"})
	if err != nil {
		return run, err
	}
	defer a.hub.leave(s)
	over := time.NewTimer(wait)
	defer over.Stop()
	look := time.NewTicker(lookWait)
	defer look.Stop()
	for {
		now, err := a.options.Registry.Run(ctx, c.actor, c.org, run.ID)
		switch {
		case tandem.Is(err, tandem.Forbidden): // it cannot be watched
			return run, nil
		case err != nil:
			return run, err
		case now.Status.Ended():
			return now, nil
		}
		run = now
		select {
		case <-s.batches:
		case <-look.C:
		case <-over.C:
			return run, nil
		case <-a.hub.done:
			return run, nil
		case <-ctx.Done():
			return run, ctx.Err()
		}
	}
}
