package registry

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"tandem"
)

// WebhookEdit names what is to change of how a service's deliveries are authenticated and read (S34, S36).
type WebhookEdit struct {
	Scheme *tandem.WebhookScheme
	Header *string            // of the header scheme
	Paths  *map[string]string // by field
	// NewSecret makes a secret and gives it once; Secret takes one that exists. Either goes before the one there is,
	// which goes on being accepted until it is dropped.
	NewSecret bool
	Secret    []byte
	DropOld   bool // accept only the newest from now on
	IfVersion *int64
}

// WebhookPlace is where a service's webhook secrets, a JSON list of texts, are sealed for.
func WebhookPlace(s *tandem.Service) Place {
	return Place{OrganizationID: s.OrganizationID, Table: "device_services", Column: "webhook_secrets", Row: s.ID}
}

// UpdateWebhook changes how deliveries are authenticated and read. A secret that it made is given this once.
func (r *Registry) UpdateWebhook(ctx context.Context, actor Actor, org, ref string, edit WebhookEdit) (tandem.Service, string, error) {
	if err := actor.may(org, ManageServices); err != nil {
		return tandem.Service{}, "", err
	}
	var s tandem.Service
	var made string
	err := retryMoved(func() error {
		before, err := r.Store.Service(ctx, org, ref)
		if err != nil {
			return err
		}
		s = before
		if err := expect("update webhook", s.Name, s.Version, edit.IfVersion); err != nil {
			return err
		}
		s.Config = copied(before.Config)
		hook := &s.Config.Webhook
		set(&hook.Scheme, edit.Scheme)
		set(&hook.Header, edit.Header)
		set(&hook.Paths, edit.Paths)
		if err := checkWebhook(hook).err("update webhook", s.Name); err != nil {
			return err
		}
		secrets, err := r.webhookSecrets(&s)
		if err != nil {
			return err
		}
		if secrets, made, err = edit.turn(secrets, hook.Scheme); err != nil {
			return err
		}
		if s.WebhookSecrets, err = r.sealSecrets(&s, &before, secrets); err != nil {
			return err
		}
		s.UpdatedAt = r.Clock()
		return r.storeService(ctx, actor, org, "service.webhook", &before, &s)
	})
	return s, made, err
}

// turn puts a new secret before the others, or drops all but the newest.
func (e *WebhookEdit) turn(secrets []string, scheme tandem.WebhookScheme) (after []string, made string, err error) {
	fresh := string(e.Secret)
	if e.NewSecret {
		fresh = newWebhookSecret(scheme)
		made = fresh
	}
	if fresh != "" {
		if err := checkWebhookSecret(fresh, scheme); err != nil {
			return nil, "", err
		}
		secrets = append([]string{fresh}, slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return s == fresh })...)
	}
	most := 2 // S34: two at once while rotating
	if e.DropOld {
		most = 1
	}
	secrets = secrets[:min(len(secrets), most)]
	if scheme != "" && len(secrets) == 0 {
		return nil, "", invalid("webhook secret", "is missing: without one no delivery can be accepted")
	}
	if scheme == tandem.StandardScheme {
		for _, s := range secrets {
			if err := checkWebhookSecret(s, scheme); err != nil {
				return nil, "", err
			}
		}
	}
	return secrets, made, nil
}

// webhookSecrets opens a service's secrets.
func (r *Registry) webhookSecrets(s *tandem.Service) ([]string, error) {
	if len(s.WebhookSecrets) == 0 {
		return nil, nil
	}
	plain, err := r.Vault.Unseal(WebhookPlace(s), s.WebhookSecrets)
	if err != nil {
		return nil, err
	}
	var secrets []string
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return nil, tandem.Errorf(tandem.Corrupt, "open webhook secrets", s.Name, "the service's webhook secrets cannot be read").WithHint("disconnect the webhook and connect it again")
	}
	return secrets, nil
}

// sealSecrets seals secrets, or gives what was stored when they are the same: sealing them again would read as a change.
func (r *Registry) sealSecrets(s, before *tandem.Service, secrets []string) ([]byte, error) {
	old, err := r.webhookSecrets(before)
	if err != nil {
		return nil, err
	}
	switch {
	case len(secrets) == 0:
		return nil, nil
	case slices.Equal(old, secrets):
		return before.WebhookSecrets, nil
	}
	return r.Vault.Seal(WebhookPlace(s), asJSON(secrets))
}

// standardPrefix begins a secret of Standard Webhooks.
const standardPrefix = "whsec_"

func newWebhookSecret(scheme tandem.WebhookScheme) string {
	if scheme != tandem.StandardScheme {
		return newSecret()
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: the program ends where there is no randomness
	return standardPrefix + base64.StdEncoding.EncodeToString(raw)
}

func checkWebhookSecret(secret string, scheme tandem.WebhookScheme) error {
	if strings.ContainsFunc(secret, func(c rune) bool { return c <= ' ' || c > '~' }) || len(secret) < 16 || len(secret) > 512 {
		return invalid("webhook secret", "must have 16 to 512 visible ASCII characters without spaces")
	}
	if scheme == tandem.StandardScheme {
		text, ok := strings.CutPrefix(secret, standardPrefix)
		raw, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(raw) < 24 || len(raw) > 64 {
			return invalid("webhook secret", "of Standard Webhooks is %s and 24 to 64 bytes in base64", standardPrefix)
		}
	}
	return nil
}

// webhookFields are what a payload may tell of.
var webhookFields = []string{"battery_level", "location", "lat", "lon", "firmware", "online"}

var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,63}$`)

// headersTaken say something else already.
var headersTaken = []string{"authorization", "content-type", "content-length", "content-encoding", "host", "cookie", "connection", "transfer-encoding", "user-agent"}

func checkWebhook(c *tandem.WebhookConfig) problems {
	var p problems
	p.add(oneOf("webhook scheme", c.Scheme, "", tandem.SignatureScheme, tandem.StandardScheme, tandem.HeaderScheme))
	if c.Header != "" && (!headerName.MatchString(c.Header) || slices.Contains(headersTaken, strings.ToLower(c.Header))) {
		p.add(invalid("webhook header", "cannot be %q; use letters, digits and hyphens, such as X-Tandem-Secret", c.Header))
	}
	for field, path := range c.Paths {
		p.add(oneOf("webhook path's field", field, webhookFields...))
		_, inside, ok := strings.Cut(path, ":")
		if !ok {
			inside = path
		}
		if inside == "" || strings.HasPrefix(inside, "/") || strings.HasSuffix(inside, "/") || strings.Contains(inside, "//") {
			p.add(invalid("webhook path of "+field, "%q is no path such as battery/level or sensor:battery/level", path))
			continue
		}
		p.add(checkLine("webhook path of "+field, path, 1, maxName))
	}
	return p
}
