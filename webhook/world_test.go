package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
	"tandem/webhook"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("rapid.checks", "25"); err != nil { // each goes through HTTP and a database
		panic(err)
	}
	os.Exit(pgtest.Main(m))
}

type plain string

func (p plain) Reveal() string { return string(p) }

// world is a service with deliveries on their way to a real store through real HTTP.
type world struct {
	testing.TB
	store     *store.Store
	handler   *webhook.Handler
	processor *webhook.Processor
	tally     *webhook.Tally
	server    *httptest.Server
	org       string
	service   tandem.Service
	offset    atomic.Int64 // of the clock, nanoseconds
	log       syncBuffer

	mu      sync.Mutex
	secrets []webhook.Secret
}

// syncBuffer is a log that tests read.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type option func(*setup)

type setup struct {
	config  func(*tandem.ServiceConfig)
	wrap    func(webhook.Store) webhook.Store
	options func(*webhook.Options)
}

func config(change func(*tandem.ServiceConfig)) option { return func(s *setup) { s.config = change } }

func wrap(w func(webhook.Store) webhook.Store) option { return func(s *setup) { s.wrap = w } }

func options(change func(*webhook.Options)) option { return func(s *setup) { s.options = change } }

const theSecret = "a shared secret"

// both runs a test on both databases.
func both(t *testing.T, test func(*world), o ...option) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(newWorld(t, sqlitetest.Open(t), o...)) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(newWorld(t, postgrestest.Open(t), o...)) })
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// newWorld makes a service with the signature scheme and Handler and Processor over the store.
func newWorld(t testing.TB, st *store.Store, list ...option) *world {
	t.Helper()
	s := setup{config: func(*tandem.ServiceConfig) {}, wrap: func(s webhook.Store) webhook.Store { return s }, options: func(*webhook.Options) {}}
	for _, o := range list {
		o(&s)
	}
	w := &world{TB: t, store: st, tally: &webhook.Tally{}, secrets: []webhook.Secret{plain(theSecret)}}
	at := w.now()
	w.org = newID()
	w.must(st.CreateOrganization(t.Context(), tandem.Organization{ID: w.org, Name: "Acme", Slug: "acme", CreatedAt: at, UpdatedAt: at}))
	w.service = w.newService("prod", s.config)
	o := webhook.Options{Store: s.wrap(st), Open: w.open, Clock: w.now, IDs: newID, Meter: w.tally, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	s.options(&o)
	w.processor = webhook.NewProcessor(webhook.ProcessorOptions{Store: s.wrap(st), Clock: w.now, IDs: newID, Holder: "here", Meter: w.tally, Log: o.Log})
	o.Processor = w.processor
	w.handler = webhook.NewHandler(o)
	mux := http.NewServeMux()
	mux.Handle(webhook.Pattern, w.handler)
	w.server = httptest.NewServer(mux)
	t.Cleanup(func() { w.server.Close(); w.handler.Close() })
	return w
}

func (w *world) now() time.Time {
	return time.Now().Add(time.Duration(w.offset.Load())).UTC().Truncate(time.Microsecond)
}

func (w *world) open(context.Context, tandem.Service) ([]webhook.Secret, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.secrets, nil
}

// keep sets the service's secrets, at once.
func (w *world) keep(secrets ...string) {
	w.mu.Lock()
	w.secrets = nil
	for _, s := range secrets {
		w.secrets = append(w.secrets, plain(s))
	}
	w.mu.Unlock()
	w.handler.Forget(w.service.ID)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) equal(got, want any) {
	w.Helper()
	g, _ := json.Marshal(got)
	h, _ := json.Marshal(want)
	if string(g) != string(h) {
		w.Errorf("got %s, want %s", g, h)
	}
}

func (w *world) newService(name string, change func(*tandem.ServiceConfig)) tandem.Service {
	w.Helper()
	at := w.now()
	c := tandem.DefaultServiceConfig()
	c.Project, c.BaseURL = "demo", "https://example.com"
	c.Webhook = tandem.WebhookConfig{Scheme: tandem.SignatureScheme}
	change(&c)
	s := tandem.Service{ID: newID(), OrganizationID: w.org, Name: name, ServiceType: "golioth", Config: c, Credentials: []byte{1}, IsActive: true,
		State: tandem.ServiceOK, SyncInterval: 300, CreatedAt: at, UpdatedAt: at}
	w.must(w.store.CreateService(w.Context(), w.org, s))
	s, err := w.store.Service(w.Context(), w.org, s.ID)
	w.must(err)
	return s
}

// reconfigure changes the service's settings, at once.
func (w *world) reconfigure(change func(*tandem.Service)) {
	w.Helper()
	s, err := w.store.Service(w.Context(), w.org, w.service.ID)
	w.must(err)
	change(&s)
	w.must(w.store.UpdateService(w.Context(), w.org, s))
	w.service, err = w.store.Service(w.Context(), w.org, s.ID)
	w.must(err)
	w.handler.Forget(s.ID)
}

// remoteID gives the n-th device's remote id.
func remoteID(n int) string { return fmt.Sprintf("65%022x", n) }

// linked makes the n-th device, linked to the service; it gives the device's id.
func (w *world) linked(n int) string {
	w.Helper()
	at := w.now().Add(-time.Hour)
	d := tandem.Device{ID: newID(), OrganizationID: w.org, Name: fmt.Sprintf("d%d", n), DeviceID: fmt.Sprintf("d%d", n), Lifecycle: tandem.Active,
		Enabled: true, CreatedAt: at, UpdatedAt: at}
	a := tandem.Assignment{ID: newID(), OrganizationID: w.org, DeviceID: d.ID, ServiceID: w.service.ID, ExternalDeviceID: remoteID(n),
		SyncEnabled: true, Status: tandem.SyncSynced, CreatedAt: at, UpdatedAt: at}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{CreateDevices: []tandem.Device{d}, CreateAssignments: []tandem.Assignment{a}}))
	return d.ID
}

