package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// The size of the database that RunQueries makes.
const (
	queryOrganizations = 20
	queryDevices       = 5_000 // in each
)

// recorder keeps the distinct SELECTs that a store makes.
type recorder struct {
	mu   sync.Mutex
	on   bool
	seen map[string]bool
	list []string
}

// BeforeQuery records.
func (r *recorder) BeforeQuery(ctx context.Context, event *bun.QueryEvent) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := strings.TrimSpace(event.Query)
	head := strings.ToUpper(text[:min(len(text), 6)])
	if r.on && (head == "SELECT" || strings.HasPrefix(head, "WITH")) && !r.seen[text] {
		r.seen[text] = true
		r.list = append(r.list, text)
	}
	return ctx
}

// during gives the distinct SELECTs that read makes.
func (r *recorder) during(read func()) []string {
	r.set(true)
	read()
	return r.set(false)
}

// set begins a list, or ends it.
func (r *recorder) set(on bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.on, r.list, r.seen = on, nil, map[string]bool{}
	return list
}

// AfterQuery does nothing.
func (*recorder) AfterQuery(context.Context, *bun.QueryEvent) {}

// RunQueries makes 100,000 devices with their assignments and entries, and has every query that the reads and their filters
// produce explained: explain runs as one organization and names the tables that a plan reads from end to end. Of the sorted
// listings (ordered) it also names each step that sorts: an index has to give their order.
func RunQueries(t *testing.T, db Database, analyze string, explain func(t *testing.T, st tandem.ServerStore, org, query string, ordered bool) []string) {
	st := db.open(t, db.Fresh(t))
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
	for range queryOrganizations {
		w = newWorld(t, []tandem.ServerStore{st})
		f = fillQueried(w)
	}
	if _, err := hooked.DB().ExecContext(t.Context(), analyze); err != nil {
		t.Fatal(err)
	}
	queries := record.during(func() { readEverything(w, f) })
	if len(queries) < 40 {
		t.Errorf("only %d queries were seen", len(queries))
	}
	for _, query := range queries {
		for _, table := range explain(t, st, w.org, query, false) {
			t.Errorf("%s is read from end to end by:\n%.600s", table, query)
		}
	}
	queries = record.during(func() { readSorted(w, f) })
	if len(queries) < 30 {
		t.Errorf("only %d sorted listings were seen", len(queries))
	}
	for _, query := range queries {
		for _, what := range explain(t, st, w.org, query, strings.Contains(query, "ORDER BY")) {
			t.Errorf("%s: what is sorted is not read in the order of an index:\n%.600s", what, query)
		}
	}
}

// queried names what the queries ask for.
type queried struct {
	service tandem.Service
	device  tandem.Device
	run     tandem.Run
	plan    tandem.Plan
	channel tandem.Channel
}

// fillQueried makes an organization of thousands of devices.
func fillQueried(w *world) queried {
	w.Helper()
	f := queried{service: w.service("svc")}
	f.run = w.newRun(f.service)
	var runs []tandem.Run
	for i := range 50 {
		runs = append(runs, w.newRun(f.service, func(r *tandem.Run) {
			r.Status, r.CreatedAt = tandem.RunCompleted, w.now.Add(time.Duration(i)*time.Hour)
		}))
	}
	w.apply(tandem.Changes{PutRuns: append(runs, f.run)})
	f.plan = tandem.Plan{ID: w.id(), OrganizationID: w.org, ServiceID: f.service.ID, Operation: tandem.OpExport, Reason: tandem.PlanSaved, Status: tandem.PlanOpen, CreatedAt: w.now}
	w.must(w.st.CreatePlan(w.ctx, w.org, f.plan))
	var c tandem.Changes
	var rows []tandem.Change
	for i := range queryDevices {
		d := w.newDevice(fmt.Sprintf("device-%d", i), func(d *tandem.Device) {
			at := w.now.Add(time.Duration(-i) * time.Minute)
			d.LastSeen, d.DeviceType, d.Tags = &at, fmt.Sprintf("type-%d", i%50), []string{fmt.Sprintf("tag-%d", i%50)}
			d.Blueprint, d.Cohort, d.Enabled = fmt.Sprintf("bp-%d", i%50), fmt.Sprintf("co-%d", i%50), i%50 > 0
			if i%50 == 1 {
				d.Lifecycle = tandem.Maintenance
			}
		})
		f.device = d
		c.CreateDevices = append(c.CreateDevices, d)
		c.CreateAssignments = append(c.CreateAssignments, w.newAssignment(d, f.service, fmt.Sprintf("ext-%d", i), func(a *tandem.Assignment) {
			a.Base = tandem.Base{}
			if i%50 == 2 {
				a.Status = tandem.SyncError
			}
		}))
		c.Entries = append(c.Entries, w.newEntry(f.run, d, func(e *tandem.Entry) {
			e.RunID = runs[i%len(runs)].ID
			if i%50 == 3 {
				e.Outcome = tandem.OutcomeFailed
			}
		}))
		if i%5 == 0 {
			c.PutConflicts = append(c.PutConflicts, w.newConflict(f.service, d, "name"))
			c.PutNotLinked = append(c.PutNotLinked, w.newNotLinked(f.service, fmt.Sprintf("new-%d", i), fmt.Sprintf("new-%d", i)))
			rows = append(rows, tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActUpdate, DeviceID: d.ID, ExternalDeviceID: fmt.Sprintf("ext-%d", i)})
		}
	}
	w.apply(c)
	w.must(w.st.AppendPlan(w.ctx, w.org, f.plan.ID, rows))
	fillQueriedPeople(w)
	fillServerQueried(w, &f)
	return f
}

