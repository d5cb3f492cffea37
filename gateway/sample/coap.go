package sample

import (
	"bytes"
	"context"
	"fmt"
	"net"

	piondtls "github.com/pion/dtls/v3"
	coapdtls "github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/udp/client"
)

// coapLink posts confirmable messages over DTLS, and observes its commands.
type coapLink struct {
	conn    *client.Conn
	observe func(context.Context) error // ends the observation
}

func dialCoAP(ctx context.Context, d Device, told chan<- command) (link, error) {
	to, err := net.ResolveUDPAddr("udp", d.Address)
	if err != nil {
		return nil, err
	}
	conn, err := piondtls.DialWithOptions("udp", to, piondtls.WithPSK(func([]byte) ([]byte, error) { return []byte(d.Secret), nil }),
		piondtls.WithPSKIdentityHint([]byte(d.Identity)), piondtls.WithCipherSuites(piondtls.TLS_PSK_WITH_AES_128_CCM_8))
	if err != nil {
		return nil, err
	}
	shaking, end := context.WithTimeout(ctx, answerTime)
	defer end()
	if err := conn.HandshakeContext(shaking); err != nil {
		_ = conn.Close() // it was not let in
		return nil, err
	}
	l := &coapLink{conn: coapdtls.Client(conn)}
	observation, err := l.conn.Observe(shaking, "/commands", func(m *pool.Message) {
		if text, err := m.ReadBody(); err == nil && len(text) > 0 {
			_ = take(text, told) // what is none is none of a device's
		}
	})
	if err != nil {
		_ = l.conn.Close() // it was not let in
		return nil, err
	}
	l.observe = func(ctx context.Context) error { return observation.Cancel(ctx) }
	return l, nil
}

func (l *coapLink) report(ctx context.Context, body []byte) error {
	return l.post(ctx, "/telemetry", body)
}

func (l *coapLink) answer(ctx context.Context, id string, body []byte) error {
	return l.post(ctx, "/commands/"+id, body)
}

// post returns once the server has answered.
func (l *coapLink) post(ctx context.Context, place string, body []byte) error {
	reply, err := l.conn.Post(ctx, place, message.AppJSON, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer l.conn.ReleaseMessage(reply)
	if code := reply.Code(); code != codes.Changed {
		return fmt.Errorf("the server replied %s", code)
	}
	return nil
}

// Close ends the observation and the connection.
func (l *coapLink) Close() error {
	ctx, end := context.WithTimeout(context.Background(), goodbyeTime)
	defer end()
	_ = l.observe(ctx) // the connection may be gone
	return l.conn.Close()
}
