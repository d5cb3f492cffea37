package registry_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"tandem"
	"tandem/registry"
)

// door gives what an organization's audit says of the door, oldest first.
func (w *world) door(org string) (said []string) {
	w.t.Helper()
	all, _, err := w.Audit(w.ctx, root, org, tandem.AuditFilter{Action: "user", Page: tandem.Page{Limit: 1000}})
	w.must(err)
	for _, e := range slices.Backward(all) {
		if strings.HasPrefix(e.Action, "user.sign") {
			said = append(said, strings.TrimSpace(strings.TrimPrefix(e.Action, "user.")+" "+e.Actor+" "+e.Address+" "+string(e.After)))
		}
	}
	return said
}

func (w *world) said(org string, want ...string) {
	w.t.Helper()
	if got := w.door(org); !slices.Equal(got, want) {
		w.t.Errorf("the audit says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTheAuditTellsOfTheDoor: who came in and went, by what, and that somebody tried; in each of their organizations, on
// both databases, and never what was typed.
func TestTheAuditTellsOfTheDoor(t *testing.T) {
	t.Parallel()
	for database, open := range databases {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open(t))
			org, other, foreign := w.organization("Acme"), w.organization("Other"), w.organization("Foreign")
			id := w.person(org, "person@example.com", tandem.Viewer).ID
			w.person(other, "person@example.com", tandem.Admin)
			w.wants(second(w.SignIn(w.ctx, "person@example.com", "wrong-password-typed", "192.0.2.1")), tandem.Unauthorized)
			w.wants(second(w.SignIn(w.ctx, "nobody@example.com", good, "192.0.2.1")), tandem.Unauthorized)
			w.must(second(w.SignIn(w.ctx, "person@example.com", good, "192.0.2.2")))
			w.must(w.SignOut(w.ctx, w.actor(id)))
			want := []string{
				`sign_in_failed not signed in 192.0.2.1 {"by":"password","failures":1}`,
				`sign_in person@example.com 192.0.2.2 {"by":"password","failures_before":1}`,
				`sign_out person@example.com 192.0.2.1`,
			}
			w.said(org, want...)
			w.said(other, want...)
			w.said(foreign)

			enrolled, err := w.EnrollFactor(w.ctx, w.actor(id), good)
			w.must(err)
			code := func() string {
				code, err := totp.GenerateCode(enrolled.Secret, w.now())
				w.must(err)
				return code
			}
			confirmed := code()
			u, recovery, err := w.ConfirmFactor(w.ctx, w.actor(id), confirmed)
			w.must(err)
			w.advance(time.Minute)
			in, err := w.SignIn(w.ctx, "person@example.com", good, "192.0.2.3")
			w.must(err)
			w.said(org, want...) // nobody is in before the second step
			w.wants(second(w.SignInCode(w.ctx, in.User.ID, in.User.Epoch, "000000", "192.0.2.3")), tandem.Unauthorized)
			used := code()
			w.must(second(w.SignInCode(w.ctx, in.User.ID, in.User.Epoch, used, "192.0.2.3")))
			w.must(second(w.SignInCode(w.ctx, in.User.ID, u.Epoch, recovery[0], "192.0.2.3")))
			who := registry.External{Issuer: "https://id.example.com", Subject: "1", Email: "person@example.com", Verified: true}
			in, err = w.SignInExternal(w.ctx, who, "192.0.2.4")
			w.must(err)
			w.advance(time.Minute)
			w.must(second(w.SignInCode(w.ctx, in.User.ID, in.User.Epoch, code(), "192.0.2.4")))
			want = append(want,
				`sign_in_failed not signed in 192.0.2.3 {"by":"code","failures":1}`,
				`sign_in person@example.com 192.0.2.3 {"by":"code","failures_before":1}`,
				`sign_in person@example.com 192.0.2.3 {"by":"code"}`,
				`sign_in person@example.com 192.0.2.4 {"by":"code"}`)
			w.said(org, want...)
			w.must(third(w.Invite(w.ctx, root, foreign, "new@example.com", tandem.Viewer)))
			who.Subject, who.Email = "2", "New@example.com"
			w.must(second(w.SignInExternal(w.ctx, who, "192.0.2.5")))
			w.said(foreign, `sign_in New@example.com 192.0.2.5 {"by":"identity"}`)

			all, _, err := w.Audit(w.ctx, root, org, tandem.AuditFilter{Page: tandem.Page{Limit: 1000}})
			w.must(err)
			text, err := json.Marshal(all)
			w.must(err)
			for _, secret := range []string{"wrong-password-typed", good, enrolled.Secret, used, recovery[0]} {
				if strings.Contains(string(text), secret) {
					t.Errorf("the audit holds %q", secret)
				}
			}
		})
	}
}

