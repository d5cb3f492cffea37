package webtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"

	"tandem"
	"tandem/api/client"
	"tandem/golioth/simulator"
	"tandem/store/postgres/postgrestest"
)

// World is an organization for one test, at a server that others use too, and a simulated Golioth of its own.
type World struct {
	URL   string // of the server, without a final slash
	Org   tandem.Organization
	Owner *Person
	API   *client.Client // with a token of the owner; its calls take Org.ID

	// Simulator is what is at the other end, to change devices there and to let things go wrong. It has the projects
	// "p1" to "p3", opened by the keys "p1-key" to "p3-key"; the first has the devices that Open was asked for.
	Simulator *simulator.Server
	RemoteURL string // where it is
	Service   client.Service

	t      testing.TB
	server *server
	secret string // of the first owner's link, where the server is fresh
}

// Projects of the simulator; a World's Service is on the first.
const (
	Project      = "p1"
	OtherProject = "p2" // has six devices
	EmptyProject = "p3"
)

// Key gives the API key of one of the simulator's projects.
func Key(project string) string { return project + "-key" }

// settings are what Open was asked for.
type settings struct {
	devices  int
	service  bool
	config   func(*tandem.ServiceConfig)
	options  func(*simulator.Options)
	name     string
	own      bool // a server of its own
	fresh    bool // where nobody has an account
	postgres bool
	flags    []string
}

// Option asks Open for something.
type Option func(*settings)

// Devices has so many devices in the simulated project; 24 unless said.
func Devices(n int) Option { return func(s *settings) { s.devices = n } }

// WithService connects the first project as a service named "golioth", whose settings edit may change (nil: as they are).
func WithService(edit func(*tandem.ServiceConfig)) Option {
	return func(s *settings) { s.service, s.config = true, edit }
}

// Simulated changes what the simulator is made of, such as its latency.
func Simulated(edit func(*simulator.Options)) Option { return func(s *settings) { s.options = edit } }

// Named gives the organization a name.
func Named(name string) Option { return func(s *settings) { s.name = name } }

// Flags starts a server of the test's own with more flags of `tandem serve`.
func Flags(flags ...string) Option {
	return func(s *settings) { s.own, s.flags = true, append(s.flags, flags...) }
}

// OnPostgres starts a server of the test's own over PostgreSQL.
func OnPostgres() Option { return func(s *settings) { s.own, s.postgres = true, true } }

// Fresh starts a server of the test's own where nobody has an account: no Org, no Owner, no API. SetUpPath leads in.
func Fresh() Option { return func(s *settings) { s.own, s.fresh = true, true } }

// Open gives a test its world.
func Open(t testing.TB, options ...Option) *World {
	t.Helper()
	s := settings{devices: 24}
	for _, o := range options {
		o(&s)
	}
	w := &World{t: t}
	var admin *Person
	if s.own {
		admin = w.ownServer(&s)
	} else {
		w.server, admin = theServer(t)
	}
	w.URL = w.server.url
	since := len(w.server.log())
	t.Cleanup(func() {
		if said := w.server.log()[since:]; t.Failed() && said != "" {
			t.Logf("the server said meanwhile:\n%s", said)
		}
	})
	w.simulate(&s)
	if s.fresh {
		return w
	}
	w.found(&s, admin)
	if s.service {
		w.Service = w.AddService("golioth", Project, s.config)
	}
	return w
}

// ownServer starts a server for this test alone.
func (w *World) ownServer(s *settings) (admin *Person) {
	w.t.Helper()
	folder := w.t.TempDir()
	database := "sqlite:" + filepath.Join(folder, "tandem.db")
	if s.postgres {
		database = postgrestest.URL(w.t)
	}
	var err error
	w.server, err = serve(program(w.t), folder, database, s.flags...)
	must(w.t, err)
	w.t.Cleanup(func() {
		if err := w.server.stop(); err != nil {
			w.t.Error(err)
		}
	})
	if s.fresh {
		w.secret, err = w.server.setUpSecret()
		must(w.t, err)
		return nil
	}
	admin, err = w.server.setUp()
	must(w.t, err)
	return admin
}

// SetUpPath is where the first owner of a Fresh server makes an account.
func (w *World) SetUpPath() string { return "/setup?token=" + w.secret }

// simulate starts the other end.
func (w *World) simulate(s *settings) {
	w.t.Helper()
	o := simulator.Options{Seed: 1, Projects: []simulator.Project{
		{ID: Project, Name: "First project", Keys: []string{Key(Project)}, Devices: s.devices},
		{ID: OtherProject, Name: "Second project", Keys: []string{Key(OtherProject)}, Devices: 6},
		{ID: EmptyProject, Name: "Empty project", Keys: []string{Key(EmptyProject)}},
	}}
	if s.options != nil {
		s.options(&o)
	}
	var err error
	w.Simulator, err = simulator.New(o)
	must(w.t, err)
	remote := httptest.NewServer(w.Simulator)
	w.t.Cleanup(func() {
		w.Simulator.Close()
		remote.CloseClientConnections()
		remote.Close()
	})
	w.RemoteURL = remote.URL
}

// found makes the organization with its owner, who is alone in it.
func (w *World) found(s *settings, admin *Person) {
	w.t.Helper()
	n := strconv.FormatInt(counted.Add(1), 10)
	if s.name == "" {
		s.name = "World " + n
	}
	first, err := admin.signIn()
	must(w.t, err)
	must(w.t, first.call(http.MethodPost, "organizations", map[string]string{"name": s.name, "slug": "world-" + n}, &w.Org))
	w.Owner, err = first.invited(w.server, w.Org.ID, tandem.Owner)
	must(w.t, err)
	must(w.t, first.call(http.MethodDelete, "users/"+admin.ID+"?organization="+w.Org.ID, nil, nil))
	w.API = w.Token(w.Owner)
}

// Member makes the account of another person in the organization.
func (w *World) Member(role tandem.Role) *Person {
	w.t.Helper()
	s, err := w.Owner.signIn()
	must(w.t, err)
	p, err := s.invited(w.server, w.Org.ID, role)
	must(w.t, err)
	return p
}

// Invitation gives the secret of an invitation to the organization.
func (w *World) Invitation(email string, role tandem.Role) string {
	w.t.Helper()
	_, secret, err := w.API.Invite(w.t.Context(), w.Org.ID, email, role)
	must(w.t, err)
	return secret
}

// Token gives an API client that may do what the person may.
func (w *World) Token(p *Person) *client.Client {
	w.t.Helper()
	s, err := p.signIn()
	must(w.t, err)
	var made struct {
		Secret string `json:"token"`
	}
	must(w.t, s.call(http.MethodPost, "tokens?organization="+w.Org.ID, map[string]string{"name": "test"}, &made))
	if made.Secret == "" {
		w.t.Fatal("the reply to making a token has none")
	}
	c, err := client.New(client.Options{URL: w.URL, Token: made.Secret})
	must(w.t, err)
	return c
}

// Path gives the address of a page of the organization, without the server.
func (w *World) Path(path string) string {
	if path == "" {
		return "/o/" + w.Org.Slug
	}
	return fmt.Sprintf("/o/%s/%s", w.Org.Slug, path)
}
