package mqtt

import (
	"context"
	"time"

	"tandem"
	"tandem/gateway"
)

// serve takes the messages of a lane, in their order.
func (l *Link) serve(lane <-chan arrival) {
	for {
		select {
		case a := <-lane:
			l.take(a)
		case <-l.ctx.Done():
			return
		}
	}
}

// take begins to store a message, again and again while the database is away: so long the broker has it.
func (l *Link) take(a arrival) {
	wait := retryFirst
	for again := false; l.enter(); again = true {
		pending, act, err := l.begin(&a, again)
		if !later(err) {
			go func() {
				defer l.going.Done()
				l.finish(&a, pending, act, err)
			}()
			return
		}
		l.going.Done()
		if !l.pause(wait) {
			return
		}
		wait = min(2*wait, retryMost)
	}
}

// later reports whether an error is none of the message's.
func later(err error) bool {
	return err != nil && !tandem.Is(err, tandem.Unauthorized, tandem.NotFound, tandem.RateLimited, tandem.Invalid, tandem.Malformed)
}

// begin begins to store a message; again says that it did not succeed before. What act does, where there is one, is all there is to do.
func (l *Link) begin(a *arrival, again bool) (pending *gateway.Pending, act func(ctx context.Context) error, err error) {
	d, err := l.o.Gateway.Named(l.ctx, a.topic.organization, a.topic.device)
	if err != nil {
		return nil, nil, err
	}
	l.hear(d, false)
	switch a.topic.place {
	case telemetry:
		m := gateway.Message{Via: tandem.ViaMQTT, Body: a.pk.Payload, Path: a.topic.rest, Again: a.pk.Duplicate(), Held: true}
		if a.pk.Properties != nil {
			m.ContentType = a.pk.Properties.ContentType
		}
		if again { // later ones may have been stored meanwhile, and are newer
			m.At = &a.at
		}
		pending, err = l.o.Gateway.Begin(l.ctx, d, m)
	case status:
		var online bool
		if len(a.pk.Payload) == 0 { // a retained one is taken back
			return nil, nil, nil
		}
		if online, err = readStatus(a.pk.Payload); err != nil {
			l.count(gateway.Malformed)
			return nil, nil, err
		}
		if online {
			l.hear(d, true)
		}
		pending, err = l.o.Gateway.BeginStatus(l.ctx, d, tandem.ViaMQTT, online, true)
	case answer:
		act = func(ctx context.Context) error {
			said, err := gateway.ReadAnswer(a.topic.rest, a.pk.Payload)
			if err == nil {
				err = l.o.Gateway.Acknowledge(ctx, d, said)
			}
			return err
		}
	}
	return pending, act, err
}

// finish waits until a message is durable, and acknowledges it then; also one that can never be: the broker could only
// send the same again.
func (l *Link) finish(a *arrival, pending *gateway.Pending, act func(ctx context.Context) error, err error) {
	wait := retryFirst
	for {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), storeTime)
		switch {
		case err != nil:
		case act != nil:
			err = act(ctx)
		case pending != nil:
			_, err = pending.Wait(ctx)
		}
		cancel()
		if !later(err) {
			a.ack()
			return
		}
		if l.closing.Load() || !l.pause(wait) {
			return
		}
		wait = min(2*wait, retryMost)
		pending, act, err = l.begin(a, true)
	}
}

// The bounds of devices that are reached by a broker.
const (
	mostHeard    = 100_000        // devices that commands are looked for here
	heardFor     = 24 * time.Hour // after their last message
	sweepHeard   = time.Minute
	mostOrders   = 1000 // commands that wait for the broker
	orderWriters = 4
)
