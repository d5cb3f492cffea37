package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged keeps what is logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a server that runs.
type running struct {
	*Server
	url    string
	addr   string
	client *http.Client
	log    *logged
	stop   func() error
}

// start starts a server on a free port, with one route that the handler serves.
func start(t *testing.T, handler http.HandlerFunc, set func(o *Options)) *running {
	t.Helper()
	r := &running{log: &logged{}}
	ids := 0
	var mu sync.Mutex
	o := Options{Listen: []string{"127.0.0.1:0"}, Log: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		NewID: func() string {
			mu.Lock()
			defer mu.Unlock()
			ids++
			return fmt.Sprint("id-", ids)
		}, Grace: 5 * time.Second}
	if handler != nil {
		o.Routes = []Route{{Pattern: "/api/", Handler: handler}}
	}
	if set != nil {
		set(&o)
	}
	var err error
	if r.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.addr = r.Addresses()[0].String()
	r.url = "http://" + r.addr
	transport := &http.Transport{DisableCompression: true}
	r.client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		transport.CloseIdleConnections()
		return <-done
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return r
}

// get sends a request and gives the reply with its body read.
func (r *running) get(t *testing.T, path string, header ...string) (*http.Response, string) {
	t.Helper()
	return r.send(t, http.MethodGet, path, nil, header...)
}

func (r *running) send(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
	}
	response, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// dial opens a connection to the server.
func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// code reads the code of a problem.
func code(t *testing.T, text string) string {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("no problem: %q", text)
	}
	return p.Code
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

