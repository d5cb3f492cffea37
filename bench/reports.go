package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"

	"tandem"
	"tandem/gateway"
	"tandem/registry"
	"tandem/secret"
	"tandem/store"
)

// reportRate is how many reports a second of devices must become durable on PostgreSQL, by each way.
const reportRate = 5_000

// The bounds of what devices wait for.
const (
	speakers    = 256 // devices that report at once, each waiting for its answer before it sends on
	askAgain    = 2 * time.Second
	mostAsked   = 5
	handshaking = 30 * time.Second
)

// speaker is one device's connection.
type speaker interface {
	// report sends one report and waits until it is answered: durable.
	report(i int64) error
	Close() error
}

// reports measures how many reports of devices a second `tandem serve` stores by one way, the load being this process.
func (b *bench) reports(ctx context.Context, d *databases, via tandem.Via) (err error) {
	lasting := burst
	if b.devices < 1000 {
		lasting = glimpse
	}
	f, err := b.newDeployment(ctx, d, via)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	if err := f.connect(ctx); err != nil {
		return err
	}
	var rates, p99 []float64
	for range b.repeat {
		load, database, server, begin := usage(), d.cpu(), f.server.cpu(), time.Now()
		n, took, err := f.send(lasting)
		if err != nil {
			return err
		}
		rates = append(rates, float64(n)/time.Since(begin).Seconds())
		p99 = append(p99, took.P99*1e3)
		each := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(max(n, 1)) }
		b.tell("  %d reports: processor time of each: server %.0f µs, database server %.0f, load %.0f; answered p50 %.1f ms, p99 %.1f ms", n,
			each(f.server.cpu()-server), each(d.cpu()-database), each(usage()-load), took.P50*1e3, took.P99*1e3)
	}
	if err := f.check(ctx); err != nil {
		return err
	}
	row := Row{ID: string(via), Database: d.kind, What: fmt.Sprintf("reports of devices over %s stored in a second", f.name()), Tandem: median(rates), Unit: "/s"}
	if d.kind == "postgres" && b.devices >= 1000 {
		row.Least = reportRate
	}
	b.add(row)
	b.add(Row{ID: string(via), Database: d.kind, What: "until such a report is answered, p99", Tandem: median(p99), Unit: "ms"})
	return nil
}

// deployment is devices, and the server that they speak to.
type deployment struct {
	via      tandem.Via
	database string
	dir      string
	org      string
	store    *store.Store
	server   *served
	address  string
	devices  []string // what each proves itself by: token or key, its identity being "bench/" and its number
	speakers []speaker
	next     atomic.Int64
	answered atomic.Int64
}

func (f *deployment) name() string {
	return map[tandem.Via]string{tandem.ViaCoAP: "CoAP with DTLS", tandem.ViaHTTP: "HTTP"}[f.via]
}

// newDeployment makes the devices with their credentials, and starts the server.
func (b *bench) newDeployment(ctx context.Context, d *databases, via tandem.Via) (f *deployment, err error) {
	f = &deployment{via: via, org: newID()}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.stop())
		}
	}()
	if f.dir, err = os.MkdirTemp("", "tandem-bench-"); err != nil {
		return nil, err
	}
	if f.database, err = d.fresh(ctx); err != nil {
		return nil, err
	}
	if f.store, err = d.open(ctx, f.database); err != nil {
		return nil, err
	}
	if err := f.fill(ctx); err != nil {
		return nil, err
	}
	flags := []string{"--device-rate=-1", "--ingest-rate=-1"}
	if via == tandem.ViaCoAP {
		port, err := freePort(ctx)
		if err != nil {
			return nil, err
		}
		f.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		flags = append(flags, "--coap-listen", f.address)
	}
	if f.server, err = b.serve(ctx, f.database, f.dir, flags...); err != nil {
		return nil, err
	}
	if via == tandem.ViaHTTP {
		f.address = strings.TrimPrefix(f.server.url, "http://")
	}
	return f, nil
}

func (f *deployment) fill(ctx context.Context) error {
	keys, err := secret.Open(filepath.Join(f.dir, "tandem.key"))
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	if err := f.store.CreateOrganization(ctx, tandem.Organization{ID: f.org, Name: "Bench", Slug: "bench", CreatedAt: now, UpdatedAt: now}); err != nil {
		return err
	}
	var all tandem.Changes
	for i := range speakers {
		name := fmt.Sprint("device-", i)
		d := tandem.Device{ID: newID(), OrganizationID: f.org, Name: name, DeviceID: name, Lifecycle: tandem.Active, Enabled: true, CreatedAt: now, UpdatedAt: now}
		c := tandem.Credential{ID: newID(), OrganizationID: f.org, DeviceID: d.ID, Name: "bench", CreatedAt: now, UpdatedAt: now}
		proof := newID()
		switch c.Identity = identityOf(i); f.via {
		case tandem.ViaCoAP:
			c.Kind = tandem.PSKCredential
			p := registry.CredentialPlace(&c)
			if c.Sealed, err = keys.Seal(secret.NewText(proof), secret.Where{Organization: p.OrganizationID, Table: p.Table, Column: p.Column, Row: p.Row}); err != nil {
				return err
			}
		default:
			c.Kind, c.Identity, c.Hash = tandem.TokenCredential, c.ID, gateway.HashSecret(proof)
		}
		f.devices = append(f.devices, proof)
		all.CreateDevices, all.PutCredentials = append(all.CreateDevices, d), append(all.PutCredentials, c)
	}
	return f.store.Apply(ctx, f.org, &all)
}

func identityOf(i int) string { return fmt.Sprint("bench/device-", i) }

