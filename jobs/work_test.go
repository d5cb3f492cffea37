package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem"
	"tandem/golioth/simulator"
)

// TestScheduleFollowsChanges: a service with automatic sync follows what happens there within its interval.
func TestScheduleFollowsChanges(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remote("gate")
		w.process("one", nil)
		w.eventually("the device is here", func() bool { _, ok := w.named("gate"); return ok })
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
		next := w.stored().NextSyncAt
		if next == nil || next.Sub(w.now()) < 4*time.Minute || next.Sub(w.now()) > 6*time.Minute {
			w.t.Errorf("the next run is at %v, now is %v", next, w.now())
		}
		w.remote("door")
		w.advance(6 * time.Minute)
		w.eventually("the other device is here", func() bool { _, ok := w.named("door"); return ok })
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 2 && all })
		for _, r := range w.history() {
			if r.Trigger != tandem.BySchedule || r.Status != tandem.RunCompleted {
				w.t.Errorf("a run by %s is %s: %s", r.Trigger, r.Status, r.Error)
			}
		}
	})
}

// TestPausedServiceStays: without automatic sync nothing is begun, however late it is.
func TestPausedServiceStays(t *testing.T) {
	inBoth(t, func(w *world) {
		s := w.stored()
		s.SyncEnabled = false
		w.must(w.store.UpdateService(w.ctx, w.org, s))
		w.service = w.addService("other", nil)
		w.remote("gate")
		w.process("one", nil)
		w.eventually("the other service has run", func() bool { n, all := w.ended(); return n > 0 && all })
		for _, r := range w.history() { // more than one where the first was interrupted
			if r.ServiceID != w.service {
				w.t.Errorf("the paused service ran: %+v", r)
			}
		}
	})
}

// TestEditLeaves: an edit here is there within five seconds (S38), as a run about that device; edits go together.
func TestEditLeaves(t *testing.T) {
	inBoth(t, func(w *world) {
		there := w.remote("gate")
		other := w.remote("door")
		w.process("one", nil)
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
		edited := w.now()
		w.edit(map[string]string{"gate": "new gate", "door": "new door"})
		w.eventually("the edits are there", func() bool {
			a, err := w.sim.Device("demo", there.ID)
			w.must(err)
			b, err := w.sim.Device("demo", other.ID)
			w.must(err)
			return a.Name == "new gate" && b.Name == "new door"
		})
		w.eventually("the run has ended", func() bool { _, all := w.ended(); return all })
		r := w.history()[0]
		if took := r.StartedAt.Sub(edited); took < time.Second || took > 5*time.Second {
			w.t.Errorf("its run began after %v", took)
		}
		if len(w.history()) != 2 || r.Trigger != tandem.ByEdit || r.CreatedBy != "ada@example.com" || r.Summary.Remote.Updated != 2 {
			w.t.Errorf("%d runs; the last one is by %s of %s: %+v", len(w.history()), r.CreatedBy, r.Trigger, r.Summary)
		}
		left, err := w.store.ServicesToPush(w.ctx, w.now().Add(time.Hour), 10)
		if err != nil || len(left) != 0 {
			w.t.Errorf("still to push: %v (%v)", left, err)
		}
	})
}

// TestHintIsReadBack: a webhook's word that a device was made there has it read back and merged (S36), though it is not linked.
func TestHintIsReadBack(t *testing.T) {
	inBoth(t, func(w *world) {
		w.process("one", nil)
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
		made, now := w.remote("gate"), w.now()
		c := &tandem.Changes{}
		c.Pushes = []tandem.Push{{ServiceID: w.service, ExternalDeviceID: made.ID, Trigger: tandem.ByWebhook, By: "webhook", First: now, Due: now}}
		w.must(w.store.Apply(w.ctx, w.org, c))
		w.eventually("the device is here", func() bool { _, ok := w.named("gate"); return ok })
		w.eventually("the run has ended", func() bool { _, all := w.ended(); return all })
		if r := w.history()[0]; r.Trigger != tandem.ByWebhook || r.Status != tandem.RunCompleted {
			w.t.Errorf("the run is %+v", r)
		}
	})
}

