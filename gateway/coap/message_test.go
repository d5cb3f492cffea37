package coap_test

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp/coder"
)

// wire makes a message as a device writes it; the options are in order.
func wire(kind message.Type, code codes.Code, id uint16, token string, body []byte, more ...message.Option) []byte {
	m := message.Message{Type: kind, Code: code, MessageID: int32(id), Token: []byte(token), Options: more, Payload: body}
	data := make([]byte, 2048)
	n, err := coder.DefaultCoder.Encode(m, data)
	if err != nil {
		panic(err)
	}
	return data[:n]
}

func path(segment string) message.Option {
	return message.Option{ID: message.URIPath, Value: []byte(segment)}
}

func format(n byte) message.Option {
	return message.Option{ID: message.ContentFormat, Value: []byte{n}}
}

func (w *world) write(c net.Conn, data []byte) {
	w.Helper()
	_, err := c.Write(data)
	w.must(err)
}

// next reads the next message.
func (w *world) next(c net.Conn) message.Message {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
	defer cancel()
	return w.nextWithin(ctx, c)
}

func (w *world) nextWithin(ctx context.Context, c net.Conn) message.Message {
	w.Helper()
	end, _ := ctx.Deadline()
	w.must(c.SetReadDeadline(end))
	data := make([]byte, 2048)
	n, err := c.Read(data)
	w.must(err)
	m := message.Message{Options: make(message.Options, 0, 16)}
	_, err = coder.DefaultCoder.Decode(data[:n], &m)
	w.must(err)
	return m
}

// nothing says that no message comes for a while.
func (w *world) nothing(c net.Conn, within time.Duration) {
	w.Helper()
	w.must(c.SetReadDeadline(time.Now().Add(within)))
	n, err := c.Read(make([]byte, 2048))
	var timeout net.Error
	if err == nil || (!errors.Is(err, os.ErrDeadlineExceeded) && (!errors.As(err, &timeout) || !timeout.Timeout())) {
		w.Errorf("got %d bytes, %v; want nothing", n, err)
	}
}