// readEverything makes each read, with each filter and sort.
func readEverything(w *world, f queried) {
	w.Helper()
	check := func(_ any, err error) { w.Helper(); w.must(err) }
	listed := func(_ any, _ int, err error) { w.Helper(); w.must(err) }
	yes, no := true, false
	id, service := f.device.ID, f.service.ID
	page := tandem.Page{Number: 2, Limit: 20}
	for _, q := range []tandem.DeviceFilter{{}, {IDs: []string{id}}, {Search: "vice-49"}, {Status: tandem.Online}, {Status: tandem.Offline}, {Status: tandem.NeverSeen},
		{Type: "type-7"}, {Lifecycle: tandem.Maintenance}, {Tag: "tag-7"}, {Blueprint: "bp-7"}, {Cohort: "co-7"}, {Enabled: &no}, {Enabled: &yes}, {ServiceID: service},
		{ServiceID: service, SyncStatus: tandem.SyncError}, {SyncStatus: tandem.SyncError}, {NotLinked: true}, {NotLinked: true, ServiceID: service},
		{Sort: "name"}, {Sort: "-name"}, {Sort: "device_id"}, {Sort: "last_seen"}, {Sort: "-last_seen"}, {Sort: "battery_level"}, {Sort: "created_at"}, {Sort: "-updated_at"}} {
		q.Now, q.Page = w.now, page
		listed(w.st.Devices(w.ctx, w.org, q))
	}
	check(w.st.Device(w.ctx, w.org, id))
	check(w.st.FindDevices(w.ctx, w.org, id))
	check(w.st.FindDevices(w.ctx, w.org, "device-77"))
	check(w.st.Assignments(w.ctx, w.org, []string{id}))
	check(w.st.Assignment(w.ctx, w.org, service, "ext-7"))
	check(w.st.LinkedByExternal(w.ctx, w.org, service, []string{"ext-7", "ext-8"}))
	check(w.st.Reporting(w.ctx, w.org, service, []string{"ext-7", "ext-8"}))
	check(w.st.LinkedByDevice(w.ctx, w.org, service, []string{id}))
	check(w.st.LinkedIDs(w.ctx, w.org, service, "ext-3", 100))
	check(w.st.LinkedCount(w.ctx, w.org, service))
	check(w.st.StateUnread(w.ctx, w.org, service, 100))
	check(w.st.LocalOnly(w.ctx, w.org, service, id, 100))
	check(w.st.Candidates(w.ctx, w.org, service, []tandem.Probe{{Name: "device-7", HardwareIDs: f.device.HardwareIDs}}))
	check(w.st.Intents(w.ctx, w.org, service))
	check(w.st.KnownEntities(w.ctx, w.org, service))
	for _, q := range []tandem.NotLinkedFilter{{}, {ExternalDeviceIDs: []string{"new-5"}}, {Search: "new-5"}, {Reason: "ambiguous"}, {Ignored: true}, {OnlyIgnored: true}} {
		q.Page = page
		listed(w.st.NotLinked(w.ctx, w.org, service, q))
	}
	check(w.st.RecentChanges(w.ctx, w.org, []string{id}, 3))
	check(w.st.Removals(w.ctx, w.org, service, w.now.Add(-time.Hour)))
	check(w.st.Rollouts(w.ctx, w.org, service, w.now.Add(-time.Hour)))
	check(w.st.Run(w.ctx, w.org, f.run.ID))
	for _, q := range []tandem.RunFilter{{}, {ServiceID: service}, {Status: tandem.RunRunning}, {Operation: tandem.OpExport}} {
		q.Page = page
		listed(w.st.Runs(w.ctx, w.org, q))
	}
	for _, q := range []tandem.EntryFilter{{RunID: f.run.ID}, {DeviceID: id}, {RunID: f.run.ID, Path: "name"}, {RunID: f.run.ID, Side: tandem.LocalSide},
		{RunID: f.run.ID, Action: tandem.ActUpdate}, {RunID: f.run.ID, Outcome: tandem.OutcomeFailed}, {RunID: f.run.ID, Search: "device-7"}} {
		q.Page = page
		listed(w.st.Entries(w.ctx, w.org, q))
	}
	for _, q := range []tandem.ConflictFilter{{}, {All: true}, {IDs: []string{id}}, {ServiceID: service}, {DeviceIDs: []string{id}}, {ExternalDeviceIDs: []string{"x"}},
		{Field: "name"}, {Type: tandem.AmbiguousMatch}, {Status: tandem.ConflictIgnored}, {Search: "device-7"}} {
		q.Page = page
		listed(w.st.Conflicts(w.ctx, w.org, q))
	}
	check(w.st.Plan(w.ctx, w.org, f.plan.ID))
	check(w.st.Plans(w.ctx, w.org, service))
	check(w.st.PlanRows(w.ctx, w.org, f.plan.ID, 200, 100))
	check(w.st.PlanRowsOf(w.ctx, w.org, f.plan.ID, []string{id}, []string{"ext-5"}))
	for _, q := range []tandem.PlanFilter{{}, {Side: tandem.RemoteSide, Action: tandem.ActUpdate}, {Removals: new(bool)}, {Field: "metadata"}, {Search: "device-7"}} {
		q.Page = page
		listed(w.st.PlanChanges(w.ctx, w.org, f.plan.ID, q))
	}
	check(w.st.PlanGroups(w.ctx, w.org, f.plan.ID))
	readPeople(w, f)
	readServer(w, f)
	readOverview(w, f)
}
