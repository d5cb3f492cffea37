package coap_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"tandem"
	"tandem/gateway"
	"tandem/store/sqlite/sqlitetest"
)

// A key that came from Golioth has the identity that it has there.
func TestAnIdentityOfGoliothsIsUsedAsItIs(t *testing.T) {
	w := newWorld(t)
	w.credential(&w.device, tandem.Credential{Kind: tandem.PSKCredential, Identity: "65b1-sensor@my-project", Sealed: []byte("flashed")})
	c, err := w.shake("65b1-sensor@my-project", "flashed", "", 5*time.Second)
	w.must(err)
	w.write(c, wire(message.Confirmable, codes.POST, 1, "t", []byte(`{"battery":64}`), path("telemetry")))
	equal(w, w.next(c).Code, codes.Changed)
	equal(w, w.battery(&w.device), 64)
}

func TestWhoIsNotLetIn(t *testing.T) {
	w := newWorld(t, func(o *settings) { o.coap.Handshake = 500 * time.Millisecond })
	revoked, disabled := w.newDevice("revoked"), w.newDevice("disabled")
	list, err := w.store.Credentials(t.Context(), w.org, revoked.ID)
	w.must(err)
	now := time.Now().UTC()
	list[0].RevokedAt, list[0].UpdatedAt = &now, now
	w.must(w.store.Apply(t.Context(), w.org, &tandem.Changes{PutCredentials: list}))
	d := w.read(&disabled)
	d.Enabled = false
	w.must(w.store.Apply(t.Context(), w.org, &tandem.Changes{UpdateDevices: []tandem.Device{d}}))
	for _, try := range [][2]string{
		{w.identity(&w.device), "another key"}, {w.identity(&w.device), ""}, {"nobody", "a key"}, {strings.Repeat("x", 2000), "a key"},
		{w.identity(&revoked), keyOf(w.identity(&revoked))}, {w.identity(&disabled), keyOf(w.identity(&disabled))},
	} {
		if _, err := w.shake(try[0], try[1], "", 300*time.Millisecond); err == nil {
			t.Errorf("%.40s was let in", try[0])
		}
	}
	equal(w, w.s.Connections(), 0)
}

// Whoever has no key cannot find out which identities there are.
func TestAnUnknownIdentityFailsAsAWrongKeyDoes(t *testing.T) {
	w := newWorld(t, func(o *settings) { o.coap.Handshake = 500 * time.Millisecond })
	_, wrong := w.shake(w.identity(&w.device), "another key", "", 300*time.Millisecond)
	_, unknown := w.shake(w.slug+"/nobody", "another key", "", 300*time.Millisecond)
	if wrong == nil || unknown == nil || wrong.Error() != unknown.Error() {
		t.Errorf("a wrong key fails with %v, an unknown identity with %v", wrong, unknown)
	}
}

// Wrong keys are counted by the handshakes that they fail, so that nobody can try one after another.
func TestKeysCannotBeGuessed(t *testing.T) {
	w := newWorld(t, func(o *settings) { o.coap.Handshake = 300 * time.Millisecond })
	w.until("even the right key has to wait", 15*time.Second, func() bool {
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() { _, _ = w.shake(w.identity(&w.device), fmt.Sprint("guess ", i), "", 250*time.Millisecond) }) // it fails
		}
		all.Wait()
		_, _, err := w.g.PSK(t.Context(), w.identity(&w.device), "127.0.0.1")
		return tandem.Is(err, tandem.RateLimited)
	})
	if _, err := w.shake(w.identity(&w.device), keyOf(w.identity(&w.device)), "", 250*time.Millisecond); err == nil {
		t.Error("the identity was let in, of which so many keys were wrong")
	}
}

func TestARevokedCredentialEndsTheConnection(t *testing.T) {
	w := newWorld(t)
	c := w.dial(&w.device)
	w.want(c, "/telemetry", 50, `{"battery":20}`, codes.Changed)
	list, err := w.store.Credentials(t.Context(), w.org, w.device.ID)
	w.must(err)
	now := time.Now().UTC()
	list[0].RevokedAt, list[0].UpdatedAt = &now, now
	w.must(w.store.Apply(t.Context(), w.org, &tandem.Changes{PutCredentials: list}))
	w.until("the gateway knows", 5*time.Second, func() bool {
		_, _, err := w.g.PSK(t.Context(), w.identity(&w.device), "")
		return tandem.Is(err, tandem.Unauthorized)
	})
	w.want(c, "/telemetry", 50, `{"battery":19}`, codes.Unauthorized)
	w.until("the connection ends", 5*time.Second, func() bool { return w.s.Connections() == 0 })
	equal(w, w.battery(&w.device), 20)
}

