package simtest

import (
	"slices"
	"strings"
	"sync"

	"tandem"
)

// who made a change.
type who string

const (
	person  who = "a person"
	program who = "the program"
)

// mutation is one change of one path of one device on one side that certainly happened.
type mutation struct {
	edge
	At     int // its place in the order of all
	Side   tandem.Side
	Device string // Device.ID on the local side, the external id on the remote one
	By     who
	// Raced marks a person's remote value that fell between the engine's fresh read and its write (S23).
	Raced bool
}

// ledger holds every change of the remote side, and what people changed on the local one.
// What the program changes locally is known by its entries alone. It is safe for concurrent use.
type ledger struct {
	mu   sync.Mutex
	all  []mutation
	read map[string]int // by external id: the ledger's length when the program last read the device
}

func newLedger() *ledger { return &ledger{read: map[string]int{}} }

// note adds what differs between two states of a device.
func (l *ledger) note(side tandem.Side, device string, by who, before, after facts) []edge {
	changed := edges(before, after)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range changed {
		if by == program && side == tandem.RemoteSide {
			l.race(device, e.Path)
		}
		l.all = append(l.all, mutation{edge: e, At: len(l.all), Side: side, Device: device, By: by})
	}
	return changed
}

// race marks what a person wrote to the path since the program last read the device.
func (l *ledger) race(device string, p tandem.Path) {
	since, ok := l.read[device]
	for i := len(l.all) - 1; ok && i >= since; i-- {
		if m := &l.all[i]; m.Side == tandem.RemoteSide && m.Device == device && m.By == person && (within(m.Path, p) || within(p, m.Path)) {
			m.Raced = true
		}
	}
}

// now gives the ledger's length, for reading.
func (l *ledger) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// reading notes that the program read a device that was as the ledger stood then.
func (l *ledger) reading(device string, then int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read[device] = then
}

// mutations gives everything, in order.
func (l *ledger) mutations() []mutation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// written counts what the program changed on the remote.
func (l *ledger) written() int {
	n := 0
	for _, m := range l.mutations() {
		if m.By == program {
			n++
		}
	}
	return n
}

// temporary is how a name begins that the engine gives for the time of a ring of renames (S27).
const temporary = `"tandem-renaming-`

// withoutTemporary joins the two halves of each rename that went through a temporary name.
func withoutTemporary(all []mutation) []mutation {
	var list []mutation
	for _, m := range all {
		if m.Path == "name" && strings.HasPrefix(m.Before, temporary) {
			for i := len(list) - 1; i >= 0; i-- {
				if first := &list[i]; first.Device == m.Device && first.Path == "name" && first.After == m.Before {
					first.After = m.After
					break
				}
			}
			continue
		}
		list = append(list, m)
	}
	return slices.DeleteFunc(list, func(m mutation) bool { return m.Before == m.After })
}
