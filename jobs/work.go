package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"tandem"
)

// The kinds of jobs that only this package makes.
const (
	kindSchedule  = "schedule"  // a service's next run may be due
	kindSeal      = "seal"      // an organization's audit has unsealed entries
	kindEscalate  = "escalate"  // tell again of alerts that nobody acknowledged
	kindOffline   = "offline"   // find the devices that stopped reporting
	kindRetention = "retention" // remove what is older than it is kept
)

// work is a job's arguments, whatever its kind.
type work struct {
	Org  string            `json:"organization_id,omitempty"`
	Args map[string]string `json:"args,omitempty"`
	// Key has the database refuse an equal job: while the other is not done or, when it is handed over, ever.
	Key    string    `json:"key,omitempty" river:"unique"`
	kind   string    // of a job to be made
	at     time.Time // by the machine's clock; zero for now
	handed bool
}

// Kind names what is to be done.
func (w work) Kind() string { return w.kind }

// unfinished are the states in which a job keeps an equal one from being made.
var unfinished = []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
	rivertype.JobStateRunning, rivertype.JobStateScheduled}

// options says where a job waits and what it is told apart by.
func (w work) options() *river.InsertOpts {
	o := &river.InsertOpts{Queue: w.queue(), ScheduledAt: w.at}
	if w.Key != "" {
		o.UniqueOpts = river.UniqueOpts{ByArgs: true}
		if !w.handed {
			o.UniqueOpts.ByState = unfinished
			o.MaxAttempts = 4 // who looks sees that it is still to be done, and asks for another
		}
	}
	return o
}

// The queues. Runs last for as long as they last and must not keep the rest waiting; those of the schedule, which may be
// many and long, must not keep those waiting that somebody waits for: a person's, an edit's, a hint's (S38).
const (
	queueScheduled = "scheduled_runs"
	queueAsked     = "asked_runs"
	queueShort     = "short"
)

func (w work) queue() string {
	switch {
	case w.kind != tandem.JobRun:
		return queueShort
	case w.Args["trigger"] == string(tandem.BySchedule):
		return queueScheduled
	}
	return queueAsked
}

// stuck is after how long the key of a job whose process died keeps no other away any more.
const stuck = 20 * time.Second

// keyed makes the key of a job that is alone while it is not done. A process that dies in the middle leaves its job
// undone, so the key holds for a time only: what is done under it may be done twice.
func keyed(now time.Time, parts ...string) string {
	key := now.UTC().Truncate(stuck).Format("150405")
	for _, p := range parts {
		key += "/" + p
	}
	return key
}

// job is one attempt at some work.
type job struct {
	work
	id      int64
	attempt int
	made    time.Time
}

// task is what is done for a kind of job.
type task struct {
	do      func(ctx context.Context, j *job) error
	timeout time.Duration // negative for none
}

// later has a job come back, without counting as a failure.
func later(d time.Duration) error { return river.JobSnooze(d) }

// worker does the jobs of one kind.
type worker struct {
	river.WorkerDefaults[work]
	task
}

// Timeout is the task's.
func (w *worker) Timeout(*river.Job[work]) time.Duration { return w.timeout }

// Work does one attempt.
func (w *worker) Work(ctx context.Context, r *river.Job[work]) error {
	j := &job{work: r.Args, id: r.ID, attempt: r.Attempt, made: r.CreatedAt}
	j.kind = r.Kind
	return w.do(ctx, j)
}

// backoff spaces the attempts at a job that fails: seconds at first, then minutes.
type backoff struct{}

// NextRetry doubles the wait with each failure, up to five minutes.
func (backoff) NextRetry(j *rivertype.JobRow) time.Time {
	return time.Now().Add(min(5*time.Minute, time.Second<<min(len(j.Errors), 10)))
}