func TestARequestIsNamedProtectedAndLogged(t *testing.T) {
	t.Parallel()
	r := start(t, func(w http.ResponseWriter, r *http.Request) {
		NoteActor(r.Context(), "u1")
		NoteRoute(r.Context(), "/api/things/{id}")
		_, _ = fmt.Fprint(w, RequestID(r.Context()), " ", Address(r.Context()), " ", r.RemoteAddr != "", " ", r.Header.Get("X-Forwarded-Proto"))
	}, func(o *Options) { o.PublicURL = "https://tandem.example.com" })
	response, text := r.get(t, "/api/things/7?token=secret-part")
	if text != "id-1 127.0.0.1 true http" || response.Header.Get("X-Request-Id") != "id-1" {
		t.Errorf("%q, %v", text, response.Header)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": DefaultPolicy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Strict-Transport-Security": hsts, "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, text := r.get(t, "/nowhere"); code(t, text) != "no_route" {
		t.Errorf("nowhere: %s", text)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"request_id":"id-1"`, `"actor_id":"u1"`, `"route":"/api/things/{id}"`, `"status":200`, `"bytes":`, `"duration_ms":`, `"address":"127.0.0.1"`, `"status":404`} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log has no %s:\n%s", want, r.log)
		}
	}
	if strings.Contains(r.log.String(), "secret-part") {
		t.Errorf("the log has a secret:\n%s", r.log)
	}
}

func TestWhoIsCalling(t *testing.T) {
	t.Parallel()
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, peerOf(r.RemoteAddr), " ", r.Header.Get("X-Forwarded-Proto"), " ", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Host"))
	}
	trusting := start(t, handler, func(o *Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	})
	plain := start(t, handler, nil)
	for _, test := range []struct {
		forwarded []string
		want      string
	}{
		{nil, "127.0.0.1"},
		{[]string{"198.51.100.7"}, "198.51.100.7"},
		{[]string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"}, // the left one is the client's own invention
		{[]string{"203.0.113.9", "198.51.100.7, 10.1.2.3"}, "198.51.100.7"},
		{[]string{"198.51.100.7, 2001:db8:1::5, 10.0.0.1"}, "198.51.100.7"},
		{[]string{"[2001:db8:2::7]:4711"}, "2001:db8:2::7"},
		{[]string{"198.51.100.7:4711"}, "198.51.100.7"},
		{[]string{"10.0.0.9, 10.0.0.8"}, "10.0.0.9"}, // all of them ours: the first
		{[]string{"198.51.100.7, nonsense, 10.0.0.8"}, "10.0.0.8"},
		{[]string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{[]string{""}, "127.0.0.1"},
	} {
		header := []string{"X-Forwarded-Host", "evil.example"}
		for _, line := range test.forwarded {
			header = append(header, "X-Forwarded-For", line)
		}
		if _, text := trusting.get(t, "/api/", header...); text != test.want+" http " {
			t.Errorf("%q: %q", test.forwarded, text)
		}
		if _, text := plain.get(t, "/api/", header...); text != "127.0.0.1 http " {
			t.Errorf("%q, from nobody trusted: %q", test.forwarded, text)
		}
	}
	for _, test := range []struct{ proto, want string }{{"https", "https"}, {"http, https", "https"}, {"https, http", "http"}, {"HTTPS", "https"}} {
		if _, text := trusting.get(t, "/api/", "X-Forwarded-Proto", test.proto); text != "127.0.0.1 "+test.want+" " {
			t.Errorf("scheme %q: %q", test.proto, text)
		}
		if _, text := plain.get(t, "/api/", "X-Forwarded-Proto", test.proto); text != "127.0.0.1 http " {
			t.Errorf("scheme %q, from nobody trusted: %q", test.proto, text)
		}
	}
	for id, want := range map[string]string{"abc-1.2_3": "abc-1.2_3", "with space": "id-", strings.Repeat("a", 65): "id-", `"},{`: "id-"} {
		if response, _ := trusting.get(t, "/api/", "X-Request-Id", id); !strings.HasPrefix(response.Header.Get("X-Request-Id"), want) {
			t.Errorf("id %q: %q", id, response.Header.Get("X-Request-Id"))
		}
		if response, _ := plain.get(t, "/api/", "X-Request-Id", id); !strings.HasPrefix(response.Header.Get("X-Request-Id"), "id-") {
			t.Errorf("id %q, from nobody trusted: %q", id, response.Header.Get("X-Request-Id"))
		}
	}
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("203.0.113.9", "198.51.100.7, 10.1.2.3")
	f.Add("[::1]:5, %", "fe80::1%eth0,,10.0.0.1")
	s := &Server{o: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, left, right string) {
		address := s.client(peer, []string{right})
		if !address.IsValid() {
			t.Fatalf("no address of %q", right)
		}
		if !s.trusts(address) && s.client(peer, []string{left, right}) != address {
			t.Fatalf("what is left of %q changes who is calling: %q", right, left)
		}
	})
}

func TestSlowLorisIsCut(t *testing.T) {
	t.Parallel()
	r := start(t, ok, func(o *Options) { o.Limits.HeaderTime = 100 * time.Millisecond })
	conn := r.dial(t)
	if _, err := io.WriteString(conn, "GET /api/ HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(conn); err != nil || strings.Contains(string(text), "200") {
		t.Errorf("%q %v", text, err)
	}
}

func TestASlowBodyIsCut(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	r := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		failed <- err
	}, func(o *Options) { o.Limits.BodyTime = time.Second })
	conn := r.dial(t)
	if _, err := io.WriteString(conn, "POST /api/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if err := <-failed; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the handler read: %v", err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection stays: %v", err)
	}
}

func TestASlowReaderIsCut(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	r := start(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for range 256 {
			if _, err := w.Write(chunk); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}, func(o *Options) { o.Limits.ReplyTime = 100 * time.Millisecond })
	conn := r.dial(t)
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if err := <-failed; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the handler wrote: %v", err)
	}
}

func TestAReaderThatKeepsUpHasTheTimeThatItTakes(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	r := start(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 4 {
			if _, err := w.Write(make([]byte, size/4)); err != nil {
				return
			}
			<-time.After(100 * time.Millisecond)
		}
	}, func(o *Options) { o.Limits.ReplyTime = 150 * time.Millisecond })
	if _, text := r.get(t, "/api/"); len(text) != size {
		t.Errorf("%d bytes arrived", len(text))
	}
}

