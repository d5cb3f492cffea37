package registry

import (
	"context"

	"tandem"
)

// What the audit says of the door (S37): never what was typed there.
const (
	signedIn  = "user.sign_in"
	signedOut = "user.sign_out"
	keptOut   = "user.sign_in_failed"
)

// way is how somebody shows who they are.
type way string

const (
	byPassword   way = "password"
	byCode       way = "code"       // the second step
	byIdentity   way = "identity"   // of the identity provider
	byConfirming way = "confirming" // asked again of who is signed in
)

// self is a person as the actor of what they do for themselves.
func self(u *tandem.User, address string) Actor {
	return Actor{Kind: tandem.PersonActor, ID: u.ID, UserID: u.ID, Name: u.Email, Address: address}
}

// doorEntries tells each of a person's organizations.
func (r *Registry) doorEntries(ctx context.Context, actor Actor, u *tandem.User, action string, after any) ([]tandem.AuditEntry, error) {
	all, err := r.Server.Belongings(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	var entries []tandem.AuditEntry
	for _, b := range all {
		entries = append(entries, r.entry(actor, b.Organization.ID, action, userThing(u), nil, after))
	}
	return entries, nil
}

// enteredBy tells that a person came in, and how many wrong tries there were since they last did.
func (r *Registry) enteredBy(ctx context.Context, u *tandem.User, t *try) ([]tandem.AuditEntry, error) {
	if t.by == byConfirming {
		return nil, nil
	}
	after := map[string]any{"by": t.by}
	if u.Failures > 0 {
		after["failures_before"] = u.Failures
	}
	return r.doorEntries(ctx, self(u, t.address), u, signedIn, after)
}

// refusedBy tells of a wrong try, by nobody who is known. Of many in a row it tells of ever fewer, with their number so
// far: whoever guesses does not fill the audit.
func (r *Registry) refusedBy(ctx context.Context, u *tandem.User, t *try) ([]tandem.AuditEntry, error) {
	if !telling(u.Failures) {
		return nil, nil
	}
	unknown := Actor{Kind: tandem.PersonActor, Name: "not signed in", Address: t.address}
	if t.by == byConfirming {
		unknown = self(u, t.address)
	}
	return r.doorEntries(ctx, unknown, u, keptOut, map[string]any{"by": t.by, "failures": u.Failures})
}

// telling reports whether this many failures in a row are told of: the first, the one with which waiting begins, and
// twice as many each time from there.
func telling(failures int) bool {
	if failures <= 1 {
		return failures == 1
	}
	n := failures
	for n > freeAccount && n%2 == 0 {
		n /= 2
	}
	return n == freeAccount
}

// SignOut tells that a person has ended their session; the caller ends it.
func (r *Registry) SignOut(ctx context.Context, actor Actor) error {
	if err := actor.person("sign out"); err != nil {
		return err
	}
	u, err := r.Server.User(ctx, actor.UserID)
	if err != nil {
		return err
	}
	entries, err := r.doorEntries(ctx, actor, &u, signedOut, nil)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := r.Store.Apply(ctx, e.OrganizationID, &tandem.Changes{Along: tandem.Along{Audit: []tandem.AuditEntry{e}}}); err != nil {
			return err
		}
	}
	return nil
}
