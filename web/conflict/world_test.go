package conflict_test

import (
	"os"
	"testing"

	"tandem"
	"tandem/registry"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// world is one with devices that are linked, and conflicts as a test asks for them.
type world struct {
	*webtest.World
	t     *testing.T
	fleet []tandem.DeviceRow
}

// open gives a world where the sides of nothing differ yet.
func open(t *testing.T, devices int) *world {
	t.Helper()
	w := &world{World: webtest.Open(t, webtest.Devices(devices), webtest.WithService(func(c *tandem.ServiceConfig) { c.DeleteRemote = true })), t: t}
	w.Import()
	w.fleet = w.Fleet()
	return w
}

// disputed has the names of the first devices changed on both sides: "here 0" and "there 0", and so on.
func (w *world) disputed(n int) []tandem.Conflict {
	w.t.Helper()
	for i := range n {
		w.Edit(w.fleet[i], "name", "here "+string(rune('a'+i)))
		w.EditRemote(w.fleet[i], "name", "there "+string(rune('a'+i)))
	}
	w.Run(tandem.OpBidirectional)
	found := w.conflicts(tandem.ConflictFilter{Sort: "field_name"})
	if len(found) != n {
		w.t.Fatalf("there are %d conflicts, want %d", len(found), n)
	}
	return found
}

func (w *world) conflicts(f tandem.ConflictFilter) []tandem.Conflict {
	w.t.Helper()
	f.Page = tandem.Page{Number: 1, Limit: 1000}
	found, _, err := w.API.Conflicts(w.t.Context(), w.Org.ID, f)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// about gives the open conflict of a device.
func (w *world) about(row tandem.DeviceRow) tandem.Conflict {
	w.t.Helper()
	found := w.conflicts(tandem.ConflictFilter{DeviceIDs: []string{row.ID}})
	if len(found) != 1 {
		w.t.Fatalf("%s has %d open conflicts, want one", row.Name, len(found))
	}
	return found[0]
}

// read reads a conflict again.
func (w *world) read(id string) tandem.Conflict {
	w.t.Helper()
	c, err := w.API.Conflict(w.t.Context(), w.Org.ID, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// names gives what a device is called on both sides.
func (w *world) names(row tandem.DeviceRow) (here, there string) {
	w.t.Helper()
	return w.Device(row.ID).Name, w.Remote(row).Name
}

func deviceEdit(name, deviceID string, hardware []string) registry.DeviceEdit {
	return registry.DeviceEdit{Name: &name, DeviceID: &deviceID, HardwareIDs: &hardware}
}
