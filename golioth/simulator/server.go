package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem"
)

// Options says what a Server serves. The zero value serves the project "demo" without devices,
// to the key "demo-key", at once.
type Options struct {
	Projects          []Project
	Seed              uint64            // makes fleets, faults and life; the same seed, the same world
	Latency           Latency           // of every call
	RequestsPerMinute int               // more are refused with 429; 0 for no limit. Each project key shares it
	LivePerSecond     float64           // devices that report in a second, over each project
	Clock             tandem.Clock      // nil for the machine's
	Unknowns          Unknowns          // what nobody knows of the real service
	Faults            []Fault           // what goes wrong from the start
	AdminKey          string            // when set, /simulator/ wants it in X-Simulator-Key
	Log               *slog.Logger      // a line for each call, without keys and bodies; nil for none
	PageCache         int64             // bytes of rendered devices kept; 0 for 256 MiB
	Events            Events            // where the device events of every project go; see Events
	ReportType        string            // content type of the devices' own reports; "" for application/json, or application/cbor
	DeliveryTransport http.RoundTripper // carries the deliveries to webhooks; nil for a pool of the server's own
	Founded           time.Time         // when the projects were made; zero for a fixed day in 2024
}

// Project is one project with its fleet.
type Project struct {
	ID             string
	Name           string            // "" for the id
	OrganizationID string            // "" for the id with -org
	Keys           []string          // API keys that open it, and it alone unless another project has the key too
	JWTKeys        map[string]string // key id → secret, for tokens minted by the caller
	Devices        int               // how many to make
	Bare           bool              // make no tags, blueprints, cohorts, packages, pipelines either
}

// Server is a Golioth project server. Make one with New. It is safe for concurrent use.
type Server struct {
	options  Options
	unknowns Unknowns
	clock    tandem.Clock
	requests counter
	limit    limiter
	chaos    chaos
	outbox   *outbox

	mu       sync.Mutex // guards what follows
	random   *rand.Rand // latency
	projects map[string]*project
}

const defaultCache = 256 << 20

var founded = time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC)

// New makes a server and its fleets. Invalid when an option makes no sense.
func New(options Options) (*Server, error) {
	const op = "simulator: start"
	if len(options.Projects) == 0 {
		options.Projects = []Project{{ID: "demo", Keys: []string{"demo-key"}}}
	}
	options.Projects = slices.Clone(options.Projects)
	seen := map[string]bool{}
	for i := range options.Projects {
		p := &options.Projects[i]
		p.Name = cmp.Or(p.Name, p.ID)
		p.OrganizationID = cmp.Or(p.OrganizationID, p.ID+"-org")
		switch {
		case p.ID == "" || strings.ContainsAny(p.ID, "/ ?#%"):
			return nil, tandem.Errorf(tandem.Invalid, op, p.ID, "this is not a project id").WithHint("use a slug such as my-project")
		case seen[p.ID]:
			return nil, tandem.Errorf(tandem.Invalid, op, p.ID, "the project is given twice")
		case p.Devices < 0:
			return nil, tandem.Errorf(tandem.Invalid, op, p.ID, "the number of devices is negative")
		}
		seen[p.ID] = true
	}
	if options.RequestsPerMinute < 0 || options.LivePerSecond < 0 {
		return nil, tandem.Errorf(tandem.Invalid, op, "", "a rate is negative").WithHint("use 0 for no limit")
	}
	unknowns, err := options.Unknowns.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, unknowns: unknowns, clock: options.Clock}
	if s.clock == nil {
		s.clock = time.Now
	}
	s.options.Founded = cmp.Or(options.Founded, founded)
	s.options.PageCache = cmp.Or(options.PageCache, defaultCache)
	s.options.ReportType = cmp.Or(options.ReportType, jsonType)
	if s.options.ReportType != jsonType && s.options.ReportType != cborType {
		return nil, tandem.Errorf(tandem.Invalid, op, options.ReportType, "devices do not report in this content type").
			WithHint("use %s or %s", jsonType, cborType)
	}
	if s.options.Events, err = options.Events.checked(); err != nil {
		return nil, err
	}
	s.outbox = newOutbox(s, options.DeliveryTransport)
	s.Reset()
	return s, nil
}

