package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/api"
	"tandem/registry"
	"tandem/store/sqlite/sqlitetest"
)

func (w *world) signedIn(email string) *caller {
	w.t.Helper()
	b := w.browser()
	b.post("/api/v1/session", map[string]string{"email": email, "password": password}).is(200)
	return b
}

// cookie gives the session's cookie as it was set.
func cookie(a *answer) *http.Cookie {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if strings.HasSuffix(c.Name, "tandem") {
			return c
		}
	}
	return nil
}

// TestSessionsBeginAndEnd: signing in gives a new id each time; signing out, a changed password on another device, a
// lost membership and time end it at once.
func TestSessionsBeginAndEnd(t *testing.T) {
	inBoth(t, func(w *world) {
		b := w.browser()
		first := cookie(b.post("/api/v1/session", map[string]string{"email": "owner@example.com", "password": password}).is(200))
		if first == nil || !first.HttpOnly || first.SameSite != http.SameSiteLaxMode || first.Path != "/" || first.Domain != "" || first.Secure {
			t.Fatalf("the cookie is %+v", first)
		}
		b.get("/api/v1/devices").is(200)
		second := cookie(b.post("/api/v1/session", map[string]string{"email": "owner@example.com", "password": password}).is(200))
		if second == nil || second.Value == first.Value {
			t.Error("the session's id did not change")
		}
		old := w.as("").with("Cookie", first.Name+"="+first.Value)
		old.get("/api/v1/devices").problem(401, tandem.Unauthorized)
		if _, err := w.store.Session(t.Context(), second.Value, w.now()); !tandem.Is(err, tandem.NotFound) {
			t.Error("the database holds what the cookie holds")
		}
		b.delete("/api/v1/session").is(204)
		w.as("").with("Cookie", second.Name+"="+second.Value).get("/api/v1/devices").problem(401, tandem.Unauthorized)

		here, there := w.signedIn("owner@example.com"), w.signedIn("owner@example.com")
		here.get("/api/v1/session").is(200)
		there.get("/api/v1/session").is(200)
		here.delete("/api/v1/session/others").is(204)
		there.get("/api/v1/session").problem(401, tandem.Unauthorized)
		here.get("/api/v1/session").is(200)

		member := w.addUser(w.org, "member@example.com", tandem.Viewer)
		m := w.signedIn("member@example.com")
		m.get("/api/v1/devices").is(200)
		here.with("If-Match", "*").delete("/api/v1/users/" + member.ID).is(200)
		m.get("/api/v1/devices").problem(404, tandem.NotFound) // they belong to no organization

		w.advance(11 * time.Hour)
		here.get("/api/v1/devices").is(200) // each use makes it last
		w.advance(11 * time.Hour)
		here.get("/api/v1/devices").is(200)
		w.advance(13 * time.Hour)
		here.get("/api/v1/devices").problem(401, tandem.Unauthorized)
		last := w.signedIn("owner@example.com")
		for range 16 {
			w.advance(10 * time.Hour)
			last.get("/api/v1/devices").is(200)
		}
		w.advance(10 * time.Hour) // seven days are over
		last.get("/api/v1/devices").problem(401, tandem.Unauthorized)
	})
}

// TestWrongPasswordsAreOneRefusal: whatever is wrong at the door looks the same.
func TestWrongPasswordsAreOneRefusal(t *testing.T) {
	inOne(t, func(w *world) {
		var details []string
		for _, try := range []map[string]string{{"email": "owner@example.com", "password": "wrong"}, {"email": "nobody@example.com", "password": "wrong"}, {"email": "", "password": ""}} {
			p := w.as("").post("/api/v1/session", try).problem(401, tandem.Unauthorized)
			details = append(details, p.Detail+p.Hint)
		}
		if details[0] != details[1] || details[1] != details[2] {
			t.Errorf("the refusals differ: %q", details)
		}
		b := w.browser()
		b.post("/api/v1/session/second-step", `{"code":"123456"}`).problem(401, tandem.Unauthorized)
		w.as(w.token).post("/api/v1/session/password", `{"current":"x","password":"y"}`).problem(403, tandem.Forbidden)
		w.as(w.token).get("/api/v1/session").problem(403, tandem.Forbidden)
	})
}

// TestThrottledAddresses: who guesses has to wait, and is told for how long.
func TestThrottledAddresses(t *testing.T) {
	inOne(t, func(w *world) {
		w.registry.Throttle = registry.NewThrottle(100)
		for range 25 {
			got := w.as("").post("/api/v1/session/password-reset", `{"email":"nobody@example.com"}`)
			if got.status == 429 {
				if got.header.Get("Retry-After") == "" {
					t.Error("it does not say for how long")
				}
				got.problem(429, tandem.RateLimited)
				return
			}
		}
		t.Error("nobody was made to wait")
	})
}