// performed notes which process began which run.
type performed struct {
	mu  sync.Mutex
	who map[string]map[string]bool // by run
}

func (p *performed) by(holder string) func(*Options) {
	return func(o *Options) {
		o.Report = func(at tandem.Progress) {
			if at.Phase == "contacting" {
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.who[at.RunID] == nil {
					p.who[at.RunID] = map[string]bool{}
				}
				p.who[at.RunID][holder] = true
			}
		}
	}
}

// of gives how many processes began a run.
func (p *performed) of(run string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.who[run])
}

// TestProcessesShareRuns: two processes over one database do each run once.
func TestProcessesShareRuns(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remotes("gate", 20)
		p := &performed{who: map[string]map[string]bool{}}
		one := w.process("one", p.by("one"))
		w.process("two", p.by("two"))
		w.eventually("the scheduled run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
		runs := []string{w.history()[0].ID}
		for i := range 6 {
			device, _ := w.named(fmt.Sprintf("gate-%04d", i))
			r, err := one.engine.Queue(w.ctx, w.org, tandem.RunRequest{ServiceID: w.service, DeviceIDs: []string{device.ID}})
			w.must(err)
			runs = append(runs, r.ID)
		}
		w.eventually("all runs have ended", func() bool { n, all := w.ended(); return n == 7 && all })
		for _, id := range runs {
			r, err := w.store.Run(w.ctx, w.org, id)
			w.must(err)
			if n := p.of(id); n != 1 || r.Status != tandem.RunCompleted {
				w.t.Errorf("run %s is %s (%s), begun by %d processes", id, r.Status, r.Error, n)
			}
		}
		if n := len(w.devices()); n != 20 {
			w.t.Errorf("%d devices are here", n)
		}
	})
}

// TestJobGoesWithItsChange: it is there when the change is committed, and not otherwise.
func TestJobGoesWithItsChange(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remote("gate")
		s := w.stored()
		s.SyncEnabled = false
		w.must(w.store.UpdateService(w.ctx, w.org, s))
		engine, closeClient, err := engineOf(w.store, w.url, "nobody", w.now)
		w.must(err)
		defer closeClient()
		refused, err := engine.Queue(w.ctx, w.org, tandem.RunRequest{ServiceID: w.service}, &tandem.Changes{Fence: &tandem.Fence{ServiceID: w.service, Token: 99}})
		if !tandem.Is(err, tandem.LeaseLost) {
			w.t.Fatalf("the change was not refused: %v", err)
		}
		queued, err := engine.Queue(w.ctx, w.org, tandem.RunRequest{ServiceID: w.service})
		w.must(err)
		p := w.process("one", nil)
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
		if runs := w.history(); len(runs) != 1 || runs[0].ID != queued.ID || runs[0].Status != tandem.RunCompleted {
			w.t.Errorf("the runs are %+v; refused was %s", runs, refused.ID)
		}
		w.eventually("no job is left", func() bool {
			depth, err := p.Depth(w.ctx)
			w.must(err)
			left, err := w.store.ClaimJobs(w.ctx, "looking", 10, time.Millisecond)
			w.must(err)
			return depth["run available"]+depth["run running"]+depth["run_ended available"]+depth["run_ended running"] == 0 && len(left) == 0
		})
		w.must(p.Healthy(w.ctx))
	})
}

