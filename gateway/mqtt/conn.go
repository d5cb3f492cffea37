package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"
)

// The bounds of connections.
const (
	mostConnect = 16 << 10         // bytes of a CONNECT, which comes from nobody known yet
	writeTime   = 10 * time.Second // that writing a packet may take
)

var errConnect = errors.New("the connection does not begin with a CONNECT of a fair size")

// conn is a device's connection. It bounds what the library leaves open: how long a write takes, and how much memory the
// first packet may ask for, before anybody has proved anything.
type conn struct {
	net.Conn
	tls     func() *tls.ConnectionState // nil for a plain one
	first   int                         // bytes of the fixed header that were read
	length  int                         // of the first packet, as they say
	greeted bool                        // the fixed header is complete
	ended   func()
	session *session   // once the device was let in
	writing sync.Mutex // a WebSocket takes one writer at a time
}

// Read reads, and looks at the first packet's header as it passes.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for i := 0; i < n && !c.greeted; i++ {
		if !c.header(p[i]) {
			return 0, errConnect
		}
	}
	return n, err
}

// header takes one byte of the first packet's fixed header: the type, then the length, seven bits a byte.
func (c *conn) header(b byte) bool {
	if c.first == 0 {
		c.first++
		return b == 0x10
	}
	c.length |= int(b&0x7f) << (7 * (c.first - 1))
	c.first++
	c.greeted = b < 0x80
	return c.first <= 4 && c.length <= mostConnect
}

// Write writes within its time, whatever the deadline of reading is: who does not read holds nobody up.
func (c *conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// SetDeadline is set by the library before it reads: it is that of reading.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Close closes the connection, and gives its place to others.
func (c *conn) Close() error {
	c.ended()
	return c.Conn.Close()
}

// certificate gives what the client showed and a known authority signed; nil for none.
func (c *conn) certificate() *x509.Certificate {
	if c.tls == nil {
		return nil
	}
	state := c.tls()
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.VerifiedChains[0][0]
}

// address is where the connection comes from, without its port.
func (c *conn) address() string {
	text := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(text); err == nil {
		return host
	}
	return text
}
