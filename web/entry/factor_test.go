package entry_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"tandem"
	"tandem/web/webtest"
)

// TestSecondFactor: whoever has one enters with a code of the app, or with a recovery code, which works once.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	who := w.Member(tandem.Viewer)
	secret, recovery := secondFactor(t, w, who)

	p := w.Browser(t, webtest.Options{SignedOut: true})
	p.Allow(http.StatusUnauthorized, "^/api/v1/live") // the stream that ends with signing out
	p.Allow(http.StatusUnauthorized, "^/api/v1/session/second-step$")
	password := func() {
		t.Helper()
		p.Fill("[name=email]", who.Email)
		p.Fill("[name=password]", who.Password)
		p.Press("Enter")
		p.WaitFor("[name=code]")
	}
	p.Open("alerts?status=all")
	p.WaitPath("/sign-in")
	password()
	p.WaitGone("[name=password]")
	p.SeeIn("form[data-enter]", "or a recovery code")
	p.Axe()
	p.Shot("sign-in-code")
	p.Open("devices") // half of the way in is not in
	p.WaitPath("/sign-in")
	if p.Count("[name=code]") == 0 {
		password()
	}
	p.Fill("[name=code]", "000000")
	p.Press("Enter")
	p.SeeIn("[data-said]", "code is wrong")
	p.Fill("[name=code]", codeAt(t, secret, time.Now().Add(30*time.Second))) // the present one turned it on, and counts no more
	p.Press("Enter")
	p.WaitPath(w.Path("devices"))
	p.WaitFor("[data-sign-out]")

	for _, try := range []struct {
		code string
		in   bool
	}{{recovery[0], true}, {recovery[0], false}, {recovery[1], true}} {
		if p.Count("[data-sign-out]") > 0 {
			p.Click("[data-sign-out]")
			p.WaitPath("/sign-in")
			password()
		}
		p.Fill("[name=code]", try.code)
		p.Press("Enter")
		if !try.in {
			p.SeeIn("[data-said]", "code is wrong or was used")
			continue
		}
		p.WaitPath("/o/")
		p.WaitFor("[data-sign-out]")
	}
	p.Open("settings/account")
	p.SeeIn("#factor", "8 recovery codes are left")
}

// secondFactor sets up a person's second factor as they would, and gives the app's secret and the recovery codes.
func secondFactor(t *testing.T, w *webtest.World, who *webtest.Person) (secret string, recovery []string) {
	t.Helper()
	p := w.Browser(t, webtest.Options{As: who})
	p.Open("settings/account")
	p.Fill("#factor-password", who.Password)
	p.Click("#factor button >> Set it up")
	secret = strings.ReplaceAll(p.Value("#factor-secret"), " ", "")
	p.Fill("#confirm-code", codeAt(t, secret, time.Now()))
	p.Click("#factor button >> Turn it on")
	p.WaitCount("#factor [data-codes] li", func(n int) bool { return n == 10 })
	p.Eval(`[...document.querySelectorAll("#factor [data-codes] li")].map((li) => li.innerText.trim())`, &recovery)
	return secret, recovery
}

func codeAt(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}
