package store

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/uptrace/bun"
)

// LargeFleet is from how many devices on a server keeps an organization's fleet in memory (Options.FleetsFrom).
const LargeFleet = 2_000

// How fleets are kept true. What this process commits is in them before anybody else is answered; what another one commits,
// as soon as the events tell which devices it is about. Where they tell only that it is about many, the fleet is read anew
// beside the listings, which go on with the older one for a while.
const (
	fleetsAtAll          = 400_000 // devices in the memory of one process, 350 bytes or so each; the fleets least recently asked for go
	changesAtOnce        = 5_000   // are brought in without anybody asking
	observedAtOnce       = 20_000
	upsetAtMost          = 15 * time.Second // how long an older fleet is still listed
	betweenLoads         = time.Second      // that nobody waits for, and loadsShare times as long as the last one took
	loadsShare           = 10
	lookAfter            = 10 * time.Second // at those that were asked for lately
	lately               = 2 * time.Minute
	readAnewAfter        = 10 * time.Minute // so that what was changed in the tables past this program is seen too
	lookAtAll            = time.Minute      // at all others, long before the events are gone that tell of changes
	smallFor             = 15 * time.Second // is a fleet taken to be that was
	largeFor             = time.Hour        // the same of one that has more than fleetsAtAll
	ownEventsKept        = 10_000
	organizationsAtStart = 1_000 // are looked at
)

// fleets are the ones that a process keeps.
type fleets struct {
	least int // devices; 0 where none is kept
	ctx   context.Context
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu             sync.Mutex
	byOrg          map[string]*fleet
	small          map[string]time.Time // until when an organization's is taken to be
	own, ownBefore map[string]bool      // ids of events: what they are about is known
}

// keeping is what is known of a fleet's truth.
type keeping struct {
	turn   chan struct{} // who brings it up to date has put one in
	cursor string        // of the events; whose turn it is reads and sets it, and caught
	caught time.Time     // what was committed before is in it

	mu        sync.Mutex
	marks     marks
	meanwhile *marks    // since the load under way began
	upset     time.Time // since when more has changed than marks say; zero for no
	urgent    bool      // and nobody is to be given the older one
	there     bool
	tooLarge  bool
	asked     time.Time
	looked    time.Time
	looking   bool          // for what marks say, though nobody asks
	loading   chan struct{} // closed when the load under way ends
	failure   error         // of the last one
	loaded    time.Time     // when the last one ended
	took      time.Duration // and how long it took
}

// marks are what has been committed and is not in a fleet yet.
type marks struct {
	changed  map[string]bool
	observed []fleetObserved
}

func (m *marks) add(changed map[string]bool, observed []fleetObserved) {
	if m.changed == nil {
		m.changed = make(map[string]bool, len(changed))
	}
	maps.Copy(m.changed, changed)
	m.observed = append(m.observed, observed...)
}

// startFleets begins to keep those of at least so many devices.
func (s *Store) startFleets(least int) {
	if s.fleets.least = least; least == 0 {
		return
	}
	s.fleets.ctx, s.fleets.stop = context.WithCancel(context.Background())
	s.fleets.byOrg, s.fleets.small, s.fleets.own = map[string]*fleet{}, map[string]time.Time{}, map[string]bool{}
	s.fleets.ended.Go(s.lookAfterFleets)
}

func (l *fleets) close() {
	if l.stop != nil {
		l.stop()
	}
	l.ended.Wait()
}

// lookAfterFleets loads the fleets that there are, and then brings those that are kept up to date. Its failures are for those
// to meet who ask for a fleet.
func (s *Store) lookAfterFleets() {
	_ = s.loadFleets(s.fleets.ctx)
	tick := time.NewTicker(lookAfter)
	defer tick.Stop()
	for {
		select {
		case <-s.fleets.ctx.Done():
			return
		case <-tick.C:
		}
		for _, f := range s.fleets.all() {
			if f.keeping.due() {
				f.keeping.age()
				_ = s.catchUp(s.fleets.ctx, f, false)
			}
		}
	}
}

