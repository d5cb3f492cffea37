package mqtt

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"tandem"
	"tandem/gateway"
)

// The bounds of sessions.
const (
	mostName      = 1 << 10      // bytes of a client id, with whose it is
	mostKeepalive = 12 * 60 * 60 // seconds; the library would count wrong beyond 18 hours
	mostAway      = 4            // sessions of one device that wait for their clients
	mostFilters   = 16           // that one client subscribes to
	offlineTime   = time.Minute  // that noting a lost device is tried for
	offlineRetry  = 2 * time.Second
	letInTime     = 10 * time.Second // for finding out who somebody is
)

// session is a device that is connected.
type session struct {
	b      *Broker
	cl     *mochi.Client
	device gateway.Device
	prefix string // of its topics
	five   bool   // MQTT 5
	will   *message
	ctx    context.Context // ends with the connection
	stop   context.CancelFunc

	room  chan struct{} // has a place for each message that may be under way
	line  line
	out   outbox
	heard atomic.Int64 // when its last packet came, in nanoseconds since 1970
	seen  time.Time    // when it was last noted that it is there

	ended   chan struct{}          // closed once nothing of it is left
	taken   atomic.Bool            // its client came by another connection
	kept    bool                   // the library keeps it for its client
	left    bool                   // the client said that it goes
	willing bool                   // and that its will is to be done
	asked   []packets.Subscription // granted ones of the SUBSCRIBE that is being answered

	mu      sync.Mutex
	filters map[string]byte // with their QoS
	cancel  func()          // of its commands; nil where it does not want any
}

// peers are the sessions of one device.
type peers struct {
	here []*session
	away []string // client ids
}

// nameClient makes a client id one of the device's own, so that nobody takes another's session over: what follows is
// the client's business, once it has proved the credential that stands before it.
func nameClient(cl *mochi.Client, c *packets.ConnectParams) {
	whose := string(c.Username)
	if own := connOf(cl); whose == "" && own != nil {
		if certificate := own.certificate(); certificate != nil {
			whose = gateway.Fingerprint(certificate.Raw)
		}
	}
	if c.ClientIdentifier != "" { // else the library gives it one that nobody has
		c.ClientIdentifier = strconv.Itoa(len(whose)) + ":" + whose + ":" + c.ClientIdentifier
	}
}

func connOf(cl *mochi.Client) *conn {
	c, _ := cl.Net.Conn.(*conn) //nolint:errcheck // nil is the answer then
	return c
}

