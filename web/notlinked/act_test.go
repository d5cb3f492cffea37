package notlinked_test

import (
	"testing"
	"time"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/web/webtest"
)

// at is the selector of the row of a remote device.
func at(n tandem.NotLinked) string { return "#r-" + n.ExternalDeviceID }

// linked gives the remote id that a device is linked to.
func (w *world) linked(ref string) string {
	w.t.Helper()
	for _, row := range w.Fleet() {
		if row.ID == ref || row.DeviceID == ref || row.Name == ref {
			return row.Assignments[0].ExternalDeviceID
		}
	}
	return ""
}

// TestImport: one, some and all are imported and linked.
func TestImport(t *testing.T) {
	t.Parallel()
	w := open(t, 8)
	list := w.notLinked(all)
	if len(list) != 8 {
		t.Fatalf("%d are not linked, want 8", len(list))
	}
	p := w.Browser(t, webtest.Options{})
	p.Open("not-linked")
	p.SeeIn("[data-count=remote]", "8")
	p.Click(at(list[0]) + " button >> Import")
	p.Told("1 device is imported and linked")
	p.WaitGone(at(list[0]))
	if w.linked(list[0].Name) != list[0].ExternalDeviceID {
		t.Errorf("%s is not linked", list[0].Name)
	}

	for _, n := range list[1:3] {
		p.Click("#s-" + n.ExternalDeviceID)
	}
	p.SeeIn(".selected-bar [data-selected]", "2")
	p.Click(".selected-bar button >> Import")
	p.Told("2 devices are imported and linked")
	p.WaitGone(at(list[2]))
	if n := len(w.Fleet()); n != 3 {
		t.Errorf("%d are linked, want 3", n)
	}

	// One of the rest fails: it is said which, and why.
	gone := list[3]
	if err := w.Simulator.DeleteDevice(webtest.Project, gone.ExternalDeviceID); err != nil {
		t.Fatal(err)
	}
	p.Click("button >> Import all 5")
	p.See("4 devices are imported and linked, 1 not")
	p.SeeIn("main table", gone.ExternalDeviceID)
	p.Axe()
	if n := len(w.Fleet()); n != 7 {
		t.Errorf("%d are linked, want 7", n)
	}
	p.Click("a >> Back to the list")
	p.WaitPath(w.Path("not-linked"))
}

// TestIgnore: ignored ones are hidden, stay to be found, and come back.
func TestIgnore(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	list := w.notLinked(all)
	p := w.Browser(t, webtest.Options{Theme: "dark", Width: webtest.Phone})
	p.Open("not-linked")
	p.Click("#s-" + list[0].ExternalDeviceID)
	p.Click(".selected-bar button >> Ignore")
	p.Told("1 device is ignored")
	p.WaitGone(at(list[0]))
	if n := len(w.notLinked(all)); n != 2 {
		t.Errorf("%d are listed, want 2", n)
	}
	p.Choose("#reason", "ignored")
	p.WaitFor(at(list[0]))
	p.WaitGone(at(list[1]))
	p.Click("#s-" + list[0].ExternalDeviceID)
	p.Click(".selected-bar button >> List again")
	p.Told("1 device is listed again")
	p.WaitGone(at(list[0]))
	if n := len(w.notLinked(all)); n != 3 {
		t.Errorf("%d are listed, want 3", n)
	}
	p.Choose("#reason", "Every reason")
	p.Fill("#search", list[0].Name)
	p.WaitFor(at(list[0]))
	p.WaitGone(at(list[1]))
	ids := []string{list[0].ExternalDeviceID}
	ignore := func(is bool) { // as somebody else does
		if err := w.API.IgnoreRemote(t.Context(), w.Org.ID, w.Service.ID, ids, is); err != nil {
			t.Fatal(err)
		}
	}
	ignore(true)
	p.WaitGone(at(list[0]))
	ignore(false)
	p.WaitFor(at(list[0]))
}

