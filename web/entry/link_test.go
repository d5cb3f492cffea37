package entry_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/registry"
	"tandem/store/sqlite/sqlitetest"
	"tandem/web/entry"
)

// site is the pages over a real database.
type site struct {
	t        *testing.T
	registry *registry.Registry
	url      string
}

const good = "correct-horse-battery-9"

func newSite(t *testing.T) *site {
	t.Helper()
	st := sqlitetest.Open(t)
	r := &registry.Registry{Store: st, Server: st, Clock: time.Now, NewID: func() string { return uuid.Must(uuid.NewV7()).String() }}
	server := httptest.NewServer(entry.New(entry.Options{Registry: r, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	return &site{t: t, registry: r, url: server.URL}
}

// ask gives the status and the page.
func (s *site) ask(path string, form url.Values) (int, string) {
	s.t.Helper()
	var reply *http.Response
	var err error
	if form == nil {
		reply, err = http.Get(s.url + path)
	} else {
		reply, err = http.PostForm(s.url+path, form)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := reply.Body.Close(); err != nil {
			s.t.Error(err)
		}
	}()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply.StatusCode, string(body)
}

func (s *site) want(status int, text string, gotStatus int, page string) {
	s.t.Helper()
	if gotStatus != status || !strings.Contains(page, text) {
		s.t.Errorf("status %d, want %d with %q:\n%s", gotStatus, status, text, page)
	}
}

// setUp makes the first owner through the page.
func (s *site) setUp() string {
	s.t.Helper()
	secret, err := s.registry.NewSetUpLink(context.Background(), registry.System("test"))
	if err != nil {
		s.t.Fatal(err)
	}
	status, page := s.ask("/setup", url.Values{"token": {secret}, "email": {"owner@example.com"}, "name": {"Owner"}, "organization": {"Acme"}, "password": {good}, "again": {good}})
	s.want(200, "Sign in with it", status, page)
	return secret
}

func TestSetUp(t *testing.T) {
	s := newSite(t)
	secret, err := s.registry.NewSetUpLink(t.Context(), registry.System("test"))
	if err != nil {
		t.Fatal(err)
	}
	status, page := s.ask("/setup?token="+secret, nil)
	s.want(200, `name="organization"`, status, page)
	form := url.Values{"token": {secret}, "email": {`"><script>`}, "name": {"Owner"}, "organization": {"Acme"}, "password": {good}, "again": {good + "x"}}
	status, page = s.ask("/setup", form)
	s.want(422, "The two passwords differ", status, page)
	if strings.Contains(page, "<script>") {
		t.Error("what was typed is not escaped")
	}
	form.Set("email", "owner@example.com")
	form.Set("password", "short")
	form.Set("again", "short")
	status, page = s.ask("/setup", form)
	s.want(422, `value="Acme"`, status, page)
	form.Set("password", good)
	form.Set("again", good)
	status, page = s.ask("/setup", form)
	s.want(200, "owner@example.com is there", status, page)
	status, page = s.ask("/setup?token="+secret, nil)
	s.want(404, "used, or has expired", status, page)
	status, page = s.ask("/setup", form)
	s.want(404, "This link does not work", status, page)
}

// another makes another organization.
func (s *site) another() string {
	s.t.Helper()
	o, err := s.registry.CreateOrganization(s.t.Context(), registry.System("test"), "Another", "")
	if err != nil {
		s.t.Fatal(err)
	}
	return o.ID
}

func TestInvitationAndReset(t *testing.T) {
	s := newSite(t)
	s.setUp()
	ctx, root := t.Context(), registry.System("test")
	orgs, err := s.registry.Organizations(ctx, root)
	if err != nil || len(orgs) != 1 || orgs[0].Name != "Acme" {
		t.Fatal(orgs, err)
	}
	_, secret, err := s.registry.Invite(ctx, root, orgs[0].ID, "viewer@example.com", tandem.Viewer)
	if err != nil {
		t.Fatal(err)
	}
	status, page := s.ask("/invitation?token="+secret, nil)
	s.want(200, "viewer@example.com", status, page)
	status, page = s.ask("/invitation", url.Values{"token": {secret}, "name": {"Viewer"}, "password": {good}, "again": {good}})
	s.want(200, "Welcome", status, page)
	_, again, err := s.registry.Invite(ctx, root, s.another(), "viewer@example.com", tandem.Viewer)
	if err != nil {
		t.Fatal(err)
	}
	status, page = s.ask("/invitation?token="+again, nil)
	s.want(200, "Sign in and join", status, page)
	_, reset, err := s.registry.ResetByCommand(ctx, root, "viewer@example.com", false)
	if err != nil {
		t.Fatal(err)
	}
	status, page = s.ask("/reset-password?token="+reset, nil)
	s.want(200, "Choose a new password", status, page)
	status, page = s.ask("/reset-password", url.Values{"token": {reset}, "password": {good + "-new"}, "again": {good + "-new"}})
	s.want(200, "viewer@example.com is changed", status, page)
	signed, err := s.registry.SignIn(ctx, "viewer@example.com", good+"-new", "192.0.2.1")
	if err != nil || signed.User.Email != "viewer@example.com" {
		t.Error(signed, err)
	}
}

func TestWrongLinks(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/setup", "/setup?token=x", "/invitation?token=x", "/reset-password?token=" + strings.Repeat("x", 5000)} {
		status, page := s.ask(path, nil)
		s.want(404, "This link does not work", status, page)
	}
	status, page := s.ask("/setup", url.Values{"token": {"x"}, "name": {strings.Repeat("x", 64<<10)}})
	s.want(400, "cannot be read", status, page)
	if status, _ := s.ask("/nowhere", nil); status != 404 {
		t.Error(status)
	}
}

func TestSignInPage(t *testing.T) {
	s := newSite(t)
	status, page := s.ask("/sign-in?next=/api/docs", nil)
	s.want(200, `data-next="/api/docs"`, status, page)
	for _, next := range []string{"//evil.example.com", "https://evil.example.com", `/\evil.example.com`, "javascript:alert(1)"} {
		status, page := s.ask("/sign-in?step=code&next="+url.QueryEscape(next), nil)
		s.want(200, `data-enter="code" data-next="/"`, status, page)
	}
	status, page = s.ask("/sign-in?problem=unauthorized", nil)
	s.want(200, "Begin again", status, page)
	status, page = s.ask("/sign-in?problem=forbidden", nil)
	s.want(200, "Ask an administrator for an invitation", status, page)
	s.want(200, `<form method="post"`, status, page) // without the script, a password does not end in an address
	status, page = s.ask("/sign-in?problem=%3Cscript%3E", nil)
	s.want(200, "Signing in through the identity provider failed", status, page)
}

// TestHeaders: what a link's page must not give away.
func TestHeaders(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/setup?token=x", "/sign-in", "/forgot-password"} {
		reply, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := reply.Body.Close(); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Set-Cookie": ""} {
			if got := reply.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if got := reply.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
			t.Errorf("%s: the policy is %q", path, got)
		}
	}
}
