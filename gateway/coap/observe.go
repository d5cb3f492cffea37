package coap

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plgd-dev/go-coap/v3/message/codes"

	"tandem"
	"tandem/gateway"
)

// How commands are handed out.
const (
	mostQueued  = 128                    // commands that wait for the acknowledgement of one before: more than a device may have open
	pollWait    = 500 * time.Millisecond // for a command, where it is asked for once
	fetchWithin = 10 * time.Second       // for the rest of a command that needs several blocks, before the next is sent
)

var errFull = errors.New("the device has enough commands to see to")

// command is one as its device sees it.
type command struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Payload   json.RawMessage `json:"payload"`
	ExpiresAt time.Time       `json:"expires_at"`
}

// large is a command that does not fit into one message: what it is read from, block by block.
type large struct {
	payload []byte
	tag     []byte
	whole   chan struct{} // closed when its last block was asked for
	once    sync.Once
}

// commands serves GET: with Observe 0 the device gets its commands as they come, without it what waits now, one at a time.
func (c *conn) commands(ctx context.Context, r *request) reply {
	if r.code != codes.GET {
		return refusal(codes.MethodNotAllowed, "commands are got or observed here, and answered at their own path")
	}
	d, err := c.who(ctx, r)
	if err != nil {
		return c.refuse(err)
	}
	switch {
	case !acceptable(r):
		return refusal(codes.NotAcceptable, "commands are JSON (50)")
	case r.block2 != nil && r.block2.number > 0:
		return c.rest(*r.block2)
	case r.observe == 0:
		o := c.observe(d, r)
		p := answer(codes.Content)
		p.observe, p.then = o.next(), o.start
		return p
	case r.observe == 1:
		c.unobserve()
	}
	return later(func() reply {
		waiting, err := c.poll(ctx, d)
		if err != nil {
			return c.refuse(err)
		}
		p := answer(codes.Content)
		if waiting != nil {
			c.fill(&p, waiting, preferred(r))
		}
		return p
	})
}

// poll waits a little for the oldest command; the others stay queued.
func (c *conn) poll(ctx context.Context, d gateway.Device) (*tandem.Command, error) {
	given := make(chan tandem.Command, 1)
	end := c.s.o.Gateway.Commands(d, tandem.ViaCoAP, func(one tandem.Command) error {
		select {
		case given <- one:
			return nil
		default:
			return errFull
		}
	})
	defer end()
	timer := time.NewTimer(pollWait)
	defer timer.Stop()
	select {
	case one := <-given:
		return &one, c.s.o.Gateway.Check(ctx, d)
	case <-timer.C:
	case <-c.ended:
	}
	return nil, c.s.o.Gateway.Check(ctx, d)
}

// fill puts a command into a reply, or its first block, and gives what the others are read from.
func (c *conn) fill(p *reply, one *tandem.Command, size block) *large {
	text, err := json.Marshal(command{one.ID, one.Name, one.Payload, one.ExpiresAt})
	if err != nil { // it was JSON in the database
		*p = refusal(codes.InternalServerError, "the command cannot be written")
		return nil
	}
	p.format, p.payload = formatJSON, text
	if len(text) <= size.bytes() {
		return nil
	}
	sum := sha256.Sum256(text)
	l := &large{payload: text, tag: sum[:8], whole: make(chan struct{})}
	part, first, _ := cut(text, block{size: size.size})
	p.payload, p.block2, p.tag = part, &first, l.tag
	c.mu.Lock()
	c.large = l
	c.mu.Unlock()
	return l
}

// rest gives a later block of the last large command.
func (c *conn) rest(b block) reply {
	c.mu.Lock()
	l := c.large
	c.mu.Unlock()
	if l == nil {
		return refusal(codes.NotFound, "there is no such block: ask for the command again")
	}
	part, is, ok := cut(l.payload, b)
	if !ok {
		return refusal(codes.BadRequest, "there is no such block")
	}
	p := answer(codes.Content)
	p.format, p.payload, p.block2, p.tag = formatJSON, part, &is, l.tag
	if !is.more {
		l.once.Do(func() { close(l.whole) })
	}
	return p
}

// observer is a device that wants its commands as they come.
type observer struct {
	c        *conn
	device   gateway.Device
	token    []byte
	size     block // of the blocks that it wants
	queue    chan tandem.Command
	over     chan struct{}
	once     sync.Once
	sequence atomic.Uint32
	last     atomic.Int32 // the id of the last notification, -1 before
}

// observe begins to; a connection has one observation, the newest.
func (c *conn) observe(d gateway.Device, r *request) *observer {
	o := &observer{c: c, device: d, token: slices.Clone(r.token), size: preferred(r), queue: make(chan tandem.Command, mostQueued), over: make(chan struct{})}
	o.last.Store(-1)
	c.mu.Lock()
	old := c.observer
	c.observer = o
	c.mu.Unlock()
	old.end()
	return o
}

// unobserve ends the observation, if there is one.
func (c *conn) unobserve() {
	c.mu.Lock()
	o := c.observer
	c.observer = nil
	c.mu.Unlock()
	o.end()
}

// next numbers what is sent; 24 bits, of which fewer do here.
func (o *observer) next() int { return int(o.sequence.Add(1) & 0xffffff) }

// sent reports whether a message was the last notification.
func (o *observer) sent(id uint16) bool { return o.last.Load() == int32(id) }

// start lets commands come, once the device knows that it observes.
func (o *observer) start() {
	c := o.c
	c.mu.Lock()
	current := c.observer == o
	c.mu.Unlock()
	if !current {
		return
	}
	cancel := c.s.o.Gateway.Commands(o.device, tandem.ViaCoAP, o.take)
	c.s.tasks.Go(func() {
		defer cancel()
		o.run()
	})
}

// take queues a command.
func (o *observer) take(one tandem.Command) error {
	select {
	case <-o.over:
		return errFull
	default:
	}
	select {
	case o.queue <- one:
		return nil
	default:
		return errFull
	}
}

// end ends it.
func (o *observer) end() {
	if o != nil {
		o.once.Do(func() { close(o.over) })
	}
}

// run sends one command after another. Who does not acknowledge one is taken for gone; its commands come again when it
// observes anew.
func (o *observer) run() {
	for {
		select {
		case <-o.over:
			return
		case <-o.c.ended:
			return
		case one := <-o.queue:
			if o.c.s.o.Clock().Before(one.ExpiresAt) && !o.tell(&one) {
				o.c.forgetObserver(o)
				return
			}
		}
	}
}

// tell sends one command, and waits until the device has all of it.
func (o *observer) tell(one *tandem.Command) bool {
	p := answer(codes.Content)
	l := o.c.fill(&p, one, o.size)
	p.observe = o.next()
	if !o.c.deliver(&p, o.token, o.over, func(id uint16) { o.last.Store(int32(id)) }) {
		return false
	}
	if l != nil {
		timer := time.NewTimer(fetchWithin)
		defer timer.Stop()
		select {
		case <-l.whole:
		case <-timer.C:
		case <-o.over:
		case <-o.c.ended:
		}
	}
	return true
}

// forgetObserver ends an observation, if it is still the connection's.
func (c *conn) forgetObserver(o *observer) {
	c.mu.Lock()
	if c.observer == o {
		c.observer = nil
	}
	c.mu.Unlock()
	o.end()
}