// TestWhoGuessesDoesNotFillTheAudit: of many wrong passwords it tells of few, with their number; of what came too early,
// nothing.
func TestWhoGuessesDoesNotFillTheAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.Throttle = nil // each guess from another address
	org := w.organization("Acme")
	w.person(org, "person@example.com", tandem.Viewer)
	for range 50 {
		w.wants(second(w.SignIn(w.ctx, "person@example.com", "wrong", "")), tandem.Unauthorized)
		w.advance(16 * time.Minute)
	}
	w.wants(second(w.SignIn(w.ctx, "person@example.com", "wrong", "")), tandem.Unauthorized)
	for range 20 { // too early
		w.wants(second(w.SignIn(w.ctx, "person@example.com", "wrong", "")), tandem.Unauthorized)
	}
	w.advance(16 * time.Minute)
	w.must(second(w.SignIn(w.ctx, "person@example.com", good, "")))
	var want []string
	for _, n := range []int{1, 5, 10, 20, 40} {
		want = append(want, fmt.Sprintf(`sign_in_failed not signed in  {"by":"password","failures":%d}`, n))
	}
	w.said(org, append(want, `sign_in person@example.com  {"by":"password","failures_before":51}`)...)
}

// TestNobodyGivesWhatTheyDoNotHold: a token that is narrowed to managing people gives nobody what its scopes leave out.
func TestNobodyGivesWhatTheyDoNotHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	org := w.organization("Acme")
	admin := w.person(org, "admin@example.com", tandem.Admin)
	member := w.person(org, "member@example.com", tandem.Operator).ID
	bearer := func(scopes ...registry.Permission) registry.Actor {
		var list []string
		for _, p := range scopes {
			list = append(list, string(p))
		}
		_, secret, err := w.CreateToken(w.ctx, admin, org, registry.NewToken{Name: fmt.Sprint(len(list)), Scopes: list})
		w.must(err)
		a, err := w.TokenActor(w.ctx, secret)
		w.must(err)
		return a
	}
	narrow := bearer(registry.ManageUsers)
	viewing := bearer(append(registry.Permissions(tandem.Viewer), registry.ManageUsers)...)
	for i, role := range tandem.Roles {
		for name, try := range map[string]struct {
			by  registry.Actor
			may bool
		}{
			"a token of managing people alone": {narrow, false}, "one that may view": {viewing, role == tandem.Viewer},
			"one without scopes": {bearer(), role != tandem.Owner}, "the admin": {admin, role != tandem.Owner},
		} {
			for what, err := range map[string]error{
				"invite": third(w.Invite(w.ctx, try.by, org, fmt.Sprintf("new%d@example.com", i), role)),
				"change": second(w.ChangeRole(w.ctx, try.by, org, member, role)),
			} {
				if try.may != (err == nil) || err != nil && !tandem.Is(err, tandem.Forbidden) {
					t.Errorf("%s, %s to %s: %v", name, what, role, err)
				}
			}
			w.must(second(w.ChangeRole(w.ctx, root, org, member, tandem.Operator)))
		}
	}
	w.must(second(w.RemoveUser(w.ctx, narrow, org, member))) // what it takes away it need not hold
}
