package syncer

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"tandem"
	"tandem/merge"
)

// run is one execution: what it was asked, what it knows, and how far it is.
type run struct {
	e       *Engine
	org     string
	req     tandem.RunRequest
	service tandem.Service
	remote  tandem.Remote
	lease   *keeper  // nil in a dry run
	dry     *dryRun  // nil in a real one
	allow   *allowed // nil unless a stored plan is applied

	fields tandem.Fields // the selected ones that can be read
	policy merge.Policy
	create tandem.Missing // on which sides missing devices are created
	words  *vocabulary
	skew   time.Duration // how far the remote's clock may be from ours (S8)
	// databaseAhead is by how much the database's clock is ahead of ours; intents are timed by it (S19).
	databaseAhead time.Duration
	state         stateReading
	guard         guards

	newest       bool            // newest_wins is among the strategies
	anyConflicts bool            // there were open conflicts when the run began
	anyNotLinked bool            // there were not linked devices when the run began
	ahead        *pages          // a listing begun while the project is still being identified
	waits        bool            // the run was queued for any process: its row may have moved on meanwhile
	frozen       map[string]bool // devices with a remote write that is not settled
	ends         sync.Map        // by intent: when a settlement's write must have ended, by the monotonic clock
	parkMu       sync.Mutex
	parked       map[string]tandem.Intent // by remote id: devices with a temporary name (S27)

	met     map[uint64]bool // the conflicts counted so far, by hash; guarded by mu
	metSeed maphash.Seed
	commits sync.Mutex           // one transaction at a time; guards held
	held    spool[tandem.Change] // what guards hold back
	mu      sync.Mutex           // guards what follows
	record  tandem.Run
	details Details
	report  tandem.Report
	told    time.Time
	phase   string
	phaseAt time.Time
	done    int
	total   int
	noted   tandem.Progress // what others were last told; not guarded
}

// Details is what a run tells about itself beside its counts (golioth_sync_log.details).
type Details struct {
	Phases       []Phase            `json:"phases,omitempty"`
	Listing      *Proof             `json:"listing,omitempty"`
	StateLeft    int                `json:"state_left_for_later,omitempty"` // devices whose state this run did not read (SYNC.md §2)
	StateRead    int                `json:"state_read,omitempty"`
	NotLinked    NotLinkedCount     `json:"not_linked"`
	Drift        int                `json:"drift,omitempty"` // newly recorded
	Held         int                `json:"held,omitempty"`  // changes that a guard holds back
	BlockedBy    string             `json:"blocked_by,omitempty"`
	Warnings     []string           `json:"warnings,omitempty"`
	WaitingUntil *time.Time         `json:"waiting_until,omitempty"` // of a queued run: when its process is taken for dead
	Scope        []string           `json:"device_ids,omitempty"`
	Request      *tandem.RunRequest `json:"request,omitempty"`        // of a queued run: what it was asked for
	Offered      bool               `json:"offered,omitempty"`        // it waits for any process
	Create       tandem.Missing     `json:"create_missing,omitempty"` // as the request said
}

// NotLinkedCount says how many devices a run met that are on one side only.
type NotLinkedCount struct {
	Remote int `json:"remote"`
	Local  int `json:"local"`
}

// Phase is one part of a run and how long it took.
type Phase struct {
	Name       string `json:"name"`
	DurationMS int64  `json:"duration_ms"`
	started    time.Time
}

func (r *run) now() time.Time { return r.e.Clock().UTC() }

// enter begins a phase.
func (r *run) enter(phase string, total int) {
	r.mu.Lock()
	now := time.Now()
	r.endPhase(now)
	r.details.Phases = append(r.details.Phases, Phase{Name: phase, started: now})
	r.phase, r.phaseAt, r.done, r.total, r.told = phase, r.now(), 0, total, time.Time{}
	r.mu.Unlock()
	r.advance(0)
}

func (r *run) endPhase(now time.Time) {
	if n := len(r.details.Phases); n > 0 && r.details.Phases[n-1].DurationMS == 0 {
		r.details.Phases[n-1].DurationMS = now.Sub(r.details.Phases[n-1].started).Milliseconds()
	}
}

