package coap

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/gateway"
)

// The bounds where Options say nothing, and others of a Server.
const (
	DefaultConnections = 20_000           // of devices, at once
	DefaultIdle        = 30 * time.Minute // that a connection may be silent
	DefaultHandshake   = 30 * time.Second // for one: a slow network takes several seconds for each of its three rounds
	mostOfDevice       = 8                // connections of one device; the oldest goes for one more
	idleEnough         = 30 * time.Second // silent for so long, a connection goes for a new one when there are too many
	sweepEvery         = time.Minute
)

var zero time.Time

// Options say how devices are served over CoAP.
type Options struct {
	Gateway     *gateway.Gateway
	Clock       tandem.Clock  // nil for time.Now
	Log         *slog.Logger  // nil for none
	Connections int           // at most; 0 for DefaultConnections
	Idle        time.Duration // 0 for DefaultIdle
	Handshake   time.Duration // 0 for DefaultHandshake
}

// Server serves devices over any number of sockets. Close ends it, before its Gateway.
type Server struct {
	o       Options
	context context.Context
	cancel  context.CancelFunc
	partial atomic.Int64 // bytes of payloads that are not whole yet

	mu       sync.Mutex
	closing  bool
	sockets  []*socket
	conns    map[*conn]struct{}
	devices  map[string][]*conn // by device, oldest first
	warned   time.Time          // that there are too many
	requests sync.WaitGroup     // that are not answered yet
	tasks    sync.WaitGroup     // all else that goes on
	guesses  guesses
}

// New makes a Server that listens nowhere yet.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Connections == 0 {
		o.Connections = DefaultConnections
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	if o.Handshake == 0 {
		o.Handshake = DefaultHandshake
	}
	s := &Server{o: o, conns: map[*conn]struct{}{}, devices: map[string][]*conn{}}
	s.context, s.cancel = context.WithCancel(context.Background())
	s.tasks.Go(s.sweep)
	return s
}

// Listen serves devices with DTLS at an address, HOST:PORT, and gives the address that it is; port 0 takes a free one.
func (s *Server) Listen(ctx context.Context, address string) (net.Addr, error) {
	return s.listen(ctx, address, true)
}

// ListenPlain does so without DTLS: for this machine only, and Invalid for any other address.
func (s *Server) ListenPlain(ctx context.Context, address string) (net.Addr, error) {
	const op = "coap: listen"
	resolved, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, op, address, "the address is none: %w", err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, tandem.Errorf(tandem.Invalid, op, address, "CoAP without DTLS is for this machine alone").
			WithHint("listen on 127.0.0.1, or with DTLS: --coap-listen")
	}
	return s.listen(ctx, resolved.String(), false)
}

func (s *Server) listen(ctx context.Context, address string, secure bool) (net.Addr, error) {
	packets, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, tandem.Errorf(tandem.Unavailable, "coap: listen", address, "CoAP cannot listen there: %w", err).
			WithHint("name another address, or stop the program that has it")
	}
	udp, ok := packets.(*net.UDPConn)
	if !ok {
		return nil, tandem.Errorf(tandem.Internal, "coap: listen", address, "it is no UDP socket")
	}
	k := newSocket(s, udp, secure)
	s.mu.Lock()
	s.sockets = append(s.sockets, k)
	s.mu.Unlock()
	s.tasks.Go(k.run)
	return udp.LocalAddr(), nil
}

// Close answers what is under way, tells the devices that it ends, and ends.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.closing = true
	s.mu.Unlock()
	s.requests.Wait()
	s.cancel()
	for _, c := range s.all() {
		c.close()
	}
	for _, k := range s.sockets { // there are no more of them now
		k.close()
	}
	s.tasks.Wait()
}

// Connections counts those of now.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// enter counts a request in; false when there are to be no more.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.requests.Add(1)
	}
	return !s.closing
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// join lets a connection in, and another go where there are too many; false when there is no room.
func (s *Server) join(c *conn) bool {
	gone, ok := s.place(c)
	if gone != nil {
		gone.close()
	}
	return ok
}

func (s *Server) place(c *conn) (gone *conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, false
	}
	now := s.o.Clock()
	id := c.device.ID
	if own := s.devices[id]; c.secured() && len(own) >= mostOfDevice {
		gone = own[0]
	} else if len(s.conns) >= s.o.Connections {
		if gone = s.idlest(); gone == nil {
			if now.Sub(s.warned) > time.Minute {
				s.warned = now
				s.o.Log.Warn("there are too many CoAP connections; new ones are refused", "connections", len(s.conns))
			}
			return nil, false
		}
	}
	if gone != nil {
		s.remove(gone) // at once, or the next that comes would count on its place too
	}
	if c.secured() {
		s.devices[id] = append(s.devices[id], c)
	}
	s.conns[c] = struct{}{}
	return gone, true
}

// idlest gives the connection that was silent for longest, if that is long enough. The lock is held.
func (s *Server) idlest() (found *conn) {
	longest := idleEnough
	for c := range s.conns {
		if idle := c.idle(); idle >= longest {
			found, longest = c, idle
		}
	}
	return found
}

// left forgets a connection that ended.
func (s *Server) left(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(c)
}

// remove forgets one. The lock is held.
func (s *Server) remove(c *conn) {
	delete(s.conns, c)
	id := c.device.ID
	rest := slices.DeleteFunc(slices.Clone(s.devices[id]), func(other *conn) bool { return other == c })
	if s.devices[id] = rest; len(rest) == 0 {
		delete(s.devices, id)
	}
}

// sweep ends connections that are silent for too long. A device that observes may have nothing to say: it is asked whether
// it is there before.
func (s *Server) sweep() {
	tick := time.NewTicker(min(sweepEvery, s.o.Idle/4))
	defer tick.Stop()
	for {
		select {
		case <-s.context.Done():
			return
		case <-tick.C:
		}
		for _, c := range s.all() {
			c.look(s.o.Idle)
		}
	}
}

// look sees whether a connection is still wanted.
func (c *conn) look(idle time.Duration) {
	silent := c.idle()
	c.mu.Lock()
	observes := c.observer != nil
	c.blocks.forget(c.s.o.Clock())
	c.mu.Unlock()
	switch {
	case silent > idle:
		c.close()
	case observes && silent > idle/2:
		c.send(empty(0, c.mint()))
	}
}
