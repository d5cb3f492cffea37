package webtest

import "net/url"

// Show is one page to look at.
type Show struct {
	Name    string              // of its picture
	Pattern string              // as the pages register it, such as "/devices/{id}"; "" for one that is not of an organization
	Path    func(*Lived) string // inside the organization; with a leading "/" on the server, for whom nobody is signed in
	See     func(*Lived) string // what it shows in any case; nil for nothing in particular
	Then    func(*Page)         // what is done on it before it is looked at; nil for nothing
}

// Pages are all pages. Whoever adds a page adds it here; a test looks that none is missing.
var Pages = []Show{
	{"overview", "", at(""), nil, nil},
	{"devices", "/devices", at("devices"), at("Gateway north"), nil},
	{"device", "/devices/{id}", func(l *Lived) string { return "devices/" + l.Row.ID }, nil, nil},
	{"device-failing", "/devices/{id}", func(l *Lived) string { return "devices/" + l.Failing.ID }, nil, nil},
	{"device-new", "/devices/new", at("devices/new"), nil, nil},
	{"device-edit", "/devices/{id}/edit", func(l *Lived) string { return "devices/" + l.Row.ID + "/edit" }, nil, nil},
	{"device-delete", "/devices/{id}/delete", func(l *Lived) string { return "devices/" + l.Row.ID + "/delete" }, nil, nil},
	{"device-link", "/devices/{id}/link", func(l *Lived) string { return "devices/" + l.Row.ID + "/link" }, nil, nil},
	{"device-credential-new", "/devices/{id}/credentials/new", func(l *Lived) string { return "devices/" + l.Row.ID + "/credentials/new" }, nil, nil},
	{"device-credential-rotate", "/devices/{id}/credentials/{credential}/rotate", func(l *Lived) string { return "devices/" + l.Row.ID + "/credentials/" + l.Credential.ID + "/rotate" }, at("still works"), nil},
	{"device-commands", "/devices/{id}/commands", func(l *Lived) string { return "devices/" + l.Row.ID + "/commands" }, at("blink"), nil},
	{"devices-import", "/devices/import", at("devices/import"), nil, nil},
	{"conflicts", "/conflicts", at("conflicts"), at("Gateway"), nil},
	{"conflict", "/conflicts/{id}", func(l *Lived) string { return "conflicts/" + l.Disputed[len(l.Disputed)-1].ID }, nil, nil},
	{"sync", "/sync", at("sync"), func(l *Lived) string { return l.Service.Name }, nil},
	{"plan", "/sync/plans/{id}", func(l *Lived) string { return "sync/plans/" + l.PlanID }, at("Tracker, depot"), nil},
	{"history", "/history", at("history"), nil, nil},
	{"run", "/history/{id}", func(l *Lived) string { return "history/" + l.Edited.ID }, at("Pump house, roof"), nil},
	{"run-failed", "/history/{id}", func(l *Lived) string { return "history/" + l.Failed.ID }, at("Meter that refuses"), nil},
	{"run-held", "/history/{id}", func(l *Lived) string { return "history/" + l.Held.ID }, nil, nil},
	{"run-undo", "/history/{id}/undo", func(l *Lived) string { return "history/" + l.Edited.ID + "/undo" }, nil, nil},
	{"not-linked", "/not-linked", at("not-linked"), nil, nil},
	{"integrations", "/integrations", at("integrations"), at("spare"), nil},
	{"integration-new", "/integrations/new", at("integrations/new"), nil, nil},
	{"integration", "/integrations/{id}", func(l *Lived) string { return "integrations/" + l.Service.ID }, func(l *Lived) string { return l.Service.Name }, nil},
	{"deliveries", "/deliveries", at("deliveries"), nil, nil},
	{"delivery", "/deliveries/{id}", func(l *Lived) string { return "deliveries/" + l.Sent[0].ID }, nil, nil},
	{"alerts", "/alerts", at("alerts"), at("spare"), nil},
	{"alert", "/alerts/{id}", func(l *Lived) string { return "alerts/" + l.Alerts[0].ID }, nil, nil},
	{"settings-account", "/settings/account", at("settings/account"), nil, nil},
	{"settings-people", "/settings/people", at("settings/people"), at("invited@example.com"), nil},
	{"settings-person", "/settings/people/{id}", func(l *Lived) string { return "settings/people/" + l.Members[0].ID }, nil, nil},
	{"settings-tokens", "/settings/tokens", at("settings/tokens"), at("importer"), nil},
	{"settings-notifications", "/settings/notifications", at("settings/notifications"), at("on call"), nil},
	{"settings-channel-new", "/settings/notifications/new", at("settings/notifications/new"), nil, nil},
	{"settings-channel", "/settings/notifications/{id}", func(l *Lived) string { return "settings/notifications/" + l.Channel.ID }, nil, nil},
	{"settings-organization", "/settings/organization", at("settings/organization"), nil, nil},
	{"settings-retention", "/settings/retention", at("settings/retention"), nil, nil},
	{"settings-audit", "/settings/audit", at("settings/audit"), nil, nil},
	{"not-found", "", at("nowhere"), at("no page at this address"), func(p *Page) { p.Allow(404, "/nowhere$") }},
	{"sign-in", "", at("/sign-in"), at("Sign in"), nil},
	{"forgot-password", "", at("/forgot-password"), nil, nil},
	{"invitation", "", func(l *Lived) string { return "/invitation?token=" + url.QueryEscape(l.Invited) }, at("invited@example.com"), nil},
	{"link-spent", "", at("/reset-password?token=spent"), at("does not work"), func(p *Page) { p.Allow(404, "/reset-password") }},
}

// at gives a text that is the same in every world.
func at(text string) func(*Lived) string { return func(*Lived) string { return text } }

// Parts are addresses that no person looks at: pieces of pages, files, and what leads on to a page.
var Parts = []string{"/nav", "/conflicts/{id}/edit", "/conflicts/{id}/link", "/conflicts/settle", "/not-linked/link",
	"/devices/export", "/history/{id}/entries.csv", "/history/{id}/entries.json", "/settings",
	"/settings/account/factor", "/settings/audit/verify", "/settings/audit/export", "/{$}", "/"}
