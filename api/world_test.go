package api_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/api"
	"tandem/golioth"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/secret"
	"tandem/store"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
	"tandem/syncer"
)

const (
	projectKey = "demo-key"
	password   = "correct horse battery staple"
)

// world is a server with its database, an organization with a service on a simulated project, and people.
type world struct {
	t        *testing.T
	store    *store.Store
	registry *registry.Registry
	engine   *syncer.Engine
	api      *api.API
	url      string
	document *document
	sim      *simulator.Server
	simURL   string
	offset   atomic.Int64
	runs     sync.WaitGroup
	letters  chan registry.Letter

	org, other        tandem.Organization
	service           tandem.Service
	owner             tandem.User
	token, otherToken string
	otherDevice       tandem.Device
	otherService      tandem.Service
	otherUser         tandem.User
	otherTokenID      string
	logged            *logs
	hold              atomic.Bool // queued runs wait
	released          chan struct{}
	options           func(*api.Options)
	lastRun           string
	empty             bool
}

// logs keeps what the server writes.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// vault seals what the registry wants sealed with a keyring.
type vault struct{ keys *secret.Keyring }

func where(p registry.Place) secret.Where {
	return secret.Where{Organization: p.OrganizationID, Table: p.Table, Column: p.Column, Row: p.Row}
}

func (v vault) Seal(p registry.Place, plain []byte) ([]byte, error) {
	return v.keys.Seal(secret.NewText(string(plain)), where(p))
}

func (v vault) Unseal(p registry.Place, sealed []byte) ([]byte, error) {
	text, err := v.keys.Unseal(sealed, where(p))
	if err != nil {
		return nil, err
	}
	return []byte(text.Reveal()), nil
}

// performing is the engine with the job engine's part done at once.
type performing struct {
	*syncer.Engine
	w *world
}

func (p performing) Queue(ctx context.Context, org string, req tandem.RunRequest, extra ...*tandem.Changes) (tandem.Run, error) {
	run, err := p.Engine.Queue(ctx, org, req, extra...)
	if err == nil {
		p.w.runs.Go(func() {
			if p.w.hold.Load() {
				<-p.w.released
			}
			_, _ = p.Engine.Perform(context.WithoutCancel(ctx), org, run.ID, nil) // the run itself says how it went
		})
	}
	return run, err
}

// notifier takes every channel, and sends nothing.
type notifier struct{}

func (notifier) CheckChannel(*tandem.Channel, []byte) error { return nil }

func (notifier) Test(context.Context, tandem.Channel) error { return nil }

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

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// inBoth runs a test in a world over either database.
func inBoth(t *testing.T, test func(w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(newWorld(t, sqlitetest.Open(t), nil))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		test(newWorld(t, postgrestest.Open(t), nil))
	})
}

// inOne runs a test over SQLite alone, where the database makes no difference.
func inOne(t *testing.T, test func(w *world)) {
	t.Parallel()
	test(newWorld(t, sqlitetest.Open(t), nil))
}

func newWorld(t *testing.T, st *store.Store, options func(*api.Options)) *world {
	t.Helper()
	return begin(t, &world{store: st, options: options})
}

// newEmptyWorld has nobody in it.
func newEmptyWorld(t *testing.T) *world {
	t.Helper()
	return begin(t, &world{store: sqlitetest.Open(t), empty: true})
}

func begin(t *testing.T, w *world) *world {
	t.Helper()
	st := w.store
	w.t, w.logged, w.released, w.letters = t, &logs{}, make(chan struct{}), make(chan registry.Letter, 10)
	var err error
	w.sim, err = simulator.New(simulator.Options{Seed: 7, Clock: w.now, Founded: w.now().Add(-time.Hour), Projects: []simulator.Project{
		{ID: "demo", Keys: []string{projectKey}, Devices: 20}, {ID: "foreign", Keys: []string{projectKey}, Devices: 1}}})
	w.must(err)
	listening := httptest.NewServer(w.sim)
	t.Cleanup(listening.Close)
	t.Cleanup(w.sim.Close)
	w.simURL = listening.URL
	keys, err := secret.Open(filepath.Join(t.TempDir(), secret.FileName))
	w.must(err)
	log := slog.New(slog.NewTextHandler(w.logged, nil))
	w.engine = &syncer.Engine{Store: st, Connect: func(ctx context.Context, s tandem.Service) (tandem.Remote, error) { return w.client(keys, s) },
		Clock: w.now, NewID: newID, Holder: newID(), Log: log}
	w.registry = &registry.Registry{Store: st, Server: st, Engine: performing{w.engine, w}, Clock: w.now, NewID: newID, Vault: vault{keys}, Notifier: notifier{},
		Pipelines: func(_ context.Context, s tandem.Service) (registry.Pipelines, error) {
			c, err := w.client(keys, s)
			return pipelines{c}, err
		},
		Remote: func(ctx context.Context, s tandem.Service) (tandem.RemoteProject, error) {
			c, err := w.client(keys, s)
			if err != nil {
				return tandem.RemoteProject{}, err
			}
			return c.Project(ctx)
		},
		Post: func(l registry.Letter) { w.letters <- l }}
	w.serve(log)
	if !w.empty {
		w.people()
	}
	t.Cleanup(func() {
		if w.hold.Load() {
			close(w.released)
		}
		w.runs.Wait()
	})
	return w
}

