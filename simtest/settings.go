package simtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"tandem"
)

// settings are what a seed chooses before anything happens.
type settings struct {
	fleet    int // remote devices to begin with
	locals   int // local ones
	rounds   int // of edits and a run that may be killed
	root     string
	perPage  string
	unknowns []string
	config   func(*tandem.ServiceConfig)
	words    string // the story of the above
	deletes  int    // at most, by people
	switches int    // local edits of enabled and cohort, at most: the guard holds more back (S18)
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// choose draws the settings.
func choose(r *rand.Rand) settings {
	s := settings{fleet: 3 + r.IntN(18), locals: r.IntN(6), rounds: 2 + r.IntN(4), root: pick(r, "metadata", "metadata", "tandem/meta", ""),
		perPage: pick(r, "", "3", "7"), deletes: r.IntN(3)}
	s.switches = s.fleet / 3
	direction := pick(r, tandem.Bidirectional, tandem.Bidirectional, tandem.Bidirectional, tandem.Import, tandem.Export)
	strategies := []tandem.Strategy{tandem.Manual, tandem.LocalWins, tandem.RemoteWins, tandem.NewestWins}
	strategy := pick(r, append(strategies, tandem.Manual)...)
	byField := map[string]tandem.Strategy{}
	for _, f := range []string{"name", "metadata", "blueprint"} {
		if r.IntN(4) == 0 {
			byField[f] = pick(r, strategies...)
		}
	}
	createLocal, createRemote, deleteRemote := r.IntN(5) > 0, r.IntN(3) > 0, r.IntN(2) == 0
	onDelete := pick(r, tandem.UnlinkLocal, tandem.DeleteLocal, tandem.RecreateRemote)
	concurrency := pick(r, 24, 48) // a dead process keeps what it had in flight for ten seconds (S32)
	s.config = func(c *tandem.ServiceConfig) {
		c.Direction, c.Strategy, c.FieldStrategies = direction, strategy, byField
		c.CreateLocal, c.CreateRemote, c.OnRemoteDelete, c.DeleteRemote = createLocal, createRemote, onDelete, deleteRemote
		c.Guards = tandem.Guards{MaxDelete: 1, MaxChange: 1}
		c.Concurrency = concurrency
		if s.root != "" {
			c.Paths.Metadata = "state:" + s.root
		}
	}
	for _, u := range []string{"listing-data=value", "listing-data=keyed", "listing-data=null", "state-write=replace", "duplicate=400", "missing-reference=400", "per-page-over=400"} {
		if r.IntN(5) == 0 {
			s.unknowns = append(s.unknowns, u)
		}
	}
	s.words = fmt.Sprintf("%s, conflicts %s %v, create local %t remote %t, deleted there: %s, delete there %t, metadata %q, page %q, %d at once, %v; %d remote and %d local devices",
		direction, strategy, byField, createLocal, createRemote, onDelete, deleteRemote, s.root, s.perPage, concurrency, s.unknowns, s.fleet, s.locals)
	return s
}

// faults are what may go wrong during one run, each a few times.
func faults(r *rand.Rand) []string {
	all := []string{
		"503:*:rate=0.2,count=2", "500:PATCH /devices/{id}:rate=0.4,count=2", "429:*:rate=0.1,count=1,retry-after=1s",
		"reset-before:*:rate=0.2,count=2", "reset-before:PATCH /devices/{id}:rate=0.5,count=2",
		"reset-after:PATCH /devices/{id}:rate=0.5,count=2", "reset-after:POST /devices:rate=0.5,count=2", "reset-after:POST /tags:rate=0.5,count=1",
		"reset-after:PUT /devices/{id}/data/*:rate=0.5,count=2", "reset-after:DELETE /devices/{id}:rate=0.5,count=2",
		"truncate:*:rate=0.1,count=2", "malformed:*:rate=0.1,count=2", "bad-device:GET /devices:count=1", "empty:*:rate=0.1,count=1",
		"html:*:rate=0.1,count=1", "content-type:*:rate=0.2", "latency:*:time=5ms±3ms", "malformed:PATCH /devices/{id}:rate=0.5,count=2",
		"latency:PATCH /devices/{id}:time=400ms,count=1", "truncate:POST /devices:rate=0.5,count=1",
	}
	var chosen []string
	for range 1 + r.IntN(3) {
		f := all[r.IntN(len(all))]
		if !slices.Contains(chosen, f) {
			chosen = append(chosen, f)
		}
	}
	return chosen
}

// names hands out values that nobody wrote before, so that a value says who wrote it.
type names struct{ n int }

func (n *names) next(prefix string) string {
	n.n++
	return prefix + strconv.Itoa(n.n)
}
