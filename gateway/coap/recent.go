package coap

import "time"

// What a connection remembers of messages, so that one that comes twice has its effect once.
const (
	exchangeLife = 247 * time.Second // RFC 7252, 4.8.2
	leastKept    = 16
	mostKept     = 256 // of a device that sends much; one that waits for its answers needs a single one
)

// exchange is a message that came, and what it was answered with.
type exchange struct {
	id     uint16
	at     time.Time // zero for none
	answer []byte    // nil while there is none
}

// recent remembers the last messages of a connection, in a ring.
type recent struct {
	ring []exchange
	next int
}

// find gives a message that came before, nil where there is none.
func (r *recent) find(id uint16, now time.Time) *exchange {
	for i := range r.ring {
		if e := &r.ring[i]; e.id == id && !e.at.IsZero() && now.Sub(e.at) < exchangeLife {
			return e
		}
	}
	return nil
}

// begin remembers one that comes. The oldest goes for it, unless there is reason and room to remember more; forgot says
// that one went that might have come again.
func (r *recent) begin(id uint16, now time.Time) (forgot bool) {
	if len(r.ring) == 0 {
		r.ring = make([]exchange, leastKept)
	}
	oldest := &r.ring[r.next]
	forgot = !oldest.at.IsZero() && now.Sub(oldest.at) < exchangeLife
	if forgot && len(r.ring) < mostKept {
		forgot = false
		more := make([]exchange, 2*len(r.ring))
		n := copy(more, r.ring[r.next:])
		copy(more[n:], r.ring[:r.next])
		r.ring, r.next = more, len(r.ring)
	}
	r.ring[r.next] = exchange{id: id, at: now}
	r.next = (r.next + 1) % len(r.ring)
	return forgot
}

// end remembers the answer; nil forgets the message, which may come again then.
func (r *recent) end(id uint16, answer []byte) {
	for i := range r.ring {
		if e := &r.ring[i]; e.id == id && !e.at.IsZero() && e.answer == nil {
			if e.answer = answer; answer == nil {
				e.at = time.Time{}
			}
			return
		}
	}
}
