package coap_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	piondtls "github.com/pion/dtls/v3"
	coapdtls "github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"

	"tandem"
	"tandem/gateway"
	"tandem/gateway/coap"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
)

// fails is a store that can be away.
type fails struct {
	tandem.ServerStore
	away  atomic.Bool
	begun atomic.Int64 // transactions of reports
	slow  atomic.Int64 // nanoseconds that each of them takes longer
}

var errAway = tandem.Errorf(tandem.Unavailable, "test", "", "the database is away")

// ApplyAll fails while the store is away.
func (f *fails) ApplyAll(ctx context.Context, all []tandem.OrganizationChanges) error {
	if f.away.Load() {
		return errAway
	}
	f.begun.Add(1)
	if slow := time.Duration(f.slow.Load()); slow > 0 {
		<-time.After(slow)
	}
	return f.ServerStore.ApplyAll(ctx, all)
}

// FindCredential fails while the store is away.
func (f *fails) FindCredential(ctx context.Context, kind tandem.CredentialKind, key string) (tandem.Credentialed, error) {
	if f.away.Load() {
		return tandem.Credentialed{}, errAway
	}
	return f.ServerStore.FindCredential(ctx, kind, key)
}

// world is a server that devices speak to over CoAP.
type world struct {
	*testing.T
	store         *fails
	org           string
	slug          string
	device        tandem.Device
	g             *gateway.Gateway
	s             *coap.Server
	secure, plain string   // addresses
	sockets       sync.Map // of the connections of shake
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

// settings are what tests change of a world.
type settings struct {
	gateway gateway.Options
	coap    coap.Options
}

func newWorld(t *testing.T, change ...func(*settings)) *world {
	t.Parallel()
	return worldOn(t, sqlitetest.Open(t), change...)
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(w *world)) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) tandem.ServerStore{
		"sqlite":   func(tb testing.TB) tandem.ServerStore { return sqlitetest.Open(tb) },
		"postgres": func(tb testing.TB) tandem.ServerStore { return postgrestest.Open(tb) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(worldOn(t, open(t)))
		})
	}
}

func worldOn(t *testing.T, store tandem.ServerStore, change ...func(*settings)) *world {
	w := &world{T: t, store: &fails{ServerStore: store}, org: id()}
	w.slug = "acme-" + w.org
	now := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	w.must(store.CreateOrganization(t.Context(), tandem.Organization{ID: w.org, Name: "acme", Slug: w.slug, CreatedAt: now, UpdatedAt: now}))
	o := settings{gateway: gateway.Options{Store: w.store, Clock: time.Now, IDs: id, MaxBody: 32 << 10, Unseal: func(c *tandem.Credential) ([]byte, error) { return c.Sealed, nil }}}
	for _, f := range change {
		f(&o)
	}
	w.g = gateway.New(o.gateway)
	t.Cleanup(w.g.Close)
	o.coap.Gateway = w.g
	w.s = coap.New(o.coap)
	t.Cleanup(w.s.Close)
	secure, err := w.s.Listen(t.Context(), "127.0.0.1:0")
	w.must(err)
	plain, err := w.s.ListenPlain(t.Context(), "127.0.0.1:0")
	w.must(err)
	w.secure, w.plain = secure.String(), plain.String()
	w.device = w.newDevice("sensor")
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func equal[T comparable](w *world, got, want T) {
	w.Helper()
	if got != want {
		w.Errorf("got %v, want %v", got, want)
	}
}

// keyOf is the pre-shared key of a device of the tests.
func keyOf(identity string) string { return "the key of " + identity }

func (w *world) identity(d *tandem.Device) string { return w.slug + "/" + d.DeviceID }

// newDevice makes one that has a pre-shared key.
func (w *world) newDevice(name string) tandem.Device {
	w.Helper()
	now := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	d := tandem.Device{ID: id(), OrganizationID: w.org, Name: name, DeviceID: name, Lifecycle: tandem.Active, Enabled: true, CreatedAt: now, UpdatedAt: now}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{CreateDevices: []tandem.Device{d}}))
	w.credential(&d, tandem.Credential{Kind: tandem.PSKCredential, Identity: w.identity(&d), Sealed: []byte(keyOf(w.identity(&d)))})
	return d
}

func (w *world) credential(d *tandem.Device, c tandem.Credential) tandem.Credential {
	w.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	c.ID, c.DeviceID, c.Name, c.CreatedAt, c.UpdatedAt = id(), d.ID, "test", now, now
	if c.Identity == "" {
		c.Identity = c.ID
	}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{PutCredentials: []tandem.Credential{c}}))
	kept, err := w.store.Credential(w.Context(), w.org, c.ID)
	w.must(err)
	return kept
}

