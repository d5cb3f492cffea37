package syncer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
)

// creating is a service that creates remote devices.
var creating = config(func(c *tandem.ServiceConfig) { c.CreateRemote = true })

// errKilled stands for the death of the process: from then on it reaches neither the database nor the service.
var errKilled = tandem.Errorf(tandem.Internal, "test", "", "the process was killed")

// mortal kills the process at a chosen call. What comes before has happened, nothing after does.
type mortal struct {
	tandem.Store
	tandem.Remote
	kill  func(call string, c *tandem.Changes) bool // asked before each call; nil is immortal
	after bool                                      // the call that kills takes effect first
	dead  atomic.Bool
	mu    sync.Mutex
}

// dies asks whether the process is dead at this call. At a deadly one the effect may come first.
func (m *mortal) dies(call string, c *tandem.Changes, effect func()) bool {
	if m.dead.Load() {
		return true
	}
	m.mu.Lock() // what kill counts, it counts alone
	killed := m.kill != nil && m.kill(call, c)
	m.mu.Unlock()
	if !killed {
		return false
	}
	if m.after {
		effect()
	}
	m.dead.Store(true)
	return true
}

// revive is the next process.
func (m *mortal) revive() { m.kill = nil; m.dead.Store(false) }

type mortalStore struct {
	tandem.Store
	m *mortal
}

func (s mortalStore) Apply(ctx context.Context, org string, c *tandem.Changes) error {
	if s.m.dies("apply", c, func() { _ = s.Store.Apply(ctx, org, c) }) {
		return errKilled
	}
	return s.Store.Apply(ctx, org, c)
}

func (s mortalStore) ReleaseLease(ctx context.Context, org string, l tandem.Lease) error {
	if s.m.dead.Load() {
		// The lease of a dead process runs out; a test does not wait for that.
		return errors.Join(errKilled, s.Store.ReleaseLease(ctx, org, l))
	}
	return s.Store.ReleaseLease(ctx, org, l)
}

type mortalRemote struct {
	tandem.Remote
	m *mortal
}

func (r mortalRemote) CreateDevice(ctx context.Context, d tandem.NewRemoteDevice) (tandem.RemoteDevice, error) {
	if r.m.dies("create", nil, func() { _, _ = r.Remote.CreateDevice(ctx, d) }) {
		return tandem.RemoteDevice{}, errKilled
	}
	return r.Remote.CreateDevice(ctx, d)
}

func (r mortalRemote) UpdateDevice(ctx context.Context, id string, p tandem.RemotePatch) (tandem.RemoteDevice, error) {
	if r.m.dies("update", nil, func() { _, _ = r.Remote.UpdateDevice(ctx, id, p) }) {
		return tandem.RemoteDevice{}, errKilled
	}
	return r.Remote.UpdateDevice(ctx, id, p)
}

func (r mortalRemote) DeleteDevice(ctx context.Context, id string) error {
	if r.m.dies("delete", nil, func() { _ = r.Remote.DeleteDevice(ctx, id) }) {
		return errKilled
	}
	return r.Remote.DeleteDevice(ctx, id)
}

func (r mortalRemote) Device(ctx context.Context, id string) (tandem.RemoteDevice, error) {
	if r.m.dead.Load() {
		return tandem.RemoteDevice{}, errKilled
	}
	return r.Remote.Device(ctx, id)
}

// dying makes a world's process mortal.
func dying(m *mortal) option {
	return func(s *setup) {
		s.store = func(st tandem.Store) tandem.Store { return mortalStore{st, m} }
		s.remote = func(r tandem.Remote) tandem.Remote { return mortalRemote{r, m} }
	}
}

