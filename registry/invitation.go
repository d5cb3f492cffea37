package registry

import (
	"context"
	"strings"
	"time"

	"tandem"
)

// InvitationLife is how long an invitation's link is good.
const InvitationLife = 7 * 24 * time.Hour

// Invite asks a person to join with a role. The secret for the link is given this once, and posted where mail is set up.
func (r *Registry) Invite(ctx context.Context, actor Actor, org, email string, role tandem.Role) (tandem.Invitation, string, error) {
	if err := actor.mayGive(org, role); err != nil {
		return tandem.Invitation{}, "", err
	}
	email, err := checkEmail(email)
	if err != nil {
		return tandem.Invitation{}, "", err
	}
	if _, err := r.Server.Member(ctx, org, email); !tandem.Is(err, tandem.NotFound) {
		if err == nil {
			err = tandem.Errorf(tandem.Exists, "invite", email, "the person is a member already").WithHint("change their role instead")
		}
		return tandem.Invitation{}, "", err
	}
	now := r.Clock()
	in := tandem.Invitation{ID: r.NewID(), OrganizationID: org, Email: email, Role: role, InvitedBy: actor.By(), ExpiresAt: now.Add(InvitationLife), CreatedAt: now, UpdatedAt: now}
	changes := &tandem.Changes{PutInvitations: []tandem.Invitation{in}, Along: r.note(actor, org, "invitation.create", inviteThing(&in), nil, map[string]any{"role": role})}
	older, err := r.openInvitations(ctx, org, email)
	if err != nil {
		return in, "", err
	}
	for i := range older { // the new one stands in for them
		older[i].RevokedAt, older[i].UpdatedAt = &now, now
	}
	changes.PutInvitations = append(older, changes.PutInvitations...)
	if err := r.Store.Apply(ctx, org, changes); err != nil {
		return in, "", err
	}
	secret, err := r.invitationLink(ctx, &in)
	return in, secret, err
}

// invitationLink makes the link of an invitation; an earlier one of it ends.
func (r *Registry) invitationLink(ctx context.Context, in *tandem.Invitation) (string, error) {
	o, err := r.Store.Organization(ctx, in.OrganizationID)
	if err != nil {
		return "", err
	}
	secret, err := r.newLink(ctx, tandem.OneTimeLink{Purpose: tandem.InviteLink, OrganizationID: in.OrganizationID, InvitationID: in.ID, ExpiresAt: in.ExpiresAt})
	if err == nil && r.Post != nil {
		r.Post(Letter{Purpose: tandem.InviteLink, To: in.Email, Organization: o.Name, Secret: secret})
	}
	return secret, err
}

// open reports whether an invitation can still be accepted.
func openInvitation(in *tandem.Invitation, now time.Time) bool {
	return in.AcceptedAt == nil && in.RevokedAt == nil && now.Before(in.ExpiresAt)
}

func (r *Registry) openInvitations(ctx context.Context, org, email string) ([]tandem.Invitation, error) {
	all, err := r.Server.Invitations(ctx, org)
	if err != nil {
		return nil, err
	}
	now := r.Clock()
	var open []tandem.Invitation
	for i := range all {
		if openInvitation(&all[i], now) && strings.EqualFold(all[i].Email, email) {
			open = append(open, all[i])
		}
	}
	return open, nil
}

// Invitations lists an organization's invitations, newest first.
func (r *Registry) Invitations(ctx context.Context, actor Actor, org string) ([]tandem.Invitation, error) {
	if err := actor.may(org, ManageUsers); err != nil {
		return nil, err
	}
	return r.Server.Invitations(ctx, org)
}

// RevokeInvitation ends an invitation that nobody has accepted.
func (r *Registry) RevokeInvitation(ctx context.Context, actor Actor, org, id string) (tandem.Invitation, error) {
	if err := actor.may(org, ManageUsers); err != nil {
		return tandem.Invitation{}, err
	}
	in, err := r.Server.Invitation(ctx, org, id)
	if err != nil {
		return in, err
	}
	if in.AcceptedAt != nil {
		return in, tandem.Errorf(tandem.Invalid, "revoke invitation", in.Email, "it was accepted already").WithHint("remove the person instead")
	}
	if in.RevokedAt != nil {
		return in, nil
	}
	now := r.Clock()
	in.RevokedAt, in.UpdatedAt = &now, now
	return in, r.Store.Apply(ctx, org, &tandem.Changes{PutInvitations: []tandem.Invitation{in}, Along: r.note(actor, org, "invitation.revoke", inviteThing(&in), nil, nil)})
}

