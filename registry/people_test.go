package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"tandem"
	"tandem/registry"
)

// TestTheFirstOwnerComesByALink: the set-up link works once, for a day, and only while there is nobody.
func TestTheFirstOwnerComesByALink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	other, err := w.NewSetUpLink(w.ctx, root)
	w.must(err)
	secret, err := w.NewSetUpLink(w.ctx, root)
	w.must(err)
	owner := registry.NewPerson{Email: " owner@example.com ", Name: "Owner", Password: good}
	w.wants(second(w.SetUp(w.ctx, "guess", owner, "Acme")), tandem.NotFound)
	w.wants(second(w.SetUp(w.ctx, secret, registry.NewPerson{Email: "owner", Password: "short"}, "Acme")), tandem.Invalid)
	w.wants(second(w.SetUp(w.ctx, secret, owner, "")), tandem.Invalid)
	w.must(w.LookAtLink(w.ctx, tandem.SetUpLink, secret))
	u, err := w.SetUp(w.ctx, secret, owner, "Acme")
	w.must(err)
	a := w.actor(u.ID)
	orgs, err := w.Organizations(w.ctx, a)
	if err != nil || len(orgs) != 1 || orgs[0].Slug != "acme" || !a.May(orgs[0].ID, registry.DeleteOrganization) {
		t.Errorf("the owner has %v, %v", orgs, err)
	}
	w.wants(second(w.SetUp(w.ctx, secret, owner, "Acme")), tandem.NotFound)
	w.wants(second(w.SetUp(w.ctx, other, owner, "Acme")), tandem.Exists) // of another process: good until there was somebody
	w.wants(second(w.NewSetUpLink(w.ctx, root)), tandem.Exists)
	if got := w.audited(orgs[0].ID, "member.add"); len(got) != 1 || got[0].ActorID != u.ID {
		t.Errorf("the audit says %+v", got)
	}

	w = newWorld(t, nil) // with an organization from the command line
	org := w.organization("There")
	secret, err = w.NewSetUpLink(w.ctx, root)
	w.must(err)
	w.advance(registry.SetUpLife)
	w.wants(second(w.SetUp(w.ctx, secret, owner, "")), tandem.NotFound)
	secret, err = w.NewSetUpLink(w.ctx, root)
	w.must(err)
	u, err = w.SetUp(w.ctx, secret, owner, "")
	w.must(err)
	if a := w.actor(u.ID); !a.May(org, registry.DeleteOrganization) {
		t.Errorf("the first owner owns %v", a.Roles)
	}
}

// TestTheDoorSaysNothing: whatever is wrong, the answer is the same.
func TestTheDoorSaysNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	w.person(org, "person@example.com", tandem.Viewer)
	locked := w.person(org, "locked@example.com", tandem.Viewer)
	disabled := w.person(org, "disabled@example.com", tandem.Viewer)
	w.must(second(w.DisableUser(w.ctx, root, org, disabled.ID, true)))
	for range 6 {
		w.wants(second(w.SignIn(w.ctx, "locked@example.com", "wrong", "192.0.2.7")), tandem.Unauthorized)
	}
	in, err := w.SignIn(w.ctx, "PERSON@example.com", good, "192.0.2.1")
	if err != nil || in.NeedsCode || in.User.Email != "person@example.com" {
		t.Fatalf("the right password gave %+v, %v", in, err)
	}
	var said string
	for email, password := range map[string]string{"person@example.com": "wrong", "nobody@example.com": good, "locked@example.com": good, "disabled@example.com": good,
		"": "", "x\x00": good, "person@example.com ": strings.Repeat("x", 2000)} {
		_, err := w.SignIn(w.ctx, email, password, "192.0.2.2")
		if !tandem.Is(err, tandem.Unauthorized) {
			t.Errorf("%q gave %v", email, err)
			continue
		}
		if said == "" {
			said = err.Error()
		}
		if err.Error() != said {
			t.Errorf("%q gave %q, another one %q", email, err, said)
		}
	}
	w.advance(16 * time.Minute)
	w.must(second(w.SignIn(w.ctx, "locked@example.com", good, "192.0.2.3")))
	if u, err := w.store.User(w.ctx, locked.ID); err != nil || u.Failures != 0 || u.LockedUntil != nil || u.LastLoginAt == nil {
		t.Errorf("after the right password: %+v, %v", u, err)
	}
}

