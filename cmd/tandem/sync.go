package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
	"tandem/syncer"
)

// SyncCmd is `tandem sync`.
type SyncCmd struct {
	In
	Service       string   `arg:"" optional:"" help:"The service's name or id; may be left out where there is only one."`
	Operation     string   `enum:",import,export,bidirectional" default:"" help:"import, export or bidirectional; the service's direction when left out."`
	DryRun        bool     `help:"Show what would be done, and do nothing."`
	Save          bool     `help:"With --dry-run: store the plan, to be applied later with --plan."`
	Plan          string   `placeholder:"ID" help:"Apply this stored plan and nothing else."`
	Force         bool     `help:"With import make local equal remote, with export remote equal local, over every difference of linked devices."`
	CreateMissing string   `enum:",local,remote,both,none" default:"" help:"On which side to create what is missing there: local, remote, both or none; the service's settings when left out."`
	Devices       []string `placeholder:"ID,…" help:"Only these devices, by id, device_id or name."`
	Yes           bool     `help:"Do not ask."`
	Timing
}

// Timing are the times that a run goes by; 0 leaves the engine's own, which fit a service across the internet.
type Timing struct {
	LeaseTTL     time.Duration `placeholder:"25s" help:"For how long a process that dies keeps the service from others."`
	WriteTimeout time.Duration `placeholder:"10s" help:"After what time a write to the service is given up; shorter than half of --lease-ttl."`
	Settle       time.Duration `placeholder:"10s" help:"For how long after a write the service may still show the value from before it."`
}

// set gives the session's engine and clients the times.
func (c *Timing) set(s *session) error {
	lease, write := cmp.Or(c.LeaseTTL, syncer.DefaultLeaseTTL), cmp.Or(c.WriteTimeout, syncer.DefaultWriteTimeout)
	if c.LeaseTTL < 0 || c.WriteTimeout < 0 || c.Settle < 0 || 2*write > lease {
		return &usageError{"the times do not fit together", "none is negative, and --lease-ttl is at least twice --write-timeout"}
	}
	s.engine.LeaseTTL, s.engine.WriteTimeout, s.engine.SettleWindow, s.writeTimeout = c.LeaseTTL, c.WriteTimeout, c.Settle, c.WriteTimeout
	return nil
}

// apply has the runs of a desk go by the times; a server goes by its own.
func (c *Timing) apply(s *desk) error {
	switch {
	case s.here != nil:
		return c.set(s.here)
	case *c != Timing{}:
		return &usageError{"--lease-ttl, --write-timeout and --settle are not for a server's runs", "leave them out, or work on the database"}
	}
	return nil
}

// Run syncs.
func (c *SyncCmd) Run(ctx context.Context, a *app) error {
	if c.Save && !c.DryRun {
		return &usageError{"--save goes with --dry-run", "a plan is stored by a dry run, and applied with --plan ID"}
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		if err := c.apply(s); err != nil {
			return err
		}
		service, err := c.target(ctx, s, org)
		if err != nil {
			return err
		}
		req, err := c.request(ctx, s, org, &service)
		if err != nil {
			return err
		}
		if c.DryRun {
			return c.dryRun(ctx, s, org, &service, req)
		}
		if c.Plan != "" {
			if err := s.applicable(ctx, org, &service, c.Plan); err != nil {
				return err
			}
		}
		if err := c.approve(ctx, s, org, &service, req); err != nil {
			return err
		}
		return s.runToEnd(ctx, org, &service, func(report tandem.Report) (tandem.Run, error) {
			return s.Sync(ctx, org.ID, req, report)
		})
	})
}

// target finds the service; a stored plan names its own.
func (c *SyncCmd) target(ctx context.Context, s *desk, org tandem.Organization) (tandem.Service, error) {
	if c.Plan == "" || c.Service != "" {
		return s.service(ctx, org, c.Service, "its name: tandem sync NAME")
	}
	plan, err := s.Plan(ctx, org.ID, c.Plan)
	if err != nil {
		return tandem.Service{}, err
	}
	return s.Service(ctx, org.ID, plan.ServiceID)
}

func (c *SyncCmd) request(ctx context.Context, s *desk, org tandem.Organization, service *tandem.Service) (tandem.RunRequest, error) {
	req := tandem.RunRequest{ServiceID: service.ID, Operation: tandem.Operation(c.Operation), Trigger: tandem.ByHand, Force: c.Force,
		CreateMissing: tandem.Missing(c.CreateMissing), PlanID: c.Plan}
	if c.Plan != "" {
		plan, err := s.Plan(ctx, org.ID, c.Plan)
		if err != nil {
			return req, err
		}
		if req.Operation == "" {
			req.Operation = plan.Operation
		}
	}
	if req.Operation == "" {
		req.Operation = tandem.Operation(service.Config.Direction)
	}
	for _, ref := range c.Devices {
		d, err := s.Device(ctx, org.ID, ref)
		if err != nil {
			return req, err
		}
		req.DeviceIDs = append(req.DeviceIDs, d.ID)
	}
	return req, nil
}

