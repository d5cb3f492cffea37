package mqtt

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"tandem"
	"tandem/gateway"
)

// heard is the devices that this process has heard of, and whose commands it therefore sends. Of several processes that
// have, one gets each command.
type heard struct {
	mu    sync.Mutex
	by    map[string]*hearing // by tandem.Device.ID
	ended bool
}

// hearing is one of them.
type hearing struct {
	topic  string // what its topics begin with
	last   time.Time
	ask    func() (cancel func()) // for its commands, among them those that it did not answer
	cancel func()
}

// order is a command on its way to the broker.
type order struct {
	message
	device string
}

// hear notes that a device was heard of; anew says that it has just come, so that what it did not answer is sent again.
func (l *Link) hear(d gateway.Device, anew bool) {
	h := &l.heard
	h.mu.Lock()
	defer h.mu.Unlock()
	is := h.by[d.ID]
	if topic := prefixOf(d.Organization, d.DeviceID); is != nil && is.topic != topic { // it has another name now, and gets its commands there
		is.cancel()
		delete(h.by, d.ID)
		is = nil
	}
	switch {
	case h.ended || is == nil && len(h.by) >= mostHeard:
		return
	case is == nil:
		is = &hearing{topic: prefixOf(d.Organization, d.DeviceID), ask: func() func() {
			return l.o.Gateway.Commands(d, tandem.ViaMQTT, func(c tandem.Command) error { return l.order(d, &c) })
		}}
		is.cancel = is.ask()
		if h.by == nil {
			h.by = map[string]*hearing{}
		}
		h.by[d.ID] = is
	case anew:
		is.cancel()
		is.cancel = is.ask()
	}
	is.last = l.o.Clock()
}

// again asks for all devices' commands anew: some may not have got to the broker.
func (h *heard) again() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, is := range h.by {
		is.cancel()
		is.cancel = is.ask()
	}
}

// end forgets all devices.
func (h *heard) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for _, is := range h.by {
		is.cancel()
	}
	h.by = nil
}

// sweep forgets devices that have not been heard of for long.
func (l *Link) sweep() {
	tick := time.NewTicker(sweepHeard)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			return
		}
		h, now := &l.heard, l.o.Clock()
		h.mu.Lock()
		for id, is := range h.by {
			if now.Sub(is.last) > heardFor {
				is.cancel()
				delete(h.by, id)
			}
		}
		h.mu.Unlock()
	}
}

var errBrokerAway = errors.New("the broker does not take any more")

// order queues a command for the broker.
func (l *Link) order(d gateway.Device, c *tandem.Command) error {
	if !l.up.Load() {
		return errBrokerAway // it stays queued, and is asked for when the broker is there
	}
	m, err := commandMessage(prefixOf(d.Organization, d.DeviceID), c)
	if err != nil {
		return err
	}
	select {
	case l.orders <- order{m, d.DeviceID}:
		return nil
	default:
		return errBrokerAway
	}
}

// send publishes commands.
func (l *Link) send() {
	for {
		select {
		case o := <-l.orders:
			l.publish(&o)
		case <-l.ctx.Done():
			return
		}
	}
}

// publish gives a command to the broker, which gives it to the device. One that it does not take stays as sent, and comes
// again when the broker or the device does.
func (l *Link) publish(o *order) {
	left := o.until.Sub(l.o.Clock())
	if left <= 0 {
		return
	}
	expiry := uint32(max(1, left.Seconds()))
	ctx, cancel := context.WithTimeout(l.ctx, letInTime)
	defer cancel()
	_, err := l.manager.Load().Publish(ctx, &paho.Publish{Topic: o.topic, QoS: 1, Payload: o.body, Properties: &paho.PublishProperties{MessageExpiry: &expiry, ResponseTopic: o.reply}})
	if err != nil && l.ctx.Err() == nil {
		l.o.Log.Warn("a command did not get to the MQTT broker", "device_id", o.device, "error", err)
	}
}
