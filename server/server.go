package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem"
)

// Options say what a server serves, and how. What is left out has the default that is named.
type Options struct {
	Listen         []string       // addresses such as 127.0.0.1:8080; port 0 for any
	CertFile       string         // with KeyFile: TLS, by files that are read again when they change
	KeyFile        string         //
	AllowTLS12     bool           // TLS 1.3 alone by default
	ClientCAFile   string         // with a certificate: clients may show one that any of these signed, and it is checked
	PublicURL      string         // how people reach the server; with https, browsers are told to stay there
	CheckHost      bool           // refuse requests for other hosts than PublicURL's
	TrustedProxies []netip.Prefix // whose X-Forwarded-For, X-Forwarded-Proto and X-Request-Id are believed
	Routes         []Route
	Limits         Limits
	Policy         string // the content security policy of pages; "" for DefaultPolicy

	Health        Health
	Metrics       *Metrics      // nil for none
	MetricsListen string        // an address of its own for /metrics, with the same certificate; "" serves it with the rest
	MetricsToken  Secret        // what a scraper sends as bearer token; "" for none
	Traces        *Traces       // nil for none
	Stopping      func()        // called when stopping begins, to end what lasts: streams
	Drain         time.Duration // how long the server says that it is not ready before it stops listening; 0
	Grace         time.Duration // how long requests may take to end; 30 s

	Log   *slog.Logger
	Clock tandem.Clock
	NewID tandem.IDs // mints request ids
}

// Secret is a text that is not printed.
type Secret string

// String does not give it.
func (Secret) String() string { return "[secret]" }

// GoString does not give it either.
func (Secret) GoString() string { return "[secret]" }

// LogValue does not give it either.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText does not give it either.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Server is the HTTP shell. New, Listen, Run, in this order.
type Server struct {
	o         Options
	log       *slog.Logger
	clock     tandem.Clock
	public    *url.URL // nil when there is none
	http      *http.Server
	metrics   *http.Server // nil without an address of its own
	certs     *certificates
	clientCAs *x509.CertPool // nil where clients show no certificate
	health    *health
	rates     *rates
	stopping  atomic.Bool
	accepted  atomic.Int64 // deliveries since the log last said how many
	summed    atomic.Int64 // when it did, in nanoseconds since 1970

	listeners       []net.Listener
	metricsListener net.Listener
}

// New makes a server. It opens nothing but the certificate; its errors are Invalid.
func New(o Options) (*Server, error) {
	s := &Server{o: o, log: o.Log, clock: o.Clock}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.o.Grace <= 0 {
		s.o.Grace = 30 * time.Second
	}
	s.o.Limits = o.Limits.withDefaults()
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, tandem.Errorf(tandem.Invalid, "server: new", "", "the public URL does not begin with https:// and a host")
		}
		s.public = u
	}
	if o.CheckHost && s.public == nil {
		return nil, tandem.Errorf(tandem.Invalid, "server: new", "", "hosts can only be checked against a public URL")
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, tandem.Errorf(tandem.Invalid, "server: new", "", "a certificate and its key are given together, or neither")
	}
	if o.CertFile != "" {
		var err error
		if s.certs, err = newCertificates(o.CertFile, o.KeyFile, s.clock, s.log); err != nil {
			return nil, err
		}
	}
	if o.ClientCAFile != "" {
		var err error
		if s.clientCAs, err = readClientCAs(o.ClientCAFile, o.CertFile); err != nil {
			return nil, err
		}
	}
	s.rates = newRates(s.o.Limits)
	s.health = newHealth(o.Health, s.clock, s.log, s.stopping.Load)
	handler, err := s.handler()
	if err != nil {
		return nil, err
	}
	s.http = s.newHTTP(handler)
	if o.Metrics != nil && o.MetricsListen != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", s.quiet(s.metricsHandler()))
		s.metrics = s.newHTTP(s.recorded(mux))
	}
	return s, nil
}

// newHTTP makes an HTTP server with our bounds.
func (s *Server) newHTTP(handler http.Handler) *http.Server {
	h := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: s.o.Limits.HeaderTime,
		ReadTimeout:       s.o.Limits.BodyTime,
		WriteTimeout:      handlerTime, // renewed by reply.go as a reply is written
		IdleTimeout:       s.o.Limits.IdleTime,
		MaxHeaderBytes:    s.o.Limits.MaxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // what strangers do wrong at the level of connections
	}
	if s.certs != nil {
		h.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: s.certs.get}
		if s.clientCAs != nil {
			h.TLSConfig.ClientCAs, h.TLSConfig.ClientAuth = s.clientCAs, tls.VerifyClientCertIfGiven
		}
		if s.o.AllowTLS12 {
			h.TLSConfig.MinVersion = tls.VersionTLS12
		}
	}
	return h
}

// Listen opens the listeners.
func (s *Server) Listen(ctx context.Context) error {
	var config net.ListenConfig
	open := func(address string) (net.Listener, error) {
		l, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			s.closeListeners()
			return nil, tandem.Errorf(tandem.Unavailable, "server: listen", address, "this address cannot be listened on: %w", err)
		}
		return l, nil
	}
	for _, address := range s.o.Listen {
		l, err := open(address)
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, l)
	}
	if s.metrics == nil {
		return nil
	}
	l, err := open(s.o.MetricsListen)
	s.metricsListener = l
	return err
}

// closeListeners closes what is open.
func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.listeners = nil
}

// Addresses gives what the server listens on, after Listen.
func (s *Server) Addresses() []net.Addr {
	var at []net.Addr
	for _, l := range s.listeners {
		at = append(at, l.Addr())
	}
	return at
}

// MetricsAddress gives where /metrics is listened for apart from the rest, nil when it is not.
func (s *Server) MetricsAddress() net.Addr {
	if s.metricsListener == nil {
		return nil
	}
	return s.metricsListener.Addr()
}

// Run serves until ctx ends, then stops gracefully: it says that it is not ready, stops listening, lets requests end,
// and cuts off those that take too long. It gives nil when it was told to stop.
func (s *Server) Run(ctx context.Context) error {
	if s.listeners == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	group, failed := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		group.Go(func() error { return s.serve(s.http, l) })
	}
	if s.metricsListener != nil {
		group.Go(func() error { return s.serve(s.metrics, s.metricsListener) })
	}
	group.Go(func() error {
		<-failed.Done()
		return s.stop()
	})
	return group.Wait()
}

// serve serves on one listener.
func (s *Server) serve(h *http.Server, l net.Listener) error {
	var err error
	if s.certs != nil {
		err = h.ServeTLS(l, "", "")
	} else {
		err = h.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve on %s: %w", l.Addr(), err)
}

// stop ends serving.
func (s *Server) stop() error {
	s.stopping.Store(true)
	if s.o.Drain > 0 {
		drained := time.NewTimer(s.o.Drain)
		<-drained.C
	}
	if s.o.Stopping != nil {
		s.o.Stopping()
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Grace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were cut off: they did not end in time", "grace", s.o.Grace.String())
		err = s.http.Close()
	}
	if s.metrics != nil {
		err = errors.Join(err, s.metrics.Close())
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
