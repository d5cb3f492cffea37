package device_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tandem"
	"tandem/registry"
	"tandem/web/webtest"
)

// TestTags: tags of a selection change here, after a preview, and by the next sync on the service.
func TestTags(t *testing.T) {
	t.Parallel()
	w := open(t, 12)
	w.Each(t, func(t *testing.T, p *webtest.Page) {
		tag := "look-" + p.Options().Theme + fmt.Sprint(p.Options().Width)
		p.Open("devices")
		pick(p, w.fleet[0], w.fleet[2])
		p.SeeIn("#selection", "2 selected")
		p.Click("#selection button >> Tags")
		p.SeeIn("#bulk", "Change tags")
		p.Click("#bulk button >> Preview for 2 devices")
		p.SeeIn("#bulk", "Say which tags to add or to take away")
		p.Fill("#bulk [name=add]", tag)
		p.Click("#bulk button >> Preview for 2 devices")
		p.SeeIn("#bulk", "2 devices change.")
		p.SeeIn("#bulk mark", strings.Split(tag, "-")[0])
		p.Axe()
		p.Shot("devices-bulk")
		p.Click("#bulk button >> Change tags of 2 devices")
		p.Told("2 devices changed.")
		p.WaitGone("#bulk")
		if got, want := w.tagged(tag), []string{w.fleet[0].Name, w.fleet[2].Name}; !slices.Equal(got, want) {
			t.Errorf("%v have the tag, want %v", got, want)
		}
	})
	w.Sync()
	if got := len(w.Remote(w.fleet[0]).TagIDs); got != len(w.row(w.fleet[0].ID).Tags) {
		t.Errorf("on the service the device has %d tags, here %v", got, w.row(w.fleet[0].ID).Tags)
	}
}

// TestEditAll: all that a filter finds is edited, also what is not on the page.
func TestEditAll(t *testing.T) {
	t.Parallel()
	w := open(t, 70)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices?sync=synced")
	p.Click("label >> Select all 70")
	p.SeeIn("#selection", "70 selected")
	p.Click("#selection button >> Edit")
	p.Click("#bulk label >> Type")
	p.Fill("#bulk [name='to.device_type']", "gauge")
	p.Click("#bulk label >> Lifecycle")
	p.Choose("#bulk [name='to.lifecycle']", "Maintenance")
	p.Click("#bulk button >> Preview for 70 devices")
	p.SeeIn("#bulk-count", "70 devices change.")
	p.Click("#bulk button >> Back")
	if got := p.Value("#bulk [name='to.device_type']"); got != "gauge" {
		t.Errorf("the type that was typed is %q by now", got)
	}
	p.Click("#bulk button >> Preview for 70 devices")
	// Meanwhile another one is found: the number that was agreed to holds no more.
	w.create("Late", registry.DeviceEdit{})
	p.Click("#bulk button >> Change 70 devices")
	p.Told("70 devices edited.")
	if n := len(w.list(tandem.DeviceFilter{Type: "gauge", Lifecycle: tandem.Maintenance})); n != 70 {
		t.Errorf("%d devices are gauges, want 70", n)
	}
	p.Open("devices")
	p.Click("label >> Select all 71")
	p.Click("#selection button >> Edit")
	p.Click("#bulk label >> Notes")
	p.Fill("#bulk [name='to.notes']", "seen")
	p.Click("#bulk button >> Preview for 71 devices")
	p.SeeIn("#bulk-count", "71 devices change.")
	w.create("Later", registry.DeviceEdit{})
	p.Click("#bulk button >> Change 71 devices")
	p.SeeIn("#bulk", "finds 72 devices by now")
	p.Click("#bulk button >> Change 72 devices")
	p.Told("72 devices edited.")
	for _, d := range w.list(tandem.DeviceFilter{}) {
		if d.Notes != "seen" {
			t.Errorf("%s has the notes %q", d.Name, d.Notes)
		}
	}
}

