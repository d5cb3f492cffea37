package storetest

import (
	"testing"

	"github.com/uptrace/bun"

	"tandem"
)

// RunLargeQueries makes organizations of thousands of devices in a database that keeps fleets in memory, and has the queries
// explained that pages make of what an organization, a service or a run has most of: explain names the steps of a plan that
// read all of it (scopes), row by row, before anything ends them.
func RunLargeQueries(t *testing.T, kept Database, analyze string, explain func(t *testing.T, st tandem.ServerStore, org, query string) []string) {
	st := kept.open(t, kept.Fresh(t))
	hooked, ok := st.(interface {
		AddQueryHook(bun.QueryHook)
		DB() *bun.DB
	})
	if !ok {
		t.Fatal("the store takes no query hook")
	}
	record := &recorder{seen: map[string]bool{}}
	hooked.AddQueryHook(record)
	var w *world
	var f queried
	for range 3 {
		w = newWorld(t, []tandem.ServerStore{st})
		f = fillQueried(w)
	}
	if _, err := hooked.DB().ExecContext(t.Context(), analyze); err != nil {
		t.Fatal(err)
	}
	listed := func(_ any, _ int, err error) { w.Helper(); w.must(err) }
	listed(st.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now})) // the fleet is there
	queries := record.during(func() { readLarge(w, f) })
	if len(queries) < 40 {
		t.Errorf("only %d queries were seen", len(queries))
	}
	for _, query := range queries {
		for _, step := range explain(t, st, w.org, query) {
			t.Errorf("%s: all is read by:\n%.600s", step, query)
		}
	}
}

// Scopes are the columns by which a table is read for all that belongs to one thing.
var Scopes = []string{"organization_id", "service_id", "run_id"}

// readLarge makes the reads. What is searched for is looked for in all there is, unless enough of it comes first.
func readLarge(w *world, f queried) {
	w.Helper()
	listed := func(_ any, _ int, err error) { w.Helper(); w.must(err) }
	check := func(_ any, err error) { w.Helper(); w.must(err) }
	yes := true
	page := tandem.Page{Number: 2, Limit: 20}
	filters := []tandem.DeviceFilter{{}, {Search: "vice-49"}, {Status: tandem.Online}, {Type: "type-7"}, {Tag: "tag-7"}, {Enabled: &yes}, {ServiceID: f.service.ID},
		{SyncStatus: tandem.SyncSynced}, {NotLinked: true}, {NotLinked: true, ServiceID: f.service.ID}}
	for _, sort := range tandem.DeviceSorts.All() {
		filters = append(filters, tandem.DeviceFilter{Sort: sort})
	}
	for _, q := range filters {
		q.Now, q.Page = w.now, page
		listed(w.st.Devices(w.ctx, w.org, q))
		w.apply(tandem.Changes{UpdateDevices: []tandem.Device{w.readDevice(f.device.ID)}}) // what is kept is brought up to date
	}
	check(w.st.DeviceFacets(w.ctx, w.org))
	check(w.st.Overview(w.ctx, w.org, w.now))
	check(w.st.OpenCounts(w.ctx, w.org))
	for _, q := range []tandem.EntryFilter{{}, {Outcome: tandem.OutcomeFailed}, {Action: tandem.ActUpdate}, {Search: "device-7"}} {
		q.RunID, q.Page = f.run.ID, page
		listed(w.st.Entries(w.ctx, w.org, q))
	}
	listed(w.st.Entries(w.ctx, w.org, tandem.EntryFilter{DeviceID: f.device.ID, Page: page}))
	for _, q := range []tandem.RunFilter{{}, {ServiceID: f.service.ID}, {Status: tandem.RunRunning}} {
		q.Page = page
		listed(w.st.Runs(w.ctx, w.org, q))
	}
	for _, q := range []tandem.NotLinkedFilter{{}, {Reason: "ambiguous"}, {Ignored: true}, {OnlyIgnored: true}, {Sort: "-name"}, {Sort: "external_device_id"}} {
		q.Page = page
		listed(w.st.NotLinked(w.ctx, w.org, f.service.ID, q))
	}
}