// stop ends what there is.
func (f *deployment) stop() error {
	var errs []error
	for _, s := range f.speakers {
		errs = append(errs, s.Close())
	}
	if f.server != nil {
		errs = append(errs, f.server.stop())
	}
	if f.store != nil {
		errs = append(errs, f.store.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(f.dir))...)
}

// connect opens every device's connection.
func (f *deployment) connect(ctx context.Context) error {
	for i, proof := range f.devices {
		var s speaker
		var err error
		if f.via == tandem.ViaCoAP {
			s, err = speakCoAP(ctx, f.address, identityOf(i), proof)
		} else {
			s, err = speakHTTP(ctx, f.address, proof)
		}
		if err != nil {
			return fmt.Errorf("device %d: %w", i, err)
		}
		f.speakers = append(f.speakers, s)
	}
	return nil
}

// send reports for a time from all devices, each as fast as it is answered.
func (f *deployment) send(lasting time.Duration) (n int, took spread, err error) {
	var mu sync.Mutex
	var all []time.Duration
	begin := time.Now()
	var wait sync.WaitGroup
	for _, s := range f.speakers {
		wait.Go(func() {
			var own []time.Duration
			var failed error
			for at := time.Now(); at.Sub(begin) < lasting && failed == nil; at = time.Now() {
				if failed = s.report(f.next.Add(1)); failed == nil {
					own = append(own, time.Since(at))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all, err = append(all, own...), errors.Join(err, failed)
		})
	}
	wait.Wait()
	f.answered.Add(int64(len(all)))
	return len(all), spreadOf(all), err
}

// check holds what was answered against what the server says that it stored.
func (f *deployment) check(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.server.url+"/metrics", nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	stored := int64(0)
	for lines := bufio.NewScanner(reply.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if strings.HasPrefix(name, "tandem_gateway_reports_total{") && label(name, "via") == string(f.via) && label(name, "outcome") == string(gateway.Stored) {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return err
			}
			stored = int64(n)
		}
	}
	if err := reply.Body.Close(); err != nil {
		return err
	}
	if stored != f.answered.Load() {
		return fmt.Errorf("%d reports were answered, and %d stored", f.answered.Load(), stored)
	}
	return nil
}

// payload is a report as a small device sends it.
func payload(i int64) string {
	return fmt.Sprintf(`{"battery":%d,"temperature":%d.5,"humidity":41,"uptime":%d}`, i%101, i%40, i)
}

// coapSpeaker speaks CoAP over DTLS.
type coapSpeaker struct {
	conn  *dtls.Conn
	id    uint16
	data  []byte
	reply [256]byte
}

func speakCoAP(ctx context.Context, address, identity, key string) (speaker, error) {
	socket, err := new(net.Dialer).DialContext(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	udp, ok := socket.(*net.UDPConn)
	if !ok {
		return nil, errors.New("it is no UDP socket")
	}
	conn, err := dtls.ClientWithOptions(connected{udp}, socket.RemoteAddr(), dtls.WithPSK(func([]byte) ([]byte, error) { return []byte(key), nil }),
		dtls.WithPSKIdentityHint([]byte(identity)), dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_CCM_8)) // what devices have
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshaking)
	defer cancel()
	return &coapSpeaker{conn: conn}, conn.HandshakeContext(ctx)
}

// connected is a socket that has one other side.
type connected struct{ *net.UDPConn }

// WriteTo writes to it.
func (c connected) WriteTo(p []byte, _ net.Addr) (int, error) { return c.Write(p) }

// Close tells the server, and ends.
func (s *coapSpeaker) Close() error { return s.conn.Close() }

func (s *coapSpeaker) report(i int64) error {
	s.id++
	s.data = binary.BigEndian.AppendUint16(append(s.data[:0], 0x41, 0x02), s.id)              // a confirmable POST, a byte of token
	s.data = append(append(append(s.data, byte(s.id), 0xb9), "telemetry"...), 0x11, 50, 0xff) // Uri-Path, Content-Format
	s.data = append(s.data, payload(i)...)
	for range mostAsked {
		if _, err := s.conn.Write(s.data); err != nil {
			return err
		}
		if err := s.conn.SetReadDeadline(time.Now().Add(askAgain)); err != nil {
			return err
		}
		n, err := s.conn.Read(s.reply[:])
		var slow net.Error
		switch {
		case errors.As(err, &slow) && slow.Timeout():
			continue
		case err != nil:
			return err
		case n < 5 || s.reply[1] != 0x44 || binary.BigEndian.Uint16(s.reply[2:]) != s.id:
			return fmt.Errorf("a report was answered with %x", s.reply[:n])
		}
		return nil
	}
	return errors.New("a report was not answered")
}

// httpSpeaker speaks HTTP over a connection of its own.
type httpSpeaker struct {
	conn    net.Conn
	reader  *bufio.Reader
	head    string
	request []byte
}

func speakHTTP(ctx context.Context, address, token string) (speaker, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &httpSpeaker{conn: conn, reader: bufio.NewReader(conn),
		head: fmt.Sprintf("POST /ingest/v1/telemetry HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: ", address, token)}, nil
}

// Close ends the connection.
func (s *httpSpeaker) Close() error { return s.conn.Close() }

func (s *httpSpeaker) report(i int64) error {
	body := payload(i)
	s.request = append(append(strconv.AppendInt(append(s.request[:0], s.head...), int64(len(body)), 10), "\r\n\r\n"...), body...)
	if _, err := s.conn.Write(s.request); err != nil {
		return err
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(handshaking)); err != nil {
		return err
	}
	status, err := answered(s.reader)
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("a report was answered with %d", status)
	}
	return err
}