// quiet waits until nothing is under way any more; false where it is not so.
func (s *session) quiet() bool {
	end := time.NewTimer(drainTime)
	defer end.Stop()
	for range mostInflight { // all places are taken here, so none by a message
		select {
		case s.room <- struct{}{}:
		case <-end.C:
			return false
		}
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return !s.out.running
}

// admit lets a device in, or says why not.
func (b *Broker) admit(cl *mochi.Client, pk *packets.Packet) packets.Code {
	c := connOf(cl)
	switch {
	case c == nil || b.stopping.Load():
		return packets.ErrServerUnavailable
	case len(cl.ID) > mostName:
		return packets.ErrClientIdentifierNotValid
	case pk.Properties.AuthenticationMethod != "":
		return packets.ErrBadAuthenticationMethod
	}
	ctx, cancel := context.WithTimeout(b.ctx, letInTime)
	defer cancel()
	d, err := b.authenticate(ctx, c, pk)
	if err != nil {
		return refusal(err, cl.Properties.ProtocolVersion == 5)
	}
	s := &session{b: b, cl: cl, device: d, prefix: prefixOf(d.Organization, d.DeviceID), five: cl.Properties.ProtocolVersion == 5,
		room: make(chan struct{}, mostInflight), ended: make(chan struct{}), filters: map[string]byte{}}
	if code := s.takeWill(); code != packets.CodeSuccess {
		return code
	}
	cl.State.Keepalive = min(cl.State.Keepalive, mostKeepalive)
	s.out.window = window(pk)
	if !s.takeOver(ctx) {
		return packets.ErrServerUnavailable
	}
	s.ctx, s.stop = context.WithCancel(b.ctx)
	c.session = s
	return packets.CodeSuccess
}

// takeOver gives the session its client id. Who had it is parted from first, and has ended when it returns: the library,
// were it to do this, would not wait, and then take the new connection for the old one.
func (s *session) takeOver(ctx context.Context) bool {
	for {
		s.b.mu.Lock()
		old := s.b.clients[s.cl.ID]
		if old == nil {
			s.b.clients[s.cl.ID] = s
			s.b.mu.Unlock()
			return true
		}
		s.b.mu.Unlock()
		old.taken.Store(true)
		go old.part(packets.ErrSessionTakenOver)
		select {
		case <-old.ended:
		case <-ctx.Done():
			return false
		}
	}
}

// over gives the client id free. A session that waits for its client needs no connection's memory.
func (s *session) over() {
	if s.kept && s.quiet() {
		s.cl.Net = mochi.ClientConnection{}
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	delete(s.b.clients, s.cl.ID)
	close(s.ended)
}

// authenticate goes by the password where a user is named, else by the certificate.
func (b *Broker) authenticate(ctx context.Context, c *conn, pk *packets.Packet) (gateway.Device, error) {
	if len(pk.Connect.Username) > 0 {
		return b.o.Gateway.Authenticate(ctx, gateway.Claim{Kind: tandem.PasswordCredential, Identity: string(pk.Connect.Username),
			Secret: string(pk.Connect.Password), Address: c.address()})
	}
	if certificate := c.certificate(); certificate != nil {
		return b.o.Gateway.Certificate(ctx, certificate, c.address())
	}
	return gateway.Device{}, tandem.Errorf(tandem.Unauthorized, "", "", "the client names no device")
}

// refusal is what a client that is not let in is told.
func refusal(err error, five bool) packets.Code {
	switch {
	case tandem.Is(err, tandem.Unauthorized):
		return packets.ErrBadUsernameOrPassword
	case tandem.Is(err, tandem.RateLimited) && five:
		return packets.ErrConnectionRateExceeded
	}
	return packets.ErrServerUnavailable
}

// takeWill keeps the last will, which goes by the rules of what the device publishes, and from the library.
func (s *session) takeWill() packets.Code {
	w := s.cl.Properties.Will
	if w.Flag == 0 {
		return packets.CodeSuccess
	}
	if place, _ := s.place(w.TopicName); place != status && place != telemetry {
		return packets.ErrNotAuthorized
	}
	s.will = &message{topic: w.TopicName, body: w.Payload, qos: w.Qos, retain: w.Retain}
	s.cl.Properties.Will = mochi.Will{}
	return packets.CodeSuccess
}

// place tells what a topic of the device is for; nowhere for any that is not its own.
func (s *session) place(name string) (place, string) {
	if len(name) <= len(s.prefix) || name[:len(s.prefix)] != s.prefix {
		return nowhere, ""
	}
	return placeOf(name[len(s.prefix):])
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
	p.away = slices.DeleteFunc(p.away, func(id string) bool { return id == s.cl.ID })
	s.b.mu.Unlock()
	s.subscribed(slicesOf(s.cl.State.Subscriptions.GetAll()))
	s.present(true)
}

// depart counts a session out; another says whether the device is connected by another one.
func (s *session) depart() (another bool) {
	s.stop()
	s.unsubscribed(nil)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	delete(s.b.sessions, s)
	p := s.b.devices[s.device.ID]
	if p == nil {
		return false
	}
	p.here = slices.DeleteFunc(p.here, func(other *session) bool { return other == s })
	if s.kept {
		p.away = append(p.away, s.cl.ID)
		if len(p.away) > mostAway {
			go s.b.forget(p.away[0])
			p.away = slices.Delete(p.away, 0, 1)
		}
	}
	if len(p.here)+len(p.away) == 0 {
		delete(s.b.devices, s.device.ID)
	}
	return len(p.here) > 0
}

// forget ends a session whose client is away.
func (b *Broker) forget(id string) {
	if cl, ok := b.server.Clients.Get(id); ok && cl.Closed() {
		b.server.UnsubscribeClient(cl)
		b.server.Clients.Delete(id)
	}
}

// expired notes that the library forgot a session.
func (b *Broker) expired(cl *mochi.Client) {
	b.server.UnsubscribeClient(cl) // which the library leaves out
	b.mu.Lock()
	defer b.mu.Unlock()
	for device, p := range b.devices {
		if i := slices.Index(p.away, cl.ID); i >= 0 {
			p.away = slices.Delete(p.away, i, i+1)
			if len(p.here)+len(p.away) == 0 {
				delete(b.devices, device)
			}
			return
		}
	}
}

// lose does what follows from the end of a connection: the will is done and the device is offline, unless it said that it
// goes, came by another connection, or is to come to another process.
func (s *session) lose() {
	another := s.depart()
	if s.taken.Load() || another || s.b.stopping.Load() || s.left && !s.willing {
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
		s.b.forward(s.device.ID, *s.will)
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

// part ends the connection; MQTT 5 lets it be said why.
func (s *session) part(why packets.Code) {
	s.stop()
	if s.five {
		// The error is why, or that the connection has ended already.
		_ = s.b.server.DisconnectClient(s.cl, why)
		return
	}
	s.cl.Stop(why)
}

func slicesOf(subscriptions map[string]packets.Subscription) []packets.Subscription {
	list := make([]packets.Subscription, 0, len(subscriptions))
	for _, s := range subscriptions {
		list = append(list, s)
	}
	return list
}
