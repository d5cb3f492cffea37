package setting

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// channels is the tab of where alerts are sent.
type channels struct {
	c          *shell.Call
	channels   []tandem.Channel
	escalation form
}

// channel is the page of one, or of a new one.
type channel struct {
	form
	c      *shell.Call
	ch     tandem.Channel // of a new one, only its type
	sent   []tandem.Notification
	secret string // to sign with, made just now
}

// sentShown is how many messages a channel's page lists.
const sentShown = 10

func registerChannels(s *shell.Site) {
	s.Handle("GET /settings/notifications", showChannels)
	s.Handle("POST /settings/notifications/escalation", saveEscalation)
	s.Handle("GET /settings/notifications/new", func(c *shell.Call) error {
		return channelNew(c, tandem.ChannelType(c.Query("type"))).show()
	})
	s.Handle("POST /settings/notifications/new", createChannel)
	s.Handle("GET /settings/notifications/{id}", func(c *shell.Call) error {
		v, err := channelAt(c)
		if err != nil {
			return err
		}
		return v.show()
	})
	s.Handle("POST /settings/notifications/{id}", saveChannel)
	s.Handle("POST /settings/notifications/{id}/test", testChannel)
	s.Handle("POST /settings/notifications/{id}/switch", switchChannel)
	s.Handle("POST /settings/notifications/{id}/delete", deleteChannel)
}

func showChannels(c *shell.Call) error {
	v := channels{c: c, escalation: formOf(organizationDraft(&c.Org), c.Org.Version)}
	return v.show()
}

func (v channels) show() error {
	c := v.c
	var err error
	if v.channels, err = c.Registry().Channels(c.R.Context(), c.Actor, c.Org.ID); err != nil {
		return err
	}
	if c.Query("part") == "channels" {
		return c.Part(channelList(v))
	}
	return show(c, "notifications", "Notifications", channelsPage(v))
}

// channelNew is the form of a channel that is not there yet.
func channelNew(c *shell.Call, kind tandem.ChannelType) channel {
	if kind != tandem.EmailChannel && kind != tandem.WebhookChannel {
		kind = tandem.SlackChannel
	}
	ch := tandem.Channel{Type: kind, IsActive: true, ThrottleS: 60}
	return channel{form: formOf(channelDraft(&ch), 0), c: c, ch: ch}
}

// channelAt is the form of the channel that the address names.
func channelAt(c *shell.Call) (channel, error) {
	ch, err := c.Registry().Channel(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	return channel{form: formOf(channelDraft(&ch), ch.Version), c: c, ch: ch}, err
}

func (v channel) isNew() bool { return v.ch.ID == "" }

func (v channel) path(action ...string) string {
	id := v.ch.ID
	if v.isNew() {
		id = "new"
	}
	return v.c.Path(append([]string{"settings", "notifications", id}, action...)...)
}

func (v channel) show() error {
	c := v.c
	if v.isNew() {
		return show(c, "notifications", "New channel", channelPage(v))
	}
	var err error
	if v.sent, _, err = c.Registry().ChannelNotifications(c.R.Context(), c.Actor, c.Org.ID, v.ch.ID, tandem.Page{Number: 1, Limit: sentShown}); err != nil {
		return err
	}
	return show(c, "notifications", v.ch.Name, channelPage(v))
}

// refuse shows what the registry says is wrong, with what was typed.
func (v channel) refuse(err error) error {
	if v.wrong, err = wrong(err, "name", "throttle"); err != nil {
		return err
	}
	return v.show()
}

func createChannel(c *shell.Call) error {
	v := channelNew(c, tandem.ChannelType(c.Form("type")))
	v.d = typedChannel(c, v.ch.Type)
	throttle, ok := throttleOf(v.d)
	if !ok {
		return v.refuse(throttleWrong())
	}
	secret := c.R.PostForm.Get("secret")
	if v.ch.Type == tandem.WebhookChannel && secret == "" {
		v.secret = signingSecret()
		secret = v.secret
	}
	ch, err := c.Registry().CreateChannel(c.R.Context(), c.Actor, c.Org.ID, registry.NewChannel{Name: v.d["name"], Type: v.ch.Type, Config: v.d.config(v.ch.Type), Secret: []byte(secret),
		Kinds: v.d.kinds(), MinSeverity: tandem.Severity(v.d["severity"]), EscalationOnly: v.d["escalation"] != "", Throttle: throttle})
	if err != nil {
		v.secret = ""
		return v.refuse(err)
	}
	c.Toast("success", ch.Name+" is added. Send a test to see whether it arrives.")
	if v.secret == "" {
		return c.Go(c.Path("settings", "notifications"))
	}
	made := channel{form: formOf(channelDraft(&ch), ch.Version), c: c, ch: ch, secret: v.secret}
	return made.show()
}

// signingSecret makes one for a webhook, as its standard writes them.
func signingSecret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: the program ends where there is no randomness
	return "whsec_" + base64.StdEncoding.EncodeToString(raw)
}

