package integration_test

import (
	"strings"
	"testing"

	"tandem"
	"tandem/web/webtest"
)

func TestAWebhookIsConnectedAndDisconnected(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.settings(webtest.Options{}, "webhooks")
	p.Fill("label >> How Golioth reaches this server", "http://example.com")
	p.Click("button >> Connect: show")
	p.SeeIn("#f-public_url-error", "https://")
	p.Fill("label >> How Golioth reaches this server", w.URL)
	p.Click("button >> Connect: show")
	p.SeeIn("#planned pre", "/webhooks/golioth/"+w.Service.ID)
	if w.stored().Config.Webhook.Pipeline != "" {
		t.Fatal("it is connected before it was confirmed")
	}
	p.Click("button >> Make it in the project")
	p.Told("Connected")
	if hook := w.stored().Config.Webhook; hook.Pipeline == "" || hook.Scheme != tandem.HeaderScheme {
		t.Errorf("the webhook is %+v", hook)
	}
	w.Import()
	w.must(w.Simulator.Send(webtest.Project, w.Remote(w.Fleet()[0]).ID, "battery", "application/json", []byte(`{"level": 50}`)))
	p.WaitFor("#deliveries tbody tr") // by itself
	if _, n, err := w.API.Deliveries(t.Context(), w.Org.ID, tandem.DeliveryFilter{ServiceID: w.Service.ID}); err != nil || n != 1 {
		t.Errorf("%d deliveries came, %v", n, err)
	}
	p.Click("button >> Disconnect")
	p.Confirm(true)
	p.Told("Disconnected")
	if hook := w.stored().Config.Webhook; hook.Pipeline != "" || hook.Scheme != "" {
		t.Errorf("the webhook is still %+v", hook)
	}
}

func TestAWebhookSecretIsShownOnce(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.settings(webtest.Options{}, "webhooks")
	p.Choose("label >> Authentication", "standard")
	p.Click("summary >> Where a payload holds what")
	p.Fill("label >> Battery level", "power/level")
	p.Click("button >> Save")
	first := p.Value("#new-secret")
	if !strings.HasPrefix(first, "whsec_") {
		t.Fatalf("the secret is %q", first)
	}
	if hook := w.stored().Config.Webhook; hook.Scheme != tandem.StandardScheme || hook.Paths["battery_level"] != "power/level" {
		t.Errorf("the webhook is %+v", hook)
	}
	p.Open("integrations/" + w.Service.ID + "?tab=webhooks")
	hides(t, p, first)
	p.Click("button >> Make a new secret")
	second := p.Value("#new-secret")
	if second == first || !strings.HasPrefix(second, "whsec_") {
		t.Errorf("the new secret is %q", second)
	}
	p.Click("button >> End the one before")
	p.Told("Only the newest")
	hides(t, p, second)
	p.Choose("label >> Authentication", "")
	p.Click("button >> Save")
	p.Told("Saved")
	if hook := w.stored().Config.Webhook; hook.Scheme != "" {
		t.Errorf("it still accepts %s", hook.Scheme)
	}
}
