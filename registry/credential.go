package registry

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"tandem"
)

// DeviceTokenPrefix begins every token of a device, so that scanners find one that was left somewhere.
const DeviceTokenPrefix = "tdd_"

// The bounds of devices' credentials.
const (
	maxCredentials = 20                    // unrevoked ones of a device
	maxIdentity    = 128                   // bytes
	maxGrace       = 30 * 24 * time.Hour   // that a rotated secret stays good
	maxCredLife    = 3650 * 24 * time.Hour // that a credential is good
)

// NewCredential is what a device's credential is made of.
type NewCredential struct {
	Kind        tandem.CredentialKind
	Name        string        // "" for the kind
	Identity    string        // of a password or PSK, "" for organization/device_id; it begins with the organization's slug and a slash
	Certificate string        // PEM, of a certificate
	Service     string        // id or name: take the device's PSK over from there, where the service allows it
	Life        time.Duration // 0 for ever
}

// Reach is what the registry needs of a device on its service; the Golioth client does it.
type Reach interface {
	// PSK gives a device's pre-shared key and the identity that goes with it, NotFound where it has none.
	PSK(ctx context.Context, externalID string) (identity, key string, err error)
	// Call runs a procedure on a device and waits for its answer: failed, with what the device said, where it refused.
	Call(ctx context.Context, externalID, method string, params any, timeout time.Duration) (reply any, failed bool, err error)
}

// CredentialPlace is where a PSK lies sealed.
func CredentialPlace(c *tandem.Credential) Place {
	return Place{c.OrganizationID, "device_credentials", "sealed", c.ID}
}

func credentialThing(c *tandem.Credential) thing { return thing{"credential", c.ID, c.Name} }

// Credentials lists what a device authenticates with, newest first, revoked ones too.
func (r *Registry) Credentials(ctx context.Context, actor Actor, org, ref string) ([]tandem.Credential, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return nil, err
	}
	d, err := r.device(ctx, org, ref)
	if err != nil {
		return nil, err
	}
	return r.Server.Credentials(ctx, org, d.ID)
}

// CreateCredential makes a credential and gives its secret, which is shown this once; a certificate has none. Exists
// when the identity is taken.
func (r *Registry) CreateCredential(ctx context.Context, actor Actor, org, ref string, add NewCredential) (tandem.Credential, string, error) {
	if err := actor.may(org, ManageCredentials); err != nil {
		return tandem.Credential{}, "", err
	}
	d, err := r.device(ctx, org, ref)
	if err != nil {
		return tandem.Credential{}, "", err
	}
	now := r.Clock().UTC().Truncate(time.Microsecond)
	c := tandem.Credential{ID: r.NewID(), OrganizationID: org, DeviceID: d.ID, Kind: add.Kind, Name: strings.TrimSpace(add.Name), Identity: strings.TrimSpace(add.Identity),
		CreatedBy: actor.By(), CreatedAt: now, UpdatedAt: now}
	if err := checkCredential(&c, &add); err != nil {
		return c, "", err
	}
	if add.Life > 0 {
		until := now.Add(add.Life)
		c.ExpiresAt = &until
	}
	secret, err := r.fillCredential(ctx, &d, &c, &add)
	if err != nil {
		return c, "", err
	}
	along := r.note(actor, org, "credential.create", credentialThing(&c), nil, credentialAudit(&c))
	err = r.Store.Apply(ctx, org, &tandem.Changes{PutCredentials: []tandem.Credential{c}, Along: along})
	c.Version = 1
	return c, secret, err
}

// credentialAudit is what the audit keeps of a credential: nothing secret.
func credentialAudit(c *tandem.Credential) any {
	return map[string]any{"device_id": c.DeviceID, "kind": c.Kind, "identity": c.Identity, "expires_at": c.ExpiresAt}
}

func checkCredential(c *tandem.Credential, add *NewCredential) error {
	if err := oneOf("kind", c.Kind, tandem.CredentialKinds...); err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = string(c.Kind)
	}
	var p problems
	p.add(checkLine("name", c.Name, 1, maxName))
	if c.Identity != "" {
		p.add(checkLine("identity", c.Identity, 1, maxIdentity))
		if c.Kind != tandem.PasswordCredential && c.Kind != tandem.PSKCredential {
			p.add(invalid("identity", "is given by the %s itself", c.Kind))
		}
	}
	if (add.Certificate != "") != (c.Kind == tandem.CertificateCredential) {
		p.add(invalid("certificate", "goes with the kind certificate, and that with a certificate"))
	}
	if add.Service != "" && c.Kind != tandem.PSKCredential {
		p.add(invalid("service", "a PSK alone can be taken over from a service"))
	}
	if add.Life < 0 || add.Life > maxCredLife {
		p.add(invalid("expires_in", "is %s, it must be between 0, for ever, and %d days", add.Life, maxCredLife/(24*time.Hour)))
	}
	return p.err("create credential", c.Name)
}

