package syncer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem"
	"tandem/golioth"
	"tandem/golioth/simulator"
	"tandem/merge"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite"
	"tandem/store/sqlite/sqlitetest"
	"tandem/syncer"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// world is one organization with a service over a real database and a simulated project, and what a
// test wants to do to it. Whatever fails that the test did not ask about ends the test.
//
//	w := newWorld(t)
//	id := w.remote("gw-1", tags("blue"))
//	w.sync(tandem.OpBidirectional)
//	w.editRemote(id, rename("gw-2"))
//	w.sync(tandem.OpBidirectional)
//	w.equal(w.localOf(id).Name, "gw-2")
type world struct {
	t       testing.TB
	ctx     context.Context
	org     string
	store   tandem.Store // as the engine has it, wrapped where the test wanted that
	sim     *simulator.Server
	engine  *syncer.Engine
	service tandem.Service // as it was last configured; w.stored() reads it
	project string         // of the service
	shared  *sharedWorld
}

// sharedWorld is what the services of one world have in common.
type sharedWorld struct {
	offset  atomic.Int64 // of the clock, nanoseconds
	ids     atomic.Int64
	mu      sync.Mutex
	clients map[string]*golioth.Client // by service
	url     string
}

// setup is what options change about a world.
type setup struct {
	simulator simulator.Options
	postgres  bool
	config    func(*tandem.ServiceConfig)
	store     func(tandem.Store) tandem.Store
	remote    func(tandem.Remote) tandem.Remote
	engine    func(*syncer.Engine)
}

type option func(*setup)

// onPostgres keeps the world in PostgreSQL instead of a SQLite file.
func onPostgres(s *setup) { s.postgres = true }

// fleet gives the project n devices with tags, blueprints and cohorts.
func fleet(n int) option {
	return func(s *setup) { s.simulator.Projects[0].Devices, s.simulator.Projects[0].Bare = n, false }
}

// unknown sets a switch of what nobody knows about the real service, such as "listing-data=value".
func unknown(text string) option {
	return func(s *setup) {
		if err := s.simulator.Unknowns.Set(text); err != nil {
			panic(err)
		}
	}
}

// config changes the service's settings before the first run.
func config(change func(*tandem.ServiceConfig)) option {
	return func(s *setup) {
		before := s.config
		s.config = func(c *tandem.ServiceConfig) {
			if before != nil {
				before(c)
			}
			change(c)
		}
	}
}

// wrapStore and wrapRemote put a test's own hands between the engine and the real thing.
func wrapStore(wrap func(tandem.Store) tandem.Store) option {
	return func(s *setup) { s.store = wrap }
}

func wrapRemote(wrap func(tandem.Remote) tandem.Remote) option {
	return func(s *setup) { s.remote = wrap }
}

// withEngine changes the engine, such as its timeouts.
func withEngine(change func(*syncer.Engine)) option { return func(s *setup) { s.engine = change } }

// simulated changes the simulator's options; its projects are "demo" and "second".
func simulated(change func(*simulator.Options)) option {
	return func(s *setup) { change(&s.simulator) }
}

const apiKey = "a-key"

