package mqtt

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// read reads packets until the connection ends.
func (s *session) read() {
	for {
		var end time.Time
		if s.keepalive > 0 {
			end = time.Now().Add(time.Duration(s.keepalive) * 1500 * time.Millisecond) // half as much again, as the protocol has it
		}
		if s.c.SetReadDeadline(end) != nil {
			return
		}
		first, length, err := s.c.header()
		if err != nil {
			return
		}
		if length > s.b.mostPacket() {
			s.part(packets.ErrPacketTooLarge)
			return
		}
		s.heard.Store(time.Now().UnixNano())
		why := s.admit(length)
		if why == packets.CodeSuccess {
			why = s.take(first, length)
			s.release(length)
		}
		if why != packets.CodeSuccess {
			s.part(why)
			return
		}
		if s.left {
			return
		}
	}
}

// admit takes the room for a packet before it is read: who announces much and sends little, or more than is stored of it, takes
// no memory from others. It waits where there is none, for longer than one that stalls can hold it.
func (s *session) admit(length int) packets.Code {
	if length > smallPacket {
		ctx, cancel := context.WithTimeout(s.ctx, 2*s.b.o.Packet)
		defer cancel()
		if s.b.partial.Acquire(ctx, int64(length)) != nil {
			return packets.ErrServerBusy
		}
	}
	if length > 0 && s.c.SetReadDeadline(time.Now().Add(s.b.o.Packet)) != nil {
		s.release(length)
		return packets.ErrUnspecifiedError
	}
	return packets.CodeSuccess
}

// release gives it back.
func (s *session) release(length int) {
	if length > smallPacket {
		s.b.partial.Release(int64(length))
	}
}

// take takes a packet; what is not CodeSuccess ends the connection.
func (s *session) take(first byte, length int) packets.Code {
	pk, err := s.c.rest(s.version, first, length)
	if err != nil {
		var code packets.Code
		if errors.As(err, &code) {
			return code
		}
		return packets.ErrMalformedPacket
	}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if length-len(pk.Payload) > headerMargin { // a message is kept with all of its packet
			return packets.ErrPacketTooLarge
		}
		return s.published(pk)
	case packets.Puback:
		s.acknowledged(pk.PacketID)
	case packets.Subscribe:
		return s.subscribe(pk)
	case packets.Unsubscribe:
		return s.unsubscribe(pk)
	case packets.Pingreq:
		return s.write(&packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingresp}})
	case packets.Disconnect:
		return s.leave(pk)
	default:
		return packets.ErrProtocolViolationSecondConnect
	}
	return packets.CodeSuccess
}

// published takes a message in, once it is known where it is to go.
func (s *session) published(pk *packets.Packet) packets.Code {
	if pk.FixedHeader.Qos > 1 {
		return packets.ErrQosNotSupported
	}
	if code := pk.PublishValidate(mostAliases); code != packets.CodeSuccess {
		return code
	}
	if alias := pk.Properties.TopicAlias; alias > 0 {
		switch {
		case len(pk.TopicName) > mostTopic:
			return packets.ErrTopicNameInvalid
		case pk.TopicName == "":
			pk.TopicName = s.aliases[alias]
		default:
			if s.aliases == nil {
				s.aliases = map[uint16]string{}
			}
			s.aliases[alias] = strings.Clone(pk.TopicName)
		}
		if pk.TopicName == "" {
			return packets.ErrTopicAliasInvalid
		}
	}
	s.publish(pk)
	return packets.CodeSuccess
}

// leave notes that the client goes, and with MQTT 5 what is to become of its will and its session.
func (s *session) leave(pk *packets.Packet) packets.Code {
	s.left, s.willing = true, pk.ReasonCode == packets.CodeDisconnectWillMessage.Code
	if !pk.Properties.SessionExpiryIntervalFlag {
		return packets.CodeSuccess
	}
	if s.expiry == 0 && pk.Properties.SessionExpiryInterval > 0 {
		return packets.ErrProtocolViolationZeroNonZeroExpiry
	}
	s.expiry = min(pk.Properties.SessionExpiryInterval, mostExpiry)
	return packets.CodeSuccess
}

// write writes a packet; what is not CodeSuccess is that it cannot be.
func (s *session) write(pk *packets.Packet) packets.Code {
	pk.ProtocolVersion, pk.Mods.DisallowProblemInfo = s.version, s.silent
	if err := s.c.write(pk, s.largest); err != nil && !errors.Is(err, packets.ErrPacketTooLarge) { // what the client does not take is not sent to it
		return packets.ErrUnspecifiedError
	}
	return packets.CodeSuccess
}

// part ends the connection; MQTT 5 lets it be said why.
func (s *session) part(why packets.Code) {
	s.stop()
	if s.version == 5 {
		pk := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: why.Code}
		pk.Properties.ReasonString = why.Reason
		_ = s.write(pk) // it may have ended already
	}
	_ = s.c.Close()
}
