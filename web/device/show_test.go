package device_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"tandem"
	"tandem/api/client"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/web/webtest"
)

// TestShow: a device's page has all of it, in both themes and at phone width.
func TestShow(t *testing.T) {
	t.Parallel()
	w := open(t, 6)
	d := w.fleet[0]
	w.update(d.ID, registry.DeviceEdit{Metadata: &tandem.Map{"site": tandem.Map{"name": "north hall", "floor": 3}}, Notes: of("behind the pump")})
	w.Conflict(d, "name", "Here it is", "There it is")
	w.Each(t, func(t *testing.T, p *webtest.Page) {
		p.Open("devices/" + d.ID)
		p.SeeIn("#device", "behind the pump")
		p.SeeIn("#links", d.Assignments[0].ExternalDeviceID)
		p.SeeIn("#conflicts", "Name")
		p.SeeIn("#sides", "There it is")
		p.SeeIn("#sides [data-path='name']", "changed on both")
		p.SeeIn("#history", "Notes")
		p.Axe()
		p.Shot("device")
	})
}

// TestSides: what each side has stands beside each other with what differs marked, and a service that does not answer
// is said to.
func TestSides(t *testing.T) {
	t.Parallel()
	w := open(t, 4)
	d := w.fleet[0]
	w.EditRemote(d, "name", "Other name there")
	w.Edit(d, "metadata/floor", 7)
	p := w.page(t, d.ID)
	p.SeeIn("#sides [data-path='name']", "changed there")
	p.SeeIn("#sides [data-path='name'] mark", "Other")
	p.SeeIn("#sides [data-path='metadata/floor']", "changed here")
	p.SeeIn("#sides", "2 differences")
	w.Simulator.AddFault(simulator.Fault{Kind: "503"})
	p.Allow(503, "part=sides")
	p.Click("#sides a >> Ask again")
	p.SeeIn("#sides", "no answer")
	p.SeeIn("#sides", "could not be asked")
	p.SeeIn("#sides [data-path='name']", d.Name)
	p.Axe()
}

// TestEdit: what is edited here is so in the API, and by the next sync on the service.
func TestEdit(t *testing.T) {
	t.Parallel()
	w := open(t, 4)
	d := w.fleet[0]
	p := w.page(t, d.ID)
	p.Click("a >> Edit")
	p.WaitPath("/o/" + w.Org.Slug + "/devices/" + d.ID + "/edit")
	p.Axe()
	p.Fill("#f-name", "")
	p.Eval(`document.querySelector("#device-form").noValidate = true`, nil)
	p.Fill("#f-metadata", `{"floor": }`)
	p.Allow(422, "/edit$")
	p.Click("button >> Save")
	p.SeeIn("#f-metadata-error", "is not JSON")
	if got := p.Value("#f-metadata"); got != `{"floor": }` {
		t.Errorf("what was typed is %q by now", got)
	}
	p.Fill("#f-name", "Pump in the north")
	p.Fill("#f-metadata", `{"floor": 2}`)
	p.Fill("#f-tags", "alpha, beta")
	p.Click("label >> Enabled")
	p.Click("button >> Save")
	p.Told("saved")
	p.WaitPath("/o/" + w.Org.Slug + "/devices/" + d.ID)
	got := w.Device(d.ID)
	if got.Name != "Pump in the north" || got.Enabled == d.Enabled || len(got.Tags) != 2 || rawText(got.Metadata) != `{"floor":2}` {
		t.Errorf("the device is %+v", got)
	}
	p.SeeIn("#history", "Pump in the north")
	w.Sync()
	if there := w.Remote(d); there.Name != "Pump in the north" || there.Enabled == d.Enabled || len(there.TagIDs) != 2 {
		t.Errorf("on the service it is %+v", there)
	}
}

