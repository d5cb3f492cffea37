package device

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// credentials are what the device proves itself with.
type credentials struct {
	shown []tandem.Credential
	over  int  // revoked and expired ones
	all   bool // those are shown too
}

// adding is the form of a new credential, and what came of it.
type adding struct {
	p      *page
	Wrong  map[string]string
	made   *tandem.Credential // just now
	secret string             // of it, shown this once
	turned bool               // it was there before, and has a new secret
}

// rotating is the question of a new secret.
type rotating struct {
	p     *page
	c     tandem.Credential
	Wrong string
}

// lives are the choices of how long a credential is good for, graces of how long an old secret is.
var (
	lives = []part.Option{{Label: "never"}, {Value: "720h", Label: "in 30 days"}, {Value: "2160h", Label: "in 90 days"}, {Value: "8760h", Label: "in a year"},
		{Value: "43800h", Label: "in 5 years"}}
	graces = []part.Option{{Value: "0s", Label: "not at all"}, {Value: "1h", Label: "for an hour"}, {Value: "24h", Label: "for a day"}, {Value: "168h", Label: "for a week"},
		{Value: "720h", Label: "for 30 days"}}
)

// kinds are the choices of a new credential; what follows a colon is the service that a key is taken over from.
func (a adding) kinds() []part.Option {
	options := []part.Option{{Value: string(tandem.TokenCredential), Label: "Token, for HTTP"}, {Value: string(tandem.PasswordCredential), Label: "User name and password, for MQTT"},
		{Value: string(tandem.PSKCredential), Label: "Pre-shared key, for CoAP"}, {Value: string(tandem.CertificateCredential), Label: "Client certificate, for TLS"}}
	for _, s := range a.p.keepers(true) {
		options = append(options, part.Option{Value: takenOver + s.ID, Label: "The key that it has on " + s.Name + ", for CoAP"})
	}
	return options
}

const takenOver = "psk:"

// keepers are the services that know a key of the device, and let it be used here, or do not.
func (p *page) keepers(let bool) []tandem.Service {
	var all []tandem.Service
	for _, a := range p.linked() {
		if s, ok := p.services[a.ServiceID]; ok && s.ServiceType == "golioth" && s.Config.GatewayPSK == let {
			all = append(all, s)
		}
	}
	return all
}

// slug is what an identity begins with.
func (a adding) slug() string { return a.p.c.Org.Slug + "/" }

func (p *page) readCredentials() error {
	found, err := p.c.Registry().Credentials(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID)
	if err != nil {
		return err
	}
	p.credentials = credentials{all: p.c.Query("credentials") == "all", shown: found}
	good := slices.DeleteFunc(slices.Clone(found), func(c tandem.Credential) bool { return !c.ValidAt(p.c.Now()) })
	p.credentials.over = len(found) - len(good)
	p.letIn = len(good) > 0
	if !p.credentials.all {
		p.credentials.shown = good
	}
	return nil
}

// over says why a credential lets nobody in any more, "" where it does.
func over(c *tandem.Credential, now time.Time) string {
	switch {
	case c.RevokedAt != nil:
		return "revoked"
	case !c.ValidAt(now):
		return "expired"
	}
	return ""
}

// grace gives until when an older secret is good too, nil where none is.
func grace(c *tandem.Credential, now time.Time) *time.Time {
	if c.PreviousUntil != nil && now.Before(*c.PreviousUntil) {
		return c.PreviousUntil
	}
	return nil
}

// turns reports whether a credential can get a new secret here.
func turns(c *tandem.Credential) bool {
	return c.Kind != tandem.CertificateCredential && c.ServiceID == ""
}

// kindText names a kind as people call it.
func kindText(k tandem.CredentialKind) string {
	if k == tandem.PSKCredential {
		return "PSK"
	}
	return string(k)
}

