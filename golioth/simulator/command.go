package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"tandem"
)

// Command is `tandem simulator`. The keys are made up by the caller, so that they may be arguments.
type Command struct {
	Listen            string   `help:"Address to serve on." default:"127.0.0.1:7070" env:"TANDEM_SIMULATOR_LISTEN"`
	Project           []string `help:"Id of a project to serve; may be repeated." default:"demo" env:"TANDEM_SIMULATOR_PROJECT"`
	APIKey            []string `name:"api-key" help:"Key that opens the projects; may be repeated. PROJECT=KEY opens that one only." default:"demo-key" env:"TANDEM_SIMULATOR_API_KEY"`
	Devices           int      `help:"Devices in each project." default:"1000" env:"TANDEM_SIMULATOR_DEVICES"`
	Bare              bool     `help:"No tags, blueprints, cohorts, packages and pipelines to begin with."`
	Seed              uint64   `help:"The same seed makes the same fleet, life and faults." default:"1" env:"TANDEM_SIMULATOR_SEED"`
	Latency           string   `help:"Wait before each answer: 50ms, 80ms±20ms or p50=40ms,p99=400ms." default:"0s" env:"TANDEM_SIMULATOR_LATENCY"`
	RequestsPerMinute int      `help:"Refuse more with 429; 0 for no limit." default:"0" env:"TANDEM_SIMULATOR_REQUESTS_PER_MINUTE"`
	LiveRate          float64  `help:"Devices of each project that report in a second." default:"0" env:"TANDEM_SIMULATOR_LIVE_RATE"`
	ReportType        string   `help:"Content type of these reports: application/json or application/cbor." default:"application/json" env:"TANDEM_SIMULATOR_REPORT_TYPE"`
	EventsURL         string   `name:"events-url" help:"Send device events of each project here." env:"TANDEM_SIMULATOR_EVENTS_URL" placeholder:"URL"`
	EventsSecret      string   `name:"events-secret" help:"Secret to sign the events with." env:"TANDEM_SIMULATOR_EVENTS_SECRET" placeholder:"SECRET"`
	EventsScheme      string   `name:"events-scheme" help:"How they are signed: signature, prefixed, standard or header." default:"signature" env:"TANDEM_SIMULATOR_EVENTS_SCHEME"`
	Fault             []string `help:"What goes wrong, such as '503:GET /devices:every=7,count=3'; may be repeated. 'tandem simulator --explain' lists the kinds." sep:"none" placeholder:"KIND:METHOD PATH:KEY=VALUE"`
	Unknown           []string `help:"A switch for what nobody knows of the real service, such as state-write=replace; may be repeated." placeholder:"NAME=VALUE"`
	AdminKey          string   `help:"Key that /simulator/ then wants in X-Simulator-Key." env:"TANDEM_SIMULATOR_ADMIN_KEY"`
	Log               bool     `help:"Print a line for each call."`
	Quiet             bool     `help:"Print nothing but errors."`
	Explain           bool     `help:"Print the kinds of faults and the switches, and exit."`
}

// shutdownTime is how long calls in flight may take after an interrupt.
const shutdownTime = 5 * time.Second

// Run serves until ctx ends, then lets the calls in flight finish. It prints what it serves and how
// to connect to out. Invalid for wrong flags, Unavailable when the address cannot be used.
func (c *Command) Run(ctx context.Context, out io.Writer) error {
	if c.Explain {
		return explain(out)
	}
	options, err := c.options(out)
	if err != nil {
		return err
	}
	server, err := New(options)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return tandem.Errorf(tandem.Unavailable, "simulator: serve", c.Listen, "cannot listen here: %w", err).
			WithHint("give another address with --listen, or stop what uses it")
	}
	if !c.Quiet {
		if err := c.greet(out, options, listener.Addr().String()); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	return Serve(ctx, server, listener)
}

// Serve serves a server on a listener until ctx ends, then lets the calls in flight finish. Meanwhile the devices
// live, also when nobody asks for them; deliveries that are on their way at the end are called off.
func Serve(ctx context.Context, server *Server, listener net.Listener) error {
	// Calls that hang or drip must not hold up the end.
	calls, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	h := &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return calls }}
	defer server.Close()
	lived := make(chan struct{})
	go func() { server.Live(calls); close(lived) }()
	defer func() { release(); <-lived }()
	done := make(chan error, 1)
	go func() { done <- h.Serve(listener) }()
	select {
	case err := <-done:
		return tandem.Errorf(tandem.Unavailable, "simulator: serve", listener.Addr().String(), "serving ended: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(calls, shutdownTime)
	defer cancel()
	err := h.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		release()
		err = h.Close()
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return tandem.Errorf(tandem.Internal, "simulator: stop", listener.Addr().String(), "stopping failed: %w", err)
	}
	return nil
}

