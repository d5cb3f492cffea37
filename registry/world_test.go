package registry_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/golioth"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/secret"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
	"tandem/syncer"
)

func TestMain(m *testing.M) {
	registry.Hurry()
	os.Exit(pgtest.Main(m))
}

// databases are the two that what matters most is tried on.
var databases = map[string]func(testing.TB) *store.Store{"sqlite": sqlitetest.Open, "postgres": postgrestest.Open}

// good is a password that no policy minds.
const good = "velvet otter climbs 7 stairs"

// world is a registry over a real database and the real engine, with a clock that tests move.
type world struct {
	*registry.Registry
	t       testing.TB
	ctx     context.Context
	store   *store.Store
	offset  atomic.Int64
	ids     atomic.Int64
	mu      sync.Mutex
	letters []registry.Letter
	clients map[string]*golioth.Client
	sim     *simulator.Server
	url     string // of the simulator
	start   time.Time
}

func newWorld(t testing.TB, st *store.Store) *world {
	t.Helper()
	if st == nil {
		st = sqlitetest.Open(t)
	}
	keys, err := secret.Open(t.TempDir() + "/tandem.key")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: context.Background(), store: st, clients: map[string]*golioth.Client{}, start: time.Now()}
	engine := &syncer.Engine{Store: st, Clock: w.now, NewID: w.id, Holder: "here", Log: slog.New(slog.DiscardHandler),
		LeaseTTL: 10 * time.Second, WriteTimeout: 300 * time.Millisecond, Connect: w.connect}
	w.Registry = &registry.Registry{Store: st, Server: st, Engine: engine, Clock: w.now, NewID: w.id, Vault: vault{keys}, Notifier: &notifier{}, Auditor: auditor{},
		Throttle: registry.NewThrottle(1000), Post: w.post,
		Pipelines: func(ctx context.Context, s tandem.Service) (registry.Pipelines, error) {
			c, err := w.client(s)
			return pipelines{c}, err
		}}
	return w
}

// now moves on by a microsecond with each look, and otherwise only when a test moves it.
func (w *world) now() time.Time {
	return w.start.Add(time.Duration(w.offset.Add(int64(time.Microsecond)))).UTC().Truncate(time.Microsecond)
}

func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

func (w *world) id() string { return fmt.Sprintf("00000000-0000-7000-8000-%012x", w.ids.Add(1)) }

func (w *world) post(l registry.Letter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.letters = append(w.letters, l)
}

// posted gives the letters since the last look.
func (w *world) posted() []registry.Letter {
	w.mu.Lock()
	defer w.mu.Unlock()
	posted := w.letters
	w.letters = nil
	return posted
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v (%s)", err, tandem.CodeOf(err))
	}
}

func (w *world) wants(err error, code tandem.Code) {
	w.t.Helper()
	if tandem.CodeOf(err) != code {
		w.t.Errorf("got the error %v (%s), want one of code %q", err, tandem.CodeOf(err), code)
	}
}

// simulate starts a simulated project "demo" with devices.
func (w *world) simulate(devices int) {
	w.t.Helper()
	sim, err := simulator.New(simulator.Options{Projects: []simulator.Project{{ID: "demo", Devices: devices, Keys: []string{"demo-key"}}}, Seed: 1})
	w.must(err)
	server := httptest.NewServer(sim)
	w.t.Cleanup(server.Close)
	w.t.Cleanup(sim.Close)
	w.sim, w.url = sim, server.URL
}

func (w *world) connect(_ context.Context, s tandem.Service) (tandem.Remote, error) {
	if w.sim == nil {
		return nil, tandem.Errorf(tandem.Unavailable, "connect", s.Name, "the service is away")
	}
	return w.client(s)
}

func (w *world) client(s tandem.Service) (*golioth.Client, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.clients[s.ID]; c != nil {
		return c, nil
	}
	base := w.url
	if base == "" {
		base = "http://127.0.0.1:1"
	}
	c, err := golioth.New(golioth.Options{BaseURL: base, Project: s.Config.Project, Key: "demo-key", ReadTimeout: 5 * time.Second, WriteTimeout: time.Second,
		Retry: golioth.Retry{Attempts: 2, First: time.Millisecond, Max: 2 * time.Millisecond, Confirm: time.Millisecond, BreakerDelay: 20 * time.Millisecond}})
	if err == nil {
		w.clients[s.ID] = c
		w.t.Cleanup(c.Close)
	}
	return c, err
}

// engine is the one that the registry has.
func (w *world) engine() *syncer.Engine { return w.Engine.(*syncer.Engine) }

var root = registry.Command("tester")

