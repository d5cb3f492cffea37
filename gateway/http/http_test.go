package http_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/gateway"
	ingest "tandem/gateway/http"
	"tandem/store/pgtest"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// world is a server that one device may speak to.
type world struct {
	*testing.T
	store  tandem.ServerStore
	org    string
	device tandem.Device
	g      *gateway.Gateway
	server *httptest.Server
	token  string
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

func onBoth(t *testing.T, test func(w *world)) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) tandem.ServerStore{
		"sqlite":   func(tb testing.TB) tandem.ServerStore { return sqlitetest.Open(tb) },
		"postgres": func(tb testing.TB) tandem.ServerStore { return postgrestest.Open(tb) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t, open(t)))
		})
	}
}

func newWorld(t *testing.T, store tandem.ServerStore) *world {
	w := &world{T: t, store: store, org: id(), token: "tdd_" + id()}
	now := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	w.must(store.CreateOrganization(t.Context(), tandem.Organization{ID: w.org, Name: "acme", Slug: "acme-" + w.org, CreatedAt: now, UpdatedAt: now}))
	w.device = tandem.Device{ID: id(), OrganizationID: w.org, Name: "sensor", DeviceID: "sensor", Lifecycle: tandem.Active, Enabled: true, CreatedAt: now, UpdatedAt: now}
	w.must(store.Apply(t.Context(), w.org, &tandem.Changes{CreateDevices: []tandem.Device{w.device}}))
	w.credential(tandem.Credential{Kind: tandem.TokenCredential, Hash: gateway.HashSecret(w.token)})
	w.g = gateway.New(gateway.Options{Store: store, Clock: time.Now, IDs: id, MaxBody: 64 << 10, Rate: 1, Burst: 10})
	t.Cleanup(w.g.Close)
	w.server = httptest.NewServer(ingest.New(ingest.Options{Gateway: w.g}))
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) credential(c tandem.Credential) {
	w.Helper()
	c.ID, c.DeviceID, c.Name, c.CreatedAt, c.UpdatedAt = id(), w.device.ID, "test", time.Now(), time.Now()
	if c.Identity == "" {
		c.Identity = c.ID
	}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{PutCredentials: []tandem.Credential{c}}))
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// send sends a request and gives the reply with its body.
func (w *world) send(method, path, contentType, body string) (*http.Response, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, strings.NewReader(body))
	w.must(err)
	r.Header.Set("Authorization", "Bearer "+w.token)
	r.Header.Set("Content-Type", contentType)
	return w.do(w.server.Client(), r)
}

func (w *world) do(client *http.Client, r *http.Request) (*http.Response, string) {
	w.Helper()
	reply, err := client.Do(r)
	w.must(err)
	text, err := io.ReadAll(reply.Body)
	w.must(err)
	w.must(reply.Body.Close())
	return reply, string(text)
}

func (w *world) want(reply *http.Response, body string, status int, holds string) {
	w.Helper()
	if reply.StatusCode != status || !strings.Contains(body, holds) {
		w.Errorf("got %d %s, want %d with %q", reply.StatusCode, body, status, holds)
	}
}

func (w *world) battery() float64 {
	w.Helper()
	d, err := w.store.Device(w.Context(), w.org, w.device.ID)
	w.must(err)
	if d.BatteryLevel == nil {
		return -1
	}
	return *d.BatteryLevel
}

