// Package clienttest is the contract between the Golioth client and a service that it talks to: Golioth
// itself, the simulator, anything that speaks the same API.
//
// It runs against any base URL and key, touches only what it made itself (every name begins with a random
// prefix), takes it away again even after a failure, and accepts each of the behaviours that no source
// settles (API.md §18).
package clienttest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/golioth"
)

// Target is a project to run against.
type Target struct {
	BaseURL   string
	Project   string
	Key       golioth.Secret
	Budget    tandem.Budget     // nil for no limit
	Transport http.RoundTripper // nil for the client's own
	Retry     golioth.Retry     // zero for what is right for a real service
	// Settle is how long a write may take to show; 0 means 10 s. LightDB State is known to lag.
	Settle time.Duration
}

// suite is one run of the contract.
type suite struct {
	target Target
	client *golioth.Client
	prefix string // of every name that is made
}

// Run runs the contract. It fails with what differs, and leaves nothing behind.
func Run(t *testing.T, target Target) {
	t.Helper()
	if target.Settle == 0 {
		target.Settle = 10 * time.Second
	}
	s := &suite{target: target, client: newClient(t, target), prefix: "tandem-test-" + random(t, 5) + "-"}
	defer s.sweep(t) // while the target is still there

	t.Run("project", s.project)
	t.Run("keys", s.keys)
	for _, kind := range []tandem.EntityKind{tandem.TagEntity, tandem.BlueprintEntity, tandem.CohortEntity} {
		t.Run(string(kind), func(t *testing.T) { s.entity(t, kind) })
	}
	t.Run("device", s.device)
	t.Run("device names", s.names)
	t.Run("patch", s.patch)
	t.Run("missing device", s.missing)
	t.Run("listing", s.listing)
	t.Run("state", s.state)
	t.Run("stream", s.stream)
	t.Run("credentials", s.credentials)
	t.Run("secrets", s.secrets)
	t.Run("pipelines", s.pipelines)
}

func newClient(t *testing.T, target Target) *golioth.Client {
	t.Helper()
	c, err := golioth.New(golioth.Options{BaseURL: target.BaseURL, Project: target.Project, Key: target.Key, Budget: target.Budget,
		Transport: target.Transport, Retry: target.Retry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// random gives n random bytes in hex.
func random(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// within gives a context for a part of the suite; deferred clean-up has one of its own.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// after gives a context for clean-up, which runs when the test's own is over.
func after() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

// eventually repeats check until it gives "", and fails with what it gives when the time to settle is over.
func (s *suite) eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.NewTimer(s.target.Settle)
	defer deadline.Stop()
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		problem := check()
		if problem == "" {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Errorf("after %v: %s", s.target.Settle, problem)
			return
		}
	}
}

// fails reports an error that has none of the codes, or no error.
func fails(t *testing.T, what string, err error, codes ...tandem.Code) {
	t.Helper()
	if !tandem.Is(err, codes...) {
		t.Errorf("%s: %v (%q), where one of %q was due", what, err, tandem.CodeOf(err), codes)
	}
}

// makeDevice creates a device that goes away with the test.
func (s *suite) makeDevice(t *testing.T, ctx context.Context, n tandem.NewRemoteDevice) tandem.RemoteDevice {
	t.Helper()
	d, err := s.client.CreateDevice(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := after()
		defer cancel()
		if err := s.client.DeleteDevice(ctx, d.ID); err != nil && !gone(err) {
			t.Errorf("clean up: %v", err)
		}
	})
	return d
}

// gone reports whether an error says that there is nothing left to delete, whatever its code (API.md §18.3).
func gone(err error) bool { return tandem.Is(err, tandem.NotFound, tandem.Invalid) }

// makeEntity creates a tag, blueprint or cohort that goes away with the test.
func (s *suite) makeEntity(t *testing.T, ctx context.Context, kind tandem.EntityKind, name string) tandem.RemoteEntity {
	t.Helper()
	e, err := s.client.CreateEntity(ctx, kind, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := after()
		defer cancel()
		if err := s.client.DeleteEntity(ctx, kind, e.ID); err != nil && !gone(err) {
			t.Errorf("clean up: %v", err)
		}
	})
	return e
}

// sweep deletes what is left under the prefix: something whose create was made but not answered.
func (s *suite) sweep(t *testing.T) {
	ctx, cancel := after()
	defer cancel()
	s.sweepPipelines(t, ctx)
	for page, err := range s.client.Devices(ctx, tandem.RemoteListing{Term: s.prefix}) {
		if err != nil {
			t.Errorf("clean up: %v", err)
			break
		}
		for _, d := range page.Devices {
			if strings.HasPrefix(d.Name, s.prefix) {
				if err := s.client.DeleteDevice(ctx, d.ID); err != nil && !gone(err) {
					t.Errorf("clean up: %v", err)
				}
			}
		}
	}
	for _, kind := range []tandem.EntityKind{tandem.TagEntity, tandem.BlueprintEntity, tandem.CohortEntity} {
		all, err := s.client.Entities(ctx, kind)
		if err != nil {
			t.Errorf("clean up: %v", err)
			continue
		}
		for _, e := range all {
			if strings.HasPrefix(e.Name, s.prefix) {
				if err := s.client.DeleteEntity(ctx, kind, e.ID); err != nil && !gone(err) {
					t.Errorf("clean up: %v", err)
				}
			}
		}
	}
}
