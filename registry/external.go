package registry

import (
	"context"
	"strings"

	"tandem"
)

// External is a person as an identity provider vouches for them (OIDC).
type External struct {
	Issuer   string
	Subject  string
	Email    string
	Verified bool // the provider has checked that the email is theirs
	Name     string
}

// SignInExternal lets in whom an identity provider vouches for. The first time it links a verified email to the
// account with that email, or to an invitation; it never lets anybody in who was not asked. A second factor that the
// person has set up here is still asked for.
//
// Linking ends the account's sessions and its password: whoever held an invitation's link chose that, and need not be
// whose email it is. The person may set another one.
func (r *Registry) SignInExternal(ctx context.Context, who External, address string) (SignedIn, error) {
	if err := r.Throttle.allow(address, r.Clock()); err != nil {
		return SignedIn{}, err
	}
	if who.Issuer == "" || who.Subject == "" {
		return SignedIn{}, tandem.Errorf(tandem.Malformed, "sign in", "", "the identity provider did not say who this is")
	}
	u, err := r.Server.UserBySubject(ctx, who.Issuer, who.Subject)
	if tandem.Is(err, tandem.NotFound) {
		u, err = r.linkExternal(ctx, who, address)
	}
	if err != nil {
		return SignedIn{}, err
	}
	stranger := noAccount(who.Email)
	if u.DisabledAt != nil {
		return SignedIn{}, stranger
	}
	if u.TOTPEnabled {
		return SignedIn{User: u, NeedsCode: true}, nil
	}
	return SignedIn{User: u}, r.noteExternal(ctx, &u, address)
}

// noteExternal notes when somebody came in; wrong passwords of strangers do not keep them out.
func (r *Registry) noteExternal(ctx context.Context, u *tandem.User, address string) error {
	now := r.Clock()
	u.LastLoginAt = &now
	entries, err := r.doorEntries(ctx, self(u, address), u, signedIn, map[string]any{"by": byIdentity})
	if err != nil {
		return err
	}
	return r.Server.NoteLogin(ctx, *u, u.TOTPStep, entries...)
}

func noAccount(email string) error {
	return tandem.Errorf(tandem.Forbidden, "sign in", email, "the identity provider knows you, but there is no account for you here").
		WithHint("ask an admin of your organization for an invitation to this email")
}

// linkExternal finds the account or the invitation that a verified email is of.
func (r *Registry) linkExternal(ctx context.Context, who External, address string) (tandem.User, error) {
	email, err := checkEmail(who.Email)
	if err != nil || !who.Verified {
		return tandem.User{}, tandem.Errorf(tandem.Forbidden, "sign in", who.Email, "the identity provider has not verified the email").
			WithHint("verify it there first, or sign in with a password")
	}
	u, err := r.Server.User(ctx, email)
	switch {
	case tandem.Is(err, tandem.NotFound):
		return r.admitExternal(ctx, who, email, address)
	case err != nil:
		return u, err
	case u.DisabledAt != nil || !strings.EqualFold(u.Email, email):
		return u, noAccount(email)
	case u.Issuer != "":
		return u, tandem.Errorf(tandem.Forbidden, "sign in", email, "the account with this email belongs to another identity").
			WithHint("sign in as before; an administrator of the server can take the identity away")
	}
	return r.editUser(ctx, self(&u, address), u.ID, "user.identity", func(u *tandem.User) error {
		u.Issuer, u.Subject = who.Issuer, who.Subject
		u.PasswordHash = ""
		u.Epoch++
		return nil
	})
}

// admitExternal makes an account, without a password, for who is invited somewhere.
func (r *Registry) admitExternal(ctx context.Context, who External, email, address string) (tandem.User, error) {
	now := r.Clock()
	invitation, err := r.Server.InvitationTo(ctx, email, now)
	if tandem.Is(err, tandem.NotFound) {
		err = noAccount(email)
	}
	if err != nil {
		return tandem.User{}, err
	}
	u := tandem.User{ID: r.NewID(), Email: email, Name: strings.TrimSpace(who.Name), Issuer: who.Issuer, Subject: who.Subject, Version: 1, CreatedAt: now, UpdatedAt: now}
	if checkLine("name", u.Name, 0, maxName) != nil {
		u.Name = ""
	}
	in := tandem.Admission{User: &u}
	r.accept(self(&u, address), &in, &invitation)
	r.admitMember(self(&u, address), &in, &u, invitation.OrganizationID, invitation.Role)
	return u, r.Server.Admit(ctx, in)
}
