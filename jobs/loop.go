package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"tandem"
)

// looker is something that each process looks at again and again.
type looker struct {
	name  string
	every time.Duration
	// look says whether there is more to do at once.
	look func(ctx context.Context) (more bool, err error)
}

// The pace of a loop whose look fails: the database may be away. It is told at once, and then once a minute.
const (
	slowest     = 15 * time.Second
	tellFailure = time.Minute
)

// loop looks until the process stops.
func (j *Jobs) loop(l looker) {
	every := j.pace(l.every)
	wait, told := every, time.Time{}
	for {
		more, err := j.lookOnce(l)
		switch {
		case j.looks.Err() != nil:
			return
		case err != nil:
			j.health.failed(l.name, err)
			if time.Since(told) > tellFailure {
				told = time.Now()
				j.Log.Warn("background work fails, and is tried again", "what", l.name, "error", err)
			}
			wait = min(max(2*wait, 100*time.Millisecond), slowest)
		default:
			if !told.IsZero() {
				j.Log.Info("background work goes on", "what", l.name)
			}
			j.health.went(l.name)
			wait, told = every, time.Time{}
		}
		if err == nil && more {
			continue
		}
		pause := time.NewTimer(wait - wait/10 + rand.N(max(wait/5, 1))) // processes drift apart
		select {
		case <-j.looks.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// lookOnce turns a panic into an error: one bad row must not end a loop for ever.
func (j *Jobs) lookOnce(l looker) (more bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a fault of this program: %v", p)
			j.Log.Error("background work broke down", "what", l.name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return l.look(j.looks)
}

// health knows which loops fail, and since when.
type health struct {
	mu      sync.Mutex
	failing map[string]failing
}

// failing is a loop's failure.
type failing struct {
	since time.Time
	err   error
}

func (h *health) failed(name string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing == nil {
		h.failing = map[string]failing{}
	}
	f, ok := h.failing[name]
	if !ok {
		f.since = time.Now()
	}
	f.err = err
	h.failing[name] = f
}

func (h *health) went(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.failing, name)
}

// patience is how long a loop may fail before this process says that it is not ready.
const patience = 10 * time.Second

// Healthy says why background work is not being done, nil when it is: the job engine's database is away, or
// something that is looked at has failed for a while.
func (j *Jobs) Healthy(ctx context.Context) error {
	if j.stopping.Load() {
		return tandem.Errorf(tandem.Unavailable, "check the job engine", "", "the background work is stopping")
	}
	if err := j.engine.ping(ctx); err != nil {
		return tandem.Errorf(tandem.Unavailable, "check the job engine", "", "the job engine's database cannot be reached: %w", err)
	}
	j.health.mu.Lock()
	defer j.health.mu.Unlock()
	for name, f := range j.health.failing {
		if time.Since(f.since) > patience {
			return tandem.Errorf(tandem.Unavailable, "check the job engine", name, "it has failed since %s: %w", f.since.UTC().Format(time.RFC3339), f.err)
		}
	}
	return nil
}