func (w *world) client(keys *secret.Keyring, s tandem.Service) (*golioth.Client, error) {
	key, err := keys.Unseal(s.Credentials, secret.Where{Organization: s.OrganizationID, Table: "device_services", Column: "credentials", Row: s.ID})
	if err != nil {
		return nil, err
	}
	c, err := golioth.New(golioth.Options{BaseURL: s.Config.BaseURL, Project: s.Config.Project, Key: golioth.Secret(key.Reveal())})
	if err == nil {
		w.t.Cleanup(c.Close)
	}
	return c, err
}

// serve starts the API.
func (w *world) serve(log *slog.Logger) {
	w.t.Helper()
	server := httptest.NewUnstartedServer(nil)
	o := api.Options{Registry: w.registry, Store: w.store, Clock: w.now, NewID: newID, Log: log, PublicURL: "http://" + server.Listener.Addr().String(), Version: "test"}
	if w.options != nil {
		w.options(&o)
	}
	var err error
	w.api, err = api.New(o)
	w.must(err)
	server.Config.Handler = w.api
	server.Start()
	w.url = server.URL
	w.t.Cleanup(server.Close)
	w.t.Cleanup(w.api.Close) // first: streams end, so that the server can
	w.document = readDocument(w.t, w.url)
}

// people makes two organizations, each with an owner, a service and a token.
func (w *world) people() {
	w.t.Helper()
	ctx, command := w.t.Context(), registry.Command("test")
	var err error
	w.org, err = w.registry.CreateOrganization(ctx, command, "Acme", "")
	w.must(err)
	w.other, err = w.registry.CreateOrganization(ctx, command, "Other", "")
	w.must(err)
	w.service = w.addService(w.org, "prod", "demo")
	w.otherService = w.addService(w.other, "theirs", "foreign")
	w.owner = w.addUser(w.org, "owner@example.com", tandem.Owner)
	w.otherUser = w.addUser(w.other, "other@example.com", tandem.Owner)
	w.token, _ = w.newToken(w.org, tandem.Owner)
	w.otherToken, w.otherTokenID = w.newToken(w.other, tandem.Owner)
	name := "theirs"
	w.otherDevice, err = w.registry.CreateDevice(ctx, command, w.other.ID, registry.DeviceEdit{Name: &name})
	w.must(err)
}

func (w *world) addService(org tandem.Organization, name, project string) tandem.Service {
	w.t.Helper()
	config := tandem.DefaultServiceConfig()
	config.BaseURL, config.Project = w.simURL, project
	s, err := w.registry.AddService(w.t.Context(), registry.Command("test"), org.ID, registry.NewService{Name: name, ServiceType: "golioth", Config: config,
		Key: func(org, id string) ([]byte, error) {
			return w.registry.Vault.Seal(registry.Place{OrganizationID: org, Table: "device_services", Column: "credentials", Row: id}, []byte(projectKey))
		}})
	w.must(err)
	return s
}

// hashed keeps the hash of the password that all people here have: making one takes a while, which is its purpose.
var hashed struct {
	sync.Mutex
	hash string
}

// addUser makes a member.
func (w *world) addUser(org tandem.Organization, email string, role tandem.Role) tandem.User {
	w.t.Helper()
	hashed.Lock()
	defer hashed.Unlock()
	if hashed.hash == "" {
		u, err := w.registry.CreateUser(w.t.Context(), registry.Command("test"), org.ID, registry.NewPerson{Email: email, Name: "Somebody", Password: password}, role)
		w.must(err)
		hashed.hash = u.PasswordHash
		return u
	}
	now := w.now()
	u := tandem.User{ID: newID(), Email: email, Name: "Somebody", PasswordHash: hashed.hash, Version: 1, CreatedAt: now, UpdatedAt: now}
	w.must(w.store.CreateUser(w.t.Context(), u, []tandem.Membership{{OrganizationID: org.ID, UserID: u.ID, Role: role, CreatedAt: now, UpdatedAt: now}}))
	return u
}

func (w *world) newToken(org tandem.Organization, role tandem.Role, scopes ...string) (secret, id string) {
	w.t.Helper()
	t, secret, err := w.registry.CreateToken(w.t.Context(), registry.Command("test"), org.ID, registry.NewToken{Name: "test", Role: role, Scopes: scopes, Shared: true})
	w.must(err)
	return secret, t.ID
}

func (w *world) addDevice(name string) tandem.Device {
	w.t.Helper()
	d, err := w.registry.CreateDevice(w.t.Context(), registry.Command("test"), w.org.ID, registry.DeviceEdit{Name: &name})
	w.must(err)
	return d
}

// now is the world's clock: it can be advanced.
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
