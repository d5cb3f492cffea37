package main

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"

	"tandem"
	"tandem/registry"
)

// WebhookSettings are how a service's deliveries are authenticated and read, as flags.
type WebhookSettings struct {
	WebhookScheme     *string           `enum:",signature,standard,header" help:"How deliveries prove where they come from: signature (X-Golioth-Signature), standard (Standard Webhooks) or header (a secret in a header, as Golioth's pipelines send it); empty accepts none."`
	WebhookHeader     *string           `placeholder:"NAME" help:"The header of the scheme header (X-Tandem-Secret)."`
	WebhookPath       map[string]string `placeholder:"FIELD=PATH" help:"Where a payload holds a value: battery_level, location, lat, lon, firmware or online, such as battery_level=battery/level or, of one pipeline path alone, sensor:battery/level. All that are given; none with --no-webhook-paths."`
	NoWebhookPaths    bool              `help:"Read no values from payloads."`
	WebhookSecretFile string            `placeholder:"FILE" help:"The file with a secret to accept; - reads standard input. The one before goes on being accepted."`
	WebhookNewSecret  bool              `help:"Make a secret, and show it once. The one before goes on being accepted."`
	WebhookDropOld    bool              `help:"Accept only the newest secret from now on."`
}

// none reports whether nothing is asked of the webhook.
func (f *WebhookSettings) none() bool { return reflect.ValueOf(*f).IsZero() }

// edit reads the flags.
func (f *WebhookSettings) edit(a *app) (edit registry.WebhookEdit, err error) {
	switch {
	case f.WebhookNewSecret && f.WebhookSecretFile != "":
		return edit, &usageError{"--webhook-new-secret and --webhook-secret-file exclude each other", ""}
	case f.NoWebhookPaths && len(f.WebhookPath) > 0:
		return edit, &usageError{"--no-webhook-paths and --webhook-path exclude each other", ""}
	}
	edit = registry.WebhookEdit{Scheme: (*tandem.WebhookScheme)(f.WebhookScheme), Header: f.WebhookHeader, NewSecret: f.WebhookNewSecret, DropOld: f.WebhookDropOld}
	if f.NoWebhookPaths || len(f.WebhookPath) > 0 {
		paths := maps.Clone(f.WebhookPath)
		edit.Paths = &paths
	}
	if f.WebhookSecretFile != "" {
		text, err := a.readSecret(f.WebhookSecretFile)
		if err != nil {
			return edit, err
		}
		edit.Secret = []byte(text.Reveal())
	}
	return edit, nil
}

// updateWebhook changes the webhook's settings and shows a secret that was made.
func (c *ServiceUpdateCmd) updateWebhook(ctx context.Context, s *desk, org tandem.Organization, v *tandem.Service) error {
	edit, err := c.edit(s.app)
	if err != nil {
		return err
	}
	after, made, err := s.UpdateWebhook(ctx, org.ID, v.ID, edit)
	if err != nil {
		return err
	}
	if s.out.json {
		return s.out.value(struct {
			tandem.Service
			Secret string `json:"secret,omitempty"`
		}{after, made})
	}
	s.out.printf("updated the service %s\n", clean(after.Name))
	s.out.pairs(webhookPairs(&after)...)
	if made != "" {
		s.out.printf("the secret, shown this once:\n\n    %s\n\n", made)
	}
	return nil
}

// webhookPairs shows a service's webhook, without its secrets.
func webhookPairs(v *tandem.Service) []string {
	c := &v.Config.Webhook
	scheme := "none: no delivery is accepted"
	switch c.Scheme {
	case tandem.SignatureScheme:
		scheme = "signature, in X-Golioth-Signature"
	case tandem.StandardScheme:
		scheme = "standard (Standard Webhooks)"
	case tandem.HeaderScheme:
		scheme = "a secret in the header " + c.Header
		if c.Header == "" {
			scheme = "a secret in the header " + registry.DefaultWebhookHeader
		}
	}
	if c.Scheme != "" {
		scheme += "; the secret is stored encrypted"
	}
	paths := make([]string, 0, len(c.Paths))
	for _, field := range slices.Sorted(maps.Keys(c.Paths)) {
		paths = append(paths, field+" at "+clean(c.Paths[field]))
	}
	return []string{"webhook", scheme, "webhook URL", webhookURL(v, c.PublicURL), "pipeline", clean(c.Pipeline), "payload paths", strings.Join(paths, ", ")}
}

// webhookURL is where a service's deliveries go, "" where the server's address is not known.
func webhookURL(v *tandem.Service, publicURL string) string {
	if publicURL == "" {
		return ""
	}
	return strings.TrimRight(publicURL, "/") + "/webhooks/golioth/" + v.ID
}

