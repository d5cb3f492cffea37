package entry_test

import (
	"net/http"
	"net/url"
	"os"
	"testing"

	"tandem"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// TestFirstOwner: the first owner makes the account, and is led to the overview.
func TestFirstOwner(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t, webtest.Fresh())
	w.Each(t, func(_ *testing.T, p *webtest.Page) {
		p.OpenAt(w.SetUpPath())
		p.See("Make the account of the first owner")
		p.Axe()
	})
	p := w.Browser(t, webtest.Options{})
	p.OpenAt(w.SetUpPath())
	p.Fill("label >> Email", "first@example.com")
	p.Fill("label >> Your name", "First Owner")
	p.Fill("label >> Organization", "Acme Water")
	p.Fill("[name=password]", "aaaaaaaaaaaa")
	p.Fill("[name=again]", "aaaaaaaaaaaa")
	p.Allow(http.StatusUnprocessableEntity, "^/setup")
	p.Click("button >> Create the account")
	p.SeeIn("#f-password-error", "too easy to guess")
	for selector, want := range map[string]string{"[name=email]": "first@example.com", "[name=name]": "First Owner", "[name=organization]": "Acme Water"} {
		if got := p.Value(selector); got != want {
			t.Errorf("%s holds %q after a mistake elsewhere, want %q", selector, got, want)
		}
	}
	p.Axe()
	p.Fill("[name=password]", good)
	p.Fill("[name=again]", good+"x")
	p.Click("button >> Create the account")
	if p.Count("#f-password-error") != 1 || p.Value("[name=password]") != good {
		t.Error("two passwords that differ were sent")
	}
	p.Fill("[name=again]", good)
	p.Click("button >> Create the account")
	p.See("is there. Sign in with it")
	p.Fill("[name=password]", good)
	p.Click("button >> Sign in")
	p.WaitPath("/o/acme-water")
	p.See("Acme Water")
}

// TestSigningIn: a wrong password is said, the email stays, and who was on the way to a page gets there.
func TestSigningIn(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	w.Each(t, func(_ *testing.T, p *webtest.Page) {
		p.OpenAt("/sign-in")
		p.Axe()
	})
	p := w.Browser(t, webtest.Options{SignedOut: true})
	p.Allow(401, "^/api/v1/live") // the stream that ends with signing out
	p.Open("alerts?status=all")
	p.WaitPath("/sign-in")
	p.Fill("label >> Email", w.Owner.Email)
	p.Fill("[name=password]", "not the password at all")
	p.Allow(http.StatusUnauthorized, "^/api/v1/session$")
	p.Press("Enter")
	p.SeeIn("[data-said]", "password")
	if got := p.Value("[name=email]"); got != w.Owner.Email {
		t.Errorf("the email is %q then", got)
	}
	p.Axe()
	p.Fill("[name=password]", w.Owner.Password)
	p.Press("Enter")
	p.WaitPath(w.Path("alerts?status=all"))
	p.Click("[data-sign-out]")
	p.WaitPath("/sign-in")
	p.OpenAt("/forgot-password")
	p.See("This server sends no mail")
}

// TestJoining: an invitation makes an account, or takes the one that there is.
func TestJoining(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	at := func(email string) string {
		return "/invitation?token=" + url.QueryEscape(w.Invitation(email, tandem.Operator))
	}

	p := w.Browser(t, webtest.Options{SignedOut: true})
	p.OpenAt(at("new@" + w.Org.Slug + ".example.com"))
	p.See("You are invited as operator")
	p.Axe()
	p.Fill("label >> Your name", "New Person")
	p.Fill("[name=password]", good)
	p.Fill("[name=again]", good)
	p.Click("button >> Create the account and join")
	p.See("Welcome")
	p.Fill("[name=password]", good)
	p.Click("button >> Sign in")
	p.WaitPath(w.Path(""))

	other := webtest.Open(t)
	p = other.Browser(t, webtest.Options{SignedOut: true})
	p.OpenAt(at(other.Owner.Email))
	p.See("There is an account with " + other.Owner.Email)
	p.Axe()
	p.Fill("[name=password]", other.Owner.Password)
	p.Click("button >> Sign in and join")
	p.WaitPath(w.Path(""))
	if m, err := w.API.User(t.Context(), w.Org.ID, other.Owner.Email); err != nil || m.Role != tandem.Operator {
		t.Errorf("who joined is %+v, %v", m, err)
	}

	third := webtest.Open(t)
	p = third.Browser(t, webtest.Options{})
	p.OpenAt(at(third.Owner.Email))
	p.See("You are signed in as " + third.Owner.Email)
	p.Axe()
	p.Click("button >> Join")
	p.WaitPath(w.Path(""))

	p = other.Browser(t, webtest.Options{})
	p.OpenAt(at(third.Member(tandem.Viewer).Email))
	p.See("This invitation is for somebody else")
	p.Axe()
	p.Click("button >> Sign out, and go on")
	p.See("Sign in with it to join")
}
