package gateway

import (
	"context"
	"sync"
	"time"

	"tandem"
)

// The bounds of what is kept in memory of credentials.
const (
	entryLife    = time.Minute            // at most
	connected    = 10 * time.Minute       // of a device whose connection lasts, while events can be read
	unsureLife   = time.Second            // while no events can be read
	unknownLife  = 500 * time.Millisecond // of what is not there: it may be new
	eventsWithin = 1500 * time.Millisecond
	mostKnown    = 200_000
	mostUnknown  = 10_000
	mostLookups  = 8 // queries at once
	lookupWait   = 5 * time.Second
	mostKeyBytes = 512
)

// credentialKey is what a credential is found by.
type credentialKey struct {
	kind tandem.CredentialKind
	key  string
}

// entry is what is known of a credential; it is not changed once it is there.
type entry struct {
	key   credentialKey
	found tandem.Credentialed // zero where there is none
	psk   []byte
	asked time.Time
}

// there reports whether there is such a credential at all.
func (e *entry) there() bool { return e.found.Credential.ID != "" }

// lets reports whether the credential lets its device in.
func (e *entry) lets(now time.Time) bool {
	f := &e.found
	return e.there() && f.Credential.ValidAt(now) && f.Device.DeletedAt == nil && f.Device.Enabled
}

// known looks credentials up, each once, until something changes.
type known struct {
	o     *Options
	slots chan struct{}

	mu       sync.Mutex
	by       map[credentialKey]*entry
	absent   map[credentialKey]*entry
	devices  map[string]map[credentialKey]bool // by device
	going    map[credentialKey]chan struct{}   // lookups under way
	dropped  int64                             // rises with each event that drops something
	lookedAt time.Time                         // when events were last read
}

func newKnown(o *Options) *known {
	return &known{o: o, slots: make(chan struct{}, mostLookups), by: map[credentialKey]*entry{}, absent: map[credentialKey]*entry{},
		devices: map[string]map[credentialKey]bool{}, going: map[credentialKey]chan struct{}{}}
}

// get gives what is known of a credential. An error means that the database cannot say.
func (k *known) get(ctx context.Context, key credentialKey) (*entry, error) {
	if len(key.key) == 0 || len(key.key) > mostKeyBytes {
		return &entry{key: key}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	for {
		k.mu.Lock()
		if e := k.fresh(key); e != nil {
			k.mu.Unlock()
			return e, nil
		}
		wait, busy := k.going[key]
		if !busy {
			done := make(chan struct{})
			k.going[key] = done
			dropped := k.dropped
			k.mu.Unlock()
			return k.look(ctx, key, done, dropped)
		}
		k.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, away(ctx.Err())
		}
	}
}

// fresh gives what is kept and still counts. The lock is held.
func (k *known) fresh(key credentialKey) *entry {
	now := k.o.Clock()
	if e := k.by[key]; e != nil {
		life := entryLife
		if now.Sub(k.lookedAt) > eventsWithin {
			life = unsureLife
		}
		if now.Sub(e.asked) < life {
			return e
		}
	}
	if e := k.absent[key]; e != nil && now.Sub(e.asked) < unknownLife {
		return e
	}
	return nil
}

// settled gives what is kept of a device whose connection lasts; nil where the database is to be asked.
func (k *known) settled(key credentialKey) *entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Clock()
	if e := k.by[key]; e != nil && now.Sub(k.lookedAt) <= eventsWithin && now.Sub(e.asked) < connected {
		return e
	}
	return nil
}

// look asks the database, on behalf of all who wait for the same credential.
func (k *known) look(ctx context.Context, key credentialKey, done chan struct{}, dropped int64) (e *entry, err error) {
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.going, key)
		if err == nil && (dropped == k.dropped || !e.there()) {
			k.keep(e)
		}
		close(done)
	}()
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-ctx.Done():
		return nil, away(ctx.Err())
	}
	e = &entry{key: key, asked: k.o.Clock()}
	if key.kind == namedKind {
		e.found, err = findNamed(ctx, k.o.Store, key.key)
	} else {
		e.found, err = k.o.Store.FindCredential(ctx, key.kind, key.key)
	}
	switch {
	case tandem.Is(err, tandem.NotFound):
		e.found = tandem.Credentialed{}
		return e, nil
	case err != nil:
		return nil, err
	}
	if key.kind == tandem.PSKCredential && k.o.Unseal != nil {
		if e.psk, err = k.o.Unseal(&e.found.Credential); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// keep remembers an answer. Where there are too many, any go. The lock is held.
func (k *known) keep(e *entry) {
	if !e.there() {
		for other := range k.absent {
			if len(k.absent) < mostUnknown {
				break
			}
			delete(k.absent, other)
		}
		k.absent[e.key] = e
		return
	}
	for other := range k.by {
		if len(k.by) < mostKnown {
			break
		}
		k.drop(other)
	}
	k.by[e.key] = e
	device := e.found.Device.ID
	if k.devices[device] == nil {
		k.devices[device] = map[credentialKey]bool{}
	}
	k.devices[device][e.key] = true
}

// drop forgets one. The lock is held.
func (k *known) drop(key credentialKey) {
	e := k.by[key]
	if e == nil {
		return
	}
	delete(k.by, key)
	device := e.found.Device.ID
	delete(k.devices[device], key)
	if len(k.devices[device]) == 0 {
		delete(k.devices, device)
	}
}

// changed forgets some devices of an organization, or all of it where many changed.
func (k *known) changed(org string, devices []string, many bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropped++
	for _, device := range devices {
		for key := range k.devices[device] {
			k.drop(key)
		}
	}
	if !many {
		return
	}
	for key, e := range k.by {
		if e.found.Device.OrganizationID == org {
			k.drop(key)
		}
	}
}

// looked notes that all events up to an instant were read; forget says that some may have been missed.
func (k *known) looked(at time.Time, forget bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lookedAt = at
	if forget {
		k.dropped++
		clear(k.by)
		clear(k.devices)
	}
}

// sweep forgets what does not count any more.
func (k *known) sweep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Clock()
	for key, e := range k.by {
		if now.Sub(e.asked) >= connected {
			k.drop(key)
		}
	}
	for key, e := range k.absent {
		if now.Sub(e.asked) >= unknownLife {
			delete(k.absent, key)
		}
	}
}

// away is the error of a database that does not answer in time.
func away(err error) error {
	e := tandem.Errorf(tandem.Unavailable, "gateway: find credential", "", "the database did not answer in time: %w", err)
	e.RetryAfter = awayRetry
	return e
}
