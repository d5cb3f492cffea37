package registry_test

import (
	"testing"

	"tandem"
	"tandem/registry"
)

func TestADeviceThatABrokerKnowsNeedsNoCredentialHere(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open(t))
			org := w.organization("acme")
			d := w.device(org, "sensor-1")
			_, err := w.SendCommand(w.ctx, registry.System("test"), org, d.ID, registry.NewCommand{Name: "blink"})
			w.wants(err, tandem.Invalid)
			w.Brokered = true
			c, err := w.SendCommand(w.ctx, registry.System("test"), org, d.ID, registry.NewCommand{Name: "blink"})
			w.must(err)
			if c.Status != tandem.CommandQueued {
				t.Errorf("it is %s", c.Status)
			}
		})
	}
}
