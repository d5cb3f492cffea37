package jobs

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"tandem/store/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(killPlace) != "" {
		fmt.Fprintln(os.Stderr, workUntilKilled())
		os.Exit(1)
	}
	// These tests wait more than they compute.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code := pgtest.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// onBoth runs a test over an empty database of either kind.
func onBoth(t *testing.T, test func(t *testing.T, open func(t *testing.T) *Database)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(memory(t), "jobs.db")
		test(t, func(t *testing.T) *Database { return openSQLite(t, path) })
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		at := pgtest.URL(t)
		test(t, func(t *testing.T) *Database { return openPostgres(t, at) })
	})
}

// memory gives a folder in memory where the system has one: what a disk's sync costs is not what these tests are about.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "tandem-test-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func openSQLite(t *testing.T, path string) *Database {
	t.Helper()
	query := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "foreign_keys(1)", "journal_mode(WAL)"}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return OnSQLite(db)
}

func openPostgres(t *testing.T, at string) *Database {
	t.Helper()
	db, err := OnPostgres(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// TestMigrate: concurrent starters end with one set of tables, and a second time there is nothing to do.
func TestMigrate(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(*testing.T) *Database) {
		if n, err := Pending(t.Context(), open(t)); err != nil || n == 0 {
			t.Fatalf("%d steps pending in an empty database (%v)", n, err)
		}
		var all sync.WaitGroup
		for range 3 {
			db := open(t)
			all.Go(func() {
				if _, err := Migrate(t.Context(), db); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		db := open(t)
		again, err := Migrate(t.Context(), db)
		if err != nil || len(again) != 0 {
			t.Errorf("a second time %v was applied (%v)", again, err)
		}
		if n, err := Pending(t.Context(), db); err != nil || n != 0 {
			t.Errorf("%d steps are pending (%v)", n, err)
		}
	})
}

// ran notes what the jobs of a test did.
type ran struct {
	mu    sync.Mutex
	calls map[string]int
	done  chan string
}

func newRan() *ran { return &ran{calls: map[string]int{}, done: make(chan string, 1000)} }

func (r *ran) note(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[name]++
	r.done <- name
	return r.calls[name]
}

func (r *ran) wait(t *testing.T, want ...string) {
	t.Helper()
	left := map[string]int{}
	for _, name := range want {
		left[name]++
	}
	for len(left) > 0 {
		select {
		case name := <-r.done:
			if left[name]--; left[name] <= 0 {
				delete(left, name)
			}
		case <-time.After(45 * time.Second):
			t.Fatalf("still waiting for %v", left)
		}
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	look := time.NewTicker(25 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(45 * time.Second); !so(); <-look.C {
		if time.Now().After(end) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// begin makes and starts a job engine that knows some tasks.
func begin(t *testing.T, db *Database, id string, tasks map[string]task) (engine, *Jobs) {
	t.Helper()
	j := &Jobs{Options: Options{Log: slog.New(slog.DiscardHandler)}}
	e, err := newEngine(db, &setup{id: id, runs: 2, short: 4, tasks: tasks, errors: failures{j}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return e, j
}

// TestEngine: what this package relies on of the job engine, over either database.
func TestEngine(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(*testing.T) *Database) {
		db := open(t)
		if _, err := Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		r, hold := newRan(), make(chan struct{})
		e, j := begin(t, db, "one", map[string]task{
			"plain": {do: func(_ context.Context, w *job) error { r.note(w.Args["name"]); return nil }},
			"held":  {do: func(_ context.Context, w *job) error { r.note("held"); <-hold; r.note("let go"); return nil }},
			"waits": {do: func(_ context.Context, w *job) error {
				if r.note("waits") == 1 {
					return later(10 * time.Millisecond)
				}
				return nil
			}},
			"fails": {do: func(_ context.Context, w *job) error {
				switch r.note("fails") {
				case 1:
					return errors.New("not yet")
				case 2:
					panic("not yet either")
				}
				return nil
			}},
		})
		insert := func(list ...work) {
			t.Helper()
			if err := e.insert(t.Context(), list); err != nil {
				t.Fatal(err)
			}
		}
		plain := func(name, key string, handed bool) work {
			return work{kind: "plain", Args: map[string]string{"name": name}, Key: key, handed: handed}
		}
		// What is handed over under one key is done once ever; also when it comes again after it was done.
		insert(plain("first", "pending/1", true), plain("second", "pending/2", true))
		r.wait(t, "first", "second")
		insert(plain("first", "pending/1", true), plain("third", "pending/3", true))
		r.wait(t, "third")
		// A keyed one is alone while it is not done, and may come again then.
		insert(work{kind: "held", Key: "k"})
		r.wait(t, "held")
		insert(work{kind: "held", Key: "k"})
		depth, err := e.depth(t.Context())
		if err != nil || depth["held running"] != 1 || depth["held available"] != 0 {
			t.Errorf("the depth is %v (%v)", depth, err)
		}
		rows, err := e.unfinishedOf(t.Context(), "held")
		if err != nil || len(rows) != 1 || !rows[0].inHand || rows[0].by != "one" {
			t.Errorf("unfinished are %+v (%v)", rows, err)
		}
		close(hold)
		r.wait(t, "let go")
		eventually(t, "the last one done is the third", func() bool { // that it is done is written a little later
			last, ok, err := e.lastDone(t.Context(), "plain")
			return err == nil && ok && last.Args["name"] == "third"
		})
		// Coming back later is no failure; failing is counted, and tried again. So is a panic.
		insert(work{kind: "waits"}, work{kind: "fails"})
		r.wait(t, "waits", "waits", "fails", "fails", "fails")
		failed, discarded := j.Failures()
		if failed["fails"] != 2 || failed["waits"] != 0 || len(discarded) != 0 {
			t.Errorf("failed %v, discarded %v", failed, discarded)
		}
		// What a newer program made waits for it.
		insert(work{kind: "of_tomorrow"}, plain("last", "", false))
		r.wait(t, "last")
		if depth, err := e.depth(t.Context()); err != nil || depth["of_tomorrow available"] != 1 {
			t.Errorf("the depth is %v (%v)", depth, err)
		}
		if r.calls["first"] != 1 {
			t.Errorf("what was handed over twice was done %d times", r.calls["first"])
		}
		if err := e.ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestEnginesShare: two processes over one database do each job once.
func TestEnginesShare(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(*testing.T) *Database) {
		db := open(t)
		if _, err := Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		r := newRan()
		tasks := map[string]task{"plain": {do: func(_ context.Context, w *job) error { r.note(w.Args["name"]); return nil }}}
		one, _ := begin(t, db, "one", tasks)
		two, _ := begin(t, open(t), "two", tasks)
		var list []work
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprint("job ", i))
			list = append(list, work{kind: "plain", Args: map[string]string{"name": names[i]}, Key: "pending/" + fmt.Sprint(i), handed: true})
		}
		for _, e := range []engine{one, two} { // both hand all over
			if err := e.insert(t.Context(), list); err != nil {
				t.Fatal(err)
			}
		}
		r.wait(t, names...)
		if len(r.calls) != 100 {
			t.Errorf("%d jobs were done", len(r.calls))
		}
		for name, n := range r.calls {
			if n != 1 {
				t.Errorf("%s was done %d times", name, n)
			}
		}
	})
}

// TestDatabaseErrorsHideTheURL: a password is in no error.
func TestDatabaseErrorsHideTheURL(t *testing.T) {
	for _, bad := range []string{"postgres://ada:hunter2@host:notaport/x", "postgres://ada:hunter2@[::1"} {
		if _, err := OnPostgres(t.Context(), bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error is %v", err)
		}
	}
}
