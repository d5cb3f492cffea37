package device_test

import (
	"strings"
	"testing"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/web/webtest"
)

// TestPlots: what a device reported by webhook is drawn, with its summary in words.
func TestPlots(t *testing.T) {
	t.Parallel()
	w := open(t, 2)
	d := w.fleet[0]
	p := w.page(t, d.ID)
	p.WaitFor("#plots")
	_, secret, err := w.API.UpdateWebhook(t.Context(), w.Org.ID, w.Service.ID, registry.WebhookEdit{Scheme: of(tandem.SignatureScheme), NewSecret: true})
	w.must(err)
	w.must(w.Simulator.SetEvents(webtest.Project, simulator.Events{URL: w.URL + "/webhooks/golioth/" + w.Service.ID, Secret: secret}))
	for _, level := range []int{81, 64} {
		w.must(w.Simulator.Emit(webtest.Project, d.Assignments[0].ExternalDeviceID, simulator.TelemetryEvent, map[string]any{"battery": level}))
	}
	w.must(w.Simulator.Emit(webtest.Project, d.Assignments[0].ExternalDeviceID, simulator.OfflineEvent, map[string]any{"status": "offline"}))
	w.Wait("the reports", func() bool {
		found, _, err := w.API.Observations(t.Context(), w.Org.ID, d.ID, tandem.ObservationFilter{Path: "battery_level"})
		return err == nil && len(found) >= 2
	})
	p.Open("devices/" + d.ID)
	p.WaitFor("#battery-plot canvas")
	p.WaitFor("#connectivity-plot canvas")
	var summary string
	p.Eval(`document.querySelector("#battery-plot figcaption").textContent`, &summary)
	if !strings.Contains(summary, "between 64 % and") {
		t.Errorf("the summary is %q", summary)
	}
	p.SeeIn("#device", "64 %")
	p.Click("#plots a >> Day")
	p.WaitFor("#plots a[aria-current] >> Day")
	p.WaitFor("#battery-plot canvas")
	p.Axe()
}