// TestLostJobIsMadeAgain: a queued run whose job is gone does not wait for ever.
func TestLostJobIsMadeAgain(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remote("gate")
		s := w.stored()
		s.SyncEnabled = false
		w.must(w.store.UpdateService(w.ctx, w.org, s))
		engine, closeClient, err := engineOf(w.store, w.url, "nobody", w.now)
		w.must(err)
		defer closeClient()
		_, err = engine.Queue(w.ctx, w.org, tandem.RunRequest{ServiceID: w.service})
		w.must(err)
		lost, err := w.store.ClaimJobs(w.ctx, "lost", 10, time.Minute)
		w.must(err)
		for _, j := range lost {
			w.must(w.store.DropJobs(w.ctx, []int64{j.ID}))
		}
		w.advance(settleIn)
		w.process("one", nil)
		w.eventually("the run has ended", func() bool { n, all := w.ended(); return n == 1 && all })
	})
}

// TestJobTakenAndNeverGivenBack: the database went away while this very process took a run's job, so that nobody does it.
func TestJobTakenAndNeverGivenBack(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remote("gate")
		s := w.stored()
		s.SyncEnabled = false
		w.must(w.store.UpdateService(w.ctx, w.org, s))
		p := w.process("one", nil)
		lease, err := w.store.AcquireLease(w.ctx, w.org, w.service, "another", "another", time.Minute)
		w.must(err)
		run, err := p.engine.Queue(w.ctx, w.org, tandem.RunRequest{ServiceID: w.service})
		w.must(err)
		exec := func(statement string) int64 {
			w.t.Helper()
			result, err := w.store.DB().DB.ExecContext(w.ctx, statement)
			w.must(err)
			n, err := result.RowsAffected()
			w.must(err)
			return n
		}
		taken := "UPDATE river_job SET state = 'running', attempted_at = '2020-01-01 00:00:00', attempted_by = "
		if w.place.postgres {
			taken += "ARRAY['one']"
		} else {
			taken += `jsonb('["one"]')`
		}
		w.eventually("its job was taken", func() bool { return exec(taken+" WHERE kind = 'run' AND state <> 'running'") == 1 })
		w.advance(settleIn)
		w.must(w.store.ReleaseLease(w.ctx, w.org, lease))
		w.eventually("the run has ended", func() bool {
			now, err := w.store.Run(w.ctx, w.org, run.ID)
			w.must(err)
			return now.Status.Ended()
		})
	})
}

// TestStopHandsRunsOn: a process that stops ends its runs at a batch border; another does what is left.
func TestStopHandsRunsOn(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remotes("gate", 600)
		w.sim.SetLatency(simulator.Latency{Mean: 100 * time.Millisecond})
		begun := make(chan struct{}, 100)
		one := w.process("one", func(o *Options) {
			o.Report = func(p tandem.Progress) {
				if p.Phase == "listing" {
					begun <- struct{}{}
				}
			}
		})
		<-begun
		w.must(one.close())
		if err := one.Healthy(w.ctx); err == nil {
			w.t.Error("a stopped process says that it is ready")
		}
		runs := w.history()
		if len(runs) != 2 || runs[1].Status != tandem.RunInterrupted || runs[0].Status != tandem.RunQueued {
			w.t.Fatalf("the runs are %+v", runs)
		}
		w.sim.SetLatency(simulator.Latency{})
		w.process("two", nil)
		w.eventually("all is done", func() bool { n, all := w.ended(); return n == 2 && all })
		if n := len(w.devices()); n != 600 || w.history()[0].Status != tandem.RunCompleted {
			w.t.Errorf("%d devices are here; the run is %s: %s", n, w.history()[0].Status, w.history()[0].Error)
		}
	})
}

// The environment of the process that is killed.
const (
	killPlace    = "JOBS_TEST_KILL_AT"
	killPostgres = "JOBS_TEST_KILL_POSTGRES"
	killURL      = "JOBS_TEST_KILL_URL"
)

