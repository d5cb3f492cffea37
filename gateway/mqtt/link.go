package mqtt

import (
	"context"
	"crypto/tls"
	"hash/maphash"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"tandem"
	"tandem/gateway"
)

// DefaultShare names the group of processes among which a broker divides the messages.
const DefaultShare = "tandem"

// The bounds of a link.
const (
	linkWindow    = 1000         // messages that the broker may have under way to this process
	lanes         = 64           // in each of which a device's messages keep their order
	laneRoom      = 32           // messages
	linkSession   = 24 * 60 * 60 // seconds that the broker keeps messages for a process that is away
	linkKeepalive = 30           // seconds
	ackEvery      = 5 * time.Millisecond
	retryFirst    = 250 * time.Millisecond
	retryMost     = 5 * time.Second
)

// LinkOptions say which broker devices speak to.
type LinkOptions struct {
	Gateway  *gateway.Gateway
	Clock    tandem.Clock
	Log      *slog.Logger  // nil for none
	Meter    gateway.Meter // of what never gets to the gateway; nil for none
	Broker   *url.URL      // mqtt, mqtts, ws or wss
	ClientID string        // of this process: its own, and the same when it starts again
	User     string
	Password []byte
	TLS      *tls.Config // for mqtts and wss; nil for the system's authorities
	Share    string      // "" for DefaultShare
}

// Link is a connection to a broker of the operator's, which keeps itself up. That broker decides who may publish what:
// the topic says whose a message is. A message is acknowledged to it once it is durable.
type Link struct {
	o       LinkOptions
	manager atomic.Pointer[autopaho.ConnectionManager]
	lanes   []chan arrival
	seed    maphash.Seed
	ctx     context.Context // ends with the link
	stop    context.CancelFunc
	work    sync.WaitGroup
	entry   sync.Mutex     // of messages, which closing ends
	going   sync.WaitGroup // messages under way
	closing atomic.Bool
	up      atomic.Bool
	heard   heard
	orders  chan order
}

// arrival is a message from the broker.
type arrival struct {
	topic topic
	pk    *paho.Publish
	ack   func()
	at    time.Time
}

// Connect begins to connect; the link is there whether or not the broker is.
func Connect(ctx context.Context, o LinkOptions) (*Link, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Share == "" {
		o.Share = DefaultShare
	}
	l := &Link{o: o, lanes: make([]chan arrival, lanes), seed: maphash.MakeSeed(), orders: make(chan order, mostOrders)}
	l.ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	for i := range l.lanes {
		l.lanes[i] = make(chan arrival, laneRoom)
		l.work.Go(func() { l.serve(l.lanes[i]) })
	}
	for range orderWriters {
		l.work.Go(l.send)
	}
	l.work.Go(l.sweep)
	config := autopaho.ClientConfig{ServerUrls: []*url.URL{o.Broker}, TlsCfg: o.TLS, KeepAlive: linkKeepalive, SessionExpiryInterval: linkSession,
		ConnectUsername: o.User, ConnectPassword: o.Password,
		ReconnectBackoff: autopaho.NewExponentialBackoff(retryFirst, 30*time.Second, time.Second, 2),
		OnConnectionUp:   l.connected, OnConnectionDown: l.disconnected,
		OnConnectError: func(err error) {
			l.o.Log.Warn("the MQTT broker is not reached; it is tried again", "broker", o.Broker.Redacted(), "error", err)
		},
		ConnectPacketBuilder: func(c *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			window, largest := uint16(linkWindow), uint32(2*o.Gateway.MaxBody()+headerMargin)
			c.Properties.ReceiveMaximum, c.Properties.MaximumPacketSize = &window, &largest
			return c, nil
		},
		ClientConfig: paho.ClientConfig{ClientID: o.ClientID, EnableManualAcknowledgment: true, SendAcksInterval: ackEvery,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){l.receive}}}
	manager, err := autopaho.NewConnection(l.ctx, config)
	if err != nil {
		l.Close()
		return nil, tandem.Errorf(tandem.Invalid, "mqtt: connect", o.Broker.Redacted(), "the broker cannot be connected to: %w", err)
	}
	l.manager.Store(manager)
	return l, nil
}

