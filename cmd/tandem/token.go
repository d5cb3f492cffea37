package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"tandem"
	"tandem/registry"
)

// TokenCmd is `tandem token`.
type TokenCmd struct {
	Create TokenCreateCmd `cmd:"" help:"Make a token for a program; its secret is shown once."`
	List   TokenListCmd   `cmd:"" help:"List the tokens."`
	Show   TokenShowCmd   `cmd:"" help:"Show one."`
	Delete TokenDeleteCmd `cmd:"" aliases:"revoke" help:"Revoke a token: it ends at once."`
}

// TokenCreateCmd is `tandem token create`.
type TokenCreateCmd struct {
	In
	Name    string      `arg:"" help:"What it is for."`
	Role    tandem.Role `enum:",owner,admin,manager,operator,viewer" default:"" help:"What it may do: owner, admin, manager, operator or viewer; at most what you may."`
	Scope   []string    `placeholder:"PERMISSION,…" help:"Only this of it, such as devices:read,runs:start; everything when left out."`
	Expires string      `default:"90d" help:"When it ends: after a time such as 12h or 30d (90d), on a day such as 2027-01-31, or never."`
	Shared  bool        `help:"It belongs to nobody, and stays when you leave."`
}

// Run makes it.
func (c *TokenCreateCmd) Run(ctx context.Context, a *app) error {
	add := registry.NewToken{Name: c.Name, Role: c.Role, Scopes: c.Scope, Shared: c.Shared}
	var err error
	if add.Life, add.Never, err = parseExpiry(c.Expires, a.Clock()); err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		if s.here != nil && c.Role == "" {
			return &usageError{"--role is missing", "say what the token may do: owner, admin, manager, operator or viewer"}
		}
		t, secret, err := s.CreateToken(ctx, org.ID, add)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(struct {
				tandem.Token
				Secret string `json:"token"`
			}{t, secret})
		}
		a.out.printf("made the token %s, %s of %s, %s; its secret, shown this once:\n\n    %s\n\n", a.out.bold(clean(t.Name)), t.Role, org.Slug, tokenEnd(&t), secret)
		a.out.note("use it: export TANDEM_SERVER=https://… TANDEM_TOKEN=…; tandem device list\n")
		return nil
	})
}

// parseExpiry reads a length of time, a day or never.
func parseExpiry(text string, now time.Time) (life time.Duration, never bool, err error) {
	if text == "never" {
		return 0, true, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, false, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d, false, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil && day.After(now) {
		return day.Sub(now), false, nil
	}
	return 0, false, &usageError{"--expires " + text + " is no time to come", "give a length such as 12h or 30d, a day such as 2027-01-31, or never"}
}

// tokenEnd says until when a token is good.
func tokenEnd(t *tandem.Token) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked " + t.RevokedAt.UTC().Format(time.DateTime) + " UTC"
	case t.ExpiresAt == nil:
		return "does not expire"
	}
	return "until " + t.ExpiresAt.UTC().Format(time.DateTime) + " UTC"
}

// TokenListCmd is `tandem token list`.
type TokenListCmd struct {
	In
	All  bool   `help:"Those that have ended too."`
	Sort string `enum:"${sort_token}" default:"" help:"${sorts_token}"`
}

// Run lists them.
func (c *TokenListCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		all, err := s.Tokens(ctx, org.ID)
		if err != nil {
			return err
		}
		if err := tandem.TokenOrder.Sort(all, c.Sort); err != nil {
			return err
		}
		tokens := []tandem.Token{}
		for i := range all {
			if c.All || a.goodToken(&all[i]) {
				tokens = append(tokens, all[i])
			}
		}
		if a.out.json {
			return a.out.value(map[string]any{"tokens": tokens})
		}
		if len(tokens) == 0 {
			a.out.printf("no token; make one: tandem token create NAME --role ROLE --org %s\n", org.Slug)
			return nil
		}
		rows := make([][]string, len(tokens))
		for i := range tokens {
			t := &tokens[i]
			rows[i] = []string{t.ID, short(t.Name, 32), string(t.Role), short(scopes(t), 40), tokenEnd(t), a.out.ago(t.LastUsedAt), dash(t.CreatedBy)}
		}
		a.out.table([]string{"id", "name", "role", "scopes", "good", "last used", "made by"}, rows)
		return nil
	})
}

// goodToken reports whether a token still lets anybody in.
func (a *app) goodToken(t *tandem.Token) bool {
	return t.RevokedAt == nil && (t.ExpiresAt == nil || a.Clock().Before(*t.ExpiresAt))
}

func scopes(t *tandem.Token) string {
	if len(t.Scopes) == 0 {
		return "all of the role"
	}
	return list(t.Scopes)
}

// token finds one by its id, or by its name where one token that is good has it.
func (s *desk) token(ctx context.Context, org tandem.Organization, ref string) (tandem.Token, error) {
	all, err := s.Tokens(ctx, org.ID)
	if err != nil {
		return tandem.Token{}, err
	}
	var named []tandem.Token
	for i := range all {
		if all[i].ID == ref {
			return all[i], nil
		}
		if all[i].Name == ref && s.goodToken(&all[i]) {
			named = append(named, all[i])
		}
	}
	switch len(named) {
	case 1:
		return named[0], nil
	case 0:
		return tandem.Token{}, tandem.Errorf(tandem.NotFound, "find token", ref, "there is no such token").WithHint("`tandem token list --org %s` shows those there are", org.Slug)
	}
	return tandem.Token{}, tandem.Errorf(tandem.Invalid, "find token", ref, "%d tokens have this name", len(named)).WithHint("name it by its id; `tandem token list --org %s` shows it", org.Slug)
}

// TokenShowCmd is `tandem token show`.
type TokenShowCmd struct {
	In
	Token string `arg:"" help:"Its id or name."`
}

// Run shows it, without its secret, which nobody has any more.
func (c *TokenShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		t, err := s.token(ctx, org, c.Token)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(t)
		}
		a.out.pairs("name", clean(t.Name), "id", t.ID, "role", string(t.Role), "scopes", scopes(&t), "good", tokenEnd(&t), "last used", a.out.ago(t.LastUsedAt),
			"made", a.out.since(t.CreatedAt), "made by", clean(t.CreatedBy))
		return nil
	})
}

// TokenDeleteCmd is `tandem token delete`.
type TokenDeleteCmd struct {
	In
	Token string `arg:"" help:"Its id or name."`
}

// Run revokes it.
func (c *TokenDeleteCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		t, err := s.token(ctx, org, c.Token)
		if err != nil {
			return err
		}
		if t, err = s.RevokeToken(ctx, org.ID, t.ID); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(t)
		}
		a.out.printf("revoked the token %s\n", clean(t.Name))
		return nil
	})
}