// workUntilKilled is the process that is killed: it says on its output when it is in the middle of a run.
func workUntilKilled() error {
	ctx := context.Background()
	clock := func() time.Time { return time.Now().Add(-1000 * time.Hour).UTC().Truncate(time.Microsecond) }
	_, err := run(ctx, place{postgres: os.Getenv(killPostgres) != "", at: os.Getenv(killPlace)}, os.Getenv(killURL), "brief and doomed", clock, func(o *Options) {
		o.Report = func(p tandem.Progress) {
			if p.Done > 0 {
				if _, err := fmt.Fprintln(os.Stdout, "at it"); err != nil {
					panic(err)
				}
			}
		}
	})
	if err != nil {
		return err
	}
	select {}
}

// TestKilledProcessIsTakenOver: what a process was killed at, another one does to its end; nothing is lost or doubled.
func TestKilledProcessIsTakenOver(t *testing.T) {
	inBoth(t, func(w *world) {
		w.remotes("gate", 1000)
		for i := range 100 { // so that it writes there too
			now := w.now()
			d := tandem.Device{ID: newID(), OrganizationID: w.org, Name: fmt.Sprintf("here-%03d", i), DeviceID: fmt.Sprintf("here-%03d", i),
				HardwareIDs: []string{fmt.Sprintf("hw-here-%03d", i)}, Lifecycle: tandem.Active, Enabled: true, Version: 1, CreatedAt: now, UpdatedAt: now}
			w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{CreateDevices: []tandem.Device{d}}))
		}
		w.sim.SetLatency(simulator.Latency{Mean: 20 * time.Millisecond})
		self, err := os.Executable()
		w.must(err)
		child := exec.CommandContext(w.ctx, self)
		child.Env = append(os.Environ(), killPlace+"="+w.place.at, killURL+"="+w.url)
		if w.place.postgres {
			child.Env = append(child.Env, killPostgres+"=yes")
		}
		child.Stderr = os.Stderr
		said, err := child.StdoutPipe()
		w.must(err)
		w.must(child.Start())
		_, err = said.Read(make([]byte, 1))
		w.must(err)
		w.must(child.Process.Kill())
		var exit *exec.ExitError
		if err := child.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			w.t.Fatalf("the process ended with %v", err)
		}
		if n, all := w.ended(); n != 0 || all {
			w.t.Fatalf("it was not killed in the middle of a run: %+v", w.history())
		}
		w.sim.SetLatency(simulator.Latency{})
		w.advance(settleIn)
		p := &performed{who: map[string]map[string]bool{}}
		w.process("brief one", p.by("one"))
		w.process("brief two", p.by("two"))
		began := time.Now()
		w.eventually("all is done", func() bool { _, all := w.ended(); return all && w.history()[0].Status == tandem.RunCompleted })
		w.t.Logf("taken over and done after %v", time.Since(began))
		runs := w.history()
		for _, r := range runs[1:] { // on a busy machine a short lease may be lost once more
			if r.Status != tandem.RunInterrupted {
				w.t.Errorf("a run is %s: %s", r.Status, r.Error)
			}
		}
		if n := p.of(runs[0].ID); n != 1 {
			w.t.Errorf("the last run was begun by %d processes", n)
		}
		w.whole(1100)
	})
}

// whole reports devices that are missing or doubled on either side.
func (w *world) whole(want int) {
	w.t.Helper()
	here, there := map[string]int{}, map[string]int{}
	for _, d := range w.devices() {
		here[d.HardwareIDs[0]]++
		if len(d.Assignments) != 1 || d.Assignments[0].Status != tandem.SyncSynced {
			w.t.Errorf("%s is linked as %+v", d.Name, d.Assignments)
		}
	}
	list, err := w.sim.Devices("demo")
	w.must(err)
	for _, d := range list {
		there[d.HardwareIDs[0]]++
	}
	if len(here) != want || len(there) != want {
		w.t.Errorf("%d devices are here and %d there, want %d", len(here), len(there), want)
	}
	for id, n := range here {
		if n != 1 || there[id] != 1 {
			w.t.Errorf("%s is here %d times and there %d times", id, n, there[id])
		}
	}
}
