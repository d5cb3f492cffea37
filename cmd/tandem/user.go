package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"tandem"
	"tandem/registry"
)

// UserCmd is `tandem user`.
type UserCmd struct {
	Create        UserCreateCmd        `cmd:"" help:"Make an account, on the database itself; the first owner is made so."`
	List          UserListCmd          `cmd:"" help:"List the people of an organization."`
	Show          UserShowCmd          `cmd:"" help:"Show one."`
	Update        UserUpdateCmd        `cmd:"" help:"Give a person another role, or keep them from signing in."`
	Delete        UserDeleteCmd        `cmd:"" help:"Take a person out of an organization."`
	Invite        UserInviteCmd        `cmd:"" help:"Ask a person to join, with a link."`
	ResetPassword UserResetPasswordCmd `cmd:"" help:"Let somebody in again who is locked out."`
}

// shownUser is an account in JSON, with what is shown once.
type shownUser struct {
	tandem.User
	Role     tandem.Role `json:"role,omitempty"`
	Password string      `json:"password,omitempty"` // one that was made
	Secret   string      `json:"secret,omitempty"`   // of a link
	Link     string      `json:"link,omitempty"`
}

// Links are where one-time links lead.
type Links struct {
	PublicURL string `placeholder:"URL" help:"How people reach the server, such as https://tandem.example.com; goes into the link."`
}

// link gives the address of a page with a one-time secret, "" where the server's is not known.
func (l *Links) link(page, secret string) string {
	if l.PublicURL == "" {
		return ""
	}
	return strings.TrimSuffix(l.PublicURL, "/") + "/" + page + "?token=" + url.QueryEscape(secret)
}

// text gives the link, or what comes after the server's address.
func (l *Links) text(page, secret string) string {
	if link := l.link(page, secret); link != "" {
		return link
	}
	return "(the server's address)/" + page + "?token=" + url.QueryEscape(secret)
}

// UserCreateCmd is `tandem user create`.
type UserCreateCmd struct {
	In
	NewPassword
	Email string      `arg:"" optional:"" help:"Their email."`
	Name  string      `help:"Their name."`
	Owner bool        `help:"Make them an owner."`
	Role  tandem.Role `enum:",owner,admin,manager,operator,viewer" default:"" help:"owner, admin, manager, operator or viewer."`
}

// Run makes the account. One who has an account already becomes a member with it.
func (c *UserCreateCmd) Run(ctx context.Context, a *app) error {
	role, err := c.role()
	if err != nil {
		return err
	}
	return a.at(ctx, func(s *desk) error {
		if err := s.onlyHere("accounts are made", "ask them to join instead: tandem user invite EMAIL --role ROLE"); err != nil {
			return err
		}
		if err := c.askEmail(a); err != nil {
			return err
		}
		org, err := s.firstOrganization(ctx, c.In)
		if err != nil {
			return err
		}
		if _, err := s.here.store.User(ctx, c.Email); err == nil { // their password is their own
			u, err := s.CreateUser(ctx, org.ID, registry.NewPerson{Email: c.Email}, role)
			if err != nil {
				return err
			}
			return c.show(a, org, &u, role, "", false)
		} else if !tandem.Is(err, tandem.NotFound) {
			return err
		}
		password, made, err := c.read(a, c.Email, c.Name)
		if err != nil {
			return err
		}
		u, err := s.CreateUser(ctx, org.ID, registry.NewPerson{Email: c.Email, Name: c.Name, Password: password}, role)
		if err != nil {
			return err
		}
		return c.show(a, org, &u, role, password, made)
	})
}

func (c *UserCreateCmd) role() (tandem.Role, error) {
	switch {
	case c.Owner && c.Role != "" && c.Role != tandem.Owner:
		return "", &usageError{"--owner and --role exclude each other", ""}
	case c.Owner:
		return tandem.Owner, nil
	case c.Role == "":
		return "", &usageError{"it is not said what the person may do", "give --owner, or --role admin|manager|operator|viewer"}
	}
	return c.Role, nil
}

