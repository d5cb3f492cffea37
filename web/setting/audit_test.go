package setting_test

import (
	"strings"
	"testing"

	"tandem"
	"tandem/web/webtest"
)

// TestAudit: what was done is found by who, what and to what, with what it was before; the chain is walked and exported.
func TestAudit(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	who := w.Member(tandem.Viewer)
	_, err := w.API.ChangeRole(t.Context(), w.Org.ID, who.ID, tandem.Operator)
	must(t, err)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/audit")
	p.Fill("#audit-action", "member.update")
	p.WaitCount("#audit tbody tr", func(n int) bool { return n == 1 })
	p.SeeIn("#audit tbody", who.Email)
	p.SeeIn("#audit tbody .before", "viewer")
	p.SeeIn("#audit tbody .after", "operator")
	p.Open("settings/audit?actor=nobody-of-this-name")
	p.See("Nothing fits")
	p.Open("settings/audit?until=2001-01-01T00:00")
	p.See("Nothing fits")
	p.Open("settings/audit?thing=user&thing_id=" + who.ID)
	p.SeeIn("#audit tbody", who.Email)

	var export string
	p.Eval(`fetch("`+w.Path("settings/audit/export")+`").then((r) => r.text())`, &export)
	entries, err := w.API.AuditChain(t.Context(), w.Org.ID, 0, 1000)
	must(t, err)
	if lines := strings.Count(export, "\n"); len(entries) == 0 || lines != len(entries)+2 {
		t.Errorf("the export has %d lines for %d sealed entries, a beginning and a head", lines, len(entries))
	}
	p.Open("settings/audit")
	p.Click("form button >> Verify")
	p.SeeIn("#verdict", "The chain is whole")
	p.SeeIn("#verdict", "entries were checked")
	p.Axe()
	p.Shot("settings-audit-verified")
}

// TestAuditIsForThoseWhoMay: others are refused, and not offered it.
func TestAuditIsForThoseWhoMay(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{As: w.Member(tandem.Manager)})
	p.Allow(403, "/settings/audit")
	p.Open("settings/audit")
	p.See("Not allowed")
	p.Open("settings/audit/export")
	p.See("Not allowed")
}
