package registry_test

import (
	"testing"

	"tandem"
	"tandem/registry"
)

// TestTheDoorHashesOnceWhoeverKnocks: a wrong password costs one hash of the usual cost whether or not there is such an
// account, whatever state it is in: what an answer takes does not tell.
func TestTheDoorHashesOnceWhoeverKnocks(t *testing.T) {
	t.Parallel()
	for database, open := range databases {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open(t))
			org := w.organization("Acme")
			as := func(email string, change func(*tandem.User)) {
				u, err := w.store.User(w.ctx, w.person(org, email, tandem.Viewer).ID)
				w.must(err)
				change(&u)
				w.must(w.store.UpdateUser(w.ctx, u))
			}
			as("usual@example.com", func(*tandem.User) {})
			as("external@example.com", func(u *tandem.User) { u.PasswordHash = "" })
			as("damaged@example.com", func(u *tandem.User) { u.PasswordHash = "$argon2id$v=19$m=19456" })
			as("disabled@example.com", func(u *tandem.User) { now := w.now(); u.DisabledAt = &now })
			as("locked@example.com", func(u *tandem.User) { later := w.now().AddDate(1, 0, 0); u.LockedUntil = &later })
			as("factor@example.com", func(u *tandem.User) { u.TOTPEnabled, u.TOTPSecret = true, []byte("sealed") })
			refused := ""
			for _, email := range []string{"usual@example.com", "nobody@example.com", "no address", "external@example.com", "damaged@example.com",
				"disabled@example.com", "locked@example.com", "factor@example.com"} {
				password := "typed on " + database + " for " + email
				_, err := w.SignIn(w.ctx, email, password, "")
				w.wants(err, tandem.Unauthorized)
				if times, otherwise := registry.Hashed(password); times != 1 || otherwise {
					t.Errorf("what is typed for %s is hashed %d times, at another cost too: %t", email, times, otherwise)
				}
				if refused == "" {
					refused = err.Error()
				}
				if err != nil && err.Error() != refused {
					t.Errorf("%s is told %q, others %q", email, err, refused)
				}
			}
		})
	}
}
