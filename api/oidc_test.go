package api_test

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"tandem"
	"tandem/api"
	"tandem/registry"
	"tandem/store/sqlite/sqlitetest"
)

// people are who the identity provider knows.
type people map[string]*storage.User

func (p people) GetUserByID(id string) *storage.User { return p[id] }

func (p people) GetUserByUsername(name string) *storage.User { return p[name] }

func (people) ExampleClientID() string { return "" }

// identityProvider is an OpenID Provider that runs here. Who is to come in next is let in without a page.
type identityProvider struct {
	url    string
	login  string
	people people
}

const clientSecret = "the client's secret"

// newIdentityProvider starts one that lets browsers come back to a server.
func newIdentityProvider(t *testing.T, callback func() string) *identityProvider {
	t.Helper()
	p := &identityProvider{people: people{}}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.url = server.URL
	var handler http.Handler
	var kept *storage.Storage
	var back func(r *http.Request, id string) string
	start := func() {
		kept = storage.NewStorageWithClients(p.people, map[string]*storage.Client{"tandem": storage.WebClient("tandem", clientSecret, callback())})
		provider, err := op.NewProvider(&op.Config{CryptoKey: sha256.Sum256([]byte("a key of the test")), CodeMethodS256: true, AuthMethodPost: true}, kept, op.StaticIssuer(p.url), op.WithAllowInsecure())
		if err != nil {
			t.Error(err)
			return
		}
		handler = provider
		to := op.AuthCallbackURL(provider)
		back = func(r *http.Request, id string) string { return to(op.ContextWithIssuer(r.Context(), p.url), id) }
	}
	mux.HandleFunc("/login/username", func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("authRequestID")
		if err := kept.CheckUsernamePassword(p.login, "secret", id); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.Redirect(w, r, back(r, id), http.StatusFound)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if handler == nil {
			start()
		}
		handler.ServeHTTP(w, r)
	})
	return p
}

func (p *identityProvider) add(name, email string, verified bool) {
	p.people[name] = &storage.User{ID: name, Username: name, Password: "secret", Email: email, EmailVerified: verified, FirstName: "Some", LastName: "Body"}
}

// newOIDCWorld has a server that people can sign in to through an identity provider.
func newOIDCWorld(t *testing.T) (*world, *identityProvider) {
	t.Helper()
	var public string
	p := newIdentityProvider(t, func() string { return public + "/api/v1/session/oidc/callback" })
	w := newWorld(t, sqlitetest.Open(t), func(o *api.Options) {
		public = o.PublicURL
		o.OIDC = &api.OIDC{Issuer: p.url, ClientID: "tandem", ClientSecret: clientSecret}
	})
	return w, p
}

// through follows a browser's way from the start to the page it ends on.
func (c *caller) through(start string) *answer {
	c.w.t.Helper()
	at := c.w.url + start
	var last *answer
	for range 10 {
		if rest, ours := strings.CutPrefix(at, c.w.url); ours {
			if last = c.get(rest); !strings.HasPrefix(rest, "/api/v1/session/oidc/") || last.status != 303 {
				return last
			}
		} else {
			last = c.elsewhere(at)
		}
		to, err := url.Parse(last.header.Get("Location"))
		c.w.must(err)
		if to.Path == "" {
			return last
		}
		base, err := url.Parse(at)
		c.w.must(err)
		at = base.ResolveReference(to).String()
		if rest, ours := strings.CutPrefix(at, c.w.url); ours && !strings.HasPrefix(rest, "/api/") {
			return last
		}
	}
	c.w.t.Fatal("the browser is sent around in circles")
	return nil
}

// elsewhere asks another server.
func (c *caller) elsewhere(at string) *answer {
	c.w.t.Helper()
	r, err := http.NewRequestWithContext(c.w.t.Context(), http.MethodGet, at, nil)
	c.w.must(err)
	reply, err := c.client.Do(r)
	c.w.must(err)
	c.w.must(reply.Body.Close())
	return &answer{w: c.w, status: reply.StatusCode, header: reply.Header}
}

