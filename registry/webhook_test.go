package registry_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"tandem"
	"tandem/registry"
)

// secretsOf opens a service's webhook secrets, as the receiver does.
func (w *world) secretsOf(org, ref string) []string {
	w.t.Helper()
	s, err := w.Service(w.ctx, root, org, ref)
	w.must(err)
	if len(s.WebhookSecrets) == 0 {
		return nil
	}
	plain, err := w.Vault.Unseal(registry.WebhookPlace(&s), s.WebhookSecrets)
	w.must(err)
	var secrets []string
	w.must(json.Unmarshal(plain, &secrets))
	return secrets
}

// TestS34WebhookSecretsTurn: a new secret goes before the old one, which is accepted until it is dropped.
func TestS34WebhookSecretsTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	s := w.service(org, "prod", nil)
	update := func(edit registry.WebhookEdit) (string, error) {
		_, made, err := w.UpdateWebhook(w.ctx, root, org, s.ID, edit)
		return made, err
	}
	w.wants(second(update(registry.WebhookEdit{Scheme: ptr(tandem.SignatureScheme)})), tandem.Invalid) // without a secret
	w.wants(second(update(registry.WebhookEdit{Scheme: ptr(tandem.WebhookScheme("trust"))})), tandem.Invalid)
	first, err := update(registry.WebhookEdit{Scheme: ptr(tandem.SignatureScheme), NewSecret: true, Paths: &map[string]string{"battery_level": "sensor:battery/level"}})
	w.must(err)
	next, err := update(registry.WebhookEdit{NewSecret: true})
	w.must(err)
	if got := w.secretsOf(org, s.ID); !slices.Equal(got, []string{next, first}) {
		t.Errorf("the secrets are %v", got)
	}
	third, err := update(registry.WebhookEdit{NewSecret: true})
	w.must(err)
	if got := w.secretsOf(org, s.ID); !slices.Equal(got, []string{third, next}) {
		t.Errorf("the secrets are %v", got)
	}
	w.must(second(update(registry.WebhookEdit{DropOld: true})))
	if got := w.secretsOf(org, s.ID); !slices.Equal(got, []string{third}) {
		t.Errorf("the secrets are %v", got)
	}
	w.wants(second(update(registry.WebhookEdit{Scheme: ptr(tandem.StandardScheme)})), tandem.Invalid) // that secret is none of this scheme
	for _, secret := range []string{"short", strings.Repeat("x", 600), "with a space in it ....", "nö-nö-nö-nö-nö-nö-nö"} {
		w.wants(second(update(registry.WebhookEdit{Secret: []byte(secret)})), tandem.Invalid)
	}
	for _, edit := range []registry.WebhookEdit{{Header: ptr("Authorization")}, {Header: ptr("a b")}, {Paths: &map[string]string{"colour": "x"}}, {Paths: &map[string]string{"lat": "/x/"}}, {Paths: &map[string]string{"lat": "x:"}}} {
		w.wants(second(update(edit)), tandem.Invalid)
	}
	standard, err := update(registry.WebhookEdit{Scheme: ptr(tandem.StandardScheme), NewSecret: true, DropOld: true})
	if err != nil || !strings.HasPrefix(standard, "whsec_") {
		t.Errorf("the secret is %s, %v", standard, err)
	}
	w.wants(second(w.UpdateService(w.ctx, root, org, s.ID, registry.ServiceEdit{Config: func(c *tandem.ServiceConfig) { c.Webhook.Scheme = "" }})), tandem.Invalid)
}

// breaking is the project with one call that fails, before or after its effect.
type breaking struct {
	pipelines
	call  string
	after bool
	also  string // another call that fails, before its effect
}

func (b breaking) broken(call string, do func() error) error {
	away := tandem.Errorf(tandem.Timeout, call, "", "no answer in time")
	if call == b.also || call == b.call && !b.after {
		return away
	}
	if err := do(); err != nil || call != b.call {
		return err
	}
	return away
}

func (b breaking) PutSecret(ctx context.Context, name, value string) error {
	return b.broken("PutSecret", func() error { return b.pipelines.PutSecret(ctx, name, value) })
}

func (b breaking) PutPipeline(ctx context.Context, name, definition string) error {
	return b.broken("PutPipeline", func() error { return b.pipelines.PutPipeline(ctx, name, definition) })
}

func (b breaking) DeleteSecret(ctx context.Context, name string) error {
	return b.broken("DeleteSecret", func() error { return b.pipelines.DeleteSecret(ctx, name) })
}