// newWorld makes one: the project "demo" and the project "second", both empty, and a service on the
// first with the default settings. The clock runs some weeks behind the machine's, so that it can be advanced.
func newWorld(t testing.TB, options ...option) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, shared: &sharedWorld{clients: map[string]*golioth.Client{}}}
	w.shared.offset.Store(int64(-1000 * time.Hour))
	s := setup{simulator: simulator.Options{Seed: 7, Clock: w.now, Founded: w.now().Add(-1000 * time.Hour), Projects: []simulator.Project{
		{ID: "demo", Keys: []string{apiKey}, Bare: true}, {ID: "second", Keys: []string{apiKey}, Bare: true}}}}
	for _, o := range options {
		o(&s)
	}
	var err error
	w.sim, err = simulator.New(s.simulator)
	w.must(err)
	listening := httptest.NewServer(w.sim)
	t.Cleanup(listening.Close)
	w.shared.url = listening.URL

	var opened *store.Store
	if s.postgres {
		opened, err = postgres.Open(ctx, postgrestest.URL(t))
	} else {
		opened, err = sqlite.Open(ctx, sqlitetest.File(t))
	}
	w.must(err)
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	w.store = opened
	if s.store != nil {
		w.store = s.store(opened)
	}
	w.engine = &syncer.Engine{Store: w.store, Clock: w.now, NewID: w.id, Holder: "here", Log: slog.New(slog.DiscardHandler),
		LeaseTTL: 10 * time.Second, WriteTimeout: 300 * time.Millisecond,
		Connect: func(_ context.Context, service tandem.Service) (tandem.Remote, error) {
			c, err := w.client(service)
			if err != nil || s.remote == nil {
				return c, err
			}
			return s.remote(c), nil
		}}
	if s.engine != nil {
		s.engine(w.engine)
	}
	w.org = w.id()
	now := w.now()
	w.must(w.store.CreateOrganization(ctx, tandem.Organization{ID: w.org, Name: "Acme", Slug: "acme", CreatedAt: now, UpdatedAt: now}))
	w.addService("prod", "demo", s.config)
	return w
}

// now is the world's clock.
func (w *world) now() time.Time {
	return time.Now().Add(time.Duration(w.shared.offset.Load())).UTC()
}

// advance moves the clock on.
func (w *world) advance(d time.Duration) { w.shared.offset.Add(int64(d)) }

// id mints UUIDs that rise.
func (w *world) id() string {
	return fmt.Sprintf("00000000-0000-7000-8000-%012x", w.shared.ids.Add(1))
}

// client gives a service's client: one for each, as the program has it, which retries quickly.
func (w *world) client(service tandem.Service) (*golioth.Client, error) {
	w.shared.mu.Lock()
	defer w.shared.mu.Unlock()
	if c := w.shared.clients[service.ID]; c != nil {
		return c, nil
	}
	c, err := golioth.New(golioth.Options{BaseURL: w.shared.url, Project: service.Config.Project, Key: golioth.Secret(apiKey), PageConcurrency: 4,
		ReadTimeout: 5 * time.Second, WriteTimeout: time.Second,
		Retry: golioth.Retry{Attempts: 3, First: time.Millisecond, Max: 5 * time.Millisecond, Confirm: time.Millisecond, BreakerDelay: 50 * time.Millisecond}})
	if err == nil {
		w.shared.clients[service.ID] = c
		w.t.Cleanup(c.Close)
	}
	return c, err
}

func (w *world) addService(name, project string, change func(*tandem.ServiceConfig)) {
	w.t.Helper()
	now := w.now()
	c := tandem.DefaultServiceConfig()
	c.BaseURL, c.Project = w.shared.url, project
	if change != nil {
		change(&c)
	}
	w.service = tandem.Service{ID: w.id(), OrganizationID: w.org, Name: name, ServiceType: "golioth", Config: c,
		IsActive: true, SyncInterval: 300, State: tandem.ServiceOK, Version: 1, CreatedAt: now, UpdatedAt: now}
	w.must(w.store.CreateService(w.ctx, w.org, w.service))
	w.project = project
}

// second gives the same world seen from another service of the organization, on another project.
func (w *world) second(project string, change func(*tandem.ServiceConfig)) *world {
	w.t.Helper()
	other := *w
	other.addService("on "+project, project, change)
	return &other
}

// configure changes the service's settings.
func (w *world) configure(change func(*tandem.ServiceConfig)) {
	w.t.Helper()
	s := w.stored()
	change(&s.Config)
	w.must(w.store.UpdateService(w.ctx, w.org, s))
	w.service = w.stored()
}

// stored reads the service.
func (w *world) stored() tandem.Service {
	w.t.Helper()
	s, err := w.store.Service(w.ctx, w.org, w.service.ID)
	w.must(err)
	return s
}

// must ends the test at an error; equal reports a difference.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v (%s)", err, tandem.CodeOf(err))
	}
}

func (w *world) equal(got, want any) {
	w.t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		w.t.Errorf("not as expected (- want, + got):\n%s", d)
	}
}

