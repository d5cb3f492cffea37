package jobs

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"tandem"
)

// counts is how many attempts at jobs failed in this process, and how many jobs were given up, by kind.
type counts struct {
	mu                sync.Mutex
	failed, discarded map[string]int64
}

// Failures gives how many attempts at jobs failed in this process since it began, and how many jobs were given up, by kind.
func (j *Jobs) Failures() (failed, discarded map[string]int64) {
	j.counts.mu.Lock()
	defer j.counts.mu.Unlock()
	return maps.Clone(j.counts.failed), maps.Clone(j.counts.discarded)
}

// Depth counts the jobs that are not done, by kind and state: "run available", "push running". Given up ones are "discarded".
func (j *Jobs) Depth(ctx context.Context) (map[string]int, error) {
	depth, err := j.engine.depth(ctx)
	if err != nil {
		return nil, tandem.Errorf(tandem.Unavailable, "count the jobs", "", "the job engine's tables cannot be read: %w", err)
	}
	return depth, nil
}

// failures hears of each attempt that failed.
type failures struct{ *Jobs }

// HandleError counts, and says when a job is given up.
func (f failures) HandleError(_ context.Context, r *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	return f.note(r, err.Error(), "")
}

// HandlePanic does the same for a fault of this program.
func (f failures) HandlePanic(_ context.Context, r *rivertype.JobRow, panicked any, trace string) *river.ErrorHandlerResult {
	return f.note(r, fmt.Sprint("a fault of this program: ", panicked), trace)
}

func (f failures) note(r *rivertype.JobRow, text, trace string) *river.ErrorHandlerResult {
	given := r.Attempt >= r.MaxAttempts
	f.counts.mu.Lock()
	if f.counts.failed == nil {
		f.counts.failed, f.counts.discarded = map[string]int64{}, map[string]int64{}
	}
	f.counts.failed[r.Kind]++
	if given {
		f.counts.discarded[r.Kind]++
	}
	f.counts.mu.Unlock()
	if f.Failed != nil {
		f.Failed(r.Kind)
	}
	args := []any{"kind", r.Kind, "job", r.ID, "attempt", r.Attempt, "error", text}
	if trace != "" {
		args = append(args, "stack", trace)
	}
	if given {
		f.Log.Error("a job failed too often and is given up", args...)
	} else {
		f.Log.Warn("a job failed and is tried again", args...)
	}
	return nil
}