// inProject lists the secrets and pipelines of ours in the project.
func (w *world) inProject(s tandem.Service) (found []string) {
	w.t.Helper()
	c, err := w.client(s)
	w.must(err)
	names, err := c.Secrets(w.ctx)
	w.must(err)
	for _, name := range names {
		if strings.HasPrefix(name, "TANDEM_") {
			found = append(found, name)
		}
	}
	all, err := c.Pipelines(w.ctx)
	w.must(err)
	for _, p := range all {
		if strings.HasPrefix(p.Name, "tandem-") {
			found = append(found, p.Name)
		}
	}
	slices.Sort(found)
	return found
}

// TestConnectingAWebhook: shown first, made with its secret, rotated without a gap, and taken away again.
func TestConnectingAWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.simulate(1)
	org := w.organization("Acme")
	s := w.service(org, "prod", nil)
	for _, url := range []string{"", "tandem.example.com", "http://tandem.example.com", "ftp://x", "https://user:pass@x", "https://x/?a=b"} {
		w.wants(second(w.ConnectWebhook(w.ctx, root, org, s.ID, url, true)), tandem.Invalid)
	}
	shown, err := w.ConnectWebhook(w.ctx, root, org, s.ID, "https://tandem.example.com/", true, "sensor")
	if err != nil || !strings.Contains(shown.Definition, "https://tandem.example.com/webhooks/golioth/"+s.ID) || !strings.Contains(shown.Definition, shown.Secret) || len(w.inProject(s)) != 0 {
		t.Fatalf("shown was %+v, %v", shown, err)
	}
	made, err := w.ConnectWebhook(w.ctx, root, org, s.ID, "https://tandem.example.com", false, "sensor")
	w.must(err)
	if got := w.inProject(s); !slices.Equal(got, []string{shown.Secret, shown.Pipeline}) || made.Definition != shown.Definition {
		t.Errorf("in the project are %v", got)
	}
	first := w.secretsOf(org, s.ID)
	again, err := w.ConnectWebhook(w.ctx, root, org, s.ID, "https://tandem.example.com", false, "sensor")
	w.must(err)
	if got := w.inProject(s); !slices.Equal(got, []string{again.Secret, shown.Pipeline}) || again.Secret == shown.Secret {
		t.Errorf("after a rotation there are %v", got)
	}
	if got := w.secretsOf(org, s.ID); len(got) != 2 || got[1] != first[0] {
		t.Errorf("after a rotation %d secrets are good", len(got))
	}
	after, err := w.DisconnectWebhook(w.ctx, root, org, s.ID)
	if err != nil || after.Config.Webhook.Scheme != "" || len(w.inProject(s)) != 0 || w.secretsOf(org, s.ID) != nil {
		t.Errorf("afterwards: %+v, %v, %v", after.Config.Webhook, w.inProject(s), err)
	}
	w.must(second(w.DisconnectWebhook(w.ctx, root, org, s.ID))) // nothing left to do
	for _, action := range []string{"service.connect", "service.disconnect"} {
		if got := w.audited(org, action); len(got) != 2 {
			t.Errorf("%s is in the audit %d times", action, len(got))
		}
	}
}

// TestConnectingThatFails leaves nothing half done, or says what is left and removes it later.
func TestConnectingThatFails(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]breaking{"secret before": {call: "PutSecret"}, "secret after": {call: "PutSecret", after: true},
		"pipeline before": {call: "PutPipeline"}, "pipeline after": {call: "PutPipeline", after: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.simulate(1)
			org := w.organization("Acme")
			s := w.service(org, "prod", nil)
			connect := func(at breaking) error {
				r := *w.Registry
				r.Pipelines = func(_ context.Context, s tandem.Service) (registry.Pipelines, error) {
					c, err := w.client(s)
					at.pipelines = pipelines{c}
					return at, err
				}
				return second(r.ConnectWebhook(w.ctx, root, org, s.ID, "https://tandem.example.com", false))
			}
			w.wants(connect(at), tandem.Timeout)
			now, err := w.Service(w.ctx, root, org, s.ID)
			w.must(err)
			if got := w.inProject(s); len(got) != 0 || now.Config.Webhook.Scheme != "" || len(now.WebhookSecrets) != 0 {
				t.Errorf("left are %v and %+v", got, now.Config.Webhook)
			}
			at.also = "DeleteSecret"
			err = connect(at)
			w.wants(err, tandem.Timeout)
			if !strings.Contains(err.Error(), "TANDEM_") || !strings.Contains(err.Error(), "--remove") {
				t.Errorf("it does not say what is left: %v", err)
			}
			w.must(second(w.DisconnectWebhook(w.ctx, root, org, s.ID)))
			if got := w.inProject(s); len(got) != 0 {
				t.Errorf("after removing there are %v", got)
			}
			// A rotation that fails leaves both secrets accepted, and is repeated.
			w.must(second(w.ConnectWebhook(w.ctx, root, org, s.ID, "https://tandem.example.com", false)))
			at.also = ""
			w.wants(connect(at), tandem.Timeout)
			if got := w.secretsOf(org, s.ID); len(got) != 2 {
				t.Errorf("%d secrets are good", len(got))
			}
			w.must(second(w.ConnectWebhook(w.ctx, root, org, s.ID, "https://tandem.example.com", false)))
			if got := w.inProject(s); len(got) != 2 {
				t.Errorf("after repeating there are %v", got)
			}
		})
	}
}

