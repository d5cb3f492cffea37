package setting

import (
	"slices"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// account is the tab about the person who looks.
type account struct {
	c      *shell.Call
	tokens []tandem.Token // one's own, not revoked
	name   string         // as it was typed
	wrong  map[string]string
	enroll *registry.Enrollment // being set up
	qr     string               // of it
}

func registerAccount(s *shell.Site) {
	s.Handle("GET /settings/account", func(c *shell.Call) error { return showAccount(account{c: c, name: c.User.Name}) })
	s.Handle("POST /settings/account", rename)
	s.Handle("GET /settings/account/factor", func(c *shell.Call) error { return c.Go(c.Path("settings", "account") + "#factor") })
	s.Handle("POST /settings/account/factor", enroll)
}

func showAccount(v account) error {
	c := v.c
	all, err := c.Registry().Tokens(c.R.Context(), c.Actor, c.Org.ID)
	if err != nil {
		return err
	}
	v.tokens = slices.DeleteFunc(all, func(t tandem.Token) bool { return t.UserID != c.User.ID || t.RevokedAt != nil })
	return show(c, "account", "Your account", accountPage(v))
}

// rename changes one's own name.
func rename(c *shell.Call) error {
	u, err := c.Registry().Rename(c.R.Context(), c.Actor, c.Form("name"))
	if err != nil {
		v := account{c: c, name: c.Form("name")}
		if v.wrong, err = wrong(err, "name"); err != nil {
			return err
		}
		return c.Invalid(nameForm(v), func() error { return showAccount(v) })
	}
	changed(c, u.ID)
	c.Toast("success", "Your name is "+u.Name+" now.")
	return c.Go(c.Path("settings", "account"))
}

// enroll begins to set up a second factor: its secret is in the reply alone, as text and as a picture to scan.
func enroll(c *shell.Call) error {
	v := account{c: c, name: c.User.Name}
	e, err := c.Registry().EnrollFactor(c.R.Context(), c.Actor, c.R.PostForm.Get("password"))
	if err == nil {
		v.enroll = &e
		if v.qr, err = picture(e.URL); err != nil {
			return err
		}
		return showAccount(v)
	}
	if tandem.Is(err, tandem.Unauthorized) {
		v.wrong = map[string]string{"factor": "The password is wrong."}
		return showAccount(v)
	}
	told, err := wrong(err)
	if err != nil {
		return err
	}
	v.wrong = map[string]string{"factor": told[""]}
	return showAccount(v)
}

// grouped writes a secret so that it can be typed.
func grouped(secret string) string {
	var b strings.Builder
	for i, r := range secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
