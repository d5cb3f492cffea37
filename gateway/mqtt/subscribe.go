package mqtt

import (
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"tandem"
)

// mostFilters is how many filters one client may subscribe to.
const mostFilters = 16

// granted is what a filter was subscribed to with.
type granted struct {
	qos     byte
	noLocal bool // not what the client itself publishes
}

// subscribe answers a SUBSCRIBE, and gives the client what waits for it.
func (s *session) subscribe(pk *packets.Packet) packets.Code {
	if code := pk.SubscribeValidate(); code != packets.CodeSuccess {
		return code
	}
	if len(pk.Properties.SubscriptionIdentifier) > 0 {
		return packets.ErrSubscriptionIdentifiersNotSupported
	}
	answer := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Suback}, PacketID: pk.PacketID, ReasonCodes: make([]byte, len(pk.Filters))}
	news := make([]packets.Subscription, 0, len(pk.Filters))
	for i, f := range pk.Filters {
		f.Filter, f.Qos = strings.Clone(f.Filter), min(f.Qos, 1)
		code, existed := s.grant(&f)
		if answer.ReasonCodes[i] = code.Code; code.Code < packets.ErrUnspecifiedError.Code {
			if f.RetainHandling == 0 || f.RetainHandling == 1 && !existed {
				news = append(news, f)
			}
		} else if s.version == 4 {
			answer.ReasonCodes[i] = packets.ErrUnspecifiedError.Code // which says all that it can
		}
	}
	if code := s.write(answer); code != packets.CodeSuccess {
		return code
	}
	s.ask(pk.Filters)
	s.sendRetained(news)
	return packets.CodeSuccess
}

// grant subscribes to a filter, where the device may: to what is below its own name, whatever it is.
func (s *session) grant(f *packets.Subscription) (code packets.Code, existed bool) {
	switch {
	case !validFilter(f.Filter) || len(f.Filter) > mostTopic:
		return packets.ErrTopicFilterInvalid, false
	case strings.HasPrefix(f.Filter, "$share/"):
		return packets.ErrSharedSubscriptionsNotSupported, false
	case !strings.HasPrefix(f.Filter, s.prefix):
		return packets.ErrNotAuthorized, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, existed = s.filters[f.Filter]; !existed && len(s.filters) >= mostFilters {
		return packets.ErrQuotaExceeded, false
	}
	s.filters[f.Filter] = granted{f.Qos, f.NoLocal}
	return packets.QosCodes[f.Qos], existed
}

// ask asks for the device's commands where they are among what was granted; what it did not answer comes again.
func (s *session) ask(filters []packets.Subscription) {
	name := s.prefix + commandsPlace
	s.mu.Lock()
	defer s.mu.Unlock()
	news := false
	for _, f := range filters {
		_, is := s.filters[f.Filter]
		news = news || is && matches(f.Filter, name)
	}
	if !news || s.ctx.Err() != nil {
		return
	}
	if s.cancel != nil {
		s.cancel()
	}
	s.cancel = s.b.o.Gateway.Commands(s.device, tandem.ViaMQTT, s.deliver)
}

// unsubscribe answers an UNSUBSCRIBE.
func (s *session) unsubscribe(pk *packets.Packet) packets.Code {
	if code := pk.UnsubscribeValidate(); code != packets.CodeSuccess {
		return code
	}
	answer := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsuback}, PacketID: pk.PacketID, ReasonCodes: make([]byte, len(pk.Filters))}
	s.mu.Lock()
	for i, f := range pk.Filters {
		if _, is := s.filters[f.Filter]; !is {
			answer.ReasonCodes[i] = packets.CodeNoSubscriptionExisted.Code
		}
		delete(s.filters, f.Filter)
	}
	_, wanted := s.granted(s.prefix + commandsPlace)
	if s.cancel != nil && !wanted {
		s.cancel()
		s.cancel = nil
	}
	s.mu.Unlock()
	return s.write(answer)
}

// wants tells whether a topic was subscribed to, and how.
func (s *session) wants(name string) (granted, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.granted(name)
}

// granted is wants; the lock is held.
func (s *session) granted(name string) (g granted, wanted bool) {
	for filter, is := range s.filters {
		if matches(filter, name) {
			g.qos, g.noLocal = max(g.qos, is.qos), is.noLocal && (g.noLocal || !wanted)
			wanted = true
		}
	}
	return g, wanted
}
