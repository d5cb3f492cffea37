package shell

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"

	"tandem"
	"tandem/registry"
)

// maxForm bounds a form in bytes, where a page says nothing else. Metadata and notes of a device go into it.
const maxForm = 1 << 20

// Options say what the pages work with.
type Options struct {
	Registry *registry.Registry
	Log      *slog.Logger
	Clock    tandem.Clock
	// Actor gives who sent a request: Unauthorized where nobody is signed in.
	Actor func(*http.Request) (registry.Actor, error)
	// Place gives where a live stream is to begin so that it misses nothing from now on; nil or "" for when it is opened.
	Place func(context.Context) string
	// Changed is told whose rights or name a page changed, so that what is remembered of them ends; nil for nobody.
	Changed func(userID string)
	// Doors gives where devices are served besides over HTTP, as URLs such as mqtt://127.0.0.1:1883, or "the broker at" a
	// URL; nil for nowhere.
	Doors     func() []string
	PublicURL string // how people and services reach the server, "" where that is not known
	Version   string
	Tour      bool             // the pages have the demo's tour
	Retention tandem.Retention // how long the server keeps things
}

// Site is what the pages are registered with.
type Site struct {
	Options
	mux     *http.ServeMux
	guarded *http.CrossOriginProtection
}

// New makes a site without pages.
func New(o Options) (*Site, error) {
	s := &Site{Options: o, mux: http.NewServeMux(), guarded: http.NewCrossOriginProtection()}
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		if err == nil {
			err = s.guarded.AddTrustedOrigin(u.Scheme + "://" + u.Host)
		}
		if err != nil {
			return nil, tandem.Errorf(tandem.Invalid, "start the pages", "", "the public URL %q is none", o.PublicURL)
		}
	}
	return s, nil
}

// ServeHTTP replies to a request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	if s.guarded.Check(r) != nil {
		http.Error(w, "This request comes from a page of another site. Open Tandem's own pages.", http.StatusForbidden)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// policy lets pages load what this server has, and nothing else. Styles are files too: no page has a style attribute.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Public registers what anybody may see.
func (s *Site) Public(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Handle registers a page or an action of an organization: "GET /devices" is served at /o/{org}/devices.
// Whoever is not signed in is sent to sign in; another's organization is not found.
func (s *Site) Handle(pattern string, do func(*Call) error) { s.HandleLarge(pattern, maxForm, do) }

// HandleLarge is Handle with another bound on the body, in bytes.
func (s *Site) HandleLarge(pattern string, most int64, do func(*Call) error) {
	method, path := cut(pattern)
	s.mux.HandleFunc(method+" /o/{org}"+path, func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, most, do)
	})
}

// HandlePerson registers a page of the signed-in person, of no organization: its pattern is the whole address.
// Its Call has the first of the person's organizations, so that there is a frame; Call.Org is zero where there is none.
func (s *Site) HandlePerson(pattern string, do func(*Call) error) {
	method, path := cut(pattern)
	s.mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, maxForm, do) })
}

func (s *Site) serve(w http.ResponseWriter, r *http.Request, most int64, do func(*Call) error) {
	c := &Call{W: w, R: r, Site: s}
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if cause == http.ErrAbortHandler { //nolint:errorlint // what was panicked with is compared, as net/http does
			panic(cause)
		}
		s.Log.ErrorContext(r.Context(), "a page broke off", "path", r.URL.Path, "panic", cause, "stack", stack())
		c.fail(tandem.Errorf(tandem.Internal, "show page", "", "something went wrong that should not"))
	}()
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if !c.signedIn() {
		return
	}
	if s.Place != nil && !c.Partial() {
		c.place = s.Place(r.Context()) // before anything is read
	}
	if err := c.readForm(); err != nil {
		c.fail(err)
		return
	}
	if err := do(c); err != nil {
		c.fail(err)
	}
}