// fillCredential makes what proves the device.
func (r *Registry) fillCredential(ctx context.Context, d *tandem.Device, c *tandem.Credential, add *NewCredential) (secret string, err error) {
	there, err := r.Server.Credentials(ctx, c.OrganizationID, d.ID)
	if err != nil {
		return "", err
	}
	there = slices.DeleteFunc(there, func(other tandem.Credential) bool { return other.RevokedAt != nil })
	if len(there) >= maxCredentials {
		return "", tandem.Errorf(tandem.Invalid, "create credential", d.DeviceID, "the device has %d credentials already", len(there)).WithHint("revoke those that are not used")
	}
	switch {
	case c.Kind == tandem.TokenCredential:
		c.Identity, secret = c.ID, DeviceTokenPrefix+newSecret()
		c.Hash = hashSecret(secret)
		return secret, nil
	case c.Kind == tandem.CertificateCredential:
		c.Identity, err = fingerprint(add.Certificate)
		return "", err
	case add.Service != "":
		return r.takePSK(ctx, d, c, add.Service)
	}
	if err := r.nameCredential(ctx, d, c, there); err != nil {
		return "", err
	}
	secret = newSecret()
	if c.Kind == tandem.PasswordCredential {
		c.Hash = hashSecret(secret)
		return secret, nil
	}
	return secret, r.sealPSK(c, secret)
}

// nameCredential gives it an identity of the organization's own: nobody else's may be taken in advance.
func (r *Registry) nameCredential(ctx context.Context, d *tandem.Device, c *tandem.Credential, there []tandem.Credential) error {
	o, err := r.Store.Organization(ctx, c.OrganizationID)
	if err != nil {
		return err
	}
	if c.Identity != "" {
		if !strings.HasPrefix(c.Identity, o.Slug+"/") {
			return invalid("identity", "must begin with %s/", o.Slug)
		}
		return nil
	}
	c.Identity = o.Slug + "/" + d.DeviceID
	taken := func(other tandem.Credential) bool { return other.Kind == c.Kind && other.Identity == c.Identity }
	if len(c.Identity) > maxIdentity || slices.ContainsFunc(there, taken) {
		c.Identity = o.Slug + "/" + c.ID
	}
	return nil
}

func (r *Registry) sealPSK(c *tandem.Credential, key string) (err error) {
	if r.Vault == nil {
		return tandem.Errorf(tandem.KeyLost, "create credential", c.Name, "there is no key to encrypt it with")
	}
	c.Sealed, err = r.Vault.Seal(CredentialPlace(c), []byte(key))
	return err
}

// takePSK takes a device's PSK over from a service, so that one flashed device can speak to both.
func (r *Registry) takePSK(ctx context.Context, d *tandem.Device, c *tandem.Credential, ref string) (string, error) {
	const op = "create credential"
	s, err := r.Store.Service(ctx, c.OrganizationID, ref)
	if err != nil {
		return "", err
	}
	if !s.Config.GatewayPSK {
		return "", tandem.Errorf(tandem.Forbidden, op, s.Name, "the service does not let its devices' keys be used here").
			WithHint("switch it on: tandem service update %s --gateway-psk", quoteWord(s.Name))
	}
	external, err := r.linkedTo(ctx, d, s.ID)
	if err != nil {
		return "", err
	}
	if r.Reach == nil {
		return "", tandem.Errorf(tandem.Unavailable, op, s.Name, "the service cannot be asked from here")
	}
	reach, err := r.Reach(ctx, s)
	if err != nil {
		return "", err
	}
	identity, key, err := reach.PSK(ctx, external)
	if err != nil {
		return "", err
	}
	if identity == "" || len(identity) > maxIdentity || key == "" {
		return "", tandem.Errorf(tandem.Invalid, op, d.DeviceID, "the device's key on the service cannot be used here")
	}
	c.Identity, c.ServiceID = identity, s.ID
	return "", r.sealPSK(c, key)
}

// linkedTo gives the remote id of a device on a service.
func (r *Registry) linkedTo(ctx context.Context, d *tandem.Device, service string) (string, error) {
	assignments, err := r.Store.Assignments(ctx, d.OrganizationID, []string{d.ID})
	if err != nil {
		return "", err
	}
	for i := range assignments {
		if a := &assignments[i]; a.ServiceID == service && a.Status != tandem.SyncUnlinked {
			return a.ExternalDeviceID, nil
		}
	}
	return "", tandem.Errorf(tandem.Invalid, "find device", d.DeviceID, "the device is not linked to the service")
}

