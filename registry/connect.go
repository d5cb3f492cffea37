package registry

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"tandem"
)

// DefaultWebhookHeader is where a pipeline puts the secret when nothing else is set.
const DefaultWebhookHeader = "X-Tandem-Secret"

// Connection is a webhook as it stands, or would stand, in the project.
type Connection struct {
	URL        string `json:"url"`
	Header     string `json:"header"`
	Secret     string `json:"secret"` // its name in the project, never its value
	Pipeline   string `json:"pipeline"`
	Definition string `json:"definition"` // the pipeline's YAML
	DryRun     bool   `json:"dry_run,omitempty"`
}

// ConnectWebhook has the project's messages posted to this server: it stores a new secret here, then makes it and a
// pipeline in the project. With dry it only shows them. What it had made is taken away again when a step fails; where
// even that fails, the error names what is left there, and DisconnectWebhook removes it.
//
// Connecting a connected service again rotates its secret: the one before goes on being accepted until it is dropped.
func (r *Registry) ConnectWebhook(ctx context.Context, actor Actor, org, ref, publicURL string, dry bool, paths ...string) (Connection, error) {
	if err := actor.may(org, ManageServices); err != nil {
		return Connection{}, err
	}
	before, err := r.Store.Service(ctx, org, ref)
	if err != nil {
		return Connection{}, err
	}
	base, err := checkPublicURL(publicURL)
	if err != nil {
		return Connection{}, err
	}
	if r.Pipelines == nil {
		return Connection{}, notHere("connect webhook")
	}
	project, err := r.Pipelines(ctx, before)
	if err != nil {
		return Connection{}, err
	}
	c := connection(&before, base)
	c.Definition, c.DryRun = project.Definition(c.URL, c.Header, c.Secret, paths...), dry
	if dry {
		return c, nil
	}
	value := newWebhookSecret(tandem.HeaderScheme)
	after, err := r.storeConnection(ctx, actor, org, &before, &c, base, value)
	if err != nil {
		return c, err
	}
	if err := project.PutSecret(ctx, c.Secret, value); err != nil {
		return c, r.undoConnection(ctx, actor, org, project, &before, &after, &c, err)
	}
	if err := project.PutPipeline(ctx, c.Pipeline, c.Definition); err != nil {
		return c, r.undoConnection(ctx, actor, org, project, &before, &after, &c, err)
	}
	if old := before.Config.Webhook.Secret; old != "" && old != c.Secret { // no pipeline uses it any more
		if err := project.DeleteSecret(ctx, old); err != nil && !tandem.Is(err, tandem.NotFound) {
			return c, tandem.Errorf(tandem.CodeOf(err), "connect webhook", before.Name, "the webhook is connected, but the secret before, %s, is still in the project: %w", old, err).
				WithHint("remove it there; nothing uses it")
		}
	}
	return c, nil
}

// connection names what is made in the project. A secret is rotated under the other of two names: Golioth cannot change
// one without a gap.
func connection(s *tandem.Service, base string) Connection {
	mark := s.ID
	if len(mark) > 12 {
		mark = mark[len(mark)-12:]
	}
	mark = strings.ReplaceAll(mark, "-", "")
	c := Connection{URL: base + "/webhooks/golioth/" + s.ID, Header: s.Config.Webhook.Header, Pipeline: "tandem-" + mark, Secret: "TANDEM_" + strings.ToUpper(mark) + "_A"}
	if c.Header == "" {
		c.Header = DefaultWebhookHeader
	}
	if old := s.Config.Webhook.Pipeline; old != "" {
		c.Pipeline = old
	}
	if s.Config.Webhook.Secret == c.Secret {
		c.Secret = otherSecret(c.Secret)
	}
	return c
}

// storeConnection keeps the secret and the names first: deliveries are good from the first on, and what is in the
// project is known whatever happens.
func (r *Registry) storeConnection(ctx context.Context, actor Actor, org string, before *tandem.Service, c *Connection, base, value string) (tandem.Service, error) {
	s := *before
	s.Config = copied(before.Config)
	secrets := []string{value}
	if before.Config.Webhook.Scheme == tandem.HeaderScheme {
		old, err := r.webhookSecrets(before)
		if err != nil {
			return s, err
		}
		secrets = append(secrets, old[:min(len(old), 1)]...)
	}
	hook := &s.Config.Webhook
	hook.Scheme, hook.Header, hook.Pipeline, hook.Secret, hook.PublicURL = tandem.HeaderScheme, c.Header, c.Pipeline, c.Secret, base
	var err error
	if s.WebhookSecrets, err = r.sealSecrets(&s, before, secrets); err != nil {
		return s, err
	}
	s.UpdatedAt = r.Clock()
	return s, r.storeService(ctx, actor, org, "service.connect", before, &s)
}