// TestS14CreateOnce: whatever becomes of the create's reply, there is one device there, linked to the one here.
func TestS14CreateOnce(t *testing.T) {
	for name, c := range map[string]struct {
		fault string
		first tandem.RunStatus // of the run that met it
	}{
		"the reply is lost":                      {"reset-after:POST /devices:count=1", tandem.RunCompleted},
		"the connection breaks before":           {"reset-before:POST /devices:count=1", tandem.RunPartial},
		"a server error":                         {"500:POST /devices:count=1", tandem.RunPartial},
		"the reply is damaged":                   {"malformed:POST /devices:count=1", tandem.RunCompleted},
		"the reply is cut short":                 {"truncate:POST /devices:count=1", tandem.RunCompleted},
		"a web page instead":                     {"html:POST /devices:count=1", tandem.RunPartial},
		"too many requests":                      {"429:POST /devices:count=1,retry-after=1s", tandem.RunPartial},
		"the reply is lost, and so is each look": {"reset-after:POST /devices:count=1|503:GET /devices:after=1,count=3", tandem.RunPartial},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some wait a write's timeout out
			w := newWorld(t, creating)
			id := w.local("gw-1", func(d *tandem.Device) { d.Tags = []string{"blue"} })
			w.fault(strings.Split(c.fault, "|")...)
			run := w.sync(tandem.OpBidirectional)
			if run.Status != c.first {
				t.Logf("the first run ended %s: %s\n%s", run.Status, run.Error, strings.Join(w.told(run), "\n"))
				if c.first == tandem.RunCompleted {
					t.Error("it could have been completed")
				}
			}
			w.fault()
			if run.Status != tandem.RunCompleted {
				w.completed(w.sync(tandem.OpBidirectional))
			}
			w.equal(w.remoteCount(), 1)
			w.equal(w.localOf(w.remoteNamed("gw-1").ID).ID, id)
			w.equal(w.remoteTags(w.remoteNamed("gw-1").ID), []string{"blue"})
			w.equal(len(w.intents()), 0)
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS14Minted: a device without a hardware id gets one, stored here before the service hears of it.
func TestS14Minted(t *testing.T) {
	w := newWorld(t, creating)
	id := w.local("gw-1", noHardware)
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	d := w.device(id)
	if len(d.HardwareIDs) != 1 || !strings.Contains(d.HardwareIDs[0], id) {
		t.Fatalf("minted hardware ids %v", d.HardwareIDs)
	}
	w.equal(w.remoteNamed("gw-1").HardwareIDs, d.HardwareIDs)
	w.equal(w.count(run, tandem.ActUpdate, tandem.OutcomeDone), 1)
	w.quiet(tandem.OpBidirectional)
}

// TestS14Killed: killed at any instant of creating, the next run makes one device and no more (S24).
func TestS14Killed(t *testing.T) {
	intends := func(call string, c *tandem.Changes) bool { return call == "apply" && len(c.PutIntents) > 0 }
	for name, m := range map[string]*mortal{
		"before the intent":        {kill: intends},
		"after the intent":         {kill: intends, after: true},
		"before the create":        {kill: func(call string, _ *tandem.Changes) bool { return call == "create" }},
		"after the create":         {kill: func(call string, _ *tandem.Changes) bool { return call == "create" }, after: true},
		"before its base is kept":  {kill: func(_ string, c *tandem.Changes) bool { return c != nil && len(c.CreateAssignments) > 0 }},
		"after its base was kept":  {kill: func(_ string, c *tandem.Changes) bool { return c != nil && len(c.CreateAssignments) > 0 }, after: true},
		"before what must follow":  {kill: func(call string, _ *tandem.Changes) bool { return call == "update" }},
		"after what had to follow": {kill: func(call string, _ *tandem.Changes) bool { return call == "update" }, after: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, creating, dying(m))
			w.remotes("other", 9)
			kill := m.kill
			m.kill = nil
			w.completed(w.sync(tandem.OpBidirectional))
			m.kill = kill
			id := w.local("gw-1", noHardware, func(d *tandem.Device) { d.Enabled = false; d.Tags = []string{"blue"} })
			w.advance(time.Minute)
			if run, err := w.engine.Run(w.ctx, w.org, request(w), nil); err == nil {
				t.Fatalf("the process outlived its death: %+v", run)
			}
			m.revive()
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal(w.remoteCount(), 10)
			rd := w.remoteNamed("gw-1")
			w.equal(w.localOf(rd.ID).ID, id)
			w.equal(rd.Enabled, false)
			w.equal(w.remoteTags(rd.ID), []string{"blue"})
			w.equal(len(w.intents()), 0)
			w.equal(run.Summary.Processed, 10)
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS14SentAgainVerbatim: a create whose effect is unknown is sent again as it was, and what was edited
// here meanwhile follows.
func TestS14SentAgainVerbatim(t *testing.T) {
	m := &mortal{kill: func(call string, _ *tandem.Changes) bool { return call == "create" }}
	w := newWorld(t, creating, dying(m))
	id := w.local("gw-1")
	_, err := w.run(request(w))
	w.wantCode(err, tandem.Internal)
	m.revive()
	w.editLocal(id, func(d *tandem.Device) { d.Name = "gw-2"; d.HardwareIDs = []string{"hw-new"} })
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteCount(), 1)
	rd := w.remoteNamed("gw-2")
	w.equal(rd.HardwareIDs, []string{"hw-new"})
	w.equal(w.localOf(rd.ID).ID, id)
	w.quiet(tandem.OpBidirectional)
}

// TestS14Unwanted: a create that did not happen is forgotten when nobody wants it any more.
func TestS14Unwanted(t *testing.T) {
	for name, change := range map[string]func(w *world, id string){
		"the device was deleted":      func(w *world, id string) { w.deleteLocal(id) },
		"the service creates no more": func(w *world, _ string) { w.configure(func(c *tandem.ServiceConfig) { c.CreateRemote = false }) },
	} {
		t.Run(name, func(t *testing.T) {
			m := &mortal{kill: func(call string, _ *tandem.Changes) bool { return call == "create" }}
			w := newWorld(t, creating, dying(m))
			id := w.local("gw-1")
			_, err := w.run(request(w))
			w.wantCode(err, tandem.Internal)
			m.revive()
			change(w, id)
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteCount(), 0)
			w.equal(len(w.intents()), 0)
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS14NameTaken: a create that the service refuses fails alone, with who has the name, and again until somebody acts.
func TestS14NameTaken(t *testing.T) {
	for _, code := range []string{"409", "400"} {
		w := newWorld(t, creating, unknown("duplicate="+code))
		w.remote("gw-1", hardware("theirs"))
		w.completed(w.sync(tandem.OpImport))
		other := w.local("gw-1", withHardware("ours"), deviceID("ours"))
		fine := w.local("gw-2")
		for range 2 {
			run := w.sync(tandem.OpBidirectional)
			w.ended(run, tandem.RunPartial)
			w.equal(w.count(run, tandem.ActCreate, tandem.OutcomeFailed), 1)
			i := slices.IndexFunc(w.entries(run), func(e tandem.Entry) bool { return e.Outcome == tandem.OutcomeFailed })
			if e := w.entries(run)[i]; e.DeviceID != other || e.Code != tandem.Exists || !strings.Contains(e.Error, "gw-1") {
				t.Errorf("the entry does not say what happened: %+v", e)
			}
			w.equal(len(w.intents()), 0)
		}
		w.equal(w.isLinked(fine), true)
		w.equal(w.remoteCount(), 2)
	}
}

// TestS14Many: creating many, with every third reply lost, makes each once.
func TestS14Many(t *testing.T) {
	w := newWorld(t, creating)
	for i := range 60 {
		w.local("gw-" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
	}
	w.fault("reset-after:POST /devices:every=3")
	w.completed(w.sync(tandem.OpBidirectional))
	w.fault()
	w.equal(w.remoteCount(), 60)
	run := w.quiet(tandem.OpBidirectional)
	w.equal(run.Summary, tandem.Summary{Processed: 60, Successful: 60})
}
