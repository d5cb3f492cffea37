package notlinked_test

import (
	"os"
	"testing"

	"tandem"
	"tandem/registry"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// world is one whose devices are on one side only.
type world struct {
	*webtest.World
	t *testing.T
}

// open gives a world whose service imports nothing by itself, after its first run: all remote devices are not linked.
func open(t *testing.T, remote int, local ...string) *world {
	t.Helper()
	w := &world{World: webtest.Open(t, webtest.Devices(remote), webtest.WithService(func(c *tandem.ServiceConfig) { c.CreateLocal = false })), t: t}
	for _, name := range local {
		w.create(name, name+"-hw")
	}
	w.Sync()
	return w
}

// create adds a device here.
func (w *world) create(name, hardware string) tandem.Device {
	w.t.Helper()
	ids := []string{hardware}
	d, err := w.API.CreateDevice(w.t.Context(), w.Org.ID, registry.DeviceEdit{Name: &name, HardwareIDs: &ids})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// notLinked lists what is there and not here.
func (w *world) notLinked(f tandem.NotLinkedFilter) []tandem.NotLinked {
	w.t.Helper()
	f.Page = tandem.Page{Number: 1, Limit: 1000}
	found, _, err := w.API.NotLinked(w.t.Context(), w.Org.ID, w.Service.ID, f)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// all is every one that is not ignored.
var all tandem.NotLinkedFilter
