package main

import (
	"context"
	"os"
	"time"

	"tandem"
	"tandem/registry"
)

// DeviceCredentialCmd is `tandem device credential`.
type DeviceCredentialCmd struct {
	Create DeviceCredentialCreateCmd `cmd:"" help:"Make what a device authenticates with; its secret is shown once."`
	List   DeviceCredentialListCmd   `cmd:"" help:"List a device's credentials."`
	Rotate DeviceCredentialRotateCmd `cmd:"" help:"Give a credential a new secret."`
	Revoke DeviceCredentialRevokeCmd `cmd:"" help:"End a credential: within two seconds nobody is let in with it."`
}

// gatewayCases are about devices that speak to Tandem themselves.
type gatewayCases interface {
	Credentials(ctx context.Context, org, ref string) ([]tandem.Credential, error)
	CreateCredential(ctx context.Context, org, ref string, add registry.NewCredential) (tandem.Credential, string, error)
	RotateCredential(ctx context.Context, org, ref, id string, grace time.Duration) (tandem.Credential, string, error)
	RevokeCredential(ctx context.Context, org, ref, id string) (tandem.Credential, error)
	SendCommand(ctx context.Context, org, ref string, add registry.NewCommand) (tandem.Command, error)
	Commands(ctx context.Context, org, ref string, filter tandem.CommandFilter) ([]tandem.Command, int, error)
	Command(ctx context.Context, org, ref, id string) (tandem.Command, error)
	CancelCommand(ctx context.Context, org, ref, id string) (tandem.Command, error)
}

// DeviceCredentialCreateCmd is `tandem device credential create`.
type DeviceCredentialCreateCmd struct {
	In
	Device      string                `arg:"" help:"The device: its id, device_id or name."`
	Kind        tandem.CredentialKind `enum:"token,password,psk,certificate" default:"token" help:"token for HTTP, password for MQTT, psk for CoAP, or certificate."`
	Name        string                `help:"What it is for."`
	Identity    string                `placeholder:"ORG/NAME" help:"The user name or PSK identity; the organization and the device_id by default."`
	Certificate string                `placeholder:"FILE" help:"The client certificate (PEM), of the kind certificate."`
	Service     string                `placeholder:"NAME" help:"Take the device's PSK over from this service, where it allows it."`
	Expires     string                `default:"never" help:"When it ends: after a time such as 12h or 30d, on a day such as 2027-01-31, or never."`
}

// Run makes it.
func (c *DeviceCredentialCreateCmd) Run(ctx context.Context, a *app) error {
	add := registry.NewCredential{Kind: c.Kind, Name: c.Name, Identity: c.Identity, Service: c.Service}
	var err error
	if add.Life, _, err = parseExpiry(c.Expires, a.Clock()); err != nil {
		return err
	}
	if c.Certificate != "" {
		text, err := os.ReadFile(c.Certificate)
		if err != nil {
			return &usageError{"--certificate " + c.Certificate + " cannot be read", "name a file with one certificate in PEM"}
		}
		add.Certificate = string(text)
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		made, secret, err := s.CreateCredential(ctx, org.ID, c.Device, add)
		if err != nil {
			return err
		}
		return a.showSecret("made", &made, secret)
	})
}

// showSecret shows a credential with its secret.
func (a *app) showSecret(what string, c *tandem.Credential, secret string) error {
	if a.out.json {
		return a.out.value(struct {
			tandem.Credential
			Secret string `json:"secret,omitempty"`
		}{*c, secret})
	}
	a.out.printf("%s the %s %s, id %s\n", what, c.Kind, a.out.bold(clean(c.Name)), c.ID)
	if c.Kind != tandem.TokenCredential {
		a.out.printf("identity: %s\n", clean(c.Identity))
	}
	if secret != "" {
		a.out.printf("its secret, shown this once:\n\n    %s\n\n", secret)
	}
	return nil
}

// DeviceCredentialListCmd is `tandem device credential list`.
type DeviceCredentialListCmd struct {
	In
	Device string `arg:"" help:"The device."`
	All    bool   `help:"Revoked and expired ones too."`
}

// Run lists them.
func (c *DeviceCredentialListCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		all, err := s.Credentials(ctx, org.ID, c.Device)
		if err != nil {
			return err
		}
		shown := []tandem.Credential{}
		for i := range all {
			if c.All || all[i].ValidAt(a.Clock()) {
				shown = append(shown, all[i])
			}
		}
		if a.out.json {
			return a.out.value(map[string]any{"credentials": shown})
		}
		rows := make([][]string, len(shown))
		for i := range shown {
			one := &shown[i]
			rows[i] = []string{one.ID, string(one.Kind), clean(one.Name), clean(one.Identity), credentialEnd(one), a.out.ago(one.LastUsedAt)}
		}
		a.out.table([]string{"ID", "KIND", "NAME", "IDENTITY", "GOOD", "LAST USED"}, rows)
		return nil
	})
}

// credentialEnd says until when a credential is good.
func credentialEnd(c *tandem.Credential) string {
	switch {
	case c.RevokedAt != nil:
		return "revoked " + c.RevokedAt.UTC().Format(time.DateTime) + " UTC"
	case c.ExpiresAt == nil:
		return "until it is revoked"
	}
	return "until " + c.ExpiresAt.UTC().Format(time.DateTime) + " UTC"
}

// DeviceCredentialRotateCmd is `tandem device credential rotate`.
type DeviceCredentialRotateCmd struct {
	In
	Device string        `arg:"" help:"The device."`
	ID     string        `arg:"" help:"The credential's id."`
	Grace  time.Duration `help:"How long the old secret stays good, such as 1h; not at all by default."`
}

// Run rotates it.
func (c *DeviceCredentialRotateCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		is, secret, err := s.RotateCredential(ctx, org.ID, c.Device, c.ID, c.Grace)
		if err != nil {
			return err
		}
		return a.showSecret("rotated", &is, secret)
	})
}

// DeviceCredentialRevokeCmd is `tandem device credential revoke`.
type DeviceCredentialRevokeCmd struct {
	In
	Device string `arg:"" help:"The device."`
	ID     string `arg:"" help:"The credential's id."`
}

// Run revokes it.
func (c *DeviceCredentialRevokeCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		is, err := s.RevokeCredential(ctx, org.ID, c.Device, c.ID)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(is)
		}
		a.out.printf("revoked the %s %s\n", is.Kind, a.out.bold(clean(is.Name)))
		return nil
	})
}