func saveChannel(c *shell.Call) error {
	v, err := channelAt(c)
	if err != nil {
		return err
	}
	v.take(c, channelItems, typedChannel(c, v.ch.Type))
	if len(v.others) > 0 {
		return v.show()
	}
	throttle, ok := throttleOf(v.d)
	if !ok {
		return v.refuse(throttleWrong())
	}
	name, severity, kinds, escalation, active := v.d["name"], tandem.Severity(v.d["severity"]), v.d.kinds(), v.d["escalation"] != "", v.d["active"] != ""
	ch, err := c.Registry().UpdateChannel(c.R.Context(), c.Actor, c.Org.ID, v.ch.ID, registry.ChannelEdit{Name: &name, Config: v.d.config(v.ch.Type),
		Secret: []byte(c.R.PostForm.Get("secret")), Kinds: &kinds, MinSeverity: &severity, EscalationOnly: &escalation, Throttle: &throttle, IsActive: &active, IfVersion: &v.version})
	if tandem.Is(err, tandem.Stale) { // this very moment
		return saveChannel(c)
	}
	if err != nil {
		return v.refuse(err)
	}
	c.Toast("success", ch.Name+" is saved.")
	return c.Go(c.Path("settings", "notifications"))
}

func testChannel(c *shell.Call) error {
	ch, err := c.Registry().Channel(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	if err := c.Registry().TestChannel(c.R.Context(), c.Actor, c.Org.ID, ch.ID); err != nil {
		message, hint := shell.Explain(err)
		c.Toast("danger", "The test of "+ch.Name+" did not get through. "+sentence(message)+" "+sentence(hint))
	} else {
		c.Toast("success", "A test is sent through "+ch.Name+". Look whether it arrived.")
	}
	c.Event("alerts")
	if c.Partial() {
		return c.Nothing()
	}
	return c.Go(c.Path("settings", "notifications"))
}

func switchChannel(c *shell.Call) error {
	on := c.Form("active") != ""
	ch, err := c.Registry().UpdateChannel(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"), registry.ChannelEdit{IsActive: &on})
	if err != nil {
		return err
	}
	text := ch.Name + " is off: nothing is sent through it."
	if on {
		text = ch.Name + " is on."
	}
	return c.Done(text, c.Path("settings", "notifications"), "alerts")
}

// deleteChannel removes a channel as it was seen.
func deleteChannel(c *shell.Call) error {
	version, _ := strconv.ParseInt(c.Form("version"), 10, 64)
	ch, err := c.Registry().DeleteChannel(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"), version)
	if tandem.Is(err, tandem.Stale) {
		c.Toast("warning", "Somebody changed the channel meanwhile, and it was not deleted. This is how it is now.")
		return c.Go(c.Path("settings", "notifications", c.Value("id")))
	}
	if err != nil {
		return err
	}
	c.Toast("success", ch.Name+" is deleted.")
	return c.Go(c.Path("settings", "notifications"))
}

// The choices of a channel.
var (
	severities = []part.Option{{Value: "", Label: "Warnings and critical ones"}, {Value: "critical", Label: "Critical ones only"}}
	securities = []part.Option{{Value: "starttls", Label: "STARTTLS (port 587)"}, {Value: "tls", Label: "TLS from the beginning (port 465)"}, {Value: "none", Label: "None (this machine's own mail server)"}}
	alertKinds = []tandem.AlertKind{tandem.AlertConflicts, tandem.AlertRunFailed, tandem.AlertRunBlocked, tandem.AlertServiceDegraded, tandem.AlertKeyRejected, tandem.AlertDeadLetters}
)