// loadFleets loads the fleets that there are: whoever asks for one later does not wait.
func (s *Store) loadFleets(ctx context.Context) error {
	var orgs []string
	if err := s.read(ctx, "look for large fleets", everyOrganization, func(tx bun.Conn) error {
		rows, err := tx.QueryContext(ctx, "SELECT o.id FROM organizations AS o ORDER BY o.id LIMIT ?", organizationsAtStart)
		if err != nil {
			return err
		}
		orgs, err = appendIDs(nil, rows)
		return err
	}); err != nil {
		return err
	}
	for _, org := range orgs {
		large, err := s.isLarge(ctx, org)
		if err == nil && large {
			err = s.catchUp(ctx, s.fleets.add(org), false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// due reports whether it is time to look what others have committed.
func (k *keeping) due() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.there || time.Since(k.asked) >= lately && time.Since(k.looked) < lookAtAll {
		return false
	}
	k.looked = time.Now()
	return true
}

// age has a fleet that was read long ago read anew.
func (k *keeping) age() {
	k.mu.Lock()
	old := time.Since(k.loaded) > readAnewAfter
	k.mu.Unlock()
	if old {
		k.upsetBy(false)
	}
}

// fleetOf gives an organization's fleet with all that was committed before; nil where it is not kept.
func (s *Store) fleetOf(ctx context.Context, org string) (*fleet, error) {
	if s.fleets.least == 0 {
		return nil, nil
	}
	f, small := s.fleets.get(org)
	if small {
		return nil, nil
	}
	if f == nil {
		large, err := s.isLarge(ctx, org)
		if err != nil || !large {
			return nil, err
		}
		f = s.fleets.add(org)
	}
	if err := s.catchUp(ctx, f, true); err != nil {
		return nil, err
	}
	if f.keeping.refused() {
		return nil, nil
	}
	return f, nil
}

func (k *keeping) refused() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tooLarge
}

// isLarge reports whether an organization has enough devices.
func (s *Store) isLarge(ctx context.Context, org string) (bool, error) {
	if s.fleets.least == 1 {
		return true, nil
	}
	n, err := s.countRows(ctx, "look how large the fleet is", org,
		"SELECT COUNT(*) FROM (SELECT 1 FROM devices WHERE organization_id = ? AND deleted_at IS NULL LIMIT ?) AS counted", org, s.fleets.least)
	if err == nil && n < s.fleets.least {
		s.fleets.mu.Lock()
		defer s.fleets.mu.Unlock()
		maps.DeleteFunc(s.fleets.small, func(_ string, until time.Time) bool { return time.Now().After(until) })
		s.fleets.small[org] = time.Now().Add(smallFor)
	}
	return n >= s.fleets.least, err
}

func (l *fleets) get(org string) (f *fleet, small bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byOrg[org], l.byOrg[org] == nil && time.Now().Before(l.small[org])
}

func (l *fleets) all() []*fleet {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*fleet, 0, len(l.byOrg))
	for _, f := range l.byOrg {
		all = append(all, f)
	}
	return all
}

// add gives an organization's, with nothing in it where it is new.
func (l *fleets) add(org string) *fleet {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.byOrg[org]
	if f == nil {
		f = &fleet{org: org}
		f.keeping.turn, f.keeping.asked = make(chan struct{}, 1), time.Now()
		l.byOrg[org] = f
	}
	return f
}

// drop forgets an organization's.
func (l *fleets) drop(org string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byOrg, org)
}

// makeRoom forgets the fleets least recently asked for, but for one, while there are too many devices.
func (l *fleets) makeRoom(but *fleet) {
	for {
		devices, last := 0, but
		for _, f := range l.all() {
			devices += f.size()
			if f != but && (last == but || f.keeping.lastAsked().Before(last.keeping.lastAsked())) {
				last = f
			}
		}
		if devices <= fleetsAtAll || last == but {
			return
		}
		l.drop(last.org)
	}
}

func (f *fleet) size() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.rows)
}

func (k *keeping) lastAsked() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

// wrote notes an event that this process is about to commit.
func (l *fleets) wrote(org, event string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byOrg[org] == nil {
		return
	}
	if len(l.own) >= ownEventsKept {
		l.own, l.ownBefore = map[string]bool{}, l.own
	}
	l.own[event] = true
}

// isOwn reports whether this process committed an event.
func (l *fleets) isOwn(event string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.own[event] || l.ownBefore[event]
}
