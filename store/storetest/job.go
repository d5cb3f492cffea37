package storetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
)

// claimJobs gives this organization's of the jobs that a claim gives, and lets go of the others'.
func (w *world) claimJobs(holder string, ttl time.Duration) []tandem.PendingJob {
	w.Helper()
	jobs, err := w.st.ClaimJobs(w.ctx, holder, 10_000, ttl)
	w.must(err)
	return slices.DeleteFunc(jobs, func(j tandem.PendingJob) bool { return j.OrganizationID != w.org })
}

var jobTests = map[string]func(*world){
	"a job is there exactly when its change is, and once for each claimer": func(w *world) {
		s := w.service("s")
		run := w.newRun(s)
		at := w.now.Add(time.Hour)
		jobs := []tandem.Job{{Kind: tandem.JobRun, Args: map[string]string{"run_id": run.ID}}, {Kind: "later", At: at}}
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}, Along: tandem.Along{Jobs: jobs}})
		stale := w.device("d")
		stale.Version = 99
		err := w.st.Apply(w.ctx, w.org, &tandem.Changes{UpdateDevices: []tandem.Device{stale}, Along: tandem.Along{Jobs: []tandem.Job{{Kind: "lost"}}}})
		w.wantCode(err, tandem.Stale)
		w.must(w.st.RequestCancel(w.ctx, w.org, run.ID, tandem.Along{Jobs: []tandem.Job{{Kind: "canceled"}}}))
		claimed := w.claimJobs("h", time.Millisecond)
		if len(claimed) != 3 {
			w.Fatalf("%d jobs: %+v", len(claimed), claimed)
		}
		for i, want := range append(jobs, tandem.Job{Kind: "canceled"}) {
			want.OrganizationID = w.org
			w.equal(claimed[i].Job, want)
		}
		now, err := w.st.Now(w.ctx)
		w.must(err)
		w.waitUntil(now.Add(5 * time.Millisecond)) // the claim runs out
		var given atomic.Int64
		var wait sync.WaitGroup
		for i := range 4 {
			wait.Go(func() {
				got, err := w.handles[i%len(w.handles)].ClaimJobs(w.ctx, "h", 10_000, time.Hour)
				if err != nil {
					w.Error(err)
				}
				for _, j := range got {
					if j.OrganizationID == w.org {
						given.Add(1)
					}
				}
			})
		}
		wait.Wait()
		if given.Load() != 3 {
			w.Errorf("3 jobs were given %d times", given.Load())
		}
		w.must(w.st.DropJobs(w.ctx, pick(claimed, func(j tandem.PendingJob) int64 { return j.ID })))
		if left := w.claimJobs("h", -time.Hour); len(left) != 0 {
			w.Errorf("left: %+v", left)
		}
	},
	"whoever waits for jobs hears of them from another handle": func(w *world) {
		w.heard(func(st tandem.ServerStore, ctx context.Context) (bool, error) {
			jobs, err := st.ClaimJobs(ctx, "h", 10_000, time.Minute)
			return slices.ContainsFunc(jobs, func(j tandem.PendingJob) bool { return j.OrganizationID == w.org }), err
		}, tandem.ServerStore.WaitForJobs, tandem.Along{Jobs: []tandem.Job{{Kind: "k"}}})
	},
}

// heard has one handle wait for what another commits, many times over.
func (w *world) heard(look func(tandem.ServerStore, context.Context) (bool, error), wait func(tandem.ServerStore, context.Context) error, along tandem.Along) {
	w.Helper()
	listening, telling := w.handles[0], w.handles[len(w.handles)-1]
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	for range 5 {
		var told sync.WaitGroup
		told.Go(func() {
			if err := telling.Apply(ctx, w.org, &tandem.Changes{Along: along}); err != nil {
				w.Error(err)
			}
		})
		for {
			found, err := look(listening, ctx)
			w.must(err)
			if found {
				break
			}
			w.must(wait(listening, ctx))
		}
		told.Wait()
	}
	cancel()
	w.wantCode(drainWait(ctx, listening, wait), tandem.Timeout)
}

// drainWait waits until the end of a context is told.
func drainWait(ctx context.Context, st tandem.ServerStore, wait func(tandem.ServerStore, context.Context) error) error {
	for {
		if err := wait(st, ctx); err != nil {
			return err
		}
	}
}
