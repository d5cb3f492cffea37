package coap

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"

	"tandem"
	"tandem/gateway"
)

// The bounds of a connection.
const (
	mostAtOnce  = 16               // requests of one connection that are worked on; what comes beside them is as if it were lost
	answerTime  = 10 * time.Second // for noting what a device says of a command
	ackTimeout  = 2 * time.Second  // until a notification is sent again (RFC 7252, 4.8), and twice as long each time after that …
	mostRepeats = 4                // … so many times
)

// conn is one device's, or on this machine somebody's, way to here.
type conn struct {
	s       *Server
	link    net.Conn       // a datagram with each Read and Write
	device  gateway.Device // zero where each request says who it is from
	address string

	used  atomic.Int64 // when something came last, in nanoseconds since 1970
	slots chan struct{}
	ended chan struct{}
	end   sync.Once

	mu       sync.Mutex
	recent   recent
	blocks   transfers
	nextID   uint16
	waits    map[uint16]chan bool // for what becomes of our messages: true when they came
	observer *observer
	large    *large
}

func (s *Server) newConn(link net.Conn, device gateway.Device, address string) *conn {
	c := &conn{s: s, link: link, device: device, address: address, slots: make(chan struct{}, mostAtOnce), ended: make(chan struct{}),
		nextID: uint16(rand.Uint32()), waits: map[uint16]chan bool{}, blocks: transfers{most: s.o.Gateway.MaxBody(), partial: &s.partial}}
	c.touch()
	return c
}

func (c *conn) touch() { c.used.Store(c.s.o.Clock().UnixNano()) }

// idle is for how long nothing came.
func (c *conn) idle() time.Duration { return c.s.o.Clock().Sub(time.Unix(0, c.used.Load())) }

// secured reports whether the connection itself says who is there.
func (c *conn) secured() bool { return c.device.ID != "" }

// run takes messages until the connection ends.
func (c *conn) run() {
	defer c.close()
	buffer := make([]byte, mostDatagram)
	for {
		n, err := c.link.Read(buffer)
		if err != nil {
			return
		}
		c.touch()
		c.receive(bytes.Clone(buffer[:n]))
	}
}

// close ends the connection; what it is at is finished, and answered to nobody.
func (c *conn) close() {
	c.end.Do(func() {
		close(c.ended)
		c.unobserve()
		// The other side may be gone already.
		_ = c.link.Close()
		c.mu.Lock()
		c.blocks.close()
		c.mu.Unlock()
		c.s.left(c)
	})
}

// send writes a datagram; whether it came, its answer tells.
func (c *conn) send(data []byte) {
	if _, err := c.link.Write(data); err != nil && !errors.Is(err, net.ErrClosed) {
		c.s.o.Log.Debug("a device cannot be written to", "error", err)
	}
}

// receive sees to one message.
func (c *conn) receive(data []byte) {
	f, err := readFrame(data)
	if err != nil {
		if h, ok := readHeader(data); ok && h.kind == message.Confirmable {
			c.send(empty(message.Reset, h.id))
		}
		return
	}
	switch {
	case f.kind == message.Acknowledgement || f.kind == message.Reset:
		c.acknowledged(f.id, f.kind == message.Acknowledgement)
		if f.kind == message.Acknowledgement && f.isRequest() {
			// No acknowledgement may ask for something, but go-coap's devices ask so for the rest of a notification.
			f.kind = message.NonConfirmable
			c.request(&f)
		}
	case f.isRequest():
		c.request(&f)
	case f.kind == message.Confirmable: // asks whether somebody is there, or answers what nobody asked
		c.send(empty(message.Reset, f.id))
	}
}

// request answers one, once, however often it comes.
func (c *conn) request(f *frame) {
	now := c.s.o.Clock()
	c.mu.Lock()
	if e := c.recent.find(f.id, now); e != nil {
		known := e.answer
		c.mu.Unlock()
		if known != nil && f.kind == message.Confirmable {
			c.send(known)
		}
		return
	}
	select {
	case c.slots <- struct{}{}:
	default: // as if it were lost: its sender sends it again
		c.mu.Unlock()
		return
	}
	again := c.recent.begin(f.id, now)
	c.mu.Unlock()
	if !c.s.enter() {
		<-c.slots
		return
	}
	// The gateway bounds how long it takes, and who closes the connection waits for the answer.
	p := c.answer(context.Background(), f, again) // here, so that what a device reports keeps its order
	if p.later == nil {
		c.finish(f, &p)
		return
	}
	go func() {
		p := p.later()
		c.finish(f, &p)
	}()
}

// finish answers a request, and makes room for the next.
func (c *conn) finish(f *frame, p *reply) {
	defer c.s.requests.Done()
	defer func() { <-c.slots }()
	c.reply(f, p)
}

// reply sends an answer, and remembers it.
func (c *conn) reply(f *frame, p *reply) {
	kind, id := message.Acknowledgement, f.id
	if f.kind == message.NonConfirmable {
		kind, id = message.NonConfirmable, c.mint()
	}
	data, err := p.write(kind, id, f.token)
	if err != nil {
		c.s.o.Log.Error("an answer over CoAP cannot be written", "error", err)
	}
	c.mu.Lock()
	c.recent.end(f.id, data)
	c.mu.Unlock()
	if err == nil {
		c.send(data)
	}
	if p.then != nil {
		p.then()
	}
}

// mint gives the id of a message of ours.
func (c *conn) mint() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextID++
	return c.nextID
}

// acknowledged tells who waits that a message of ours came, or was refused.
func (c *conn) acknowledged(id uint16, came bool) {
	c.mu.Lock()
	wait := c.waits[id]
	delete(c.waits, id)
	o := c.observer
	c.mu.Unlock()
	switch {
	case wait != nil:
		wait <- came
	case !came && o != nil && o.sent(id): // a late refusal
		c.unobserve()
	}
}

// deliver sends a confirmable message until it is acknowledged; false when it is refused, or not acknowledged at all.
func (c *conn) deliver(p *reply, token []byte, until <-chan struct{}, sent func(id uint16)) bool {
	id := c.mint()
	data, err := p.write(message.Confirmable, id, token)
	if err != nil {
		c.s.o.Log.Error("a notification over CoAP cannot be written", "error", err)
		return false
	}
	came := make(chan bool, 1)
	c.mu.Lock()
	c.waits[id] = came
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waits, id)
		c.mu.Unlock()
	}()
	sent(id)
	wait := ackTimeout + rand.N(ackTimeout/2)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for range mostRepeats + 1 {
		c.send(data)
		timer.Reset(wait)
		select {
		case ok := <-came:
			return ok
		case <-until:
			return false
		case <-c.ended:
			return false
		case <-timer.C:
			wait *= 2
		}
	}
	return false
}

// who says which device a request is from.
func (c *conn) who(ctx context.Context, r *request) (gateway.Device, error) {
	if c.secured() {
		return c.device, c.s.o.Gateway.Check(ctx, c.device)
	}
	token := r.parameter("token")
	if token == "" {
		return gateway.Device{}, tandem.Errorf(tandem.Unauthorized, "", "", "the request names no device").WithHint("say ?token=tdd_…")
	}
	return c.s.o.Gateway.Authenticate(ctx, gateway.Claim{Kind: tandem.TokenCredential, Secret: token, Address: c.address})
}