func TestTelemetry(t *testing.T) {
	onBoth(t, func(w *world) {
		reply, body := w.send("POST", "/ingest/v1/telemetry", "application/json", `{"battery":81}`)
		w.want(reply, body, 202, `"stored":1`)
		reply, body = w.send("POST", "/ingest/v1/telemetry", "application/x-www-form-urlencoded", `[{"battery":80},{"battery":79}]`)
		w.want(reply, body, 202, `"stored":2`)
		reply, body = w.send("POST", "/ingest/v1/telemetry", "application/cbor", "\xa1\x67battery\x18\x4e")
		w.want(reply, body, 202, `"stored":1`)
		if got := w.battery(); got != 78 {
			w.Errorf("the battery is at %v", got)
		}
		reply, body = w.send("POST", "/ingest/v1/telemetry", "application/json", `{"battery":`)
		w.want(reply, body, 400, `"malformed"`)
		reply, body = w.send("POST", "/ingest/v1/telemetry", "application/json", `"`+strings.Repeat("x", 65<<10)+`"`)
		w.want(reply, body, 413, `"invalid"`)
		for range 20 {
			reply, body = w.send("POST", "/ingest/v1/telemetry", "application/json", `{}`)
		}
		w.want(reply, body, 429, `"rate_limited"`)
		if reply.Header.Get("Retry-After") == "" {
			w.Error("nothing says when to go on")
		}
		w.token = "tdd_wrong"
		reply, body = w.send("POST", "/ingest/v1/telemetry", "application/json", `{}`)
		w.want(reply, body, 401, `"unauthorized"`)
		if kind := reply.Header.Get("Content-Type"); kind != "application/problem+json" {
			w.Errorf("it is %s", kind)
		}
		reply, body = w.send("GET", "/ingest/v1/other", "", "")
		w.want(reply, body, 404, `"not_found"`)
	})
}

func TestCommands(t *testing.T) {
	onBoth(t, func(w *world) {
		reply, body := w.send("GET", "/ingest/v1/commands", "", "")
		w.want(reply, body, 200, `{"commands":[]}`)
		reply, body = w.send("GET", "/ingest/v1/commands?wait=2h", "", "")
		w.want(reply, body, 400, `"invalid"`)
		sent := make(chan string, 1)
		go func() {
			now := time.Now().UTC().Truncate(time.Microsecond)
			c := tandem.Command{ID: id(), DeviceID: w.device.ID, Name: "blink", Payload: json.RawMessage(`{"times":3}`), Status: tandem.CommandQueued,
				ExpiresAt: now.Add(time.Minute), CreatedAt: now, UpdatedAt: now}
			if err := w.store.Apply(w.Context(), w.org, &tandem.Changes{PutCommands: []tandem.Command{c}}); err != nil {
				w.Error(err)
			}
			sent <- c.ID
		}()
		reply, body = w.send("GET", "/ingest/v1/commands?wait=30", "", "")
		command := <-sent
		w.want(reply, body, 200, `"times":3`)
		reply, body = w.send("POST", "/ingest/v1/commands/"+command, "application/json", `{"status":"ok","reply":{"blinked":3}}`)
		w.want(reply, body, 204, "")
		is, err := w.store.Command(w.Context(), w.org, command)
		w.must(err)
		if is.Status != tandem.CommandAcknowledged || string(is.Reply) != `{"blinked":3}` || is.Via != tandem.ViaHTTP {
			w.Errorf("it is %+v", is)
		}
		reply, body = w.send("POST", "/ingest/v1/commands/none", "application/json", ``)
		w.want(reply, body, 404, `"not_found"`)
		reply, body = w.send("POST", "/ingest/v1/commands/"+command, "application/json", `[]`)
		w.want(reply, body, 400, `"malformed"`)
	})
}

func TestADeviceWaitsForItsCommandsOnlySoOften(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t))
	results := make(chan int, 20)
	var all sync.WaitGroup
	for range cap(results) {
		all.Go(func() {
			reply, _ := w.send("GET", "/ingest/v1/commands?wait=2", "", "")
			results <- reply.StatusCode
		})
	}
	all.Wait()
	close(results)
	counts := map[int]int{}
	for status := range results {
		counts[status]++
	}
	if counts[200] != 4 || counts[429] != 16 {
		t.Errorf("the replies are %v", counts)
	}
	reply, body := w.send("GET", "/ingest/v1/commands", "", "")
	w.want(reply, body, 200, `{"commands":[]}`)
}