// wantCode reports an error that is not of the code.
func (w *world) wantCode(err error, code tandem.Code) {
	w.t.Helper()
	if tandem.CodeOf(err) != code {
		w.t.Errorf("got the error %v (%s), want one of code %s", err, tandem.CodeOf(err), code)
	}
}

// --- what happens on the service ---

// remote creates a device there, as a console user would, and gives its id.
func (w *world) remote(name string, with ...func(*world, *tandem.NewRemoteDevice)) string {
	w.t.Helper()
	d := tandem.NewRemoteDevice{Name: name, HardwareIDs: []string{"hw-" + name}}
	for _, change := range with {
		change(w, &d)
	}
	made, err := w.sim.CreateDevice(w.project, d)
	w.must(err)
	return made.ID
}

// remotes creates n devices there, named prefix-000 and so on.
func (w *world) remotes(prefix string, n int) []string {
	w.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = w.remote(fmt.Sprintf("%s-%03d", prefix, i))
	}
	return ids
}

// tags, blueprint, cohort and hardware say what a new remote device has.
func tags(names ...string) func(*world, *tandem.NewRemoteDevice) {
	return func(w *world, d *tandem.NewRemoteDevice) { d.TagIDs = append(d.TagIDs, w.tags(names...)...) }
}

func blueprint(name string) func(*world, *tandem.NewRemoteDevice) {
	return func(w *world, d *tandem.NewRemoteDevice) { d.BlueprintID = w.entity(tandem.BlueprintEntity, name) }
}

func cohort(name string) func(*world, *tandem.NewRemoteDevice) {
	return func(w *world, d *tandem.NewRemoteDevice) { d.CohortID = w.entity(tandem.CohortEntity, name) }
}

func hardware(ids ...string) func(*world, *tandem.NewRemoteDevice) {
	return func(_ *world, d *tandem.NewRemoteDevice) { d.HardwareIDs = ids }
}

// entity gives the id of a tag, blueprint or cohort there, making it when it is missing.
func (w *world) entity(kind tandem.EntityKind, name string) string {
	w.t.Helper()
	all, err := w.sim.Entities(w.project, kind)
	w.must(err)
	for _, e := range all {
		if e.Name == name {
			return e.ID
		}
	}
	made, err := w.sim.CreateEntity(w.project, kind, name)
	w.must(err)
	return made.ID
}

func (w *world) tags(names ...string) []string {
	w.t.Helper()
	var ids []string
	for _, name := range names {
		ids = append(ids, w.entity(tandem.TagEntity, name))
	}
	return ids
}

// editRemote edits a device there, as a console user would.
func (w *world) editRemote(id string, patch tandem.RemotePatch) {
	w.t.Helper()
	_, err := w.sim.EditDevice(w.project, id, patch)
	w.must(err)
}

func rename(name string) tandem.RemotePatch  { return tandem.RemotePatch{Name: &name} }
func enable(enabled bool) tandem.RemotePatch { return tandem.RemotePatch{Enabled: &enabled} }

// deleteRemote deletes a device there.
func (w *world) deleteRemote(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.must(w.sim.DeleteDevice(w.project, id))
	}
}

// remoteDevice gives a device there; hasRemote says whether it is there.
func (w *world) remoteDevice(id string) tandem.RemoteDevice {
	w.t.Helper()
	d, err := w.sim.Device(w.project, id)
	w.must(err)
	return d
}

func (w *world) hasRemote(id string) bool {
	_, err := w.sim.Device(w.project, id)
	return err == nil
}

// remoteNamed gives the device of a name there.
func (w *world) remoteNamed(name string) tandem.RemoteDevice {
	w.t.Helper()
	d, err := w.sim.DeviceByName(w.project, name)
	w.must(err)
	return d
}

func (w *world) remoteCount() int {
	w.t.Helper()
	n, err := w.sim.DeviceCount(w.project)
	w.must(err)
	return n
}

