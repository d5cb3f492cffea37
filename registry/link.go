package registry

import (
	"context"
	"strings"
	"time"

	"tandem"
)

// How long one-time links are good.
const (
	SetUpLife = 24 * time.Hour
	ResetLife = time.Hour
)

// newLink keeps the hash of a new secret and gives the secret.
func (r *Registry) newLink(ctx context.Context, link tandem.OneTimeLink) (string, error) {
	secret := newSecret()
	link.ID, link.Hash, link.CreatedAt = r.NewID(), hashSecret(secret), r.Clock()
	return secret, r.Server.CreateLink(ctx, link)
}

// linkSpent says that a link is not good any more, whatever it once was.
func linkSpent(err error) error {
	if !tandem.Is(err, tandem.NotFound) {
		return err
	}
	return tandem.Errorf(tandem.NotFound, "use link", "", "the link was used, or has expired").WithHint("ask for a new one")
}

// NewSetUpLink makes the secret of the link with which the first owner is made: only while there is nobody.
// Exists when there is somebody.
func (r *Registry) NewSetUpLink(ctx context.Context, actor Actor) (string, error) {
	if err := actor.root("make set-up link"); err != nil {
		return "", err
	}
	if err := r.nobodyYet(ctx); err != nil {
		return "", err
	}
	return r.newLink(ctx, tandem.OneTimeLink{Purpose: tandem.SetUpLink, ExpiresAt: r.Clock().Add(SetUpLife)})
}

func (r *Registry) nobodyYet(ctx context.Context) error {
	n, err := r.Server.CountUsers(ctx)
	if err == nil && n > 0 {
		err = tandem.Errorf(tandem.Exists, "set up", "", "there is an account already").
			WithHint("sign in; where nobody can: tandem user create EMAIL --owner, or tandem user reset-password EMAIL")
	}
	return err
}

// LookAtLink says whether a set-up or reset link is still good, for the page that it leads to.
func (r *Registry) LookAtLink(ctx context.Context, purpose tandem.LinkPurpose, secret string) error {
	_, err := r.Server.Link(ctx, purpose, hashSecret(secret), r.Clock())
	return linkSpent(err)
}

// SetUp makes the first owner, for the bearer of the set-up link: of the organizations that are there, or of a new
// one of the name given where there is none.
func (r *Registry) SetUp(ctx context.Context, secret string, person NewPerson, organization string) (tandem.User, error) {
	if err := r.LookAtLink(ctx, tandem.SetUpLink, secret); err != nil {
		return tandem.User{}, err
	}
	if err := r.nobodyYet(ctx); err != nil {
		return tandem.User{}, err
	}
	orgs, err := r.Store.Organizations(ctx)
	if err != nil {
		return tandem.User{}, err
	}
	fresh := len(orgs) == 0
	if fresh {
		o, err := r.newOrganization(organization, "")
		if err != nil {
			return tandem.User{}, err
		}
		orgs = []tandem.Organization{o}
	}
	u, err := r.newUser(ctx, person)
	if err != nil {
		return u, err
	}
	in := r.bearing(tandem.SetUpLink, secret)
	in.User = &u
	if fresh {
		in.Organization = &orgs[0]
	}
	r.admitOwner(self(&u, ""), &in, &u, orgs)
	return u, linkSpent(r.Server.Admit(ctx, in))
}

// bearing is the admission of whoever has a link's secret.
func (r *Registry) bearing(purpose tandem.LinkPurpose, secret string) tandem.Admission {
	return tandem.Admission{Link: &tandem.OneTimeLink{Purpose: purpose, Hash: hashSecret(secret)}, Now: r.Clock()}
}

// CreateOwner makes an account that owns an organization, at the command line. One who has an account becomes an owner
// with it; the password is then left as it is.
func (r *Registry) CreateOwner(ctx context.Context, actor Actor, org string, person NewPerson) (tandem.User, error) {
	if err := actor.root("create owner"); err != nil {
		return tandem.User{}, err
	}
	return r.CreateUser(ctx, actor, org, person, tandem.Owner)
}

// CreateUser makes an account that belongs to an organization, at the command line; elsewhere people are invited. One
// who has an account becomes a member with it; the password is then left as it is.
func (r *Registry) CreateUser(ctx context.Context, actor Actor, org string, person NewPerson, role tandem.Role) (tandem.User, error) {
	if err := actor.root("create user"); err != nil {
		return tandem.User{}, err
	}
	if err := checkRole(role); err != nil {
		return tandem.User{}, err
	}
	o, err := r.Store.Organization(ctx, org)
	if err != nil {
		return tandem.User{}, err
	}
	u, err := r.Server.User(ctx, strings.TrimSpace(person.Email))
	if err == nil {
		return u, r.putMember(ctx, actor, o.ID, "member.add", u.ID, u.Email, "", role, 0)
	}
	if !tandem.Is(err, tandem.NotFound) {
		return u, err
	}
	if u, err = r.newUser(ctx, person); err != nil {
		return u, err
	}
	now := r.Clock()
	member := tandem.Membership{OrganizationID: o.ID, UserID: u.ID, Role: role, CreatedAt: now, UpdatedAt: now}
	return u, r.Server.CreateUser(ctx, u, []tandem.Membership{member}, r.entry(actor, o.ID, "member.add", userThing(&u), nil, map[string]any{"role": role}))
}

// admitOwner has a person admitted as the owner of organizations.
func (r *Registry) admitOwner(actor Actor, in *tandem.Admission, u *tandem.User, orgs []tandem.Organization) {
	if o := in.Organization; o != nil {
		in.Audit = append(in.Audit, r.entry(actor, o.ID, "organization.create", organizationThing(o), nil, o))
	}
	for i := range orgs {
		r.admitMember(actor, in, u, orgs[i].ID, tandem.Owner)
	}
}

// admitMember has a person admitted as a member.
func (r *Registry) admitMember(actor Actor, in *tandem.Admission, u *tandem.User, org string, role tandem.Role) {
	now := r.Clock()
	in.Memberships = append(in.Memberships, tandem.Membership{OrganizationID: org, UserID: u.ID, Role: role, CreatedAt: now, UpdatedAt: now})
	in.Audit = append(in.Audit, r.entry(actor, org, "member.add", userThing(u), nil, map[string]any{"role": role}))
}

// newUser makes a person who is not stored yet.
func (r *Registry) newUser(ctx context.Context, person NewPerson) (tandem.User, error) {
	now := r.Clock()
	u := tandem.User{ID: r.NewID(), Name: strings.TrimSpace(person.Name), Version: 1, CreatedAt: now, UpdatedAt: now}
	var p problems
	email, err := checkEmail(person.Email)
	p.add(err)
	u.Email = email
	p.add(checkLine("name", u.Name, 0, maxName))
	p.add(CheckPassword(person.Password, u.Email, u.Name))
	if err := p.err("create account", u.Email); err != nil {
		return u, err
	}
	u.PasswordHash, err = hashPassword(ctx, person.Password)
	return u, err
}
