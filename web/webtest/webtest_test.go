package webtest_test

import (
	"os"
	"testing"

	"tandem"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// TestWorld: what a test is given is there, on both sides.
func TestWorld(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t, webtest.WithService(nil))
	if run := w.Import(); run.Summary.Local.Created != 24 {
		t.Fatalf("%d devices were imported, want 24", run.Summary.Local.Created)
	}
	row := w.Fleet()[0]
	c := w.Conflict(row, "name", "here", "there")
	if string(c.LocalValue) != `"here"` || string(c.RemoteValue) != `"there"` {
		t.Errorf("the conflict is %+v", c)
	}
	if got := w.Remote(row).Name; got != "there" {
		t.Errorf("at the other end the name is %q", got)
	}
	if members, n, err := w.API.Users(t.Context(), w.Org.ID, tandem.MemberFilter{}); err != nil || n != 1 || members[0].User.ID != w.Owner.ID {
		t.Errorf("the organization has %d members (%+v), %v; want its owner alone", n, members, err)
	}
}

// TestPage: what a person does with a page works, and what must not happen on it is noticed.
func TestPage(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	w.Each(t, func(t *testing.T, p *webtest.Page) {
		p.Open("alerts")
		p.See("Nothing needs you")
		p.Axe()
		p.Shot("alerts")
		t.Log(p.Size())
	})
}
