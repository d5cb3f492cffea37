package registry

import (
	"net/netip"
	"sync"
	"time"

	"tandem"
)

// Throttle slows down guessing: after some failures an address waits twice as long each time. It keeps a bounded
// number of addresses, in this process: each account's own count, in the database, is what holds over all of them.
type Throttle struct {
	mu   sync.Mutex
	most int
	// Those that failed lately are in young; when that is full it becomes old, and what was old is forgotten.
	young, old map[string]attempts
}

// attempts are an address's failures.
type attempts struct {
	count int
	last  time.Time
	until time.Time
}

// The bounds of waiting.
const (
	freeAddress = 20 // failures that cost nothing: people share addresses
	freeAccount = 5
	freeResets  = 3
	firstWait   = time.Second
	longestWait = 15 * time.Minute
	forgotten   = time.Hour
)

// NewThrottle keeps at most twice so many addresses, forgetting those that failed the longest ago.
func NewThrottle(most int) *Throttle { return &Throttle{most: most, young: map[string]attempts{}} }

// waiting is how long to wait after so many failures, of which some are free.
func waiting(failures, free int) time.Duration {
	if failures < free {
		return 0
	}
	if more := failures - free; more < 20 {
		return min(firstWait<<more, longestWait)
	}
	return longestWait
}

// wait is how long an address has to wait now.
func (t *Throttle) wait(address string, now time.Time) time.Duration {
	if t == nil || address == "" {
		return 0
	}
	address = network(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.find(address)
	return max(0, a.until.Sub(now))
}

// network gives what one customer of a provider has: an address of IPv4, or an IPv6 /64. Other texts stay as they are.
func network(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	addr = addr.Unmap().WithZone("")
	if p, err := addr.Prefix(64); addr.Is6() && err == nil {
		return p.String()
	}
	return addr.String()
}

func (t *Throttle) find(address string) attempts {
	if a, ok := t.young[address]; ok {
		return a
	}
	return t.old[address]
}

// allow refuses an address that has to wait.
func (t *Throttle) allow(address string, now time.Time) error {
	if wait := t.wait(address, now); wait > 0 {
		return &tandem.Error{Code: tandem.RateLimited, Op: "sign in", Message: "there were too many wrong tries from this address",
			Hint: "wait and try again", RetryAfter: wait}
	}
	return nil
}

// fail counts a failure of an address.
func (t *Throttle) fail(address string, now time.Time) { t.failAfter(freeAddress, address, now) }

// failAfter counts something of which so many are free.
func (t *Throttle) failAfter(free int, address string, now time.Time) {
	if t == nil || address == "" {
		return
	}
	address = network(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.find(address)
	if now.Sub(a.last) > forgotten {
		a.count = 0
	}
	a.count, a.last = a.count+1, now
	a.until = now.Add(waiting(a.count, free))
	if _, ok := t.young[address]; !ok && len(t.young) >= t.most {
		t.old, t.young = t.young, map[string]attempts{}
	}
	t.young[address] = a
}