// askEmail asks for the email where it was left out.
func (c *UserCreateCmd) askEmail(a *app) error {
	if c.Email != "" {
		return nil
	}
	if !a.out.ask {
		return &usageError{"the person's email is missing", "tandem user create EMAIL --owner"}
	}
	a.out.note("Email: ")
	var line []byte
	for b := make([]byte, 1); ; { // byte by byte: the password that comes next is read without a buffer
		if _, err := io.ReadFull(a.Stdin, b); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if err != nil || b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	if c.Email = strings.TrimSpace(string(line)); c.Email == "" {
		return &usageError{"the person's email is missing", ""}
	}
	return nil
}

func (c *UserCreateCmd) show(a *app, org tandem.Organization, u *tandem.User, role tandem.Role, password string, made bool) error {
	if a.out.json {
		reply := shownUser{User: *u, Role: role}
		if made {
			reply.Password = password
		}
		return a.out.value(reply)
	}
	if password == "" {
		a.out.printf("%s has an account already, and is now %s of %s; the password is left as it was\n", a.out.bold(clean(u.Email)), role, org.Slug)
		return nil
	}
	a.out.printf("made the account %s, %s of %s\n", a.out.bold(clean(u.Email)), role, org.Slug)
	if made {
		a.out.printf("the password, shown this once:\n\n    %s\n\n", password)
	}
	return nil
}

// firstOrganization finds the organization, or makes the one that is named where there is none at all.
func (s *desk) firstOrganization(ctx context.Context, in In) (tandem.Organization, error) {
	all, err := s.Organizations(ctx)
	if err != nil || len(all) > 0 || in.Org == "" {
		if err == nil {
			return s.organization(ctx, in)
		}
		return tandem.Organization{}, err
	}
	org, err := s.CreateOrganization(ctx, in.Org, "")
	if err == nil {
		s.out.note("made the organization %s, since there was none\n", org.Slug)
	}
	return org, err
}

// UserListCmd is `tandem user list`.
type UserListCmd struct {
	In
	Paging
	Search string      `help:"Part of the email or name."`
	Role   tandem.Role `enum:",owner,admin,manager,operator,viewer" default:"" help:"With this role."`
	Sort   string      `enum:"${sort_user}" default:"" help:"${sorts_user}"`
}

// Run lists them.
func (c *UserListCmd) Run(ctx context.Context, a *app) error {
	page, err := c.page()
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		all, total, err := s.Users(ctx, org.ID, tandem.MemberFilter{Search: c.Search, Role: c.Role, Sort: c.Sort, Page: page})
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"users": whole(all), "pagination": pagination(page, total)})
		}
		if total == 0 {
			a.out.printf("nobody; make the first owner: tandem user create EMAIL --owner --org %s\n", org.Slug)
			return nil
		}
		rows := make([][]string, len(all))
		for i := range all {
			u := &all[i]
			rows[i] = []string{clean(u.Email), dash(u.Name), string(u.Role), userState(u), a.out.ago(u.LastLoginAt)}
		}
		a.out.table([]string{"email", "name", "role", "state", "signed in"}, rows)
		a.out.more(page, (page.Number-1)*page.Limit+len(all), total)
		return nil
	})
}

// userState says whether a person can sign in, and how well that is guarded.
func userState(u *tandem.Member) string {
	switch {
	case u.DisabledAt != nil:
		return "disabled"
	case u.TOTPEnabled:
		return "second factor"
	}
	return "password"
}

