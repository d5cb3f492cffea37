package simulator

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// objectID is an id as MongoDB makes them: seconds, five bytes of the maker, a counter.
type objectID [12]byte

func (id objectID) String() string { return hex.EncodeToString(id[:]) }

func (id objectID) compare(other objectID) int {
	return strings.Compare(string(id[:]), string(other[:]))
}

// parseID reads 24 hex digits.
func (c *call) parseID(text string) (objectID, error) {
	var id objectID
	if len(text) == 24 {
		if _, err := hex.Decode(id[:], []byte(text)); err == nil {
			return id, nil
		}
	}
	const message = "the provided hex string is not a valid ObjectID"
	switch c.server.unknowns.BadID {
	case "404":
		return id, notFound(message)
	case "500":
		return id, fail(http.StatusInternalServerError, codeInternal, message)
	}
	return id, invalid(message)
}

// device is one device. Times are Unix nanoseconds, 0 for none. Its slices are never changed
// in place, since generated devices share them.
type device struct {
	id          objectID
	enabled     bool
	generated   bool // its state and credentials are still those the seed makes
	serial      int32
	name        string
	certificate string
	blueprint   string
	cohort      string
	hardware    []string
	tags        []string
	updates     []update
	created     int64
	updated     int64
	lastReport  int64
	online      int64
	doc         any     // the state document, when not generated any more
	cached      *cached // nil when not rendered, or changed since
}

// update is what one package on a device last reported.
type update struct {
	pack    string
	version string
	target  string
	state   int // 0 IDLE to 3 UPDATING
	reason  int
	at      int64
}

// past is a device before its last change, for reads that lag behind.
type past struct {
	at     time.Time
	device *device // nil when there was none; in beforeState, only its document counts
}

// project is one project's world. Lock it before anything else is touched.
type project struct {
	mu           sync.Mutex
	server       *Server
	options      Project
	id           string
	name         string
	organization string
	created      time.Time
	updated      time.Time
	random       *rand.Rand // life
	maker        [5]byte
	counter      uint32
	serial       int // of the last device made
	seed         uint64

	order      []*device // ascending by id
	byID       map[objectID]*device
	byName     map[string]*device
	byHardware map[string]*device
	before     map[objectID]past

	beforeState map[objectID]past

	tags        *entities
	blueprints  *entities
	cohorts     *entities
	inCohort    map[string]int
	credentials map[objectID][]credential
	identities  map[string]objectID
	packages    []*pack
	artifacts   []*artifact
	releases    []*release
	rows        []row // of the stream, beside the one that each device's last report makes

	secrets   []*secret
	pipelines []*pipeline // in the order of their creation
	piped     int         // pipelines ever made
	journal   journal
	events    Events

	generation uint64 // moves with any edit; guards selections
	moves      uint64 // moves with any activity; with generation, guards queries
	selections map[string]selection
	queries    map[string][]row
	cacheLeft  int64
	lived      time.Time // until when life has been played
}

// lock takes the project and lets it live up to now.
func (p *project) lock(now time.Time) {
	p.mu.Lock()
	p.live(now)
}

// newID mints an id of the server's present time.
func (p *project) newID() objectID { return p.mintID(p.server.clock()) }

func (p *project) mintID(at time.Time) objectID {
	var id objectID
	binary.BigEndian.PutUint32(id[:4], uint32(at.Unix()))
	copy(id[4:9], p.maker[:])
	p.counter++
	id[9], id[10], id[11] = byte(p.counter>>16), byte(p.counter>>8), byte(p.counter)
	return id
}

// draft is a device to be made; what is not set gets its default.
type draft struct {
	name, blueprint, cohort, certificate string
	hardware, tags                       []string
}

// create makes a device now, or fails with what the API would say.
func (p *project) create(from draft) (*device, error) {
	now := p.server.clock().Truncate(time.Millisecond)
	d := &device{name: from.name, enabled: true, blueprint: from.blueprint, cohort: from.cohort,
		certificate: from.certificate, hardware: unique(from.hardware), tags: unique(from.tags),
		created: now.UnixNano(), updated: now.UnixNano()}
	if len(d.hardware) == 0 {
		d.hardware = []string{p.autoHardware(now, d.name)}
	}
	if err := p.check(nil, d); err != nil {
		return nil, err
	}
	p.serial++
	d.serial = int32(p.serial)
	d.id = p.mintID(now)
	p.remember(p.before, d.id, nil)
	p.insert(d)
	p.tellDevice(CreatedEvent, d)
	return d, nil
}

// autoHardware is the id that the server makes: the second of creation and the name's slug.
func (p *project) autoHardware(now time.Time, name string) string {
	id := now.UTC().Format("20060102150405") + "-" + slug(name)
	for p.byHardware[id] != nil {
		id += "-2" // two names with one slug in one second
	}
	return id
}

