package web_test

import (
	"fmt"
	"testing"

	"tandem"
	"tandem/registry"
	"tandem/web/webtest"
)

// largeRun is the id of the run that imported the large project; "" where there is none.
var largeRun string

// fill links a large project as a service of its own, lets a fiftieth of its devices differ on both sides, and as many more be
// there and not here. It gives the pages that show them, also in each order.
func fill(t *testing.T, l *webtest.Lived) []webtest.Show {
	t.Helper()
	large := l.AddService("large", webtest.EmptyProject, func(c *tandem.ServiceConfig) { c.RequestsPerMinute = 60_000 })
	run, err := l.API.Sync(t.Context(), l.Org.ID, tandem.RunRequest{ServiceID: large.ID, Operation: tandem.OpImport}, nil)
	// Some are those of the first project, by their hardware ids.
	if err != nil || run.Summary.Successful != *devices {
		t.Fatalf("%d devices are to be imported: %s %+v, %v", *devices, run.Status, run.Summary, err)
	}
	largeRun = run.ID
	some := *devices / 50
	disagree(t, l, large.ID, some)
	for i := range some {
		name := fmt.Sprintf("unknown-%05d", i)
		if _, err := l.Simulator.CreateDevice(webtest.EmptyProject, tandem.NewRemoteDevice{Name: name, HardwareIDs: []string{name}}); err != nil {
			t.Fatal(err)
		}
	}
	run, err = l.API.Sync(t.Context(), l.Org.ID, tandem.RunRequest{ServiceID: large.ID, Operation: tandem.OpBidirectional, CreateMissing: tandem.MissingNone}, nil)
	if err != nil || run.Summary.Conflicts < some/2 {
		t.Fatalf("%d devices are to be in conflict: %s %+v, %v", some, run.Status, run.Summary, err)
	}
	return largePages(t, l, large.ID, run.ID)
}

// disagree changes a field of some devices on both sides.
func disagree(t *testing.T, l *webtest.Lived, service string, some int) {
	t.Helper()
	for page := 1; some > 0; page++ {
		rows, _, err := l.API.Devices(t.Context(), l.Org.ID, tandem.DeviceFilter{ServiceID: service, Sort: "device_id", Page: tandem.Page{Number: page, Limit: min(some, 1000)}})
		if err != nil || len(rows) == 0 {
			t.Fatalf("%d devices are missing: %v", some, err)
		}
		for i := range rows {
			there, here := rows[i].Name+", there", rows[i].Name+", here"
			for _, a := range rows[i].Assignments {
				if a.ServiceID == service {
					if _, err := l.Simulator.EditDevice(webtest.EmptyProject, a.ExternalDeviceID, tandem.RemotePatch{Name: &there}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, _, err := l.API.UpdateDevice(t.Context(), l.Org.ID, rows[i].ID, registry.DeviceEdit{Name: &here}); err != nil {
				t.Fatal(err)
			}
		}
		some -= len(rows)
	}
}

// largePages are pages on which all this is.
func largePages(t *testing.T, l *webtest.Lived, service, second string) (pages []webtest.Show) {
	t.Helper()
	add := func(name, path string) {
		pages = append(pages, webtest.Show{Name: name, Path: func(*webtest.Lived) string { return path }})
	}
	rows, _, err := l.API.Devices(t.Context(), l.Org.ID, tandem.DeviceFilter{ServiceID: service, Page: tandem.Page{Number: 1, Limit: 1}})
	if err != nil || len(rows) == 0 {
		t.Fatalf("no device: %v", err)
	}
	add("large: device", "devices/"+rows[0].ID)
	add("large: devices, page 500", "devices?page=500")
	for _, sort := range tandem.DeviceSorts.All() {
		add("large: devices by "+sort, "devices?sort="+sort)
	}
	add("large: devices of the service", "devices?service="+service)
	add("large: devices of two filters", "devices?service="+service+"&status=never_seen&sort=-created_at")
	add("large: run of all", "history/"+largeRun)
	add("large: run of all, page 100", "history/"+largeRun+"?page=100")
	add("large: run with conflicts", "history/"+second)
	for _, sort := range tandem.RunSorts.All() {
		add("large: history by "+sort, "history?sort="+sort)
	}
	for _, sort := range tandem.ConflictSorts.All() {
		add("large: conflicts by "+sort, "conflicts?sort="+sort)
	}
	add("large: conflicts, page 20", "conflicts?page=20")
	add("large: not linked, there", "not-linked?service="+service)
	add("large: not linked, here", "not-linked?side=local&service="+service)
	add("large: integration", "integrations/"+service)
	return pages
}
