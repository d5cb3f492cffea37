package api_test

import (
	"strings"
	"testing"

	"tandem"
	"tandem/api"
	"tandem/registry"
	"tandem/store/sqlite/sqlitetest"
)

// TestAWrongClientSecretIsInTheLog: the person is told to begin again; whoever runs the server finds why it fails.
func TestAWrongClientSecretIsInTheLog(t *testing.T) {
	t.Parallel()
	var public string
	p := newIdentityProvider(t, func() string { return public + "/api/v1/session/oidc/callback" })
	w := newWorld(t, sqlitetest.Open(t), func(o *api.Options) {
		public = o.PublicURL
		o.OIDC = &api.OIDC{Issuer: p.url, ClientID: "tandem", ClientSecret: "a wrong one"}
	})
	p.add("owner", "owner@example.com", true)
	p.login = "owner"
	if got := w.browser().through("/api/v1/session/oidc/start"); got.header.Get("Location") != "/sign-in?problem=unauthorized" {
		t.Errorf("the browser is sent to %s", got.header.Get("Location"))
	}
	if log := w.logged.String(); !strings.Contains(log, "did not take the code") || !strings.Contains(log, "invalid_client") || strings.Contains(log, "a wrong one") {
		t.Errorf("the log says %s", log)
	}
}

// TestWhoOnlyHeldAnInvitationLosesTheAccountToItsOwner: an account made in somebody's name is theirs alone as soon as the
// identity provider vouches for them.
func TestWhoOnlyHeldAnInvitationLosesTheAccountToItsOwner(t *testing.T) {
	t.Parallel()
	w, p := newOIDCWorld(t)
	_, link, err := w.registry.Invite(t.Context(), registry.Command("test"), w.org.ID, "victim@example.com", tandem.Viewer)
	w.must(err)
	attacker := w.browser()
	attacker.post("/api/v1/session/invitation/accept", map[string]string{"secret": link, "name": "Not them", "password": password}).is(200)
	attacker.get("/api/v1/session").is(200)

	p.add("victim", "victim@example.com", true)
	p.login = "victim"
	victim := w.browser()
	victim.through("/api/v1/session/oidc/start")
	if me := victim.get("/api/v1/session").is(200); me.text("user.email") != "victim@example.com" {
		t.Fatalf("signed in as %s", me.body)
	}
	attacker.get("/api/v1/session").problem(401, tandem.Unauthorized)
	w.browser().post("/api/v1/session", map[string]string{"email": "victim@example.com", "password": password}).problem(401, tandem.Unauthorized)
	const own = "a password of their very own 71"
	victim.post("/api/v1/session/password", map[string]string{"current": "", "password": own}).is(204)
	w.browser().post("/api/v1/session", map[string]string{"email": "victim@example.com", "password": own}).is(200)
}

// TestWhatIsOnlyBegunIsKeptForMinutes: a sign-in that nobody finishes leaves no session for days, and one that is
// finished lasts as long as any.
func TestWhatIsOnlyBegunIsKeptForMinutes(t *testing.T) {
	t.Parallel()
	w, p := newOIDCWorld(t)
	p.add("owner", "owner@example.com", true)
	p.login = "owner"
	if c := cookie(w.browser().get("/api/v1/session/oidc/start").is(303)); c == nil || c.MaxAge <= 0 || c.MaxAge > 600 {
		t.Errorf("the cookie is %+v", c)
	}
	if c := cookie(w.browser().through("/api/v1/session/oidc/start")); c == nil || c.MaxAge < 6*24*3600 {
		t.Errorf("signed in, the cookie is %+v", c)
	}
}
