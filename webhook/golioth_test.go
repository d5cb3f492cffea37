package webhook_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"tandem"
	"tandem/golioth"
	"tandem/golioth/simulator"
	"tandem/webhook"
)

// remotely links a new device to one that the simulator has.
func (w *world) remotely(remote tandem.RemoteDevice) string {
	w.Helper()
	at := w.now().Add(-time.Hour)
	d := tandem.Device{ID: newID(), OrganizationID: w.org, Name: remote.Name, DeviceID: remote.Name, Lifecycle: tandem.Active, Enabled: true, CreatedAt: at, UpdatedAt: at}
	a := tandem.Assignment{ID: newID(), OrganizationID: w.org, DeviceID: d.ID, ServiceID: w.service.ID, ExternalDeviceID: remote.ID, SyncEnabled: true,
		Status: tandem.SyncSynced, CreatedAt: at, UpdatedAt: at}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{CreateDevices: []tandem.Device{d}, CreateAssignments: []tandem.Assignment{a}}))
	return d.ID
}

// TestTheSimulatorsPipeline has a Golioth project deliver over a pipeline that its API made, with losses, doubles and
// deliveries that overtake each other, corrupt ones and ones with a wrong secret.
func TestTheSimulatorsPipeline(t *testing.T) {
	const key, token = "0123456789abcdef0123456789abcdef", "X-Tandem-Secret"
	both(t, func(w *world) {
		sim, err := simulator.New(simulator.Options{Seed: 3, Clock: w.now, Founded: w.now().Add(-time.Hour),
			Projects: []simulator.Project{{ID: "demo", Keys: []string{key}, Devices: 5}}})
		w.must(err)
		defer sim.Close()
		server := httptest.NewServer(sim)
		defer server.Close()
		client, err := golioth.New(golioth.Options{BaseURL: server.URL, Project: "demo", Key: key})
		w.must(err)
		defer client.Close()
		w.must(client.PutSecret(w.Context(), "HOOK", theSecret))
		_, err = client.PutPipeline(w.Context(), "tandem", golioth.WebhookPipeline(w.server.URL+"/webhooks/golioth/"+w.service.ID, token, "HOOK"), true)
		w.must(err)
		remotes, err := sim.Devices("demo")
		w.must(err)
		ids := make([]string, len(remotes))
		for i := range remotes {
			ids[i] = w.remotely(remotes[i])
		}
		for _, f := range []simulator.Fault{{Kind: simulator.DoubleFault, Every: 3}, {Kind: simulator.WrongSecretFault, Every: 7}, {Kind: simulator.CorruptFault, Every: 11},
			{Kind: simulator.LateFault, Rate: 0.3, Latency: simulator.Latency{P50: 10 * time.Millisecond, P99: 30 * time.Millisecond}}} {
			sim.AddFault(f)
		}
		const rounds = 20
		for n := range rounds {
			for i := range remotes {
				w.offset.Add(int64(time.Millisecond)) // no two at one instant
				w.must(sim.Send("demo", remotes[i].ID, "/sensor", "application/json", []byte(fmt.Sprintf(`{"battery":%d}`, n))))
			}
		}
		w.must(sim.Drain(w.Context()))
		w.process()
		sim.SetFaults() // the last word comes through
		for i := range remotes {
			w.offset.Add(int64(time.Millisecond))
			w.must(sim.Send("demo", remotes[i].ID, "/sensor", "application/cbor", []byte("\xa1\x67battery\x18\x63")))
		}
		w.must(sim.Drain(w.Context()))
		w.process()
		for _, id := range ids {
			w.equal(w.device(id).BatteryLevel, 99)
		}
		counts := sim.Deliveries()
		if int64(counts.Accepted) != w.tally.Total(webhook.Stored)+w.tally.Total(webhook.Duplicate) || counts.Failed > 0 || w.tally.Total(webhook.Duplicate) == 0 {
			w.Errorf("the simulator counts %+v, we %+v", counts, w.tally.Counts())
		}
		w.equal(w.tally.Total(webhook.Processed)+w.tally.Total(webhook.Died), w.tally.Total(webhook.Stored))
		if counts.Refused == 0 || int64(counts.Refused) != w.tally.Total(webhook.Refused) {
			w.Errorf("%d were refused there, %d here", counts.Refused, w.tally.Total(webhook.Refused))
		}
	}, config(func(c *tandem.ServiceConfig) {
		c.Webhook = tandem.WebhookConfig{Scheme: tandem.HeaderScheme, Paths: map[string]string{"battery_level": "sensor:battery"}}
	}))
}

// TestTheSimulatorsEvents has it send device events by each scheme.
func TestTheSimulatorsEvents(t *testing.T) {
	const standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	both(t, func(w *world) {
		sim, err := simulator.New(simulator.Options{Seed: 3, Clock: w.now, Founded: w.now().Add(-time.Hour), Projects: []simulator.Project{{ID: "demo", Keys: []string{"k"}, Devices: 1}}})
		w.must(err)
		defer sim.Close()
		remotes, err := sim.Devices("demo")
		w.must(err)
		id := w.remotely(remotes[0])
		for i, c := range []struct {
			scheme string
			ours   tandem.WebhookScheme
			secret string
		}{{simulator.SignatureScheme, tandem.SignatureScheme, theSecret}, {simulator.PrefixedScheme, tandem.SignatureScheme, theSecret},
			{simulator.StandardScheme, tandem.StandardScheme, standardSecret}, {simulator.HeaderScheme, tandem.HeaderScheme, theSecret}} {
			w.keep(c.secret)
			w.reconfigure(func(s *tandem.Service) { s.Config.Webhook.Scheme = c.ours })
			w.must(sim.SetEvents("demo", simulator.Events{URL: w.server.URL + "/webhooks/golioth/" + w.service.ID, Secret: c.secret, Scheme: c.scheme}))
			w.offset.Add(int64(time.Second))
			w.must(sim.Emit("demo", remotes[0].ID, "device.data", map[string]any{"battery_level": 10 + i, "location": map[string]any{"lat": i, "lon": 1}}))
			name := fmt.Sprintf("renamed-%d", i)
			_, err := sim.EditDevice("demo", remotes[0].ID, tandem.RemotePatch{Name: &name})
			w.must(err)
			w.must(sim.Drain(w.Context()))
			w.offset.Add(int64(5 * time.Second)) // past what the processor remembers of the service
			w.process()
			w.equal(w.device(id).BatteryLevel, 10+i)
			w.equal(w.device(id).Location.Latitude, i)
		}
		pushes, err := w.store.DuePushes(w.Context(), w.org, w.service.ID, w.now().Add(time.Minute), 10)
		w.must(err)
		w.equal(len(pushes), 1)
		w.equal(w.tally.Total(webhook.Refused), 0)
		w.equal(w.tally.Total(webhook.Died), 0)
	})
}
