package simulator

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"tandem"
)

// receiver keeps the requests that it gets.
type receiver struct {
	url    string
	answer func(int) int // the status for the n-th request, from 1; nil for 200

	mu       sync.Mutex
	requests []received
}

type received struct {
	header http.Header
	body   string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.requests = append(r.requests, received{request.Header.Clone(), string(body)})
		n, answer := len(r.requests), r.answer
		r.mu.Unlock()
		if answer != nil {
			w.WriteHeader(answer(n))
		}
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) answerWith(answer func(int) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.requests...)
}

// piped is a world of one device and a pipeline that posts to a receiver.
type piped struct {
	*world
	*receiver
	device string
}

const organization = "/v1/organizations/acme/projects/demo"

func newPiped(t *testing.T, options Options, filter string) *piped {
	t.Helper()
	options.Projects = bare()
	p := &piped{world: newWorld(t, options), receiver: newReceiver(t)}
	t.Cleanup(p.server.Close)
	d, err := p.server.CreateDevice("demo", tandem.NewRemoteDevice{Name: "one"})
	if err != nil {
		t.Fatal(err)
	}
	p.device = d.ID
	p.world.call("POST", organization+"/secrets", `{"name":"HOOK","secret":"s3cret","type":"PIPELINE"}`).want(t, 200, `{"data":{"name":"HOOK","type":"PIPELINE"}}`)
	p.pipe("deliver", filter+`
steps:
  - name: s0
    destination: {type: webhook, version: v1, parameters: {url: "`+p.receiver.url+`", headers: {x-token: $HOOK, x-plain: a$HOOK}}}
`).want(t, 200)
	return p
}

func (p *piped) pipe(name, text string) answer {
	return p.world.call("POST", organization+"/pipelines", `{"name":"`+name+`","enabled":true,"pipeline":"`+base64.StdEncoding.EncodeToString([]byte(text))+`"}`)
}

func (p *piped) send(t *testing.T, path, kind, body string) {
	t.Helper()
	if err := p.server.Send("demo", p.device, path, kind, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func (p *piped) drain(t *testing.T) []received {
	t.Helper()
	if err := p.server.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p.all()
}

func TestDeliveryHasTheHeadersOfTheService(t *testing.T) {
	t.Parallel()
	p := newPiped(t, Options{}, "filter: {path: /temp/*}")
	p.send(t, "/temp/a b", "application/json", `{"t": 1}`)
	p.send(t, "/other", "application/json", `{}`)
	got := p.drain(t)
	if len(got) != 1 {
		t.Fatalf("%d deliveries", len(got))
	}
	for name, want := range map[string]string{"Ce-Source": p.device, "Ce-Subject": "demo", "Ce-Type": "io.golioth.data.v1/.s/temp/a b",
		"Ce-Time": "2025-06-01T08:00:00.415000Z", "Content-Type": "application/json", "X-Token": "s3cret", "X-Plain": "a$HOOK", "Ce-Id": ""} {
		if have := got[0].header.Get(name); have != want {
			t.Errorf("%s is %q, not %q", name, have, want)
		}
	}
	if got[0].body != `{"t": 1}` {
		t.Errorf("the body is %q", got[0].body)
	}
	if n := p.server.Deliveries(); n.Made != 1 || n.Accepted != 1 || n.ByStatus[200] != 1 || n.Waiting != 0 {
		t.Errorf("%+v", n)
	}
	missed := p.world.call("GET", organization+"/pipeline-unmatched", "")
	missed.want(t, 200, `"path":"/other"`)
	if strings.Contains(missed.text, "/temp") {
		t.Error("what was taken is told as unmatched")
	}
}

// BenchmarkDelivery sends through a pipeline to a receiver in this process.
func BenchmarkDelivery(b *testing.B) {
	server, err := New(Options{Projects: bare()})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer receiver.Close()
	d, err := server.CreateDevice("demo", tandem.NewRemoteDevice{Name: "one"})
	if err != nil {
		b.Fatal(err)
	}
	x := &pipeline{id: "x", name: "x", enabled: true, text: []byte("steps: [{destination: {type: webhook, parameters: {url: '" + receiver.URL + "'}}}]")}
	p := server.project("demo")
	if err := p.checkPipeline(nil, x); err != nil {
		b.Fatal(err)
	}
	p.pipelines = append(p.pipelines, x)
	body := []byte(`{"battery":55,"location":{"lat":47.37,"lon":8.54}}`)
	for b.Loop() {
		if err := server.Send("demo", d.ID, "/sensor", jsonType, body); err != nil {
			b.Fatal(err)
		}
	}
	if err := server.Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
	if n := server.Deliveries(); n.Accepted != b.N {
		b.Errorf("%+v", n)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