// TestSigningInThroughAProvider: the real protocol with a real provider, for who has an account, who was invited, and
// who is a stranger.
func TestSigningInThroughAProvider(t *testing.T) {
	t.Parallel()
	w, p := newOIDCWorld(t)
	p.add("owner", "owner@example.com", true)
	p.add("invited", "invited@example.com", true)
	p.add("stranger", "stranger@example.com", true)
	p.add("unverified", "other@example.com", false)
	_, _, err := w.registry.Invite(t.Context(), registry.Command("test"), w.org.ID, "invited@example.com", tandem.Operator)
	w.must(err)
	for _, c := range []struct{ login, to, email, role string }{
		{"owner", "/devices?tag=a", "owner@example.com", "owner"},
		{"owner", "/devices?tag=a", "owner@example.com", "owner"}, // once more: now by subject
		{"invited", "/devices?tag=a", "invited@example.com", "operator"},
		{"stranger", "/sign-in?problem=forbidden", "", ""},
		{"unverified", "/sign-in?problem=forbidden", "", ""},
	} {
		p.login = c.login
		b := w.browser()
		got := b.through("/api/v1/session/oidc/start?next=" + url.QueryEscape("/devices?tag=a"))
		if got.header.Get("Location") != c.to {
			t.Errorf("%s is sent to %s, want %s", c.login, got.header.Get("Location"), c.to)
			continue
		}
		if c.email == "" {
			b.get("/api/v1/session").problem(401, tandem.Unauthorized)
			continue
		}
		me := b.get("/api/v1/session").is(200)
		if me.text("user.email") != c.email || me.text("organizations.0.role") != c.role {
			t.Errorf("%s is signed in as %s", c.login, me.body)
		}
	}
	if strings.Contains(w.logged.String(), clientSecret) {
		t.Error("the log holds the client's secret")
	}
}

// TestAnswersOfNobodyAreRefused: an answer without a beginning, of another browser, used twice, or that sends elsewhere.
func TestAnswersOfNobodyAreRefused(t *testing.T) {
	t.Parallel()
	w, p := newOIDCWorld(t)
	p.add("owner", "owner@example.com", true)
	p.login = "owner"
	for _, query := range []string{"", "?code=x&state=y", "?error=access_denied&state=", "?state=x"} {
		got := w.browser().get("/api/v1/session/oidc/callback" + query).is(303)
		if got.header.Get("Location") != "/sign-in?problem=unauthorized" {
			t.Errorf("%q leads to %s", query, got.header.Get("Location"))
		}
	}
	// The state of one browser is no use in another: nobody is signed in as somebody else.
	victim, attacker := w.browser(), w.browser()
	begun := attacker.get("/api/v1/session/oidc/start").is(303)
	at := attacker.elsewhere(begun.header.Get("Location"))
	for at.header.Get("Location") != "" && !strings.Contains(at.header.Get("Location"), "/oidc/callback") {
		next, err := url.Parse(at.header.Get("Location"))
		w.must(err)
		base, err := url.Parse(p.url)
		w.must(err)
		at = attacker.elsewhere(base.ResolveReference(next).String())
	}
	callback := strings.TrimPrefix(at.header.Get("Location"), w.url)
	if got := victim.get(callback).is(303); got.header.Get("Location") != "/sign-in?problem=unauthorized" {
		t.Errorf("another browser is sent to %s", got.header.Get("Location"))
	}
	victim.get("/api/v1/session").problem(401, tandem.Unauthorized)
	if got := attacker.get(callback).is(303); got.header.Get("Location") != "/" {
		t.Errorf("the browser that began is sent to %s", got.header.Get("Location"))
	}
	if got := attacker.get(callback).is(303); got.header.Get("Location") != "/sign-in?problem=unauthorized" {
		t.Errorf("used twice, it leads to %s", got.header.Get("Location"))
	}
	for _, next := range []string{"https://evil.example.com/", "//evil.example.com", `/\evil.example.com`, "javascript:alert(1)", "evil"} {
		if got := w.browser().through("/api/v1/session/oidc/start?next=" + url.QueryEscape(next)); got.header.Get("Location") != "/" {
			t.Errorf("%q leads to %s", next, got.header.Get("Location"))
		}
	}
}

// TestAProviderThatIsAway: signing in says so, and works once it is back.
func TestAProviderThatIsAway(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	w := newWorld(t, sqlitetest.Open(t), func(o *api.Options) { o.OIDC = &api.OIDC{Issuer: gone.URL, ClientID: "tandem"} })
	w.browser().get("/api/v1/session/oidc/start").problem(503, tandem.Unavailable)
	w.signedIn("owner@example.com").get("/api/v1/session").is(200)
}