// What comes twice is stored once, and answered the same.
func TestAMessageThatComesAgainHasItsEffectOnce(t *testing.T) {
	w := newWorld(t)
	c := w.raw(&w.device, "")
	for _, kind := range []message.Type{message.Confirmable, message.NonConfirmable} {
		before := len(w.history(&w.device, "telemetry"))
		id := uint16(100 + kind)
		report := wire(kind, codes.POST, id, "tok", []byte(`{"battery":33}`), path("telemetry"))
		w.write(c, report)
		first := w.next(c)
		equal(w, first.Code, codes.Changed)
		w.write(c, report)
		if kind == message.Confirmable {
			again := w.next(c)
			equal(w, again.Code, first.Code)
			equal(w, again.MessageID, int32(id))
		} else {
			w.nothing(c, 50*time.Millisecond)
		}
		equal(w, len(w.history(&w.device, "telemetry")), before+1)
	}
	// Also while the first is not answered yet.
	before := len(w.history(&w.device, "telemetry"))
	w.store.slow.Store(int64(200 * time.Millisecond))
	report := wire(message.Confirmable, codes.POST, 300, "tok", []byte(`{"battery":34}`), path("telemetry"))
	w.write(c, report)
	w.write(c, report)
	equal(w, w.next(c).Code, codes.Changed)
	w.nothing(c, 300*time.Millisecond)
	equal(w, len(w.history(&w.device, "telemetry")), before+1)
}

func TestClocklessAndWrongClocks(t *testing.T) {
	w := newWorld(t)
	c := w.dial(&w.device)
	began := time.Now().Add(-time.Second)
	w.want(c, "/telemetry", 50, `{"battery":50,"time":"1970-01-01T00:00:07Z"}`, codes.Changed)
	w.want(c, "/telemetry", 50, `{"battery":49,"time":"2106-02-07T06:28:15Z"}`, codes.Changed)
	w.want(c, "/telemetry", 50, `{"battery":48}`, codes.Changed)
	equal(w, w.battery(&w.device), 48)
	for _, o := range w.history(&w.device, "telemetry") {
		if o.ObservedAt.Before(began) || o.ObservedAt.After(time.Now().Add(time.Second)) {
			t.Errorf("a report is dated %s", o.ObservedAt)
		}
	}
	w.want(c, "/telemetry", 50, fmt.Sprintf(`{"battery":90,"time":%q}`, time.Now().Add(-10*time.Minute).Format(time.RFC3339)), codes.Changed)
	equal(w, w.battery(&w.device), 48) // an older one never overwrites
}

func TestWhileTheDatabaseIsAway(t *testing.T) {
	w := newWorld(t)
	c := w.dial(&w.device)
	w.want(c, "/telemetry", 50, `{"battery":71}`, codes.Changed)
	w.store.away.Store(true)
	reply := w.want(c, "/telemetry", 50, `{"battery":70}`, codes.ServiceUnavailable)
	wait, err := reply.GetOptionUint32(message.MaxAge)
	w.must(err)
	if wait < 1 || wait > 60 {
		t.Errorf("it is to come again after %d s", wait)
	}
	other := w.identity(&w.device) + "-unknown"
	if _, err := w.shake(other, "key", "", 500*time.Millisecond); err == nil {
		t.Error("somebody is let in whose key cannot be read")
	}
	w.store.away.Store(false)
	w.until("it goes on", 10*time.Second, func() bool {
		code, _, _ := w.post(c, "/telemetry", 50, `{"battery":69}`)
		return code == codes.Changed
	})
	equal(w, w.battery(&w.device), 69)
	equal(w, len(w.history(&w.device, "telemetry")), 2)
}

// A device that sends too much is told so, and others do not notice.
func TestAFloodOfOneDevice(t *testing.T) {
	w := newWorld(t, func(o *settings) { o.gateway.Rate, o.gateway.Burst = 5, 10 })
	quiet := w.newDevice("quiet")
	flood, other := w.raw(&w.device, ""), w.dial(&quiet)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for i := uint16(0); ctx.Err() == nil; i++ {
			if _, err := flood.Write(wire(message.NonConfirmable, codes.POST, i, "f", []byte(`{"battery":1}`), path("telemetry"))); err != nil {
				return
			}
		}
	})
	for i := range 8 {
		began := time.Now()
		w.want(other, "/telemetry", 50, fmt.Sprintf(`{"battery":%d}`, 80-i), codes.Changed)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("another device waited %s", took)
		}
	}
	w.until("the flood is told", 10*time.Second, func() bool {
		m := w.next(flood)
		return m.Code == codes.TooManyRequests && m.Options.HasOption(message.MaxAge)
	})
	cancel()
	all.Wait()
	equal(w, w.battery(&quiet), 73)
}

