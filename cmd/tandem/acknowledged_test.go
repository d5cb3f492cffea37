package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	piondtls "github.com/pion/dtls/v3"
	coapdtls "github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"tandem"
	"tandem/store"
	"tandem/store/postgres"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite"
)

// fleetSender is how one device sends over one protocol: connect gives what sends a report to the path below the device's
// telemetry and returns once it is acknowledged; it may be called again after the server went away.
type fleetSender struct {
	kind    tandem.CredentialKind
	connect func(ctx context.Context, p *process, as deviceLogin) (send func(ctx context.Context, path string, body []byte) error, end func(), err error)
}

// deviceLogin is what a device has.
type deviceLogin struct {
	device           string
	Identity, Secret string
}

// fleetSenders are the protocols that devices speak.
var fleetSenders = map[string]fleetSender{
	"http": {tandem.TokenCredential, sendOverHTTP},
	"mqtt": {tandem.PasswordCredential, sendOverMQTT},
	"coap": {tandem.PSKCredential, sendOverCoAP},
}

// place gives the address that a process says devices of a scheme speak to.
func (p *process) place(scheme string) (address string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := regexp.MustCompile(`devices speak to ` + scheme + `://(\S+)`).FindStringSubmatch(p.log.String())
	if m == nil {
		return "", false
	}
	return m[1], true
}

func sendOverHTTP(_ context.Context, p *process, as deviceLogin) (func(context.Context, string, []byte) error, func(), error) {
	client := &http.Client{Transport: &http.Transport{}}
	return func(ctx context.Context, path string, body []byte) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/ingest/v1/telemetry/"+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+as.Secret)
		reply, err := client.Do(req)
		if err != nil {
			return err
		}
		if reply.StatusCode != http.StatusAccepted {
			err = fmt.Errorf("status %d", reply.StatusCode)
		}
		return errorsOf(err, reply.Body.Close())
	}, client.CloseIdleConnections, nil
}

