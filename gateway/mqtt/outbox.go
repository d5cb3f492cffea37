package mqtt

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"tandem"
)

// The bounds of what goes to a device.
const (
	mostWaiting  = 256     // messages that wait to be written …
	mostOutgoing = 1 << 20 // … and their bytes, where there are several
	mostUnacked  = 16      // QoS 1 messages that were written and not acknowledged
	echoUpTo     = 64      // waiting messages, beyond which a device's own are not passed on to it
	mostRetained = 100_000
)

// message is something to be published to a device.
type message struct {
	topic  string
	body   []byte
	qos    byte
	retain bool
	until  time.Time // after which it is of no use; zero for ever
	reply  string    // the topic for an answer
}

// size is about how many bytes it holds.
func (m *message) size() int { return len(m.topic) + len(m.body) + len(m.reply) }

// outbox is what a session has to be sent.
type outbox struct {
	window  int // QoS 1 messages that the client takes at once
	mu      sync.Mutex
	waiting []message
	bytes   int // of what waits
	running bool
	unacked map[uint16]bool
	next    uint16
	freed   chan struct{} // has room for one
}

var errFull = errors.New("the device does not take what it is sent")

// window is how many QoS 1 messages a client may be sent before it acknowledges one.
func window(pk *packets.Packet) int {
	if n := int(pk.Properties.ReceiveMaximum); n > 0 && n < mostUnacked {
		return n
	}
	return mostUnacked
}

// send queues a message; false where too many wait.
func (s *session) send(m message, most int) bool {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) >= most || len(o.waiting) > 0 && o.bytes+m.size() > mostOutgoing*most/mostWaiting || s.ctx.Err() != nil {
		return false
	}
	o.waiting = append(o.waiting, m)
	o.bytes += m.size()
	if o.unacked == nil {
		o.unacked, o.freed = map[uint16]bool{}, make(chan struct{}, 1)
	}
	if !o.running {
		o.running = true
		go s.drain()
	}
	return true
}

// drain writes what waits, until nothing does.
func (s *session) drain() {
	for {
		m, id, ok := s.next()
		if !ok {
			return
		}
		if code := s.write(packet(&m, id, s.b.o.Clock())); code != packets.CodeSuccess && s.ctx.Err() == nil {
			s.part(code) // half a packet may have been written
		}
	}
}

// next takes a message, with its packet id; false when there is none, or the connection has ended.
func (s *session) next() (message, uint16, bool) {
	o := &s.out
	for {
		o.mu.Lock()
		for len(o.waiting) > 0 && !o.waiting[0].until.IsZero() && s.b.o.Clock().After(o.waiting[0].until) {
			o.shift()
		}
		if len(o.waiting) == 0 || s.ctx.Err() != nil {
			o.waiting, o.bytes, o.running = nil, 0, false
			o.mu.Unlock()
			return message{}, 0, false
		}
		if m := o.waiting[0]; m.qos == 0 || len(o.unacked) < o.window {
			o.shift()
			id := o.number(m.qos)
			o.mu.Unlock()
			return m, id, true
		}
		o.mu.Unlock()
		select {
		case <-o.freed:
		case <-s.ctx.Done():
		}
	}
}

// shift lets go of the first message. The lock is held.
func (o *outbox) shift() {
	o.bytes -= o.waiting[0].size()
	o.waiting[0] = message{}
	o.waiting = o.waiting[1:]
}

// number gives a packet id that is not in use. The lock is held.
func (o *outbox) number(qos byte) uint16 {
	if qos == 0 {
		return 0
	}
	for o.next = o.next%math.MaxUint16 + 1; o.unacked[o.next]; {
		o.next = o.next%math.MaxUint16 + 1
	}
	o.unacked[o.next] = true
	return o.next
}

// acknowledged notes that the client has a message.
func (s *session) acknowledged(id uint16) {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.unacked[id] {
		return
	}
	delete(o.unacked, id)
	select {
	case o.freed <- struct{}{}:
	default:
	}
}

// packet is a message as it is written.
func packet(m *message, id uint16, now time.Time) *packets.Packet {
	pk := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: m.qos, Retain: m.retain}, TopicName: m.topic, Payload: m.body, PacketID: id}
	if !m.until.IsZero() {
		pk.Properties.MessageExpiryInterval = uint32(max(1, m.until.Sub(now).Seconds()))
	}
	pk.Properties.ResponseTopic = m.reply
	return pk
}

// forward sends a message to the connections of a device that subscribed to its topic; false where none took it. From is
// the one that it came by, nil for none.
func (b *Broker) forward(device string, m message, from *session) (taken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.devices[device]
	if p == nil {
		return false
	}
	m.retain = false // it is news to those who are subscribed already
	most := echoUpTo
	if m.reply != "" {
		most = mostWaiting
	}
	for _, s := range p.here {
		g, wanted := s.wants(m.topic)
		if !wanted || g.noLocal && s == from {
			continue
		}
		copied := m
		copied.qos = min(m.qos, g.qos)
		taken = s.send(copied, most) || taken
	}
	return taken
}

// listened reports whether any connection of a device is subscribed to anything.
func (b *Broker) listened(device string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.devices[device]
	return p != nil && slices.ContainsFunc(p.here, (*session).listens)
}

func (s *session) listens() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.filters) > 0
}

// deliver sends a command. A device that does not take any more is parted from: they come again when it does.
func (s *session) deliver(c tandem.Command) error {
	m, err := commandMessage(s.prefix, &c)
	if err != nil {
		return err
	}
	if !s.b.forward(s.device.ID, m, nil) {
		go s.part(packets.ErrQuotaExceeded)
		return errFull
	}
	return nil
}

// commandMessage is a command as its device gets it, by whichever broker.
func commandMessage(prefix string, c *tandem.Command) (message, error) {
	body, err := json.Marshal(struct {
		ID        string          `json:"id"`
		Name      string          `json:"name"`
		Payload   json.RawMessage `json:"payload"`
		ExpiresAt time.Time       `json:"expires_at"`
	}{c.ID, c.Name, c.Payload, c.ExpiresAt})
	return message{topic: prefix + commandsPlace, body: body, qos: 1, until: c.ExpiresAt, reply: prefix + commandsPlace + "/" + c.ID}, err
}

// retained is the status that each device had retained: in memory, as long as the program runs.
type retained struct {
	mu sync.Mutex
	by map[string]message // by tandem.Device.ID
}

// put keeps a status; an empty one takes it back. Where there are too many, any goes.
func (r *retained) put(device string, m message) {
	if len(m.body) > mostStatus {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, device)
	if len(m.body) == 0 {
		return
	}
	for other := range r.by {
		if len(r.by) < mostRetained {
			break
		}
		delete(r.by, other)
	}
	if r.by == nil {
		r.by = map[string]message{}
	}
	m.topic, m.body = strings.Clone(m.topic), bytes.Clone(m.body) // without the packet that they came in
	r.by[device] = m
}

// get gives a device's status.
func (r *retained) get(device string) (message, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.by[device]
	return m, ok
}

// sendRetained sends what is retained to who has just subscribed to it.
func (s *session) sendRetained(filters []packets.Subscription) {
	m, ok := s.b.retained.get(s.device.ID)
	if !ok {
		return
	}
	for _, f := range filters {
		if matches(f.Filter, m.topic) {
			m.qos = min(m.qos, f.Qos)
			s.send(m, mostWaiting)
			return
		}
	}
}
