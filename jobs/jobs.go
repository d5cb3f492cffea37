package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/syncer"
)

// Store is what the background work reads and writes.
type Store interface {
	tandem.Applier
	tandem.ScheduleStore
	tandem.JobStore
	tandem.RetentionStore
	tandem.AuditStore
	tandem.AlertStore
	Organizations(ctx context.Context) ([]tandem.Organization, error)
	Organization(ctx context.Context, idOrSlug string) (tandem.Organization, error)
	Service(ctx context.Context, org, idOrName string) (tandem.Service, error)
	Run(ctx context.Context, org, id string) (tandem.Run, error)
	Runs(ctx context.Context, org string, filter tandem.RunFilter) ([]tandem.Run, int, error)
	Conflicts(ctx context.Context, org string, filter tandem.ConflictFilter) ([]tandem.Conflict, int, error)
	Deliveries(ctx context.Context, org string, filter tandem.DeliveryFilter) ([]tandem.Delivery, int, error)
	Plans(ctx context.Context, org, service string) ([]tandem.Plan, error)
	ClosePlan(ctx context.Context, org, plan string, status tandem.PlanStatus, now time.Time, along ...tandem.Along) error
}

// Engine is what it needs of the sync engine.
type Engine interface {
	Queue(ctx context.Context, org string, req tandem.RunRequest, extra ...*tandem.Changes) (tandem.Run, error)
	Perform(ctx context.Context, org, runID string, report tandem.Report) (tandem.Run, error)
	Resume(ctx context.Context, org, runID string) (next tandem.Run, ok bool, err error)
	Settle(ctx context.Context, org string, s tandem.Settlement) ([]tandem.Settled, error)
}

var _ Engine = (*syncer.Engine)(nil)

// Deliveries processes received webhooks until ctx ends; package webhook's Processor does it. Each process has one: such
// a stream is no job an event.
type Deliveries interface {
	Run(ctx context.Context) error
}

// Notifier sends the notifications that are due; package alert's does it.
type Notifier interface {
	Send(ctx context.Context) (sent int, err error)
}

// Options say what the background work works with.
type Options struct {
	Database *Database
	Store    Store
	Engine   Engine
	Clock    tandem.Clock
	NewID    tandem.IDs
	Log      *slog.Logger
	// Holder names this process, uniquely over all processes and starts of the program.
	Holder    string
	Retention tandem.Retention
	// Runs is how many scheduled runs this process does at once, and how many others beside; Workers how many short jobs.
	// 0 means DefaultRuns and DefaultWorkers.
	Runs, Workers int
	// Deliveries and Notifier may be missing.
	Deliveries Deliveries
	Notifier   Notifier
	// Report receives the progress of the runs of this process; it may be missing.
	Report tandem.Report
	// Ended and Failed are told, for metrics, of each run that ended (at least once, in one of the processes) and of each
	// attempt at a job that failed; they may be missing.
	Ended  func(run tandem.Run)
	Failed func(kind string)
	// Span traces a run: it begins a span with pairs of names and values, and gives what ends it; it may be missing.
	Span func(ctx context.Context, name string, pairs ...string) (context.Context, func(error))

	// pace changes how often something is looked at, for tests.
	pace func(every time.Duration) time.Duration
}

// The defaults of what one process does at once. A run mostly waits for its service and the database.
const (
	DefaultRuns    = 8
	DefaultWorkers = 8
)

// Jobs is the background work of one process.
type Jobs struct {
	Options
	engine engine

	looks     context.Context // ends when the loops are to stop
	stopLooks context.CancelFunc
	runs      context.Context // ends, with its cause, when runs are to stop at a batch border
	stopRuns  context.CancelCauseFunc
	loops     sync.WaitGroup
	stopping  atomic.Bool
	counts    counts
	health    health
	doing     sync.Map // the ids of the jobs of runs that this process is at
	push      pushMemory
	sweeping  sweepMemory
}

