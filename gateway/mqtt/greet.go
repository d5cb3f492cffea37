package mqtt

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"tandem"
	"tandem/gateway"
)

// The bounds of who may come.
const (
	mostName      = 1 << 10          // bytes of a client id, with whose it is
	mostKeepalive = 12 * 60 * 60     // seconds that a client may say nothing, where it can be told
	mostExpiry    = 24 * 60 * 60     // seconds that a session is kept for a client that is away
	letInTime     = 10 * time.Second // for finding out who somebody is
)

// serve serves a connection until it ends.
func (b *Broker) serve(c *conn) {
	defer b.leave(c)
	s := b.greet(c)
	if s == nil {
		return
	}
	defer s.over()
	s.arrive()
	c.guest.known()
	s.read()
	s.lose()
}

// greet reads and answers a CONNECT; nil where the client is not let in.
func (b *Broker) greet(c *conn) *session {
	if err := c.SetReadDeadline(time.Now().Add(b.o.Greeting)); err != nil {
		return nil
	}
	first, length, err := c.header()
	if err != nil || first != packets.Connect<<4 || length > mostConnect {
		return nil
	}
	pk, err := c.rest(0, first, length)
	if err != nil {
		return nil
	}
	answer := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, ProtocolVersion: pk.ProtocolVersion}
	s, code := b.admit(c, pk, answer)
	if s == nil && pk.ProtocolVersion < 5 {
		known := false
		if code, known = inThree[code]; !known {
			return nil // MQTT 3.1.1 has no word for it
		}
	}
	answer.ReasonCode = code.Code
	if err := c.write(answer, pk.Properties.MaximumPacketSize); err != nil && s != nil {
		s.over()
		return nil
	}
	return s
}

// inThree is how MQTT 3.1.1 says why a client is not let in.
var inThree = map[packets.Code]packets.Code{packets.ErrUnsupportedProtocolVersion: packets.Err3UnsupportedProtocolVersion,
	packets.ErrClientIdentifierNotValid: packets.Err3ClientIdentifierNotValid, packets.ErrServerUnavailable: packets.Err3ServerUnavailable,
	packets.ErrBadUsernameOrPassword: packets.Err3NotAuthorized, packets.ErrNotAuthorized: packets.Err3NotAuthorized}

// admit lets a device in, or says why not; what the client is to know goes into answer.
func (b *Broker) admit(c *conn, pk, answer *packets.Packet) (*session, packets.Code) {
	if code := b.fits(pk); code != packets.CodeSuccess {
		return nil, code
	}
	ctx, cancel := context.WithTimeout(b.ctx, letInTime)
	defer cancel()
	d, err := b.authenticate(ctx, c, pk)
	if err != nil {
		return nil, refusal(err, pk.ProtocolVersion == 5)
	}
	s := &session{b: b, c: c, version: pk.ProtocolVersion, device: d, prefix: prefixOf(d.Organization, d.DeviceID), largest: pk.Properties.MaximumPacketSize,
		silent: pk.Properties.RequestProblemInfoFlag && pk.Properties.RequestProblemInfo == 0, keepalive: pk.Connect.Keepalive, expiry: expiryOf(pk),
		room: make(chan struct{}, mostInflight), ended: make(chan struct{}), filters: map[string]granted{}}
	if s.version == 5 && s.keepalive > mostKeepalive {
		s.keepalive = mostKeepalive
		answer.Properties.ServerKeepAlive, answer.Properties.ServerKeepAliveFlag = mostKeepalive, true
	}
	if b.crowded(d.ID) {
		if s.version == 5 {
			return nil, packets.ErrQuotaExceeded
		}
		return nil, packets.ErrServerUnavailable
	}
	if code := s.takeWill(pk); code != packets.CodeSuccess {
		return nil, code
	}
	s.out.window = window(pk)
	id := pk.Connect.ClientIdentifier
	if id == "" {
		id = rand.Text()
		answer.Properties.AssignedClientID = id
	}
	s.id = nameOf(c, pk) + id
	if !s.takeOver(ctx) {
		return nil, packets.ErrServerUnavailable
	}
	s.ctx, s.stop = context.WithCancel(b.ctx)
	answer.SessionPresent = b.resume(s, pk.Connect.Clean)
	b.offer(s, pk, answer)
	return s, packets.CodeSuccess
}