func TestAHandlerThatTakesLongIsNotBrokenOff(t *testing.T) {
	t.Parallel()
	r := start(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Errorf("read: %v", err)
		}
		select {
		case <-time.After(1500 * time.Millisecond):
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	}, func(o *Options) { o.Limits.BodyTime, o.Limits.ReplyTime = time.Second, time.Second })
	var group sync.WaitGroup
	for _, body := range []string{"", "{}"} {
		group.Go(func() {
			response, err := r.client.Post(r.url+"/api/", "application/json", strings.NewReader(body))
			if err != nil {
				t.Errorf("body %q: %v", body, err)
				return
			}
			defer func() { _ = response.Body.Close() }()
			if text, err := io.ReadAll(response.Body); err != nil || string(text) != "done" {
				t.Errorf("body %q: %q %v", body, text, err)
			}
		})
	}
	group.Wait()
}

func TestAStreamLastsAndEndsWithTheServer(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	r := start(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; ; n++ {
			_ = control.SetWriteDeadline(time.Now().Add(5 * time.Second))
			_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
			if control.Flush() != nil {
				return
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-stopping:
				return
			case <-r.Context().Done():
				t.Error("the stream was broken off")
				return
			}
		}
	}, func(o *Options) {
		o.Limits.BodyTime, o.Limits.ReplyTime = time.Second, time.Second
		o.Stopping = func() { close(stopping) }
	})
	conn := r.dial(t)
	if _, err := io.WriteString(conn, "GET /api/ HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAccept-Encoding: gzip\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	seen := 0
	for seen < 8 && lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data: ") {
			seen++
		}
	}
	if seen != 8 {
		t.Fatalf("%d events: %v", seen, lines.Err())
	}
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestLargeHeadersAndBodiesAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t, func(w http.ResponseWriter, r *http.Request) {
		var large *http.MaxBytesError
		if _, err := io.ReadAll(r.Body); errors.As(err, &large) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		ok(w, r)
	}, func(o *Options) {
		o.Limits.MaxHeader, o.Limits.MaxBody = 8<<10, 100
		o.Routes = append(o.Routes, Route{Pattern: "POST /api/import", Handler: http.HandlerFunc(ok), MaxBody: 1000, BodyTime: time.Minute},
			Route{Pattern: "POST /webhooks/{service_id}", Kind: Webhook, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				_, _ = fmt.Fprint(w, len(body), err)
			})})
	})
	if response, _ := r.get(t, "/api/", "X-Large", strings.Repeat("a", 20<<10)); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large header: %d", response.StatusCode)
	}
	body := strings.Repeat("a", 200)
	if response, text := r.send(t, http.MethodPost, "/api/", strings.NewReader(body)); response.StatusCode != http.StatusRequestEntityTooLarge || code(t, text) != "too_large" {
		t.Errorf("a large body: %d %s", response.StatusCode, text)
	}
	if response, _ := r.send(t, http.MethodPost, "/api/", io.MultiReader(strings.NewReader(body))); response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body of unknown length: %d", response.StatusCode)
	}
	if _, text := r.send(t, http.MethodPost, "/webhooks/s1", strings.NewReader(body)); text != "200 <nil>" {
		t.Errorf("a delivery, which its handler bounds: %s", text)
	}
	if response, _ := r.send(t, http.MethodPost, "/api/import", strings.NewReader(body)); response.StatusCode != http.StatusOK {
		t.Errorf("where more is allowed: %d", response.StatusCode)
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	r := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/late" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "some")
		}
		w.Header().Set("Content-Encoding", "br")
		panic("it broke")
	}, nil)
	response, text := r.get(t, "/api/")
	if response.StatusCode != http.StatusInternalServerError || code(t, text) != "internal" || strings.Contains(text, "broke") || !strings.Contains(text, "id-1") {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/late", nil)
	if err != nil {
		t.Fatal(err)
	}
	late, err := r.client.Do(request)
	if err == nil {
		_, err = io.ReadAll(late.Body)
		_ = late.Body.Close()
	}
	if err == nil {
		t.Error("a reply that broke off looks whole")
	}
	if _, text := r.get(t, "/healthz"); !strings.Contains(text, "alive") {
		t.Errorf("afterwards: %s", text)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if text := r.log.String(); !strings.Contains(text, `"panic":"it broke"`) || !strings.Contains(text, `"broken_off":true`) || !strings.Contains(text, "server_test.go") {
		t.Errorf("the log: %s", text)
	}
}

func TestRequestsUnderWayEndBeforeTheServerDoes(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	r := start(t, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		_, _ = io.WriteString(w, "done")
	}, func(o *Options) {
		o.Drain = 50 * time.Millisecond
		o.Stopping = func() { close(release) }
	})
	replied := make(chan string, 1)
	go func() {
		response, err := r.client.Get(r.url + "/api/")
		if err != nil {
			replied <- err.Error()
			return
		}
		defer func() { _ = response.Body.Close() }()
		text, _ := io.ReadAll(response.Body)
		replied <- string(text)
	}()
	<-begun
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if text := <-replied; text != "done" {
		t.Errorf("the request under way: %s", text)
	}
}