func slug(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") }

// check refuses a new version of a device that breaks a rule. old is nil for a new device.
func (p *project) check(old, d *device) error {
	duplicate := func(message string) error {
		if p.server.unknowns.Duplicate == "400" {
			return invalid("%s", message)
		}
		return fail(http.StatusConflict, codeExists, "%s", message)
	}
	if d.name == "" {
		return invalid("device name is required")
	}
	if other := p.byName[d.name]; other != nil && other != old {
		return duplicate("device name already being used")
	}
	for _, h := range d.hardware {
		if h == "" {
			return invalid("hardware id must not be empty")
		}
		if other := p.byHardware[h]; other != nil && other != old {
			return duplicate("hardware id already being used")
		}
	}
	missing := func(message string) error {
		if p.server.unknowns.MissingReference == "400" {
			return invalid("%s", message)
		}
		return notFound("%s", message)
	}
	for _, t := range d.tags {
		if p.tags.byID[t] == nil && !(old != nil && slices.Contains(old.tags, t)) {
			return missing("tag not found")
		}
	}
	if d.blueprint != "" && p.blueprints.byID[d.blueprint] == nil && !(old != nil && old.blueprint == d.blueprint) {
		return missing("blueprint not found")
	}
	if d.cohort != "" && p.cohorts.byID[d.cohort] == nil && !(old != nil && old.cohort == d.cohort) {
		return missing("cohort not found")
	}
	return nil
}

// insert puts a device in its place and in the indexes.
func (p *project) insert(d *device) {
	n := len(p.order)
	if n > 0 && p.order[n-1].id.compare(d.id) > 0 {
		n, _ = slices.BinarySearchFunc(p.order, d.id, func(x *device, id objectID) int { return x.id.compare(id) })
	}
	p.order = slices.Insert(p.order, n, d)
	p.byID[d.id] = d
	p.index(d)
	p.generation++
}

func (p *project) index(d *device) {
	p.byName[d.name] = d
	for _, h := range d.hardware {
		p.byHardware[h] = d
	}
	if d.cohort != "" {
		p.inCohort[d.cohort]++
	}
}

func (p *project) unindex(d *device) {
	delete(p.byName, d.name)
	for _, h := range d.hardware {
		delete(p.byHardware, h)
	}
	if d.cohort != "" {
		p.inCohort[d.cohort]--
	}
}

// change puts a checked new version in a device's place: an edit, which moves updatedAt.
func (p *project) change(d *device, next device) {
	p.remember(p.before, d.id, d)
	p.unindex(d)
	p.forget(d)
	next.cached = nil
	next.updated = p.server.clock().Truncate(time.Millisecond).UnixNano()
	*d = next
	p.index(d)
	p.generation++
	p.tellDevice(UpdatedEvent, d)
}

// touch marks a device as moved by activity: rendered anew, updatedAt as it was.
func (p *project) touch(d *device) {
	p.forget(d)
	p.moves++
}

// remove deletes a device and its data.
func (p *project) remove(d *device) {
	p.remember(p.before, d.id, d)
	at, found := slices.BinarySearchFunc(p.order, d.id, func(x *device, id objectID) int { return x.id.compare(id) })
	if !found {
		return
	}
	p.order = slices.Delete(p.order, at, at+1)
	p.unindex(d)
	p.forget(d)
	delete(p.byID, d.id)
	for _, c := range p.credentials[d.id] {
		delete(p.identities, c.Identity)
	}
	delete(p.credentials, d.id)
	p.rows = slices.DeleteFunc(p.rows, func(r row) bool { return r.device == d.id })
	p.generation++
	p.tell(DeletedEvent, d, p.server.clock(), map[string]string{"name": d.name})
}

// remember keeps a device as it is, for stale reads. Of the oldest versions a few thousand are enough.
func (p *project) remember(versions map[objectID]past, id objectID, d *device) {
	const most = 4096
	now := p.server.clock()
	if len(versions) >= most {
		for key, old := range versions {
			if now.Sub(old.at) > time.Minute || len(versions) >= 2*most {
				delete(versions, key)
			}
		}
	}
	kept := past{at: now}
	if d != nil {
		version := *d
		version.cached = nil
		kept.device = &version
	}
	versions[id] = kept
}

// lookup finds a device as the call sees it: with a stale fault, as it was.
func (c *call) lookup(text string) (*device, error) {
	id, err := c.parseID(text)
	if err != nil {
		return nil, err
	}
	d := c.project.byID[id]
	if c.request.Method == http.MethodGet {
		d = c.seen(id, d)
	}
	if d == nil {
		return nil, notFound("device not found")
	}
	return d, nil
}

// seen gives the version of a device that a lagging read gets.
func (c *call) seen(id objectID, d *device) *device {
	if c.stale == 0 {
		return d
	}
	if old, ok := c.project.before[id]; ok && c.now.Sub(old.at) < c.stale {
		return old.device
	}
	return d
}

func unique(list []string) []string {
	if len(list) < 2 {
		return slices.Clone(list)
	}
	kept := make([]string, 0, len(list))
	for _, s := range list {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
