package golioth_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem/golioth"
	"tandem/golioth/clienttest"
	"tandem/golioth/simulator"
)

// TestContract runs the client's contract against the simulator, as it is and then with each of the
// things that nobody knows of the real service (API.md §18) the other way round.
func TestContract(t *testing.T) {
	switches := []string{"", "state-delay=600ms", "stream-window=1m"}
	for _, names := range simulator.UnknownNames() {
		name, values, _ := strings.Cut(names, "=")
		for i, value := range strings.Split(values, "|") {
			if i > 0 {
				switches = append(switches, name+"="+value)
			}
		}
	}
	const key = "0123456789abcdef0123456789abcdef"
	for _, unknown := range switches {
		t.Run("with "+unknown, func(t *testing.T) {
			t.Parallel()
			o := simulator.Options{Projects: []simulator.Project{{ID: "demo", Keys: []string{key}, Devices: 250}}}
			if unknown != "" {
				if err := o.Unknowns.Set(unknown); err != nil {
					t.Fatal(err)
				}
			}
			s, err := simulator.New(o)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(s)
			defer server.Close()
			clienttest.Run(t, clienttest.Target{BaseURL: server.URL, Project: "demo", Key: key,
				Retry: golioth.Retry{Confirm: time.Millisecond}})
		})
	}
}
