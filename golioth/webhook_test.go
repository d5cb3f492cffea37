package golioth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/golioth"
	"tandem/golioth/simulator"
)

// TestWebhookPipelineDelivers connects a simulated project to a receiver, as a person would over the API, and
// lets a device report.
func TestWebhookPipelineDelivers(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef0123456789abcdef"
	s, err := simulator.New(simulator.Options{Projects: []simulator.Project{{ID: "demo", Keys: []string{key}, Devices: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server := httptest.NewServer(s)
	defer server.Close()
	type delivery struct {
		header http.Header
		body   string
	}
	deliveries := make(chan delivery, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		deliveries <- delivery{r.Header, string(body)}
	}))
	defer receiver.Close()
	c, err := golioth.New(golioth.Options{BaseURL: server.URL, Project: "demo", Key: key, Retry: golioth.Retry{Confirm: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	if err := c.PutSecret(t.Context(), "TANDEM", `s3cret "of" $ signs: {}`); err != nil {
		t.Fatal(err)
	}
	for _, paths := range [][]string{nil, {"/sensor"}, {"sensor/", "/sensor/"}, {"/se*"}, {"/sensor", "/state"}, {"/a", "/sensor"}, {"/sensor", "/*"}} {
		made, err := c.PutPipeline(t.Context(), "tandem", golioth.WebhookPipeline(receiver.URL+"/webhooks/golioth/1?a=b&c", "X-Tandem-Secret", "TANDEM", paths...), true)
		if err != nil {
			t.Fatal(err)
		}
		device, err := s.Devices("demo")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send("demo", device[1].ID, "/sensor", "application/json", []byte(`{"battery":7}`)); err != nil {
			t.Fatal(err)
		}
		got := <-deliveries
		if got.header.Get("Ce-Source") != device[1].ID || got.header.Get("X-Tandem-Secret") != `s3cret "of" $ signs: {}` || got.body != `{"battery":7}` {
			t.Errorf("%v: %+v", paths, got)
		}
		if err := c.DeletePipeline(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Drain(t.Context()); err != nil || len(deliveries) > 0 {
		t.Errorf("%d more deliveries, %v", len(deliveries), err)
	}
}

func TestWebhookPipeline(t *testing.T) {
	t.Parallel()
	const want = `filter:
  path: "/temp/*"
steps:
  - name: deliver
    destination:
      type: webhook
      version: v1
      parameters:
        url: "https://example.com/a?b=1&c=\"d\""
        headers:
          "X-Tandem-Secret": "$TANDEM"
`
	if got := golioth.WebhookPipeline(`https://example.com/a?b=1&c="d"`, "X-Tandem-Secret", "TANDEM", "/temp/*"); got != want {
		t.Errorf("%s", got)
	}
	for _, test := range []struct {
		paths []string
		want  string
	}{
		{nil, ""}, {[]string{"/"}, ""}, {[]string{"*"}, ""}, {[]string{"/*", "/a"}, ""}, {[]string{"/a", "b"}, ""},
		{[]string{"a"}, "/a"}, {[]string{"/a", "/a"}, "/a"}, {[]string{"/ab", "/ac"}, "/a*"}, {[]string{"/ab*", "/abc", "/abd"}, "/ab*"},
		{[]string{"/é1", "/è1"}, ""}, {[]string{"/xé", "/xè"}, "/x*"},
	} {
		text := golioth.WebhookPipeline("https://example.com", "a", "B", test.paths...)
		filter, _, _ := strings.Cut(text, "steps:")
		if want := "filter:\n  path: \"" + test.want + "\"\n"; filter != want && (test.want != "" || filter != "") {
			t.Errorf("%q gives %q", test.paths, filter)
		}
	}
}

// TestSecondPipelineOfAName is refused, where Golioth may let two be.
func TestSecondPipelineOfAName(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef0123456789abcdef"
	s, err := simulator.New(simulator.Options{Projects: []simulator.Project{{ID: "demo", OrganizationID: "acme", Keys: []string{key}}},
		Unknowns: simulator.Unknowns{PipelineName: "free"}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	for range 2 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/organizations/acme/projects/demo/pipelines",
			strings.NewReader(`{"name":"two","pipeline":"c3RlcHM6IFt7ZGVzdGluYXRpb246IHt0eXBlOiBsb2dzfX1d"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Api-Key", key)
		answer, err := server.Client().Do(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", answer, err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	c, err := golioth.New(golioth.Options{BaseURL: server.URL, Project: "demo", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.PutPipeline(t.Context(), "two", "steps: []", false); !tandem.Is(err, tandem.Invalid) || !strings.Contains(err.Error(), "several") {
		t.Errorf("%v", err)
	}
}
