package conflict_test

import (
	"testing"

	"tandem"
	"tandem/web/webtest"
)

// TestInbox: each kind of conflict is shown with its values, in both themes and at phone width.
func TestInbox(t *testing.T) {
	t.Parallel()
	w := open(t, 12)
	w.everyKind()
	w.Each(t, func(t *testing.T, p *webtest.Page) {
		p.Open("conflicts")
		p.SeeIn("#list", "here a")
		p.SeeIn("#list mark", "there")
		p.SeeIn("#list", "deleted on Golioth, changed here")
		p.SeeIn("#list", "deleted here, changed on Golioth")
		p.SeeIn("#list", "which device is it?")
		p.Axe()
		p.Shot("conflicts")
	})
}

// everyKind makes a conflict of each kind.
func (w *world) everyKind() {
	w.t.Helper()
	f := w.fleet
	for i, name := range []string{"a", "b", "c"} {
		w.Edit(f[i], "name", "here "+name)
		w.EditRemote(f[i], "name", "there "+name)
	}
	// Deleted there, changed here.
	w.Edit(f[5], "name", "still wanted")
	if err := w.Simulator.DeleteDevice(webtest.Project, f[5].Assignments[0].ExternalDeviceID); err != nil {
		w.t.Fatal(err)
	}
	// Deleted here, changed there.
	if _, err := w.API.DeleteDevice(w.t.Context(), w.Org.ID, f[6].ID); err != nil {
		w.t.Fatal(err)
	}
	w.EditRemote(f[6], "name", "changed there since")
	w.Run(tandem.OpBidirectional)
	w.ambiguous("twin")
}

// ambiguous has two devices here that a new one there may be.
func (w *world) ambiguous(name string) tandem.Conflict {
	w.t.Helper()
	for _, id := range []string{"-1", "-2"} {
		hardware := []string{name + "-hw"}
		deviceID := name + id
		if _, err := w.API.CreateDevice(w.t.Context(), w.Org.ID, deviceEdit(name, deviceID, hardware)); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.Simulator.CreateDevice(webtest.Project, tandem.NewRemoteDevice{Name: name, HardwareIDs: []string{name + "-hw"}}); err != nil {
		w.t.Fatal(err)
	}
	w.Run(tandem.OpBidirectional)
	found := w.conflicts(tandem.ConflictFilter{Type: tandem.AmbiguousMatch})
	if len(found) != 1 {
		w.t.Fatalf("there are %d ambiguous matches, want one", len(found))
	}
	return found[0]
}
