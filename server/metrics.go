package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tandem"
)

// scrapeLife is how long a value that takes a query counts, scrapePatient how long the query may take.
const (
	scrapeLife    = 10 * time.Second
	scrapePatient = 3 * time.Second
)

// Metrics are the numbers of this process for Prometheus. Others than this package are given its methods as functions.
// None of them blocks, and none of their labels names an organization, a service or a device.
type Metrics struct {
	registry *prometheus.Registry
	clock    tandem.Clock

	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	underWay prometheus.Gauge

	runs       *prometheus.CounterVec
	runTime    *prometheus.HistogramVec
	runDevices *prometheus.CounterVec
	calls      *prometheus.CounterVec
	callTime   *prometheus.HistogramVec
	deliveries *prometheus.CounterVec
	delivered  *prometheus.HistogramVec
	reports    *prometheus.CounterVec
	reported   *prometheus.HistogramVec
	notified   *prometheus.CounterVec
	failedJobs *prometheus.CounterVec
	unread     *prometheus.CounterVec
}

// NewMetrics makes the numbers, with those of the Go runtime and the process. version names the program's.
func NewMetrics(version string, clock tandem.Clock) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), clock: clock}
	if m.clock == nil {
		m.clock = time.Now
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tandem", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "tandem", Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	short := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	m.requests = counter("http_requests_total", "Requests replied to, by method, route and status.", "method", "route", "status")
	m.latency = histogram("http_request_duration_seconds", "How long requests took.", short, "method", "route")
	m.underWay = prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "tandem", Name: "http_requests_under_way", Help: "Requests that are being replied to, streams included."})
	m.runs = counter("runs_total", "Runs that ended in this process, by operation, trigger and status.", "operation", "trigger", "status")
	m.runTime = histogram("run_duration_seconds", "How long runs took.", []float64{.1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}, "operation")
	m.runDevices = counter("run_devices_total", "Devices that runs dealt with, by what became of them.", "outcome")
	m.calls = counter("remote_calls_total", "Requests to remote services, by outcome.", "outcome")
	m.callTime = histogram("remote_call_duration_seconds", "How long remote services took.", short, "outcome")
	m.deliveries = counter("webhook_deliveries_total", "Webhook deliveries, by outcome and, for refused ones, reason.", "outcome", "reason")
	m.delivered = histogram("webhook_duration_seconds", "From a delivery's arrival until it was stored, and until its effect was visible.", short, "stage")
	m.reports = counter("gateway_reports_total", "Reports of devices, and what became of them, by the way they came.", "via", "outcome")
	m.reported = histogram("gateway_duration_seconds", "From a message's arrival until it was stored.", short, "via")
	m.notified = counter("notifications_total", "Messages to channels, by outcome.", "outcome")
	m.failedJobs = counter("job_failures_total", "Attempts at jobs that failed, by kind.", "kind")
	m.unread = counter("scrape_failures_total", "Values that could not be read for a scrape, by name.", "name")
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "tandem", Name: "build_info", Help: "1, with the program's version.",
		ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.registry.MustRegister(m.underWay, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// RunEnded counts a run that has ended.
func (m *Metrics) RunEnded(run tandem.Run) {
	m.runs.WithLabelValues(string(run.Operation), string(run.Trigger), string(run.Status)).Inc()
	m.runTime.WithLabelValues(string(run.Operation)).Observe((time.Duration(run.DurationMS) * time.Millisecond).Seconds())
	for outcome, n := range map[string]int{
		"successful": run.Summary.Successful, "failed": run.Summary.Failed,
		"local_created": run.Summary.Local.Created, "local_updated": run.Summary.Local.Updated, "local_deleted": run.Summary.Local.Deleted,
		"remote_created": run.Summary.Remote.Created, "remote_updated": run.Summary.Remote.Updated, "remote_deleted": run.Summary.Remote.Deleted,
	} {
		if n > 0 {
			m.runDevices.WithLabelValues(outcome).Add(float64(n))
		}
	}
}

// RemoteCall counts a request to a remote service: "ok", or the code of its error.
func (m *Metrics) RemoteCall(outcome string, took time.Duration) {
	m.calls.WithLabelValues(outcome).Inc()
	m.callTime.WithLabelValues(outcome).Observe(took.Seconds())
}

// Delivery counts n webhook deliveries by what became of them; reason is "" except for refused ones.
func (m *Metrics) Delivery(outcome, reason string, n int) {
	m.deliveries.WithLabelValues(outcome, reason).Add(float64(n))
}

// DeliveryTook times a stretch of a delivery's way.
func (m *Metrics) DeliveryTook(stage string, took time.Duration) {
	m.delivered.WithLabelValues(stage).Observe(took.Seconds())
}

// Report counts n reports of devices by the way they came and what became of them.
func (m *Metrics) Report(via, outcome string, n int) {
	m.reports.WithLabelValues(via, outcome).Add(float64(n))
}

// ReportTook times a message until it was stored.
func (m *Metrics) ReportTook(via string, took time.Duration) {
	m.reported.WithLabelValues(via).Observe(took.Seconds())
}

// Notified counts n messages to channels: "sent", "failed" or "given_up".
func (m *Metrics) Notified(outcome string, n int) {
	m.notified.WithLabelValues(outcome).Add(float64(n))
}

// JobFailed counts an attempt at a job that failed.
func (m *Metrics) JobFailed(kind string) { m.failedJobs.WithLabelValues(kind).Inc() }

// request counts a request of ours.
func (m *Metrics) request(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(method, route).Observe(took.Seconds())
}

// Scrape adds a gauge whose values are read when Prometheus asks, at most every 10 seconds: devices, pending conflicts,
// jobs that wait. read gives a value for each value of the label; label is "" for a gauge of one value, under "".
// A value that cannot be read in time is missing, and counted as such.
func (m *Metrics) Scrape(name, help, label string, read func(ctx context.Context) (map[string]float64, error)) {
	var labels []string
	if label != "" {
		labels = []string{label}
	}
	m.registry.MustRegister(&scraped{
		desc: prometheus.NewDesc("tandem_"+name, help, labels, nil), labels: len(labels), read: read, clock: m.clock, failed: m.unread.WithLabelValues(name),
	})
}

// scraped is a gauge that takes a query.
type scraped struct {
	desc   *prometheus.Desc
	labels int
	read   func(ctx context.Context) (map[string]float64, error)
	clock  tandem.Clock
	failed prometheus.Counter
	wait   patience

	mu     sync.Mutex
	values map[string]float64
	at     time.Time
}

// Describe is for prometheus.Collector.
func (s *scraped) Describe(to chan<- *prometheus.Desc) { to <- s.desc }

// Collect is for prometheus.Collector.
func (s *scraped) Collect(to chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || s.clock().Sub(s.at) >= scrapeLife {
		s.values = s.ask()
		s.at = s.clock()
	}
	for value, n := range s.values {
		if s.labels == 0 {
			to <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, n)
			continue
		}
		to <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, n, value)
	}
}

// ask reads the values, nil when that fails.
func (s *scraped) ask() map[string]float64 {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatient)
	defer cancel()
	found := make(chan map[string]float64, 1)
	err := s.wait.call(ctx, func(ctx context.Context) error {
		values, err := s.read(ctx)
		found <- values
		return err
	})
	if err != nil {
		s.failed.Inc()
		return nil
	}
	return <-found
}

// metricsHandler serves /metrics.
func (s *Server) metricsHandler() http.Handler {
	handler := promhttp.HandlerFor(s.o.Metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 3 * scrapePatient})
	if s.o.MetricsToken == "" {
		return handler
	}
	want := sha256.Sum256([]byte(s.o.MetricsToken))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			writeProblem(w, r, http.StatusUnauthorized, "unauthorized", "The caller is not signed in", "the metrics' token is missing or wrong")
			return
		}
		handler.ServeHTTP(w, r)
	})
}