// TestGuessingSlowsDown: an account waits longer after each wrong password; tries that come too early do not prolong it.
// Many at once do not get around it.
func TestGuessingSlowsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.Throttle = nil // each guess from another address
	id := w.person(w.organization("Acme"), "person@example.com", tandem.Viewer).ID
	wait := func() time.Duration {
		u, err := w.store.User(w.ctx, id)
		w.must(err)
		if u.LockedUntil == nil {
			return 0
		}
		return u.LockedUntil.Sub(w.now()).Round(time.Second)
	}
	for i, want := range []time.Duration{0, 0, 0, 0, time.Second, 2 * time.Second, 4 * time.Second} {
		w.wants(second(w.SignIn(w.ctx, "person@example.com", "wrong", "")), tandem.Unauthorized)
		if got := wait(); got != want {
			t.Errorf("after %d wrong passwords it waits %s, want %s", i+1, got, want)
		}
		if want > 0 {
			w.wants(second(w.SignIn(w.ctx, "person@example.com", good, "")), tandem.Unauthorized) // too early
			if got := wait(); got > want {
				t.Errorf("what came too early made it %s", got)
			}
			w.advance(want)
		}
	}
	w.must(second(w.SignIn(w.ctx, "person@example.com", good, "")))
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() { w.wants(second(w.SignIn(w.ctx, "person@example.com", "wrong", "")), tandem.Unauthorized) })
	}
	all.Wait()
	if wait() == 0 {
		t.Error("forty wrong passwords at once cost nothing")
	}
}

// TestAnAddressWaits: one address that guesses over many accounts is slowed down, others are not.
func TestAnAddressWaits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	throttle := registry.NewThrottle(2)
	w := newWorld(t, nil)
	w.Throttle = throttle
	w.Clock = func() time.Time { return now }
	for i := range 20 {
		w.wants(second(w.SignIn(w.ctx, fmt.Sprintf("nobody%d@example.com", i), "wrong", "192.0.2.9")), tandem.Unauthorized)
	}
	_, err := w.SignIn(w.ctx, "nobody@example.com", "wrong", "192.0.2.9")
	var e *tandem.Error
	if !errors.As(err, &e) || e.Code != tandem.RateLimited || e.RetryAfter != time.Second {
		t.Errorf("after twenty the address gets %+v", err)
	}
	w.wants(w.RequestPasswordReset(w.ctx, "x@example.com", "192.0.2.9"), tandem.RateLimited)
	w.wants(second(w.SignIn(w.ctx, "nobody@example.com", "wrong", "192.0.2.10")), tandem.Unauthorized)
	now = now.Add(time.Second)
	w.wants(second(w.SignIn(w.ctx, "nobody@example.com", "wrong", "192.0.2.9")), tandem.Unauthorized)
	w.wants(second(w.SignIn(w.ctx, "nobody@example.com", "wrong", "192.0.2.9")), tandem.RateLimited)
	for i := range 5 { // many others put it out
		w.wants(second(w.SignIn(w.ctx, "a@example.com", "wrong", fmt.Sprint("198.51.100.", i))), tandem.Unauthorized)
	}
	w.wants(second(w.SignIn(w.ctx, "nobody@example.com", "wrong", "192.0.2.9")), tandem.Unauthorized)
}

