package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/golioth"
	"tandem/golioth/simulator"
	"tandem/store"
	"tandem/store/postgres"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite"
	"tandem/store/sqlite/sqlitetest"
	"tandem/syncer"
)

// place is a database that several processes can open.
type place struct {
	postgres bool
	at       string // URL or path
}

// open gives a process's own connections to it.
func (p place) open(ctx context.Context) (st *store.Store, db *Database, err error) {
	if p.postgres {
		if st, err = postgres.Open(ctx, p.at); err == nil {
			db, err = OnPostgres(ctx, p.at)
		}
		return st, db, err
	}
	if st, err = sqlite.Open(ctx, p.at); err == nil {
		db = OnSQLite(st.DB().DB)
	}
	return st, db, err
}

const apiKey = "a-key"

// world is an organization with a service over a simulated project, and a database that processes share.
type world struct {
	t       *testing.T
	ctx     context.Context
	place   place
	store   *store.Store // the test's own
	sim     *simulator.Server
	url     string // of the simulator
	org     string
	service string
	offset  atomic.Int64 // of the clock
}

// inBoth runs a test in a world over either database.
func inBoth(t *testing.T, test func(w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(newWorld(t, place{at: sqlitetest.File(t)}))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		test(newWorld(t, place{postgres: true, at: postgrestest.URL(t)}))
	})
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// newWorld makes one with a service that has automatic sync and settings that a person approved.
func newWorld(t *testing.T, p place) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, place: p, org: newID()}
	w.offset.Store(int64(-1000 * time.Hour))
	var err error
	w.sim, err = simulator.New(simulator.Options{Seed: 7, Clock: w.now, Founded: w.now().Add(-time.Hour),
		Projects: []simulator.Project{{ID: "demo", Keys: []string{apiKey}, Bare: true}}})
	w.must(err)
	listening := httptest.NewServer(w.sim)
	t.Cleanup(listening.Close)
	t.Cleanup(w.sim.Close)
	w.url = listening.URL
	var db *Database
	w.store, db, err = p.open(ctx)
	w.must(err)
	t.Cleanup(func() {
		db.Close()
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	_, err = Migrate(ctx, db)
	w.must(err)
	now := w.now()
	w.must(w.store.CreateOrganization(ctx, tandem.Organization{ID: w.org, Name: "Acme", Slug: "acme", CreatedAt: now, UpdatedAt: now}))
	w.service = w.addService("prod", nil)
	return w
}

// addService adds one on the same project.
func (w *world) addService(name string, change func(*tandem.Service)) string {
	w.t.Helper()
	now := w.now()
	c := tandem.DefaultServiceConfig()
	c.BaseURL, c.Project, c.CreateRemote = w.url, "demo", true
	s := tandem.Service{ID: newID(), OrganizationID: w.org, Name: name, ServiceType: "golioth", Config: c, IsActive: true, SyncEnabled: true,
		SyncInterval: 300, State: tandem.ServiceOK, Version: 1, CreatedAt: now, UpdatedAt: now}
	s.ApprovedConfig = syncer.Fingerprint(&s.Config)
	if change != nil {
		change(&s)
	}
	w.must(w.store.CreateService(w.ctx, w.org, s))
	return s.ID
}

// now is the world's clock: it runs behind the machine's, so that it can be advanced.
func (w *world) now() time.Time {
	return time.Now().Add(time.Duration(w.offset.Load())).UTC().Truncate(time.Microsecond)
}

func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v (%s)", err, tandem.CodeOf(err))
	}
}

// eventually waits until something is so.
func (w *world) eventually(what string, so func() bool) {
	w.t.Helper()
	eventually(w.t, what, so)
}

// process is one program at work on the world's database.
type process struct {
	*Jobs
	engine *syncer.Engine
	store  *store.Store
	close  func() error
}

// shortLease is how soon a killed process is taken over in these tests. Where none is killed, a lease outlasts a busy machine.
const shortLease = 4 * time.Second

// engineOf makes a sync engine as the program has it, which retries quickly.
func engineOf(st *store.Store, url, holder string, clock tandem.Clock) (*syncer.Engine, func(), error) {
	client, err := golioth.New(golioth.Options{BaseURL: url, Project: "demo", Key: golioth.Secret(apiKey), PageConcurrency: 4,
		ReadTimeout: 5 * time.Second, WriteTimeout: time.Second,
		Retry: golioth.Retry{Attempts: 2, First: time.Millisecond, Max: 5 * time.Millisecond, Confirm: time.Millisecond, BreakerDelay: 50 * time.Millisecond}})
	if err != nil {
		return nil, nil, err
	}
	return &syncer.Engine{Store: st, Clock: clock, NewID: newID, Holder: holder, Log: slog.New(slog.DiscardHandler),
		LeaseTTL: 20 * time.Second, WriteTimeout: 300 * time.Millisecond,
		Connect: func(context.Context, tandem.Service) (tandem.Remote, error) { return client, nil }}, client.Close, nil
}