// Reset puts everything back as New made it: fleets, pipelines, faults, counts, limits. Deliveries on their way are called off.
func (s *Server) Reset() {
	s.outbox.stop()
	s.outbox.forget()
	projects := map[string]*project{}
	for _, p := range s.options.Projects {
		projects[p.ID] = s.newProject(p, s.options.Seed)
	}
	s.mu.Lock()
	s.projects = projects
	s.random = rand.New(rand.NewPCG(s.options.Seed, 1))
	s.mu.Unlock()
	s.requests.reset()
	s.limit.mu.Lock()
	s.limit.limit, s.limit.times, s.limit.next = s.options.RequestsPerMinute, nil, 0
	s.limit.mu.Unlock()
	s.chaos.set(s.options.Faults, s.options.Seed, s.clock())
}

func (s *Server) project(id string) *project {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.projects[id]
}

// call is one request on its way.
type call struct {
	server  *Server
	request *http.Request
	query   url.Values
	body    []byte
	now     time.Time
	route   *route
	vars    map[string]string
	owners  map[string]bool
	project *project
	strikes []Fault
	stale   time.Duration // reads see what was before the last change, up to so long ago
}

// maxBody bounds a request; artifacts are the largest.
const maxBody = 32 << 20

// errReset asks for the connection to be reset.
var errReset = errors.New("reset the connection")

// ServeHTTP answers a call of the Management API, or one below /simulator/ (see Admin).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	escaped := r.URL.EscapedPath()
	if strings.HasPrefix(escaped, "/simulator") {
		s.serveAdmin(w, r)
		return
	}
	c := &call{server: s, request: r, now: s.clock()}
	c.route, c.vars = find(escaped)
	pattern := "(unknown)"
	if c.route != nil {
		pattern = c.route.pattern
	}
	s.requests.begin(r.Method, pattern, c.now)
	began := time.Now()
	answer, err := c.answer(w)
	if errors.Is(err, errReset) {
		answer = reply{}
		s.requests.end(0, 0)
	} else {
		s.requests.end(answer.status, len(answer.body))
	}
	if s.options.Log != nil {
		s.options.Log.Info("call", "method", r.Method, "path", r.URL.Path, "status", answer.status,
			"bytes", len(answer.body), "took", time.Since(began).Round(time.Microsecond))
	}
	if errors.Is(err, errReset) {
		reset(w)
	}
}

// answer makes the reply and writes it, with everything that goes wrong on the way.
func (c *call) answer(w http.ResponseWriter) (reply, error) {
	s := c.server
	body, err := io.ReadAll(http.MaxBytesReader(w, c.request.Body, maxBody))
	if err != nil {
		return c.write(w, invalid("the request body could not be read").reply())
	}
	c.body = body
	if err := c.wait(s.drawLatency()); err != nil {
		return reply{}, errReset
	}
	escaped := c.request.URL.EscapedPath()
	c.strikes = s.chaos.strike(c.request.Method, below(escaped), escaped, s.clock())
	for _, f := range c.strikes {
		s.requests.struck(f.String())
	}
	c.now = s.clock()
	early, err := c.before()
	switch {
	case err != nil:
		return reply{}, err
	case early != nil:
		return c.write(w, *early)
	}
	if wait := s.limit.allow(c.now); wait > 0 {
		s.requests.limited()
		return c.write(w, tooMany(wait, s.unknowns.RetryAfter, c.now))
	}
	answer, err := c.dispatch()
	if err != nil {
		var f *failure
		if !errors.As(err, &f) {
			f = fail(http.StatusInternalServerError, codeInternal, "simulator: %v", err)
		}
		answer = f.reply()
	}
	return c.write(w, answer)
}

// tooMany is a 429 with the wait in the form asked for.
func tooMany(wait time.Duration, form string, now time.Time) reply {
	r := refusal(http.StatusTooManyRequests).reply()
	seconds := int64((wait + time.Second - 1) / time.Second)
	switch form {
	case "seconds":
		r.header = map[string]string{"Retry-After": strconv.FormatInt(seconds, 10)}
	case "date":
		until := now.Add(wait + time.Second - 1).UTC() // an HTTP date has no fractions
		r.header = map[string]string{"Retry-After": until.Format(http.TimeFormat)}
	}
	return r
}

func (s *Server) drawLatency() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.Latency.draw(s.random)
}

// wait waits, or fails when the caller is gone.
func (c *call) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.request.Context().Done():
		return context.Cause(c.request.Context())
	}
}

// reset ends the connection without an answer: a TCP reset where there is a connection to reset.
func reset(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	connection, _, err := hijacker.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := connection.(interface{ SetLinger(int) error }); ok {
		err = tcp.SetLinger(0)
	}
	if err = errors.Join(err, connection.Close()); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// String names the server for logs.
func (s *Server) String() string {
	return fmt.Sprintf("simulator of %d projects", len(s.options.Projects))
}
