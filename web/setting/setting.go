package setting

import (
	"errors"
	"strings"

	"github.com/a-h/templ"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// rows is how many a page of a list has.
const rows = 50

// Register adds the pages.
func Register(s *shell.Site) {
	s.Handle("GET /settings", func(c *shell.Call) error { return c.Go(c.Path("settings", tabsOf(c)[0].Name)) })
	registerAccount(s)
	registerPeople(s)
	registerTokens(s)
	registerChannels(s)
	registerAudit(s)
	registerOrganization(s)
	s.Handle("GET /settings/retention", retention)
}

// tab is one kind of setting.
type tab struct{ Name, Label, Icon string }

// tabsOf gives the tabs that the person may open.
func tabsOf(c *shell.Call) []tab {
	var open []tab
	for _, t := range []struct {
		tab
		may bool
	}{
		{tab{"account", "Your account", "user"}, true},
		{tab{"people", "People", "users"}, c.May(registry.ReadUsers)},
		{tab{"tokens", "Tokens", "key"}, true},
		{tab{"notifications", "Notifications", "bell"}, c.May(registry.ManageChannels)},
		{tab{"audit", "Audit", "file-text"}, c.May(registry.ReadAudit)},
		{tab{"organization", "Organization", "building"}, c.May(registry.UpdateOrganization) || mayFound(c)},
		{tab{"retention", "Retention", "clock"}, true},
	} {
		if t.may {
			open = append(open, t.tab)
		}
	}
	return open
}

// show replies with a tab.
func show(c *shell.Call, tab, title string, body templ.Component) error {
	return c.Page(shell.Frame{Title: title, Section: shell.Settings, Scripts: []string{"setting.js"}}, page(c, tab, body))
}

// changed says that somebody's rights or name are not what they were.
func changed(c *shell.Call, userID string) {
	if c.Site.Changed != nil {
		c.Site.Changed(userID)
	}
}

// wrong gives what is wrong with each of the named fields, as the registry's messages tell by their first word; what is
// about none of them is under "". Other failures are given back.
func wrong(err error, fields ...string) (map[string]string, error) {
	if !tandem.Is(err, tandem.Invalid, tandem.Exists, tandem.Forbidden, tandem.RateLimited) {
		return nil, err
	}
	var e *tandem.Error
	errors.As(err, &e)
	found := map[string]string{}
	for text := range strings.SplitSeq(e.Message, "; ") {
		first, _, _ := strings.Cut(text, " ")
		at := ""
		for _, f := range fields {
			if f == first {
				at = f
			}
		}
		if found[at] != "" {
			found[at] += " "
		}
		found[at] += sentence(text)
	}
	if found[""] != "" && e.Hint != "" {
		found[""] += " " + sentence(e.Hint)
	}
	return found, nil
}

// sentence begins a text with a capital letter and ends it with a stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	if text[0] >= 'a' && text[0] <= 'z' {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}

// words writes a name of the program for people: "run_failed" is "run failed".
func words[T ~string](name T) string { return strings.ReplaceAll(string(name), "_", " ") }

// givable are the roles that the person may give: at most their own.
func givable(c *shell.Call) []tandem.Role {
	for i, r := range tandem.Roles {
		if r == c.Role {
			return tandem.Roles[i:]
		}
	}
	return nil
}

// roleText says what a role is for.
func roleText(r tandem.Role) string {
	switch r {
	case tandem.Owner:
		return "Owner: everything, and may delete the organization"
	case tandem.Admin:
		return "Admin: also services, people, tokens and the audit"
	case tandem.Manager:
		return "Manager: also deletes, lets runs through, undoes them"
	case tandem.Operator:
		return "Operator: works with devices, conflicts and syncs"
	}
	return "Viewer: looks, and changes nothing"
}
