package coap

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"tandem"
	"tandem/gateway"
)

// nowhere is a store that takes everything and keeps nothing, so that what is measured is the way to it.
type nowhere struct{ gateway.Store }

func (nowhere) FindCredential(_ context.Context, kind tandem.CredentialKind, key string) (tandem.Credentialed, error) {
	return tandem.Credentialed{Credential: tandem.Credential{ID: key, Kind: kind, Identity: key, Sealed: []byte(key)},
		Device: tandem.Device{ID: key, OrganizationID: "org", DeviceID: key, Enabled: true}, Slug: "bench"}, nil
}
func (nowhere) TouchCredentials(context.Context, []tandem.CredentialUse) error { return nil }
func (nowhere) ApplyAll(context.Context, []tandem.OrganizationChanges) error   { return nil }
func (nowhere) ExpireCommands(context.Context, time.Time, int) (int, error)    { return 0, nil }
func (nowhere) EventsSince(context.Context, string, int) ([]tandem.Event, string, error) {
	return nil, "1", nil
}
func (nowhere) WaitForEvents(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (nowhere) Reporters(_ context.Context, org string, ids []string) (list []tandem.Device, err error) {
	for _, id := range ids {
		list = append(list, tandem.Device{ID: id, OrganizationID: org, DeviceID: id, Enabled: true})
	}
	return list, nil
}

// BenchmarkReports is the way of a report from a device's socket to the store and back, the device's own work included.
func BenchmarkReports(b *testing.B) {
	g := gateway.New(gateway.Options{Store: nowhere{}, Clock: time.Now, IDs: func() string { return "id" }, Rate: -1, Writers: 2,
		Unseal: func(c *tandem.Credential) ([]byte, error) { return c.Sealed, nil }})
	defer g.Close()
	s := New(Options{Gateway: g})
	defer s.Close()
	address, err := s.Listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var conns []*dtls.Conn
	for i := range 64 {
		socket, err := net.Dial("udp", address.String())
		if err != nil {
			b.Fatal(err)
		}
		key := []byte(fmt.Sprint("device ", i))
		conn, err := dtls.ClientWithOptions(one{socket}, address, dtls.WithPSK(func([]byte) ([]byte, error) { return key, nil }), dtls.WithPSKIdentityHint(key),
			dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_CCM_8))
		if err == nil {
			err = conn.HandshakeContext(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, conn)
	}
	var sent atomic.Int64
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for _, conn := range conns {
		all.Go(func() {
			reply := make([]byte, 200)
			for i := sent.Add(1); i <= int64(b.N); i = sent.Add(1) {
				data := binary.BigEndian.AppendUint16([]byte{0x40, 2}, uint16(i))
				data = append(append(data, 0xb9), "telemetry\xff"...)
				data = fmt.Appendf(data, `{"battery":%d,"temperature":%d.5}`, i%100, i%40)
				if _, err := conn.Write(data); err != nil {
					b.Error(err)
					return
				}
				if _, err := conn.Read(reply); err != nil || reply[1] != 0x44 {
					b.Errorf("%x %v", reply[:4], err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reports/s")
	for _, conn := range conns {
		_ = conn.Close() // the server may have ended it
	}
}

// one is a socket that knows where it writes to.
type one struct{ net.Conn }

// ReadFrom reads.
func (o one) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := o.Read(p)
	return n, o.RemoteAddr(), err
}

// WriteTo writes.
func (o one) WriteTo(p []byte, _ net.Addr) (int, error) { return o.Write(p) }
