package setting_test

import (
	"strings"
	"testing"

	"tandem"
	"tandem/web/webtest"
)

// TestInvite: an invitation's link is shown where no mail is set up, leads in, and ends when it is taken back.
func TestInvite(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/people")
	p.Fill("#invite #f-email", "guest@example.com")
	p.Choose("#invite-role", string(tandem.Manager))
	p.Click("#invite button >> Invite")
	p.Told("guest@example.com is invited.")
	link := p.Value("#invitation-link")
	if !strings.HasPrefix(link, w.URL+"/invitation?token=") {
		t.Fatalf("the link is %q", link)
	}
	all, err := w.API.Invitations(t.Context(), w.Org.ID)
	must(t, err)
	at := -1
	for i := range all {
		if all[i].Email == "guest@example.com" {
			at = i
		}
	}
	if at < 0 || all[at].Role != tandem.Manager {
		t.Fatalf("the API has the invitations %+v", all)
	}
	guest := w.Browser(t, webtest.Options{SignedOut: true})
	guest.OpenAt(strings.TrimPrefix(link, w.URL))
	guest.See("Join " + w.Org.Name)
	p.Open("settings/people")
	p.NotSee(link)
	p.Click(`button[aria-label="Revoke the invitation of guest@example.com"]`)
	p.Confirm(true)
	p.Told("void")
	all, err = w.API.Invitations(t.Context(), w.Org.ID)
	must(t, err)
	if all[at].RevokedAt == nil {
		t.Error("the API says that the invitation is open")
	}
	guest.Allow(404, "/invitation")
	guest.OpenAt(strings.TrimPrefix(link, w.URL))
	guest.See("does not work")
}

// TestRole: a role is changed; what somebody else did meanwhile is shown first, and nothing is lost.
func TestRole(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	who := w.Member(tandem.Viewer)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/people?search=" + who.Email)
	p.Click(`a[aria-label="Change ` + who.Email + `"]`)
	p.WaitPath(w.Path("settings/people/" + who.ID))
	_, err := w.API.ChangeRole(t.Context(), w.Org.ID, who.ID, tandem.Operator)
	must(t, err)
	p.Choose("#member-role", string(tandem.Manager))
	p.Click("#role button >> Change the role")
	p.See("Somebody else changed this person meanwhile")
	p.See("it was viewer when you opened the page, and is operator now")
	if got := member(t, w, who.ID).Role; got != tandem.Operator {
		t.Errorf("the role is %s although the page warned", got)
	}
	p.Axe()
	if got := p.Value("#member-role"); got != string(tandem.Manager) {
		t.Errorf("the choice became %q", got)
	}
	p.Click("#role button >> Change the role")
	p.Told("is manager now")
	if got := member(t, w, who.ID).Role; got != tandem.Manager {
		t.Errorf("the API says that the role is %s", got)
	}
}

// TestLastOwner: who owns the organization alone keeps that role, and is told why.
func TestLastOwner(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/people/" + w.Owner.ID)
	p.Choose("#member-role", string(tandem.Viewer))
	p.Click("#role button >> Change the role")
	p.See("last owner")
	if got := member(t, w, w.Owner.ID).Role; got != tandem.Owner {
		t.Errorf("the role is %s", got)
	}
}

// TestDisable: who is disabled cannot sign in, and can once that is taken back.
func TestDisable(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	who := w.Member(tandem.Viewer)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/people/" + who.ID)
	p.Click("#lock button >> Disable")
	p.Confirm(true)
	p.Told("cannot sign in any more")
	if member(t, w, who.ID).DisabledAt == nil {
		t.Error("the API says that the person may sign in")
	}
	if status, _ := signIn(t, w, who.Email, who.Password); status != 401 {
		t.Errorf("signing in is answered with %d", status)
	}
	p.Click("#lock button >> Let them sign in again")
	p.Told("can sign in again")
	if status, _ := signIn(t, w, who.Email, who.Password); status != 200 {
		t.Errorf("signing in is answered with %d", status)
	}
}

// TestRemove: who is removed belongs to the organization no more.
func TestRemove(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	who := w.Member(tandem.Viewer)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/people/" + who.ID)
	p.Click("#remove button >> Remove from")
	p.Confirm(false)
	member(t, w, who.ID)
	p.Click("#remove button >> Remove from")
	p.Confirm(true)
	p.Told("does not belong to")
	if _, err := w.API.User(t.Context(), w.Org.ID, who.ID); !tandem.Is(err, tandem.NotFound) {
		t.Errorf("the API gives %v for who was removed", err)
	}
}

// TestSearch: people are found by a part of their email, and what a role does not include is not offered.
func TestSearch(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	who := w.Member(tandem.Manager)
	p := w.Browser(t, webtest.Options{As: who})
	p.Open("settings/people")
	p.SeeIn("#members", w.Owner.Email)
	p.Fill("#search", who.Email)
	p.NotSeeIn("#members", w.Owner.Email)
	p.SeeIn("#members", who.Email)
	p.WaitGone("#invite")
	p.WaitGone("nav.tabs a >> Audit")
}
