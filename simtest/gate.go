package simtest

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"sync"

	"tandem"
	"tandem/golioth/simulator"
)

// project is the one that every world serves.
const (
	project    = "demo"
	projectKey = "simtest-key"
)

// moment is a point in the life of a request at which something may happen.
type moment string

const (
	arrives moment = "arrives"                      // any request, before anything is done about it
	before  moment = "is about to take effect"      // a write
	after   moment = "has taken effect, unanswered" // a write
)

// event is something that happens when the n-th request of a run reaches a moment.
type event struct {
	at moment
	n  int // from 1
	// do acts. Its answer says whether the request goes on: after a kill at before, it never arrives.
	do func() bool
}

// gate stands before the simulator. The program's requests go through it one write a device at a time, so
// that the ledger shows exactly what each of them did; people go through it too.
type gate struct {
	sim     *simulator.Server
	ledger  *ledger
	perPage string // of device listings, as a server that clamps would; "" as asked
	root    string // of metadata in LightDB State, "" when it is not synced

	mu       sync.Mutex // guards what follows
	events   []event
	counts   map[moment]int
	devices  map[string]*sync.Mutex
	acting   sync.Mutex // events happen one after the other
	entities map[string]string
}

func newGate(sim *simulator.Server, l *ledger) *gate {
	return &gate{sim: sim, ledger: l, counts: map[moment]int{}, devices: map[string]*sync.Mutex{}, entities: map[string]string{}}
}

// arm sets what happens during the next run, and counts anew.
func (g *gate) arm(events ...event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events, g.counts = events, map[moment]int{}
}

// disarm lets nothing more happen, and waits for what is happening.
func (g *gate) disarm() {
	g.mu.Lock()
	g.events = nil
	g.mu.Unlock()
	g.acting.Lock()
	defer g.acting.Unlock()
}

// count says how many requests of the run reached a moment.
func (g *gate) count(at moment) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[at]
}

// reach counts a request at a moment and lets happen what is due. It reports whether the request goes on.
func (g *gate) reach(at moment) bool {
	g.mu.Lock()
	g.counts[at]++
	var due []event
	rest := g.events[:0:0]
	for _, e := range g.events {
		if e.at == at && e.n == g.counts[at] {
			due = append(due, e)
		} else {
			rest = append(rest, e)
		}
	}
	g.events = rest
	g.mu.Unlock()
	on := true
	for _, e := range due {
		g.acting.Lock()
		on = e.do() && on
		g.acting.Unlock()
	}
	return on
}

// lock takes one device's turn; "" is the turn to make devices.
func (g *gate) lock(device string) func() {
	g.mu.Lock()
	m := g.devices[device]
	if m == nil {
		m = &sync.Mutex{}
		g.devices[device] = m
	}
	g.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// ServeHTTP lets a request of the program through.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.reach(arrives) {
		panic(http.ErrAbortHandler)
	}
	device, below, ofDevice := deviceOf(r.URL.Path)
	if r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "/stream") {
		if ofDevice && device == "" && g.perPage != "" {
			q := r.URL.Query()
			q.Set("perPage", g.perPage)
			r.URL.RawQuery = q.Encode()
		}
		then := g.ledger.now()
		g.sim.ServeHTTP(w, r)
		if ofDevice && device != "" && (below == "" || strings.HasPrefix(below, "data")) {
			g.ledger.reading(device, then)
		}
		return
	}
	if !g.reach(before) {
		panic(http.ErrAbortHandler)
	}
	if !ofDevice {
		g.sim.ServeHTTP(&watched{ResponseWriter: w, effect: func() { g.reach(after) }}, r)
		return
	}
	unlock := g.lock(device)
	defer unlock()
	was := g.look(device)
	var once sync.Once
	effect := func() {
		once.Do(func() {
			g.compare(program, device, was, g.look(device))
			g.reach(after)
		})
	}
	defer effect()
	g.sim.ServeHTTP(&watched{ResponseWriter: w, effect: effect}, r)
}

// deviceOf reads a path: the device's id ("" for all of them) and what follows it.
func deviceOf(path string) (device, below string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/v1/projects/"+project+"/devices")
	if !ok || (rest != "" && rest[0] != '/') {
		return "", "", false
	}
	device, below, _ = strings.Cut(strings.Trim(rest, "/"), "/")
	return device, below, true
}

// look gives the facts of one device, or of all when id is "".
func (g *gate) look(id string) map[string]facts {
	found := map[string]facts{}
	if id != "" {
		if d, err := g.sim.Device(project, id); err == nil {
			found[id] = g.facts(&d)
		}
		return found
	}
	all, err := g.sim.Devices(project)
	if err != nil {
		return found
	}
	for i := range all {
		found[all[i].ID] = g.facts(&all[i])
	}
	return found
}

// compare writes what became of one device into the ledger; with "", of the devices that are new.
func (g *gate) compare(by who, device string, was, is map[string]facts) {
	for id, now := range is {
		if device != "" || was[id] == nil {
			g.ledger.note(tandem.RemoteSide, id, by, was[id], now)
		}
	}
	if device != "" && was[device] != nil && is[device] == nil {
		g.ledger.note(tandem.RemoteSide, device, by, facts{itself: here}, facts{itself: gone})
	}
}

// facts puts a device into our words: entities by name, metadata from LightDB State.
func (g *gate) facts(d *tandem.RemoteDevice) facts {
	s := tandem.Shared{Known: tandem.SharedFields.Without(tandem.FieldMetadata), Name: d.Name, Enabled: d.Enabled, HardwareIDs: d.HardwareIDs,
		Blueprint: g.entity(d.BlueprintID), Cohort: g.entity(d.CohortID)}
	for _, id := range d.TagIDs {
		s.Tags = append(s.Tags, g.entity(id))
	}
	f := factsOf(s)
	f[itself] = here
	if g.root != "" {
		if v, err := g.sim.State(project, d.ID, g.root); err == nil {
			f.put("metadata", v)
		}
	}
	return f
}

// entity gives the name of a tag, blueprint or cohort.
func (g *gate) entity(id string) string {
	if id == "" {
		return ""
	}
	g.mu.Lock()
	name, ok := g.entities[id]
	g.mu.Unlock()
	if ok {
		return name
	}
	for _, kind := range []tandem.EntityKind{tandem.TagEntity, tandem.BlueprintEntity, tandem.CohortEntity} {
		list, err := g.sim.Entities(project, kind)
		if err != nil {
			continue
		}
		g.mu.Lock()
		for _, e := range list {
			g.entities[e.ID] = e.Name
		}
		g.mu.Unlock()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.entities[id]
}

// byHand lets a person do something to one device ("" to make one), and writes it into the ledger.
func (g *gate) byHand(device string, do func() error) error {
	defer g.lock(device)()
	was := g.look(device)
	err := do()
	g.compare(person, device, was, g.look(device))
	return err
}

// watched calls effect before the first byte of an answer, or the reset, leaves the server.
type watched struct {
	http.ResponseWriter
	effect func()
}

// WriteHeader comes once a request has had its effect.
func (w *watched) WriteHeader(status int) {
	w.effect()
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets a ResponseController through.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack is how the simulator resets a connection.
func (w *watched) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.effect()
	return http.NewResponseController(w.ResponseWriter).Hijack()
}
