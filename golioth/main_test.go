package golioth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tandem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "k3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3"

// quick retries at once.
var quick = Retry{First: time.Millisecond, Max: 2 * time.Millisecond, Confirm: time.Millisecond, Jitter: func() float64 { return 0 }}

// serve gives a client of a server that answers with handle. The key is checked on each request.
func serve(t *testing.T, handle http.HandlerFunc, change ...func(*Options)) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-api-key") != testKey {
			t.Errorf("%s %s came with the key %q", r.Method, r.URL, r.Header.Get("x-api-key"))
		}
		handle(w, r)
	}))
	t.Cleanup(server.Close)
	o := Options{BaseURL: server.URL + "/", Project: "my project", Key: testKey, Retry: quick}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// say answers with a status and a JSON body.
func say(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := io.WriteString(w, body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// answers serves one reply after another, the last one for ever, and counts.
type answers struct {
	mu      sync.Mutex
	count   int
	replies []func(http.ResponseWriter, *http.Request)
}

func (a *answers) handle(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	reply := a.replies[min(a.count, len(a.replies)-1)]
	a.count++
	a.mu.Unlock()
	reply(w, r)
}

func (a *answers) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

func status(code int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { say(w, code, body) }
}

// reset breaks the connection without an answer.
func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// truncated promises more than it sends.
func truncated(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	say(w, 200, `{"data":{"id":"a1","name":"x"`)
	w.(http.Flusher).Flush()
	reset(nil, nil)
}

// silent does not answer until the client leaves.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

var good = status(200, `{"data":`+wire(1)+`}`)

const goodID = "67f0a1b2c3d4e5f600000001"

// transport answers without a network, so that a synctest bubble can tell when all are waiting.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer makes a reply for a transport; headers come in pairs.
func answer(code int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// wants fails unless err has the code and all the fragments, and never the key.
func wants(t *testing.T, err error, code tandem.Code, fragments ...string) {
	t.Helper()
	if !tandem.Is(err, code) {
		t.Errorf("%v has code %q, not %q", err, tandem.CodeOf(err), code)
	}
	for text, e := "", err; e != nil; e = errors.Unwrap(e) {
		if text = fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, testKey) {
			t.Errorf("the key shows in %s", text)
		}
	}
	for _, f := range fragments {
		if err != nil && !strings.Contains(err.Error(), f) {
			t.Errorf("%q does not say %q", err, f)
		}
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
