package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"

	"tandem"
)

// TokenPrefix begins every API token, so that scanners find one that was left somewhere.
const TokenPrefix = "tdm_"

// How long tokens are good for.
const (
	TokenLife    = 90 * 24 * time.Hour  // where nothing is said
	MaxTokenLife = 366 * 24 * time.Hour // and at most; only who manages tokens makes one that does not expire
)

// touchAfter is how old the note of a token's last use becomes before it is written again.
const touchAfter = time.Minute

// NewToken is what a token is made of.
type NewToken struct {
	Name   string
	Role   tandem.Role   // at most the actor's own; "" for that
	Scopes []string      // permissions; empty for all of the role's
	Life   time.Duration // 0 for TokenLife
	Never  bool          // does not expire
	Shared bool          // of no person: it stays when they leave
}

var secretCoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// newSecret gives 32 random bytes as lower-case letters and digits.
func newSecret() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: the program ends where there is no randomness
	return strings.ToLower(secretCoding.EncodeToString(raw))
}

// hashSecret is what is kept of a random secret: it cannot be guessed, so one round is enough.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

var tokenForm = regexp.MustCompile(`^tdm_[a-z2-7]{52}$`)

// parseToken reports whether a text can be a token at all.
func parseToken(secret string) bool { return tokenForm.MatchString(secret) }

// CreateToken makes a token for a program and gives its secret, which is shown this once and kept as a hash.
// A token allows at most what its maker may.
func (r *Registry) CreateToken(ctx context.Context, actor Actor, org string, add NewToken) (tandem.Token, string, error) {
	if err := actor.mayMakeToken(org, &add); err != nil {
		return tandem.Token{}, "", err
	}
	t, err := r.newToken(actor, org, &add)
	if err != nil {
		return t, "", err
	}
	secret := TokenPrefix + newSecret()
	t.Hash = hashSecret(secret)
	along := r.note(actor, org, "token.create", tokenThing(&t), nil, &t)
	if err := r.Store.Apply(ctx, org, &tandem.Changes{PutTokens: []tandem.Token{t}, Along: along}); err != nil {
		return t, "", err
	}
	return t, secret, nil
}

// mayMakeToken refuses a token that would allow more than its maker may, and fills in the role.
func (a Actor) mayMakeToken(org string, add *NewToken) error {
	if err := a.member(org); err != nil {
		return err
	}
	if a.Kind != tandem.PersonActor || add.Never || add.Shared {
		if err := a.may(org, ManageTokens); err != nil {
			return err
		}
	}
	if add.Role == "" {
		add.Role = a.role(org)
	}
	if err := checkRole(add.Role); err != nil {
		return err
	}
	if !atMost(add.Role, a.role(org)) {
		return tandem.Errorf(tandem.Forbidden, "create token", add.Name, "a token of the role %s would allow more than your role %s", add.Role, a.role(org)).
			WithHint("give it at most your own role")
	}
	for _, scope := range add.Scopes {
		if !RoleMay(add.Role, Permission(scope)) {
			return invalid("scopes", "holds %q, which the role %s does not include; it includes %s", scope, add.Role, strings.Join(words(Permissions(add.Role)), ", "))
		}
	}
	if len(a.Scopes) == 0 {
		return nil
	}
	if len(add.Scopes) == 0 || slices.ContainsFunc(add.Scopes, func(s string) bool { return !slices.Contains(a.Scopes, s) }) {
		return tandem.Errorf(tandem.Forbidden, "create token", add.Name, "a token cannot make one with more scopes than its own").
			WithHint("name some of its own: %s", strings.Join(a.Scopes, ", "))
	}
	return nil
}

func (r *Registry) newToken(actor Actor, org string, add *NewToken) (tandem.Token, error) {
	now := r.Clock()
	t := tandem.Token{ID: r.NewID(), OrganizationID: org, Name: strings.TrimSpace(add.Name), Role: add.Role, Scopes: slices.Compact(slices.Sorted(slices.Values(add.Scopes))),
		CreatedBy: actor.By(), CreatedAt: now, UpdatedAt: now}
	if !add.Shared {
		t.UserID = actor.UserID
	}
	if err := checkLine("name", t.Name, 1, maxName); err != nil {
		return t, err
	}
	life := add.Life
	if life == 0 {
		life = TokenLife
	}
	if !add.Never {
		if life < time.Minute || life > MaxTokenLife {
			return t, invalid("expires_in", "is %s, it must be between a minute and %d days", life, MaxTokenLife/(24*time.Hour))
		}
		at := now.Add(life)
		t.ExpiresAt = &at
	}
	return t, nil
}