func newCredential(c *shell.Call) error {
	if !c.May(registry.ManageCredentials) {
		return notAllowed("make credentials of devices")
	}
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	if c.Partial() {
		return c.Part(credentialDialog(adding{p: p}))
	}
	return newCredentialPage(adding{p: p})
}

func newCredentialPage(a adding) error {
	return a.p.c.Page(shell.Frame{Title: "New credential of " + a.p.d.Name, Section: shell.Devices, Scripts: []string{"integration.js"}}, credentialWhole(a))
}

// addCredential makes one; its secret is in the reply alone.
func addCredential(c *shell.Call) error {
	if !c.May(registry.ManageCredentials) {
		return notAllowed("make credentials of devices")
	}
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	a := adding{p: p}
	add := registry.NewCredential{Kind: tandem.CredentialKind(c.Form("kind")), Name: c.Form("name")}
	if service, found := strings.CutPrefix(c.Form("kind"), takenOver); found {
		add.Kind, add.Service = tandem.PSKCredential, service
	} else if add.Kind == tandem.PasswordCredential || add.Kind == tandem.PSKCredential {
		add.Identity = c.Form("identity")
	}
	add.Life, err = lifeOf(c.Form("expires_in"))
	if err == nil && add.Kind == tandem.CertificateCredential {
		add.Certificate, err = certificate(c)
	}
	var made tandem.Credential
	if err == nil {
		made, a.secret, err = c.Registry().CreateCredential(c.R.Context(), c.Actor, c.Org.ID, p.d.ID, add)
	}
	if err != nil {
		if a.Wrong = wrongIn(err, "kind", "name", "identity", "certificate", "expires_in"); a.Wrong == nil {
			return err
		}
		return c.Invalid(credentialForm(a), func() error { return newCredentialPage(a) })
	}
	a.made = &made
	return a.reveal()
}

// lifeOf reads how long something lasts, 0 where nothing is said.
func lifeOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	life, err := time.ParseDuration(text)
	if err != nil {
		return 0, tandem.Errorf(tandem.Invalid, "read form", "", "expires_in is none of the choices")
	}
	return life, nil
}

// certificate gives the certificate that was chosen as a file, else the pasted one.
func certificate(c *shell.Call) (string, error) {
	f, _, err := c.R.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return pasted(c)
	}
	var content []byte
	if err == nil {
		content, err = io.ReadAll(f)
		_ = f.Close() // it was only read
	}
	if err != nil {
		return "", tandem.Errorf(tandem.Invalid, "read form", "", "certificate cannot be read; choose the file again")
	}
	if len(content) == 0 {
		return pasted(c)
	}
	return string(content), nil
}

func pasted(c *shell.Call) (string, error) {
	text := c.Form("certificate")
	if text == "" {
		return "", tandem.Errorf(tandem.Invalid, "read form", "", "certificate is missing: choose its file, or paste it")
	}
	return text, nil
}

// wrongIn gives what is wrong with each of some fields, as the registry's messages tell by their first word; what is about
// none of them is under "". Nil for what is no matter of a form.
func wrongIn(err error, fields ...string) map[string]string {
	var e *tandem.Error
	if !tandem.Is(err, tandem.Invalid, tandem.Exists, tandem.NotFound, tandem.Unavailable, tandem.Busy) || !errors.As(err, &e) {
		return nil
	}
	found := map[string]string{}
	for said := range strings.SplitSeq(e.Message, "; ") {
		at, rest, _ := strings.Cut(said, " ")
		if slices.Contains(fields, at) {
			found[at] = strings.TrimSpace(found[at] + " " + title(at) + " " + rest + ".")
			continue
		}
		found[""] = strings.TrimSpace(found[""] + " " + capital(said) + ".")
	}
	if found[""] != "" && e.Hint != "" {
		found[""] += " " + capital(e.Hint) + "."
	}
	return found
}

