package registry_test

import (
	"testing"

	"tandem"
)

// TestAChangedPasswordEndsResetLinks: a link that lies in a mailbox is no way around the new password.
func TestAChangedPasswordEndsResetLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := w.person(w.organization("Acme"), "person@example.com", tandem.Viewer)
	_, secret, err := w.ResetByCommand(w.ctx, root, "person@example.com", false)
	w.must(err)
	w.must(second(w.ChangePassword(w.ctx, a, good, good+" and more")))
	w.wants(second(w.ResetPassword(w.ctx, secret, "another-one-of-theirs-42")), tandem.NotFound)
	w.must(second(w.SignIn(w.ctx, "person@example.com", good+" and more", "")))
}
