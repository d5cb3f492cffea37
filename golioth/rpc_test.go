package golioth_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"tandem"
	"tandem/golioth"
	"tandem/golioth/simulator"
)

// TestCallAgainstTheSimulator: what a device does, what it refuses, and what it is too silent to answer.
func TestCallAgainstTheSimulator(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef0123456789abcdef"
	s, err := simulator.New(simulator.Options{Projects: []simulator.Project{{ID: "demo", Keys: []string{key}, Devices: 200}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := golioth.New(golioth.Options{BaseURL: server.URL, Project: "demo", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	silent, err := c.CreateDevice(t.Context(), tandem.NewRemoteDevice{Name: "silent", HardwareIDs: []string{"silent"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), silent.ID, "blink", []any{3}, time.Second); !tandem.Is(err, tandem.Timeout, tandem.Unavailable) {
		t.Errorf("a device that was never there answered: %v", err)
	}
	if _, err := c.Call(t.Context(), "000000000000000000000000", "blink", nil, time.Second); !tandem.Is(err, tandem.NotFound) {
		t.Errorf("a device that is not there answered: %v", err)
	}
}
