package gateway

import (
	"net/netip"
	"sync"
	"time"

	"tandem"
)

// How guessing is slowed down.
const (
	failuresAtOnce = 20                // wrong credentials, then one more …
	failureEvery   = 3 * time.Second   // … in this time, of an address
	identityAtOnce = 10                // and of an identity, or of a token
	sameEvery      = failureEvery / 10 // that one which was wrong before counts for its address: a device with an old credential locks out nobody beside it
	ownBits        = 64                // of an IPv6 address are those of a network
	mostFailures   = 100_000           // addresses and identities that are remembered
	mostDelay      = 30 * time.Second  // that anybody is told to wait
)

// failures counts wrong credentials by address and by identity, as the instant at which all would be forgiven.
type failures struct {
	clock tandem.Clock
	mu    sync.Mutex
	until map[string]time.Time
}

func newFailures(clock tandem.Clock) *failures {
	return &failures{clock: clock, until: map[string]time.Time{}}
}

// places are what a claim is counted by: what it names, at its address (else whoever knows a device's name could lock it
// out), and the address itself.
func places(address string, key credentialKey) (list []string, atOnce []int) {
	if at, err := netip.ParseAddr(address); err == nil && at.Is6() && !at.Is4In6() { // anybody has as many of those as they like
		address = netip.PrefixFrom(at.WithZone(""), ownBits).Masked().String()
	}
	named := key.key
	if len(named) > mostKeyBytes { // there is none such, and no reason to keep it
		named = HashSecret(named)
	}
	list, atOnce = append(list, "identity "+string(key.kind)+" "+named+" "+address), append(atOnce, identityAtOnce)
	if address != "" {
		list, atOnce = append(list, "address "+address), append(atOnce, failuresAtOnce)
	}
	return list, atOnce
}

// wait says how long to wait before another try.
func (f *failures) wait(address string, key credentialKey) (longest time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock()
	list, atOnce := places(address, key)
	for i, place := range list {
		until, met := f.until[place]
		if over := until.Sub(now) - time.Duration(atOnce[i]-1)*failureEvery; met && over > longest {
			longest = over
		}
	}
	return min(longest, mostDelay)
}

// note counts a wrong credential.
func (f *failures) note(address string, key credentialKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock()
	list, _ := places(address, key)
	counts := failureEvery
	for i, place := range list {
		until := f.until[place]
		again := until.After(now)
		if !again {
			until = now
		}
		if len(f.until) < mostFailures || again {
			f.until[place] = until.Add(counts)
		}
		if i == 0 && again {
			counts = sameEvery // for the address, which is next
		}
	}
}

// sweep forgets what is forgiven.
func (f *failures) sweep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock()
	for place, until := range f.until {
		if until.Before(now) {
			delete(f.until, place)
		}
	}
}
