package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/uptrace/bun"

	"tandem"
)

// The environment of the process that is killed.
const (
	killWhere = "STORETEST_KILL_WHERE"
	killOrg   = "STORETEST_KILL_ORGANIZATION"
	killAt    = "STORETEST_KILL_AT"
)

// Main runs a package's tests with run. In the process that Run starts to be killed, it is that process instead.
func Main(open func(ctx context.Context, where string) (tandem.ServerStore, error), run func() int) int {
	where := os.Getenv(killWhere)
	if where == "" {
		return run()
	}
	if err := dieWriting(open, where); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// killer kills its own process before the nth statement, as kill -9 would.
type killer struct{ left int }

// BeforeQuery counts down.
func (k *killer) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	if k.left--; k.left < 0 {
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			panic(err)
		}
		select {} // until the signal arrives
	}
	return ctx
}

// AfterQuery does nothing.
func (*killer) AfterQuery(context.Context, *bun.QueryEvent) {}

// dieWriting applies a batch and is killed before its nth statement, if it has so many.
func dieWriting(open func(ctx context.Context, where string) (tandem.ServerStore, error), where string) error {
	at, err := strconv.Atoi(os.Getenv(killAt))
	if err != nil {
		return err
	}
	st, err := open(context.Background(), where)
	if err != nil {
		return err
	}
	hooked, ok := st.(interface{ AddQueryHook(bun.QueryHook) })
	if !ok {
		return errors.New("the store takes no query hook")
	}
	service, err := st.Service(context.Background(), os.Getenv(killOrg), "svc")
	if err != nil {
		return err
	}
	device, err := st.FindDevices(context.Background(), os.Getenv(killOrg), "old")
	if err != nil {
		return err
	}
	hooked.AddQueryHook(&killer{left: at})
	return st.Apply(context.Background(), os.Getenv(killOrg), killBatch(os.Getenv(killOrg), service, device[0]))
}

// killBatch writes into every table.
func killBatch(org string, s tandem.Service, old tandem.Device) *tandem.Changes {
	w := &world{org: org, now: old.CreatedAt}
	fresh := w.newDevice("fresh", func(d *tandem.Device) { d.ID, d.DeviceID, d.HardwareIDs = "fresh", "fresh", []string{"fresh"} })
	run := w.newRun(s, func(r *tandem.Run) { r.ID = "run" })
	link, intent, conflict, entry := w.newAssignment(fresh, s, "fresh"), w.newIntent(s, fresh), w.newConflict(s, fresh, "name"), w.newEntry(run, fresh)
	link.ID, intent.ID, conflict.ID, entry.ID = "link", "intent", "conflict", "entry"
	old.Notes = "edited"
	return &tandem.Changes{CreateDevices: []tandem.Device{fresh}, UpdateDevices: []tandem.Device{old}, CreateAssignments: []tandem.Assignment{link},
		PutIntents: []tandem.Intent{intent}, PutConflicts: []tandem.Conflict{conflict}, Entries: []tandem.Entry{entry},
		PutNotLinked: []tandem.NotLinked{w.newNotLinked(s, "n", "n")}, PutRuns: []tandem.Run{run}}
}

// runKilled kills a separate process before each statement of an Apply in turn: nothing is ever half-written (S22, S24).
func runKilled(t *testing.T, db Database) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	where := db.Fresh(t)
	w := newWorld(t, []tandem.ServerStore{db.open(t, where)})
	s, old := w.service("svc"), w.device("old")
	before := snapshot(w)
	kills := 0
	for at := 0; ; at++ {
		child := exec.Command(self)
		child.Env = append(os.Environ(), killWhere+"="+where, killOrg+"="+w.org, killAt+"="+strconv.Itoa(at))
		var said strings.Builder
		child.Stderr = &said
		err := child.Run()
		if err == nil {
			break // it had fewer statements
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the process ended with %v: %s", err, said.String())
		}
		kills++
		if after := snapshot(w); after != before {
			t.Fatalf("killed before statement %d, it left something: %s", at, diff(after, before))
		}
		if at%5 == 0 { // others can write at once
			w.apply(tandem.Changes{Observe: []tandem.Observation{{DeviceID: old.ID, Observed: tandem.Observed{LastSeen: &w.now}}}})
			before = snapshot(w)
		}
	}
	if kills < 5 {
		t.Errorf("only %d statements: the batch was not written in a transaction of several", kills)
	}
	if after := snapshot(w); after == before {
		t.Error("the process that lived wrote nothing")
	}
	if err := w.st.Apply(w.ctx, w.org, killBatch(w.org, s, old)); err == nil {
		t.Error("the batch was written twice")
	}
}
