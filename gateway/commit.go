package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tandem"
	"tandem/gather"
	"tandem/report"
)

// The bounds of the buffer between devices and the database.
const (
	storeTimeout  = 10 * time.Second
	mostWaiting   = 64 << 20         // bytes of reports that wait, about …
	mostOfDevice  = mostWaiting / 4  // … and of one device
	leastSize     = 400              // bytes that a report takes, however small
	unfolded      = 8                // times its bytes, a message takes about as much memory once it is read
	stateKnownFor = 30 * time.Second // what a device was last seen at may be this old, or else is read again
	mostAnnounced = 100              // devices that one event names
)

// waiting is a message that waits for its commit.
type waiting struct {
	org   string
	state *deviceState
	said  []report.Said
	size  int     // about how many bytes it holds
	is    outcome // once done is closed
	done  chan struct{}
}

// answer says what became of it.
func (w *waiting) answer(is outcome) {
	w.is, w.said = is, nil
	close(w.done)
}

// failed reports whether it is known not to be stored.
func (w *waiting) failed() bool {
	select {
	case <-w.done:
		return w.is.err != nil
	default:
		return false
	}
}

// outcome is what became of it: err nil says that it is durable.
type outcome struct {
	notes []string
	err   error
}

// committer turns many messages into few transactions.
type committer struct {
	o     *Options
	known *known
	life  context.Context // of all transactions; it ends some time after the gateway is told to stop
	end   context.CancelFunc
	once  sync.Once
	queue *gather.Queue[*waiting]

	mu     sync.Mutex
	bytes  int
	states map[string]*deviceState
}

func newCommitter(o *Options, k *known) *committer {
	c := &committer{o: o, known: k, states: map[string]*deviceState{}}
	c.life, c.end = context.WithCancel(context.Background())
	c.queue = gather.New(gather.Options[*waiting]{Waiting: o.Waiting, Batch: o.Batch, Weight: o.Batch,
		Weigh: func(w *waiting) int { return len(w.said) }, Writers: o.Writers, Commit: c.begin})
	return c
}

// state gives what is known of a device; d is what it is begun with.
func (c *committer) state(d *tandem.Device) *deviceState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.states[d.ID]
	if s == nil {
		s = &deviceState{device: *d, used: c.o.Clock()}
		c.states[d.ID] = s
	}
	return s
}

// sweep forgets devices that have not reported for a while.
func (c *committer) sweep() {
	now := c.o.Clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, s := range c.states {
		s.mu.Lock()
		idle := now.Sub(s.used) >= stateLife
		s.mu.Unlock()
		if idle {
			delete(c.states, id)
		}
	}
}

// room is whether another message can wait.
type room int

const (
	roomy   room = iota
	full         // too many wait, or none may any more
	crowded      // too much of this device waits
)

// reserve takes the room for a message before it is read, where there is any: reading is what takes memory.
func (c *committer) reserve(s *deviceState, size int) room {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.queue.Full() || c.bytes+size > mostWaiting && c.bytes > 0:
		return full
	case s.waiting+size > mostOfDevice && s.waiting > 0 && size > leastSize: // whether it is there is noted in any case
		return crowded
	}
	c.bytes += size
	s.waiting += size
	return roomy
}

// release gives back what was reserved for a message that does not wait.
func (c *committer) release(s *deviceState, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes -= size
	s.waiting -= size
}

// stopping has all transactions from now on end within a time, together.
func (c *committer) stopping(within time.Duration) {
	c.once.Do(func() { time.AfterFunc(within, c.end) })
}

// begin commits a batch that waits no more.
func (c *committer) begin(batch []*waiting) {
	c.mu.Lock()
	for _, w := range batch {
		c.bytes -= w.size
		w.state.waiting -= w.size
	}
	c.mu.Unlock()
	c.commit(batch)
}

// commit stores a batch and answers. Where one of it cannot be stored, the others are: halves are tried by themselves.
func (c *committer) commit(batch []*waiting) {
	ctx, cancel := context.WithTimeout(c.life, storeTimeout)
	defer cancel()
	if c.life.Err() != nil { // the database had its time
		for _, w := range batch {
			w.answer(outcome{err: queueFull()})
		}
		return
	}
	work, err := c.decide(ctx, batch)
	if err == nil {
		err = c.o.Store.ApplyAll(ctx, work.changes())
	}
	if err == nil {
		for s, d := range work.devices {
			s.leave(d.device, d.loaded)
		}
		for i, w := range batch {
			w.answer(work.outcomes[i])
		}
		return
	}
	if len(batch) > 1 && !passing(err) {
		c.commit(batch[:len(batch)/2])
		c.commit(batch[len(batch)/2:])
		return
	}
	if passing(err) {
		err = &tandem.Error{Code: tandem.Unavailable, Op: "gateway: report", Message: "the database is away", Hint: "send it again later", RetryAfter: awayRetry, Err: err}
	} else {
		c.o.Log.Warn("a report cannot be stored", "error", err)
	}
	for _, w := range batch {
		w.answer(outcome{err: err})
	}
}