// TestTheSecondFactor: a code works once, a recovery code too, and sessions end when it is turned on or off.
func TestTheSecondFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	a := w.person(org, "person@example.com", tandem.Owner)
	w.wants(second(w.EnrollFactor(w.ctx, a, "wrong")), tandem.Forbidden)
	w.wants(third(w.ConfirmFactor(w.ctx, a, "000000")), tandem.Invalid) // none enrolled
	enrolled, err := w.EnrollFactor(w.ctx, a, good)
	w.must(err)
	if !strings.HasPrefix(enrolled.URL, "otpauth://totp/Tandem:person@example.com?issuer=Tandem&secret="+enrolled.Secret) {
		t.Errorf("the URL is %s", enrolled.URL)
	}
	code := func() string {
		code, err := totp.GenerateCode(enrolled.Secret, w.now())
		w.must(err)
		return code
	}
	in, err := w.SignIn(w.ctx, "person@example.com", good, "")
	if err != nil || in.NeedsCode {
		t.Errorf("before it is confirmed: %+v, %v", in, err)
	}
	w.wants(third(w.ConfirmFactor(w.ctx, a, "123")), tandem.Invalid)
	used := code()
	u, recovery, err := w.ConfirmFactor(w.ctx, a, used)
	w.must(err)
	if len(recovery) != 10 {
		t.Errorf("there are %d recovery codes", len(recovery))
	}
	w.wants(second(w.SessionActor(w.ctx, a.ID, u.Epoch-1)), tandem.Unauthorized)
	w.must(second(w.SessionActor(w.ctx, a.ID, u.Epoch)))

	in, err = w.SignIn(w.ctx, "person@example.com", good, "")
	if err != nil || !in.NeedsCode {
		t.Fatalf("with a second factor: %+v, %v", in, err)
	}
	step := func(code string) error { return second(w.SignInCode(w.ctx, in.User.ID, in.User.Epoch, code, "")) }
	w.wants(step(used), tandem.Unauthorized) // it confirmed
	w.wants(step("000000"), tandem.Unauthorized)
	w.advance(30 * time.Second)
	next := code()
	w.must(step(next[:3] + " " + next[3:]))
	w.wants(step(next), tandem.Unauthorized)
	w.wants(second(w.SignInCode(w.ctx, in.User.ID, in.User.Epoch-1, code(), "")), tandem.Unauthorized)
	w.must(step(strings.ToUpper(recovery[3])))
	w.wants(step(recovery[3]), tandem.Unauthorized)
	if u, err := w.store.User(w.ctx, a.ID); err != nil || len(u.RecoveryHashes) != 9 || strings.Contains(fmt.Sprint(u.RecoveryHashes), recovery[4]) {
		t.Errorf("left are %v, %v", u.RecoveryHashes, err)
	}

	// A device clock that is a step behind is good, two steps are not; neither is an older code than the last used.
	w.advance(90 * time.Second)
	late := code()
	w.advance(30 * time.Second)
	w.must(step(late))
	tooLate := code()
	w.advance(60 * time.Second)
	w.wants(step(tooLate), tandem.Unauthorized)

	a = w.actor(a.ID)
	again, err := w.RenewRecoveryCodes(w.ctx, a, good)
	w.must(err)
	w.wants(step(recovery[4]), tandem.Unauthorized)
	w.must(step(again[0]))
	w.advance(30 * time.Second)
	w.wants(second(w.DisableFactor(w.ctx, a, good, "000000")), tandem.Unauthorized)
	u, err = w.DisableFactor(w.ctx, a, good, code())
	w.must(err)
	if u.TOTPEnabled || len(u.TOTPSecret)+len(u.RecoveryHashes) > 0 {
		t.Errorf("turned off it is %+v", u)
	}
	if in, err := w.SignIn(w.ctx, "person@example.com", good, ""); err != nil || in.NeedsCode {
		t.Errorf("without a second factor: %+v, %v", in, err)
	}
	for _, e := range w.audited(org, "user") {
		if text := string(e.Before) + string(e.After); strings.Contains(text, enrolled.Secret) || strings.Contains(text, "argon2") {
			t.Errorf("the audit holds a secret: %s", text)
		}
	}
}

