package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"sync"
	"time"

	"tandem"
)

// Device is a device that has proved itself. Transports keep it for as long as its connection lasts; every use asks
// again whether its credential still counts.
type Device struct {
	ID             string // tandem.Device.ID
	OrganizationID string
	Organization   string // the slug, as in topics
	DeviceID       string // what the organization calls it, as in topics
	Name           string
	CredentialID   string
	key            credentialKey
}

// Claim is what somebody says of themselves.
type Claim struct {
	Kind     tandem.CredentialKind // token or password
	Identity string                // of a password; a token says it all
	Secret   string
	Address  string // where it came from, by which guessing is slowed down; "" for nowhere
}

// errWrong is the one answer to whatever does not let in.
func errWrong() error {
	return tandem.Errorf(tandem.Unauthorized, "gateway: authenticate", "", "the device's credential is wrong, expired or revoked").
		WithHint("make another one: tandem device credential create DEVICE")
}

// Authenticate lets a device in by a token or a password. Unauthorized is the same whatever is wrong; RateLimited comes
// after too many wrong ones from an address or for an identity, Unavailable while the database is away.
func (g *Gateway) Authenticate(ctx context.Context, claim Claim) (Device, error) {
	hash := HashSecret(claim.Secret)
	key := credentialKey{claim.Kind, claim.Identity}
	if claim.Kind == tandem.TokenCredential {
		key.key = hash
	}
	if claim.Kind != tandem.TokenCredential && claim.Kind != tandem.PasswordCredential || claim.Secret == "" {
		return Device{}, errWrong()
	}
	d, _, err := g.admit(ctx, key, claim.Address, hash, func(e *entry, now time.Time) bool {
		c := &e.found.Credential
		is := subtle.ConstantTimeCompare([]byte(hash), []byte(c.Hash))
		was := subtle.ConstantTimeCompare([]byte(hash), []byte(c.PreviousHash))
		if c.PreviousUntil == nil || !now.Before(*c.PreviousUntil) {
			was = 0
		}
		return is|was == 1
	})
	return d, err
}

// PSK gives the pre-shared key of an identity and whose it is. Errors are those of Authenticate; whether the other side
// has the key is for the handshake to find out.
func (g *Gateway) PSK(ctx context.Context, identity, address string) (Device, []byte, error) {
	d, e, err := g.admit(ctx, credentialKey{tandem.PSKCredential, identity}, address, "", func(e *entry, _ time.Time) bool { return len(e.psk) > 0 })
	if err != nil {
		return d, nil, err
	}
	return d, e.psk, nil
}

// WrongKey counts a handshake whose other side had not the key that PSK gave.
func (g *Gateway) WrongKey(identity, address string) {
	g.failures.note(address, credentialKey{tandem.PSKCredential, identity})
	g.o.Meter.Count("", Unauthentic, 1)
}

// Certificate lets a device in by its client certificate, after the handshake has shown that it has the key. The
// certificate itself is what is registered; who signed it is for the transport to ask.
func (g *Gateway) Certificate(ctx context.Context, certificate *x509.Certificate, address string) (Device, error) {
	now := g.o.Clock()
	if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return Device{}, errWrong()
	}
	d, _, err := g.admit(ctx, credentialKey{tandem.CertificateCredential, Fingerprint(certificate.Raw)}, address, "", func(*entry, time.Time) bool { return true })
	return d, err
}

// Check asks again whether a device that was let in still is: nil, or Unauthorized when its credential was revoked or
// has expired, or when the device was deleted or disabled. It costs a look into memory, as a rule.
func (g *Gateway) Check(ctx context.Context, d Device) error {
	_, err := g.current(ctx, d)
	return err
}

// Still is Check for who asks often, of many devices whose connections last: while events tell what changes, the database
// is asked every ten minutes only.
func (g *Gateway) Still(ctx context.Context, d Device) error {
	e := g.known.settled(d.key)
	if e == nil {
		return g.Check(ctx, d)
	}
	if !e.lets(g.o.Clock()) || e.found.Device.ID != d.ID {
		return errWrong()
	}
	return nil
}

// current gives what is known of a device that was let in.
func (g *Gateway) current(ctx context.Context, d Device) (*entry, error) {
	e, err := g.known.get(ctx, d.key)
	if err != nil {
		return nil, err
	}
	if !e.lets(g.o.Clock()) || e.found.Device.ID != d.ID {
		return nil, errWrong()
	}
	return e, nil
}

// admit looks a credential up and lets the device in, if proved says so. Shown is the hash of the secret, where there is one.
func (g *Gateway) admit(ctx context.Context, key credentialKey, address, shown string, proved func(*entry, time.Time) bool) (Device, *entry, error) {
	if wait := g.failures.wait(address, key); wait > 0 && !g.proven.is(key, shown) {
		g.o.Meter.Count("", Throttled, 1)
		return Device{}, nil, &tandem.Error{Code: tandem.RateLimited, Op: "gateway: authenticate", Message: "there were too many wrong credentials",
			Hint: "wait, and check the device's credential", RetryAfter: wait}
	}
	e, err := g.known.get(ctx, key)
	if err != nil {
		return Device{}, nil, err
	}
	now := g.o.Clock()
	if fits := proved(e, now); !fits || !e.lets(now) { // proved is asked in any case, for the time that it takes
		g.failures.note(address, key)
		g.proven.drop(key, shown)
		g.o.Meter.Count("", Unauthentic, 1)
		return Device{}, nil, errWrong()
	}
	g.proven.put(key, shown)
	g.uses.note(&e.found.Credential, now)
	return e.device(key), e, nil
}

// HashSecret is what is kept of a random secret: SHA-256, hex.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Fingerprint names a certificate by its DER: SHA-256, hex.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// touchAfter is how old the note of a credential's last use becomes before it is written again.
const touchAfter = time.Minute

// uses remembers which credentials were used, to be noted now and then.
type uses struct {
	mu   sync.Mutex
	last map[string]tandem.CredentialUse // by id
	told map[string]time.Time
}

func (u *uses) note(c *tandem.Credential, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last, u.told = map[string]tandem.CredentialUse{}, map[string]time.Time{}
	}
	if now.Sub(u.told[c.ID]) >= touchAfter && (c.LastUsedAt == nil || now.Sub(*c.LastUsedAt) >= touchAfter) {
		u.last[c.ID] = tandem.CredentialUse{OrganizationID: c.OrganizationID, ID: c.ID, At: now}
	}
}

// noteUses writes what is remembered; what could not be written is remembered until it can.
func (g *Gateway) noteUses(ctx context.Context) error {
	u := &g.uses
	u.mu.Lock()
	list := make([]tandem.CredentialUse, 0, len(u.last))
	for id, use := range u.last {
		list = append(list, use)
		u.told[id] = use.At
	}
	clear(u.last)
	for id, at := range u.told {
		if g.o.Clock().Sub(at) >= touchAfter {
			delete(u.told, id)
		}
	}
	u.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	err := g.o.Store.TouchCredentials(ctx, list)
	if err != nil {
		u.again(list)
	}
	return err
}

// again remembers uses that could not be written, unless there are newer ones.
func (u *uses) again(list []tandem.CredentialUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, use := range list {
		if last, ok := u.last[use.ID]; !ok || last.At.Before(use.At) {
			u.last[use.ID] = use
		}
	}
}