// TestADeviceSaysOnlySoMuchAtOnce: one whose requests hang holds some places and no more; others are served meanwhile.
func TestADeviceSaysOnlySoMuchAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t))
	const most = 8
	results := make(chan int, most)
	var bodies []*io.PipeWriter
	var all sync.WaitGroup
	for range most {
		body, writer := io.Pipe()
		bodies = append(bodies, writer)
		r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.server.URL+"/ingest/v1/telemetry", body)
		w.must(err)
		r.Header.Set("Authorization", "Bearer "+w.token)
		all.Go(func() {
			reply, _ := w.do(w.server.Client(), r)
			results <- reply.StatusCode
		})
	}
	for _, one := range bodies { // what was read of a request's body was let in before
		_, err := io.WriteString(one, `{"battery":`)
		w.must(err)
	}
	deadline := time.After(20 * time.Second)
	for refused := false; !refused; {
		select {
		case <-deadline:
			t.Fatal("one more is served while as many wait")
		default:
		}
		reply, body := w.send("POST", "/ingest/v1/telemetry", "application/json", "{") // costs nothing of what it may report
		if refused = reply.StatusCode == http.StatusTooManyRequests; refused {
			w.want(reply, body, 429, `"rate_limited"`)
			if reply.Header.Get("Retry-After") != "1" {
				t.Errorf("it may come again after %q", reply.Header.Get("Retry-After"))
			}
		}
	}
	reply, body := w.send("GET", "/ingest/v1/commands", "", "") // that is another matter
	w.want(reply, body, 200, `{"commands":[]}`)
	own := w.token
	other := tandem.Device{ID: id(), OrganizationID: w.org, Name: "other", DeviceID: "other", Lifecycle: tandem.Active, Enabled: true, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{CreateDevices: []tandem.Device{other}}))
	w.device, w.token = other, "tdd_"+id()
	w.credential(tandem.Credential{Kind: tandem.TokenCredential, Hash: gateway.HashSecret(w.token)})
	reply, body = w.send("POST", "/ingest/v1/telemetry", "", `{"battery":1}`)
	w.want(reply, body, 202, `"stored":1`)
	for _, one := range bodies {
		_, err := io.WriteString(one, `7}`)
		w.must(err)
		w.must(one.Close())
	}
	all.Wait()
	close(results)
	for status := range results {
		if status != http.StatusAccepted {
			t.Errorf("one that was let in is answered %d", status)
		}
	}
	w.token = own
	reply, body = w.send("POST", "/ingest/v1/telemetry", "", `{"battery":2}`)
	w.want(reply, body, 202, `"stored":1`)
}

func TestClientCertificates(t *testing.T) {
	onBoth(t, func(w *world) {
		authority, key := certificate(w, nil, nil)
		pool := x509.NewCertPool()
		pool.AddCert(authority)
		server := httptest.NewUnstartedServer(ingest.New(ingest.Options{Gateway: w.g}))
		server.TLS = &tls.Config{ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS13}
		server.StartTLS()
		defer server.Close()
		try := func(known bool) (*http.Response, string) {
			own, ownKey := certificate(w, authority, key)
			if known {
				w.credential(tandem.Credential{Kind: tandem.CertificateCredential, Identity: gateway.Fingerprint(own.Raw)})
			}
			transport := server.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{own.Raw}, PrivateKey: ownKey}}
			defer transport.CloseIdleConnections()
			r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, server.URL+"/ingest/v1/telemetry", strings.NewReader(`{"battery":33}`))
			w.must(err)
			return w.do(&http.Client{Transport: transport}, r)
		}
		reply, body := try(false)
		w.want(reply, body, 401, `"unauthorized"`)
		reply, body = try(true)
		w.want(reply, body, 202, `"stored":1`)
		if got := w.battery(); got != 33 {
			w.Errorf("the battery is at %v", got)
		}
	})
}

// certificate makes one that a parent signed, or itself.
func certificate(w *world, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	w.must(err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	signer, signerKey := parent, parentKey
	if parent == nil {
		signer, signerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	w.must(err)
	made, err := x509.ParseCertificate(der)
	w.must(err)
	return made, key
}