// TestSomeFail: what fails is told device by device, and keeps the others from nothing.
func TestSomeFail(t *testing.T) {
	t.Parallel()
	w := open(t, 5)
	var full []string
	for i := range 100 {
		full = append(full, fmt.Sprintf("t%03d", i))
	}
	d := w.create("Full of tags", registry.DeviceEdit{Tags: &full})
	p := w.Browser(t, webtest.Options{})
	p.Open("devices")
	p.Click("#select-page")
	p.SeeIn("#selection", "6 selected")
	p.Click("#selection button >> Tags")
	p.Fill("#bulk [name=add]", "extra")
	p.Click("#bulk button >> Preview")
	p.SeeIn("#bulk", "1 device cannot be changed")
	p.SeeIn("#bulk #failed", "Full of tags")
	p.Click("#bulk button >> Change tags of 5 devices")
	p.SeeIn("#bulk", "5 devices changed, 1 failed.")
	p.SeeIn("#bulk #failed", "at most 100 are allowed")
	p.Axe()
	if n := len(w.tagged("extra")); n != 5 {
		t.Errorf("%d devices have the tag, want 5", n)
	}
	p.Click("#bulk #failed a >> Full of tags")
	p.WaitPath("/o/" + w.Org.Slug + "/devices/" + d.ID)
}

// TestUnlinkAndLinkMany: links of a selection end here, and come again as they are proposed.
func TestUnlinkAndLinkMany(t *testing.T) {
	t.Parallel()
	w := open(t, 6)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices")
	pick(p, w.fleet[0], w.fleet[1])
	p.Click("#selection button >> Unlink")
	p.Click("#bulk button >> Preview for 2 devices")
	p.SeeIn("#bulk-count", "2 devices are unlinked from golioth.")
	p.Click("#bulk button >> Unlink 2 devices")
	p.Told("2 devices unlinked.")
	for _, d := range w.fleet[:2] {
		if got := w.row(d.ID).Assignments[0].Status; got != tandem.SyncUnlinked {
			t.Errorf("the link of %s is %s", d.Name, got)
		}
	}
	if n := len(w.Fleet()); n != 4 {
		t.Errorf("%d devices are linked, want 4", n)
	}
	w.Run(tandem.OpBidirectional) // which finds them not linked there
	p.Open("devices?sync=unlinked")
	p.WaitCount("#devices tbody tr", func(n int) bool { return n == 2 })
	p.Click("#select-page")
	p.Click("#selection button >> Link")
	p.SeeIn("#pairs", "linked before")
	p.Axe()
	p.Click("#bulk button >> Link 2 proposed devices")
	p.Told("2 devices linked.")
	for _, d := range w.fleet[:2] {
		if a := w.row(d.ID).Assignments[0]; a.Status == tandem.SyncUnlinked || a.ExternalDeviceID != d.Assignments[0].ExternalDeviceID {
			t.Errorf("%s is linked to %s, %s", d.Name, a.ExternalDeviceID, a.Status)
		}
	}
}

// TestLongChange: what takes long is done on a page that says how far it is, and ends with what was done.
func TestLongChange(t *testing.T) {
	t.Parallel()
	w := open(t, 510)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices?sync=synced")
	p.Click("label >> Select all 510")
	p.SeeIn("#selection", "510 selected")
	if on := p.Value("#pick-" + w.fleet[3].ID); on != "true" {
		t.Errorf("a device on the page is marked: %s", on)
	}
	p.Click("#pick-" + w.fleet[3].ID)
	p.SeeIn("#selection", "49 selected")
	p.Click("label >> Select all 510")
	p.Click("#selection button >> Tags")
	p.Fill("#bulk [name=add]", "many")
	p.Click("#bulk button >> Preview for 510 devices")
	p.SeeIn("#bulk", "piece by piece")
	p.Click("#bulk button >> Back")
	p.SeeIn("#bulk", "Add these tags")
	p.Click("#bulk button >> Preview for 510 devices")
	p.Click("#bulk button >> Change tags of 510 devices")
	p.WaitPath(w.Path("devices/bulk"))
	p.See("510 devices changed.")
	p.Axe()
	if n := len(w.tagged("many")); n != 510 {
		t.Errorf("%d devices have the tag, want 510", n)
	}
	p.Click("a >> Back to the list")
	p.WaitPath(w.Path("devices?sync=synced"))
}

