// Package storetest is the contract of tandem.ServerStore as tests, which both databases pass.
//
// Run checks every method as its comment promises, also with another organization's ids, with concurrent writers
// over several handles, and with a separate process killed between the statements of a transaction.
// Each subtest works in organizations of its own, in one database, so that isolation is tested throughout.
package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tandem"
)

// Database says how to make and open the database under test.
type Database struct {
	// Fresh makes an empty database that goes with the test, and says where it is.
	Fresh func(t testing.TB) string
	// Open opens a handle on it, migrated. A database may be opened several times, and by several processes.
	Open func(ctx context.Context, where string) (tandem.ServerStore, error)
}

// open opens a handle that closes with the test.
func (db Database) open(t testing.TB, where string) tandem.ServerStore {
	t.Helper()
	st, err := db.Open(t.Context(), where)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return st
}

// Run runs the suite.
func Run(t *testing.T, db Database) {
	where := db.Fresh(t)
	handles := []tandem.ServerStore{db.open(t, where), db.open(t, where)}
	for _, group := range []struct {
		name  string
		tests map[string]func(*world)
	}{
		{"Organizations", organizationTests}, {"Services", serviceTests}, {"Devices", deviceTests}, {"Apply", applyTests},
		{"Sync", syncTests}, {"Runs", runTests}, {"Conflicts", conflictTests}, {"Plans", planTests},
		{"Leases", leaseTests}, {"Budgets", budgetTests}, {"Values", valueTests}, {"Concurrent", concurrentTests}, {"Foreign", foreignTests},
		{"People", peopleTests}, {"Sessions", sessionTests}, {"Admission", admissionTests}, {"Tokens", tokenTests}, {"Answers", answerTests}, {"Audit", auditTests},
		{"Deliveries", deliveryTests}, {"Alerts", alertTests}, {"Schedule", scheduleTests}, {"Jobs", jobTests}, {"Events", eventTests}, {"Retention", retentionTests}, {"Gateway", gatewayTests}, {"Observations", observationTests}, {"Overview", overviewTests}, {"Sorting", sortingTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, name := range sorted(group.tests) {
				t.Run(name, func(t *testing.T) { group.tests[name](newWorld(t, handles)) })
			}
		})
	}
	t.Run("Killed", func(t *testing.T) { runKilled(t, db) })
}

// sorted gives a map's keys in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// sequence numbers every id that the suite makes.
var sequence atomic.Int64

// world is one organization for a test, with short ways to put things into it.
type world struct {
	*testing.T
	ctx     context.Context
	st      tandem.ServerStore
	handles []tandem.ServerStore // more on the same database; the first is st
	org     string
	now     time.Time
}

func newWorld(t *testing.T, handles []tandem.ServerStore) *world {
	w := &world{T: t, ctx: t.Context(), st: handles[0], handles: handles, now: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)}
	w.org = w.organization()
	return w
}

// other gives a second organization of the same database.
func (w *world) other() *world {
	o := *w
	o.org = o.organization()
	return &o
}

func (w *world) organization() string {
	id := w.id()
	w.must(w.st.CreateOrganization(w.ctx, tandem.Organization{ID: id, Name: "Org " + id, Slug: "org-" + id, CreatedAt: w.now, UpdatedAt: w.now}))
	return id
}

// id makes an id that sorts after those before it.
func (w *world) id() string { return fmt.Sprintf("0190-%012d", sequence.Add(1)) }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// wantCode fails the test unless err has one of the codes.
func (w *world) wantCode(err error, codes ...tandem.Code) {
	w.Helper()
	if !tandem.Is(err, codes...) {
		w.Errorf("error %v (code %q), want %q", err, tandem.CodeOf(err), codes)
	}
}

// apply writes changes and fails the test when that fails.
func (w *world) apply(changes tandem.Changes) {
	w.Helper()
	w.must(w.st.Apply(w.ctx, w.org, &changes))
}

// service creates a service and gives it as stored.
func (w *world) service(name string, edits ...func(*tandem.Service)) tandem.Service {
	w.Helper()
	s := tandem.Service{ID: w.id(), OrganizationID: w.org, Name: name, ServiceType: "golioth", Config: tandem.DefaultServiceConfig(),
		IsActive: true, SyncInterval: 300, State: tandem.ServiceOK, CreatedAt: w.now, UpdatedAt: w.now}
	for _, edit := range edits {
		edit(&s)
	}
	w.must(w.st.CreateService(w.ctx, w.org, s))
	return w.readService(s.ID)
}

func (w *world) readService(id string) tandem.Service {
	w.Helper()
	s, err := w.st.Service(w.ctx, w.org, id)
	w.must(err)
	return s
}

// newDevice gives a device that is not stored.
func (w *world) newDevice(name string, edits ...func(*tandem.Device)) tandem.Device {
	id := w.id()
	d := tandem.Device{ID: id, OrganizationID: w.org, Name: name, DeviceID: "dev-" + id, Lifecycle: tandem.Active, HardwareIDs: []string{"hw-" + id},
		Tags: []string{}, Enabled: true, Version: 1, CreatedAt: w.now, UpdatedAt: w.now}
	for _, edit := range edits {
		edit(&d)
	}
	return d
}

// device creates a device and gives it as stored.
func (w *world) device(name string, edits ...func(*tandem.Device)) tandem.Device {
	w.Helper()
	d := w.newDevice(name, edits...)
	w.apply(tandem.Changes{CreateDevices: []tandem.Device{d}})
	return w.readDevice(d.ID)
}