// remoteTags gives the names of a device's tags there, sorted.
func (w *world) remoteTags(id string) []string {
	w.t.Helper()
	all, err := w.sim.Entities(w.project, tandem.TagEntity)
	w.must(err)
	names := []string{}
	for _, tag := range w.remoteDevice(id).TagIDs {
		for _, e := range all {
			if e.ID == tag {
				names = append(names, e.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// state gives a device's LightDB State there; setState writes it as the device would.
func (w *world) state(id, path string) any {
	w.t.Helper()
	v, err := w.sim.State(w.project, id, path)
	w.must(err)
	return v
}

func (w *world) setState(id, path string, value any) {
	w.t.Helper()
	w.must(w.sim.SetState(w.project, id, path, value))
}

// fault sets what goes wrong, in the simulator's notation; no text means that nothing does.
func (w *world) fault(texts ...string) {
	w.t.Helper()
	var list []simulator.Fault
	for _, text := range texts {
		f, err := simulator.ParseFault(text)
		w.must(err)
		list = append(list, f)
	}
	w.sim.SetFaults(list...)
}

// --- what happens here ---

// local creates a device here, as a person would, and gives its id.
func (w *world) local(name string, with ...func(*tandem.Device)) string {
	w.t.Helper()
	now := w.now()
	d := tandem.Device{ID: w.id(), OrganizationID: w.org, Name: name, DeviceID: name, Lifecycle: tandem.Active, HardwareIDs: []string{"hw-" + name},
		Enabled: true, Version: 1, FieldEditedAt: tandem.EditTimes{"": now}, CreatedAt: now, UpdatedAt: now}
	for _, change := range with {
		change(&d)
	}
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{CreateDevices: []tandem.Device{d}}))
	return d.ID
}

// device gives a device here by its id.
func (w *world) device(id string) tandem.Device {
	w.t.Helper()
	d, err := w.store.Device(w.ctx, w.org, id)
	w.must(err)
	return d
}

// devices gives all live devices here, by name.
func (w *world) devices() []tandem.DeviceRow {
	w.t.Helper()
	rows, _, err := w.store.Devices(w.ctx, w.org, tandem.DeviceFilter{Sort: "name", Now: w.now(), Page: tandem.Page{Limit: 1000}})
	w.must(err)
	return rows
}

func (w *world) names() []string {
	w.t.Helper()
	names := []string{}
	for _, d := range w.devices() {
		names = append(names, d.Name)
	}
	return names
}

// localOf gives the device here that is linked to a remote one.
func (w *world) localOf(externalID string) tandem.Device {
	w.t.Helper()
	a, err := w.store.Assignment(w.ctx, w.org, w.service.ID, externalID)
	w.must(err)
	return w.device(a.DeviceID)
}

// assignment gives a device's link on the service; isLinked says whether there is one that is synced.
func (w *world) assignment(deviceID string) tandem.Assignment {
	w.t.Helper()
	all, err := w.store.Assignments(w.ctx, w.org, []string{deviceID})
	w.must(err)
	for _, a := range all {
		if a.ServiceID == w.service.ID {
			return a
		}
	}
	w.t.Fatalf("%s is not assigned on %s", w.device(deviceID).Name, w.service.Name)
	return tandem.Assignment{}
}

func (w *world) isLinked(deviceID string) bool {
	w.t.Helper()
	all, err := w.store.Assignments(w.ctx, w.org, []string{deviceID})
	w.must(err)
	return slices.ContainsFunc(all, func(a tandem.Assignment) bool { return a.ServiceID == w.service.ID && a.Status != tandem.SyncUnlinked })
}

// editLocal edits a device here, as a person would: its version rises and the edited fields note when.
func (w *world) editLocal(id string, change func(*tandem.Device)) {
	w.t.Helper()
	d := w.device(id)
	before := d.Shared()
	d.Metadata = maps.Clone(d.Metadata)
	change(&d)
	now := w.now()
	times := maps.Clone(d.FieldEditedAt)
	if times == nil {
		times = tandem.EditTimes{}
	}
	after := d.Shared()
	for _, name := range tandem.SharedFields.Names() {
		p := tandem.Path(name)
		was, _ := merge.Value(before, p)
		is, _ := merge.Value(after, p)
		if !merge.Equal(was, is) {
			times[p] = now
		}
	}
	d.FieldEditedAt, d.UpdatedAt = times, now
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{UpdateDevices: []tandem.Device{d}}))
}

// deleteLocal deletes a device here, which leaves a tombstone.
func (w *world) deleteLocal(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.editLocal(id, func(d *tandem.Device) { now := w.now(); d.DeletedAt = &now })
	}
}

