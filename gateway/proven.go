package gateway

import (
	"crypto/subtle"
	"sync"

	"tandem"
)

// mostProven is how many credentials are remembered to have let their devices in.
const mostProven = 100_000

// proven remembers what let devices in: who shows that again is not held up by who guesses from the same address, as behind
// the router of a provider. The secrets are random, so that nobody finds one by asking often. What it says is asked of the
// database all the same.
type proven struct {
	mu sync.Mutex
	by map[credentialKey]string // the hash of the secret, "" where the key says it all
}

// is reports whether it let its device in the last time. The key of CoAP may be somebody's choice, and is proved later.
func (p *proven) is(key credentialKey, shown string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	hash, there := p.by[key]
	return there && key.kind != tandem.PSKCredential && subtle.ConstantTimeCompare([]byte(hash), []byte(shown)) == 1
}

// put remembers it. Where there are too many, any goes.
func (p *proven) put(key credentialKey, shown string) {
	if key.kind == tandem.PSKCredential {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[credentialKey]string{}
	}
	if _, there := p.by[key]; !there {
		for other := range p.by {
			if len(p.by) < mostProven {
				break
			}
			delete(p.by, other)
		}
	}
	p.by[key] = shown
}

// drop forgets it, once it lets nobody in any more.
func (p *proven) drop(key credentialKey, shown string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if hash, there := p.by[key]; there && hash == shown {
		delete(p.by, key)
	}
}