// A device that lost its power comes again with the port that it had: its former connection is half open here.
func TestADeviceThatStartsAnewWithItsPort(t *testing.T) {
	w := newWorld(t)
	first := w.raw(&w.device, "")
	w.write(first, wire(message.Confirmable, codes.POST, 1, "t", []byte(`{"battery":12}`), path("telemetry")))
	equal(w, w.next(first).Code, codes.Changed)
	second := w.rawAgain(first)
	w.write(second, wire(message.Confirmable, codes.POST, 1, "t", []byte(`{"battery":11}`), path("telemetry")))
	equal(w, w.next(second).Code, codes.Changed)
	equal(w, w.battery(&w.device), 11)
	w.until("the former connection is gone", 5*time.Second, func() bool { return w.s.Connections() == 1 })
}

// Who only sends in the name of a device does not end its connection.
func TestAHelloInAnothersNameEndsNothing(t *testing.T) {
	w := newWorld(t, func(o *settings) { o.coap.Handshake = 200 * time.Millisecond })
	c := w.raw(&w.device, "")
	w.write(c, wire(message.Confirmable, codes.POST, 1, "t", []byte(`{"battery":12}`), path("telemetry")))
	equal(w, w.next(c).Code, codes.Changed)
	w.inject(c, hello(1))
	for i := range 5 {
		w.write(c, wire(message.Confirmable, codes.POST, uint16(2+i), "t", []byte(fmt.Sprintf(`{"battery":%d}`, 20+i)), path("telemetry")))
		equal(w, w.next(c).Code, codes.Changed)
		w.nothing(c, 60*time.Millisecond) // beyond the end of the handshake that nobody goes on with
	}
	equal(w, w.s.Connections(), 1)
}

// Handshakes that nobody goes on with take no device's place.
func TestAFloodOfHellos(t *testing.T) {
	w := newWorld(t)
	for i := range 300 {
		socket, err := net.Dial("udp", w.secure)
		w.must(err)
		w.write(socket, hello(byte(i)))
		w.must(socket.Close())
	}
	w.raw(&w.device, "")
}

func TestGarbage(t *testing.T) {
	w := newWorld(t)
	for _, address := range []string{w.secure, w.plain} {
		socket, err := net.Dial("udp", address)
		w.must(err)
		for _, data := range [][]byte{{0}, {0xff, 0xff, 0xff, 0xff}, bytes.Repeat([]byte{0x16, 0xfe, 0xfd}, 300), bytes.Repeat([]byte{0x41}, 20_000), []byte("GET / HTTP/1.1\r\n\r\n"), hello(9)[:30]} {
			w.write(socket, data)
		}
		w.must(socket.Close())
	}
	c := w.raw(&w.device, "")
	for _, data := range [][]byte{{}, {0x40}, {0x40, 0x02, 0, 7, 0xff, 0xff}, {0x4f, 0x02, 0, 8}, {0x40, 0x02, 0, 9, 0xf0}, {0x40, 0x02, 0, 10, 0xdd}, {0x40, 0xe1, 0, 11}} {
		w.write(c, data)
	}
	w.write(c, wire(message.Confirmable, codes.Empty, 77, "", nil)) // is somebody there?
	w.until("the answer to the ping", 5*time.Second, func() bool {
		m := w.next(c)
		return m.Type == message.Reset && m.MessageID == 77
	})
	w.write(c, wire(message.Confirmable, codes.POST, 78, "t", []byte(`{"battery":5}`), path("telemetry"), message.Option{ID: 65001, Value: []byte("?")}))
	w.until("an unknown option is refused", 5*time.Second, func() bool { return w.next(c).Code == codes.BadOption })
	w.write(c, wire(message.Confirmable, codes.POST, 79, "t", []byte(`{"battery":5}`), path("telemetry"), message.Option{ID: 65000, Value: []byte("?")}))
	equal(w, w.next(c).Code, codes.Changed) // one that may be ignored is
	w.write(c, wire(message.Confirmable, codes.POST, 80, "t", nil, message.Option{ID: message.ProxyURI, Value: []byte("coap://example.com")}))
	equal(w, w.next(c).Code, codes.ProxyingNotSupported)
}