// TestACodeIsForOne: of many who come with one code at the same moment, one gets in.
func TestACodeIsForOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := w.person(w.organization("Acme"), "person@example.com", tandem.Owner)
	enrolled, err := w.EnrollFactor(w.ctx, a, good)
	w.must(err)
	code, err := totp.GenerateCode(enrolled.Secret, w.now())
	w.must(err)
	u, recovery, err := w.ConfirmFactor(w.ctx, a, code)
	w.must(err)
	w.advance(30 * time.Second)
	code, err = totp.GenerateCode(enrolled.Secret, w.now())
	w.must(err)
	for _, code := range []string{code, recovery[0]} {
		var all sync.WaitGroup
		var mu sync.Mutex
		let := 0
		for range 4 {
			all.Go(func() {
				if _, err := w.SignInCode(w.ctx, u.ID, u.Epoch, code, ""); err == nil {
					mu.Lock()
					let++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if let != 1 {
			t.Errorf("the code %s let %d in", code, let)
		}
		w.advance(20 * time.Minute)
	}
}

// TestPasswordsAreReset: a link goes to who exists, looks the same for who does not, works once and ends sessions.
func TestPasswordsAreReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	a := w.person(org, "person@example.com", tandem.Owner)
	const other = "quiet lanterns drift past 9 harbours"
	w.must(w.RequestPasswordReset(w.ctx, "nobody@example.com", ""))
	if got := w.posted(); len(got) != 0 {
		t.Errorf("nobody got %v", got)
	}
	w.must(w.RequestPasswordReset(w.ctx, "Person@Example.com", ""))
	letters := w.posted()
	if len(letters) != 1 || letters[0].To != "person@example.com" || letters[0].Purpose != tandem.ResetLink {
		t.Fatalf("posted was %v", letters)
	}
	secret := letters[0].Secret
	w.wants(second(w.ResetPassword(w.ctx, secret, "short")), tandem.Invalid) // and the link is still good
	u, err := w.ResetPassword(w.ctx, secret, other)
	w.must(err)
	w.wants(second(w.ResetPassword(w.ctx, secret, other)), tandem.NotFound)
	w.wants(second(w.SessionActor(w.ctx, a.ID, u.Epoch-1)), tandem.Unauthorized)
	w.wants(second(w.SignIn(w.ctx, "person@example.com", good, "")), tandem.Unauthorized)
	w.must(second(w.SignIn(w.ctx, "person@example.com", other, "")))

	w.must(w.RequestPasswordReset(w.ctx, "person@example.com", ""))
	last := w.posted()[0].Secret
	for range 10 {
		w.must(w.RequestPasswordReset(w.ctx, "person@example.com", ""))
	}
	if n := len(w.posted()); n != 1 {
		t.Errorf("ten more requests posted %d letters", n)
	}
	w.wants(second(w.ResetPassword(w.ctx, last, good)), tandem.NotFound) // the newest link counts
	w.advance(time.Hour)
	w.must(w.RequestPasswordReset(w.ctx, "person@example.com", ""))
	w.advance(registry.ResetLife)
	w.wants(second(w.ResetPassword(w.ctx, w.posted()[0].Secret, good)), tandem.NotFound)

	a = w.actor(a.ID)
	w.wants(second(w.ChangePassword(w.ctx, a, "wrong", good)), tandem.Forbidden)
	w.wants(second(w.ChangePassword(w.ctx, a, other, "person@example.com")), tandem.Invalid)
	u, err = w.ChangePassword(w.ctx, a, other, good)
	w.must(err)
	w.must(second(w.SessionActor(w.ctx, a.ID, u.Epoch)))
	w.must(second(w.SignIn(w.ctx, "person@example.com", good, "")))
	if got := w.audited(org, "user.password"); len(got) != 2 || !strings.Contains(string(got[0].After), `"password":"changed"`) {
		t.Errorf("the audit says %+v", got)
	}
}

// TestLockedOut: the command line lets an owner in again who lost everything.
func TestLockedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	a := w.person(org, "person@example.com", tandem.Owner)
	enrolled, err := w.EnrollFactor(w.ctx, a, good)
	w.must(err)
	code, err := totp.GenerateCode(enrolled.Secret, w.now())
	w.must(err)
	w.must(third(w.ConfirmFactor(w.ctx, a, code)))
	for range 9 {
		_, _ = w.SignIn(w.ctx, "person@example.com", "wrong", "")
		w.advance(time.Minute)
	}
	_, secret, err := w.ResetByCommand(w.ctx, root, "person@example.com", true)
	w.must(err)
	w.must(second(w.ResetPassword(w.ctx, secret, good+" again")))
	if in, err := w.SignIn(w.ctx, "person@example.com", good+" again", ""); err != nil || in.NeedsCode {
		t.Errorf("afterwards: %+v, %v", in, err)
	}
	if got := w.audited(org, "user.recover"); len(got) != 1 || got[0].ActorKind != tandem.CommandActor {
		t.Errorf("the audit says %+v", got)
	}
	w.wants(third(w.ResetByCommand(w.ctx, root, "nobody@example.com", true)), tandem.NotFound)
}

// TestInvitations: one makes an account, or joins with the one there is, as what was said and nothing else.
func TestInvitations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org, other := w.organization("Acme"), w.organization("Other")
	admin := w.person(org, "admin@example.com", tandem.Admin)
	w.wants(third(w.Invite(w.ctx, admin, org, "x@example.com", tandem.Owner)), tandem.Forbidden)
	w.wants(third(w.Invite(w.ctx, admin, org, "no email", tandem.Viewer)), tandem.Invalid)
	w.wants(third(w.Invite(w.ctx, admin, org, "admin@example.com", tandem.Viewer)), tandem.Exists)
	_, first, err := w.Invite(w.ctx, admin, org, "new@example.com", tandem.Viewer)
	w.must(err)
	_, secret, err := w.Invite(w.ctx, admin, org, "NEW@example.com", tandem.Operator)
	w.must(err)
	if letters := w.posted(); len(letters) != 2 || letters[1].Secret != secret || letters[1].Organization != "Acme" {
		t.Errorf("posted was %v", letters)
	}
	w.wants(second(w.LookAtInvitation(w.ctx, first)), tandem.NotFound) // the second stands in for it
	at, err := w.LookAtInvitation(w.ctx, secret)
	if err != nil || at.HasAccount || at.Organization.ID != org || at.Invitation.Role != tandem.Operator {
		t.Errorf("the link is about %+v, %v", at, err)
	}
	w.wants(second(w.AcceptInvitation(w.ctx, secret, registry.NewPerson{Password: "short"})), tandem.Invalid)
	u, err := w.AcceptInvitation(w.ctx, secret, registry.NewPerson{Email: "else@example.com", Name: "New", Password: good})
	w.must(err)
	if a := w.actor(u.ID); u.Email != "NEW@example.com" || a.Roles[org] != tandem.Operator || len(a.Roles) != 1 {
		t.Errorf("%s may %v", u.Email, a.Roles)
	}
	w.wants(second(w.AcceptInvitation(w.ctx, secret, registry.NewPerson{Password: good})), tandem.NotFound)

	_, secret, err = w.Invite(w.ctx, root, other, "new@example.com", tandem.Manager)
	w.must(err)
	w.wants(second(w.AcceptInvitation(w.ctx, secret, registry.NewPerson{Password: good})), tandem.Exists)
	w.wants(second(w.Join(w.ctx, admin, secret)), tandem.Forbidden)
	w.must(second(w.Join(w.ctx, w.actor(u.ID), secret)))
	if a := w.actor(u.ID); a.Roles[other] != tandem.Manager || a.Roles[org] != tandem.Operator {
		t.Errorf("%s may %v", u.Email, a.Roles)
	}
	w.wants(second(w.Join(w.ctx, w.actor(u.ID), secret)), tandem.NotFound)

	in, secret, err := w.Invite(w.ctx, admin, org, "third@example.com", tandem.Viewer)
	w.must(err)
	w.must(second(w.RevokeInvitation(w.ctx, admin, org, in.ID)))
	w.wants(second(w.AcceptInvitation(w.ctx, secret, registry.NewPerson{Password: good})), tandem.NotFound)
	_, secret, err = w.Invite(w.ctx, admin, org, "third@example.com", tandem.Viewer)
	w.must(err)
	w.advance(registry.InvitationLife)
	w.wants(second(w.AcceptInvitation(w.ctx, secret, registry.NewPerson{Password: good})), tandem.NotFound)
}

