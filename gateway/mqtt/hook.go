package mqtt

import (
	"slices"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// hook is where the library asks and tells. It is called by a client's own goroutine, the one that reads.
type hook struct {
	mochi.HookBase
	b *Broker
}

// ID names the hook.
func (h *hook) ID() string { return "tandem" }

var provided = []byte{mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnSessionEstablished, mochi.OnDisconnect, mochi.OnPacketRead,
	mochi.OnPacketEncode, mochi.OnPacketProcessed, mochi.OnSubscribed, mochi.OnUnsubscribed, mochi.OnPublish, mochi.OnClientExpired}

// Provides says which methods are to be called.
func (h *hook) Provides(b byte) bool { return slices.Contains(provided, b) }

func sessionOf(cl *mochi.Client) *session {
	if c := connOf(cl); c != nil {
		return c.session
	}
	return nil
}

// OnPacketRead sees each packet before the library does.
func (h *hook) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Connect {
		nameClient(cl, &pk.Connect)
		return pk, nil
	}
	s := sessionOf(cl)
	if s == nil {
		return pk, packets.ErrRejectPacket
	}
	s.heard.Store(time.Now().UnixNano())
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if pk.FixedHeader.Qos > 1 {
			s.part(packets.ErrQosNotSupported)
			return pk, packets.ErrRejectPacket
		}
		if !mochi.IsValidFilter(pk.TopicName, true) {
			pk.TopicName = "/" // the library would say nothing to it; to this one it is said that it is nobody's
		}
	case packets.Puback:
		s.acknowledged(pk.PacketID)
	case packets.Disconnect:
		s.left, s.willing = true, pk.ReasonCode == packets.CodeDisconnectWillMessage.Code
	}
	return pk, nil
}

// OnPacketEncode says in the answer to a CONNECT what else is offered here.
func (h *hook) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack && cl.Properties.ProtocolVersion == 5 && pk.ReasonCode == packets.CodeSuccess.Code {
		p := &pk.Properties
		p.MaximumPacketSize = uint32(h.b.o.Gateway.MaxBody() + headerMargin)
		p.TopicAliasMaximum = mostAliases
		p.SharedSubAvailable, p.SharedSubAvailableFlag = 0, true
		p.SubIDAvailable, p.SubIDAvailableFlag = 0, true
	}
	return pk
}

// OnConnect lets devices in.
func (h *hook) OnConnect(cl *mochi.Client, pk packets.Packet) error {
	code := h.b.admit(cl, &pk)
	if code == packets.CodeSuccess {
		return nil
	}
	// The connection ends, whether or not the client gets to know why.
	_ = h.b.server.SendConnack(cl, code, false, nil)
	return code
}

// OnConnectAuthenticate has nothing to add to OnConnect, which knows what to answer.
func (h *hook) OnConnectAuthenticate(cl *mochi.Client, _ packets.Packet) bool {
	return sessionOf(cl) != nil
}

// OnACLCheck decides on filters. Topics that are published to are decided on when they are known, in publish.
func (h *hook) OnACLCheck(cl *mochi.Client, filter string, write bool) bool {
	s := sessionOf(cl)
	return s != nil && (write || s.mayRead(filter))
}

// OnSessionEstablished counts a client in.
func (h *hook) OnSessionEstablished(cl *mochi.Client, _ packets.Packet) {
	if s := sessionOf(cl); s != nil {
		s.arrive()
	}
}

// OnDisconnect counts it out.
func (h *hook) OnDisconnect(cl *mochi.Client, _ error, expire bool) {
	s := sessionOf(cl)
	if s == nil {
		return
	}
	s.kept = !expire && !h.b.stopping.Load()
	s.lose()
}

// OnPublish takes what a device publishes. The library is told to leave it alone: its acknowledgement is ours to send.
func (h *hook) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if s := sessionOf(cl); s != nil {
		s.publish(&pk)
	}
	return pk, packets.ErrRejectPacket
}

// OnSubscribed remembers what was granted until that has been answered.
func (h *hook) OnSubscribed(cl *mochi.Client, pk packets.Packet, codes []byte) {
	s := sessionOf(cl)
	if s == nil {
		return
	}
	s.asked = s.asked[:0]
	for i, filter := range pk.Filters {
		if i < len(codes) && codes[i] <= 1 {
			filter.Qos = codes[i]
			s.asked = append(s.asked, filter)
		}
	}
}

// OnPacketProcessed gives a subscriber what waits for it, once its SUBSCRIBE is answered.
func (h *hook) OnPacketProcessed(cl *mochi.Client, pk packets.Packet, err error) {
	if s := sessionOf(cl); s != nil && err == nil && pk.FixedHeader.Type == packets.Subscribe {
		s.subscribed(s.asked)
		s.retained(s.asked)
		s.asked = s.asked[:0]
	}
}

// OnUnsubscribed forgets filters.
func (h *hook) OnUnsubscribed(cl *mochi.Client, pk packets.Packet) {
	if s := sessionOf(cl); s != nil && len(pk.Filters) > 0 {
		s.unsubscribed(pk.Filters)
	}
}

// OnClientExpired ends a session that waited too long.
func (h *hook) OnClientExpired(cl *mochi.Client) { h.b.expired(cl) }
