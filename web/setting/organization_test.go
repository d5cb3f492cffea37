package setting_test

import (
	"fmt"
	"testing"
	"time"

	"tandem"
	"tandem/registry"
	"tandem/web/webtest"
)

// TestOrganization: its name and short name change, another is made, and what is deleted is gone.
func TestOrganization(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	slug := w.Org.Slug + "-north"
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/organization")
	p.Fill("#f-name", "North works")
	p.Fill("#f-slug", slug)
	p.Fill("#f-escalate", "0")
	p.Click("#organization button >> Save")
	p.Told("North works is saved.")
	p.WaitPath("/o/" + slug + "/settings/organization")
	o, err := w.API.Organization(t.Context(), w.Org.ID)
	must(t, err)
	if o.Name != "North works" || o.Slug != slug || fmt.Sprint(o.Settings[tandem.EscalateSetting]) != "0" {
		t.Errorf("the API says that the organization is %+v", o)
	}

	p.Fill("#new-name", "Second of "+slug)
	p.Click("#found button >> Make it")
	p.Told("you own it")
	p.WaitPath("/o/second-of-" + slug)

	p.OpenAt("/o/" + slug + "/settings/organization")
	p.Fill("#f-confirm", "something else")
	p.Click("#delete button >> Delete everything")
	p.SeeIn("#delete", "Type "+slug+" to say that you mean it")
	p.Fill("#f-confirm", slug)
	p.Click("#delete button >> Delete everything")
	p.Told("North works is deleted.")
	if _, err := w.API.Organization(t.Context(), w.Org.ID); err == nil {
		t.Error("the API still has the organization")
	}
}

// TestOrganizationEditedByTwo: the second is shown what the first saved.
func TestOrganizationEditedByTwo(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/organization")
	theirs := "Their works"
	_, err := w.API.UpdateOrganization(t.Context(), w.Org.ID, registry.OrganizationEdit{Name: &theirs})
	must(t, err)
	p.Fill("#f-name", "My works")
	p.Click("#organization button >> Save")
	p.See("Somebody else saved this meanwhile")
	p.See("Their works")
	o, err := w.API.Organization(t.Context(), w.Org.ID)
	must(t, err)
	if o.Name != theirs {
		t.Errorf("the name is %q although the page warned", o.Name)
	}
	p.Click("#organization button >> Save")
	p.Told("My works is saved.")
}

// TestRetention: how long things are kept is what the server was started with.
func TestRetention(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t, webtest.Flags("--keep-runs", "17", "--keep-audit", "0"))
	p := w.Browser(t, webtest.Options{})
	p.Open("settings/retention")
	p.SeeIn("#retention tr >> Runs", "17 days")
	p.SeeIn("#retention tr >> Runs", "from before "+time.Now().UTC().AddDate(0, 0, -17).Format("2 January 2006"))
	p.SeeIn("#retention tr >> Runs", "Open conflicts")
	p.SeeIn("#retention tr >> Commands", "--keep-commands")
	p.SeeIn("#retention tr >> Audit", "for ever")
	p.SeeIn("#retention tr >> Audit", "--keep-audit")
}