// fingerprint names a certificate, and refuses what is none or has expired by itself.
func fingerprint(text string) (string, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(strings.TrimSpace(string(rest))) > 0 {
		return "", invalid("certificate", "is not one certificate in PEM")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return "", invalid("certificate", "cannot be read")
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}

// RotateCredential gives a token or password a new secret, shown this once; the old one stays good for grace.
func (r *Registry) RotateCredential(ctx context.Context, actor Actor, org, ref, id string, grace time.Duration) (tandem.Credential, string, error) {
	if err := actor.may(org, ManageCredentials); err != nil {
		return tandem.Credential{}, "", err
	}
	if grace < 0 || grace > maxGrace {
		return tandem.Credential{}, "", invalid("grace", "is %s, it must be between 0 and %d days", grace, maxGrace/(24*time.Hour))
	}
	var c tandem.Credential
	var secret string
	err := retryMoved(func() (err error) {
		if c, err = r.credential(ctx, org, ref, id); err != nil {
			return err
		}
		now := r.Clock().UTC().Truncate(time.Microsecond)
		if !c.ValidAt(now) {
			return tandem.Errorf(tandem.Invalid, "rotate credential", c.Name, "it is revoked or has expired").WithHint("make another one")
		}
		if secret, err = r.turn(&c, now, grace); err != nil {
			return err
		}
		c.UpdatedAt = now
		along := r.note(actor, org, "credential.rotate", credentialThing(&c), nil, map[string]any{"secret": "changed", "previous_until": c.PreviousUntil})
		return r.Store.Apply(ctx, org, &tandem.Changes{PutCredentials: []tandem.Credential{c}, Along: along})
	})
	if err != nil {
		return c, "", err
	}
	c.Version++
	return c, secret, nil
}

// turn gives a credential its new secret.
func (r *Registry) turn(c *tandem.Credential, now time.Time, grace time.Duration) (secret string, err error) {
	const op = "rotate credential"
	switch c.Kind {
	case tandem.CertificateCredential:
		return "", tandem.Errorf(tandem.Invalid, op, c.Name, "a certificate has no secret that could be changed").
			WithHint("add the new certificate, and revoke this one when the device has it")
	case tandem.PSKCredential:
		if grace > 0 || c.ServiceID != "" {
			return "", tandem.Errorf(tandem.Invalid, op, c.Name, "a PSK has one key at a time for its identity").
				WithHint("make a second PSK with another identity, and revoke this one when the device has that")
		}
		secret = newSecret()
		return secret, r.sealPSK(c, secret)
	}
	if secret = newSecret(); c.Kind == tandem.TokenCredential {
		secret = DeviceTokenPrefix + secret
	}
	c.PreviousHash, c.PreviousUntil = "", nil
	if grace > 0 {
		until := now.Add(grace)
		c.PreviousHash, c.PreviousUntil = c.Hash, &until
	}
	c.Hash = hashSecret(secret)
	return secret, nil
}

// RevokeCredential ends a credential: within two seconds nobody is let in with it.
func (r *Registry) RevokeCredential(ctx context.Context, actor Actor, org, ref, id string) (tandem.Credential, error) {
	if err := actor.may(org, ManageCredentials); err != nil {
		return tandem.Credential{}, err
	}
	var c tandem.Credential
	err := retryMoved(func() (err error) {
		if c, err = r.credential(ctx, org, ref, id); err != nil || c.RevokedAt != nil {
			return err
		}
		now := r.Clock().UTC().Truncate(time.Microsecond)
		c.RevokedAt, c.UpdatedAt = &now, now
		along := r.note(actor, org, "credential.revoke", credentialThing(&c), credentialAudit(&c), nil)
		return r.Store.Apply(ctx, org, &tandem.Changes{PutCredentials: []tandem.Credential{c}, Along: along})
	})
	return c, err
}

// credential finds one of a device's.
func (r *Registry) credential(ctx context.Context, org, ref, id string) (tandem.Credential, error) {
	d, err := r.device(ctx, org, ref)
	if err != nil {
		return tandem.Credential{}, err
	}
	c, err := r.Server.Credential(ctx, org, id)
	if err == nil && c.DeviceID != d.ID {
		err = tandem.Errorf(tandem.NotFound, "find credential", id, "the device has no such credential")
	}
	if err != nil {
		return tandem.Credential{}, err
	}
	return c, nil
}
