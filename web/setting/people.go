package setting

import (
	"strconv"
	"time"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// people is the tab of who belongs to the organization, and of who is asked to.
type people struct {
	c           *shell.Call
	l           part.Listing
	members     []tandem.Member
	invitations []tandem.Invitation // open ones
	closed      []tandem.Invitation // the newest of the others
	email       string              // as it was typed
	role        tandem.Role
	wrong       map[string]string
	invited     *invited // just now
}

// invited is an invitation that was just made.
type invited struct {
	email, link string
	posted      bool // by mail; else the link is carried by hand
}

// closedShown is how many closed invitations are listed.
const closedShown = 20

func registerPeople(s *shell.Site) {
	s.Handle("GET /settings/people", func(c *shell.Call) error { return showPeople(people{c: c}) })
	s.Handle("POST /settings/people", invite)
	s.Handle("POST /settings/people/invitations/{id}/revoke", revokeInvitation)
	s.Handle("GET /settings/people/{id}", func(c *shell.Call) error { return showPerson(c, nil) })
	s.Handle("POST /settings/people/{id}/role", changeRole)
	s.Handle("POST /settings/people/{id}/disable", func(c *shell.Call) error { return disable(c, true) })
	s.Handle("POST /settings/people/{id}/enable", func(c *shell.Call) error { return disable(c, false) })
	s.Handle("POST /settings/people/{id}/remove", remove)
}

func showPeople(v people) error {
	c := v.c
	v.l = part.NewListing(c.Path("settings", "people"), c.R.URL.Query(), rows)
	filter := tandem.MemberFilter{Search: c.Query("search"), Role: tandem.Role(c.Query("role")), Sort: v.l.Sort, Page: tandem.Page{Number: v.l.Page, Limit: rows}}
	var err error
	if v.members, v.l.Total, err = c.Registry().Users(c.R.Context(), c.Actor, c.Org.ID, filter); err != nil {
		return err
	}
	if c.Query("part") == "members" {
		return c.Part(members(v))
	}
	if c.May(registry.ManageUsers) {
		all, err := c.Registry().Invitations(c.R.Context(), c.Actor, c.Org.ID)
		if err != nil {
			return err
		}
		for _, in := range all {
			if isOpen(in, c.Now()) {
				v.invitations = append(v.invitations, in)
			} else if len(v.closed) < closedShown {
				v.closed = append(v.closed, in)
			}
		}
	}
	return show(c, "people", "People", peoplePage(v))
}

func isOpen(in tandem.Invitation, now time.Time) bool {
	return in.AcceptedAt == nil && in.RevokedAt == nil && now.Before(in.ExpiresAt)
}

// invite asks somebody to join. The link is in the reply alone, and only where no mail carries it.
func invite(c *shell.Call) error {
	v := people{c: c, email: c.Form("email"), role: tandem.Role(c.Form("role"))}
	in, secret, err := c.Registry().Invite(c.R.Context(), c.Actor, c.Org.ID, v.email, v.role)
	if err != nil {
		if v.wrong, err = wrong(err, "email", "role"); err != nil {
			return err
		}
		return showPeople(v)
	}
	v.email, v.role = "", ""
	v.invited = &invited{email: in.Email, posted: c.Registry().Post != nil}
	if !v.invited.posted {
		v.invited.link = base(c) + "/invitation?token=" + secret
	}
	c.Toast("success", in.Email+" is invited.")
	return showPeople(v)
}

// base is how people reach the server.
func base(c *shell.Call) string {
	if c.Site.PublicURL != "" {
		return c.Site.PublicURL
	}
	if c.R.TLS != nil {
		return "https://" + c.R.Host
	}
	return "http://" + c.R.Host
}

func revokeInvitation(c *shell.Call) error {
	in, err := c.Registry().RevokeInvitation(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	c.Toast("success", "The invitation of "+in.Email+" is void.")
	return c.Go(c.Path("settings", "people"))
}

// person is the page of one member.
type person struct {
	c     *shell.Call
	m     tandem.Member
	role  tandem.Role // chosen in the form
	moved *moved
	wrong string
}

// moved is what somebody else changed of a member meanwhile.
type moved struct {
	was, is       tandem.Role
	wasOff, isOff bool
}

// may reports whether the person who looks may change the member.
func (p person) may() bool {
	if !p.c.May(registry.ManageUsers) {
		return false
	}
	for _, r := range givable(p.c) {
		if r == p.m.Role {
			return true
		}
	}
	return false
}

func (p person) path(action ...string) string {
	return p.c.Path(append([]string{"settings", "people", p.m.ID}, action...)...)
}

func (p person) self() bool { return p.m.ID == p.c.User.ID }

func showPerson(c *shell.Call, edit func(*person)) error {
	m, err := c.Registry().User(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	v := person{c: c, m: m, role: m.Role}
	if edit != nil {
		edit(&v)
	}
	if c.Partial() {
		return c.Part(personPage(v))
	}
	return show(c, "people", m.Email, personPage(v))
}

// act changes a member as the form saw them. Where somebody else changed what it is about meanwhile, that is shown instead.
func act(c *shell.Call, chosen tandem.Role, do func(m tandem.Member) error) error {
	m, err := c.Registry().User(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return err
	}
	seen := moved{was: tandem.Role(c.Form("was")), is: m.Role, wasOff: c.Form("off") != "", isOff: m.DisabledAt != nil}
	version, _ := strconv.ParseInt(c.Form("version"), 10, 64)
	if version != m.Version && (seen.was != seen.is || seen.wasOff != seen.isOff) {
		return showPerson(c, func(v *person) { v.moved, v.role = &seen, chosen })
	}
	if err = do(m); tandem.Is(err, tandem.Stale) { // this very moment
		return act(c, chosen, do)
	}
	if err == nil {
		changed(c, m.ID)
		return nil
	}
	told, err := wrong(err)
	if err != nil {
		return err
	}
	return showPerson(c, func(v *person) { v.wrong, v.role = told[""], chosen })
}

func changeRole(c *shell.Call) error {
	role := tandem.Role(c.Form("role"))
	return act(c, role, func(m tandem.Member) error {
		m, err := c.Registry().ChangeRole(c.R.Context(), c.Actor, c.Org.ID, m.ID, role, m.Version)
		if err != nil {
			return err
		}
		c.Toast("success", m.Email+" is "+string(m.Role)+" now.")
		return c.Go(c.Path("settings", "people", m.ID))
	})
}

func disable(c *shell.Call, off bool) error {
	return act(c, tandem.Role(c.Form("was")), func(m tandem.Member) error {
		u, err := c.Registry().DisableUser(c.R.Context(), c.Actor, c.Org.ID, m.ID, off, m.Version)
		if err != nil {
			return err
		}
		told := u.Email + " can sign in again."
		if off {
			told = u.Email + " cannot sign in any more, and is signed out everywhere."
		}
		c.Toast("success", told)
		return c.Go(c.Path("settings", "people", u.ID))
	})
}

func remove(c *shell.Call) error {
	return act(c, tandem.Role(c.Form("was")), func(m tandem.Member) error {
		m, err := c.Registry().RemoveUser(c.R.Context(), c.Actor, c.Org.ID, m.ID, m.Version)
		if err != nil {
			return err
		}
		c.Toast("success", m.Email+" does not belong to "+c.Org.Name+" any more.")
		if m.ID == c.User.ID {
			return c.Go("/")
		}
		return c.Go(c.Path("settings", "people"))
	})
}