// TestS28SettingsAreShownFirst: of what a run would do, the part that changed settings alone bring about.
func TestS28SettingsAreShownFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.simulate(5)
	org := w.organization("Acme")
	s := w.service(org, "prod", nil)
	preview := func(change func(*tandem.ServiceConfig)) (registry.SettingsPreview, int) {
		t.Helper()
		n := 0
		p, err := w.PreviewSettings(w.ctx, root, org, s.ID, registry.ServiceEdit{Config: change}, func(tandem.Change) error { n++; return nil })
		w.must(err)
		return p, n
	}
	// Nobody let the settings run yet: everything is new.
	if p, n := preview(func(*tandem.ServiceConfig) {}); p.Changes != n || p.Run.Summary.Local.Created != 5 || n < 5 || p.Gone != 0 {
		t.Errorf("before the first run: %d, %+v", n, p)
	}
	engine := w.engine()
	if run, err := engine.Run(w.ctx, org, tandem.RunRequest{ServiceID: s.ID}, nil); err != nil || run.Status != tandem.RunCompleted {
		t.Fatalf("the run is %+v, %v", run, err)
	}
	w.device(org, "only here")
	if p, n := preview(func(*tandem.ServiceConfig) {}); n != 0 || p.Gone != 0 {
		t.Errorf("the same settings: %d, %+v", n, p)
	}
	p, n := preview(func(c *tandem.ServiceConfig) { c.CreateRemote = true })
	if n == 0 || p.Run.Summary.Remote.Created != 1 {
		t.Errorf("creating there: %d, %+v", n, p)
	}
	all, err := w.sim.DeviceCount("demo")
	if stored, err2 := w.Service(w.ctx, root, org, s.ID); err != nil || err2 != nil || all != 5 || stored.Config.CreateRemote {
		t.Errorf("a preview did something: %d devices, %v", all, err)
	}
	w.wants(second(w.PreviewSettings(w.ctx, root, org, s.ID, registry.ServiceEdit{Config: func(c *tandem.ServiceConfig) { c.BaseURL = "https://golioth.example" }}, nil)), tandem.Invalid)
}

// TestKeysStayWithTheirAddress: over the network nobody sends the stored key elsewhere, or where it may not go.
func TestKeysStayWithTheirAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.MayCall = func(_ context.Context, url string) error {
		if strings.Contains(url, "127.") {
			return tandem.Errorf(tandem.Invalid, "check address", url, "it is not on the internet")
		}
		return nil
	}
	org := w.organization("Acme")
	s := w.service(org, "prod", nil)
	a := w.person(org, "admin@example.com", tandem.Admin)
	manager := w.person(org, "manager@example.com", tandem.Manager)
	key := func(string, string) ([]byte, error) { return []byte("other"), nil }
	move := func(a registry.Actor, to string, key registry.Seal) error {
		return second(w.UpdateService(w.ctx, a, org, s.ID, registry.ServiceEdit{Key: key, Config: func(c *tandem.ServiceConfig) { c.BaseURL = to }}))
	}
	w.wants(move(manager, "https://golioth.example", nil), tandem.Forbidden)
	w.wants(move(manager, "https://api.golioth.io", key), tandem.Forbidden)
	w.wants(move(a, "https://golioth.example", nil), tandem.Invalid)
	w.wants(move(a, "http://127.0.0.1", key), tandem.Invalid)
	w.must(move(a, "https://golioth.example", key))
	w.must(move(a, "https://golioth.example/", nil))
	w.must(move(root, "http://127.0.0.1", nil))
}
