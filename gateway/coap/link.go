package coap

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v4/packetio"
)

// link is what passes between the socket and one address: a net.Conn and a net.PacketConn.
type link struct {
	socket *socket
	remote netip.AddrPort
	queue  *packetio.Buffer

	random [randomBytes]byte // of the handshake that it began with
	since  time.Time
	proven atomic.Bool // its other side is where it says: it answered something that was sent there
	ready  bool        // its handshake is done; of the socket's lock
}

// Read gives one datagram.
func (l *link) Read(p []byte) (int, error) { return l.queue.Read(p) }

// ReadFrom gives one datagram.
func (l *link) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := l.queue.Read(p)
	return n, l.RemoteAddr(), err
}

// Write sends one datagram.
func (l *link) Write(p []byte) (int, error) { return l.socket.udp.WriteToUDPAddrPort(p, l.remote) }

// WriteTo sends one datagram to the link's address, the only one that it knows.
func (l *link) WriteTo(p []byte, _ net.Addr) (int, error) { return l.Write(p) }

// Close ends the link; the socket stays.
func (l *link) Close() error {
	l.socket.forget(l)
	l.shut()
	return nil
}

func (l *link) shut() {
	// A closed queue gives what is in it, and then the end.
	_ = l.queue.Close()
}

// LocalAddr is the socket's.
func (l *link) LocalAddr() net.Addr { return l.socket.udp.LocalAddr() }

// RemoteAddr is the other side's.
func (l *link) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(l.remote) }

// SetDeadline bounds reading; writing does not wait.
func (l *link) SetDeadline(t time.Time) error { return l.queue.SetReadDeadline(t) }

// SetReadDeadline bounds reading.
func (l *link) SetReadDeadline(t time.Time) error { return l.queue.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writing does not wait.
func (l *link) SetWriteDeadline(time.Time) error { return nil }

// address is where the other side is, for counting.
func (l *link) address() string { return l.remote.Addr().Unmap().String() }
