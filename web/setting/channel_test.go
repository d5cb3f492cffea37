package setting_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tandem"
	"tandem/registry"
	"tandem/web/webtest"
)

// received is one message that a receiver got.
type received struct {
	header http.Header
	body   []byte
}

// receiver takes messages, and answers with a status.
func receiver(t *testing.T, status int) (string, chan received) {
	t.Helper()
	got := make(chan received, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- received{r.Header, body}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

// TestWebhookChannel: one is added with a secret that is shown once and signs, tested, edited, turned off, and deleted.
func TestWebhookChannel(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	at, got := receiver(t, http.StatusNoContent)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/notifications")
	p.See("Nobody is told yet")
	p.Click("a >> Webhook")
	p.Fill("#f-name", "night shift")
	p.Fill("#f-url", at)
	p.Click(`input[name=kind][value="run_failed"]`)
	p.Choose("#f-severity", "critical")
	p.Fill("#f-throttle", "120")
	p.Click("#channel button >> Add")
	p.Told("night shift is added.")
	secret := p.Value("#signing-secret")
	ch := channelNamed(t, w, "night shift")
	if ch.ThrottleS != 120 || ch.MinSeverity != tandem.Critical || len(ch.Kinds) != 1 || ch.Kinds[0] != tandem.AlertRunFailed {
		t.Errorf("the API says that the channel is %+v", ch)
	}

	p.Open("settings/notifications")
	p.NotSee(secret)
	p.Click(`button[aria-label="Send a test through night shift"]`)
	p.Told("A test is sent through night shift.")
	message := <-got
	signed, err := standardwebhooks.NewWebhook(secret)
	must(t, err)
	if err := signed.Verify(message.body, message.header); err != nil {
		t.Errorf("the secret that was shown does not sign: %v", err)
	}

	p.Click(`a[aria-label="Edit night shift"]`)
	p.Fill("#f-name", "day shift")
	p.Click("#f-escalation")
	p.Click("#channel button >> Save")
	p.Told("day shift is saved.")
	if ch = channelNamed(t, w, "day shift"); !ch.EscalationOnly {
		t.Errorf("the API says that the channel is %+v", ch)
	}
	p.Click(`button[aria-label="Turn day shift off"]`)
	p.Told("day shift is off")
	if channelNamed(t, w, "day shift").IsActive {
		t.Error("the API says that the channel is on")
	}
	p.Open("settings/notifications/" + ch.ID)
	p.Click("#delete button >> Delete the channel")
	p.Confirm(true)
	p.Told("day shift is deleted.")
	if all, err := w.API.Channels(t.Context(), w.Org.ID); err != nil || len(all) != 0 {
		t.Errorf("the API has %d channels, %v", len(all), err)
	}
}

// TestChannelEditedByTwo: the second is shown what the first saved; what only one changed is kept of both.
func TestChannelEditedByTwo(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	at, _ := receiver(t, http.StatusNoContent)
	ch, err := w.API.CreateChannel(t.Context(), w.Org.ID, registry.NewChannel{Name: "crew", Type: tandem.SlackChannel, Secret: []byte(at)})
	must(t, err)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/notifications/" + ch.ID)
	name, throttle := "their crew", 300
	_, err = w.API.UpdateChannel(t.Context(), w.Org.ID, ch.ID, registry.ChannelEdit{Name: &name, Throttle: &throttle})
	must(t, err)
	p.Fill("#f-name", "my crew")
	p.Click("#channel button >> Save")
	p.See("Somebody else saved this meanwhile")
	p.See("their crew")
	if got := p.Value("#f-throttle"); got != "300" {
		t.Errorf("what they changed alone is %q in the form", got)
	}
	p.Click("#channel button >> Save")
	p.Told("my crew is saved.")
	if ch = channelNamed(t, w, "my crew"); ch.ThrottleS != 300 {
		t.Errorf("the API says that the channel is %+v", ch)
	}
}

// TestSlackAndMail: Slack takes its address as a secret that no page shows again, mail keeps what was typed; a test that
// does not get through says why.
func TestSlackAndMail(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	at, got := receiver(t, http.StatusInternalServerError)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/notifications/new?type=slack")
	p.Fill("#f-name", "ops room")
	p.Fill("#f-secret", at+"/hook-of-the-room")
	p.Click("#channel button >> Add")
	p.Told("ops room is added.")
	p.Click(`button[aria-label="Send a test through ops room"]`)
	p.Told("did not get through")
	if m := <-got; !strings.Contains(string(m.body), "text") {
		t.Errorf("Slack got %s", m.body)
	}
	p.Click(`a[aria-label="Edit ops room"]`)
	p.See("One is stored")
	p.NotSee("hook-of-the-room")

	p.Open("settings/notifications/new?type=email")
	p.Fill("#f-name", "mail")
	p.Fill("#f-to", "not an address")
	p.Fill("#f-from", "tandem@example.com")
	p.Fill("#f-host", "127.0.0.1")
	p.Choose("#f-security", "none")
	p.Click("#channel button >> Add")
	p.See("is no e-mail address")
	if got := p.Value("#f-host"); got != "127.0.0.1" {
		t.Errorf("the host became %q", got)
	}
	p.Fill("#f-to", "ops@example.com, night@example.com")
	p.Click("#channel button >> Add")
	p.Told("mail is added.")
	var config struct{ To []string }
	must(t, json.Unmarshal(channelNamed(t, w, "mail").Config, &config))
	if len(config.To) != 2 {
		t.Errorf("mail goes to %v", config.To)
	}
}

// TestEscalation: the minutes are stored, and what is no number is refused.
func TestEscalation(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/notifications")
	p.Fill("#f-escalate", "45")
	p.Click("#escalation button >> Save")
	p.Told("escalate after 45 minutes")
	o, err := w.API.Organization(t.Context(), w.Org.ID)
	must(t, err)
	if got := fmt.Sprint(o.Settings[tandem.EscalateSetting]); got != "45" {
		t.Errorf("the API says that alerts escalate after %v", got)
	}
}

func channelNamed(t *testing.T, w *webtest.World, name string) tandem.Channel {
	t.Helper()
	ch, err := w.API.Channel(t.Context(), w.Org.ID, name)
	must(t, err)
	return ch
}
