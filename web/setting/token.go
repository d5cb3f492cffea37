package setting

import (
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// tokens is the tab of what programs act with.
type tokens struct {
	c      *shell.Call
	l      part.Listing
	tokens []tandem.Token
	wrong  map[string]string
	made   *tandem.Token // just now
	secret string        // of it
}

// The choices of how long a token is good for, in days.
var lives = []part.Option{{Value: "30", Label: "30 days"}, {Value: "90", Label: "90 days"}, {Value: "365", Label: "a year"}}

var lifeDays = map[string]int{"30": 30, "90": 90, "365": 365}

func registerTokens(s *shell.Site) {
	s.Handle("GET /settings/tokens", func(c *shell.Call) error { return showTokens(tokens{c: c}) })
	s.Handle("POST /settings/tokens", createToken)
	s.Handle("POST /settings/tokens/{id}/revoke", revoke)
}

func showTokens(v tokens) error {
	c := v.c
	v.l = part.NewListing(c.Path("settings", "tokens"), c.R.URL.Query(), rows)
	all, err := c.Registry().Tokens(c.R.Context(), c.Actor, c.Org.ID)
	if err != nil {
		return err
	}
	if c.Query("show") != "all" {
		all = slices.DeleteFunc(all, func(t tandem.Token) bool { return stateOf(&t, c.Now()) != "" })
	}
	v.l.Total = len(all)
	from := min((v.l.Page-1)*rows, len(all))
	v.tokens = all[from:min(from+rows, len(all))]
	return show(c, "tokens", "Tokens", tokensPage(v))
}

// stateOf says why a token does not work any more, "" for one that does.
func stateOf(t *tandem.Token, now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
		return "expired"
	}
	return ""
}

// createToken makes one; its secret is in the reply alone.
func createToken(c *shell.Call) error {
	v := tokens{c: c}
	add := registry.NewToken{Name: c.Form("name"), Role: tandem.Role(c.Form("role")), Scopes: c.Texts("scope"), Shared: c.Checked("shared"), Never: c.Form("expires_in") == "never",
		Life: time.Duration(lifeDays[c.Form("expires_in")]) * 24 * time.Hour}
	t, secret, err := c.Registry().CreateToken(c.R.Context(), c.Actor, c.Org.ID, add)
	if err != nil {
		if v.wrong, err = wrong(err, "name", "role", "scopes", "expires_in"); err != nil {
			return err
		}
		return showTokens(v)
	}
	v.made, v.secret = &t, secret
	c.R.PostForm = nil // the form below is a fresh one
	c.Toast("success", "The token "+t.Name+" is made.")
	return showTokens(v)
}

func revoke(c *shell.Call) error {
	t, err := c.Registry().RevokeToken(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	changed(c, t.UserID)
	c.Toast("success", "The token "+t.Name+" is revoked: it does not work any more.")
	if c.Form("from") == "account" {
		return c.Go(c.Path("settings", "account"))
	}
	return c.Go(c.Path("settings", "tokens"))
}

// scopeGroup are the permissions about one kind of thing.
type scopeGroup struct {
	Name   string
	Scopes []string
}

// scopeGroups are the permissions that the person has, by what they are about.
func scopeGroups(c *shell.Call) []scopeGroup {
	var groups []scopeGroup
	for _, p := range registry.Permissions(c.Role) {
		name, _, _ := strings.Cut(string(p), ":")
		i := slices.IndexFunc(groups, func(g scopeGroup) bool { return g.Name == name })
		if i < 0 {
			groups, i = append(groups, scopeGroup{Name: name}), len(groups)
		}
		groups[i].Scopes = append(groups[i].Scopes, string(p))
	}
	slices.SortFunc(groups, func(a, b scopeGroup) int { return strings.Compare(a.Name, b.Name) })
	return groups
}

// what is a scope without what it is about.
func what(scope string) string {
	_, action, _ := strings.Cut(scope, ":")
	return action
}

// typed gives a value of the form as it was sent, else another.
func typed(c *shell.Call, name, otherwise string) string {
	if c.R.PostForm.Has(name) {
		return c.Form(name)
	}
	return otherwise
}
