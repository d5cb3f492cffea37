package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"
)

// engine is what this package needs of the job engine, over either database.
type engine interface {
	start(ctx context.Context) error
	// stop takes no new jobs and waits for those that are being done; when ctx ends, their contexts end too.
	stop(ctx context.Context) error
	insert(ctx context.Context, list []work) error
	// unfinishedOf gives the jobs of a kind that are not done.
	unfinishedOf(ctx context.Context, kind string) ([]row, error)
	// lastDone gives the newest done job of a kind; not ok where there is none.
	lastDone(ctx context.Context, kind string) (r row, ok bool, err error)
	// forget has a job whose process died ended, without another attempt.
	forget(ctx context.Context, id int64) error
	// depth counts jobs by "kind state".
	depth(ctx context.Context) (map[string]int, error)
	ping(ctx context.Context) error
}

// row is a job as the engine's tables have it.
type row struct {
	work
	id          int64
	inHand      bool // of a process, which may have died
	attemptedAt time.Time
	by          string // the holder of the process that had it last
}

// setup is how the job engine works here.
type setup struct {
	id       string
	runs     int // at once: scheduled ones, and as many others
	short    int
	tasks    map[string]task
	periodic []*river.PeriodicJob
	log      *slog.Logger
	errors   river.ErrorHandler
}

// shortTimeout bounds a short job.
const shortTimeout = 2 * time.Minute

// newEngine makes the job engine over a database.
func newEngine(db *Database, s *setup) (engine, error) {
	if db.pool != nil {
		return newClient(riverpgxv5.New(db.pool), s, `SELECT COALESCE(json_object_agg(k, n), '{}')::text FROM (SELECT kind || ' ' || state AS k, count(*) AS n
			FROM river_job WHERE state NOT IN ('completed', 'cancelled') GROUP BY 1) AS c`, paceOf(db))
	}
	return newClient(riversqlite.New(db.file), s, `SELECT COALESCE(json_group_object(k, n), '{}') FROM (SELECT kind || ' ' || state AS k, count(*) AS n
		FROM river_job WHERE state NOT IN ('completed', 'cancelled') GROUP BY 1)`, paceOf(db))
}

// pace is how often jobs are looked for.
type pace struct {
	cooldown, poll time.Duration
	pollOnly       bool
}

// paceOf has the engine look seldom where it is told of new jobs. What it is not told of are jobs that come back later.
func paceOf(db *Database) pace {
	if db.PollOnly {
		return pace{5 * time.Millisecond, 100 * time.Millisecond, true}
	}
	return pace{5 * time.Millisecond, 500 * time.Millisecond, false}
}

// client is the job engine over one database.
type client[TTx any] struct {
	*river.Client[TTx]
	driver riverdriver.Driver[TTx]
	count  string // a query that gives the depth as one JSON object
}

func newClient[TTx any](driver riverdriver.Driver[TTx], s *setup, count string, p pace) (engine, error) {
	workers := river.NewWorkers()
	for kind, t := range s.tasks {
		river.AddWorkerArgs(workers, work{kind: kind}, &worker{task: t})
	}
	c, err := river.NewClient(driver, &river.Config{
		ID:                          s.id,
		Queues:                      map[string]river.QueueConfig{queueScheduled: {MaxWorkers: s.runs}, queueAsked: {MaxWorkers: s.runs}, queueShort: {MaxWorkers: s.short}},
		Workers:                     workers,
		PeriodicJobs:                s.periodic,
		Logger:                      quiet(s.log),
		ErrorHandler:                s.errors,
		RetryPolicy:                 backoff{},
		MaxAttempts:                 12,
		FetchOnlyKnownKinds:         true, // while a newer program runs beside this one, its jobs wait for it
		SkipUnknownJobCheck:         true,
		FetchCooldown:               p.cooldown,
		FetchPollInterval:           p.poll,
		PollOnly:                    p.pollOnly,
		JobTimeout:                  shortTimeout,
		RescueStuckJobsAfter:        shortTimeout + time.Minute, // of short jobs; runs are the sweep's
		CompletedJobRetentionPeriod: 2 * time.Hour,
		CancelledJobRetentionPeriod: 2 * time.Hour,
		DiscardedJobRetentionPeriod: 7 * 24 * time.Hour,
		ReindexerSchedule:           river.NeverSchedule(),
	})
	if err != nil {
		return nil, fmt.Errorf("set up the job engine: %w", err)
	}
	return &client[TTx]{Client: c, driver: driver, count: count}, nil
}

func (c *client[TTx]) start(ctx context.Context) error { return c.Start(ctx) }

func (c *client[TTx]) stop(ctx context.Context) error {
	if err := c.Stop(ctx); err == nil {
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return c.StopAndCancel(last)
}

func (c *client[TTx]) insert(ctx context.Context, list []work) error {
	params := make([]river.InsertManyParams, 0, len(list))
	for _, w := range list {
		params = append(params, river.InsertManyParams{Args: w, InsertOpts: w.options()})
	}
	_, err := c.InsertMany(ctx, params)
	return err
}

// unfinishedLimit is how many unfinished jobs the sweep looks through.
const unfinishedLimit = 10_000

func (c *client[TTx]) unfinishedOf(ctx context.Context, kind string) ([]row, error) {
	return c.list(ctx, river.NewJobListParams().Kinds(kind).States(unfinished...).First(unfinishedLimit))
}

func (c *client[TTx]) lastDone(ctx context.Context, kind string) (r row, ok bool, err error) {
	rows, err := c.list(ctx, river.NewJobListParams().Kinds(kind).States(rivertype.JobStateCompleted).
		OrderBy(river.JobListOrderByID, river.SortOrderDesc).First(1))
	if err != nil || len(rows) == 0 {
		return r, false, err
	}
	return rows[0], true, nil
}

func (c *client[TTx]) list(ctx context.Context, which *river.JobListParams) ([]row, error) {
	result, err := c.JobList(ctx, which)
	if err != nil {
		return nil, err
	}
	rows := make([]row, 0, len(result.Jobs))
	for _, j := range result.Jobs {
		r := row{id: j.ID, inHand: j.State == rivertype.JobStateRunning}
		if err := json.Unmarshal(j.EncodedArgs, &r.work); err != nil {
			return nil, fmt.Errorf("read the arguments of job %d: %w", j.ID, err)
		}
		if r.kind = j.Kind; j.AttemptedAt != nil {
			r.attemptedAt = *j.AttemptedAt
		}
		if n := len(j.AttemptedBy); n > 0 {
			r.by = j.AttemptedBy[n-1]
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (c *client[TTx]) forget(ctx context.Context, id int64) error {
	_, err := c.JobCancel(ctx, id)
	return err
}

func (c *client[TTx]) depth(ctx context.Context) (map[string]int, error) {
	var text string
	if err := c.driver.GetExecutor().QueryRow(ctx, c.count).Scan(&text); err != nil {
		return nil, err
	}
	counts := map[string]int{}
	return counts, json.Unmarshal([]byte(text), &counts)
}

func (c *client[TTx]) ping(ctx context.Context) error { return c.driver.GetExecutor().Ping(ctx) }
