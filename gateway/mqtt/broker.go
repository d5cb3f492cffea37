package mqtt

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"golang.org/x/sync/semaphore"

	"tandem"
	"tandem/gateway"
)

// DefaultClients is how many devices may be connected at once where Options say nothing.
const DefaultClients = 20_000

// DefaultPending is how many may be connected beside them who have not said who they are, where Options say nothing.
const DefaultPending = 1000

// DefaultGreeting is how long a client has to say who it is where Options say nothing.
const DefaultGreeting = 10 * time.Second

// DefaultPacket is how long a packet has to come, once it has begun, where Options say nothing.
const DefaultPacket = time.Minute

// DefaultPartial is how many bytes the larger packets of all clients may take on their way, where Options say nothing.
const DefaultPartial = 64 << 20

// The bounds of a client.
const (
	mostInflight = 64      // messages under way from one device; further ones are not read meanwhile
	mostAliases  = 16      // topics that it may give numbers to
	headerMargin = 4 << 10 // bytes of a packet beside its payload
	smallPacket  = 4 << 10 // bytes: one of these each connection may have on its way
	mostTopic    = 2 << 10 // bytes of a topic or a filter that is remembered
	sweepEvery   = time.Second
	seenEvery    = 5 * time.Minute // for devices that say nothing but that they are there
	drainTime    = 10 * time.Second
)

// BrokerOptions say how the broker in this program serves.
type BrokerOptions struct {
	Gateway   *gateway.Gateway
	Clock     tandem.Clock
	Log       *slog.Logger  // nil for none
	Meter     gateway.Meter // of what never gets to the gateway; nil for none
	Listen    string        // plain, HOST:PORT; "" for not
	ListenTLS string        // with TLS
	WebSocket string        // over WebSockets, with TLS where there is a certificate
	TLS       *tls.Config   // nil where there is no certificate
	Clients   int           // that may be connected at once; 0 for DefaultClients
	Pending   int           // connections beside those, of who has not said who it is; 0 for DefaultPending
	Greeting  time.Duration // that a client has for its CONNECT, and for the handshake before it; 0 for DefaultGreeting
	Packet    time.Duration // that a packet has to come, once it has begun; 0 for DefaultPacket
	Partial   int64         // bytes of the larger packets of all clients that are on their way; 0 for DefaultPartial
}

// Broker is the MQTT broker for devices. It listens from Open on; Close ends it.
type Broker struct {
	o         BrokerOptions
	listeners []*listener
	retained  retained
	guests    guests
	ctx       context.Context // ends with the broker
	stop      context.CancelFunc
	work      sync.WaitGroup
	partial   *semaphore.Weighted // bytes of larger packets

	mu       sync.Mutex
	stopping bool                // nobody is let in, and no message taken, any more
	conns    map[*conn]bool      // open ones, whoever they are of
	clients  map[string]*session // by client id, from when they are let in until nothing of them is left
	sessions map[*session]bool   // of clients that are connected
	devices  map[string]*peers   // by tandem.Device.ID
	kept     map[string]*kept    // by client id: sessions of clients that are away
}

// Open starts a broker.
func Open(ctx context.Context, o BrokerOptions) (*Broker, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clients == 0 {
		o.Clients = DefaultClients
	}
	if o.Pending == 0 {
		o.Pending = DefaultPending
	}
	if o.Greeting == 0 {
		o.Greeting = DefaultGreeting
	}
	if o.Packet == 0 {
		o.Packet = DefaultPacket
	}
	if o.Partial == 0 {
		o.Partial = DefaultPartial
	}
	if o.ListenTLS != "" && o.TLS == nil {
		return nil, tandem.Errorf(tandem.Invalid, "mqtt: listen", o.ListenTLS, "there is no certificate to listen with TLS")
	}
	b := &Broker{o: o, conns: map[*conn]bool{}, clients: map[string]*session{}, sessions: map[*session]bool{}, devices: map[string]*peers{}, kept: map[string]*kept{}}
	b.partial = semaphore.NewWeighted(max(o.Partial, int64(b.mostPacket())))
	b.ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	web := "ws"
	if o.TLS != nil {
		web = "wss"
	}
	for _, l := range []struct {
		address, kind string
		config        *tls.Config
	}{{o.Listen, "mqtt", nil}, {o.ListenTLS, "mqtts", o.TLS}, {o.WebSocket, web, o.TLS}} {
		if err := b.open(ctx, l.address, l.kind, l.config); err != nil {
			b.Close()
			return nil, err
		}
	}
	b.work.Go(b.watch)
	return b, nil
}

// mostPacket is how large a packet may be. A message that is larger than the gateway takes is read, up to twice as much,
// so that a device with MQTT 3.1.1 can be told that it need not send it again.
func (b *Broker) mostPacket() int { return 2*b.o.Gateway.MaxBody() + headerMargin }

// Addresses gives where the broker listens, by mqtt, mqtts, ws or wss.
func (b *Broker) Addresses() map[string]string {
	at := map[string]string{}
	for _, l := range b.listeners {
		at[l.kind] = l.net.Addr().String()
	}
	return at
}

// Clients is how many devices are connected.
func (b *Broker) Clients() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sessions)
}

// Close lets nobody in any more, takes no further message, answers those under way, and then parts from its clients. They
// are not taken for offline: they will come again, or to another process.
func (b *Broker) Close() {
	b.mu.Lock()
	stopped := b.stopping
	b.stopping = true
	b.mu.Unlock()
	if stopped {
		return
	}
	for _, l := range b.listeners {
		l.close()
	}
	var all sync.WaitGroup
	for _, s := range b.all() {
		all.Go(func() {
			s.quiet()
			s.part(packets.ErrServerShuttingDown)
		})
	}
	all.Wait()
	b.stop()
	b.mu.Lock()
	for c := range b.conns {
		_ = c.Close() // of who has not said who it is
	}
	b.mu.Unlock()
	b.work.Wait()
}

// closing reports whether the broker is to stop.
func (b *Broker) closing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopping
}

// all gives the sessions of who is connected.
func (b *Broker) all() []*session {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*session, 0, len(b.sessions))
	for s := range b.sessions {
		list = append(list, s)
	}
	return list
}

// watch parts from those that are let in no more, and notes of the others that they are still there.
func (b *Broker) watch() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
			b.expire()
			b.sweep()
		}
	}
}

func (b *Broker) sweep() {
	for _, s := range b.all() {
		err := b.o.Gateway.Still(b.ctx, s.device)
		switch {
		case err == nil:
			s.refresh()
		case tandem.Is(err, tandem.Unauthorized):
			go s.part(packets.ErrNotAuthorized)
		default: // the database is away: it is asked again
			return
		}
	}
}