func TestBlocks(t *testing.T) {
	w := newWorld(t)
	c := w.raw(&w.device, "")
	id := uint16(0)
	send := func(number int, more bool, body string, others ...message.Option) message.Message {
		w.Helper()
		id++
		value := byte(number << 4) // 16 bytes each
		if more {
			value |= 8
		}
		w.write(c, wire(message.Confirmable, codes.POST, id, fmt.Sprint("t", id), []byte(body), append([]message.Option{path("telemetry"), format(50), {ID: message.Block1, Value: []byte{value}}}, others...)...))
		return w.next(c)
	}
	body := `{"battery":37,"some":"words here"}` + strings.Repeat(" ", 14) // three blocks
	equal(w, send(0, true, body[:16]).Code, codes.Continue)
	equal(w, send(1, true, body[16:32]).Code, codes.Continue)
	equal(w, send(1, true, body[16:32]).Code, codes.Continue) // its answer was lost
	last := send(2, false, body[32:48])
	equal(w, last.Code, codes.Changed)
	equal(w, last.Options.HasOption(message.Block1), true)
	equal(w, w.battery(&w.device), 37)
	equal(w, send(1, true, body[16:32]).Code, codes.RequestEntityIncomplete)
	equal(w, send(0, true, body[:16]).Code, codes.Continue)
	equal(w, send(2, false, body[32:48]).Code, codes.RequestEntityIncomplete)
	equal(w, send(0, true, body[:15]).Code, codes.BadRequest)
	equal(w, send(0, true, body[:16], message.Option{ID: message.Size1, Value: []byte{1, 0, 0, 0}}).Code, codes.RequestEntityTooLarge)
	equal(w, len(w.history(&w.device, "telemetry")), 1)
}

func TestConnectionsAreBounded(t *testing.T) {
	w := newWorld(t, func(o *settings) { o.coap.Connections = 10 })
	for range 12 {
		w.raw(&w.device, "")
	}
	w.until("a device has 8", 5*time.Second, func() bool { return w.s.Connections() == 8 })
	a, b, full := w.newDevice("a"), w.newDevice("b"), w.newDevice("full")
	w.raw(&a, "")
	w.raw(&b, "")
	w.until("it is full", 5*time.Second, func() bool { return w.s.Connections() == 10 })
	c := w.raw(&full, "")
	_, _ = c.Write(wire(message.Confirmable, codes.POST, 1, "t", []byte(`{"battery":5}`), path("telemetry"))) // it may have ended already
	w.must(c.SetReadDeadline(time.Now().Add(2 * time.Second)))
	if _, err := c.Read(make([]byte, 100)); err == nil {
		t.Error("a connection too many is served")
	}
	equal(w, w.s.Connections(), 10)
}

func TestSilentConnectionsEnd(t *testing.T) {
	w := newWorld(t, func(o *settings) { o.coap.Idle = 200 * time.Millisecond })
	w.raw(&w.device, "")
	w.until("it ends", 5*time.Second, func() bool { return w.s.Connections() == 0 })
}

// What is under way when the server stops is answered.
func TestStopping(t *testing.T) {
	w := newWorld(t)
	c := w.raw(&w.device, "")
	w.store.slow.Store(int64(200 * time.Millisecond))
	w.write(c, wire(message.Confirmable, codes.POST, 1, "t", []byte(`{"battery":5}`), path("telemetry")))
	w.until("it is under way", 5*time.Second, func() bool { return w.store.begun.Load() > 0 })
	stopped := make(chan struct{})
	go func() {
		w.s.Close()
		close(stopped)
	}()
	equal(w, w.next(c).Code, codes.Changed)
	<-stopped
	equal(w, w.battery(&w.device), 5)
	w.s.Close() // again does nothing
}

func TestPlainIsForThisMachineAlone(t *testing.T) {
	w := newWorld(t)
	for _, address := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:5683", ":0"} {
		_, err := w.s.ListenPlain(t.Context(), address)
		if !tandem.Is(err, tandem.Invalid) || !strings.Contains(err.Error(), "this machine") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := w.s.Listen(t.Context(), w.secure); !tandem.Is(err, tandem.Unavailable) {
		t.Errorf("an address that is taken: %v", err)
	}
}

// No secret is ever in the log.
func TestSecretsStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	var said lines
	log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w := worldOn(t, sqlitetest.Open(t), func(o *settings) {
		o.coap.Log, o.gateway.Log, o.coap.Handshake = log, log, 100*time.Millisecond
	})
	w.credential(&w.device, tandem.Credential{Kind: tandem.TokenCredential, Hash: gateway.HashSecret("tdd_secret")})
	_, _ = w.shake(w.identity(&w.device), "guessed secret", "", 150*time.Millisecond) // it fails
	socket, err := net.Dial("udp", w.plain)
	w.must(err)
	for _, token := range []string{"tdd_secret", "tdd_wrong_secret"} {
		w.write(socket, wire(message.Confirmable, codes.POST, uint16(len(token)), "t", []byte(`{`), path("telemetry"), message.Option{ID: message.URIQuery, Value: []byte("token=" + token)}))
		if m := w.next(socket); bytes.Contains(m.Payload, []byte("secret")) {
			t.Errorf("an answer says %q", m.Payload)
		}
	}
	w.until("the handshake failed", 5*time.Second, func() bool { return strings.Contains(said.String(), "handshake failed") })
	if strings.Contains(said.String(), "secret") {
		t.Errorf("the log says %s", said.String())
	}
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write adds to the log.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

// String is all of it.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
