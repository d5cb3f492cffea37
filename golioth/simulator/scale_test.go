package simulator

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tandem"
)

// TestScale makes 100,000 devices: what they cost decides whether 1,000,000 fit into 2.5 GB and start in 15 s.
func TestScale(t *testing.T) {
	const n = 100_000
	began := time.Now()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	server, err := New(Options{Seed: 1, PageCache: 1 << 20, Projects: []Project{{ID: "demo", Keys: []string{"k1"}, Devices: n}}})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / n
	if each > 1150 { // the collector lets the heap double
		t.Errorf("a device takes %.0f bytes", each)
	}
	t.Logf("%d devices in %v, %.0f bytes each", n, time.Since(began).Round(time.Millisecond), each)

	allocations := testing.AllocsPerRun(20, func() {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/projects/demo/devices?page=900&perPage=100", nil)
		r.Header.Set("X-Api-Key", "k1")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"total":100000`) {
			t.Fatal(w.Code)
		}
	})
	if allocations > 200 {
		t.Errorf("a page far into the listing takes %.0f allocations: it must not depend on the page's place or render anew", allocations)
	}
}

// BenchmarkListing lists 10,000 devices, as a full import does.
func BenchmarkListing(b *testing.B) {
	for _, path := range []string{"", "&statePath=metadata"} {
		b.Run("path"+path, func(b *testing.B) {
			server, err := New(Options{Projects: []Project{{ID: "demo", Keys: []string{"k1"}, Devices: 10_000}}})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for number := range 100 {
					r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, fmt.Sprintf("/v1/projects/demo/devices?page=%d%s", number, path), nil)
					r.Header.Set("X-Api-Key", "k1")
					w := httptest.NewRecorder()
					server.ServeHTTP(w, r)
					if w.Code != http.StatusOK {
						b.Fatal(w.Code)
					}
				}
			}
		})
	}
}

// signal is a writer that tells when something was written.
type signal struct {
	text    bytes.Buffer
	written chan struct{}
}

func (s *signal) Write(p []byte) (int, error) {
	n, err := s.text.Write(p)
	close(s.written)
	return n, err
}

func TestCommandServesUntilItIsInterrupted(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, cancel := context.WithCancel(t.Context())
	out := &signal{written: make(chan struct{})}
	done := make(chan error, 1)
	command := Command{Listen: "127.0.0.1:0", Project: []string{"demo"}, APIKey: []string{"k"}, Devices: 12, Latency: "1ms", Seed: 1,
		Fault: []string{"hang:GET /tags"}}
	go func() { done <- command.Run(ctx, out) }()
	select {
	case <-out.written:
	case err := <-done:
		t.Fatalf("ended at once: %v", err)
	}
	text := out.text.String()
	_, rest, found := strings.Cut(text, "http://")
	address, _, _ := strings.Cut(rest, " ")
	if !found || !strings.Contains(text, "project demo: 12 devices") || strings.Contains(text, "\"k\"") {
		t.Fatal(text)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "bearer k")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %s", response.Status)
		}
		if closed := response.Body.Close(); err == nil {
			err = closed
		}
		return err
	}
	if err := get("/v1/projects/demo/devices"); err != nil {
		t.Error(err)
	}
	second := command
	second.Listen, second.Quiet = address, true
	if err := second.Run(ctx, out); !tandem.Is(err, tandem.Unavailable) {
		t.Errorf("a second one on the same address: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCommandRefusesWrongFlags(t *testing.T) {
	var out bytes.Buffer
	if err := (&Command{Explain: true}).Run(t.Context(), &out); err != nil || !strings.Contains(out.String(), "reset-after") || !strings.Contains(out.String(), "state-write=merge|replace") {
		t.Fatalf("%v: %s", err, out.String())
	}
	good := Command{Latency: "0s", Project: []string{"a"}, APIKey: []string{"k"}}
	for name, spoil := range map[string]func(*Command){
		"latency": func(c *Command) { c.Latency = "fast" },
		"fault":   func(c *Command) { c.Fault = []string{"nonsense"} },
		"unknown": func(c *Command) { c.Unknown = []string{"state-write=sometimes"} },
		"key":     func(c *Command) { c.APIKey = []string{"b=k"} },
		"project": func(c *Command) { c.Project = []string{"a/b"} },
		"twice":   func(c *Command) { c.Project = []string{"a", "a"} },
		"devices": func(c *Command) { c.Devices = -1 },
		"rate":    func(c *Command) { c.RequestsPerMinute = -1 },
	} {
		c := good
		spoil(&c)
		if err := c.Run(t.Context(), &out); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