// dryRun shows the plan, and stores it when asked (S27).
func (c *SyncCmd) dryRun(ctx context.Context, s *desk, org tandem.Organization, service *tandem.Service, req tandem.RunRequest) error {
	view, changes := newPlanView(s.app), []tandem.Change{}
	each := view.add
	if s.out.json {
		each = func(change tandem.Change) error {
			changes = append(changes, change)
			return nil
		}
	}
	watch := s.out.newProgress()
	preview, err := s.Preview(ctx, org.ID, req, c.Save, each, watch.report)
	watch.end()
	if err != nil {
		return err
	}
	if s.out.json {
		return s.out.value(map[string]any{"dry_run": true, "service": service.Name, "operation": req.Operation, "status": preview.Run.Status,
			"summary": preview.Run.Summary, "plan_id": preview.PlanID, "details": changes})
	}
	view.show(&preview)
	showWarnings(s.out, &preview.Run)
	if preview.PlanID != "" {
		s.out.printf("\nstored as the plan %s\n", preview.PlanID)
		s.out.printf("apply it: tandem sync %s --org %s --plan %s\n", word(service.Name), org.Slug, preview.PlanID)
	}
	return nil
}

// approve shows what force, a service's first run or changed settings would do, and asks (S11, S28).
// Where nobody can be asked, starting the run is the approval; force needs --yes there, and shows its plan all the same.
func (c *SyncCmd) approve(ctx context.Context, s *desk, org tandem.Organization, service *tandem.Service, req tandem.RunRequest) error {
	const overwrite = "overwrite every difference with --force"
	switch {
	case c.Plan != "":
		return nil
	case c.Force && s.out.json && !c.Yes:
		return s.confirm(false, overwrite)
	case !c.Force && (c.Yes || !s.out.ask):
		return nil
	}
	why := ""
	approved, ever := s.Approved(service)
	switch {
	case c.Force:
		why = "--force overwrites every difference"
	case !ever:
		why = "this is the first sync of " + clean(service.Name)
	case !approved:
		why = "the settings of " + clean(service.Name) + " have changed since its last sync"
	default:
		return nil
	}
	view, watch := newPlanView(s.app), s.out.newProgress()
	s.plan = []tandem.Change{}
	preview, err := s.Preview(ctx, org.ID, req, false, func(change tandem.Change) error {
		if s.out.json && len(s.plan) < maxDetails {
			s.plan = append(s.plan, change)
		}
		return view.add(change)
	}, watch.report)
	watch.end()
	if err != nil {
		return err
	}
	s.out.printf("%s\n", s.out.bold(why))
	view.show(&preview)
	if view.total == 0 && s.out.ask {
		return nil
	}
	if !s.out.ask {
		return s.confirm(c.Yes, overwrite)
	}
	return s.confirm(c.Yes, "do this")
}

// runToEnd watches a run, reports it and gives its exit code.
func (s *desk) runToEnd(ctx context.Context, org tandem.Organization, service *tandem.Service, do func(tandem.Report) (tandem.Run, error)) error {
	watch := s.out.newProgress()
	run, err := do(watch.report)
	watch.end()
	if err != nil && run.ID == "" {
		return err
	}
	after := context.WithoutCancel(ctx) // the run is over; what it did is shown also when Ctrl-C ended it
	if s.out.json {
		value, jsonErr := s.runJSON(after, org, &run)
		if jsonErr != nil {
			return jsonErr
		}
		value.Plan = s.plan
		if err != nil {
			value.Error = failureOf(err)
		}
		if err := s.out.value(value); err != nil {
			return err
		}
		if err != nil {
			s.out.json = false // the result is out; the reason goes to standard error alone
			return err
		}
		return runExit(&run)
	}
	if err != nil {
		if run.Summary.Processed > 0 || run.Summary.Local != (tandem.Counts{}) || run.Summary.Remote != (tandem.Counts{}) {
			run.Error = "" // told below
			s.out.showRun(&run)
		}
		if v, storeErr := s.Service(after, org.ID, service.ID); storeErr == nil && v.State == tandem.ServiceDegraded && v.RetryAt != nil {
			s.out.note("%s is degraded; with automatic sync the next try is at %s UTC\n", clean(v.Name), v.RetryAt.UTC().Format(time.DateTime))
		}
		return err
	}
	s.out.showRun(&run)
	if err := s.showFailures(after, org, &run); err != nil {
		return err
	}
	s.advise(org, service, &run)
	return runExit(&run)
}

// runExit gives the exit code of a run's status.
func runExit(run *tandem.Run) error {
	switch run.Status {
	case tandem.RunCompleted, tandem.RunQueued, tandem.RunRunning:
		if run.Summary.Conflicts > 0 || run.Summary.Failed > 0 {
			return exitCode(exitPartial)
		}
		return nil
	case tandem.RunPartial:
		return exitCode(exitPartial)
	case tandem.RunBlocked:
		return exitCode(exitBlocked)
	}
	return exitCode(exitFailed)
}

