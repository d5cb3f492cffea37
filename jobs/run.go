package jobs

import (
	"context"
	"log/slog"
	"time"

	"tandem"
)

// turn is how long a queued run waits before it looks again whether its service is free: short, so that waiting needs no leader.
const turn = 500 * time.Millisecond

// performRun does a queued run. While its service is busy it does not wait here, where it would keep others from
// their turn, but comes back.
func (j *Jobs) performRun(ctx context.Context, w *job) error {
	j.doing.Store(w.id, true)
	defer j.doing.Delete(w.id)
	if j.stopping.Load() {
		return later(turn)
	}
	id := w.Args["run_id"]
	run, err := j.Store.Run(ctx, w.Org, id)
	if err != nil || run.Status != tandem.RunQueued {
		return unless(gone(err), err)
	}
	holder, err := j.Store.LeaseHolder(ctx, w.Org, run.ServiceID)
	if err != nil {
		return unless(gone(err), err)
	}
	if holder != "" {
		return later(turn)
	}
	log := j.Log.With("run", id, "organization", w.Org, "service", run.ServiceID)
	log.Info("a run begins", "trigger", run.Trigger, "operation", run.Operation)
	began := time.Now()
	traced, end := j.Span(j.runs, "run", "run", id, "service", run.ServiceID, "trigger", string(run.Trigger), "operation", string(run.Operation))
	run, err = j.Engine.Perform(traced, w.Org, id, j.Report)
	end(err)
	switch {
	case j.stopping.Load() && (err != nil || !run.Status.Ended()):
		return later(turn) // it still waits, for the next process
	case err != nil && !run.Status.Ended():
		return unless(gone(err), err)
	}
	logEnd(log, &run, time.Since(began), err)
	return nil // what went wrong is in the run's own record
}

// unless drops an error when it says that there is nothing to do.
func unless(nothing bool, err error) error {
	if nothing {
		return nil
	}
	return err
}

func logEnd(log *slog.Logger, run *tandem.Run, took time.Duration, err error) {
	s := run.Summary
	args := []any{"status", run.Status, "took", took.Round(time.Millisecond), "processed", s.Processed, "failed", s.Failed, "conflicts", s.Conflicts}
	if err != nil || run.Status == tandem.RunFailed {
		log.Warn("a run failed", append(args, "error", run.Error)...)
		return
	}
	log.Info("a run ended", args...)
}

// sweepMemory is since when queued runs had no job: it may still be on its way.
type sweepMemory struct{ seen map[string]time.Time }

// The sweep's bounds: how long a run is left alone after it was queued or began, how long a queued one must look
// deserted, and how many are looked at.
const (
	settleIn    = 5 * time.Second
	deserted    = 3 * time.Second
	sweepAtOnce = 1000
)

// sweep looks for runs at which no living process is: running without their lease, or queued without a job. A killed
// process's lease ends within its time to live; the run is then taken over with the next look.
func (j *Jobs) sweep(ctx context.Context) (more bool, err error) {
	runs, err := j.Store.UnendedRuns(ctx, j.now().Add(-j.pace(settleIn)), sweepAtOnce)
	if err != nil {
		return false, err
	}
	suspects, err := j.suspects(ctx, runs)
	if err != nil {
		return false, err
	}
	now, seen := time.Now(), map[string]time.Time{}
	for _, run := range suspects {
		first, before := j.sweeping.seen[run.ID]
		if !before {
			first = now
		}
		if run.Status == tandem.RunQueued && now.Sub(first) < j.pace(deserted) {
			seen[run.ID] = first
			continue
		}
		next, ok, err := j.Engine.Resume(ctx, run.OrganizationID, run.ID)
		switch {
		case err != nil:
			j.Log.Warn("a run that its process left cannot be taken over yet", "run", run.ID, "error", err)
			seen[run.ID] = first
		case ok:
			j.Log.Warn("a run that its process left is taken over", "run", run.ID, "next", next.ID, "service", run.ServiceID)
		}
	}
	j.sweeping.seen = seen
	return false, nil
}

// suspects gives the runs that nobody seems to be at.
func (j *Jobs) suspects(ctx context.Context, runs []tandem.Run) ([]tandem.Run, error) {
	var out, queued []tandem.Run
	for _, run := range runs {
		if run.Status == tandem.RunQueued {
			queued = append(queued, run)
			continue
		}
		holder, err := j.Store.LeaseHolder(ctx, run.OrganizationID, run.ServiceID)
		if err != nil && !gone(err) {
			return nil, err
		}
		if holder != run.ID {
			out = append(out, run)
		}
	}
	if len(queued) == 0 {
		return out, nil
	}
	waiting, err := j.waitingRuns(ctx)
	if err != nil {
		return nil, err
	}
	for _, run := range queued {
		if !waiting[run.ID] {
			out = append(out, run)
		}
	}
	return out, nil
}

// waitingRuns gives the runs that have a job which will be done: one that waits, or one that a process has begun just now.
// A job that has been in hand for a while though its run is still queued was in the hands of a process that died, or of one
// that lost the database while it took the job or gave it back.
func (j *Jobs) waitingRuns(ctx context.Context) (map[string]bool, error) {
	jobs, err := j.engine.unfinishedOf(ctx, tandem.JobRun)
	if err != nil {
		return nil, err
	}
	waiting := map[string]bool{}
	for _, w := range jobs {
		if !w.inHand || j.isAt(&w) || time.Since(w.attemptedAt) < j.pace(deserted) {
			waiting[w.Args["run_id"]] = true
		}
	}
	return waiting, nil
}

// isAt reports whether this process is doing a job now; that it once took it proves nothing.
func (j *Jobs) isAt(w *row) bool {
	_, at := j.doing.Load(w.id)
	return at && w.by == j.Holder
}

// forgetAfter is how long the job of a run that has ended may still be in a process's hands.
const forgetAfter = time.Minute

// forgetDead ends the jobs that dead processes had in hand, or that were never given back, once their runs have ended elsewhere: the job engine does
// not know that they died, since a run may last.
func (j *Jobs) forgetDead(ctx context.Context) (more bool, err error) {
	jobs, err := j.engine.unfinishedOf(ctx, tandem.JobRun)
	if err != nil {
		return false, err
	}
	for _, w := range jobs {
		if !w.inHand || j.isAt(&w) || time.Since(w.attemptedAt) < forgetAfter {
			continue
		}
		run, err := j.Store.Run(ctx, w.Org, w.Args["run_id"])
		if err != nil && !gone(err) {
			return false, err
		}
		if gone(err) || run.Status.Ended() {
			if err := j.engine.forget(ctx, w.id); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}