// TestLink: one there is linked to one here: to what looks alike, or to what was searched for; and the other way.
func TestLink(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	list := w.notLinked(all)
	alike := w.create(list[0].Name+" (hall 2)", "h1")
	other := w.create("quite another", "h2")
	mine := w.create("mine", "h3")
	p := w.Browser(t, webtest.Options{})
	p.Open("not-linked")
	p.Click(at(list[0]) + " a >> Link")
	p.SeeIn("#found", "These look alike")
	p.SeeIn("#found", alike.Name)
	p.Axe()
	p.Click("#found button >> Link")
	p.Told("is linked to " + list[0].Name)
	p.WaitGone(at(list[0]))
	if w.linked(alike.ID) != list[0].ExternalDeviceID {
		t.Error("what looks alike is not linked")
	}

	p.Click(at(list[1]) + " a >> Link")
	p.Fill("#link-search", "quite")
	p.WaitCount("#found li", func(n int) bool { return n == 1 })
	p.Click("#found button >> Link")
	p.WaitGone(at(list[1]))
	if w.linked(other.ID) != list[1].ExternalDeviceID {
		t.Error("what was searched for is not linked")
	}

	p.Open("not-linked?side=local")
	p.Click("#r-" + mine.ID + " a >> Link")
	p.WaitCount("#found li", func(n int) bool { return n == 1 })
	p.Click("#found button >> Link")
	p.WaitGone("#r-" + mine.ID)
	if w.linked(mine.ID) != list[2].ExternalDeviceID {
		t.Error("mine is not linked")
	}
	p.See("Everything here is on Golioth")

	// What is unlinked is kept apart, and linked again from there.
	if _, err := w.API.Unlink(t.Context(), w.Org.ID, w.Service.ID, mine.ID); err != nil {
		t.Fatal(err)
	}
	p.Click("a >> Show unlinked ones")
	p.WaitFor("#r-" + mine.ID)
}

// TestCreate: what is here only is created on Golioth, one and all.
func TestCreate(t *testing.T) {
	t.Parallel()
	w := open(t, 1, "pump one", "pump two", "valve")
	p := w.Browser(t, webtest.Options{})
	p.Open("not-linked?side=local")
	p.SeeIn("[data-count=local]", "3")
	p.Click("#r-" + w.Device("valve").ID + " button >> Create")
	p.Confirm(false)
	p.Click("#r-" + w.Device("valve").ID + " button >> Create")
	p.Confirm(true)
	p.Told("1 device is being created on Golioth")
	p.WaitGone("#r-" + w.Device("valve").ID)
	if d, err := w.Simulator.DeviceByName(webtest.Project, "valve"); err != nil || d.ID != w.linked("valve") {
		t.Errorf("valve is not on Golioth, or not linked: %v %v", d.ID, err)
	}
	p.Fill("#search", "pump")
	p.WaitGone("#r-" + w.Device("valve").ID)
	p.Click("button >> Create all 2 on Golioth")
	p.Confirm(true)
	p.Told("2 devices are being created on Golioth")
	p.See("Nothing fits")
	for _, name := range []string{"pump one", "pump two"} {
		if _, err := w.Simulator.DeviceByName(webtest.Project, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRefused: whoever may not act sees the list without buttons; what Golioth refuses is told, and nothing is lost.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := open(t, 2)
	list := w.notLinked(all)
	p := w.Browser(t, webtest.Options{As: w.Member(tandem.Viewer)})
	p.Open("not-linked")
	p.WaitFor(at(list[0]))
	if n := p.Count("#list button, #list input[type=checkbox]"); n != 0 {
		t.Errorf("there are %d controls that the person may not use", n)
	}

	fault, err := simulator.ParseFault("500:GET /devices/" + list[0].ExternalDeviceID)
	if err != nil {
		t.Fatal(err)
	}
	p = w.Browser(t, webtest.Options{})
	p.Open("not-linked")
	w.Simulator.SetFaults(fault)
	p.Click(at(list[0]) + " button >> Import")
	p.SeeIn(".toast-warning, .toast-danger", "not")
	w.Simulator.SetFaults()
	if n := len(w.notLinked(all)); n != 2 {
		t.Errorf("%d are listed, want 2", n)
	}
}

// TestFarIsShown: while a page is still coming it shows how far it is.
func TestFarIsShown(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	w.Simulator.SetLatency(simulator.Latency{Mean: 2 * time.Second})
	p := w.Browser(t, webtest.Options{})
	p.Open("not-linked")
	p.Click("button >> Import all 3")
	p.WaitFor(".working .said progress")
	w.Simulator.SetLatency(simulator.Latency{})
	p.WaitGone(".working")
	p.SeeIn("main", "3 devices")
}
