package device_test

import (
	"os"
	"slices"
	"testing"

	"tandem"
	"tandem/registry"
	"tandem/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// world is one whose devices are linked, and agree on both sides.
type world struct {
	*webtest.World
	t     *testing.T
	fleet []tandem.DeviceRow
}

func open(t *testing.T, devices int, options ...webtest.Option) *world {
	t.Helper()
	options = append([]webtest.Option{webtest.Devices(devices), webtest.WithService(nil)}, options...)
	w := &world{World: webtest.Open(t, options...), t: t}
	w.Import()
	w.fleet = w.Fleet()
	return w
}

// list reads devices as the API tells of them.
func (w *world) list(f tandem.DeviceFilter) []tandem.DeviceRow {
	w.t.Helper()
	f.Page = tandem.Page{Number: 1, Limit: 1000}
	found, _, err := w.API.Devices(w.t.Context(), w.Org.ID, f)
	w.must(err)
	return found
}

// row reads a device with its links.
func (w *world) row(id string) tandem.DeviceRow {
	w.t.Helper()
	found := w.list(tandem.DeviceFilter{IDs: []string{id}})
	if len(found) != 1 {
		w.t.Fatalf("the API has no device %s", id)
	}
	return found[0]
}

// update edits a device through the API, as somebody else does.
func (w *world) update(id string, e registry.DeviceEdit) {
	w.t.Helper()
	_, _, err := w.API.UpdateDevice(w.t.Context(), w.Org.ID, id, e)
	w.must(err)
}

// create makes a device through the API, that is on no service.
func (w *world) create(name string, e registry.DeviceEdit) tandem.Device {
	w.t.Helper()
	e.Name = &name
	d, err := w.API.CreateDevice(w.t.Context(), w.Org.ID, e)
	w.must(err)
	return d
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// page opens a device's page in a tab of its own.
func (w *world) page(t *testing.T, id string) *webtest.Page {
	t.Helper()
	p := w.Browser(t, webtest.Options{})
	p.Open("devices/" + id)
	return p
}

// pick marks a device in the list.
func pick(p *webtest.Page, rows ...tandem.DeviceRow) {
	for _, d := range rows {
		p.Click("#pick-" + d.ID)
	}
}

func of[T any](v T) *T { return &v }

// tagged gives the names of the devices with a tag, in order.
func (w *world) tagged(tag string) []string {
	w.t.Helper()
	names := []string{}
	for _, d := range w.list(tandem.DeviceFilter{Tag: tag}) {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}