func (w *world) readDevice(id string) tandem.Device {
	w.Helper()
	d, err := w.st.Device(w.ctx, w.org, id)
	w.must(err)
	return d
}

// newAssignment gives an assignment that is not stored.
func (w *world) newAssignment(d tandem.Device, s tandem.Service, external string, edits ...func(*tandem.Assignment)) tandem.Assignment {
	shared := d.Shared()
	a := tandem.Assignment{ID: w.id(), OrganizationID: w.org, DeviceID: d.ID, ServiceID: s.ID, ExternalDeviceID: external, SyncEnabled: true,
		Status: tandem.SyncSynced, Base: tandem.Base{Local: shared, Remote: shared}, Version: 1, CreatedAt: w.now, UpdatedAt: w.now}
	for _, edit := range edits {
		edit(&a)
	}
	return a
}

// link creates an assignment and gives it as stored.
func (w *world) link(d tandem.Device, s tandem.Service, external string, edits ...func(*tandem.Assignment)) tandem.Assignment {
	w.Helper()
	w.apply(tandem.Changes{CreateAssignments: []tandem.Assignment{w.newAssignment(d, s, external, edits...)}})
	return w.readAssignment(s.ID, external)
}

func (w *world) readAssignment(service, external string) tandem.Assignment {
	w.Helper()
	a, err := w.st.Assignment(w.ctx, w.org, service, external)
	w.must(err)
	return a
}

// newRun gives a run that is not stored.
func (w *world) newRun(s tandem.Service, edits ...func(*tandem.Run)) tandem.Run {
	started := w.now
	r := tandem.Run{ID: w.id(), OrganizationID: w.org, ServiceID: s.ID, Operation: tandem.OpBidirectional, Trigger: tandem.ByHand, Status: tandem.RunRunning,
		StartedAt: &started, CreatedAt: w.now}
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

// newIntent gives an intent that is not stored.
func (w *world) newIntent(s tandem.Service, d tandem.Device) tandem.Intent {
	return tandem.Intent{ID: w.id(), OrganizationID: w.org, ServiceID: s.ID, RunID: "run", DeviceID: d.ID, ExternalDeviceID: "x", Kind: tandem.IntentUpdate,
		Changes: []tandem.Change{{Side: tandem.RemoteSide, Action: tandem.ActUpdate, DeviceID: d.ID, Path: "name", Before: raw(`"a"`), After: raw(`"b"`)}},
		Fence:   1, Until: w.now.Add(time.Minute), CreatedAt: w.now}
}

// newConflict gives a pending conflict that is not stored.
func (w *world) newConflict(s tandem.Service, d tandem.Device, field tandem.Path, edits ...func(*tandem.Conflict)) tandem.Conflict {
	c := tandem.Conflict{ID: w.id(), OrganizationID: w.org, ServiceID: s.ID, DeviceID: d.ID, DeviceName: d.Name, Type: tandem.ConcurrentModification,
		FieldName: field, BaseValue: raw(`"b"`), LocalValue: raw(`"l"`), RemoteValue: raw(`"r"`), Status: tandem.ConflictPending, CreatedAt: w.now, UpdatedAt: w.now}
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

// newEntry gives an entry that is not stored.
func (w *world) newEntry(run tandem.Run, d tandem.Device, edits ...func(*tandem.Entry)) tandem.Entry {
	e := tandem.Entry{ID: w.id(), OrganizationID: w.org, RunID: run.ID, ServiceID: run.ServiceID, Outcome: tandem.OutcomeDone, CreatedAt: w.now,
		Change: tandem.Change{Side: tandem.LocalSide, Action: tandem.ActUpdate, DeviceID: d.ID, ExternalDeviceID: "x", DeviceName: d.Name, Path: "name",
			Before: raw(`"a"`), After: raw(`"b"`)}}
	for _, edit := range edits {
		edit(&e)
	}
	return e
}

// waitUntil returns once the database's clock is past an instant, a few milliseconds away.
func (w *world) waitUntil(at time.Time) {
	w.Helper()
	for {
		now, err := w.st.Now(w.ctx)
		w.must(err)
		if now.After(at) {
			return
		}
	}
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// equal compares as a caller sees it: times as instants, JSON as values, nil and empty alike.
func (w *world) equal(got, want any) {
	w.Helper()
	if diff := diff(got, want); diff != "" {
		w.Errorf("difference (-want +got):\n%s", diff)
	}
}

func diff(got, want any) string {
	isJSON := func(p cmp.Path) bool {
		t := p.Last().Type()
		return t == reflect.TypeFor[tandem.Map]() || t == reflect.TypeFor[json.RawMessage]()
	}
	return cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return !isJSON(p) }, cmpopts.EquateEmpty()),
		cmp.FilterPath(isJSON, cmp.Comparer(func(a, b any) bool { return canonical(marshal(a)) == canonical(marshal(b)) })),
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }))
}

func marshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// canonical gives JSON with sorted keys and numbers as written; nothing for null.
func canonical(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return "not JSON: " + string(data)
	}
	if m, ok := v.(map[string]any); v == nil || ok && len(m) == 0 {
		return ""
	}
	return string(marshal(v))
}

// pick maps a list.
func pick[T, R any](list []T, of func(T) R) []R {
	out := make([]R, len(list))
	for i, item := range list {
		out[i] = of(item)
	}
	return out
}

// joined gives the sorted texts of a list, for comparing sets.
func joined[T any](list []T, of func(T) string) string {
	texts := pick(list, of)
	slices.Sort(texts)
	return strings.Join(texts, " ")
}
