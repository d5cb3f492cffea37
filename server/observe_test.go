package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"tandem"
)

func TestReadiness(t *testing.T) {
	t.Parallel()
	var away, later atomic.Int64
	var asked atomic.Int64
	r := start(t, nil, func(o *Options) {
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		o.Health = Health{
			Checks: map[string]func(context.Context) error{
				"database": func(context.Context) error {
					asked.Add(1)
					if away.Load() > 0 {
						return tandem.Errorf(tandem.Unavailable, "", "", "the database at db.example.com is away")
					}
					return nil
				},
				"jobs": func(context.Context) error { return nil },
			},
			Services: func(context.Context) (map[string]tandem.ServiceState, error) {
				return map[string]tandem.ServiceState{"s2": tandem.ServiceRejected, "s1": tandem.ServiceOK}, nil
			},
		}
	})
	look := func(path string, want int) readiness {
		t.Helper()
		later.Add(int64(2 * time.Second))
		response, text := r.get(t, path)
		var state readiness
		if err := json.Unmarshal([]byte(text), &state); err != nil || response.StatusCode != want {
			t.Fatalf("%s: %d %s", path, response.StatusCode, text)
		}
		if strings.Contains(text, "example.com") {
			t.Errorf("strangers are told: %s", text)
		}
		return state
	}
	for _, path := range []string{"/readyz", "/api/health/ready"} {
		state := look(path, http.StatusOK)
		if state.Status != "ready" || state.Dependencies["database"].Status != "up" || len(state.Services) != 2 || state.Services[1].State != tandem.ServiceRejected {
			t.Errorf("%s: %+v", path, state)
		}
	}
	before := asked.Load()
	for range 20 {
		if response, _ := r.get(t, "/readyz"); response.StatusCode != http.StatusOK {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	if n := asked.Load() - before; n > 10 {
		t.Errorf("the database was asked %d times", n)
	}
	away.Store(1)
	if state := look("/readyz", http.StatusServiceUnavailable); state.Dependencies["database"].Code != tandem.Unavailable || state.Dependencies["jobs"].Status != "up" {
		t.Errorf("away: %+v", state)
	}
	for _, path := range []string{"/healthz", "/api/health", "/api/health/live"} {
		if response, text := r.get(t, path); response.StatusCode != http.StatusOK || !strings.Contains(text, "alive") {
			t.Errorf("%s: %d %s", path, response.StatusCode, text)
		}
	}
	away.Store(0)
	look("/readyz", http.StatusOK)
	r.stopping.Store(true)
	if state := look("/readyz", http.StatusServiceUnavailable); state.Status != "stopping" {
		t.Errorf("stopping: %+v", state)
	}
}

func TestADependencyThatHangsIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hanging := make(chan struct{}, 8)
	var p patience
	ctx, cancel := context.WithCancel(t.Context())
	hang := func(context.Context) error {
		hanging <- struct{}{}
		cancel()
		<-release
		hanging <- struct{}{}
		return nil
	}
	for range 3 {
		if err := p.call(ctx, hang); !tandem.Is(err, tandem.Timeout) {
			t.Errorf("error %v", err)
		}
	}
	if n := len(hanging); n != 1 {
		t.Errorf("%d calls hang", n)
	}
	close(release)
	<-hanging
	<-hanging
	for p.hanging.Load() {
		runtime.Gosched()
	}
	if err := p.call(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	var reads, later atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	m := NewMetrics("v1", clock)
	var broken atomic.Bool
	m.Scrape("queue_depth", "Jobs that wait.", "kind", func(context.Context) (map[string]float64, error) {
		reads.Add(1)
		if broken.Load() {
			return nil, errors.New("away")
		}
		return map[string]float64{"run available": 7}, nil
	})
	m.Scrape("devices", "Devices.", "", func(context.Context) (map[string]float64, error) { return map[string]float64{"": 42}, nil })
	r := start(t, func(w http.ResponseWriter, r *http.Request) {
		NoteRoute(r.Context(), "/api/things/{id}")
		w.WriteHeader(http.StatusTeapot)
	}, func(o *Options) { o.Metrics, o.MetricsToken, o.Clock = m, "the-token", clock })
	m.RunEnded(tandem.Run{Operation: tandem.OpImport, Trigger: tandem.BySchedule, Status: tandem.RunPartial, DurationMS: 1500,
		Summary: tandem.Summary{Processed: 5, Successful: 4, Failed: 1}})
	m.RemoteCall("rate_limited", time.Second)
	m.Delivery("refused", "unsigned", 3)
	m.DeliveryTook("stored", 5*time.Millisecond)
	m.Notified("sent", 2)
	m.JobFailed("run")
	r.send(t, "BREW", "/api/things/7", nil)

	if response, _ := r.get(t, "/metrics"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: %d", response.StatusCode)
	}
	if response, _ := r.get(t, "/metrics", "Authorization", "Bearer another"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("with another: %d", response.StatusCode)
	}
	_, text := r.get(t, "/metrics", "Authorization", "Bearer the-token")
	for _, want := range []string{
		`tandem_http_requests_total{method="other",route="/api/things/{id}",status="418"} 1`,
		`tandem_runs_total{operation="import",status="partial",trigger="schedule"} 1`,
		`tandem_run_duration_seconds_bucket{operation="import",le="2.5"} 1`,
		`tandem_run_devices_total{outcome="failed"} 1`,
		`tandem_remote_calls_total{outcome="rate_limited"} 1`,
		`tandem_webhook_deliveries_total{outcome="refused",reason="unsigned"} 3`,
		`tandem_webhook_duration_seconds_count{stage="stored"} 1`,
		`tandem_notifications_total{outcome="sent"} 2`,
		`tandem_job_failures_total{kind="run"} 1`,
		`tandem_queue_depth{kind="run available"} 7`,
		`tandem_devices 42`,
		`tandem_build_info{version="v1"} 1`,
		`go_goroutines `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	r.get(t, "/metrics", "Authorization", "Bearer the-token")
	if n := reads.Load(); n != 1 {
		t.Errorf("a value was read %d times", n)
	}
	broken.Store(true)
	later.Add(int64(time.Minute))
	r.get(t, "/metrics", "Authorization", "Bearer the-token")
	_, text = r.get(t, "/metrics", "Authorization", "Bearer the-token")
	if strings.Contains(text, `tandem_queue_depth{`) || !strings.Contains(text, `tandem_scrape_failures_total{name="queue_depth"} 1`) || !strings.Contains(text, "tandem_devices 42") {
		t.Errorf("a value that cannot be read:\n%s", text)
	}
}

func TestMetricsOnAnAddressOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := start(t, ok, func(o *Options) { o.Metrics, o.MetricsListen = NewMetrics("v1", nil), "127.0.0.1:0" })
	if response, _ := r.get(t, "/metrics"); response.StatusCode != http.StatusNotFound {
		t.Errorf("with the rest: %d", response.StatusCode)
	}
	r.url = "http://" + r.MetricsAddress().String()
	if response, text := r.get(t, "/metrics"); response.StatusCode != http.StatusOK || !strings.Contains(text, "go_goroutines") {
		t.Errorf("by itself: %d", response.StatusCode)
	}
	if response, _ := r.get(t, "/api/"); response.StatusCode != http.StatusNotFound {
		t.Errorf("the API, there: %d", response.StatusCode)
	}
}

func TestTracesGoToTheCollectorThatIsConfigured(t *testing.T) {
	if none, err := NewTraces(t.Context(), func(string) string { return "" }, "v1"); none != nil || err != nil {
		t.Fatalf("nothing configured: %v %v", none, err)
	}
	var mu sync.Mutex
	spans := map[string]string{} // names, and their traces
	routes := ""
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					spans[span.GetName()] = string(span.GetTraceId())
					routes += span.String()
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer sink.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.URL)
	traces, err := NewTraces(t.Context(), os.Getenv, "v1")
	if err != nil || traces == nil {
		t.Fatal(err)
	}
	r := start(t, func(w http.ResponseWriter, r *http.Request) {
		NoteRoute(r.Context(), "/api/things/{id}")
		_, end := traces.Span(r.Context(), "merge", "run", "r1")
		end(tandem.Errorf(tandem.Busy, "", "", "no"))
		ok(w, r)
	}, func(o *Options) { o.Traces = traces })
	r.get(t, "/api/things/7?token=secret-part", "Traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	r.get(t, "/healthz")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := traces.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(spans) != 2 || spans["GET /api/things/{id}"] == "" || spans["merge"] != spans["GET /api/things/{id}"] {
		t.Errorf("spans %q", spans)
	}
	if !strings.Contains(r.log.String(), `"trace_id":"0123456789abcdef0123456789abcdef"`) {
		t.Errorf("the log does not name the trace: %s", r.log)
	}
	if strings.Contains(routes, "secret-part") {
		t.Errorf("a span holds the query: %s", routes)
	}
	var none *Traces
	if _, end := none.Span(t.Context(), "nothing"); none.Close(t.Context()) != nil {
		t.Error("no traces cannot be closed")
	} else {
		end(nil)
	}
}