// ServiceConnectCmd is `tandem service connect`.
type ServiceConnectCmd struct {
	In
	Service   string   `arg:"" optional:"" help:"Its name or id."`
	PublicURL string   `placeholder:"URL" help:"How the project reaches the server, such as https://tandem.example.com; at a server its own public URL when left out."`
	Scheme    string   `enum:"header,signature,standard" default:"header" help:"header makes a pipeline in the project; signature and standard only make a secret, for senders that sign."`
	Paths     []string `placeholder:"PATH,…" help:"Only messages that devices send to these paths; all when left out."`
	DryRun    bool     `help:"Show the pipeline, and do nothing."`
	Remove    bool     `help:"Remove the pipeline and its secret from the project; no delivery is accepted any more."`
	Yes       bool     `help:"Do not ask."`
}

// Help says what connecting does.
func (c *ServiceConnectCmd) Help() string {
	return `It makes a secret and a pipeline in the Golioth project, which then sends each message of a device here, and shows the
pipeline first. Connecting again changes the secret without a gap: the one before is accepted until
tandem service update SERVICE --webhook-drop-old.`
}

// Run connects or disconnects.
func (c *ServiceConnectCmd) Run(ctx context.Context, a *app) error {
	switch {
	case c.Remove && (c.DryRun || len(c.Paths) > 0):
		return &usageError{"--remove stands alone", ""}
	case !c.Remove && c.PublicURL == "" && a.flags.Server == "":
		return &usageError{"--public-url is missing", "give the address under which the project reaches the server, such as https://tandem.example.com"}
	case c.Scheme != string(tandem.HeaderScheme) && (len(c.Paths) > 0 || c.DryRun):
		return &usageError{"--paths and --dry-run are about a pipeline, and the scheme " + c.Scheme + " makes none", ""}
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "its name")
		switch {
		case err != nil:
			return err
		case c.Remove:
			return c.remove(ctx, s, org, &v)
		case c.Scheme != string(tandem.HeaderScheme):
			return c.secret(ctx, s, org, &v)
		}
		return c.connect(ctx, s, org, &v)
	})
}

// connect shows the pipeline, asks and makes it.
func (c *ServiceConnectCmd) connect(ctx context.Context, s *desk, org tandem.Organization, v *tandem.Service) error {
	if !c.Yes || c.DryRun {
		planned, err := s.ConnectWebhook(ctx, org.ID, v.ID, c.PublicURL, true, c.Paths...)
		if err != nil {
			return err
		}
		if c.DryRun && s.out.json {
			return s.out.value(planned)
		}
		s.out.printf("in the project %s: the secret %s and the pipeline %s, which posts to %s:\n\n%s\n", clean(v.Config.Project), planned.Secret, planned.Pipeline, clean(planned.URL), indent(planned.Definition))
		if c.DryRun {
			return nil
		}
		if err := s.confirm(false, "make them"); err != nil {
			return err
		}
	}
	done, err := s.ConnectWebhook(ctx, org.ID, v.ID, c.PublicURL, false, c.Paths...)
	if err != nil {
		return err
	}
	if s.out.json {
		return s.out.value(done)
	}
	s.out.printf("connected %s: the project sends what its devices report to %s\n", s.out.bold(clean(v.Name)), clean(done.URL))
	if old := v.Config.Webhook; old.Pipeline != "" {
		s.out.note("the secret before is accepted too; once deliveries come: tandem service update %s --org %s --webhook-drop-old\n", word(v.Name), org.Slug)
	}
	s.out.note("what came: tandem deliveries list --org %s\n", org.Slug)
	return nil
}

// secret makes a secret for senders that sign.
func (c *ServiceConnectCmd) secret(ctx context.Context, s *desk, org tandem.Organization, v *tandem.Service) error {
	scheme := tandem.WebhookScheme(c.Scheme)
	_, made, err := s.UpdateWebhook(ctx, org.ID, v.ID, registry.WebhookEdit{Scheme: &scheme, NewSecret: true})
	if err != nil {
		return err
	}
	at := webhookURL(v, cmp.Or(c.PublicURL, s.flags.Server))
	if s.out.json {
		return s.out.value(map[string]any{"url": at, "scheme": scheme, "secret": made})
	}
	s.out.printf("%s accepts deliveries that are signed with this secret, which is shown this once:\n\n    %s\n\nat %s\n", clean(v.Name), made, clean(at))
	return nil
}

// remove ends the webhook.
func (c *ServiceConnectCmd) remove(ctx context.Context, s *desk, org tandem.Organization, v *tandem.Service) error {
	if err := s.confirm(c.Yes || !s.out.ask, "remove the webhook of "+clean(v.Name)+"? No delivery is accepted any more"); err != nil {
		return err
	}
	after, err := s.DisconnectWebhook(ctx, org.ID, v.ID)
	if err != nil {
		return err
	}
	if s.out.json {
		return s.out.value(after)
	}
	if name := v.Config.Webhook.Pipeline; name != "" {
		s.out.printf("removed the pipeline %s and its secret from the project %s\n", clean(name), clean(v.Config.Project))
	}
	s.out.printf("%s accepts no deliveries any more\n", clean(v.Name))
	return nil
}

// indent sets text off from the margin.
func indent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = "    " + clean(lines[i])
	}
	return strings.Join(lines, "\n") + "\n"
}
