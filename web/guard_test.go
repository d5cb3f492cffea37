package web_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/registry"
	"tandem/web/webtest"
)

// route is an address as the pages register it.
type route struct {
	method, pattern string
	person          bool // not of an organization
}

func (r route) String() string { return r.method + " " + r.pattern }

// routes gives all that the pages register for people who are signed in.
func routes(t *testing.T) []route {
	t.Helper()
	registered := regexp.MustCompile(`\.Handle(Large|Person)?\("(GET|POST) (/?[^"]*)"`)
	var all []route
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range registered.FindAllStringSubmatch(string(text), -1) {
			all = append(all, route{m[2], m[3], m[1] == "Person"})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d addresses were found", len(all))
	}
	return all
}

// things are the ids that addresses and forms name.
type things struct {
	device, service, run, plan, conflict, delivery, alert, channel, person, token, invitation, external, credential, command string
}

// nothing has an id of each kind that nobody has.
var nothing = things{"01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000b", "01900000-0000-7000-8000-00000000000c", "01900000-0000-7000-8000-00000000000d",
	"01900000-0000-7000-8000-00000000000e", "01900000-0000-7000-8000-00000000000f", "01900000-0000-7000-8000-000000000010", "01900000-0000-7000-8000-000000000011",
	"01900000-0000-7000-8000-000000000012", "01900000-0000-7000-8000-000000000013", "01900000-0000-7000-8000-000000000014", "000000000000000000000000", "01900000-0000-7000-8000-000000000015", "01900000-0000-7000-8000-000000000016"}

// of gives the ids of what is in a world.
func of(t *testing.T, l *webtest.Lived) things {
	t.Helper()
	tokens, err := l.API.Tokens(t.Context(), l.Org.ID)
	if err != nil || len(tokens) == 0 {
		t.Fatalf("tokens: %v, %v", tokens, err)
	}
	invitations, err := l.API.Invitations(t.Context(), l.Org.ID)
	if err != nil || len(invitations) == 0 {
		t.Fatalf("invitations: %v, %v", invitations, err)
	}
	return things{device: l.Row.ID, service: l.Service.ID, run: l.Edited.ID, plan: l.PlanID, conflict: l.Disputed[0].ID, delivery: l.Sent[0].ID, alert: l.Alerts[0].ID,
		channel: l.Channel.ID, person: l.Members[0].ID, token: tokens[0].ID, invitation: invitations[0].ID, external: l.Row.Assignments[0].ExternalDeviceID,
		credential: l.Credential.ID, command: l.Command.ID}
}

// list gives them in the order of the fields.
func (x *things) list() []string {
	return []string{x.device, x.service, x.run, x.plan, x.conflict, x.delivery, x.alert, x.channel, x.person, x.token, x.invitation, x.external, x.credential, x.command}
}

// path fills a pattern in.
func (x *things) path(pattern string) string {
	id := ""
	for _, one := range []struct{ at, id string }{
		{"/devices/", x.device}, {"/conflicts/", x.conflict}, {"/history/", x.run}, {"/sync/plans/", x.plan}, {"/sync/runs/", x.run}, {"/integrations/", x.service}, {"/deliveries/", x.delivery},
		{"/alerts/", x.alert}, {"/settings/people/invitations/", x.invitation}, {"/settings/people/", x.person}, {"/settings/tokens/", x.token}, {"/settings/notifications/", x.channel},
	} {
		if strings.HasPrefix(pattern, one.at) {
			id = one.id
			break
		}
	}
	return strings.NewReplacer("{id}", id, "{service}", x.service, "{credential}", x.credential, "{command}", x.command, "{tab}", "sync", "{$}", "").Replace(pattern)
}

// values are what forms and addresses name besides; each handler takes what it knows.
func (x *things) values(r route) url.Values {
	v := url.Values{"service": {x.service}, "device": {x.device}, "external": {x.external}, "id": {x.device}, "action": {"tag"}, "do": {"tag"}, "format": {"csv"}, "take": {"local"}, "version": {"1"},
		"public_url": {"https://tandem.example.com"}, "operation": {"import"}, "active": {"on"}, "role": {"admin"}, "was": {"admin"}, "sure": {"on"}, "escalate": {"5"}, "kind": {"token"}}
	switch {
	case strings.HasPrefix(r.pattern, "/conflicts"):
		v.Set("id", x.conflict+".1")
	case strings.HasPrefix(r.pattern, "/deliveries"):
		v.Set("id", x.delivery)
	case strings.HasPrefix(r.pattern, "/not-linked") && r.pattern != "/not-linked/create":
		v.Set("id", x.external)
	}
	return v
}

// visitor sends requests as somebody does.
type visitor struct {
	t      *testing.T
	url    string
	cookie *http.Cookie // nil for nobody
	header http.Header
}

