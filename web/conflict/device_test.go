package conflict_test

import (
	"testing"

	"tandem"
	"tandem/web/webtest"
)

// TestMatch: an ambiguous match is linked to one of its candidates, to a device that was searched for, or becomes a new one.
func TestMatch(t *testing.T) {
	t.Parallel()
	w := open(t, 2)
	p := w.Browser(t, webtest.Options{})

	c := w.ambiguous("twin")
	p.Open("conflicts")
	p.SeeIn(at(c)+" [data-side=local]", "twin-2")
	p.Click(at(c) + " [data-side=local] li:nth-of-type(2) button >> Link")
	p.Told("it was linked")
	p.WaitGone(at(c))
	if second := w.row("twin-2"); len(second.Assignments) != 1 || second.Assignments[0].ExternalDeviceID != c.ExternalDeviceID {
		t.Errorf("the second is linked to %+v", second.Assignments)
	}

	c = w.ambiguous("pair")
	p.WaitFor(at(c))
	p.Click(at(c) + " a >> Link to")
	p.Fill("#link-search", "pair-1")
	p.WaitCount("#found li", func(n int) bool { return n == 1 })
	p.Axe()
	p.Click("#found button >> Link")
	p.WaitGone(at(c))
	if first := w.row("pair-1"); len(first.Assignments) != 1 {
		t.Errorf("the first is linked to %+v", first.Assignments)
	}

	c = w.ambiguous("third")
	p.WaitFor(at(c))
	p.Click(at(c) + " button >> Create a new device here")
	p.Told("a new device was created here")
	if made := w.row(w.read(c.ID).DeviceID); made.Name != "third" || len(made.Assignments) != 1 {
		t.Errorf("what was created is %q, linked to %+v", made.Name, made.Assignments)
	}

	c = w.ambiguous("fourth")
	p.WaitFor(at(c))
	p.Click(at(c) + " button >> Ignore")
	p.WaitGone(at(c))
	if c = w.read(c.ID); c.Status != tandem.ConflictIgnored {
		t.Errorf("the conflict is %s", c.Status)
	}
}

// TestDeleted: a device that one side deleted and the other changed is created again, deleted too, or left alone.
func TestDeleted(t *testing.T) {
	t.Parallel()
	w := open(t, 4)
	for i := range 3 {
		w.deletedThere(w.fleet[i])
	}
	w.Run(tandem.OpBidirectional)
	p := w.Browser(t, webtest.Options{})
	p.Open("conflicts")
	again, kept, gone := w.about(w.fleet[0]), w.about(w.fleet[1]), w.about(w.fleet[2])
	p.SeeIn(at(again)+" [data-side=remote]", "deleted")
	p.SeeIn(at(again)+" [data-side=local]", "→ "+w.fleet[0].Name+" still wanted")

	p.Click(at(again) + " button >> Create on Golioth again")
	p.Confirm(true)
	p.WaitGone(at(again))
	if d, err := w.Simulator.DeviceByName(webtest.Project, w.fleet[0].Name+" still wanted"); err != nil {
		t.Errorf("it is not on Golioth again: %v %v", d, err)
	}

	p.Click(at(kept) + " button >> Keep here, unlink")
	p.WaitGone(at(kept))
	if row := w.row(w.fleet[1].ID); row.Assignments[0].Status != tandem.SyncUnlinked {
		t.Errorf("the link is %s", row.Assignments[0].Status)
	}

	p.Click(at(gone) + " button >> Delete here too")
	p.Confirm(false)
	p.WaitFor(at(gone))
	p.Click(at(gone) + " button >> Delete here too")
	p.Confirm(true)
	p.WaitGone(at(gone))
	if found, _, err := w.API.Devices(t.Context(), w.Org.ID, tandem.DeviceFilter{IDs: []string{w.fleet[2].ID}, Page: tandem.Page{Number: 1, Limit: 5}}); err != nil || len(found) != 0 {
		t.Errorf("it is still here: %d, %v", len(found), err)
	}
}

// TestDeletedHere: one that was deleted here and changed there is brought back.
func TestDeletedHere(t *testing.T) {
	t.Parallel()
	w := open(t, 8)
	row := w.fleet[0]
	if _, err := w.API.DeleteDevice(t.Context(), w.Org.ID, row.ID); err != nil {
		t.Fatal(err)
	}
	w.EditRemote(row, "name", "changed there since")
	w.Run(tandem.OpBidirectional)
	p := w.Browser(t, webtest.Options{Theme: "dark"})
	p.Open("conflicts")
	c := w.about(row)
	p.SeeIn(at(c)+" [data-side=local]", "deleted")
	p.SeeIn(at(c)+" [data-side=remote]", "changed there since")
	p.Click(at(c) + " button >> Bring back here")
	p.WaitGone(at(c))
	if d := w.Device(row.ID); d.DeletedAt != nil {
		t.Error("it is still deleted")
	}
}

// TestViewer: whoever may not settle sees the values and no buttons, and is refused.
func TestViewer(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	c := w.disputed(1)[0]
	p := w.Browser(t, webtest.Options{As: w.Member(tandem.Viewer), Width: webtest.Phone})
	p.Open("conflicts")
	p.SeeIn(at(c), "there a")
	if n := p.Count(at(c) + " button, " + at(c) + " input[type=checkbox]"); n != 0 {
		t.Errorf("there are %d controls that the person may not use", n)
	}
	p.Allow(403, "conflicts")
	var status int
	p.Eval(`fetch("`+w.Path("conflicts/"+c.ID+"/settle")+`", { method: "POST", body: new URLSearchParams({ take: "local", version: "`+"1"+`" }) }).then((r) => r.status)`, &status)
	if c = w.read(c.ID); status != 403 || !c.Open() {
		t.Errorf("the reply is %d, and the conflict %s", status, c.Status)
	}
}

// TestWithoutScript: a plain form settles, and leads back to the page that it was on, which tells what was done.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	w := open(t, 2)
	c := w.disputed(1)[0]
	p := w.Browser(t, webtest.Options{})
	p.Open("conflicts?sort=field_name")
	p.Eval(`(() => { const form = document.querySelector("`+at(c)+` form"); const by = form.querySelector("button[value=remote]"); const plain = form.cloneNode(true);
		plain.append(Object.assign(document.createElement("input"), { name: "take", value: "remote" })); for (const b of plain.querySelectorAll("button, a")) b.remove();
		document.body.append(plain); setTimeout(() => plain.submit(), 0); return by !== null; })()`, nil)
	p.Told("both sides have there a")
	p.WaitPath(w.Path("conflicts?sort=field_name"))
	if here, _ := w.names(w.fleet[0]); here != "there a" {
		t.Errorf("the name is %q", here)
	}
}

// row reads a device with its links, by id or device_id.
func (w *world) row(ref string) tandem.DeviceRow {
	w.t.Helper()
	d := w.Device(ref)
	found, _, err := w.API.Devices(w.t.Context(), w.Org.ID, tandem.DeviceFilter{IDs: []string{d.ID}, Page: tandem.Page{Number: 1, Limit: 1}})
	if err != nil || len(found) != 1 {
		w.t.Fatalf("find %s: %d, %v", ref, len(found), err)
	}
	return found[0]
}

// deletedThere has a device changed here and deleted on the service.
func (w *world) deletedThere(row tandem.DeviceRow) {
	w.t.Helper()
	w.Edit(row, "name", row.Name+" still wanted")
	if err := w.Simulator.DeleteDevice(webtest.Project, row.Assignments[0].ExternalDeviceID); err != nil {
		w.t.Fatal(err)
	}
}