// sendOverMQTT publishes with quality of service 1.
func sendOverMQTT(ctx context.Context, p *process, as deviceLogin) (func(context.Context, string, []byte) error, func(), error) {
	at, _ := p.place("mqtt")
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + at).SetClientID(as.device).SetUsername(as.Identity).SetPassword(as.Secret).SetAutoReconnect(false))
	done := func(ctx context.Context, t paho.Token) error {
		select {
		case <-t.Done():
			return t.Error()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return func(ctx context.Context, path string, body []byte) error {
		return done(ctx, c.Publish("tandem/acme/devices/"+as.device+"/telemetry/"+path, 1, false, body))
	}, func() { c.Disconnect(0) }, done(ctx, c.Connect())
}

// sendOverCoAP posts confirmable messages.
func sendOverCoAP(ctx context.Context, p *process, as deviceLogin) (func(context.Context, string, []byte) error, func(), error) {
	at, _ := p.place("coaps")
	to, err := net.ResolveUDPAddr("udp", at)
	if err != nil {
		return nil, nil, err
	}
	link, err := piondtls.DialWithOptions("udp", to, piondtls.WithPSK(func([]byte) ([]byte, error) { return []byte(as.Secret), nil }),
		piondtls.WithPSKIdentityHint([]byte(as.Identity)), piondtls.WithCipherSuites(piondtls.TLS_PSK_WITH_AES_128_CCM_8))
	if err != nil {
		return nil, nil, err
	}
	if err := link.HandshakeContext(ctx); err != nil {
		return nil, nil, errorsOf(err, link.Close())
	}
	c := coapdtls.Client(link)
	return func(ctx context.Context, path string, body []byte) error {
		reply, err := c.Post(ctx, "/telemetry/"+path, message.AppJSON, bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer c.ReleaseMessage(reply)
		if code := reply.Code(); code != codes.Changed && code != codes.Created {
			return fmt.Errorf("code %s", code)
		}
		return nil
	}, func() { _ = c.Close() }, nil // the other side is dead by then
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// The size of the test.
const (
	killedSenders = 3   // of each protocol
	killedRounds  = 2   // each ends with the death of the process
	killedAfter   = 150 // acknowledged reports of each sender, about, in a round
)

// TestWhatIsAcknowledgedOutlivesTheProcess kills a server again and again while devices report, and counts: each report that
// was acknowledged is there once, and none that was not sent.
func TestWhatIsAcknowledgedOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]struct {
		url  func(t *testing.T, dir string) string
		open func(ctx context.Context, url string) (*store.Store, error)
	}{
		"sqlite": {func(_ *testing.T, dir string) string { return "sqlite:" + filepath.Join(dir, "tandem.db") },
			func(ctx context.Context, url string) (*store.Store, error) {
				return sqlite.Open(ctx, strings.TrimPrefix(url, "sqlite:"))
			}},
		"postgres": {func(t *testing.T, _ string) string { return postgrestest.URL(t) },
			func(ctx context.Context, url string) (*store.Store, error) { return postgres.Open(ctx, url) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := &site{t: t, program: filepath.Join(dir, "tandem"), commands: plainProgram(t)}
			self, err := os.Executable()
			s.must(err)
			s.must(os.Symlink(self, s.program))
			url := database.url(t, dir)
			s.env = append(os.Environ(), "TANDEM_DATABASE_URL="+url, "TANDEM_KEY_FILE="+filepath.Join(dir, "tandem.key"), "TANDEM_DEVICE_RATE=-1", "TANDEM_MQTT_LISTEN=127.0.0.1:0", "TANDEM_COAP_LISTEN=127.0.0.1:0")
			s.command("org", "create", "acme")
			k := &killing{site: s}
			for protocol, how := range fleetSenders {
				for i := range killedSenders {
					as := deviceLogin{device: fmt.Sprintf("%s-%d", protocol, i)}
					s.command("device", "create", as.device, "--device-id", as.device)
					s.must(json.Unmarshal(s.command("device", "credential", "create", as.device, "--kind", string(how.kind), "--json"), &as))
					k.senders = append(k.senders, &killedSender{how: how, as: as})
				}
			}
			for range killedRounds {
				k.round()
			}
			s.start() // what the last one left is good for the next
			s.store, err = database.open(t.Context(), url)
			s.must(err)
			k.count()
			s.must(s.store.Close())
		})
	}
}

// killing is a server that is killed while devices report.
type killing struct {
	*site
	senders []*killedSender
	acked   atomic.Int64 // in this round
}

// killedSender is a device, and what became of its reports: numbered from 1 on.
type killedSender struct {
	how  fleetSender
	as   deviceLogin
	sent int
	ack  []int
}

// round lets all devices report until the process is killed in the middle of it.
func (k *killing) round() {
	k.t.Helper()
	p := k.start()
	k.until("the sockets of devices", func() bool {
		_, mqtt := p.place("mqtt")
		_, coap := p.place("coaps")
		return mqtt && coap
	})
	k.acked.Store(0)
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	for _, one := range k.senders {
		send, end, err := one.how.connect(ctx, p, one.as)
		k.must(err)
		all.Go(func() {
			defer end()
			for ctx.Err() == nil {
				one.sent++
				if send(ctx, "count", fmt.Appendf(nil, `{"n":%d}`, one.sent)) != nil {
					return // it is not known what became of this one
				}
				one.ack = append(one.ack, one.sent)
				k.acked.Add(1)
			}
		})
	}
	k.until("reports to be acknowledged", func() bool { return int(k.acked.Load()) >= killedAfter*len(k.senders) })
	if ctx.Err() != nil {
		k.t.Fatal("it took too long")
	}
	k.must(p.cmd.Process.Signal(syscall.SIGKILL))
	time.AfterFunc(time.Second, cancel) // who speaks over UDP is not told
	all.Wait()
}

// count holds what was acknowledged against what is there.
func (k *killing) count() {
	k.t.Helper()
	rows, err := k.store.DB().DB.QueryContext(k.t.Context(), "SELECT d.device_id, o.value FROM device_observations AS o JOIN devices AS d ON d.organization_id = o.organization_id AND d.id = o.device_id WHERE o.path = 'count'")
	k.must(err)
	there := map[string]map[int]int{}
	for rows.Next() {
		var device, value string
		k.must(rows.Scan(&device, &value))
		var report struct{ N int }
		k.must(json.Unmarshal([]byte(value), &report))
		if there[device] == nil {
			there[device] = map[int]int{}
		}
		there[device][report.N]++
	}
	k.must(errorsOf(rows.Err(), rows.Close()))
	acked, lost, extra := 0, 0, 0
	for _, one := range k.senders {
		has := there[one.as.device]
		for _, n := range one.ack {
			if has[n] == 0 {
				lost++
			}
		}
		for n, times := range has {
			if n < 1 || n > one.sent || times > 1 {
				k.t.Errorf("%s has report %d %d times, of %d sent", one.as.device, n, times, one.sent)
			}
		}
		if len(one.ack) == 0 {
			k.t.Errorf("%s had nothing acknowledged", one.as.device)
		}
		acked += len(one.ack)
		extra += len(has) - len(one.ack)
	}
	k.t.Logf("%d reports were acknowledged by processes that were killed, %d of them are lost; %d more are there", acked, lost, extra)
	if lost > 0 || acked < killedRounds*killedAfter*len(k.senders) {
		k.t.Errorf("of %d acknowledged reports %d are lost", acked, lost)
	}
	if extra > killedRounds*len(k.senders) {
		k.t.Errorf("%d reports are there that were not acknowledged, from %d senders", extra, len(k.senders))
	}
}