// visit signs a person in; nil is nobody.
func visit(t *testing.T, l *webtest.World, p *webtest.Person) *visitor {
	t.Helper()
	v := &visitor{t: t, url: l.URL, header: http.Header{}}
	if p == nil {
		return v
	}
	body, err := json.Marshal(map[string]string{"email": p.Email, "password": p.Password})
	if err != nil {
		t.Fatal(err)
	}
	reply, err := (&http.Client{Timeout: time.Minute}).Post(l.URL+"/api/v1/session", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	if len(reply.Cookies()) == 0 {
		t.Fatalf("signing in as %s replied %s, without a cookie", p.Email, reply.Status)
	}
	v.cookie = reply.Cookies()[0]
	return v
}

// send does what the address is for.
func (v *visitor) send(r route, path string, values url.Values) (*http.Response, string) {
	v.t.Helper()
	to, body := v.url+path, io.Reader(nil)
	if r.method == http.MethodPost {
		body = strings.NewReader(values.Encode())
	} else if len(values) > 0 {
		to += "?" + values.Encode()
	}
	request, err := http.NewRequestWithContext(v.t.Context(), r.method, to, body)
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header = v.header.Clone()
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.cookie != nil {
		request.AddCookie(v.cookie)
	}
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := client.Do(request)
	if err != nil {
		v.t.Fatalf("%s: %v", r, err)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		v.t.Fatalf("%s: %v", r, err)
	}
	return reply, string(text)
}

// address is a route's path in an organization.
func address(r route, org string, x *things) string {
	if r.person {
		return x.path(r.pattern)
	}
	return "/o/" + org + x.path(r.pattern)
}

// TestEveryAddressIsGuarded asks for each registered address as somebody who may not have it.
func TestEveryAddressIsGuarded(t *testing.T) {
	t.Parallel()
	l := webtest.Live(t)
	all, here := routes(t), of(t, l)
	for name, check := range map[string]func(*testing.T, *webtest.Lived, []route, things){
		"not signed in":        refusesNobody,
		"from another site":    refusesOtherSites,
		"another organization": refusesOtherOrganizations,
		"another's ids":        tellsNothingOfOthers,
		"a viewer":             refusesViewers,
		"strict pages":         hasStrictPages,
	} {
		t.Run(name, func(t *testing.T) { check(t, l, all, here) })
	}
}

func refusesNobody(t *testing.T, l *webtest.Lived, all []route, here things) {
	nobody := visit(t, l.World, nil)
	for _, r := range all {
		reply, body := nobody.send(r, address(r, l.Org.Slug, &here), here.values(r))
		if to := reply.Header.Get("Location"); reply.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/sign-in?next=%2F") {
			t.Errorf("%s replies %s, to %q", r, reply.Status, to)
		}
		if strings.Contains(body, "<main") {
			t.Errorf("%s sends a page to who is not signed in", r)
		}
	}
}

// refusesOtherSites: what a page of another site sends with the owner's cookie does nothing.
func refusesOtherSites(t *testing.T, l *webtest.Lived, all []route, here things) {
	for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://elsewhere.example.com"}}, {"Origin": {"null"}}} {
		owner := visit(t, l.World, l.Owner)
		owner.header = header
		for _, r := range all {
			if r.method != http.MethodPost {
				continue
			}
			if reply, _ := owner.send(r, address(r, l.Org.Slug, &here), here.values(r)); reply.StatusCode != http.StatusForbidden {
				t.Errorf("%s with %v replies %s", r, header, reply.Status)
			}
		}
	}
}

// refusesOtherOrganizations: whoever belongs to another organization cannot even see that this one is there.
func refusesOtherOrganizations(t *testing.T, l *webtest.Lived, all []route, here things) {
	other := webtest.Open(t)
	stranger := visit(t, other, other.Owner)
	for _, r := range all {
		if r.person {
			continue
		}
		for _, org := range []string{l.Org.Slug, l.Org.ID} {
			reply, body := stranger.send(r, address(r, org, &here), here.values(r))
			_, missing := stranger.send(r, address(r, "nowhere", &here), here.values(r))
			if reply.StatusCode != http.StatusNotFound {
				t.Errorf("%s replies %s", r, reply.Status)
			}
			if plain(body, org) != plain(missing, "nowhere") {
				t.Errorf("%s tells an organization that is there from one that is not", r)
			}
		}
	}
}

// plain leaves out of a page what differs each time.
func plain(body string, names ...string) string {
	body = regexp.MustCompile(`hx-headers="[^"]*"|\d+ (millisecond|second|ms|s)s?\b|\d\d:\d\d:\d\d(\.\d+)?Z?`).ReplaceAllString(body, "")
	for _, name := range names {
		body = strings.ReplaceAll(body, name, "…")
	}
	return body
}

