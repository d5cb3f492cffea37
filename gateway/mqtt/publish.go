package mqtt

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"tandem"
	"tandem/gateway"
)

// storeTime is how long the answer of the database is waited for.
const storeTime = 30 * time.Second

// errForeign is why a device may not publish somewhere.
var errForeign = tandem.Errorf(tandem.Forbidden, "", "", "a device publishes to its own telemetry, status and commands/{id} only")

// underway is a message that was received and is not answered.
type underway struct {
	id      uint16
	qos     byte
	pending *gateway.Pending                // of a report or a status
	act     func(ctx context.Context) error // otherwise
	err     error                           // what is known to be wrong
	place   place
	message // to be passed on to who subscribed to it
}

// line is the messages of a session that are under way, in their order.
type line struct {
	mu      sync.Mutex
	waiting []underway
	running bool
	broken  bool // one could not be stored: none is acknowledged any more, so that the client sends them again
}

// publish takes a message in, and returns before it is stored. Where too many are under way it waits, and the client with it.
func (s *session) publish(pk *packets.Packet) {
	if s.b.closing() { // it is not acknowledged, and comes again elsewhere
		return
	}
	select {
	case s.room <- struct{}{}:
	case <-s.ctx.Done():
		return
	}
	u := underway{id: pk.PacketID, qos: pk.FixedHeader.Qos, message: message{topic: pk.TopicName, body: pk.Payload, qos: pk.FixedHeader.Qos, retain: pk.FixedHeader.Retain}}
	var rest string
	switch u.place, rest = s.place(pk.TopicName); u.place {
	case telemetry:
		u.pending, u.err = s.report(pk, rest)
	case status:
		u.pending, u.err = s.status(pk)
	case answer:
		u.act = func(ctx context.Context) error { return s.answer(ctx, rest, pk) }
	default:
		u.err = errForeign
		s.count(gateway.Unauthentic)
	}
	if u.place == telemetry && !s.b.listened(s.device.ID) {
		u.body, u.topic = nil, "" // nobody is to get it, and many large ones may be under way: both are parts of the packet
	}
	s.line.mu.Lock()
	defer s.line.mu.Unlock()
	s.line.waiting = append(s.line.waiting, u)
	if !s.line.running {
		s.line.running = true
		go s.settle()
	}
}

// report begins to store telemetry. MQTT 3.1.1 cannot say that a device sends too much: it is made to wait instead.
func (s *session) report(pk *packets.Packet, path string) (*gateway.Pending, error) {
	m := gateway.Message{Via: tandem.ViaMQTT, ContentType: pk.Properties.ContentType, Body: pk.Payload, Path: path, Again: pk.FixedHeader.Dup, Number: pk.PacketID}
	return patiently(s, pk.FixedHeader.Qos, func() (*gateway.Pending, error) { return s.b.o.Gateway.Begin(s.ctx, s.device, m) })
}

// patiently does what a message asks for, and again where the device says too much and cannot be told.
func patiently[T any](s *session, qos byte, do func() (T, error)) (T, error) {
	for {
		done, err := do()
		var e *tandem.Error
		if s.version == 5 || qos == 0 || !tandem.Is(err, tandem.RateLimited) || !errors.As(err, &e) || !s.pause(e.RetryAfter) {
			return done, err
		}
	}
}

// pause waits; false when the connection ended meanwhile.
func (s *session) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// status begins to note whether the device is there. An empty message says nothing of that: it takes a retained one back.
func (s *session) status(pk *packets.Packet) (*gateway.Pending, error) {
	if len(pk.Payload) == 0 && pk.FixedHeader.Retain {
		return nil, nil //nolint:nilnil // there is nothing to wait for
	}
	online, err := readStatus(pk.Payload)
	if err != nil {
		s.count(gateway.Malformed)
		return nil, err
	}
	return patiently(s, pk.FixedHeader.Qos, func() (*gateway.Pending, error) {
		return s.b.o.Gateway.BeginStatus(s.ctx, s.device, tandem.ViaMQTT, online, false)
	})
}