func rawText(m tandem.Map) string {
	text, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestSecondEditor is shown what somebody else saved meanwhile, and chooses; nothing is lost.
func TestSecondEditor(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	d := w.fleet[0]
	p := w.Browser(t, webtest.Options{})
	p.Allow(422, "/edit$")
	p.Open("devices/" + d.ID + "/edit")
	p.Fill("#f-name", "Mine")
	p.Fill("#f-notes", "my notes")
	w.update(d.ID, registry.DeviceEdit{Name: of("Theirs"), DeviceType: of("valve")})
	p.Click("button >> Save")
	p.SeeIn("#device-form", "Somebody else changed this device")
	inSight := func() {
		w.Wait("what somebody else changed in sight", func() bool {
			var top float64
			p.Eval(`document.querySelector("#device-form .alert")?.getBoundingClientRect().top ?? -1`, &top)
			return top >= 0 && top <= 700
		})
	}
	inSight()
	p.SeeIn("#clashes", "Theirs")
	p.SeeIn("#clashes", "Mine")
	p.SeeIn("#clashes", "valve")
	p.Axe()
	p.Shot("device-clash")
	if got := w.Device(d.ID); got.Name != "Theirs" || got.Notes != "" {
		t.Errorf("before the choice the device is %+v", got)
	}
	p.Click("#clashes label >> Keep mine")
	p.Click("button >> Save")
	p.Told("saved")
	if got := w.Device(d.ID); got.Name != "Mine" || got.Notes != "my notes" || got.DeviceType != "valve" {
		t.Errorf("after the choice the device is %+v", got)
	}

	p.Open("devices/" + d.ID + "/edit")
	p.Fill("#f-name", "Mine again")
	p.Fill("#f-cohort", "")
	p.Fill("#f-blueprint", "")
	w.update(d.ID, registry.DeviceEdit{Name: of("Theirs again")})
	p.Click("button >> Save")
	inSight()
	p.Click("#clashes label >> Take what is stored")
	p.Click("button >> Save")
	p.Told("saved")
	if got := w.Device(d.ID); got.Name != "Theirs again" || got.Blueprint != "" {
		t.Errorf("after the other choice the device is %+v", got)
	}
}

// TestCreate: a device is made with what was typed; what is wrong is marked, and the rest stays.
func TestCreate(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	p := w.Browser(t, webtest.Options{})
	p.Allow(422, "/new$")
	p.Open("devices/new")
	p.Axe()
	p.Fill("#f-name", "Fresh one")
	p.Fill("#f-device_id", w.fleet[0].DeviceID)
	p.Fill("#f-hardware_ids", "HW-1\nHW-2")
	p.Click("button >> Create device")
	p.SeeIn("#f-device_id-error", "exists already")
	if got := p.Value("#f-hardware_ids"); got != "HW-1\nHW-2" {
		t.Errorf("what was typed is %q by now", got)
	}
	p.Fill("#f-device_id", "fresh-1")
	p.Click("button >> Create device")
	p.Told("Fresh one is created.")
	got := w.Device("fresh-1")
	if got.Name != "Fresh one" || len(got.HardwareIDs) != 2 || !got.Enabled {
		t.Errorf("the device is %+v", got)
	}
	p.WaitPath("/o/" + w.Org.Slug + "/devices/" + got.ID)
	p.See("This device is here only")
}

// TestDelete: a device goes after a question, and not when it moved since.
func TestDelete(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	d := w.fleet[0]
	p := w.page(t, d.ID)
	p.Allow(409, "/delete$")
	p.Click("a >> Delete")
	p.SeeIn("#delete", "keeps it there")
	w.update(d.ID, registry.DeviceEdit{Notes: of("not yet")})
	p.Click("#delete button >> Delete " + d.Name)
	p.Told("changed meanwhile")
	w.Device(d.ID)
	p.Press("Escape")
	p.WaitGone("#delete")
	p.Click(".toast-line .btn-close")
	watching := w.page(t, d.ID)
	watching.SeeIn("#live", "Live")
	p.Click("a >> Delete")
	p.Click("#delete button >> Delete " + d.Name)
	p.Told("is deleted")
	watching.SeeIn("#device", "was deleted just now")
	p.WaitPath("/o/" + w.Org.Slug + "/devices")
	if n := len(w.list(tandem.DeviceFilter{})); n != 2 {
		t.Errorf("%d devices are left, want 2", n)
	}
}

// TestSyncNow: a sync of the one device is started, and shows when it is done.
func TestSyncNow(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	d := w.fleet[0]
	w.EditRemote(d, "name", "Renamed there")
	p := w.page(t, d.ID)
	p.Click("button >> Sync now")
	p.Told("is synced with golioth now")
	p.SeeIn("#syncs", "completed")
	p.SeeIn("#sides [data-path='name']", "same")
	p.SeeIn("#history", "Renamed there")
	if got := w.Device(d.ID).Name; got != "Renamed there" {
		t.Errorf("here it is %q", got)
	}
	p.Click("#syncs [data-run]")
	p.WaitPath("/o/" + w.Org.Slug + "/history/")
}

// TestLinkBySearch: a device is linked to one found on the service, unlinked and linked again.
func TestLinkBySearch(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	remote, err := w.Simulator.CreateDevice(webtest.Project, tandem.NewRemoteDevice{Name: "Lone pump", HardwareIDs: []string{"lone-1"}})
	w.must(err)
	w.must(second(w.API.UpdateService(t.Context(), w.Org.ID, w.Service.ID, client.ServiceEdit{Config: func(c *tandem.ServiceConfig) { c.CreateLocal = false }})))
	w.Run(tandem.OpImport)
	d := w.create("A pump here", registry.DeviceEdit{})
	p := w.page(t, d.ID)
	p.Click("a >> Link to a remote device")
	p.Fill("#link-search", "nothing of the kind")
	p.SeeIn("#found", "Nothing that is not linked has this in its name")
	p.Fill("#link-search", "LONE")
	p.SeeIn("#found", remote.ID)
	p.Axe()
	p.Click("#found button >> Link to Lone pump")
	p.Told("is linked to " + remote.ID)
	p.WaitGone("#link")
	p.SeeIn("#links", remote.ID)
	row := w.row(d.ID)
	if len(row.Assignments) != 1 || row.Assignments[0].ExternalDeviceID != remote.ID {
		t.Fatalf("the links are %+v", row.Assignments)
	}
	p.SeeIn("#sides", "Lone pump")
	p.Click("#links button >> Unlink")
	p.Confirm(true)
	p.Told("is unlinked")
	p.SeeIn("#links", "unlinked")
	if got := w.row(d.ID).Assignments[0].Status; got != tandem.SyncUnlinked {
		t.Errorf("the link is %s", got)
	}
	p.Click("#links button >> Link again")
	p.Told("is linked to " + remote.ID)
	p.WaitGone("#links button >> Link again")
	if got := w.row(d.ID).Assignments[0].Status; got == tandem.SyncUnlinked {
		t.Errorf("the link is %s", got)
	}
}

func second[A any](_ A, err error) error { return err }

// TestHistory: what changed a field is told, by whom, and narrowed to the field.
func TestHistory(t *testing.T) {
	t.Parallel()
	w := open(t, 2)
	d := w.fleet[0]
	w.update(d.ID, registry.DeviceEdit{Notes: of("a note")})
	w.EditRemote(d, "name", "Name from there")
	w.Sync()
	p := w.page(t, d.ID)
	p.SeeIn("#history tbody tr:first-child", "Name from there")
	p.SeeIn("#history", w.Owner.Email)
	p.Choose("#history-field", "notes")
	p.NotSeeIn("#history", "Name from there")
	p.SeeIn("#history", "a note")
	p.Choose("#history-field", "name")
	p.SeeIn("#history", "Name from there")
	p.Click("#history a >> sync by hand")
	p.WaitPath("/o/" + w.Org.Slug + "/history/")
}

// TestSameFailure: a failure that comes again with each sync is one row, which leads to each of them.
func TestSameFailure(t *testing.T) {
	t.Parallel()
	w := open(t, 2)
	d := w.fleet[0]
	w.update(d.ID, registry.DeviceEdit{Name: of(w.fleet[1].Name)}) // a name is one device's there
	for range 3 {
		w.Run(tandem.OpBidirectional)
	}
	entries, total, err := w.API.DeviceHistory(t.Context(), w.Org.ID, d.ID, tandem.HistoryFilter{Field: "name"})
	w.must(err)
	failed := 0
	for _, e := range entries {
		if e.Outcome == tandem.OutcomeFailed {
			failed++
		}
	}
	if failed < 3 {
		t.Fatalf("the API tells of %d failures, want 3 or more: %+v", failed, entries)
	}
	p := w.page(t, d.ID)
	said := strconv.Itoa(failed) + " times"
	p.SeeIn("#syncs", said)
	p.WaitCount("#syncs [data-times]", func(n int) bool { return n == 1 })
	p.SeeIn("#history tbody tr:first-child", said)
	p.SeeIn("#history tbody tr:first-child", "first")
	p.Axe()
	p.Choose("#history-field", "name")
	p.WaitCount("#history tbody tr", func(n int) bool { return n == total-failed+1 })
	p.Click("#history tbody a >> " + said)
	p.SeeIn("#history", "Each of "+strconv.Itoa(total)+" entries by itself")
	p.WaitCount("#history tbody tr", func(n int) bool { return n == total })
	p.Click("#history a >> Put those that say the same into one row")
	p.WaitCount("#history tbody tr", func(n int) bool { return n == total-failed+1 })
	p.Click("#history tbody tr:first-child a >> sync")
	p.WaitPath("/o/" + w.Org.Slug + "/history/")
}

// TestLive: a page that is open follows what happens to its device.
func TestLive(t *testing.T) {
	t.Parallel()
	w := open(t, 2)
	d := w.fleet[0]
	p := w.page(t, d.ID)
	p.SeeIn("#live", "Live")
	p.SeeIn("#sides", "the same on both")
	w.update(d.ID, registry.DeviceEdit{Notes: of("just written"), Metadata: &tandem.Map{"new": "leaf"}})
	p.SeeIn("#device", "just written")
	p.SeeIn("#history", "just written")
	p.SeeIn("#sides", "leaf")
}