// maxDetails bounds the entries in a run's JSON.
const maxDetails = 1000

// runReply is a run as JSON: what was done is in details, what the run notes of itself in record.
type runReply struct {
	tandem.Run
	Details []tandem.Entry  `json:"details"`
	Record  any             `json:"record,omitempty"`
	Plan    []tandem.Change `json:"plan,omitempty"`  // what force was to do, as it was before the run
	Error   *failure        `json:"error,omitempty"` // why the run failed, in the form of every error
}

func (s *desk) runJSON(ctx context.Context, org tandem.Organization, run *tandem.Run) (runReply, error) {
	reply := runReply{Run: *run, Details: []tandem.Entry{}}
	if run.Error != "" {
		reply.Error = &failure{Code: string(run.Status), Message: run.Error}
	}
	if len(run.Details) > 0 {
		reply.Record = run.Details
	}
	entries, _, err := s.Entries(ctx, org.ID, tandem.EntryFilter{RunID: run.ID, Page: tandem.Page{Number: 1, Limit: maxDetails}})
	if err != nil {
		return reply, err
	}
	if entries != nil {
		reply.Details = entries
	}
	return reply, nil
}

// showRun prints what a run did.
func (o *output) showRun(run *tandem.Run) {
	status := string(run.Status)
	switch run.Status {
	case tandem.RunCompleted:
		status = o.paint(text.FgGreen, status)
	case tandem.RunFailed, tandem.RunInterrupted:
		status = o.paint(text.FgRed, status)
	default:
		status = o.paint(text.FgYellow, status)
	}
	o.printf("%s  %s, %s in %s\n", o.bold(status), run.Operation, devices(run.Summary.Processed), duration(time.Duration(run.DurationMS)*time.Millisecond))
	o.printf("  here         %s\n", countsText(run.Summary.Local))
	o.printf("  the service  %s\n", countsText(run.Summary.Remote))
	if run.Summary.Failed > 0 || run.Summary.Conflicts > 0 {
		o.printf("  %s failed, %s\n", number(run.Summary.Failed), count(run.Summary.Conflicts, "conflict", "conflicts"))
	}
	if run.Error != "" {
		o.printf("  %s\n", clean(run.Error))
	}
	showWarnings(o, run)
}

func countsText(c tandem.Counts) string {
	if c == (tandem.Counts{}) {
		return "nothing changed"
	}
	var parts []string
	for _, p := range []struct {
		n    int
		verb string
	}{{c.Created, "created"}, {c.Updated, "updated"}, {c.Deleted, "deleted or unlinked"}} {
		if p.n > 0 {
			parts = append(parts, number(p.n)+" "+p.verb)
		}
	}
	return strings.Join(parts, ", ")
}

// advise says what to do next.
func (s *desk) advise(org tandem.Organization, service *tandem.Service, run *tandem.Run) {
	name, slug := word(service.Name), org.Slug
	switch {
	case run.Status == tandem.RunBlocked:
		s.out.printf("a guard holds changes back; look at them and decide:\n  tandem runs show %[1]s --org %[2]s\n  tandem runs approve %[1]s --org %[2]s\n  tandem runs discard %[1]s --org %[2]s\n", run.ID, slug)
	case run.Status == tandem.RunCanceled || run.Status == tandem.RunInterrupted:
		s.out.printf("what was done is kept; go on with: tandem sync %s --org %s\n", name, slug)
	case run.Status == tandem.RunQueued || run.Status == tandem.RunRunning:
		s.out.printf("another process does this run; watch it: tandem runs show %s --org %s\n", run.ID, slug)
	}
	if run.Summary.Conflicts > 0 {
		s.out.printf("look at the conflicts: tandem conflicts list --org %s\n", slug)
	}
	details := runDetails(run)
	if n := details.NotLinked.Remote; n > 0 {
		s.out.printf("%s on the service and not here: tandem remote list --org %s\n", count(n, "device is", "devices are"), slug)
	}
	if n := details.NotLinked.Local; n > 0 {
		s.out.printf("%s here and not on the service: tandem sync %s --org %s --create-missing remote\n", count(n, "device is", "devices are"), name, slug)
	}
	if details.StateLeft > 0 {
		s.out.printf("%s still to be read for their state; the next syncs go on\n", count(details.StateLeft, "device is", "devices are"))
	}
}

// summaryLine gives a run in a few words.
func summaryLine(run *tandem.Run) string {
	changed := func(c tandem.Counts) int { return c.Created + c.Updated + c.Deleted }
	return fmt.Sprintf("%s here, %s there", number(changed(run.Summary.Local)), number(changed(run.Summary.Remote)))
}