// run starts the background work of one more process, ten times as eager as in earnest. One whose name begins with
// "brief" has short leases.
func run(ctx context.Context, p place, url, holder string, clock tandem.Clock, change func(*Options)) (*process, error) {
	st, db, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	engine, closeClient, err := engineOf(st, url, holder, clock)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("JOBS_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	o := Options{Database: db, Store: st, Engine: engine, Clock: clock, NewID: newID, Log: log, Holder: holder, Retention: tandem.DefaultRetention(),
		pace: func(every time.Duration) time.Duration { return max(every/10, 50*time.Millisecond) }}
	if change != nil {
		change(&o)
	}
	if strings.HasPrefix(holder, "brief") {
		engine.LeaseTTL = shortLease
	}
	j, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	var once sync.Once
	return &process{Jobs: j, engine: engine, store: st, close: func() (err error) {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			err = j.Stop(ctx)
			closeClient()
			db.Close()
			if closing := st.Close(); err == nil {
				err = closing
			}
		})
		return err
	}}, nil
}

// process starts one in this program, until the test ends or it is closed.
func (w *world) process(holder string, change func(*Options)) *process {
	w.t.Helper()
	p, err := run(w.ctx, w.place, w.url, holder, w.now, change)
	w.must(err)
	w.t.Cleanup(func() {
		if err := p.close(); err != nil {
			w.t.Error(err)
		}
	})
	return p
}

// remote creates a device there, as a console user would.
func (w *world) remote(name string) tandem.RemoteDevice {
	w.t.Helper()
	d, err := w.sim.CreateDevice("demo", tandem.NewRemoteDevice{Name: name, HardwareIDs: []string{"hw-" + name}})
	w.must(err)
	return d
}

func (w *world) remotes(prefix string, n int) {
	w.t.Helper()
	for i := range n {
		w.remote(fmt.Sprintf("%s-%04d", prefix, i))
	}
}

// devices gives those here; named the one of a name.
func (w *world) devices() []tandem.DeviceRow {
	w.t.Helper()
	var all []tandem.DeviceRow
	for page := 1; ; page++ {
		rows, total, err := w.store.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now(), Page: tandem.Page{Number: page, Limit: 1000}})
		w.must(err)
		if all = append(all, rows...); len(all) >= total {
			return all
		}
	}
}

func (w *world) named(name string) (tandem.Device, bool) {
	w.t.Helper()
	found, err := w.store.FindDevices(w.ctx, w.org, name)
	if len(found) != 1 {
		return tandem.Device{}, false
	}
	w.must(err)
	return found[0], true
}

// stored reads the service; history its runs, newest first.
func (w *world) stored() tandem.Service {
	w.t.Helper()
	s, err := w.store.Service(w.ctx, w.org, w.service)
	w.must(err)
	return s
}

func (w *world) history() []tandem.Run {
	w.t.Helper()
	runs, _, err := w.store.Runs(w.ctx, w.org, tandem.RunFilter{Page: tandem.Page{Limit: 1000}})
	w.must(err)
	return runs
}

// ended gives how many runs ended, and whether one is still to be done.
func (w *world) ended() (n int, all bool) {
	w.t.Helper()
	runs := w.history()
	for _, r := range runs {
		if r.Status.Ended() {
			n++
		}
	}
	return n, n == len(runs)
}

// edit renames devices here, as the registry does: with the pushes in the same transaction.
func (w *world) edit(names map[string]string) {
	w.t.Helper()
	now, c := w.now(), &tandem.Changes{}
	for old, name := range names {
		d, ok := w.named(old)
		if !ok {
			w.t.Fatalf("there is no %s here", old)
		}
		d.Name, d.UpdatedAt = name, now
		c.UpdateDevices = append(c.UpdateDevices, d)
		c.Pushes = append(c.Pushes, tandem.Push{ServiceID: w.service, DeviceID: d.ID, Trigger: tandem.ByEdit, By: "ada@example.com", First: now, Due: now.Add(time.Second)})
	}
	c.Jobs = []tandem.Job{{Kind: tandem.JobPush, OrganizationID: w.org, Args: map[string]string{"service_id": w.service}, At: now.Add(time.Second)}}
	w.must(w.store.Apply(w.ctx, w.org, c))
}
