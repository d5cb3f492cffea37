package device_test

import (
	"strings"
	"testing"

	"tandem"
	"tandem/registry"
	"tandem/web/webtest"
)

// TestList: the devices are there, in both themes and at phone width, with all that can be done to them named.
func TestList(t *testing.T) {
	t.Parallel()
	w := open(t, 24)
	w.Each(t, func(t *testing.T, p *webtest.Page) {
		p.Open("devices")
		p.See(w.fleet[0].Name)
		p.SeeIn("#devices .list-tools", "24 devices")
		p.Axe()
		p.Shot("devices")
		if n := p.Size(); n > 350<<10 {
			t.Errorf("the page weighs %d bytes", n)
		}
	})
}

// TestEmptyList says what to do where there is no device.
func TestEmptyList(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices")
	p.See("No devices yet")
	p.Axe()
	p.Click("a >> Add one by hand")
	p.WaitPath("/o/" + w.Org.Slug + "/devices/new")
}

// TestFind: each filter finds what the API finds, and stands in the address, where it still is after a reload.
func TestFind(t *testing.T) {
	t.Parallel()
	w := open(t, 30)
	w.update(w.fleet[3].ID, registry.DeviceEdit{DeviceType: of("pump"), Tags: &[]string{"north"}, Lifecycle: of(tandem.Maintenance), Cohort: of("late")})
	w.create("Only here", registry.DeviceEdit{DeviceType: of("pump")})
	p := w.Browser(t, webtest.Options{})
	p.Open("devices")
	p.SeeIn("#devices .list-tools", "31 devices")
	p.Fill("#f-search", "ONLY h")
	p.SeeIn("#devices .list-tools", "1 device")
	p.WaitCount("#devices tbody tr", func(n int) bool { return n == 1 })
	if at := p.Path(); at != "/o/"+w.Org.Slug+"/devices?search=ONLY+h" {
		t.Errorf("the address is %q", at)
	}
	if got := p.Value("#f-search"); got != "ONLY h" {
		t.Errorf("the search holds %q", got)
	}
	p.Fill("#f-search", "")
	p.SeeIn("#devices .list-tools", "31 devices")
	for _, one := range []struct {
		field, option, key string
		filter             tandem.DeviceFilter
	}{
		{"#f-type", "pump", "type=pump", tandem.DeviceFilter{Type: "pump"}},
		{"#f-tag", "north", "tag=north", tandem.DeviceFilter{Tag: "north"}},
		{"#f-status", "offline", "status=offline", tandem.DeviceFilter{Status: tandem.Offline}},
		{"#f-status", "never_seen", "status=never_seen", tandem.DeviceFilter{Status: tandem.NeverSeen}},
		{"#f-sync", "synced", "sync=synced", tandem.DeviceFilter{SyncStatus: tandem.SyncSynced}},
		{"#f-sync", "none", "sync=none", tandem.DeviceFilter{NotLinked: true}},
		{"#f-service", "golioth", "service=" + w.Service.ID, tandem.DeviceFilter{ServiceID: w.Service.ID}},
	} {
		want := w.list(one.filter)
		p.Choose(one.field, one.option)
		p.WaitCount("#devices tbody tr", func(n int) bool { return n == len(want) })
		if at := p.Path(); !strings.HasSuffix(at, "devices?"+one.key) {
			t.Errorf("filtered by %s the address is %q", one.key, at)
		}
		p.OpenAt(p.Path())
		p.WaitCount("#devices tbody tr", func(n int) bool { return n == len(want) })
		p.Choose(one.field, "")
		p.WaitCount("#devices tbody tr", func(n int) bool { return n == 31 })
	}
	p.Click("#filter summary")
	p.Choose("#f-lifecycle", "Maintenance")
	p.WaitCount("#devices tbody tr", func(n int) bool { return n == 1 })
	p.SeeIn("#devices tbody", w.fleet[3].Name)
}

// TestNothingFound says so, and leads back.
func TestNothingFound(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices?search=no+such+device")
	p.See("No device fits")
	p.Click("a >> Show all devices")
	p.SeeIn("#devices .list-tools", "3 devices")
}

// TestSort: a heading sorts, and turns round.
func TestSort(t *testing.T) {
	t.Parallel()
	w := open(t, 60)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices")
	p.Click("#devices th a >> Name")
	p.WaitPath("/o/" + w.Org.Slug + "/devices?sort=name")
	p.Click("#devices th a >> Name")
	p.WaitPath("/o/" + w.Org.Slug + "/devices?sort=-name")
	want := w.list(tandem.DeviceFilter{Sort: "-name"})
	p.SeeIn("#devices tbody tr:first-child", want[0].Name)
	if got := p.Attribute("#devices th[aria-sort=descending]", "aria-sort"); got != "descending" {
		t.Errorf("the heading says %q", got)
	}
	p.Click("a.page-link >> Next")
	p.SeeIn("#devices tbody tr:first-child", want[50].Name)
	p.SeeIn("#devices", "51–60 of 60")
}

// TestColumns: what is chosen is shown, and remembered.
func TestColumns(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices?sort=name")
	p.Click(".columns summary")
	p.Click(".columns label >> Hardware IDs")
	p.Click(".columns label >> Battery")
	p.Click(".columns button >> Show")
	p.Told("shows these columns")
	p.SeeIn("#devices thead", "Hardware IDs")
	p.NotSeeIn("#devices thead", "Battery")
	p.SeeIn("#devices tbody", w.fleet[0].HardwareIDs[0])
	p.Open("devices")
	p.SeeIn("#devices thead", "Hardware IDs")
	p.Click(".columns summary")
	p.Click(".columns button >> As usual")
	p.SeeIn("#devices thead", "Battery")
}

// TestLiveList: what changes elsewhere shows by itself, and takes neither what is selected nor what is typed.
func TestLiveList(t *testing.T) {
	t.Parallel()
	w := open(t, 5)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices")
	p.SeeIn("#live", "Live")
	pick(p, w.fleet[1])
	w.update(w.fleet[0].ID, registry.DeviceEdit{Tags: &[]string{"just-now"}})
	p.SeeIn("#device-"+w.fleet[0].ID, "just-now")
	if p.Value("#pick-"+w.fleet[1].ID) != "true" {
		t.Error("the selection is lost")
	}
	p.SeeIn("#selection", "1 selected")
}

// TestRights: who may only look is offered nothing else, and is refused it.
func TestRights(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	viewer := w.Member(tandem.Viewer)
	p := w.Browser(t, webtest.Options{As: viewer})
	p.Open("devices")
	p.See(w.fleet[0].Name)
	for _, gone := range []string{"a >> New device", "a >> Import", "button >> Delete", "button >> Edit"} {
		if p.Count(gone) > 0 {
			t.Errorf("a viewer is offered %q", gone)
		}
	}
	p.Open("devices/" + w.fleet[0].ID)
	p.SeeIn("#device", w.fleet[0].DeviceID)
	for _, gone := range []string{"a >> Edit", "a >> Delete", "button >> Sync now", "button >> Unlink"} {
		if p.Count(gone) > 0 {
			t.Errorf("a viewer is offered %q", gone)
		}
	}
	p.Allow(403, "/edit$")
	p.Open("devices/" + w.fleet[0].ID + "/edit")
	p.See("Not allowed")
}