// TestLinkCrowd: of more devices than fit a form, those that have exactly one that fits are linked, once it was shown which.
func TestLinkCrowd(t *testing.T) {
	t.Parallel()
	w := open(t, 110)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices?sync=synced")
	p.SeeIn("#live", "Live")
	p.Click("label >> Select all 110")
	p.SeeIn("#selection", "110 selected")
	p.Click("#selection button >> Unlink")
	p.Click("#bulk button >> Preview for 110 devices")
	p.Click("#bulk button >> Unlink 110 devices")
	p.Told("110 devices unlinked.")
	w.Run(tandem.OpBidirectional) // which finds them not linked there
	w.create("Fits nothing", registry.DeviceEdit{})
	p.Open("devices")
	p.Click("label >> Select all 111")
	p.SeeIn("#selection", "111 selected")
	p.Click("#selection button >> Link")
	p.Click("#bulk button >> Look for 111 devices")
	p.SeeIn("#bulk-count", "110 devices have exactly one that fits")
	p.See("1 other is left alone")
	p.See("… and 10 more.")
	p.Axe()
	p.Shot("devices-link-many")
	p.Click("button >> Link 110 devices")
	p.See("110 devices linked.")
	if n := len(w.Fleet()); n != 110 {
		t.Errorf("%d devices are linked, want 110", n)
	}
}

// TestDeleteMany: a selection goes, after it was said how many.
func TestDeleteMany(t *testing.T) {
	t.Parallel()
	w := open(t, 5)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices")
	pick(p, w.fleet[0], w.fleet[4])
	p.Click("#selection button >> Delete")
	p.SeeIn("#bulk", "keeps them there")
	p.Click("#bulk button >> Preview for 2 devices")
	p.WaitFor("#bulk-count")
	p.Click("#bulk button >> Cancel")
	p.WaitGone("#bulk")
	if n := len(w.list(tandem.DeviceFilter{})); n != 5 {
		t.Fatalf("%d devices are left although nothing was confirmed", n)
	}
	p.Click("#selection button >> Delete")
	p.Click("#bulk button >> Preview for 2 devices")
	p.SeeIn("#bulk-count", "2 devices are deleted.")
	p.Click("#bulk button >> Delete 2 devices")
	p.Told("2 devices deleted.")
	p.WaitGone("#device-" + w.fleet[0].ID)
	if n := len(w.list(tandem.DeviceFilter{})); n != 3 {
		t.Errorf("%d devices are left, want 3", n)
	}
	if got := w.Remote(w.fleet[0]).Name; got != w.fleet[0].Name {
		t.Errorf("on the service it is %q", got)
	}
}

// TestExport: the file has the selection, or all that the filter finds, and can be imported again.
func TestExport(t *testing.T) {
	t.Parallel()
	w := open(t, 55)
	p := w.Browser(t, webtest.Options{})
	file := func(format string) string {
		t.Helper()
		p.Click("#selection button >> Export")
		p.Choose("#bulk [name=format]", format)
		var text string
		p.Eval(`(() => { const f = document.querySelector("#bulk form"); return fetch(f.action, { method: "POST", body: new URLSearchParams(new FormData(f)) }).then((r) => r.text()) })()`, &text)
		p.Press("Escape")
		p.WaitGone("#bulk")
		return text
	}
	p.Open("devices")
	pick(p, w.fleet[0], w.fleet[1])
	got := file("csv")
	if lines := strings.Split(strings.TrimSpace(got), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "device_id,name,") || !strings.Contains(got, w.fleet[1].Assignments[0].ExternalDeviceID) {
		t.Errorf("the file is\n%s", got)
	}
	p.Open("devices?service=" + w.Service.ID)
	p.Click("label >> Select all 55")
	got = file("jsonl")
	if n := strings.Count(got, "\n"); n != 55 {
		t.Errorf("the file has %d lines, want 55", n)
	}
	report, err := w.API.ImportDevices(t.Context(), w.Org.ID, strings.NewReader(got), registry.ImportOptions{DryRun: true}, nil)
	if err != nil || report.Unchanged != 55 {
		t.Errorf("imported again it is %+v, %v", report, err)
	}
}
