package mqtt

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The bounds of connections.
const (
	mostConnect = 16 << 10         // bytes of a CONNECT, which comes from nobody known yet
	writeTime   = 10 * time.Second // that writing a packet may take
	readBuffer  = 512              // bytes
)

var errLength = errors.New("the length of a packet has more than four bytes")

// conn is a device's connection.
type conn struct {
	net.Conn
	guest   *guest // as long as nobody knows who it is
	r       *bufio.Reader
	tls     func() *tls.ConnectionState // nil for a plain one
	writing sync.Mutex
}

// header reads a packet's first byte, and how many follow its length. Connections wait here, for the most part.
func (c *conn) header() (first byte, length int, err error) {
	if first, err = c.r.ReadByte(); err != nil {
		return 0, 0, err
	}
	for shift := 0; shift < 28; shift += 7 {
		b, err := c.r.ReadByte()
		if err != nil {
			return 0, 0, err
		}
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			return first, length, nil
		}
	}
	return 0, 0, errLength
}

// rest reads what follows a packet's header, and decodes it.
func (c *conn) rest(version, first byte, length int) (*packets.Packet, error) {
	body := make([]byte, length)
	if _, err := io.ReadFull(c.r, body); err != nil {
		return nil, err
	}
	return decode(version, first, body)
}

// decode decodes a packet from a client. The library fails over some that end early: that is their fault, and no more.
func decode(version, first byte, body []byte) (pk *packets.Packet, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			pk, err = nil, packets.ErrMalformedPacket
		}
	}()
	pk = &packets.Packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return nil, err
	}
	pk.FixedHeader.Remaining = len(body)
	switch pk.FixedHeader.Type {
	case packets.Connect:
		err = pk.ConnectDecode(body)
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Subscribe:
		err = pk.SubscribeDecode(body)
	case packets.Unsubscribe:
		err = pk.UnsubscribeDecode(body)
	case packets.Disconnect:
		err = pk.DisconnectDecode(body)
	case packets.Pingreq:
	default:
		err = packets.ErrProtocolViolation // what only servers say, and what belongs to what is not offered
	}
	return pk, err
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// write writes a packet to a client that takes packets of so many bytes; 0 for any.
func (c *conn) write(pk *packets.Packet, most uint32) error {
	b := buffers.Get().(*bytes.Buffer) //nolint:errcheck // the pool holds nothing else
	defer buffers.Put(b)
	b.Reset()
	pk.Mods.MaxSize, pk.Mods.AllowResponseInfo = most, true
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackEncode(b)
	case packets.Publish:
		err = pk.PublishEncode(b)
	case packets.Puback:
		err = pk.PubackEncode(b)
	case packets.Suback:
		err = pk.SubackEncode(b)
	case packets.Unsuback:
		err = pk.UnsubackEncode(b)
	case packets.Pingresp:
		err = pk.PingrespEncode(b)
	case packets.Disconnect:
		err = pk.DisconnectEncode(b)
	}
	if err != nil {
		return err
	}
	if most > 0 && b.Len() > int(most) {
		return packets.ErrPacketTooLarge
	}
	return c.send(b.Bytes())
}

// send writes within its time: who does not read holds nobody up.
func (c *conn) send(p []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := c.Write(p)
	return err
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