func (w *world) device(id string) tandem.Device {
	w.Helper()
	d, err := w.store.Device(w.Context(), w.org, id)
	w.must(err)
	return d
}

// request is a delivery to be posted.
type request struct {
	method  string
	service string
	header  map[string]string
	body    []byte
	chunked bool
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r *reply) code() string {
	var p struct {
		Code string `json:"code"`
	}
	if json.Unmarshal([]byte(r.body), &p) != nil {
		return ""
	}
	return p.Code
}

// send posts a delivery as it is.
func (w *world) send(q request) reply {
	w.Helper()
	if q.method == "" {
		q.method = http.MethodPost
	}
	if q.service == "" {
		q.service = w.service.ID
	}
	var body io.Reader = bytes.NewReader(q.body)
	if q.chunked {
		body = io.MultiReader(body) // of a length that nobody knows
	}
	r, err := http.NewRequestWithContext(w.Context(), q.method, w.server.URL+"/webhooks/golioth/"+q.service, body)
	w.must(err)
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	a, err := w.server.Client().Do(r)
	w.must(err)
	text, err := io.ReadAll(a.Body)
	w.must(err)
	w.must(a.Body.Close())
	return reply{a.StatusCode, a.Header, string(text)}
}

// signed makes a delivery of JSON with its signature.
func signed(body string) request {
	return request{header: map[string]string{"Content-Type": "application/json", webhook.SignatureHeader: signature(theSecret, body)}, body: []byte(body)}
}

func signature(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// event writes an event about the n-th device.
func event(id, kind string, n int, at time.Time, data any) string {
	raw, err := json.Marshal(map[string]any{"id": id, "type": kind, "time": at.UTC().Format(time.RFC3339Nano), "project_id": "demo", "device_id": remoteID(n), "data": data})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// accept posts deliveries that are to be stored.
func (w *world) accept(list ...request) {
	w.Helper()
	for _, q := range list {
		if r := w.send(q); r.status != http.StatusAccepted {
			w.Fatalf("status %d: %s", r.status, r.body)
		}
	}
}

// process brings all that is due to effect.
func (w *world) process() {
	w.Helper()
	for {
		n, err := w.processor.Process(w.Context())
		w.must(err)
		if n == 0 {
			return
		}
	}
}

// deliveries lists those of a status, oldest first.
func (w *world) deliveries(status tandem.DeliveryStatus) []tandem.Delivery {
	w.Helper()
	list, _, err := w.store.Deliveries(w.Context(), w.org, tandem.DeliveryFilter{Status: status, Page: tandem.Page{Number: 1, Limit: 1000}})
	w.must(err)
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// statuses counts deliveries.
func (w *world) statuses() string {
	w.Helper()
	counts, err := w.store.CountDeliveries(w.Context(), w.org)
	w.must(err)
	var b strings.Builder
	for _, s := range []tandem.DeliveryStatus{tandem.DeliveryStored, tandem.DeliveryRetrying, tandem.DeliveryWaiting, tandem.DeliveryProcessed, tandem.DeliveryDead, tandem.DeliveryRefused} {
		if counts[s] > 0 {
			fmt.Fprintf(&b, "%s=%d ", s, counts[s])
		}
	}
	return strings.TrimSpace(b.String())
}

// history reads a device's observations, newest first.
func (w *world) history(device, path string) []tandem.DeviceObservation {
	w.Helper()
	list, _, err := w.store.Observations(w.Context(), w.org, tandem.ObservationFilter{DeviceID: device, Path: path, Page: tandem.Page{Number: 1, Limit: 1000}})
	w.must(err)
	return list
}
