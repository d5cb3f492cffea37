package alert

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/mail"
	"strings"
	"unicode"

	"tandem"
	"tandem/outbound"
)

// SlackConfig is the configuration of a Slack-compatible channel. The incoming webhook's address is its secret.
type SlackConfig struct{}

// WebhookConfig is the configuration of a signed outbound webhook (Standard Webhooks). Its secret signs: whsec_ and
// 24 to 64 bytes in base64.
type WebhookConfig struct {
	URL string `json:"url"`
}

// EmailConfig is the configuration of an e-mail channel. Its secret is the password, where Username is set.
type EmailConfig struct {
	Host     string   `json:"host"`
	Port     int      `json:"port,omitempty"` // 587, with tls 465, with none 25
	Security Security `json:"security,omitempty"`
	Username string   `json:"username,omitempty"`
	From     string   `json:"from"` // an address, with or without a name
	To       []string `json:"to"`   // likewise, 1 to 50
}

// Security says how a connection to a mail server is encrypted.
type Security string

// The ways; "" is starttls.
const (
	StartTLS Security = "starttls" // and nothing is sent where the server does not offer it
	TLS      Security = "tls"      // from the first byte
	Plain    Security = "none"     // without a password, except to this machine
)

// maxRecipients is to how many addresses one channel sends.
const maxRecipients = 50

// CheckChannel says what is wrong with a channel's configuration and secret; secret is nil where the stored one stays.
// Its errors are Invalid and quote no secret.
func CheckChannel(c *tandem.Channel, secret []byte, policy outbound.Policy) error {
	var err error
	switch missing := len(secret) == 0 && len(c.Credentials) == 0; c.Type {
	case tandem.SlackChannel:
		if _, err = parse[SlackConfig](c.Config); err == nil && (missing || len(secret) > 0) {
			err = checkSlackURL(string(secret), policy)
		}
	case tandem.WebhookChannel:
		var config WebhookConfig
		if config, err = parse[WebhookConfig](c.Config); err == nil {
			err = policy.Check(config.URL)
		}
		if err == nil && (missing || len(secret) > 0) {
			err = checkSigningSecret(string(secret))
		}
	case tandem.EmailChannel:
		var config EmailConfig
		if config, err = parse[EmailConfig](c.Config); err == nil {
			err = checkEmail(&config, !missing, string(secret), policy)
		}
	default:
		err = invalid("the type %q is none of slack, email and webhook", string(c.Type))
	}
	return err
}

// parse reads a configuration, refusing members it does not have: a secret does not belong there.
func parse[T any](config json.RawMessage) (T, error) {
	var v T
	if len(bytes.TrimSpace(config)) == 0 {
		return v, nil
	}
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil || d.More() {
		return v, invalid("the configuration is not what this type of channel has").
			WithHint("docs/alerts.md has its members; passwords, signing secrets and Slack addresses are given as the secret")
	}
	return v, nil
}

// checkSlackURL checks the address of an incoming webhook, which is a secret.
func checkSlackURL(raw string, policy outbound.Policy) error {
	if raw == "" {
		return invalid("the address of the incoming webhook is missing").WithHint("give it as the channel's secret")
	}
	return policy.Check(raw)
}

// checkSigningSecret checks what signs a webhook.
func checkSigningSecret(secret string) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < 24 || len(key) > 64 {
		return invalid("the signing secret is not whsec_ and 24 to 64 bytes in base64").
			WithHint("make one with: echo whsec_$(openssl rand -base64 32)")
	}
	return nil
}

// checkEmail checks an e-mail channel. hasPassword says that there is one, stored or given.
func checkEmail(c *EmailConfig, hasPassword bool, password string, policy outbound.Policy) error {
	local := policy.CheckHost(c.Host) == nil && isLoopback(c.Host)
	switch {
	case c.Host == "":
		return invalid("the mail server's host is missing")
	case c.Port < 0 || c.Port > 65535:
		return invalid("the port is not between 1 and 65535")
	case c.Security != "" && c.Security != StartTLS && c.Security != TLS && c.Security != Plain:
		return invalid("security %q is none of starttls, tls and none", string(c.Security))
	case strings.ContainsFunc(c.Username, unicode.IsControl) || strings.ContainsFunc(password, unicode.IsControl):
		return invalid("the user name or the password holds control characters")
	case c.Username != "" && !hasPassword:
		return invalid("there is a user name and no password").WithHint("give the password as the channel's secret")
	case c.Username == "" && password != "":
		return invalid("there is a password and no user name")
	case c.Username != "" && c.Security == Plain && !local:
		return invalid("a password is not sent to a mail server in plain text").WithHint("set security to starttls or tls")
	case len(c.To) == 0 || len(c.To) > maxRecipients:
		return invalid("there are %d recipients; 1 to %d are possible", len(c.To), maxRecipients)
	}
	for _, address := range append([]string{c.From}, c.To...) {
		if !isAddress(address) {
			return invalid("%q is no e-mail address", clean(address, 100))
		}
	}
	return policy.CheckHost(c.Host)
}

// isAddress reports whether a text is one e-mail address, with or without a name, and nothing that could end a header.
func isAddress(text string) bool {
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		return false
	}
	a, err := mail.ParseAddress(text)
	return err == nil && !strings.ContainsFunc(a.Address+a.Name, unicode.IsControl)
}

// invalid refuses a channel.
func invalid(format string, args ...any) *tandem.Error {
	return tandem.Errorf(tandem.Invalid, "alert: check channel", "", format, args...)
}