// psk is how a client with a key shakes hands.
func psk(identity, key string) []piondtls.ClientOption {
	return []piondtls.ClientOption{piondtls.WithPSK(func([]byte) ([]byte, error) { return []byte(key), nil }), piondtls.WithPSKIdentityHint([]byte(identity)),
		piondtls.WithCipherSuites(piondtls.TLS_PSK_WITH_AES_128_CCM_8)}
}

// shake shakes hands from a local address, "" for any.
func (w *world) shake(identity, key, local string, within time.Duration) (*piondtls.Conn, error) {
	w.Helper()
	from, err := net.ResolveUDPAddr("udp", cmp.Or(local, "127.0.0.1:0"))
	w.must(err)
	to, err := net.ResolveUDPAddr("udp", w.secure)
	w.must(err)
	socket, err := net.DialUDP("udp", from, to)
	w.must(err)
	c, err := piondtls.ClientWithOptions(socketOf{socket}, to, psk(identity, key)...)
	w.must(err)
	w.sockets.Store(c, socket)
	w.Cleanup(func() {
		// It may have ended already.
		_ = c.Close()
		_ = socket.Close()
	})
	ctx, cancel := context.WithTimeout(w.Context(), within)
	defer cancel()
	return c, c.HandshakeContext(ctx)
}

// socket gives what a connection of shake is over.
func (w *world) socket(c *piondtls.Conn) *net.UDPConn {
	w.Helper()
	kept, _ := w.sockets.Load(c)
	socket, ok := kept.(*net.UDPConn)
	if !ok {
		w.Fatal("the connection is not one of shake's")
	}
	return socket
}

// rawAgain connects as the device from the address that it had, as if it had lost its power.
func (w *world) rawAgain(former *piondtls.Conn) *piondtls.Conn {
	w.Helper()
	socket := w.socket(former)
	local := socket.LocalAddr().String()
	w.must(socket.Close()) // nothing is told to the other side
	return w.raw(&w.device, local)
}

// inject sends a datagram from a connection's own address.
func (w *world) inject(c *piondtls.Conn, data []byte) {
	w.Helper()
	_, err := w.socket(c).Write(data)
	w.must(err)
}

// hello begins a handshake.
func hello(random byte) []byte {
	body := append([]byte{254, 253}, bytes.Repeat([]byte{random}, 32)...)
	body = append(body, 0, 0, 0, 2, 0xc0, 0xa8, 1, 0)                              // no session, no cookie, one suite, no compression
	head := []byte{1, 0, 0, byte(len(body)), 0, 0, 0, 0, 0, 0, 0, byte(len(body))} // a ClientHello, the first message, in one fragment
	record := []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, random, 0, byte(len(head) + len(body))}
	return append(append(record, head...), body...)
}

// raw connects as a device that writes its messages itself.
func (w *world) raw(d *tandem.Device, local string) *piondtls.Conn {
	w.Helper()
	c, err := w.shake(w.identity(d), keyOf(w.identity(d)), local, 5*time.Second)
	w.must(err)
	return c
}

// dial connects as a device.
func (w *world) dial(d *tandem.Device, change ...udp.Option) *client.Conn {
	w.Helper()
	c := coapdtls.Client(w.raw(d, ""), append([]udp.Option{options.WithMaxMessageSize(1 << 20)}, change...)...)
	w.Cleanup(func() {
		// It may have ended already.
		_ = c.Close()
	})
	return c
}

// socketOf is a connected socket that takes an address to write to, and knows better.
type socketOf struct{ *net.UDPConn }

// WriteTo writes to where the socket is connected to.
func (s socketOf) WriteTo(p []byte, _ net.Addr) (int, error) { return s.Write(p) }

// post posts, and gives the answer's code and text.
func (w *world) post(c *client.Conn, path string, format int, body string, more ...message.Option) (codes.Code, string, *pool.Message) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 15*time.Second)
	defer cancel()
	request, err := c.NewPostRequest(ctx, path, message.MediaType(max(format, 0)), bytes.NewReader([]byte(body)), more...)
	w.must(err)
	if format < 0 {
		request.Remove(message.ContentFormat)
	}
	reply, err := c.Do(request)
	w.must(err)
	text := ""
	if reply.Body() != nil {
		all, err := io.ReadAll(reply.Body())
		w.must(err)
		text = string(all)
	}
	return reply.Code(), text, reply
}

// want posts and checks the answer.
func (w *world) want(c *client.Conn, path string, format int, body string, code codes.Code) *pool.Message {
	w.Helper()
	got, text, reply := w.post(c, path, format, body)
	if got != code {
		w.Errorf("posting to %s: got %v %q, want %v", path, got, text, code)
	}
	return reply
}