// capital begins a text with a capital letter.
func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// reveal shows what a credential's secret is, this once.
func (a adding) reveal() error {
	c := a.p.c
	said := "is made."
	if a.turned {
		said = "has a new secret."
	}
	c.Toast("success", "The "+kindText(a.made.Kind)+" "+a.made.Name+" "+said)
	c.Event("credentials-here", "commands-here")
	if c.Partial() {
		return c.Part(revealed(a))
	}
	return c.Page(shell.Frame{Title: a.made.Name, Section: shell.Devices}, revealedWhole(a))
}

// credentialOf reads the device, and that of its credentials which the address names.
func credentialOf(c *shell.Call) (*page, tandem.Credential, error) {
	p, err := pageOf(c)
	if err != nil {
		return p, tandem.Credential{}, err
	}
	all, err := c.Registry().Credentials(c.R.Context(), c.Actor, c.Org.ID, p.d.ID)
	if err != nil {
		return p, tandem.Credential{}, err
	}
	at := slices.IndexFunc(all, func(one tandem.Credential) bool { return one.ID == c.Value("credential") })
	if at < 0 {
		return p, tandem.Credential{}, tandem.Errorf(tandem.NotFound, "find credential", c.Value("credential"), "the device has no such credential").WithHint("it may have been revoked long ago; look at its page")
	}
	return p, all[at], nil
}

func rotatePage(c *shell.Call) error {
	if !c.May(registry.ManageCredentials) {
		return notAllowed("change credentials of devices")
	}
	p, one, err := credentialOf(c)
	if err != nil {
		return err
	}
	r := rotating{p: p, c: one}
	if c.Partial() {
		return c.Part(rotateDialog(r))
	}
	return rotateWholePage(r)
}

func rotateWholePage(r rotating) error {
	return r.p.c.Page(shell.Frame{Title: "New secret of " + r.c.Name, Section: shell.Devices}, rotateWhole(r))
}

// rotate gives a credential a new secret, which is in the reply alone.
func rotate(c *shell.Call) error {
	p, one, err := credentialOf(c)
	if err != nil {
		return err
	}
	old, err := lifeOf(c.Form("grace"))
	if err != nil {
		return err
	}
	made, secret, err := c.Registry().RotateCredential(c.R.Context(), c.Actor, c.Org.ID, p.d.ID, one.ID, old)
	if tandem.Is(err, tandem.Invalid) {
		r := rotating{p: p, c: one, Wrong: reason(err)}
		return c.Invalid(rotateForm(r), func() error { return rotateWholePage(r) })
	}
	if err != nil {
		return err
	}
	return adding{p: p, made: &made, secret: secret, turned: true}.reveal()
}

// revokeCredential ends one.
func revokeCredential(c *shell.Call) error {
	p, one, err := credentialOf(c)
	if err != nil {
		return err
	}
	if _, err := c.Registry().RevokeCredential(c.R.Context(), c.Actor, c.Org.ID, p.d.ID, one.ID); err != nil {
		return err
	}
	return c.Done("The "+kindText(one.Kind)+" "+one.Name+" is revoked: it lets nobody in any more.", p.path(), "credentials-here", "commands-here")
}

// typed gives what was typed in the form that was sent, else another text.
func typed(c *shell.Call, name, otherwise string) string {
	if c.R.PostForm.Has(name) {
		return c.Form(name)
	}
	return otherwise
}

// identityText names what a device calls itself with a kind.
func identityText(k tandem.CredentialKind) string {
	if k == tandem.PSKCredential {
		return "Identity"
	}
	return "User name"
}

// secretText names what it proves it with.
func secretText(k tandem.CredentialKind) string {
	switch k {
	case tandem.PSKCredential:
		return "Key"
	case tandem.PasswordCredential:
		return "Password"
	}
	return "Token"
}

// query is how the address says which are shown.
func (s credentials) query() string {
	if s.all {
		return "?credentials=all"
	}
	return ""
}
