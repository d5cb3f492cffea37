package registry

import (
	"context"

	"tandem"
)

// SignedIn is who came through the door. With NeedsCode only the first step is done: nobody is signed in before
// SignInCode says so.
type SignedIn struct {
	User      tandem.User
	NeedsCode bool
}

// refused is the one answer to whatever is wrong at the door: it tells neither whether there is an account nor
// whether the password would have been right.
func refused() error {
	return tandem.Errorf(tandem.Unauthorized, "sign in", "", "the email or the password is wrong, or there were too many wrong tries").
		WithHint("wait a little before the next try, or reset the password")
}

// SignIn checks an email and a password. Every refusal is the same Unauthorized and takes as long; RateLimited means
// that the address has to wait.
func (r *Registry) SignIn(ctx context.Context, email, password, address string) (SignedIn, error) {
	if err := r.Throttle.allow(address, r.Clock()); err != nil {
		return SignedIn{}, err
	}
	u, err := r.knock(ctx, email)
	if err != nil && !tandem.Is(err, tandem.NotFound) {
		return SignedIn{}, err
	}
	known := err == nil
	stored := ""
	if known {
		stored = u.PasswordHash
	}
	right, err := checkPassword(ctx, stored, password)
	if err != nil && !tandem.Is(err, tandem.Corrupt) { // a damaged hash is no reason to tell that there is an account
		return SignedIn{}, err
	}
	if !known {
		r.Throttle.fail(address, r.Clock())
		if _, err := r.knock(ctx, email); err != nil && !tandem.Is(err, tandem.NotFound) { // as judge looks again
			return SignedIn{}, err
		}
		if err := r.asMuch(ctx); err != nil {
			return SignedIn{}, err
		}
		return SignedIn{}, refused()
	}
	if u.TOTPEnabled && right && !r.locked(&u) && u.DisabledAt == nil {
		return SignedIn{User: u, NeedsCode: true}, nil // counted once the code is there
	}
	if err := r.judge(ctx, &u, try{by: byPassword, address: address, right: right, readStep: u.TOTPStep}, refused()); err != nil {
		return SignedIn{}, err
	}
	r.rehash(ctx, &u, password)
	return SignedIn{User: u}, nil
}

// knock finds the person of an email, as strangers give it: what cannot be one is nobody's.
func (r *Registry) knock(ctx context.Context, email string) (tandem.User, error) {
	email, err := checkEmail(email)
	if err != nil {
		email = "nobody@invalid" // looked up all the same
	}
	return r.Server.User(ctx, email)
}

// asMuch writes as much as noting a wrong password does: what is not written shows in the time that an answer takes.
func (r *Registry) asMuch(ctx context.Context) error {
	_, err := r.newLink(ctx, tandem.OneTimeLink{Purpose: tandem.ResetLink, ExpiresAt: r.Clock()}) // nobody's, and over
	return err
}

// locked reports whether a person's tries are not looked at yet.
func (r *Registry) locked(u *tandem.User) bool {
	return u.LockedUntil != nil && r.Clock().Before(*u.LockedUntil)
}

// try is one try of a person at the door, or at what asks for their password again.
type try struct {
	by       way
	address  string
	right    bool
	readStep int64 // the last code's step as it was read
}

// judge notes a try of a person and refuses it where it was wrong, or came too early, or is of one who may not come in.
// What comes too early is not counted: otherwise a stranger could keep a person out for ever.
func (r *Registry) judge(ctx context.Context, u *tandem.User, t try, refusal error) error {
	now := r.Clock()
	one := door(u.ID)
	one.Lock()
	defer one.Unlock()
	// Many may try at once, and hashing takes a while: what counts is the row as it is now.
	fresh, err := r.Server.User(ctx, u.ID)
	if err != nil {
		return err
	}
	if r.locked(&fresh) || fresh.DisabledAt != nil || fresh.Epoch != u.Epoch {
		r.Throttle.fail(t.address, now)
		if err := r.asMuch(ctx); err != nil {
			return err
		}
		return refusal
	}
	u.Failures = fresh.Failures
	if t.right {
		entries, err := r.enteredBy(ctx, u, &t)
		if err != nil {
			return err
		}
		u.Failures, u.LockedUntil, u.LastLoginAt = 0, nil, &now
		if err := r.Server.NoteLogin(ctx, *u, t.readStep, entries...); !tandem.Is(err, tandem.Stale) {
			return err
		}
		return refusal // its code was used a moment ago
	}
	r.Throttle.fail(t.address, now)
	u.Failures++
	if wait := waiting(u.Failures, freeAccount); wait > 0 {
		until := now.Add(wait)
		u.LockedUntil = &until
	}
	entries, err := r.refusedBy(ctx, u, &t)
	if err != nil {
		return err
	}
	if err := r.Server.NoteLogin(ctx, *u, t.readStep, entries...); err != nil && !tandem.Is(err, tandem.Stale) {
		return err
	}
	return refusal
}

// rehash renews a hash of another cost, now that the password is at hand. It may fail: the old one goes on working.
func (r *Registry) rehash(ctx context.Context, u *tandem.User, password string) {
	if !outdated(u.PasswordHash) {
		return
	}
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return
	}
	renewed := *u
	renewed.PasswordHash = hash
	if r.Server.UpdateUser(ctx, renewed) == nil {
		renewed.Version++
		*u = renewed
	}
}

// SessionActor gives what a signed-in person may do now. Unauthorized when their session has ended: the epoch is
// another one since a password or second factor changed.
func (r *Registry) SessionActor(ctx context.Context, userID string, epoch int64) (Actor, error) {
	ended := tandem.Errorf(tandem.Unauthorized, "use session", "", "the session has ended").WithHint("sign in again")
	u, err := r.Server.User(ctx, userID)
	if tandem.Is(err, tandem.NotFound) || err == nil && (u.DisabledAt != nil || u.Epoch != epoch || u.ID != userID) {
		return Actor{}, ended
	}
	if err != nil {
		return Actor{}, err
	}
	all, err := r.Server.Belongings(ctx, u.ID)
	if err != nil {
		return Actor{}, err
	}
	roles := make(map[string]tandem.Role, len(all))
	for _, b := range all {
		roles[b.Organization.ID] = b.Role
	}
	return Actor{Kind: tandem.PersonActor, ID: u.ID, UserID: u.ID, Name: u.Email, Roles: roles}, nil
}