// whole gives a list that is [] and not null in JSON.
func whole[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// UserShowCmd is `tandem user show`.
type UserShowCmd struct {
	In
	User string `arg:"" help:"Their email or id."`
}

// Run shows one.
func (c *UserShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		u, err := s.User(ctx, org.ID, c.User)
		if err != nil {
			return noUser(err, c.User)
		}
		if a.out.json {
			return a.out.value(u)
		}
		disabled := ""
		if u.DisabledAt != nil {
			disabled = u.DisabledAt.Format(time.DateTime) + " UTC"
		}
		a.out.pairs("email", clean(u.Email), "name", clean(u.Name), "id", u.ID, "role", string(u.Role), "second factor", yes(u.TOTPEnabled),
			"disabled", disabled, "signed in", a.out.ago(u.LastLoginAt), "since", a.out.since(u.CreatedAt))
		return nil
	})
}

// UserUpdateCmd is `tandem user update`.
type UserUpdateCmd struct {
	In
	User    string      `arg:"" help:"Their email or id."`
	Role    tandem.Role `enum:",owner,admin,manager,operator,viewer" default:"" help:"The new role: owner, admin, manager, operator or viewer."`
	Disable bool        `xor:"able" help:"Keep them from signing in, anywhere."`
	Enable  bool        `xor:"able" help:"Let them sign in again."`
}

// Run changes what they may.
func (c *UserUpdateCmd) Run(ctx context.Context, a *app) error {
	if c.Role == "" && !c.Disable && !c.Enable {
		return &usageError{"nothing to change", "give --role, --disable or --enable"}
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		if c.Disable || c.Enable {
			if _, err := s.DisableUser(ctx, org.ID, c.User, c.Disable); err != nil {
				return noUser(err, c.User)
			}
		}
		if c.Role != "" {
			if _, err := s.ChangeRole(ctx, org.ID, c.User, c.Role); err != nil {
				return noUser(err, c.User)
			}
		}
		u, err := s.User(ctx, org.ID, c.User)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(u)
		}
		a.out.printf("%s is %s of %s, %s\n", a.out.bold(clean(u.Email)), u.Role, org.Slug, map[bool]string{true: "and cannot sign in", false: "and can sign in"}[u.DisabledAt != nil])
		return nil
	})
}

// UserDeleteCmd is `tandem user delete`.
type UserDeleteCmd struct {
	In
	User string `arg:"" help:"Their email or id."`
	Yes  bool   `help:"Do not ask."`
}

// Run ends the membership; the account stays for the person's other organizations.
func (c *UserDeleteCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		u, err := s.User(ctx, org.ID, c.User)
		if err != nil {
			return noUser(err, c.User)
		}
		if err := a.confirm(c.Yes || !a.out.ask, "take "+clean(u.Email)+" out of "+org.Slug+"? Their tokens end"); err != nil {
			return err
		}
		if u, err = s.RemoveUser(ctx, org.ID, u.ID, u.Version); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"deleted": u.ID})
		}
		a.out.printf("%s does not belong to %s any more\n", clean(u.Email), org.Slug)
		return nil
	})
}

// UserInviteCmd is `tandem user invite`.
type UserInviteCmd struct {
	In
	Links
	Email string      `arg:"" help:"Their email."`
	Role  tandem.Role `enum:"owner,admin,manager,operator,viewer" default:"operator" help:"owner, admin, manager, operator (without this) or viewer."`
}

// Run makes the link, which is shown once.
func (c *UserInviteCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		in, secret, err := s.Invite(ctx, org.ID, c.Email, c.Role)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(struct {
				tandem.Invitation
				Secret string `json:"secret"`
				Link   string `json:"link,omitempty"`
			}{in, secret, c.link("invitation", secret)})
		}
		a.out.printf("%s is asked to join %s as %s; until %s UTC, once, with this link:\n\n    %s\n\n", a.out.bold(clean(in.Email)), org.Slug, in.Role,
			in.ExpiresAt.UTC().Format(time.DateTime), c.text("invitation", secret))
		return nil
	})
}

// onlyHere refuses at a server what is done on the database alone.
func (s *desk) onlyHere(what, instead string) error {
	if s.here != nil {
		return nil
	}
	return &usageError{what + " on the database only, not at a server", instead}
}