// --- runs ---

// sync does a whole run by a person's hand, a minute after whatever came before, which must not fail.
func (w *world) sync(operation tandem.Operation) tandem.Run {
	w.t.Helper()
	w.advance(time.Minute)
	run, err := w.run(tandem.RunRequest{Operation: operation})
	w.must(err)
	return run
}

// run does a run at once, as asked.
func (w *world) run(req tandem.RunRequest) (tandem.Run, error) {
	w.t.Helper()
	if req.ServiceID == "" {
		req.ServiceID = w.service.ID
	}
	if req.CreatedBy == "" {
		req.CreatedBy = "ada"
	}
	return w.engine.Run(w.ctx, w.org, req, nil)
}

// preview plans a run and gives the changes it would make.
func (w *world) preview(req tandem.RunRequest) (tandem.Preview, []tandem.Change) {
	w.t.Helper()
	req.ServiceID = w.service.ID
	var list []tandem.Change
	p, err := w.engine.Preview(w.ctx, w.org, req, false, func(c tandem.Change) error { list = append(list, c); return nil }, nil)
	w.must(err)
	return p, list
}

// completed and ended report a run that ended otherwise, with what it says about itself.
func (w *world) completed(run tandem.Run) { w.t.Helper(); w.ended(run, tandem.RunCompleted) }

func (w *world) ended(run tandem.Run, status tandem.RunStatus) {
	w.t.Helper()
	if run.Status != status {
		w.t.Errorf("the run ended %s, want %s: %s %s\n%s", run.Status, status, run.Error, run.Details, strings.Join(w.told(run), "\n"))
	}
	stored, err := w.store.Run(w.ctx, w.org, run.ID)
	w.must(err)
	if stored.Status != run.Status || stored.Summary != run.Summary {
		w.t.Errorf("the run is kept as %s %+v, but was given as %s %+v", stored.Status, stored.Summary, run.Status, run.Summary)
	}
}

// details reads what a run tells about itself.
func (w *world) details(run tandem.Run) syncer.Details {
	w.t.Helper()
	var d syncer.Details
	w.must(json.Unmarshal(run.Details, &d))
	return d
}

// entries gives a run's entries, oldest first.
func (w *world) entries(run tandem.Run) []tandem.Entry {
	w.t.Helper()
	rows, _, err := w.store.Entries(w.ctx, w.org, tandem.EntryFilter{RunID: run.ID, Page: tandem.Page{Limit: 1000}})
	w.must(err)
	return rows
}

