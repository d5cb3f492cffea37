package server

import (
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"tandem"
)

// Kind says what a route is, which decides its limits and headers.
type Kind int

// The kinds.
const (
	Program Kind = iota // an API: its replies are kept by nobody
	Page                // for browsers
	Asset               // files that browsers may keep
	Webhook             // deliveries: rates of their own, by service
	Ingest              // devices: rates of their own, by address; each device's is its handler's
)

// Route is a handler with where it is.
type Route struct {
	Pattern string // of http.ServeMux
	Handler http.Handler
	Kind    Kind
	// MaxBody is in bytes; 0 is the default of Limits, except for deliveries: their handler bounds and counts them itself.
	MaxBody int64
	// BodyTime is for reading the body, where it may take longer than Limits say; 0 for those.
	BodyTime time.Duration
	// Name gives the pattern inside the handler that a request matches, for logs and metrics; "" or nil for Pattern.
	// There must be few of them.
	Name func(r *http.Request) string
}

// Limits bound what requests may cost. Zero members have the defaults; a negative rate is no limit.
type Limits struct {
	HeaderTime time.Duration // for a request's header; 10 s
	BodyTime   time.Duration // for a request's header and body; 60 s
	ReplyTime  time.Duration // for every 64 KiB of a reply, and for all of it with a second more for every 16 KiB; 60 s
	IdleTime   time.Duration // between requests of a connection; 120 s
	MaxHeader  int           // bytes; 32 KiB
	MaxBody    int64         // bytes; 1 MiB

	AddressRate  float64 // requests a second from one address (an IPv6 /64); 100
	AddressBurst int     // at once; 400
	TokenRate    float64 // requests a second with one token; 100
	TokenBurst   int     // at once; 400
	WebhookRate  float64 // deliveries a second to one service, and from one address; 20,000
	WebhookBurst int     // at once; 40,000
	IngestRate   float64 // requests of devices a second from one address, behind which there may be many; 20,000
	IngestBurst  int     // at once; 40,000
}

// withDefaults fills in the defaults.
func (l Limits) withDefaults() Limits {
	orElse(&l.HeaderTime, 10*time.Second)
	orElse(&l.BodyTime, 60*time.Second)
	orElse(&l.ReplyTime, 60*time.Second)
	orElse(&l.IdleTime, 120*time.Second)
	orElse(&l.MaxHeader, 32<<10)
	orElse(&l.MaxBody, 1<<20)
	orElse(&l.AddressRate, 100)
	orElse(&l.AddressBurst, 400)
	orElse(&l.TokenRate, 100)
	orElse(&l.TokenBurst, 400)
	orElse(&l.WebhookRate, 20_000)
	orElse(&l.WebhookBurst, 40_000)
	orElse(&l.IngestRate, 20_000)
	orElse(&l.IngestBurst, 40_000)
	return l
}

// orElse sets what is zero.
func orElse[T comparable](value *T, usual T) {
	var zero T
	if *value == zero {
		*value = usual
	}
}

// handler puts everything together.
func (s *Server) handler() (http.Handler, error) {
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.EnableZstd(false), gzhttp.ContentTypes([]string{
		"application/json", "application/problem+json", "text/html", "text/css", "text/csv", "text/plain", "text/javascript",
		"application/javascript", "image/svg+xml", "application/x-ndjson",
	}))
	if err != nil {
		return nil, tandem.Errorf(tandem.Internal, "server: new", "", "compression cannot be set up: %w", err)
	}
	mux := http.NewServeMux()
	root := false
	for _, route := range s.o.Routes {
		root = root || route.Pattern == "/" || route.Pattern == "GET /"
		mux.Handle(route.Pattern, s.routed(route, compress))
	}
	for _, at := range []string{"/healthz", "/api/health", "/api/health/live"} {
		mux.Handle("GET "+at, s.quiet(http.HandlerFunc(s.health.live)))
	}
	for _, at := range []string{"/readyz", "/api/health/ready"} {
		mux.Handle("GET "+at, s.quiet(http.HandlerFunc(s.health.ready)))
	}
	if s.o.Metrics != nil && s.o.MetricsListen == "" {
		mux.Handle("GET /metrics", s.quiet(s.metricsHandler()))
	}
	if !root {
		mux.Handle("/", s.routed(Route{Pattern: "/", Handler: http.HandlerFunc(nothingHere)}, compress))
	}
	h := s.protected(mux)
	if s.o.Traces != nil {
		h = s.o.Traces.wrap(h)
	}
	return s.recorded(h), nil
}

// routed gives a route its limits.
func (s *Server) routed(route Route, compress func(http.Handler) http.HandlerFunc) http.Handler {
	limit := route.MaxBody
	many := route.Kind == Webhook || route.Kind == Ingest
	if many {
		orElse(&limit, math.MaxInt64)
	}
	orElse(&limit, s.o.Limits.MaxBody)
	packed := compress(route.Handler)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := recordOf(r.Context())
		rec.route, rec.many = route.Pattern, many
		if route.Name != nil {
			if name := route.Name(r); name != "" {
				rec.route = name
			}
		}
		if wait, ok := s.rates.allow(r, route.Kind, s.clock()); !ok {
			tooMany(w, r, wait)
			return
		}
		if route.Kind == Program {
			w.Header().Set("Cache-Control", "no-store")
		}
		if r.ContentLength > limit {
			w.Header().Set("Connection", "close")
			writeProblem(w, r, http.StatusRequestEntityTooLarge, "too_large", "The request is too large", "the body is larger than this address takes")
			return
		}
		if route.BodyTime > 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(route.BodyTime)) // not every ResponseWriter has one
		}
		boundBody(w, r, limit)
		if many || route.Kind == Program && strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			route.Handler.ServeHTTP(w, r) // a stream is not held back by compression
			return
		}
		packed.ServeHTTP(w, r)
	})
}

// quiet is for what machines ask every few seconds: no rates, no log unless it fails.
func (s *Server) quiet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := recordOf(r.Context())
		rec.quiet, rec.route = true, r.Pattern
		w.Header().Set("Cache-Control", "no-store")
		boundBody(w, r, 0)
		next.ServeHTTP(w, r)
	})
}

// nothingHere replies where no route is.
func nothingHere(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, r, http.StatusNotFound, "no_route", "There is no such address", "there is nothing at this address")
}
