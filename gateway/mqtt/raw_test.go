package mqtt_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// raw is a client that does what no library would do.
type raw struct {
	w    *world
	c    net.Conn
	r    *bufio.Reader
	five bool
}

func str(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// packetOf puts the fixed header before a packet.
func packetOf(first byte, body []byte) []byte {
	p := []byte{first}
	for n := len(body); ; {
		b := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			p = append(p, b|0x80)
			continue
		}
		return append(append(p, b), body...)
	}
}

// hello is what a raw client says of itself.
type hello struct {
	clientID    string
	keepalive   uint16
	willTopic   string
	willPayload string
	willRetain  bool
	keep        bool // its session
}

// dial connects as a device; the answer's code comes with it.
func (w *world) dial(k *known, version byte, h hello) (*raw, byte) {
	w.Helper()
	c, err := net.Dial("tcp", w.b.Addresses()["mqtt"])
	w.must(err)
	w.Cleanup(func() { _ = c.Close() })
	x := &raw{w: w, c: c, r: bufio.NewReader(c), five: version == 5}
	flags := byte(0xc0) // a user and a password
	if !h.keep {
		flags |= 2
	}
	if h.willTopic != "" {
		flags |= 4 | 8 // with QoS 1
		if h.willRetain {
			flags |= 0x20
		}
	}
	body := append(str("MQTT"), version, flags)
	body = binary.BigEndian.AppendUint16(body, h.keepalive)
	if x.five {
		if h.keep {
			body = append(body, 5, 0x11, 0, 0, 0, 60)
		} else {
			body = append(body, 0)
		}
	}
	if h.clientID == "" {
		h.clientID = "raw"
	}
	body = append(body, str(h.clientID)...)
	if h.willTopic != "" {
		if x.five {
			body = append(body, 0)
		}
		body = append(append(body, str(h.willTopic)...), str(h.willPayload)...)
	}
	body = append(append(body, str(k.user)...), str(k.password)...)
	x.send(packetOf(0x10, body))
	kind, answer := x.read()
	if kind != 2 || len(answer) < 2 {
		w.Fatalf("the answer to CONNECT is of type %d: %x", kind, answer)
	}
	return x, answer[1]
}

func (x *raw) send(p []byte) {
	x.w.Helper()
	_, err := x.c.Write(p)
	x.w.must(err)
}

// read reads a packet; type 0 when the connection has ended, or nothing comes.
func (x *raw) read() (kind byte, body []byte) {
	x.w.Helper()
	x.w.must(x.c.SetReadDeadline(time.Now().Add(10 * time.Second)))
	first, err := x.r.ReadByte()
	if err != nil {
		return 0, nil
	}
	n, shift := 0, 0
	for {
		b, err := x.r.ReadByte()
		if err != nil {
			return 0, nil
		}
		n |= int(b&0x7f) << shift
		if shift += 7; b < 0x80 {
			break
		}
	}
	body = make([]byte, n)
	if _, err := io.ReadFull(x.r, body); err != nil {
		return 0, nil
	}
	return first >> 4, body
}

// publish sends a message.
func (x *raw) publish(topic, payload string, qos byte, id uint16, dup bool) {
	x.w.Helper()
	first := 0x30 | qos<<1
	if dup {
		first |= 8
	}
	body := str(topic)
	if qos > 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	if x.five {
		body = append(body, 0)
	}
	x.send(packetOf(first, append(body, payload...)))
}

// acknowledged reads a PUBACK: the packet's id and the reason.
func (x *raw) acknowledged() (id uint16, reason byte) {
	x.w.Helper()
	kind, body := x.read()
	if kind != 4 {
		x.w.Fatalf("instead of a PUBACK there is a packet of type %d: %x", kind, body)
	}
	id = binary.BigEndian.Uint16(body)
	if len(body) > 2 {
		reason = body[2]
	}
	return id, reason
}

// subscribe subscribes, and gives what was granted.
func (x *raw) subscribe(id uint16, filter string, qos byte) byte {
	x.w.Helper()
	body := binary.BigEndian.AppendUint16(nil, id)
	if x.five {
		body = append(body, 0)
	}
	x.send(packetOf(0x82, append(append(body, str(filter)...), qos)))
	kind, answer := x.read()
	if kind != 9 {
		x.w.Fatalf("instead of a SUBACK there is a packet of type %d: %x", kind, answer)
	}
	return answer[len(answer)-1]
}

// message reads a PUBLISH, and acknowledges it.
func (x *raw) message() (topic, payload string, retained bool) {
	x.w.Helper()
	x.w.must(x.c.SetReadDeadline(time.Now().Add(10 * time.Second)))
	first, err := x.r.Peek(1)
	if err != nil {
		x.w.Fatalf("no message comes: %v", err)
	}
	head := first[0]
	kind, body := x.read()
	if kind != 3 {
		x.w.Fatalf("instead of a message there is a packet of type %d: %x", kind, body)
	}
	n := int(binary.BigEndian.Uint16(body))
	topic, body = string(body[2:2+n]), body[2+n:]
	if head&6 != 0 {
		x.send(packetOf(0x40, body[:2]))
		body = body[2:]
	}
	if x.five {
		body = body[1+int(body[0]):]
	}
	return topic, string(body), head&1 != 0
}