// told gives a run's entries as lines "remote update gw-1 name "a" → "b" done", sorted.
func (w *world) told(run tandem.Run) []string {
	w.t.Helper()
	lines := []string{}
	for _, e := range w.entries(run) {
		line := fmt.Sprintf("%s %s %s", e.Side, e.Action, e.DeviceName)
		if e.Path != "" {
			line += fmt.Sprintf(" %s %s → %s", e.Path, e.Before, e.After)
		}
		line += " " + string(e.Outcome)
		if e.Error != "" {
			line += ": " + e.Error
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// count gives how many of a run's entries have an action and an outcome.
func (w *world) count(run tandem.Run, action tandem.Action, outcome tandem.EntryOutcome) int {
	w.t.Helper()
	n := 0
	for _, e := range w.entries(run) {
		if e.Action == action && e.Outcome == outcome {
			n++
		}
	}
	return n
}

// conflicts gives the service's open conflicts; conflict gives the one about a path, which there must be.
func (w *world) conflicts() []tandem.Conflict {
	w.t.Helper()
	rows, _, err := w.store.Conflicts(w.ctx, w.org, tandem.ConflictFilter{ServiceID: w.service.ID, Page: tandem.Page{Limit: 1000}})
	w.must(err)
	return rows
}

func (w *world) conflict(path tandem.Path) tandem.Conflict {
	w.t.Helper()
	for _, c := range w.conflicts() {
		if c.FieldName == path {
			return c
		}
	}
	w.t.Fatalf("there is no open conflict about %q", path)
	return tandem.Conflict{}
}

// closed gives the status of each conflict that is not open any more, newest first.
func (w *world) closed() []tandem.ResolutionStatus {
	w.t.Helper()
	rows, _, err := w.store.Conflicts(w.ctx, w.org, tandem.ConflictFilter{ServiceID: w.service.ID, All: true, Page: tandem.Page{Limit: 1000}})
	w.must(err)
	list := []tandem.ResolutionStatus{}
	for _, c := range rows {
		if !c.Open() {
			list = append(list, c.Status)
		}
	}
	return list
}

// settle settles the open conflicts about a path as a person would, and must succeed.
func (w *world) settle(path tandem.Path, take tandem.Choice, value any) []tandem.Settled {
	w.t.Helper()
	c := w.conflict(path)
	done, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{c.ID}}, Take: take, Value: value, By: "ada"})
	w.must(err)
	for _, s := range done {
		w.must(s.Error)
	}
	return done
}

// notLinked gives the remote devices that are kept as not linked: name and reason, by name.
func (w *world) notLinked() map[string]string {
	w.t.Helper()
	rows, _, err := w.store.NotLinked(w.ctx, w.org, w.service.ID, tandem.NotLinkedFilter{Ignored: true, Page: tandem.Page{Limit: 1000}})
	w.must(err)
	list := map[string]string{}
	for _, row := range rows {
		list[row.Name] = row.Reason
		if row.Ignored {
			list[row.Name] = "ignored"
		}
	}
	return list
}

// intents gives the service's open intents.
func (w *world) intents() []tandem.Intent {
	w.t.Helper()
	list, err := w.store.Intents(w.ctx, w.org, w.service.ID)
	w.must(err)
	return list
}

// requests gives what was asked of the simulator since the last call, and begins to count anew.
func (w *world) requests() simulator.Requests {
	r := w.sim.Requests()
	w.sim.ResetRequests()
	return r
}

// versions tells every device's and assignment's version, conflicts and open intents: what S25 means by a local write.
func (w *world) versions() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	rows, _, err := w.store.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now(), Page: tandem.Page{Limit: 1000}})
	w.must(err)
	for _, row := range rows {
		all["device "+row.ID] = fmt.Sprint(row.Version, row.UpdatedAt)
		for _, a := range row.Assignments {
			all["assignment "+a.ID] = fmt.Sprint(a.Version, a.UpdatedAt)
		}
	}
	for _, c := range w.conflicts() {
		all["conflict "+c.ID] = fmt.Sprint(c.Version)
	}
	for _, in := range w.intents() {
		all["intent "+in.ID] = string(in.Kind)
	}
	return all
}

// quiet does one more run that must change nothing on either side and tell of nothing new (S20, S25).
func (w *world) quiet(operation tandem.Operation) tandem.Run {
	w.t.Helper()
	before := w.versions()
	w.requests()
	run := w.sync(operation)
	if n := w.requests().Writes; n != 0 {
		w.t.Errorf("a run with nothing to do made %d writes on the service", n)
	}
	if d := cmp.Diff(before, w.versions()); d != "" {
		w.t.Errorf("a run with nothing to do wrote here:\n%s", d)
	}
	if told := w.told(run); len(told) > 0 {
		w.t.Errorf("a run with nothing to do has entries:\n%s", strings.Join(told, "\n"))
	}
	return run
}

// request asks for a whole run both ways.
func request(w *world) tandem.RunRequest {
	return tandem.RunRequest{ServiceID: w.service.ID, Operation: tandem.OpBidirectional, CreatedBy: "ada"}
}
