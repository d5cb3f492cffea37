package simulator_test

import (
	"net/http/httptest"
	"testing"

	"tandem/golioth"
	"tandem/golioth/clienttest"
	"tandem/golioth/simulator"
)

// TestContract runs the client's contract against the simulator, under several settings of what nobody knows.
func TestContract(t *testing.T) {
	for name, unknowns := range map[string]simulator.Unknowns{
		"defaults": {},
		"the other way": {PutOmitted: "keep", PutEnabled: "disable", StateWrite: "replace", StatePatch: "replace", Duplicate: "400", BadID: "404",
			InUse: "refuse", InUseCode: "409", MissingReference: "400", PerPageOver: "400", MissingProject: "404", RetryAfter: "date",
			ListingData: "keyed", ByTag: "id", EmptyPatch: "ignore"},
		"a third way": {BadID: "500", InUse: "leave", ListingData: "value", ByTag: "name"},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := simulator.New(simulator.Options{Seed: 9, Unknowns: unknowns,
				Projects: []simulator.Project{{ID: "demo", Keys: []string{"a-key"}, Devices: 230}}})
			if err != nil {
				t.Fatal(err)
			}
			listening := httptest.NewServer(server)
			defer listening.Close()
			clienttest.Run(t, clienttest.Target{BaseURL: listening.URL, Project: "demo", Key: golioth.Secret("a-key")})
			if n, err := server.DeviceCount("demo"); err != nil || n != 230 {
				t.Errorf("%d devices afterwards, want the 230 of the start (%v)", n, err)
			}
		})
	}
}