// TestRolesHaveAnOwner: the last owner stays one, and nobody reaches above themselves.
func TestRolesHaveAnOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org, other := w.organization("Acme"), w.organization("Other")
	owner, admin := w.person(org, "owner@example.com", tandem.Owner), w.person(org, "admin@example.com", tandem.Admin)
	w.wants(second(w.ChangeRole(w.ctx, admin, org, owner.ID, tandem.Viewer)), tandem.Forbidden)
	w.wants(second(w.RemoveUser(w.ctx, admin, org, owner.ID)), tandem.Forbidden)
	w.wants(second(w.ChangeRole(w.ctx, admin, org, admin.ID, tandem.Owner)), tandem.Forbidden)
	w.wants(second(w.ChangeRole(w.ctx, owner, org, owner.ID, tandem.Admin)), tandem.Invalid)
	w.wants(second(w.RemoveUser(w.ctx, owner, org, owner.ID)), tandem.Invalid)
	w.wants(second(w.DisableUser(w.ctx, owner, org, owner.ID, true)), tandem.Invalid)
	w.must(second(w.ChangeRole(w.ctx, owner, org, admin.ID, tandem.Owner)))
	w.must(second(w.ChangeRole(w.ctx, owner, org, owner.ID, tandem.Viewer)))
	if a := w.actor(owner.ID); a.May(org, registry.UpdateDevices) {
		t.Errorf("who gave up a role still may %v", a.Roles)
	}
	// Somebody who belongs elsewhere too is not disabled from here.
	w.person(other, "owner@example.com", tandem.Manager)
	admin = w.actor(admin.ID)
	w.wants(second(w.DisableUser(w.ctx, admin, org, owner.ID, true)), tandem.Forbidden)
	w.must(second(w.DisableUser(w.ctx, root, org, owner.ID, true)))
	w.wants(second(w.SignIn(w.ctx, "owner@example.com", good, "")), tandem.Unauthorized)
	got := w.audited(org, "member.update")
	if len(got) != 2 || string(got[0].Before) != `{"role":"owner"}` || string(got[0].After) != `{"role":"viewer"}` || got[0].RequestID != "request-1" || got[0].Address != "192.0.2.1" {
		t.Errorf("the audit says %+v", got)
	}
	if got := w.audited(other, "user.disable"); len(got) != 1 {
		t.Errorf("the other organization's audit says %+v", got)
	}
	o, err := w.CreateOrganization(w.ctx, admin, "Third", "")
	w.must(err)
	if a := w.actor(admin.ID); a.Roles[o.ID] != tandem.Owner {
		t.Errorf("who makes an organization is %q there", a.Roles[o.ID])
	}
	w.wants(second(w.CreateOrganization(w.ctx, w.person(org, "viewer@example.com", tandem.Viewer), "Fourth", "")), tandem.Forbidden)
}