func TestRequestsThatDoNotEndAreCutOff(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}), make(chan struct{})
	r := start(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	}, func(o *Options) { o.Grace = 50 * time.Millisecond })
	conn := r.dial(t)
	if _, err := io.WriteString(conn, "GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	<-ended
}

func TestOtherHostsAreRefusedWhenThatIsAskedFor(t *testing.T) {
	t.Parallel()
	r := start(t, ok, func(o *Options) { o.PublicURL, o.CheckHost = "https://tandem.example.com", true })
	for host, want := range map[string]int{"tandem.example.com": 200, "TANDEM.example.com:443": 200, "evil.example": 421, "tandem.example.com:80": 421} {
		if response, _ := r.get(t, "/api/", "Host", host); response.StatusCode != want {
			t.Errorf("%s: %d", host, response.StatusCode)
		}
	}
	if response, _ := r.get(t, "/healthz", "Host", "10.0.0.1"); response.StatusCode != http.StatusOK {
		t.Errorf("a probe: %d", response.StatusCode)
	}
}

func TestTextIsCompressedAndStreamsAreNot(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("all work and no play ", 200)
	r := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		_, _ = io.WriteString(w, long)
	}, nil)
	for _, test := range []struct{ kind, accept, want string }{
		{"application/json", "*/*", "gzip"}, {"text/html", "*/*", "gzip"}, {"image/png", "*/*", ""}, {"text/event-stream", "text/event-stream", ""},
	} {
		response, text := r.get(t, "/api/?type="+test.kind, "Accept-Encoding", "gzip", "Accept", test.accept)
		if got := response.Header.Get("Content-Encoding"); got != test.want || test.want == "gzip" && len(text) > len(long)/2 {
			t.Errorf("%s: %q, %d bytes", test.kind, got, len(text))
		}
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"a public URL without a scheme": {PublicURL: "tandem.example.com"}, "half of a certificate": {CertFile: "cert.pem"},
		"hosts without a public URL": {CheckHost: true}, "a certificate that is not there": {CertFile: "no/cert.pem", KeyFile: "no/key.pem"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	first := start(t, ok, nil)
	second, err := New(Options{Listen: []string{"127.0.0.1:0", first.addr}})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), first.addr) {
		t.Errorf("an address that is taken: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", Options{MetricsToken: "secret-part"}, Options{MetricsToken: "secret-part"}, Options{MetricsToken: "secret-part"}); strings.Contains(text, "secret-part") {
		t.Error("the metrics' token is printed")
	}
}