func (w *world) organization(name string) string {
	w.t.Helper()
	o, err := w.CreateOrganization(w.ctx, root, name, "")
	w.must(err)
	return o.ID
}

func (w *world) service(org, name string, change func(*registry.NewService)) tandem.Service {
	w.t.Helper()
	config := tandem.DefaultServiceConfig()
	config.BaseURL, config.Project = "https://api.golioth.io", "demo"
	if w.url != "" {
		config.BaseURL = w.url
	}
	add := registry.NewService{Name: name, ServiceType: "golioth", Config: config, Key: func(string, string) ([]byte, error) { return []byte("sealed"), nil }}
	if change != nil {
		change(&add)
	}
	s, err := w.AddService(w.ctx, root, org, add)
	w.must(err)
	return s
}

// person makes an account with a role, and gives what it may do.
func (w *world) person(org, email string, role tandem.Role) registry.Actor {
	w.t.Helper()
	u, err := w.CreateUser(w.ctx, root, org, registry.NewPerson{Email: email, Name: "", Password: good}, role)
	w.must(err)
	return w.actor(u.ID)
}

// actor gives what a person may do now.
func (w *world) actor(id string) registry.Actor {
	w.t.Helper()
	u, err := w.store.User(w.ctx, id)
	w.must(err)
	a, err := w.SessionActor(w.ctx, u.ID, u.Epoch)
	w.must(err)
	a.RequestID, a.Address = "request-1", "192.0.2.1"
	return a
}

func (w *world) device(org, name string) tandem.Device {
	w.t.Helper()
	d, err := w.CreateDevice(w.ctx, root, org, registry.DeviceEdit{Name: &name})
	w.must(err)
	return d
}

// link links a device, as a run would have.
func (w *world) link(org string, d tandem.Device, s tandem.Service, external string) {
	w.t.Helper()
	now := w.now()
	w.must(w.store.Apply(w.ctx, org, &tandem.Changes{CreateAssignments: []tandem.Assignment{{ID: w.id(), OrganizationID: org, DeviceID: d.ID, ServiceID: s.ID,
		ExternalDeviceID: external, SyncEnabled: true, Status: tandem.SyncSynced, Version: 1, CreatedAt: now, UpdatedAt: now}}}))
}

// audited gives the audit entries of an action, newest first.
func (w *world) audited(org, action string) []tandem.SealedEntry {
	w.t.Helper()
	found, _, err := w.Audit(w.ctx, root, org, tandem.AuditFilter{Action: action})
	w.must(err)
	return found
}

// vault is the keyring as the program has it.
type vault struct{ keys *secret.Keyring }

func (v vault) where(p registry.Place) secret.Where {
	return secret.Where{Organization: p.OrganizationID, Table: p.Table, Column: p.Column, Row: p.Row}
}

func (v vault) Seal(p registry.Place, plain []byte) ([]byte, error) {
	return v.keys.Seal(secret.NewText(string(plain)), v.where(p))
}

func (v vault) Unseal(p registry.Place, sealed []byte) ([]byte, error) {
	text, err := v.keys.Unseal(sealed, v.where(p))
	if err != nil {
		return nil, err
	}
	return []byte(text.Reveal()), nil
}

// auditor stands in for package audit, which the registry hands a chain to.
type auditor struct{}

func (auditor) Verify(context.Context, string, func(done, of int64)) (registry.AuditVerdict, error) {
	return registry.AuditVerdict{}, nil
}

func (auditor) Export(context.Context, string, io.Writer) error { return nil }

// notifier takes every channel, and remembers what it tested.
type notifier struct {
	mu     sync.Mutex
	tested []string
}

func (n *notifier) CheckChannel(*tandem.Channel, []byte) error { return nil }

func (n *notifier) Test(_ context.Context, c tandem.Channel) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tested = append(n.tested, c.Name)
	return nil
}

// pipelines is the client as the program has it.
type pipelines struct{ *golioth.Client }

func (pipelines) Definition(url, header, secretName string, paths ...string) string {
	return golioth.WebhookPipeline(url, header, secretName, paths...)
}

func (p pipelines) PutSecret(ctx context.Context, name, value string) error {
	return p.Client.PutSecret(ctx, name, golioth.Secret(value))
}

func (p pipelines) PutPipeline(ctx context.Context, name, definition string) error {
	_, err := p.Client.PutPipeline(ctx, name, definition, true)
	return err
}

func (p pipelines) DeletePipeline(ctx context.Context, name string) error {
	found, err := p.PipelineByName(ctx, name)
	if err != nil {
		return err
	}
	return p.Client.DeletePipeline(ctx, found.ID)
}
