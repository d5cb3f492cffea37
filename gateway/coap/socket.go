package coap

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/transport/v4/packetio"
)

// The bounds of a socket.
const (
	socketBuffer   = 4 << 20  // bytes that the system keeps for us, where it lets us
	linkBuffer     = 64 << 10 // bytes of datagrams that wait for one address's connection
	mostHandshakes = 2048     // at once; a new one takes the place of the oldest that showed nothing yet
	handshakeRate  = 1000     // that begin in a second …
	handshakeBurst = 2000     // … and at once: what comes beside them comes again
	staleHandshake = 2 * time.Second
)

// socket is where devices' datagrams arrive.
type socket struct {
	s      *Server
	udp    *net.UDPConn
	secure bool

	mu         sync.Mutex
	peers      map[netip.AddrPort]*peer
	handshakes map[*link]struct{}
	tokens     float64 // handshakes that may begin
	filled     time.Time
}

// peer is an address that something comes from. A device that starts anew with the port that it had shakes hands again
// while its former connection still counts: whoever only sends in its name does not end that.
type peer struct{ current, next *link }

func newSocket(s *Server, udp *net.UDPConn, secure bool) *socket {
	// Systems bound this, each in its own way; what they give has to do.
	_ = udp.SetReadBuffer(socketBuffer)
	_ = udp.SetWriteBuffer(socketBuffer)
	return &socket{s: s, udp: udp, secure: secure, peers: map[netip.AddrPort]*peer{}, handshakes: map[*link]struct{}{}, tokens: handshakeBurst, filled: s.o.Clock()}
}

// run takes datagrams until the socket is closed.
func (k *socket) run() {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := k.udp.ReadFromUDPAddrPort(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			k.s.o.Log.Warn("a datagram cannot be read", "error", err)
		case n > 0 && n <= mostDatagram:
			for _, l := range k.route(buffer[:n], from) {
				// Where there is no room it is as if it were lost.
				_, _ = l.queue.Write(buffer[:n])
			}
		}
	}
}

// close ends the socket. Its connections have ended.
func (k *socket) close() {
	// There is nobody to tell.
	_ = k.udp.Close()
}

// route says whose a datagram is.
func (k *socket) route(data []byte, from netip.AddrPort) []*link {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.peers[from]
	if !k.secure {
		if p == nil {
			p = &peer{current: k.newLink(from)}
			k.peers[from] = p
			k.s.tasks.Go(func() { k.plain(p.current) })
		}
		return []*link{p.current}
	}
	if len(data) < recordHeader {
		return nil
	}
	if random, hello := firstHello(data); hello {
		k.greet(from, random, k.s.o.Clock())
		p = k.peers[from]
	}
	if p == nil {
		return nil // of a connection that is not any more
	}
	switch epoch := binary.BigEndian.Uint16(data[3:]); {
	case p.next == nil:
		return []*link{p.current}
	case epoch == 0:
		return []*link{p.next}
	}
	return []*link{p.current, p.next} // each can read its own
}

// greet begins a handshake where a datagram asks for one that does not go on yet. The lock is held.
func (k *socket) greet(from netip.AddrPort, random [randomBytes]byte, now time.Time) {
	p := k.peers[from]
	if p != nil {
		going := p.next
		if going == nil && !p.current.ready {
			going = p.current
		}
		if going != nil && (going.random == random || now.Sub(going.since) < staleHandshake) {
			return
		}
		if going != nil { // its device began anew
			k.drop(going)
		}
	}
	l := k.begin(from, random, now)
	switch p = k.peers[from]; {
	case l == nil:
	case p == nil:
		k.peers[from] = &peer{current: l}
	default:
		p.next = l
	}
}

// begin starts a handshake; nil when too many are under way. The lock is held.
func (k *socket) begin(from netip.AddrPort, random [randomBytes]byte, now time.Time) *link {
	k.tokens = min(handshakeBurst, k.tokens+max(now.Sub(k.filled).Seconds(), 0)*handshakeRate)
	k.filled = now
	if k.tokens < 1 {
		return nil
	}
	k.tokens--
	if len(k.handshakes) >= mostHandshakes {
		oldest := k.oldest()
		if oldest == nil {
			return nil
		}
		k.drop(oldest)
	}
	l := k.newLink(from)
	l.random, l.since = random, now
	k.handshakes[l] = struct{}{}
	k.s.tasks.Go(func() { k.shake(l) })
	return l
}

// oldest gives the oldest handshake whose other side has not shown yet that it is where it says. The lock is held.
func (k *socket) oldest() (found *link) {
	for l := range k.handshakes {
		if !l.proven.Load() && (found == nil || l.since.Before(found.since)) {
			found = l
		}
	}
	return found
}

// promote makes a link whose handshake is done the one that counts for its address, and gives the one that did before.
func (k *socket) promote(l *link) (former *link, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.handshakes, l)
	switch p := k.peers[l.remote]; {
	case p == nil:
		return nil, false
	case p.next == l:
		former, p.current, p.next = p.current, l, nil
	case p.current != l:
		return nil, false
	}
	l.ready = true
	return former, true
}

// drop ends a link. The lock is held.
func (k *socket) drop(l *link) {
	k.unlist(l)
	l.shut()
}

// forget lets go of a link that ended.
func (k *socket) forget(l *link) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unlist(l)
}

// unlist lets go of a link. The lock is held.
func (k *socket) unlist(l *link) {
	delete(k.handshakes, l)
	p := k.peers[l.remote]
	if p == nil {
		return
	}
	switch l {
	case p.next:
		p.next = nil
	case p.current:
		if p.current, p.next = p.next, nil; p.current == nil {
			delete(k.peers, l.remote)
		}
	}
}

// The places of what is looked at in a datagram of DTLS 1.2 (RFC 6347, 4.1 and 4.2.2).
const (
	recordHeader    = 13
	handshakeHeader = 12
	randomBytes     = 32
	handshakeRecord = 22
	clientHello     = 1
)

// firstHello reports whether a datagram is the first of a handshake, before any cookie, and gives its random.
func firstHello(data []byte) (random [randomBytes]byte, is bool) {
	const at = recordHeader + handshakeHeader + 2 // behind the version
	if len(data) < at+randomBytes || data[0] != handshakeRecord || data[1] != 254 || binary.BigEndian.Uint16(data[3:]) != 0 {
		return random, false
	}
	body := data[recordHeader:]
	if body[0] != clientHello || binary.BigEndian.Uint16(body[4:]) != 0 || body[6]|body[7]|body[8] != 0 { // its number, and where the fragment begins
		return random, false
	}
	copy(random[:], data[at:])
	return random, true
}

func (k *socket) newLink(from netip.AddrPort) *link {
	l := &link{socket: k, remote: from, queue: packetio.NewBuffer()}
	l.queue.SetLimitSize(linkBuffer)
	return l
}
