package entry

import (
	"log/slog"
	"net"
	"net/http"

	"github.com/a-h/templ"

	"tandem/registry"
)

// maxForm bounds what a form may send.
const maxForm = 16 << 10

// Options say what the pages work with.
type Options struct {
	Registry *registry.Registry
	Log      *slog.Logger
	Provider bool // people may sign in through an identity provider
	// Actor gives who is signed in already, Unauthorized for nobody: an invitation greets them. It may be nil.
	Actor func(*http.Request) (registry.Actor, error)
}

// Patterns are the addresses of the handler, as http.ServeMux takes them.
var Patterns = []string{"GET /setup", "POST /setup", "GET /invitation", "POST /invitation", "GET /reset-password", "POST /reset-password",
	"GET /forgot-password", "POST /forgot-password", "GET /sign-in"}

// pages are all of them.
type pages struct{ Options }

// New gives the handler of the pages.
func New(o Options) http.Handler {
	p := &pages{o}
	mux := http.NewServeMux()
	for path, l := range map[string]link{"/setup": setUp(o.Registry), "/invitation": p.invitation(), "/reset-password": reset(o.Registry)} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { p.show(w, r, &l) })
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { p.submit(w, r, &l) })
	}
	mux.HandleFunc("GET /forgot-password", p.askForReset)
	mux.HandleFunc("POST /forgot-password", p.sendReset)
	mux.HandleFunc("GET /sign-in", p.signIn)
	return mux
}

// policy lets a page load the server's own files, send its forms there and ask the API, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// render writes a page. A link must not leave it in a Referer, nor stay in a cache.
func (p *pages) render(w http.ResponseWriter, r *http.Request, status int, body templ.Component) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", policy)
	w.WriteHeader(status)
	if err := body.Render(r.Context(), w); err != nil {
		p.Log.DebugContext(r.Context(), "a page was not sent whole", "path", r.URL.Path, "error", err)
	}
}

// readForm reads what was submitted; it has replied where it is false.
func (p *pages) readForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.render(w, r, http.StatusBadRequest, linkPage(view{Title: "This form cannot be read", Problem: "Go back and send it again."}))
		return false
	}
	return true
}

// addressOf gives where a request comes from, without the port.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