// Invited says what an invitation's link is about, for the page that it leads to; HasAccount when its person only
// has to sign in.
type Invited struct {
	Invitation   tandem.Invitation
	Organization tandem.Organization
	HasAccount   bool
}

// LookAtInvitation gives what the bearer of a link is invited to. NotFound when it is not good any more.
func (r *Registry) LookAtInvitation(ctx context.Context, secret string) (Invited, error) {
	link, err := r.Server.Link(ctx, tandem.InviteLink, hashSecret(secret), r.Clock())
	if err != nil {
		return Invited{}, linkSpent(err)
	}
	return r.invited(ctx, &link)
}

func (r *Registry) invited(ctx context.Context, link *tandem.OneTimeLink) (Invited, error) {
	in, err := r.Server.Invitation(ctx, link.OrganizationID, link.InvitationID)
	if err != nil {
		return Invited{}, linkSpent(err)
	}
	if !openInvitation(&in, r.Clock()) {
		return Invited{}, linkSpent(tandem.Errorf(tandem.NotFound, "accept invitation", "", "it is closed"))
	}
	o, err := r.Store.Organization(ctx, in.OrganizationID)
	if err != nil {
		return Invited{}, err
	}
	_, err = r.Server.User(ctx, in.Email)
	if err != nil && !tandem.Is(err, tandem.NotFound) {
		return Invited{}, err
	}
	return Invited{Invitation: in, Organization: o, HasAccount: err == nil}, nil
}

// NewPerson is what a new account is made of.
type NewPerson struct {
	Email    string // of an invitation or a link: what that says
	Name     string
	Password string
}

// AcceptInvitation makes an account for the bearer of an invitation's link and a member of it. One who has an
// account already signs in and joins instead.
func (r *Registry) AcceptInvitation(ctx context.Context, secret string, person NewPerson) (tandem.User, error) {
	at, err := r.LookAtInvitation(ctx, secret)
	if err != nil {
		return tandem.User{}, err
	}
	if at.HasAccount {
		return tandem.User{}, tandem.Errorf(tandem.Exists, "accept invitation", at.Invitation.Email, "there is an account with this email already").
			WithHint("sign in with it, then open the link again")
	}
	person.Email = at.Invitation.Email
	u, err := r.newUser(ctx, person)
	if err != nil {
		return u, err
	}
	in := r.bearing(tandem.InviteLink, secret)
	in.User = &u
	r.accept(self(&u, ""), &in, &at.Invitation)
	r.admitMember(self(&u, ""), &in, &u, at.Invitation.OrganizationID, at.Invitation.Role)
	return u, linkSpent(r.Server.Admit(ctx, in))
}

// accept closes an invitation with an admission.
func (r *Registry) accept(actor Actor, in *tandem.Admission, invitation *tandem.Invitation) {
	now := r.Clock()
	invitation.AcceptedAt, invitation.UpdatedAt = &now, now
	in.Invitation = invitation
	in.Audit = append(in.Audit, r.entry(actor, invitation.OrganizationID, "invitation.accept", inviteThing(invitation), nil, nil))
}

// Join has the signed-in person accept an invitation that is addressed to them.
func (r *Registry) Join(ctx context.Context, actor Actor, secret string) (tandem.Organization, error) {
	if err := actor.person("join"); err != nil {
		return tandem.Organization{}, err
	}
	at, err := r.LookAtInvitation(ctx, secret)
	if err != nil {
		return tandem.Organization{}, err
	}
	u, err := r.Server.User(ctx, actor.UserID)
	if err != nil {
		return tandem.Organization{}, err
	}
	if !strings.EqualFold(u.Email, at.Invitation.Email) {
		return tandem.Organization{}, tandem.Errorf(tandem.Forbidden, "join", at.Organization.Name, "the invitation is for %s, and you are signed in as %s", at.Invitation.Email, u.Email).
			WithHint("sign in with that account, or ask for an invitation of your own")
	}
	in := r.bearing(tandem.InviteLink, secret)
	r.accept(actor, &in, &at.Invitation)
	m, err := r.Server.Member(ctx, at.Organization.ID, u.ID)
	if err != nil && !tandem.Is(err, tandem.NotFound) {
		return tandem.Organization{}, err
	}
	if err != nil || !atMost(at.Invitation.Role, m.Role) { // who is a member already keeps the mightier role
		r.admitMember(actor, &in, &u, at.Organization.ID, at.Invitation.Role)
	}
	return at.Organization, linkSpent(r.Server.Admit(ctx, in))
}
