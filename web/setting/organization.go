package setting

import (
	"fmt"
	"strconv"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// organization is the tab of the organization itself.
type organization struct {
	form
	c       *shell.Call
	founded form // the form of another one
	confirm string
	problem string // with deleting
}

// organizationItems are what its form has.
var organizationItems = []item{{"name", "Name"}, {"slug", "Short name"}, {"escalate", "Minutes until an alert escalates"}}

// usualEscalation is when an alert escalates where the organization says nothing, in minutes.
const usualEscalation = 30

func registerOrganization(s *shell.Site) {
	s.Handle("GET /settings/organization", func(c *shell.Call) error { return organizationAt(c).show() })
	s.Handle("POST /settings/organization", saveOrganization)
	s.Handle("POST /settings/organization/new", found)
	s.Handle("POST /settings/organization/delete", deleteOrganization)
}

func organizationAt(c *shell.Call) organization {
	return organization{form: formOf(organizationDraft(&c.Org), c.Org.Version), c: c, founded: form{d: draft{}}}
}

func (v organization) show() error {
	if !v.c.May(registry.UpdateOrganization) && !mayFound(v.c) {
		return tandem.Errorf(tandem.Forbidden, "read settings", "", "your role does not include the organization's settings").WithHint("ask an admin or an owner")
	}
	return show(v.c, "organization", "Organization", organizationPage(v))
}

// mayFound reports whether the person may make another organization: who owns one may.
func mayFound(c *shell.Call) bool {
	for _, b := range c.Orgs {
		if b.Role == tandem.Owner {
			return true
		}
	}
	return false
}

// organizationDraft gives the organization as its form has it.
func organizationDraft(o *tandem.Organization) draft {
	minutes, set := o.Settings[tandem.EscalateSetting]
	if !set {
		minutes = usualEscalation
	}
	return draft{"name": o.Name, "slug": o.Slug, "escalate": fmt.Sprint(minutes)}
}

// saveOrganization stores what was typed; what somebody else saved meanwhile is shown first.
func saveOrganization(c *shell.Call) error {
	v := organizationAt(c)
	v.take(c, organizationItems, draft{"name": c.Form("name"), "slug": c.Form("slug"), "escalate": c.Form("escalate")})
	if len(v.others) > 0 {
		return v.show()
	}
	name, slug := v.d["name"], v.d["slug"]
	o, told, err := updateOrganization(c, v.form, registry.OrganizationEdit{Name: &name, Slug: &slug})
	if v.wrong = told; err != nil || told != nil {
		if tandem.Is(err, tandem.Stale) {
			return c.Go(c.Path("settings", "organization"))
		}
		if err != nil {
			return err
		}
		return v.show()
	}
	c.Toast("success", o.Name+" is saved.")
	c.Org = o // its address may be another one now
	return c.Go(c.Path("settings", "organization"))
}

// saveEscalation stores only when alerts escalate.
func saveEscalation(c *shell.Call) error {
	v := channels{c: c, escalation: formOf(organizationDraft(&c.Org), c.Org.Version)}
	typed := draft{"name": c.Org.Name, "slug": c.Org.Slug, "escalate": c.Form("escalate")}
	v.escalation.take(c, organizationItems[2:], typed)
	if len(v.escalation.others) > 0 {
		return v.show()
	}
	_, told, err := updateOrganization(c, v.escalation, registry.OrganizationEdit{})
	if v.escalation.wrong = told; err != nil {
		return err
	}
	if told != nil {
		return v.show()
	}
	text := "Alerts do not escalate any more."
	if v.escalation.d["escalate"] != "0" {
		text = "Alerts that nobody acknowledges escalate after " + v.escalation.d["escalate"] + " minutes."
	}
	c.Toast("success", text)
	return c.Go(c.Path("settings", "notifications"))
}

// updateOrganization stores an edit with the form's minutes; told says what is wrong with it.
func updateOrganization(c *shell.Call, f form, edit registry.OrganizationEdit) (o tandem.Organization, told map[string]string, err error) {
	minutes, err := strconv.Atoi(f.d["escalate"])
	if err != nil {
		return o, map[string]string{"escalate-after": "Write whole minutes."}, nil
	}
	edit.EscalateAfter, edit.IfVersion = &minutes, &f.version
	if o, err = c.Registry().UpdateOrganization(c.R.Context(), c.Actor, c.Org.ID, edit); err == nil {
		return o, nil, nil
	}
	told, err = wrong(err, "name", "escalate-after")
	return o, told, err
}

// found makes another organization, which the person owns.
func found(c *shell.Call) error {
	o, err := c.Registry().CreateOrganization(c.R.Context(), c.Actor, c.Form("name"), c.Form("slug"))
	if err != nil {
		v := organizationAt(c)
		v.founded.d = draft{"name": c.Form("name"), "slug": c.Form("slug")}
		if v.founded.wrong, err = wrong(err, "name"); err != nil {
			return err
		}
		return v.show()
	}
	changed(c, c.User.ID)
	c.Toast("success", o.Name+" is there, and you own it. Connect its first project.")
	return c.Go("/o/" + o.Slug)
}

// deleteOrganization removes the organization of whoever typed its short name.
func deleteOrganization(c *shell.Call) error {
	if c.Form("confirm") != c.Org.Slug {
		v := organizationAt(c)
		v.confirm, v.problem = c.Form("confirm"), "Type "+c.Org.Slug+" to say that you mean it."
		return v.show()
	}
	version, _ := strconv.ParseInt(c.Form("version"), 10, 64)
	o, err := c.Registry().DeleteOrganization(c.R.Context(), c.Actor, c.Org.ID, version)
	if tandem.Is(err, tandem.Stale) {
		c.Toast("warning", "Somebody changed the organization meanwhile, and it was not deleted. This is how it is now.")
		return c.Go(c.Path("settings", "organization"))
	}
	if err != nil {
		return err
	}
	changed(c, c.User.ID)
	c.Toast("success", o.Name+" is deleted.")
	return c.Go("/")
}