// TestOtherSitesCannotAct: a page of another site cannot use the cookie of who is signed in, and cannot sign them in.
func TestOtherSitesCannotAct(t *testing.T) {
	inOne(t, func(w *world) {
		b := w.signedIn("owner@example.com")
		for name, value := range map[string]string{"Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"} {
			b.with(name, value).post("/api/v1/devices", `{"name":"x"}`).problem(403, "cross_origin")
			w.as("").with(name, value).post("/api/v1/session", map[string]string{"email": "owner@example.com", "password": password}).problem(403, "cross_origin")
			b.with(name, value).get("/api/v1/devices").is(200) // the browser does not let the page see it
		}
		b.with("Origin", w.url).with("Sec-Fetch-Site", "same-origin").post("/api/v1/devices", `{"name":"x"}`).is(201)
		w.as(w.token).with("Origin", "https://evil.example.com").post("/api/v1/devices", `{"name":"y"}`).is(201) // a token is sent by a program
	})
}

// TestOverHTTPS: behind https the cookie is the host's own, and an http page of the same host may not act.
func TestOverHTTPS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t), func(o *api.Options) { o.PublicURL = "https://tandem.example.com" })
	in := w.as("").with("Origin", "https://tandem.example.com").post("/api/v1/session", map[string]string{"email": "owner@example.com", "password": password}).is(200)
	c := cookie(in)
	if c == nil || c.Name != "__Host-tandem" || !c.Secure || c.Domain != "" || c.Path != "/" {
		t.Fatalf("the cookie is %+v", c)
	}
	b := w.as("").with("Cookie", c.Name+"="+c.Value)
	b.with("Origin", "https://tandem.example.com").post("/api/v1/devices", `{"name":"x"}`).is(201)
	b.with("Origin", "http://tandem.example.com").post("/api/v1/devices", `{"name":"x"}`).problem(403, "cross_origin")
}

// TestOwnCertificateWithoutAPublicURL: a server that has a certificate gives its cookie to https alone, too.
func TestOwnCertificateWithoutAPublicURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlitetest.Open(t), func(o *api.Options) { o.PublicURL, o.HTTPS = "", true })
	c := cookie(w.as("").post("/api/v1/session", map[string]string{"email": "owner@example.com", "password": password}).is(200))
	if c == nil || c.Name != "__Host-tandem" || !c.Secure {
		t.Fatalf("the cookie is %+v", c)
	}
}

// TestFirstOwner: the set-up link makes the first owner and signs them in, once.
func TestFirstOwner(t *testing.T) {
	t.Parallel()
	w := newEmptyWorld(t)
	secret, err := w.registry.NewSetUpLink(t.Context(), registry.Command("test"))
	w.must(err)
	b := w.browser()
	b.post("/api/v1/session/set-up", map[string]string{"secret": "wrong", "email": "first@example.com", "password": password}).problem(404, tandem.NotFound)
	b.post("/api/v1/session/set-up", map[string]string{"secret": secret, "email": "first@example.com", "password": "short"}).problem(422, tandem.Invalid)
	in := b.post("/api/v1/session/set-up", map[string]string{"secret": secret, "email": "first@example.com", "name": "First", "password": password, "organization": "Acme"}).is(200)
	if in.text("account.organizations.0.role") != "owner" {
		t.Errorf("signed in: %s", in.body)
	}
	b.get("/api/v1/services").is(200)
	w.browser().post("/api/v1/session/set-up", map[string]string{"secret": secret, "email": "second@example.com", "password": password}).problem(404, tandem.NotFound)
}

// TestSeveralOrganizations: who belongs to several names the one; a header does as well as a query.
func TestSeveralOrganizations(t *testing.T) {
	inOne(t, func(w *world) {
		now := w.now()
		w.must(w.store.Apply(t.Context(), w.other.ID, &tandem.Changes{PutMembers: []tandem.Membership{{OrganizationID: w.other.ID, UserID: w.owner.ID, Role: tandem.Viewer, CreatedAt: now, UpdatedAt: now}}}))
		b := w.signedIn("owner@example.com")
		b.get("/api/v1/devices").problem(422, tandem.Invalid)
		for _, ref := range []string{w.other.ID, "other"} {
			if got := b.get("/api/v1/devices?organization=" + url.QueryEscape(ref)).is(200); got.text("devices.0.id") != w.otherDevice.ID {
				t.Errorf("the devices are %s", got.body)
			}
			b.with("Tandem-Organization", ref).get("/api/v1/devices").is(200)
		}
		b.with("Tandem-Organization", "acme").get("/api/v1/devices?organization=other").problem(422, tandem.Invalid)
		b.post("/api/v1/devices?organization=other", `{"name":"x"}`).problem(403, tandem.Forbidden) // a viewer there
		b.post("/api/v1/devices?organization=acme", `{"name":"x"}`).is(201)
	})
}