// Start begins the background work. Stop ends it; the end of ctx does not.
func Start(ctx context.Context, o Options) (*Jobs, error) {
	o.Runs, o.Workers = orDefault(o.Runs, DefaultRuns), orDefault(o.Workers, DefaultWorkers)
	if o.pace == nil {
		o.pace = func(every time.Duration) time.Duration { return every }
	}
	j := &Jobs{Options: o}
	if j.Span == nil {
		j.Span = func(ctx context.Context, _ string, _ ...string) (context.Context, func(error)) {
			return ctx, func(error) {}
		}
	}
	var err error
	j.engine, err = newEngine(o.Database, &setup{id: o.Holder, runs: o.Runs, short: o.Workers, tasks: j.tasks(), periodic: j.periodic(), log: o.Log, errors: failures{j}})
	if err != nil {
		return nil, err
	}
	free := context.WithoutCancel(ctx)
	j.looks, j.stopLooks = context.WithCancel(free)
	j.runs, j.stopRuns = context.WithCancelCause(free)
	if err := j.engine.start(free); err != nil {
		j.stopLooks()
		j.stopRuns(nil)
		return nil, tandem.Errorf(tandem.Unavailable, "start the job engine", "", "the job engine does not start: %w", err).
			WithHint("check the database, and that its tables are migrated: tandem migrate up")
	}
	for _, l := range j.lookers() {
		j.loops.Go(func() { j.loop(l) })
	}
	return j, nil
}

func orDefault(n, standard int) int {
	if n > 0 {
		return n
	}
	return standard
}

// Stop ends the background work: nothing new is begun, runs stop at their next batch border and are queued again for
// another process or the next start, what else is being done is waited for. When ctx ends first, it is broken off.
func (j *Jobs) Stop(ctx context.Context) error {
	j.stopping.Store(true)
	j.stopLooks()
	j.stopRuns(syncer.ErrShutdown) // what they leave to others is taken over by the next process that looks
	err := j.engine.stop(ctx)
	ended := make(chan struct{})
	go func() { j.loops.Wait(); close(ended) }()
	select {
	case <-ended:
		return err
	case <-ctx.Done():
		return errors.Join(err, tandem.Errorf(tandem.Timeout, "stop the background work", "", "something was still going on: %w", ctx.Err()))
	}
}

// tasks says what is done for each kind of job.
func (j *Jobs) tasks() map[string]task {
	short := func(do func(context.Context, *job) error) task { return task{do: do, timeout: shortTimeout} }
	return map[string]task{
		tandem.JobRun:      {do: j.performRun, timeout: -1},
		tandem.JobRunEnded: short(j.runEnded),
		tandem.JobPush:     short(j.pushService),
		tandem.JobNotify:   short(j.notify),
		tandem.JobSettle:   {do: j.settle, timeout: time.Hour},
		kindSchedule:       short(j.scheduleService),
		kindSeal:           short(j.seal),
		kindOffline:        short(j.offline),
		kindEscalate:       short(j.escalate),
		kindRetention:      {do: j.retention, timeout: time.Hour},
	}
}

// lookers are the loops of each process.
func (j *Jobs) lookers() []looker {
	all := []looker{
		{"take jobs over", 100 * time.Millisecond, j.takeOver},
		{"look at the schedule", time.Second, j.lookAtSchedule},
		{"look for edits to send", 400 * time.Millisecond, j.lookForPushes},
		{"look after dead runs", 2 * time.Second, j.sweep},
		{"forget dead jobs", 30 * time.Second, j.forgetDead},
		{"look at the audit", 2 * time.Second, j.lookAtAudit},
	}
	if j.Deliveries != nil {
		all = append(all, looker{"process deliveries", time.Second, func(ctx context.Context) (bool, error) { return false, j.Deliveries.Run(ctx) }})
	}
	if j.Notifier != nil {
		all = append(all, looker{"send notifications", 2 * time.Second, j.lookAtNotifications})
	}
	return all
}

// now is the time by the clock, UTC.
func (j *Jobs) now() time.Time { return j.Clock().UTC() }

// machine turns an instant of the clock into one of the machine's, which the job engine goes by.
func (j *Jobs) machine(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return time.Now().Add(at.Sub(j.now()))
}

// gone reports whether what a job is about is not there any more: then there is nothing to do.
func gone(err error) bool { return tandem.Is(err, tandem.NotFound) }
