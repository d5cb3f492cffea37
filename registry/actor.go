package registry

import (
	"slices"
	"strings"

	"tandem"
)

// Actor is who does something: a person, a program with a token, the command line or the system itself.
// The zero Actor may do nothing.
type Actor struct {
	Kind tandem.ActorKind
	ID   string // of a user or token; "" at the command line, which works on the database itself
	Name string // for people, as it stands in created_by
	// UserID is the person behind it: ID for a person, whose token it is for a token, "" for none.
	UserID string
	// Roles are what the actor is where, by organization id.
	Roles map[string]tandem.Role
	// Scopes narrow what the roles allow, when there are any.
	Scopes []string
	// Root may do everything everywhere: the command line on the database itself, and the system.
	Root      bool
	RequestID string
	Address   string // where the request came from
}

// By is how the actor is recorded.
func (a Actor) By() string {
	if a.Name != "" {
		return a.Name
	}
	return a.ID
}

// Command is the actor at the command line, on the database itself.
func Command(name string) Actor { return Actor{Kind: tandem.CommandActor, Name: name, Root: true} }

// System is the program itself: a schedule, a webhook, retention.
func System(name string) Actor { return Actor{Kind: tandem.SystemActor, Name: name, Root: true} }

// May says whether the actor may do something in an organization. Pages use it to leave out what would be refused.
func (a Actor) May(org string, p Permission) bool { return a.may(org, p) == nil }

// may refuses what the actor may not do. It comes before any look-up: whoever is no member learns from neither
// the answer nor its time whether something exists (NotFound, as for what there is not); a member whose role
// does not do is told so (Forbidden).
func (a Actor) may(org string, p Permission) error {
	if a.Root {
		return nil
	}
	role, member := a.Roles[org]
	if !member || org == "" {
		return noOrganization(org)
	}
	if !RoleMay(role, p) {
		return tandem.Errorf(tandem.Forbidden, string(p), "", "the role %s does not include %s", role, p).
			WithHint("ask one of these in the organization: %s", strings.Join(words(whoMay(p)), ", "))
	}
	if len(a.Scopes) > 0 && !slices.Contains(a.Scopes, string(p)) {
		return tandem.Errorf(tandem.Forbidden, string(p), "", "the token's scopes do not include %s", p).
			WithHint("use a token that has this scope")
	}
	return nil
}

// role gives what the actor is in an organization; the command line is as mighty as an owner.
func (a Actor) role(org string) tandem.Role {
	if a.Root {
		return tandem.Owner
	}
	return a.Roles[org]
}

// member refuses whoever does not belong to an organization.
func (a Actor) member(org string) error {
	if _, ok := a.Roles[org]; a.Root || ok && org != "" {
		return nil
	}
	return noOrganization(org)
}

// root refuses whoever does not work on the database itself.
func (a Actor) root(op string) error {
	if a.Root {
		return nil
	}
	return tandem.Errorf(tandem.Forbidden, op, "", "this is done at the command line of the server only").
		WithHint("ask whoever runs the server")
}

// person refuses whoever is no signed-in person: tokens do not change what guards a person's account.
func (a Actor) person(op string) error {
	if a.Kind == tandem.PersonActor && a.UserID != "" {
		return nil
	}
	return tandem.Errorf(tandem.Forbidden, op, "", "only a signed-in person can do this, for themselves").
		WithHint("sign in with a browser")
}

func noOrganization(org string) error {
	return tandem.Errorf(tandem.NotFound, "find organization", org, "there is no such organization")
}