// advance tells whoever watches that n more devices are done; at most twenty times a second.
func (r *run) advance(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
	if r.report == nil || (time.Since(r.told) < 50*time.Millisecond && r.done < r.total) {
		return
	}
	r.told = time.Now()
	r.report(tandem.Progress{RunID: r.record.ID, Phase: r.phase, Done: r.done, Total: r.total, Summary: r.record.Summary})
}

func (r *run) expect(total int) {
	r.mu.Lock()
	r.total = total
	r.mu.Unlock()
}

func (r *run) warn(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.details.Warnings) < 50 {
		r.details.Warnings = append(r.details.Warnings, text)
	}
}

// Run does one run to its end and gives it as recorded. The error says why it could not start or
// why it failed; partial, blocked and canceled runs are no error.
//
// Cancelling ctx stops the run at its next batch border: it ends canceled, and nothing is half done.
func (e *Engine) Run(ctx context.Context, org string, req tandem.RunRequest, report tandem.Report, along ...tandem.Along) (tandem.Run, error) {
	service, err := e.Store.Service(ctx, org, req.ServiceID)
	if err != nil {
		return tandem.Run{}, err
	}
	if err := check(&service, &req); err != nil {
		return tandem.Run{}, err
	}
	if joined, ok, err := e.join(ctx, org, &service, &req); ok || err != nil {
		return joined, err
	}
	r := e.prepare(org, service, req, report)
	defer r.letGo()
	if err := r.queue(ctx, along...); err != nil {
		return r.record, err
	}
	held, err := r.takeLease(ctx)
	if err != nil {
		return r.notBegun(ctx, err)
	}
	err = r.perform(held)
	return r.finish(ctx, held, err)
}

// notBegun ends a run whose turn never came.
func (r *run) notBegun(ctx context.Context, err error) (tandem.Run, error) {
	now := r.now()
	r.record.Status, r.record.Error, r.record.CompletedAt = tandem.RunFailed, err.Error(), &now
	if ctx.Err() != nil || errors.Is(err, errCanceled) {
		r.record.Status, r.record.Error, err = tandem.RunCanceled, "stopped while waiting for its turn", nil
	}
	r.details.WaitingUntil = nil
	return r.record, errors.Join(err, r.putRecord(context.WithoutCancel(ctx), nil))
}

// check refuses requests that make no sense.
func check(service *tandem.Service, req *tandem.RunRequest) error {
	refuse := func(text, hint string) error {
		return tandem.Errorf(tandem.Invalid, "sync", service.Name, "%s", text).WithHint("%s", hint)
	}
	if req.Operation == "" {
		req.Operation = tandem.Operation(service.Config.Direction)
	}
	if req.Trigger == "" {
		req.Trigger = tandem.ByHand
	}
	switch req.Operation {
	case tandem.OpImport, tandem.OpExport, tandem.OpBidirectional:
	default:
		return refuse("there is no operation \""+string(req.Operation)+"\"", "use import, export or bidirectional")
	}
	switch req.CreateMissing {
	case "", tandem.MissingLocal, tandem.MissingRemote, tandem.MissingBoth, tandem.MissingNone:
	default:
		return refuse("\""+string(req.CreateMissing)+"\" says nothing about creating", "use local, remote, both or none")
	}
	if req.Force && req.Operation == tandem.OpBidirectional {
		return refuse("force has no meaning for both directions at once", "use it with import (remote over local) or export (local over remote)")
	}
	if !service.IsActive {
		return refuse("the service is disabled", "enable it first: tandem service resume "+service.Name)
	}
	return nil
}

func (e *Engine) prepare(org string, service tandem.Service, req tandem.RunRequest, report tandem.Report) *run {
	now := e.Clock().UTC()
	r := &run{e: e, org: org, req: req, service: service, report: report, words: newVocabulary(), met: map[uint64]bool{}, metSeed: maphash.MakeSeed()}
	r.record = tandem.Run{ID: e.NewID(), OrganizationID: org, ServiceID: service.ID, Operation: req.Operation,
		Trigger: req.Trigger, Status: tandem.RunQueued, Forced: req.Force, PlanID: req.PlanID, CreatedBy: req.CreatedBy, CreatedAt: now}
	if len(req.DeviceIDs) == 1 {
		r.record.DeviceID = req.DeviceIDs[0]
	}
	r.details.Scope, r.details.Create = scope(&req), req.CreateMissing
	r.settings()
	return r
}

