package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tandem"
	"tandem/registry"
)

// maxBody bounds a request's body where nothing else is said.
const maxBody = 1 << 20

// Store is what the API needs of the store beside the use cases.
type Store interface {
	tandem.EventStore
	tandem.AnswerStore
	Organization(ctx context.Context, idOrSlug string) (tandem.Organization, error)
	Session(ctx context.Context, id string, now time.Time) (tandem.Session, error)
	PutSession(ctx context.Context, s tandem.Session) error
	DeleteSession(ctx context.Context, id string) error
	DeleteSessions(ctx context.Context, user string) error
}

// Options say what the API is made of. Registry and Store are needed; the others have defaults.
type Options struct {
	Registry *registry.Registry
	Store    Store
	Clock    tandem.Clock // default: the system's
	NewID    tandem.IDs   // default: the registry's; mints request ids where the server in front of this one does not
	Log      *slog.Logger // default: the process's
	// PublicURL is how people reach the server, such as https://tandem.example.com. With https, cookies are for https alone.
	PublicURL string
	HTTPS     bool  // browsers reach it over https, whether PublicURL is known or not
	OIDC      *OIDC // nil for none
	Version   string
	// Note is told who sent a request, for the log; nil for nobody.
	Note func(ctx context.Context, actor string)
	// IdleTimeout and Lifetime end sessions: after a time without a request (default 12 hours), and in any case (default 7 days).
	IdleTimeout time.Duration
	Lifetime    time.Duration
	// Heartbeat is how often a live stream shows that it is there; at every second one it is looked at whether its reader
	// still may read it. Default 15 seconds.
	Heartbeat time.Duration
}

// API is the handler of everything under /api/. It holds streams and caches; Close ends them.
type API struct {
	options  Options
	huma     huma.API
	mux      *http.ServeMux
	handler  http.Handler
	hub      *hub
	sessions *scs.SessionManager
	kept     *sessionStore
	callers  *cache[registry.Actor]
	slugs    *cache[string]
	provider *provider
	public   *url.URL // nil when not known
}

// New makes the handler of /api/.
func New(options Options) (*API, error) {
	a := &API{options: withDefaults(options), mux: http.NewServeMux()}
	if err := a.readPublicURL(); err != nil {
		return nil, err
	}
	a.hub = newHub(options.Store, a.options.Log)
	a.callers = newCache[registry.Actor](a.options.Clock, callerLife, callersKept)
	a.slugs = newCache[string](a.options.Clock, time.Minute, callersKept)
	a.sessions, a.kept = newSessions(&a.options, a.public)
	if options.OIDC != nil {
		a.provider = newProvider(*options.OIDC, a.public)
	}
	a.huma = humago.New(a.mux, a.config())
	a.register()
	if err := a.document(); err != nil {
		return nil, err
	}
	if err := reader(a.mux); err != nil {
		return nil, err
	}
	a.mux.HandleFunc("/api/", a.noRoute)
	a.handler = a.named(a.guarded(a.withSession(a.mux)))
	return a, nil
}

func withDefaults(o Options) Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.NewID == nil {
		o.NewID = o.Registry.NewID
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 12 * time.Hour
	}
	if o.Lifetime == 0 {
		o.Lifetime = 7 * 24 * time.Hour
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 15 * time.Second
	}
	return o
}

func (a *API) readPublicURL() error {
	if a.options.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(a.options.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return tandem.Errorf(tandem.Invalid, "start the API", "", "the public URL %q does not begin with https:// and a host", a.options.PublicURL)
	}
	a.public = u
	return nil
}

// RouteName gives the pattern that a request matches, for logs and metrics.
func (a *API) RouteName(r *http.Request) string {
	_, pattern := a.mux.Handler(r)
	return pattern
}

// Close ends all streams and what feeds them. Requests that are under way go on.
func (a *API) Close() { a.hub.close() }

// ServeHTTP replies to a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// register adds all operations, in the order in which the document shows them.
func (a *API) register() {
	a.session()
	a.secondFactor()
	if a.provider != nil {
		a.oidc()
	}
	a.organizations()
	a.services()
	a.serviceActions()
	a.serviceWebhook()
	a.devices()
	a.deviceViews()
	a.deviceCredentials()
	a.deviceCommands()
	a.deviceSeries()
	a.deviceBulk()
	a.deviceFiles()
	a.remoteDevices()
	a.runs()
	a.runActions()
	a.plans()
	a.conflicts()
	a.deliveries()
	a.overview()
	a.alerts()
	a.channels()
	a.tokens()
	a.users()
	a.invitations()
	a.audit()
	a.live()
	a.original("/api/integrations/golioth")
	a.original("/api/golioth")
}