// Tokens lists tokens, newest first: one's own, or all for who manages them.
func (r *Registry) Tokens(ctx context.Context, actor Actor, org string) ([]tandem.Token, error) {
	if err := actor.member(org); err != nil {
		return nil, err
	}
	if err := actor.mayOwnTokens(org); err != nil {
		return nil, err
	}
	all, err := r.Server.Tokens(ctx, org)
	if err != nil || actor.May(org, ManageTokens) {
		return all, err
	}
	return slices.DeleteFunc(all, func(t tandem.Token) bool { return t.UserID != actor.UserID }), nil
}

// mayOwnTokens lets people look after their own tokens, and others only with the permission.
func (a Actor) mayOwnTokens(org string) error {
	if a.Kind == tandem.PersonActor && a.UserID != "" {
		return nil
	}
	return a.may(org, ManageTokens)
}

// RevokeToken ends a token at once: one's own, or any for who manages them.
func (r *Registry) RevokeToken(ctx context.Context, actor Actor, org, id string) (tandem.Token, error) {
	if err := actor.member(org); err != nil {
		return tandem.Token{}, err
	}
	if err := actor.mayOwnTokens(org); err != nil {
		return tandem.Token{}, err
	}
	t, err := r.Server.Token(ctx, org, id)
	if err != nil {
		return t, err
	}
	if !actor.May(org, ManageTokens) && t.UserID != actor.UserID {
		return tandem.Token{}, tandem.Errorf(tandem.NotFound, "revoke token", id, "you have no such token")
	}
	if !atMost(t.Role, actor.role(org)) {
		return t, tandem.Errorf(tandem.Forbidden, "revoke token", t.Name, "the token has the role %s, which is above yours", t.Role)
	}
	if t.RevokedAt != nil {
		return t, nil
	}
	now := r.Clock()
	t.RevokedAt, t.UpdatedAt = &now, now
	along := r.note(actor, org, "token.revoke", tokenThing(&t), nil, nil)
	return t, r.Store.Apply(ctx, org, &tandem.Changes{PutTokens: []tandem.Token{t}, Along: along})
}

// TokenActor gives what a token's bearer may do. A wrong, expired or revoked token, and one whose person left, are the
// same Unauthorized. Address and RequestID are the caller's to fill in.
func (r *Registry) TokenActor(ctx context.Context, secret string) (Actor, error) {
	wrong := tandem.Errorf(tandem.Unauthorized, "use token", "", "the token is wrong, expired or revoked").
		WithHint("make another one: tandem token create, or on your page")
	if !parseToken(secret) {
		return Actor{}, wrong
	}
	t, err := r.Server.TokenByHash(ctx, hashSecret(secret))
	if tandem.Is(err, tandem.NotFound) {
		return Actor{}, wrong
	}
	if err != nil {
		return Actor{}, err
	}
	now := r.Clock()
	if t.RevokedAt != nil || t.ExpiresAt != nil && !now.Before(*t.ExpiresAt) {
		return Actor{}, wrong
	}
	role, name := t.Role, t.Name+" (token)"
	if t.UserID != "" {
		m, err := r.Server.Member(ctx, t.OrganizationID, t.UserID)
		if tandem.Is(err, tandem.NotFound) || err == nil && m.DisabledAt != nil {
			return Actor{}, wrong
		}
		if err != nil {
			return Actor{}, err
		}
		role, name = lesser(role, m.Role), m.Email+" ("+t.Name+")"
	}
	if t.LastUsedAt == nil || now.Sub(*t.LastUsedAt) >= touchAfter {
		if err := r.Server.TouchToken(ctx, t.OrganizationID, t.ID, now); err != nil {
			return Actor{}, err
		}
	}
	return Actor{Kind: tandem.TokenActor, ID: t.ID, Name: name, UserID: t.UserID, Roles: map[string]tandem.Role{t.OrganizationID: role}, Scopes: t.Scopes}, nil
}