// passing reports whether an error is the database's state, not the report's fault.
func passing(err error) bool {
	return tandem.Is(err, tandem.Unavailable, tandem.Timeout, tandem.DiskFull, tandem.Schema)
}

// worked is a device as the reports of a batch leave it.
type worked struct {
	device tandem.Device
	loaded time.Time
}

// work is one attempt at a batch.
type work struct {
	devices  map[*deviceState]*worked
	outcomes []outcome
	orgs     map[string]*tandem.Changes
	presence map[presenceKey][]string // device ids
}

type presenceKey struct{ org, kind string }

// decide says what a batch leads to.
func (c *committer) decide(ctx context.Context, batch []*waiting) (*work, error) {
	w := &work{devices: make(map[*deviceState]*worked, len(batch)), outcomes: make([]outcome, len(batch)), orgs: map[string]*tandem.Changes{}, presence: map[presenceKey][]string{}}
	if err := c.load(ctx, batch, w); err != nil {
		return nil, err
	}
	for i, m := range batch {
		changes := w.orgs[m.org]
		if changes == nil {
			changes = &tandem.Changes{}
			w.orgs[m.org] = changes
		}
		w.outcomes[i] = w.one(m, changes)
	}
	now := c.o.Clock().UTC()
	for key, devices := range w.presence {
		changes := w.orgs[key.org]
		changes.Events = append(changes.Events, tandem.Event{ID: c.o.IDs(), OrganizationID: key.org, At: now, Kind: key.kind,
			IDs: devices[:min(len(devices), mostAnnounced)], Many: len(devices) > mostAnnounced})
	}
	return w, nil
}

// one adds what one message says. A fault of this program fails that one alone.
func (w *work) one(m *waiting, changes *tandem.Changes) (is outcome) {
	observations, history := len(changes.Observe), len(changes.Observations)
	defer func() {
		if fault := recover(); fault != nil {
			changes.Observe, changes.Observations = changes.Observe[:observations], changes.Observations[:history]
			is = outcome{err: tandem.Errorf(tandem.Internal, "gateway: report", "", "this program failed over it: %v", fault)}
		}
	}()
	d := &w.devices[m.state].device
	for i := range m.said {
		e := report.Decide(&m.said[i], d)
		changes.Observations = append(changes.Observations, e.History...)
		if e.Observes() {
			changes.Observe = append(changes.Observe, tandem.Observation{DeviceID: d.ID, Observed: e.Observed})
			e.Leave(d)
		}
		if e.Note != "" && len(is.notes) < 10 {
			is.notes = append(is.notes, fmt.Sprintf("report %d: %s", i+1, e.Note))
		}
		if e.Presence != "" {
			key := presenceKey{m.org, e.Presence}
			w.presence[key] = append(w.presence[key], d.ID)
		}
	}
	return is
}

// load takes what is known of the devices, and reads those again of which too little is known: others may write their
// firmware too, of which a report tells only a part.
func (c *committer) load(ctx context.Context, batch []*waiting, w *work) error {
	now := c.o.Clock()
	again := map[string][]string{}
	by := map[string]*worked{}
	for _, m := range batch {
		d := w.devices[m.state]
		if d == nil {
			d = &worked{}
			d.device, d.loaded = m.state.look()
			w.devices[m.state] = d
		}
		if by[d.device.ID] == nil && (now.Sub(d.loaded) > stateKnownFor || tellsFirmware(m.said)) {
			by[d.device.ID] = d
			again[m.org] = append(again[m.org], d.device.ID)
		}
	}
	for org, ids := range again {
		found, err := c.o.Store.Reporters(ctx, org, ids)
		if err != nil {
			return err
		}
		for i := range found {
			by[found[i].ID].device, by[found[i].ID].loaded = found[i], now
		}
	}
	return nil
}

// tellsFirmware reports whether any of the reports is about firmware.
func tellsFirmware(said []report.Said) bool {
	for i := range said {
		if said[i].Find == nil {
			continue
		}
		if _, ok := said[i].Find(report.Firmware); ok {
			return true
		}
	}
	return false
}

// changes gives those of each organization.
func (w *work) changes() []tandem.OrganizationChanges {
	all := make([]tandem.OrganizationChanges, 0, len(w.orgs))
	for org, changes := range w.orgs {
		all = append(all, tandem.OrganizationChanges{OrganizationID: org, Changes: changes})
	}
	return all
}