// named gives each request an id, and turns a panic into a failure.
func (a *API) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := w.Header().Get("X-Request-Id") // of the server in front
		if id == "" {
			id = a.options.NewID()
			w.Header().Set("X-Request-Id", id)
		}
		ctx := context.WithValue(r.Context(), requestKey{}, request{id: id, address: addressOf(r), token: r.Header.Get("Authorization") != ""})
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		defer a.recovered(ctx, w)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (a *API) recovered(ctx context.Context, w http.ResponseWriter) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler { //nolint:errorlint // what was panicked with is compared, as net/http does
		panic(cause)
	}
	a.logger(ctx).ErrorContext(ctx, "a request broke off", "panic", cause, "stack", string(debug.Stack()))
	newProblem(ctx, tandem.Internal, "something went wrong that should not", kinds[tandem.Internal].meaning).write(w)
}

// logger names the request in what it writes.
func (a *API) logger(ctx context.Context) *slog.Logger {
	return a.options.Log.With("request_id", requestID(ctx))
}

// noRoute replies where no operation is: which methods there are, or that there is nothing.
func (a *API) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(probe); pattern != "/api/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		newProblem(r.Context(), noRoute, "there is nothing at this address", "see /api/docs for the addresses").write(w)
		return
	}
	p := newProblem(r.Context(), notAllowed, "this address does not take "+r.Method, "use "+strings.Join(allowed, " or "))
	p.header.Set("Allow", strings.Join(allowed, ", "))
	p.write(w)
}

// handle registers an operation. What its input embeds decides what happens before it: OrganizationParam finds the
// organization, Once looks at the Idempotency-Key, Selection at the fields.
func handle[I, O any](a *API, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	input := reflect.TypeFor[I]()
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody
	}
	if op.BodyReadTimeout == 0 {
		op.BodyReadTimeout = 20 * time.Second
	}
	if !slices.Contains(op.Tags, publicTag) {
		op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
		op.Middlewares = append(op.Middlewares, a.signedIn)
	}
	op.Tags = slices.DeleteFunc(op.Tags, func(tag string) bool { return tag == publicTag })
	if has(input, reflect.TypeFor[OrganizationParam]()) {
		op.Middlewares = append(op.Middlewares, a.inOrganization)
	}
	if has(input, reflect.TypeFor[Once]()) {
		op.Metadata[onceKey] = true
		op.Middlewares = append(op.Middlewares, a.once)
	}
	if has(input, reflect.TypeFor[Selection]()) {
		op.Metadata[selectKey] = &selecting{}
		op.Middlewares = append(op.Middlewares, selectFields(a.huma))
	}
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = a.failure()
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, a.failed(ctx, err)
		}
		return out, nil
	})
	if from, ok := op.Metadata[selectKey].(*selecting); ok {
		a.selectable(&op, from)
	}
}

// publicTag marks an operation that anybody may call.
const publicTag = "public"

// has reports whether a struct embeds another.
func has(t, embedded reflect.Type) bool {
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && (f.Type == embedded || f.Type.Kind() == reflect.Struct && has(f.Type, embedded)) {
			return true
		}
	}
	return false
}

// failed makes a problem of a use case's error, and logs what is the server's own fault.
func (a *API) failed(ctx context.Context, err error) *Problem {
	p := problemOf(ctx, err)
	if p.Status >= http.StatusInternalServerError {
		a.logger(ctx).ErrorContext(ctx, "a request failed", "code", p.Code, "error", err)
	}
	return p
}

// reply writes a problem from a middleware.
func reply(api huma.API, ctx huma.Context, p *Problem) {
	for name, values := range p.header {
		for _, value := range values {
			ctx.SetHeader(name, value)
		}
	}
	ctx.SetHeader("Content-Type", ProblemType)
	ctx.SetStatus(p.Status)
	_ = api.Marshal(ctx.BodyWriter(), "application/json", p) // whoever asked may have left
}
