package setting_test

import (
	"testing"
	"time"

	"tandem"
	"tandem/api/client"
	"tandem/web/webtest"
)

// TestToken: a token is made with what was chosen, its secret works and is shown once, and ends when it is revoked.
func TestToken(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/tokens")
	p.Fill("#token-name", "nightly export")
	p.Choose("#token-role", string(tandem.Operator))
	p.Choose("#token-life", "30")
	p.Click("#new-token summary")
	p.Click(`#new-token input[value="devices:read"]`)
	p.Click("#new-token button >> Make it")
	p.Told("The token nightly export is made.")
	p.Axe()
	p.Shot("settings-token-made")
	api, err := client.New(client.Options{URL: w.URL, Token: p.Value("#token-secret")})
	must(t, err)
	if _, _, err := api.Devices(t.Context(), w.Org.ID, tandem.DeviceFilter{}); err != nil {
		t.Errorf("the token does not work: %v", err)
	}
	if _, err := api.Services(t.Context(), w.Org.ID); !tandem.Is(err, tandem.Forbidden) {
		t.Errorf("beyond its scopes the token is answered with %v", err)
	}
	made := named(t, w, "nightly export")
	if made.Role != tandem.Operator || len(made.Scopes) != 1 || made.ExpiresAt == nil || time.Until(*made.ExpiresAt) > 31*24*time.Hour {
		t.Errorf("the API says that the token is %+v", made)
	}
	p.Open("settings/tokens")
	p.NotSee("It is shown this once")
	p.Click(`button[aria-label="Revoke nightly export"]`)
	p.Confirm(true)
	p.Told("does not work any more")
	if _, _, err := api.Devices(t.Context(), w.Org.ID, tandem.DeviceFilter{}); !tandem.Is(err, tandem.Unauthorized) {
		t.Errorf("the revoked token is answered with %v", err)
	}
	if named(t, w, "nightly export").RevokedAt == nil {
		t.Error("the API says that the token is not revoked")
	}
	p.Click("a >> Also revoked and expired ones")
	p.SeeIn("#tokens", "nightly export")
}

// TestSharedToken: one of nobody in particular, for ever, stops at once too.
func TestSharedToken(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/tokens")
	p.Fill("#token-name", "plant gateway")
	p.Choose("#token-life", "never")
	p.Click("#f-shared")
	p.Click("#new-token button >> Make it")
	api, err := client.New(client.Options{URL: w.URL, Token: p.Value("#token-secret")})
	must(t, err)
	if _, _, err := api.Devices(t.Context(), w.Org.ID, tandem.DeviceFilter{}); err != nil {
		t.Errorf("the token does not work: %v", err)
	}
	if made := named(t, w, "plant gateway"); made.UserID != "" || made.ExpiresAt != nil {
		t.Errorf("the API says that the token is %+v", made)
	}
	p.Click(`button[aria-label="Revoke plant gateway"]`)
	p.Confirm(true)
	p.Told("does not work any more")
	if _, _, err := api.Devices(t.Context(), w.Org.ID, tandem.DeviceFilter{}); !tandem.Is(err, tandem.Unauthorized) {
		t.Errorf("the revoked token is answered with %v", err)
	}
}

// TestTokenRefused: what is wrong is said, and what was typed stays.
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/tokens")
	p.Fill("#token-name", "too much")
	p.Choose("#token-role", string(tandem.Viewer))
	p.Click("#new-token summary")
	p.Click(`#new-token input[value="devices:delete"]`)
	p.Click("#new-token button >> Make it")
	p.SeeIn("#new-token", "does not include")
	if got := p.Value("#token-name"); got != "too much" {
		t.Errorf("the name became %q", got)
	}
}

// named finds a token by its name.
func named(t *testing.T, w *webtest.World, name string) tandem.Token {
	t.Helper()
	all, err := w.API.Tokens(t.Context(), w.Org.ID)
	must(t, err)
	for _, one := range all {
		if one.Name == name {
			return one
		}
	}
	t.Fatalf("the API has no token %q", name)
	return tandem.Token{}
}
