package entry

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"

	"tandem"
	"tandem/registry"
)

//go:embed page.html signin.html page.css signin.js
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html", "signin.html"))

// maxForm bounds what a form may send.
const maxForm = 16 << 10

// Options say what the pages work with.
type Options struct {
	Registry *registry.Registry
	Log      *slog.Logger
	Provider bool // people may sign in through an identity provider
}

// view is what the page shows.
type view struct {
	Title, Intro string
	Token        string
	Email        string // asked for when AskEmail, else shown when not ""
	AskEmail     bool
	AskName      bool
	Organization string
	AskOrg       bool
	Button       string
	Problem      string
	Done         string // what was achieved; no form then
	Name         string
	Links        bool // to signing in and the API's description
}

// link is one kind of page: look says what the secret is good for, act does it.
type link struct {
	look func(ctx context.Context, secret string) (view, error)
	act  func(ctx context.Context, secret string, person registry.NewPerson, organization string) (done string, err error)
}

// Patterns are the addresses of the handler, as http.ServeMux takes them.
var Patterns = []string{"GET /setup", "POST /setup", "GET /invitation", "POST /invitation", "GET /reset-password", "POST /reset-password",
	"GET /sign-in", "GET /page.css", "GET /signin.js"}

// New gives the handler of the pages.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	for path, l := range map[string]link{"/setup": setUp(o.Registry), "/invitation": invitation(o.Registry), "/reset-password": reset(o.Registry)} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { show(w, r, o.Log, &l) })
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { submit(w, r, o.Log, &l) })
	}
	mux.HandleFunc("GET /sign-in", signIn(o.Log, o.Provider))
	mux.HandleFunc("GET /page.css", asset("page.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /signin.js", asset("signin.js", "text/javascript; charset=utf-8"))
	return mux
}

func setUp(r *registry.Registry) link {
	return link{
		look: func(ctx context.Context, secret string) (view, error) {
			orgs, err := r.Organizations(ctx, registry.System("set-up"))
			if err != nil {
				return view{}, err
			}
			v := view{Title: "Set Tandem up", Intro: "Make the account of the first owner.", AskEmail: true, AskName: true, AskOrg: len(orgs) == 0, Button: "Create the account"}
			return v, r.LookAtLink(ctx, tandem.SetUpLink, secret)
		},
		act: func(ctx context.Context, secret string, person registry.NewPerson, organization string) (string, error) {
			u, err := r.SetUp(ctx, secret, person, organization)
			return "The account " + u.Email + " is there. Sign in with it.", err
		},
	}
}

func invitation(r *registry.Registry) link {
	return link{
		look: func(ctx context.Context, secret string) (view, error) {
			at, err := r.LookAtInvitation(ctx, secret)
			v := view{Title: "Join " + at.Organization.Name, Email: at.Invitation.Email, AskName: true, Button: "Create the account and join",
				Intro: "You are invited as " + string(at.Invitation.Role) + "."}
			if err == nil && at.HasAccount {
				v.Button, v.Done = "", "You have an account already. Sign in and join with it: POST /api/v1/session/invitation/join with this link's token."
			}
			return v, err
		},
		act: func(ctx context.Context, secret string, person registry.NewPerson, _ string) (string, error) {
			u, err := r.AcceptInvitation(ctx, secret, person)
			return "Welcome. Sign in as " + u.Email + ".", err
		},
	}
}

func reset(r *registry.Registry) link {
	return link{
		look: func(ctx context.Context, secret string) (view, error) {
			return view{Title: "Choose a new password", Button: "Set the password"}, r.LookAtLink(ctx, tandem.ResetLink, secret)
		},
		act: func(ctx context.Context, secret string, person registry.NewPerson, _ string) (string, error) {
			u, err := r.ResetPassword(ctx, secret, person.Password)
			return "The password of " + u.Email + " is changed, and every session has ended. Sign in with the new one.", err
		},
	}
}

// show gives the form that a link leads to.
func show(w http.ResponseWriter, r *http.Request, log *slog.Logger, l *link) {
	secret := r.URL.Query().Get("token")
	v, err := l.look(r.Context(), secret)
	if err != nil {
		refuse(w, r, log, v, err)
		return
	}
	v.Token = secret
	render(w, r, log, http.StatusOK, v)
}

// submit does what the form asks for.
func submit(w http.ResponseWriter, r *http.Request, log *slog.Logger, l *link) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		render(w, r, log, http.StatusBadRequest, view{Title: "This form cannot be read", Problem: "Go back and send it again."})
		return
	}
	form := r.PostForm
	secret := form.Get("token")
	v, err := l.look(r.Context(), secret)
	if err != nil {
		refuse(w, r, log, v, err)
		return
	}
	person := registry.NewPerson{Email: form.Get("email"), Name: form.Get("name"), Password: form.Get("password")}
	if person.Password != form.Get("again") {
		err = tandem.Errorf(tandem.Invalid, "set password", "", "the two passwords differ")
	} else if v.Done, err = l.act(r.Context(), secret, person, form.Get("organization")); err == nil {
		render(w, r, log, http.StatusOK, view{Title: v.Title, Done: v.Done})
		return
	}
	v.Token, v.Name, v.Organization, v.Done = secret, person.Name, form.Get("organization"), ""
	if v.AskEmail {
		v.Email = person.Email
	}
	refuse(w, r, log, v, err)
}

// refuse shows what went wrong, and the form again where there is one.
func refuse(w http.ResponseWriter, r *http.Request, log *slog.Logger, v view, err error) {
	status := http.StatusInternalServerError
	switch tandem.CodeOf(err) {
	case tandem.Invalid:
		status = http.StatusUnprocessableEntity
	case tandem.NotFound:
		status = http.StatusNotFound
	case tandem.Exists, tandem.Stale:
		status = http.StatusConflict
	case tandem.RateLimited:
		status = http.StatusTooManyRequests
	case tandem.Unavailable, tandem.Busy, tandem.Timeout:
		status = http.StatusServiceUnavailable
	}
	var e *tandem.Error
	v.Problem = "Something failed here. Try again."
	if errors.As(err, &e) && e.Code != tandem.Internal {
		v.Problem = e.Message
		if e.Hint != "" {
			v.Problem += "; " + e.Hint
		}
	} else {
		log.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "error", err)
	}
	if v.Title == "" || v.Token == "" {
		v = view{Title: "This link does not work", Problem: v.Problem}
	}
	render(w, r, log, status, v)
}

// render writes the page. Links must not leave it in a Referer.
func render(w http.ResponseWriter, r *http.Request, log *slog.Logger, status int, v view) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	if err := page.ExecuteTemplate(w, "page.html", v); err != nil {
		log.DebugContext(r.Context(), "a page was not sent whole", "path", r.URL.Path, "error", err)
	}
}