// TestIdentityProviders: a verified email links an account or an invitation; nobody else is let in.
func TestIdentityProviders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	a := w.person(org, "person@example.com", tandem.Viewer)
	who := registry.External{Issuer: "https://id.example.com", Subject: "1", Email: "person@example.com", Name: "Person"}
	w.wants(second(w.SignInExternal(w.ctx, who, "")), tandem.Forbidden) // not verified
	who.Verified = true
	in, err := w.SignInExternal(w.ctx, who, "")
	if err != nil || in.User.ID != a.ID || in.NeedsCode {
		t.Fatalf("the first time gave %+v, %v", in, err)
	}
	changed := who
	changed.Email, changed.Verified = "moved@example.com", false
	if in, err := w.SignInExternal(w.ctx, changed, ""); err != nil || in.User.ID != a.ID {
		t.Errorf("who is linked is known by the subject: %+v, %v", in, err)
	}
	thief := who
	thief.Subject = "2"
	w.wants(second(w.SignInExternal(w.ctx, thief, "")), tandem.Forbidden)
	stranger := who
	stranger.Subject, stranger.Email = "3", "stranger@example.com"
	w.wants(second(w.SignInExternal(w.ctx, stranger, "")), tandem.Forbidden)
	w.must(third(w.Invite(w.ctx, root, org, "Stranger@example.com", tandem.Operator)))
	in, err = w.SignInExternal(w.ctx, stranger, "")
	w.must(err)
	if s := w.actor(in.User.ID); s.Roles[org] != tandem.Operator || in.User.PasswordHash != "" {
		t.Errorf("who was invited may %v", s.Roles)
	}
	w.wants(second(w.SignIn(w.ctx, "stranger@example.com", "", "")), tandem.Unauthorized)
	w.must(second(w.ChangePassword(w.ctx, w.actor(in.User.ID), "", good))) // who has none sets one
	w.must(second(w.SignIn(w.ctx, "stranger@example.com", good, "")))

	a = w.actor(a.ID)
	enrolled, err := w.EnrollFactor(w.ctx, a, good)
	w.must(err)
	code, err := totp.GenerateCode(enrolled.Secret, w.now())
	w.must(err)
	w.must(third(w.ConfirmFactor(w.ctx, a, code)))
	if in, err := w.SignInExternal(w.ctx, who, ""); err != nil || !in.NeedsCode {
		t.Errorf("with a second factor here: %+v, %v", in, err)
	}
	w.must(second(w.DisableUser(w.ctx, root, org, a.ID, true)))
	w.wants(second(w.SignInExternal(w.ctx, who, "")), tandem.Forbidden)
}

// TestTwoOwnersWhoTakeEachOthersRole: one of them stays.
func TestTwoOwnersWhoTakeEachOthersRole(t *testing.T) {
	t.Parallel()
	for database, open := range databases {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open(t))
			for round := range 5 {
				org := w.organization(fmt.Sprint("Acme ", round))
				a := w.person(org, fmt.Sprint("a", round, "@example.com"), tandem.Owner)
				b := w.person(org, fmt.Sprint("b", round, "@example.com"), tandem.Owner)
				var both sync.WaitGroup
				both.Go(func() { _, _ = w.ChangeRole(w.ctx, a, org, b.ID, tandem.Viewer) })
				both.Go(func() { _, _ = w.RemoveUser(w.ctx, b, org, a.ID) })
				both.Wait()
				if owners, _, err := w.store.Members(w.ctx, org, tandem.MemberFilter{Role: tandem.Owner}); err != nil || len(owners) != 1 {
					t.Errorf("owners left: %v, %v", owners, err)
				}
			}
		})
	}
}