func (w *world) read(d *tandem.Device) tandem.Device {
	w.Helper()
	is, err := w.store.Device(w.Context(), w.org, d.ID)
	w.must(err)
	return is
}

func (w *world) status() tandem.Status {
	w.Helper()
	d := w.read(&w.device)
	return d.StatusAt(time.Now(), tandem.DefaultOnlineWindow)
}

func (w *world) battery(d *tandem.Device) float64 {
	w.Helper()
	if level := w.read(d).BatteryLevel; level != nil {
		return *level
	}
	return -1
}

func (w *world) history(d *tandem.Device, path string) []tandem.DeviceObservation {
	w.Helper()
	found, _, err := w.store.Observations(w.Context(), w.org, tandem.ObservationFilter{DeviceID: d.ID, Path: path})
	w.must(err)
	return found
}

// until asks again until ok, for as long as a person would wait.
func (w *world) until(what string, within time.Duration, ok func() bool) {
	w.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(within)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			w.Fatalf("%s: not within %s", what, within)
		}
	}
}

func TestTelemetryIsDurableOnceItIsAnswered(t *testing.T) {
	onBoth(t, func(w *world) {
		c := w.dial(&w.device)
		w.want(c, "/telemetry", 50, `{"battery":81,"temperature":21.5}`, codes.Changed)
		equal(w, w.battery(&w.device), 81)
		w.want(c, "/telemetry", 60, "\xa1\x67battery\x18\x4e", codes.Changed)
		equal(w, w.battery(&w.device), 78)
		w.want(c, "/telemetry", -1, `{"battery":77}`, codes.Changed) // found out
		equal(w, w.battery(&w.device), 77)
		w.want(c, "/telemetry", -1, "\xa1\x67battery\x18\x4c", codes.Changed)
		equal(w, w.battery(&w.device), 76)
		w.want(c, "/telemetry/battery", 0, "75", codes.Changed)
		equal(w, w.battery(&w.device), 75)
		w.want(c, "/telemetry", 50, `[{"battery":74},{"battery":73}]`, codes.Changed)
		equal(w, w.battery(&w.device), 73)
		w.want(c, "/telemetry/garden/soil", 50, `{"moisture":4}`, codes.Changed)
		equal(w, len(w.history(&w.device, "garden/soil")), 1)
		equal(w, w.status(), tandem.Online)

		w.want(c, "/telemetry", 50, `{"battery":`, codes.BadRequest)
		w.want(c, "/telemetry", 60, "\xff\xff", codes.BadRequest)
		w.want(c, "/telemetry", 41, `<battery/>`, codes.UnsupportedMediaType)
		w.want(c, "/telemetry/"+strings.Repeat("x", 201), 50, `{}`, codes.BadRequest)
		w.want(c, "/elsewhere", 50, `{}`, codes.NotFound)
		equal(w, w.battery(&w.device), 73)
	})
}

func TestPresence(t *testing.T) {
	w := newWorld(t)
	c := w.dial(&w.device)
	for _, is := range []struct {
		body   string
		format int
		status tandem.Status
	}{{"online", -1, tandem.Online}, {`"offline"`, 50, tandem.Offline}, {`{"online":true}`, 50, tandem.Online}, {"\xa1\x66status\x67offline", 60, tandem.Offline}} {
		w.want(c, "/status", is.format, is.body, codes.Changed)
		equal(w, w.status(), is.status)
	}
	w.want(c, "/status", -1, "perhaps", codes.BadRequest)
	w.want(c, "/status", 50, "{", codes.BadRequest)
}

func TestNobodySpeaksForAnother(t *testing.T) {
	w := newWorld(t)
	other := w.newDevice("other")
	c := w.dial(&w.device)
	w.want(c, "/devices/other/telemetry", 50, `{"battery":1}`, codes.NotFound)
	w.want(c, "/tandem/"+w.slug+"/devices/other/telemetry", 50, `{"battery":1}`, codes.NotFound)
	w.want(c, "/telemetry/other", 50, `{"battery":2}`, codes.Changed) // a path of its own
	equal(w, w.battery(&other), -1)
	equal(w, len(w.history(&other, "telemetry")), 0)
	now := time.Now().UTC()
	command := tandem.Command{ID: id(), DeviceID: other.ID, Name: "blink", Payload: []byte("null"), Status: tandem.CommandQueued, ExpiresAt: now.Add(time.Hour), CreatedAt: now, UpdatedAt: now}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{PutCommands: []tandem.Command{command}}))
	w.want(c, "/commands/"+command.ID, 50, `{"status":"ok"}`, codes.NotFound)
}
