package mqtt

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/gateway"
)

// The bounds of sessions.
const (
	mostHere     = 16          // connections of one device
	mostAway     = 4           // sessions of one device that wait for their clients
	offlineTime  = time.Minute // that noting a lost device is tried for
	offlineRetry = 2 * time.Second
)

// session is a client that is connected.
type session struct {
	b         *Broker
	c         *conn
	version   byte   // of the protocol: 4 for 3.1.1, 5
	id        string // the client id, with whose it is
	device    gateway.Device
	prefix    string // of its topics
	largest   uint32 // bytes of a packet that it takes; 0 for any
	silent    bool   // it wants no reasons in words
	keepalive uint16 // seconds that it may say nothing; 0 for any
	expiry    uint32 // seconds that the session is kept when it is away
	will      *message
	ctx       context.Context // ends with the connection
	stop      context.CancelFunc

	room    chan struct{} // has a place for each message that may be under way
	line    line
	out     outbox
	aliases map[uint16]string // topics
	heard   atomic.Int64      // when its last packet came, in nanoseconds since 1970
	seen    time.Time         // when it was last noted that it is there

	ended   chan struct{} // closed once nothing of it is left
	taken   atomic.Bool   // its client came by another connection
	left    bool          // the client said that it goes
	willing bool          // and that its will is to be done

	mu      sync.Mutex
	filters map[string]granted
	cancel  func() // of its commands; nil where it does not want any
}

// peers are the sessions of one device.
type peers struct {
	here []*session
	away []string // client ids
}

// kept is a session whose client is away.
type kept struct {
	device  string // tandem.Device.ID
	filters map[string]granted
	until   time.Time
}

// resume gives a session what was kept for its client, unless it wants to begin anew.
func (b *Broker) resume(s *session, clean bool) (present bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.kept[s.id]
	if old == nil {
		return false
	}
	b.drop(s.id, old)
	if clean || old.device != s.device.ID || !b.o.Clock().Before(old.until) {
		return false
	}
	s.filters = old.filters
	return true
}

// drop forgets a session whose client is away. The lock is held.
func (b *Broker) drop(id string, old *kept) {
	delete(b.kept, id)
	p := b.devices[old.device]
	if p == nil {
		return
	}
	p.away = slices.DeleteFunc(p.away, func(other string) bool { return other == id })
	b.tidy(old.device, p)
}

// tidy forgets a device that has no session. The lock is held.
func (b *Broker) tidy(device string, p *peers) {
	if len(p.here)+len(p.away) == 0 {
		delete(b.devices, device)
	}
}

// expire forgets the sessions that waited long enough.
func (b *Broker) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Clock()
	for id, old := range b.kept {
		if !now.Before(old.until) {
			b.drop(id, old)
		}
	}
}

// arrive counts a session in. Subscriptions of before come with it.
func (s *session) arrive() {
	s.heard.Store(time.Now().UnixNano())
	s.seen = s.b.o.Clock()
	s.b.mu.Lock()
	s.b.sessions[s] = true
	p := s.b.devices[s.device.ID]
	if p == nil {
		p = &peers{}
		s.b.devices[s.device.ID] = p
	}
	p.here = append(p.here, s)
	s.b.mu.Unlock()
	s.mu.Lock()
	if _, wanted := s.granted(s.prefix + commandsPlace); wanted {
		s.cancel = s.b.o.Gateway.Commands(s.device, tandem.ViaMQTT, s.deliver)
	}
	s.mu.Unlock()
	s.present(true)
}

// depart counts a session out, and keeps it for its client where that is wanted; another says whether the device is
// connected by another one.
func (s *session) depart() (another bool) {
	s.stop()
	s.mu.Lock()
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
	}
	filters := maps.Clone(s.filters)
	s.mu.Unlock()
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, s)
	p := b.devices[s.device.ID]
	p.here = slices.DeleteFunc(p.here, func(other *session) bool { return other == s })
	if s.expiry > 0 && !b.stopping {
		b.kept[s.id] = &kept{s.device.ID, filters, b.o.Clock().Add(time.Duration(s.expiry) * time.Second)}
		if p.away = append(p.away, s.id); len(p.away) > mostAway {
			b.drop(p.away[0], b.kept[p.away[0]])
		}
		for other, old := range b.kept { // where there are too many of all devices, any goes
			if len(b.kept) <= b.o.Clients {
				break
			}
			if other != s.id {
				b.drop(other, old)
			}
		}
	}
	b.tidy(s.device.ID, p)
	return len(p.here) > 0
}

// over gives the client id free.
func (s *session) over() {
	s.stop()
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	delete(s.b.clients, s.id)
	close(s.ended)
}

// quiet waits until nothing is under way any more, and nothing will be.
func (s *session) quiet() {
	end := time.NewTimer(drainTime)
	defer end.Stop()
	for range mostInflight { // all places are taken here, so none by a message
		select {
		case s.room <- struct{}{}:
		case <-end.C:
			return
		}
	}
}

// place tells what a topic of the device is for; nowhere for any that is not its own.
func (s *session) place(name string) (place, string) {
	if len(name) <= len(s.prefix) || name[:len(s.prefix)] != s.prefix {
		return nowhere, ""
	}
	return placeOf(name[len(s.prefix):])
}

// lose does what follows from the end of a connection: the will is done and the device is offline, unless it said that it
// goes, came by another connection, or is to come to another process.
func (s *session) lose() {
	another := s.depart()
	if s.taken.Load() || another || s.b.closing() || s.left && !s.willing {
		return
	}
	if s.will != nil {
		if p, rest := s.place(s.will.topic); p == telemetry {
			// What a will cannot say is lost, as the device is.
			_, _ = s.b.o.Gateway.Begin(s.b.ctx, s.device, gateway.Message{Via: tandem.ViaMQTT, Body: s.will.body, Path: rest})
		}
		if s.will.retain {
			s.b.retained.put(s.device.ID, *s.will)
		}
		s.b.forward(s.device.ID, *s.will, nil)
	}
	s.offline()
}

// offline notes that a device is gone, if need be when the database is there again.
func (s *session) offline() {
	ctx, cancel := context.WithTimeout(s.b.ctx, offlineTime)
	defer cancel()
	for {
		err := s.b.o.Gateway.Presence(ctx, s.device, tandem.ViaMQTT, false, nil)
		if err == nil || !tandem.Is(err, tandem.Unavailable) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(offlineRetry):
		}
		if s.b.here(s.device.ID) {
			return
		}
	}
}

// here reports whether a device is connected.
func (b *Broker) here(device string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.devices[device]
	return p != nil && len(p.here) > 0
}

// present notes that the device is there, without waiting for it.
func (s *session) present(online bool) {
	// Where it cannot be noted now, the next report says it too.
	_, _ = s.b.o.Gateway.BeginPresence(s.ctx, s.device, tandem.ViaMQTT, online, nil)
}

// refresh notes now and then of a device that only says that it is there that it is. It is called by one goroutine.
func (s *session) refresh() {
	now := s.b.o.Clock()
	if now.Sub(s.seen) < seenEvery || s.heard.Load() <= s.seen.UnixNano() {
		return
	}
	s.seen = now
	s.present(true)
}