// undoConnection takes away what a failed connect may have made, here and there.
func (r *Registry) undoConnection(ctx context.Context, actor Actor, org string, project Pipelines, before, after *tandem.Service, c *Connection, why error) error {
	ctx = context.WithoutCancel(ctx)
	if before.Config.Webhook.Pipeline != "" {
		// The pipeline has the secret before or the new one, and both are accepted: taking either away could stop it.
		return tandem.Errorf(tandem.CodeOf(why), "connect webhook", after.Name, "the webhook goes on as it was, but its secret could not be changed: %w", why).
			WithHint("connect it again")
	}
	var left []string
	if err := project.DeletePipeline(ctx, c.Pipeline); err != nil && !tandem.Is(err, tandem.NotFound) {
		left = append(left, "the pipeline "+c.Pipeline)
	}
	if err := project.DeleteSecret(ctx, c.Secret); err != nil && !tandem.Is(err, tandem.NotFound) {
		left = append(left, "the secret "+c.Secret)
	}
	if len(left) > 0 {
		return tandem.Errorf(tandem.CodeOf(why), "connect webhook", after.Name, "the webhook could not be connected, and in the project there may be left %s: %w", strings.Join(left, " and "), why).
			WithHint("connect it again, or remove them: tandem service connect %s --remove", quoteWord(after.Name))
	}
	restored := *after
	restored.Config, restored.WebhookSecrets, restored.UpdatedAt = before.Config, before.WebhookSecrets, r.Clock()
	if err := r.storeService(ctx, actor, org, "service.disconnect", after, &restored); err != nil {
		return errors.Join(why, err)
	}
	return why
}

// DisconnectWebhook removes the pipeline and the secret from the project, then forgets them here: no delivery is
// accepted any more. It can be repeated until everything is gone.
func (r *Registry) DisconnectWebhook(ctx context.Context, actor Actor, org, ref string) (tandem.Service, error) {
	if err := actor.may(org, ManageServices); err != nil {
		return tandem.Service{}, err
	}
	before, err := r.Store.Service(ctx, org, ref)
	if err != nil {
		return before, err
	}
	if hook := before.Config.Webhook; hook.Pipeline != "" || hook.Secret != "" {
		if r.Pipelines == nil {
			return before, notHere("disconnect webhook")
		}
		if err := r.removeConnection(ctx, &before); err != nil {
			return before, err
		}
	}
	s := before
	s.Config = copied(before.Config)
	s.Config.Webhook = tandem.WebhookConfig{Paths: s.Config.Webhook.Paths}
	s.WebhookSecrets, s.UpdatedAt = nil, r.Clock()
	return s, r.storeService(ctx, actor, org, "service.disconnect", &before, &s)
}

// removeConnection removes from the project what connecting has made there: the pipeline first, so that nothing is
// posted without its secret.
func (r *Registry) removeConnection(ctx context.Context, s *tandem.Service) error {
	project, err := r.Pipelines(ctx, *s)
	if err != nil {
		return err
	}
	if name := s.Config.Webhook.Pipeline; name != "" {
		if err := project.DeletePipeline(ctx, name); err != nil && !tandem.Is(err, tandem.NotFound) {
			return err
		}
	}
	other := otherSecret(s.Config.Webhook.Secret) // of a rotation that ended in between
	for _, name := range []string{s.Config.Webhook.Secret, other} {
		if name == "" {
			continue
		}
		if err := project.DeleteSecret(ctx, name); err != nil && !tandem.Is(err, tandem.NotFound) {
			return err
		}
	}
	return nil
}

// otherSecret gives the other of the two names that a secret has in turn.
func otherSecret(name string) string {
	if rest, ok := strings.CutSuffix(name, "_A"); ok {
		return rest + "_B"
	}
	if rest, ok := strings.CutSuffix(name, "_B"); ok {
		return rest + "_A"
	}
	return ""
}

// checkPublicURL accepts the address under which a project reaches this server. Secrets travel there: plain HTTP only
// on this machine.
func checkPublicURL(text string) (string, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", invalid("public URL", "must be https:// and the host under which the project reaches this server, such as https://tandem.example.com")
	}
	if u.Scheme == "http" {
		ip := net.ParseIP(u.Hostname())
		if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return "", invalid("public URL", "must begin with https://: a secret travels with each delivery")
		}
	}
	return u.String(), nil
}