// Up reports whether the broker is there and gives this process its share.
func (l *Link) Up() bool { return l.up.Load() }

// Close takes no more messages, answers those under way, and parts from the broker, which keeps what comes meanwhile for
// when this process is there again.
func (l *Link) Close() {
	l.entry.Lock()
	closed := l.closing.Swap(true)
	l.entry.Unlock()
	if closed {
		return
	}
	quiet := make(chan struct{})
	go func() {
		l.going.Wait()
		close(quiet)
	}()
	select {
	case <-quiet:
	case <-time.After(drainTime):
	}
	if manager := l.manager.Load(); manager != nil {
		<-time.After(4 * ackEvery) // acknowledgements are sent that often
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		// Its error is that the broker is away.
		_ = manager.Disconnect(ctx)
	}
	l.stop()
	l.heard.end()
	l.work.Wait()
}

// enter counts a message that is under way; false where none is to be any more.
func (l *Link) enter() bool {
	l.entry.Lock()
	defer l.entry.Unlock()
	if l.closing.Load() {
		return false
	}
	l.going.Add(1)
	return true
}

// connected asks for this process's share of what devices publish. The library wants it not to block.
func (l *Link) connected(manager *autopaho.ConnectionManager, _ *paho.Connack) {
	l.manager.Store(manager) // it may be there before the one who asked for it has it
	l.work.Go(func() {
		below := "$share/" + l.o.Share + "/" + root + "/+/" + devicesWord + "/+/"
		wait := retryFirst
		for l.ctx.Err() == nil && !l.closing.Load() {
			ctx, cancel := context.WithTimeout(l.ctx, letInTime)
			_, err := manager.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
				{Topic: below + telemetryPlace + "/#", QoS: 1}, {Topic: below + statusPlace, QoS: 1}, {Topic: below + commandsPlace + "/+", QoS: 1}}})
			cancel()
			if err == nil {
				l.up.Store(true)
				l.o.Log.Info("the MQTT broker is connected", "broker", l.o.Broker.Redacted())
				l.heard.again()
				return
			}
			l.o.Log.Warn("the MQTT broker does not let this process subscribe; it is tried again", "broker", l.o.Broker.Redacted(), "error", err)
			if !l.pause(wait) {
				return
			}
			wait = min(2*wait, retryMost)
		}
	})
}

// disconnected notes that the broker is away.
func (l *Link) disconnected() bool {
	if l.up.Swap(false) && !l.closing.Load() {
		l.o.Log.Warn("the connection to the MQTT broker is lost; it is tried again", "broker", l.o.Broker.Redacted())
	}
	return true
}

// pause waits; false when the link ended meanwhile.
func (l *Link) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// receive hands a message to its lane. It is called by one goroutine, which waits where the lane is full, and the broker
// with it.
func (l *Link) receive(p paho.PublishReceived) (bool, error) {
	if l.closing.Load() { // it is not acknowledged, and comes again
		return true, nil
	}
	client, pk := p.Client, p.Packet
	a := arrival{pk: pk, at: l.o.Clock(), ack: func() {
		// Where the connection is another one by now, the broker sends the message again, and it counts once.
		_ = client.Ack(pk)
	}}
	var ok bool
	if a.topic, ok = parseTopic(pk.Topic); !ok || a.topic.place == commands {
		l.count(gateway.Malformed)
		a.ack()
		return true, nil
	}
	select {
	case l.lanes[maphash.String(l.seed, a.topic.organization+"/"+a.topic.device)%lanes] <- a:
	case <-l.ctx.Done():
	}
	return true, nil
}

func (l *Link) count(what gateway.Outcome) {
	if l.o.Meter != nil {
		l.o.Meter.Count(tandem.ViaMQTT, what, 1)
	}
}
