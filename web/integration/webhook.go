package integration

import (
	"net"
	"strconv"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// lastDeliveries is how many received webhooks the tab shows.
const lastDeliveries = 10

// webhook is what the tab shows beside the settings.
type webhook struct {
	url        string // where deliveries go, "" while nobody knows how the server is reached
	publicURL  string // how a project would reach this server
	paths      string
	planned    *registry.Connection // what connecting would make
	secret     string               // a new one, shown this once
	deliveries []tandem.Delivery
	reads      bool // the person may see deliveries
}

// payloadFields are what a payload may hold.
var payloadFields = []part.Option{{Value: "battery_level", Label: "Battery level"}, {Value: "location", Label: "Location"}, {Value: "lat", Label: "Latitude"}, {Value: "lon", Label: "Longitude"},
	{Value: "firmware", Label: "Firmware"}, {Value: "online", Label: "Online"}}

var schemes = []part.Option{{Value: "", Label: "Off: no delivery is accepted"}, {Value: "header", Label: "A secret in a header, as a Golioth pipeline sends it"},
	{Value: "signature", Label: "X-Golioth-Signature: a signature of the body"}, {Value: "standard", Label: "Standard Webhooks"}}

// readWebhook fills in what only that tab needs.
func (v *view) readWebhook() error {
	v.hook.publicURL = v.c.Site.PublicURL
	if v.hook.publicURL == "" {
		v.hook.publicURL = v.s.Config.Webhook.PublicURL
	}
	if v.hook.publicURL == "" && v.c.R.TLS != nil {
		v.hook.publicURL = "https://" + v.c.R.Host
	}
	if v.hook.publicURL == "" && loopback(v.c.R.Host) {
		v.hook.publicURL = "http://" + v.c.R.Host
	}
	if v.hook.publicURL != "" {
		v.hook.url = strings.TrimRight(v.hook.publicURL, "/") + "/webhooks/golioth/" + v.s.ID
	}
	if v.hook.reads = v.c.May(registry.ReadDeliveries); !v.hook.reads {
		return nil
	}
	var err error
	v.hook.deliveries, _, err = v.c.Registry().Deliveries(v.c.R.Context(), v.c.Actor, v.c.Org.ID, tandem.DeliveryFilter{ServiceID: v.s.ID, Page: tandem.Page{Number: 1, Limit: lastDeliveries}})
	return err
}

// loopback reports whether a host is this machine: plain HTTP is for nobody else.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// webhookEdit reads the form.
func (v *view) webhookEdit() registry.WebhookEdit {
	c := v.c
	scheme, header, paths := tandem.WebhookScheme(c.Form("scheme")), c.Form("header"), map[string]string{}
	for _, f := range payloadFields {
		if path := c.Form("payload." + f.Value); path != "" {
			paths[f.Value] = path
		}
	}
	v.s.Config.Webhook.Scheme, v.s.Config.Webhook.Header, v.s.Config.Webhook.Paths = scheme, header, paths // what was typed is kept
	e := registry.WebhookEdit{Scheme: &scheme, Header: &header, Paths: &paths}
	if version, err := strconv.ParseInt(c.Form("version"), 10, 64); err == nil {
		e.IfVersion = &version
	}
	return e
}

// saveWebhook changes how deliveries are authenticated and read. A service that gets its first scheme gets a secret with it.
func saveWebhook(c *shell.Call) error {
	v, err := read(c, "webhooks")
	if err != nil {
		return err
	}
	had := len(v.s.WebhookSecrets) > 0
	edit := v.webhookEdit()
	edit.NewSecret = *edit.Scheme != "" && !had
	return v.updateWebhook(edit, "Saved.")
}

// newSecret makes a secret, or ends the one before.
func newSecret(c *shell.Call) error {
	v, err := read(c, "webhooks")
	if err != nil {
		return err
	}
	version := v.s.Version
	edit := registry.WebhookEdit{IfVersion: &version, NewSecret: c.Form("do") == "new", DropOld: c.Form("do") == "drop"}
	if edit.DropOld {
		return v.updateWebhook(edit, "Only the newest secret is accepted from now on.")
	}
	return v.updateWebhook(edit, "A new secret was made. The one before goes on being accepted until you end it.")
}

// updateWebhook stores an edit. A secret that it made is in this one reply and nowhere else.
func (v *view) updateWebhook(edit registry.WebhookEdit, done string) error {
	c := v.c
	_, secret, err := c.Registry().UpdateWebhook(c.R.Context(), c.Actor, c.Org.ID, v.s.ID, edit)
	if tandem.Is(err, tandem.Stale) {
		now, readErr := c.Registry().Service(c.R.Context(), c.Actor, c.Org.ID, v.s.ID)
		if readErr != nil {
			return readErr
		}
		v.version, v.others = now.Version, hookDifferences(&v.s.Config.Webhook, &now.Config.Webhook)
		return c.Invalid(settingsForm(*v), v.page)
	}
	if tandem.Is(err, tandem.Invalid) {
		v.refuse(err)
		return c.Invalid(settingsForm(*v), v.page)
	}
	if err != nil {
		return err
	}
	c.Toast("success", done)
	if secret == "" {
		return c.Go(v.tabPath("webhooks"))
	}
	after, err := read(c, "webhooks")
	if err != nil {
		return err
	}
	after.hook.secret = secret
	return after.page()
}

// hookDifferences says where what was typed is not what is stored.
func hookDifferences(mine, now *tandem.WebhookConfig) []difference {
	var list []difference
	add := func(label, mine, now string) {
		if mine != now {
			list = append(list, difference{Label: label, Mine: mine, Theirs: now, Both: true})
		}
	}
	add("Authentication", labelOf(schemes, string(mine.Scheme)), labelOf(schemes, string(now.Scheme)))
	add("Header", mine.Header, now.Header)
	for _, f := range payloadFields {
		add(f.Label, mine.Paths[f.Value], now.Paths[f.Value])
	}
	return list
}

func labelOf(options []part.Option, value string) string {
	for _, o := range options {
		if o.Value == value {
			return o.Label
		}
	}
	return value
}

// connect shows what connecting makes in the project and, when that was seen, makes it.
func connect(c *shell.Call) error {
	v, err := read(c, "webhooks")
	if err != nil {
		return err
	}
	v.hook.publicURL, v.hook.paths = c.Form("public_url"), c.Form("paths")
	made, err := c.Registry().ConnectWebhook(c.R.Context(), c.Actor, c.Org.ID, v.s.ID, v.hook.publicURL, !c.Checked("seen"), listed(v.hook.paths)...)
	if tandem.Is(err, tandem.Invalid) {
		message, _ := shell.Explain(err)
		v.wrong["public_url"] = message
		return c.Invalid(settingsForm(v), v.page)
	}
	if err != nil {
		return err
	}
	if made.DryRun {
		v.hook.planned = &made
		return v.page()
	}
	c.Toast("success", "Connected: the project posts its messages here from now on.")
	return c.Go(v.tabPath("webhooks"))
}

// disconnect takes the webhook out of the project again.
func disconnect(c *shell.Call) error {
	s, err := c.Registry().DisconnectWebhook(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	c.Toast("success", "Disconnected: the pipeline and its secret are gone from the project, and no delivery is accepted any more.")
	return c.Go(c.Path("integrations", s.ID) + "?tab=webhooks")
}