// answer notes what the device says of a command.
func (s *session) answer(ctx context.Context, id string, pk *packets.Packet) error {
	said, err := gateway.ReadAnswer(id, pk.Payload)
	if err != nil {
		return err
	}
	_, err = patiently(s, pk.FixedHeader.Qos, func() (struct{}, error) { return struct{}{}, s.b.o.Gateway.Acknowledge(ctx, s.device, said) })
	return err
}

func (s *session) count(what gateway.Outcome) {
	if s.b.o.Meter != nil {
		s.b.o.Meter.Count(tandem.ViaMQTT, what, 1)
	}
}

// settle answers messages in their order, until none is under way.
func (s *session) settle() {
	for {
		s.line.mu.Lock()
		if len(s.line.waiting) == 0 {
			s.line.waiting, s.line.running = nil, false
			s.line.mu.Unlock()
			return
		}
		u := s.line.waiting[0]
		s.line.waiting[0] = underway{}
		s.line.waiting = s.line.waiting[1:]
		broken := s.line.broken
		s.line.mu.Unlock()
		err := s.wait(&u)
		if err == nil && u.place != answer {
			s.pass(&u)
		}
		if !broken && !s.reply(&u, err) {
			s.line.mu.Lock()
			s.line.broken = true
			s.line.mu.Unlock()
		}
		<-s.room
	}
}

// wait waits until a message is durable, or is not.
func (s *session) wait(u *underway) error {
	if u.err != nil || u.pending == nil && u.act == nil {
		return u.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), storeTime) // the connection may end meanwhile; the message counts
	defer cancel()
	if u.act != nil {
		return u.act(ctx)
	}
	_, err := u.pending.Wait(ctx)
	return err
}

// pass gives a message to who subscribed to it, and keeps a retained status.
func (s *session) pass(u *underway) {
	if u.place == status && u.retain {
		s.b.retained.put(s.device.ID, u.message)
	}
	if u.body != nil {
		s.b.forward(s.device.ID, u.message, s)
	}
}

// reply acknowledges a message, or says what is wrong with it; false where it must not be acknowledged, because it is not
// stored and is to be sent again: that a client does when its connection has ended and it has another.
func (s *session) reply(u *underway, err error) bool {
	switch {
	case err == nil:
		s.puback(u, packets.CodeSuccess, "")
	case tandem.Is(err, tandem.Unauthorized):
		s.part(packets.ErrNotAuthorized)
		return false
	case tandem.Is(err, tandem.Forbidden):
		if s.version == 4 && u.qos > 0 { // MQTT 3.1.1 has no way to say it
			s.part(packets.ErrNotAuthorized)
			return false
		}
		s.puback(u, packets.ErrNotAuthorized, wordsOf(err))
	case tandem.Is(err, tandem.RateLimited):
		if s.version == 4 && u.qos > 0 {
			return false // the connection ended while it waited
		}
		s.puback(u, packets.ErrQuotaExceeded, wordsOf(err))
	case tandem.Is(err, tandem.Invalid, tandem.Malformed):
		s.puback(u, packets.ErrPayloadFormatInvalid, wordsOf(err)) // to MQTT 3.1.1 too: it could only send the same again
	case tandem.Is(err, tandem.NotFound): // an answer to a command that is none of the device's
		s.puback(u, packets.ErrImplementationSpecificError, wordsOf(err))
	case u.qos == 0:
	default:
		go s.away()
		return false
	}
	return true
}

// away ends the connection because a message could not be stored, after a while: a database that is away is not helped
// by all devices coming again at once.
func (s *session) away() {
	if s.pause(time.Second + rand.N(3*time.Second)) {
		s.part(packets.ErrServerBusy)
	}
}

// puback acknowledges a QoS 1 message.
func (s *session) puback(u *underway, code packets.Code, why string) {
	if u.qos == 0 {
		return
	}
	pk := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: u.id, ReasonCode: code.Code}
	pk.Properties.ReasonString = why
	_ = s.write(pk) // a client that is gone sends the message again, and it counts once
}

// wordsOf is what a device's log may say of an error.
func wordsOf(err error) string {
	var e *tandem.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}