// settings reads what the service's settings and the request say about this run.
func (r *run) settings() {
	req, cfg := &r.req, &r.service.Config
	r.fields = cfg.Fields
	if cfg.Paths.Metadata == "" {
		r.fields = r.fields.Without(tandem.FieldMetadata)
	}
	r.policy = merge.Policy{Fields: r.fields & tandem.SharedFields, Direction: tandem.Direction(req.Operation), Strategy: cfg.StrategyFor, Force: req.Force}
	r.create = req.CreateMissing
	if r.create == "" {
		switch {
		case cfg.CreateLocal && cfg.CreateRemote:
			r.create = tandem.MissingBoth
		case cfg.CreateLocal:
			r.create = tandem.MissingLocal
		case cfg.CreateRemote:
			r.create = tandem.MissingRemote
		default:
			r.create = tandem.MissingNone
		}
	}
	if req.Force { // S11: it never creates or deletes
		r.create = tandem.MissingNone
	}
	r.state = newStateReading(cfg)
	r.newest = cfg.Strategy == tandem.NewestWins
	for _, s := range cfg.FieldStrategies {
		r.newest = r.newest || s == tandem.NewestWins
	}
}

func (r *run) createsLocal() bool {
	return (r.create == tandem.MissingLocal || r.create == tandem.MissingBoth) && r.req.Operation != tandem.OpExport
}

func (r *run) createsRemote() bool {
	return (r.create == tandem.MissingRemote || r.create == tandem.MissingBoth) && r.req.Operation != tandem.OpImport
}

// perform does the phases in their order: what a person would lose most by comes last (S18, S27).
func (r *run) perform(ctx context.Context) error {
	if err := r.contact(ctx); err != nil {
		return err
	}
	if err := r.loadAllowed(ctx); err != nil {
		return err // before the approval: who asks for a plan that is void approves of nothing
	}
	if err := r.approval(ctx); err != nil {
		return err
	}
	if err := r.recover(ctx); err != nil {
		return err
	}
	w := newWork()
	defer w.close()
	if r.req.Scoped() {
		return r.performDevices(ctx, w)
	}
	listing, err := r.list(ctx, w)
	if err != nil {
		return err
	}
	if !listing.proof.Complete {
		r.quiet(w.removeNothing())
	}
	if err := r.matchDeferred(ctx, w, listing); err != nil {
		return err
	}
	if err := r.absent(ctx, w, listing); err != nil {
		return err
	}
	if err := r.decideGuards(ctx, w, listing); err != nil {
		return err
	}
	if err := r.createRemote(ctx, w, listing); err != nil {
		return err
	}
	if err := r.readState(ctx, w); err != nil {
		return err
	}
	if err := r.attendAll(ctx, w); err != nil {
		return err
	}
	if err := r.renames(ctx, w); err != nil {
		return err
	}
	if err := r.removals(ctx, w); err != nil {
		return err
	}
	return r.tidy(ctx, w, listing)
}

// performDevices is a run about some devices: no listing, each is read by itself.
func (r *run) performDevices(ctx context.Context, w *work) error {
	if err := r.meetNamed(ctx); err != nil {
		return err
	}
	for _, id := range r.req.DeviceIDs {
		if err := w.attend.add(task{DeviceID: id}); err != nil {
			return err
		}
	}
	if err := r.foresee(ctx, r.req.DeviceIDs); err != nil {
		return err
	}
	if err := r.decideGuards(ctx, w, nil); err != nil {
		return err
	}
	if err := r.attendAll(ctx, w); err != nil {
		return err
	}
	if r.createsRemote() { // after those that are there: what it creates is attended as it is created
		if err := r.createRemoteOf(ctx, w, r.req.DeviceIDs); err != nil {
			return err
		}
	}
	if err := r.renames(ctx, w); err != nil {
		return err
	}
	if err := r.removals(ctx, w); err != nil {
		return err
	}
	if r.dry != nil {
		return r.showLate(w)
	}
	return r.nameLeftOut(ctx)
}