func (c *Command) options(out io.Writer) (Options, error) {
	options := Options{Seed: c.Seed, RequestsPerMinute: c.RequestsPerMinute, LivePerSecond: c.LiveRate, AdminKey: c.AdminKey,
		ReportType: c.ReportType, Events: Events{URL: c.EventsURL, Secret: c.EventsSecret, Scheme: c.EventsScheme}}
	var err error
	if options.Latency, err = ParseLatency(c.Latency); err != nil {
		return options, err
	}
	for _, text := range c.Fault {
		f, err := ParseFault(text)
		if err != nil {
			return options, err
		}
		options.Faults = append(options.Faults, f)
	}
	for _, text := range c.Unknown {
		if err := options.Unknowns.Set(text); err != nil {
			return options, err
		}
	}
	for _, id := range c.Project {
		p := Project{ID: id, Devices: c.Devices, Bare: c.Bare}
		for _, key := range c.APIKey {
			if only, rest, ok := strings.Cut(key, "="); ok {
				if only != id {
					continue
				}
				key = rest
			}
			p.Keys = append(p.Keys, key)
		}
		if len(p.Keys) == 0 {
			return options, tandem.Errorf(tandem.Invalid, "simulator: start", id, "no key opens this project").WithHint("add --api-key %s=KEY", id)
		}
		options.Projects = append(options.Projects, p)
	}
	if c.Log {
		options.Log = slog.New(slog.NewTextHandler(out, nil))
	}
	return options, nil
}

// greet says what is served and how to connect. Keys are not repeated.
func (c *Command) greet(out io.Writer, options Options, address string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Golioth simulator on http://%s (seed %d)\n", address, c.Seed)
	for _, p := range options.Projects {
		fmt.Fprintf(&b, "  project %s: %d devices, %d keys\n", p.ID, p.Devices, len(p.Keys))
	}
	if options.Latency != (Latency{}) {
		fmt.Fprintf(&b, "  latency %s\n", options.Latency)
	}
	if options.RequestsPerMinute > 0 {
		fmt.Fprintf(&b, "  at most %d requests a minute\n", options.RequestsPerMinute)
	}
	for _, f := range options.Faults {
		fmt.Fprintf(&b, "  fault %s\n", f)
	}
	if options.Events.URL != "" {
		fmt.Fprintf(&b, "  device events go to %s\n", options.Events.URL)
	}
	first := options.Projects[0].ID
	fmt.Fprintf(&b, `Try it:     curl -H "x-api-key: $KEY" http://%[1]s/v1/projects/%[2]s/devices?perPage=1
Connect it: tandem service add golioth --name %[2]s --project %[2]s --base-url http://%[1]s --api-key-file FILE
Break it:   curl -X POST -d '{"faults":["503:GET /devices:count=3"]}' http://%[1]s/simulator/faults
Count it:   curl http://%[1]s/simulator/requests
Ctrl-C ends it.
`, address, first)
	_, err := io.WriteString(out, b.String())
	return err
}

// explain lists what can go wrong and what can be switched.
func explain(out io.Writer) error {
	var b strings.Builder
	b.WriteString("Faults: KIND[:[METHOD] PATH][:KEY=VALUE,…]\n\n")
	for _, line := range [][2]string{
		{"400 … 599", "refuse with this status; retry-after=2s, form=seconds|date"},
		{string(SlowFault), "wait longer; time=200ms or time=80ms±20ms or p50=40ms,p99=400ms"},
		{string(HangFault), "never answer"},
		{string(ResetBeforeFault), "reset the connection, without effect"},
		{string(ResetAfterFault), "reset the connection after the call took effect"},
		{string(TruncateFault), "end the body early; bytes=N"},
		{string(MalformedFault), "a body that is not JSON"},
		{string(BadDeviceFault), "one device of a page cannot be read"},
		{string(DripFault), "a slow body; bytes=N a second"},
		{string(StaleFault), "reads see what was before the last change; window=5s"},
		{string(HTMLFault), "a web page; code=200"},
		{string(ContentTypeFault), "the right body as text/plain"},
		{string(EmptyFault), "an empty body; code=500"},
		{string(DeletedFault), "a device is deleted first, one of an earlier page"},
		{string(CreatedFault), "a device is created first"},
		{string(AutoFault), "a device with a certificate appears first"},
		{string(SwapFault), "another project takes this one's place"},
		{string(LostFault), "a delivery to a webhook is never sent"},
		{string(DoubleFault), "it is sent twice"},
		{string(LateFault), "it is sent later; time=200ms or time=80ms±20ms or p50=40ms,p99=400ms"},
		{string(WrongSecretFault), "it comes with another secret"},
		{string(CorruptFault), "its body is spoiled after it was signed"},
	} {
		fmt.Fprintf(&b, "  %-16s %s\n", line[0], line[1])
	}
	b.WriteString("\nEvery fault: after=N calls to let pass, every=N, count=N at most, rate=0.05, for=30s\n\nSwitches, the default first:\n\n")
	for _, name := range UnknownNames() {
		fmt.Fprintf(&b, "  %s\n", name)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
