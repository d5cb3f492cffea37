package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"tandem"
)

// ServeCmd is `tandem serve`.
type ServeCmd struct {
	Listen           string   `default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Where to listen: HOST:PORT; port 0 takes a free one."`
	PublicURL        string   `placeholder:"URL" help:"How people and Golioth reach this server, such as https://tandem.example.com."`
	TrustedProxies   []string `placeholder:"CIDR,…" help:"The proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."`
	TLSCert          string   `name:"tls-cert" placeholder:"FILE" help:"Serve HTTPS with this certificate chain (PEM); read again when it changes."`
	TLSKey           string   `name:"tls-key" placeholder:"FILE" help:"The certificate's private key (PEM)."`
	TLSMin           string   `name:"tls-min" default:"1.3" enum:"1.2,1.3" help:"The oldest TLS version that is accepted: 1.3 or 1.2."`
	MetricsListen    string   `placeholder:"ADDRESS" help:"Serve /metrics here instead of with everything else."`
	MetricsTokenFile string   `placeholder:"FILE" help:"The file with the bearer token that /metrics asks for."`
	LogFormat        string   `default:"text" enum:"text,json" help:"How logs are written to standard error: text or json."`
	LogLevel         string   `default:"info" enum:"debug,info,warn,error" help:"What is logged: debug, info, warn or error."`

	AllowPrivateAddresses bool `help:"Let base URLs and outbound webhooks that come over the network name private, loopback and link-local addresses."`

	OIDCIssuer           string `name:"oidc-issuer" placeholder:"URL" help:"Let people sign in through this OpenID Connect provider too."`
	OIDCClientID         string `name:"oidc-client-id" placeholder:"ID" help:"This server's client id there."`
	OIDCClientSecretFile string `name:"oidc-client-secret-file" placeholder:"FILE" help:"The file with its client secret."`

	MailHost         string `placeholder:"HOST" help:"The mail server for invitations and password links."`
	MailPort         int    `placeholder:"PORT" help:"Its port; by default the usual one for --mail-security."`
	MailSecurity     string `default:"starttls" enum:"starttls,tls,none" help:"How the connection to it is encrypted: starttls, tls, or none for this machine's own."`
	MailFrom         string `placeholder:"ADDRESS" help:"Who the mail is from."`
	MailUser         string `placeholder:"NAME" help:"Who signs in there."`
	MailPasswordFile string `placeholder:"FILE" help:"The file with that password."`

	AddressRate float64 `default:"100" placeholder:"N" help:"Requests a second that one address may make; less than 0 for any number."`
	TokenRate   float64 `default:"100" placeholder:"N" help:"Requests a second with one token."`
	WebhookRate float64 `default:"20000" placeholder:"N" help:"Deliveries a second to one service."`
	IngestRate  float64 `default:"20000" placeholder:"N" help:"Requests of devices a second from one address."`
	DeviceRate  float64 `default:"50" placeholder:"N" help:"Reports a second of one device; less than 0 for any number."`

	mqttFlags
	coapFlags

	IngestClientCA string `name:"ingest-client-ca" placeholder:"FILE" help:"Let devices show client certificates that any of these (PEM) signed; with --tls-cert."`

	Runs    int `default:"8" help:"How many runs this process does at once."`
	Workers int `default:"8" help:"How many other jobs."`

	KeepRuns         int `default:"90" placeholder:"DAYS" help:"Days that runs, their entries, closed conflicts and plans are kept; 0 for ever."`
	KeepDeliveries   int `default:"7" placeholder:"DAYS" help:"Days that received webhooks are kept."`
	KeepObservations int `default:"90" placeholder:"DAYS" help:"Days that reported values are kept."`
	KeepAudit        int `default:"365" placeholder:"DAYS" help:"Days that the audit is kept; a checkpoint stays."`
	KeepCommands     int `default:"90" placeholder:"DAYS" help:"Days that devices' commands and revoked credentials are kept."`
	KeepAlerts       int `default:"90" placeholder:"DAYS" help:"Days that resolved alerts are kept."`
}

// check refuses settings that cannot be meant.
func (c *ServeCmd) check() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return &usageError{"--tls-cert and --tls-key go together", "name both files, or neither"}
	}
	if c.IngestClientCA != "" && c.TLSCert == "" {
		return &usageError{"--ingest-client-ca needs --tls-cert", "clients show a certificate only to a server that has one"}
	}
	if err := c.coapFlags.check(); err != nil {
		return err
	}
	if err := c.mqttFlags.check(c.TLSCert != ""); err != nil {
		return err
	}
	if u, err := url.Parse(c.PublicURL); c.PublicURL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.HasSuffix(c.PublicURL, "/")) {
		return &usageError{fmt.Sprintf("--public-url %q is not a URL of a server", c.PublicURL), "write it as https://tandem.example.com, without a final slash"}
	}
	if (c.OIDCIssuer == "") != (c.OIDCClientID == "") {
		return &usageError{"--oidc-issuer and --oidc-client-id go together", ""}
	}
	if c.OIDCIssuer != "" && c.PublicURL == "" {
		return &usageError{"--oidc-issuer needs --public-url", "the provider sends people back there"}
	}
	for name, days := range map[string]int{"runs": c.KeepRuns, "deliveries": c.KeepDeliveries, "observations": c.KeepObservations, "audit": c.KeepAudit, "alerts": c.KeepAlerts, "commands": c.KeepCommands} {
		if days < 0 || days > 36500 {
			return &usageError{fmt.Sprintf("--keep-%s must be between 0 and 36500 days", name), "0 keeps everything"}
		}
	}
	return nil
}

// retention is how long things are kept.
func (c *ServeCmd) retention() tandem.Retention {
	const day = 24 * time.Hour
	return tandem.Retention{Runs: time.Duration(c.KeepRuns) * day, Deliveries: time.Duration(c.KeepDeliveries) * day,
		Observations: time.Duration(c.KeepObservations) * day, Audit: time.Duration(c.KeepAudit) * day,
		Alerts: time.Duration(c.KeepAlerts) * day, Commands: time.Duration(c.KeepCommands) * day, Events: tandem.DefaultRetention().Events}
}

// logger writes structured logs to standard error.
func (c *ServeCmd) logger(a *app) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(a.Stderr, options))
}

// Run serves until it is told to stop.
func (c *ServeCmd) Run(ctx context.Context, a *app) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	a.log = c.logger(a)
	s, err := a.openServing(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	a.collectSeldom()
	v, err := newServing(ctx, c, s)
	if err != nil {
		return err
	}
	if err := v.invite(ctx); err != nil {
		return errors.Join(err, v.stop())
	}
	return v.run(ctx)
}

// invite prints the way in while there is nobody who could sign in.
func (v *serving) invite(ctx context.Context) error {
	n, err := v.store.CountUsers(ctx)
	if err != nil || n > 0 {
		return err
	}
	token, err := v.registry.NewSetUpLink(ctx, v.actor)
	if err != nil {
		return err
	}
	v.out.printf("Nobody can sign in yet. Make the first owner, within a day, at\n\n    %s/setup?token=%s\n\nor here: tandem user create --owner\n\n", v.base(), token)
	return nil
}

// base is the address that people are told.
func (v *serving) base() string {
	if v.cmd.PublicURL != "" {
		return v.cmd.PublicURL
	}
	scheme := "http"
	if v.cmd.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + v.server.Addresses()[0].String()
}