// fits looks at a CONNECT before anybody is asked who it is from.
func (b *Broker) fits(pk *packets.Packet) packets.Code {
	code := pk.ConnectValidate()
	switch {
	case pk.ProtocolVersion != 4 && pk.ProtocolVersion != 5:
		pk.ProtocolVersion = 4 // in which it is answered
		return packets.ErrUnsupportedProtocolVersion
	case code != packets.CodeSuccess:
		return code
	case len(pk.Connect.ClientIdentifier)+len(pk.Connect.Username) > mostName || pk.Connect.ClientIdentifier == "" && !pk.Connect.Clean && pk.ProtocolVersion == 4:
		return packets.ErrClientIdentifierNotValid
	case pk.Properties.AuthenticationMethod != "":
		return packets.ErrBadAuthenticationMethod
	case pk.Connect.WillQos > 1:
		return packets.ErrQosNotSupported
	case b.closing():
		return packets.ErrServerUnavailable
	case b.Clients() < b.o.Clients:
		return packets.CodeSuccess
	case pk.ProtocolVersion == 5:
		return packets.ErrServerBusy
	}
	return packets.ErrServerUnavailable
}

// crowded reports whether a device has as many connections as it may.
func (b *Broker) crowded(device string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.devices[device]
	return p != nil && len(p.here) >= mostHere
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

// nameOf is what a client's id is kept under: nobody takes the session of another credential over.
func nameOf(c *conn, pk *packets.Packet) string {
	whose := string(pk.Connect.Username)
	if certificate := c.certificate(); whose == "" && certificate != nil {
		whose = gateway.Fingerprint(certificate.Raw)
	}
	return strconv.Itoa(len(whose)) + ":" + whose + ":"
}

// expiryOf is how long the session is to be kept when its client is away, in seconds.
func expiryOf(pk *packets.Packet) uint32 {
	switch {
	case pk.ProtocolVersion == 5:
		return min(pk.Properties.SessionExpiryInterval, mostExpiry)
	case pk.Connect.Clean:
		return 0
	}
	return mostExpiry
}

// takeWill keeps the last will, which goes by the rules of what the device publishes.
func (s *session) takeWill(pk *packets.Packet) packets.Code {
	c := &pk.Connect
	if !c.WillFlag {
		return packets.CodeSuccess
	}
	if place, _ := s.place(c.WillTopic); place != status && place != telemetry {
		return packets.ErrNotAuthorized
	}
	s.will = &message{topic: strings.Clone(c.WillTopic), body: append([]byte(nil), c.WillPayload...), qos: c.WillQos, retain: c.WillRetain}
	return packets.CodeSuccess
}

// takeOver gives the session its client id. Who had it is parted from first, and has ended when it returns.
func (s *session) takeOver(ctx context.Context) bool {
	for {
		s.b.mu.Lock()
		old := s.b.clients[s.id]
		if old == nil {
			s.b.clients[s.id] = s
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

// offer says in the answer to a CONNECT what there is and is not here.
func (b *Broker) offer(s *session, pk, answer *packets.Packet) {
	p := &answer.Properties
	p.ReceiveMaximum = mostInflight
	p.MaximumQos, p.MaximumQosFlag = 1, true
	p.MaximumPacketSize = uint32(b.o.Gateway.MaxBody() + headerMargin)
	p.TopicAliasMaximum = mostAliases
	p.SharedSubAvailable, p.SharedSubAvailableFlag = 0, true
	p.SubIDAvailable, p.SubIDAvailableFlag = 0, true
	if s.expiry != pk.Properties.SessionExpiryInterval {
		p.SessionExpiryInterval, p.SessionExpiryIntervalFlag = s.expiry, true
	}
}
