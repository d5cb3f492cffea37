package gateway

import (
	"sync"
	"time"

	"tandem"
)

// How guessing is slowed down.
const (
	failuresAtOnce = 20               // wrong credentials, then one more …
	failureEvery   = 3 * time.Second  // … in this time, of an address
	identityAtOnce = 10               // and of an identity
	mostFailures   = 100_000          // addresses and identities that are remembered
	mostDelay      = 30 * time.Second // that anybody is told to wait
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

// places are what a claim is counted by. A token names nobody before it is found.
func places(address string, key credentialKey) (list []string, atOnce []int) {
	if address != "" {
		list, atOnce = append(list, "address "+address), append(atOnce, failuresAtOnce)
	}
	if key.kind != tandem.TokenCredential {
		// By address too: else whoever knows a device's name could lock it out.
		list, atOnce = append(list, "identity "+string(key.kind)+" "+key.key+" "+address), append(atOnce, identityAtOnce)
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
	for _, place := range list {
		until := f.until[place]
		if until.Before(now) {
			until = now
		}
		if len(f.until) < mostFailures || !until.Equal(now) {
			f.until[place] = until.Add(failureEvery)
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
