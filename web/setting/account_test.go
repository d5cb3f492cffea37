package setting_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"tandem"
	"tandem/web/webtest"
)

const anotherPassword = "lantern-gravel-orbit-71"

// TestName: a person's name is what they typed, and what is wrong with it is said beside it.
func TestName(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings")
	p.WaitPath(w.Path("settings/account"))
	p.Fill("#f-name", "Keeper of pumps")
	p.Click("#you button >> Save")
	p.Told("Your name is Keeper of pumps now.")
	if got := member(t, w, w.Owner.ID).Name; got != "Keeper of pumps" {
		t.Errorf("the API says that the name is %q", got)
	}
}

// TestPassword: the old password does not let in any more, other sessions end, and this one goes on.
func TestPassword(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	who := w.Member(tandem.Viewer)
	p, other := w.Browser(t, webtest.Options{As: who}), w.Browser(t, webtest.Options{As: who})
	p.Allow(403, "/api/v1/session/password")
	p.Open("settings/account")
	p.Fill("#current-password", "not-the-password-42")
	p.Fill("#new-password", anotherPassword)
	p.Fill("#again", anotherPassword)
	p.Click("#password button >> Change the password")
	p.SeeIn("#password [data-said]", "wrong")
	p.Fill("#current-password", who.Password)
	p.Click("#password button >> Change the password")
	p.Told("Your password is changed.")
	if status, _ := signIn(t, w, who.Email, who.Password); status != 401 {
		t.Errorf("the old password is answered with %d", status)
	}
	if status, _ := signIn(t, w, who.Email, anotherPassword); status != 200 {
		t.Errorf("the new password is answered with %d", status)
	}
	other.Open("settings/account")
	other.WaitPath("/sign-in")
	p.Open("settings/account")
	p.WaitFor("#you")
}

// TestSessions: all sessions but this one end.
func TestSessions(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p, other := w.Browser(t, webtest.Options{}), w.Browser(t, webtest.Options{})
	p.Open("settings/account")
	p.Click("#sessions button >> End my other sessions")
	p.Told("All your other sessions have ended.")
	other.Open("settings/account")
	other.WaitPath("/sign-in")
	p.Open("settings/account")
	p.WaitFor("#you")
}

// TestFactor: a second factor is set up with the code that is shown, gives recovery codes, and is turned off again.
func TestFactor(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	who := w.Member(tandem.Operator)
	p := w.Browser(t, webtest.Options{As: who})
	p.Open("settings/account")
	p.Fill("#factor-password", "not-the-password-42")
	p.Click("#factor button >> Set it up")
	p.SeeIn("#factor", "password is wrong")
	p.Fill("#factor-password", who.Password)
	p.Click("#factor button >> Set it up")
	if picture := p.Attribute("#factor img", "src"); !strings.HasPrefix(picture, "data:image/svg+xml;base64,") {
		t.Errorf("the QR code is %.40q", picture)
	}
	p.Axe()
	p.Shot("settings-factor")
	secret := strings.ReplaceAll(p.Value("#factor-secret"), " ", "")
	code, err := totp.GenerateCode(secret, time.Now())
	must(t, err)
	p.Fill("#confirm-code", code)
	p.Click("#factor button >> Turn it on")
	p.Told("The second factor is on.")
	p.WaitCount("#factor [data-codes] li", func(n int) bool { return n == 10 })
	p.Axe()
	first := p.Text("#factor [data-codes] li")
	if !member(t, w, who.ID).TOTPEnabled {
		t.Error("the API says that the second factor is off")
	}
	if _, told := signIn(t, w, who.Email, who.Password); told["second_factor_required"] != true {
		t.Errorf("signing in asks for no code: %v", told)
	}
	p.Click("#factor a >> Done")
	p.SeeIn("#factor", "10 recovery codes are left")
	p.Click("#factor summary >> Turn it off")
	p.Fill("#off-password", who.Password)
	p.Fill("#off-code", first)
	p.Click("#factor button >> Turn it off")
	p.Told("The second factor is off.")
	if member(t, w, who.ID).TOTPEnabled {
		t.Error("the API says that the second factor is on")
	}
}