// tellsNothingOfOthers: an id of another organization's is as one that nobody has.
func tellsNothingOfOthers(t *testing.T, l *webtest.Lived, all []route, here things) {
	other := webtest.Open(t, webtest.WithService(nil))
	stranger := visit(t, other, other.Owner)
	for _, r := range all {
		if strings.HasPrefix(r.pattern, "/settings/audit") || strings.HasPrefix(r.pattern, "/settings/organization") {
			continue // they take no ids, and tell what was done meanwhile
		}
		theirs, theirBody := stranger.send(r, address(r, other.Org.Slug, &here), here.values(r))
		none, noBody := stranger.send(r, address(r, other.Org.Slug, &nothing), nothing.values(r))
		if theirs.StatusCode != none.StatusCode {
			t.Errorf("%s replies %s for another's ids and %s for ids that nobody has", r, theirs.Status, none.Status)
			continue
		}
		if plain(theirBody, here.list()...) != plain(noBody, nothing.list()...) {
			t.Errorf("%s shows another page for another's ids than for ids that nobody has:\n%s\n\n%s", r, theirBody, noBody)
		}
		if strings.Contains(r.pattern, "{id}") && theirs.StatusCode < 400 {
			t.Errorf("%s replies %s for another's id", r, theirs.Status)
		}
		if strings.Contains(theirBody, l.Row.Name) {
			t.Errorf("%s shows the name of another's device", r)
		}
	}
}

// A viewer's own: what they change with these is theirs, or nothing.
var viewersMay = []string{"POST /devices/columns", "POST /devices/export", "POST /settings/account", "POST /settings/account/factor"}

// tellInForm are the actions whose form tells that they are refused; of these, that nothing was done has to be enough.
var tellInForm = []string{"POST /devices/bulk", "POST /devices/import", "POST /integrations", "POST /integrations/test", "POST /integrations/{id}/test", "POST /integrations/{id}/save/{tab}",
	"POST /settings/notifications/new", "POST /settings/tokens"}

// refusesViewers: a viewer's actions are refused, and nothing that a viewer opens changes anything.
func refusesViewers(t *testing.T, l *webtest.Lived, all []route, here things) {
	viewer := visit(t, l.World, l.Members[1])
	for _, r := range all {
		values := here.values(r)
		values.Set("name", "By a viewer")
		reply, body := viewer.send(r, address(r, l.Org.Slug, &here), values)
		switch {
		case r.method == http.MethodPost && !slices.Contains(viewersMay, r.String()) && !slices.Contains(tellInForm, r.String()) && reply.StatusCode < 400:
			t.Errorf("%s of a viewer replies %s", r, reply.Status)
		case reply.StatusCode >= 500:
			t.Errorf("%s replies %s: %s", r, reply.Status, body)
		}
	}
	done, _, err := l.API.Audit(t.Context(), l.Org.ID, tandem.AuditFilter{Actor: l.Members[1].Email, Page: tandem.Page{Number: 1, Limit: 100}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range done {
		if e.ThingType != "user" && e.Action != "invitation.accept" {
			t.Errorf("the viewer did %s of %s %s", e.Action, e.ThingType, e.ThingID)
		}
	}
}

// hasStrictPages: no page needs an exception from the policy, whatever devices are called.
func hasStrictPages(t *testing.T, l *webtest.Lived, all []route, here things) {
	const hostile = `"><img src=x onerror=alert(1)>'--><script>alert(2)</script>`
	name, kind := "=1+1 "+hostile, hostile
	d, err := l.API.CreateDevice(t.Context(), l.Org.ID, registry.DeviceEdit{Name: &name, DeviceType: &kind})
	if err != nil {
		t.Fatal(err)
	}
	of := here
	of.device = d.ID
	lax := regexp.MustCompile(`(?i)\sstyle="|<script[^>]*>[^<]|<img src=x|\son[a-z]+="|href="\s*(javascript|data|vbscript):`)
	owner := visit(t, l.World, l.Owner)
	for _, r := range all {
		if r.method != http.MethodGet {
			continue
		}
		for _, x := range []*things{&here, &of} {
			reply, body := owner.send(r, address(r, l.Org.Slug, x), nil)
			policy := reply.Header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
				t.Errorf("%s has the policy %q", r, policy)
			}
			if reply.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s may be kept: %q", r, reply.Header.Get("Cache-Control"))
			}
			if strings.HasPrefix(reply.Header.Get("Content-Type"), "text/html") {
				if found := lax.FindString(body); found != "" {
					t.Errorf("%s has %q", r, found)
				}
			}
			if strings.HasPrefix(reply.Header.Get("Content-Type"), "text/csv") && hasFormula(t, body) {
				t.Errorf("%s has a cell that a spreadsheet takes for a formula", r)
			}
			if strings.Contains(body, webtest.Key(webtest.Project)) || strings.Contains(body, "whsec_") {
				t.Errorf("%s shows a secret", r)
			}
		}
	}
}

// hasFormula reports whether a file has a cell that a spreadsheet would calculate.
func hasFormula(t *testing.T, file string) bool {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(slices.Concat(rows...), func(cell string) bool { return cell != "" && strings.ContainsAny(cell[:1], "=+-@") })
}
