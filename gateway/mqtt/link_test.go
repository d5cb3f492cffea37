package mqtt_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem"
	"tandem/gateway"
	"tandem/gateway/mqtt"
)

// mosquitto is a real broker, whose devices sign in with their device_id.
type mosquitto struct {
	w       *world
	dir     string
	address string
	process *exec.Cmd
}

// freeAddress is one that nobody listens on.
func freeAddress(w *world) string {
	w.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.must(l.Close())
	return l.Addr().String()
}

func newMosquitto(w *world, devices ...string) *mosquitto {
	w.Helper()
	m := &mosquitto{w: w, dir: w.TempDir(), address: freeAddress(w)}
	who, err := user.Current()
	w.must(err)
	_, port, _ := strings.Cut(m.address, ":")
	w.must(os.WriteFile(m.file("mosquitto.conf"), []byte(strings.Join([]string{"listener " + port + " 127.0.0.1", "allow_anonymous false", "password_file " + m.file("passwords"),
		"acl_file " + m.file("acl"), "persistence true", "persistence_location " + m.dir + "/", "user " + who.Username, "max_queued_messages 0", "log_dest stderr", ""}, "\n")), 0o600))
	w.must(os.WriteFile(m.file("acl"), []byte(strings.Join([]string{"user tandem", "topic read tandem/+/devices/+/telemetry/#", "topic read tandem/+/devices/+/status",
		"topic read tandem/+/devices/+/commands/+", "topic write tandem/+/devices/+/commands", "",
		"pattern write tandem/" + w.slug + "/devices/%u/telemetry/#", "pattern readwrite tandem/" + w.slug + "/devices/%u/status",
		"pattern read tandem/" + w.slug + "/devices/%u/commands", "pattern write tandem/" + w.slug + "/devices/%u/commands/+", ""}, "\n")), 0o600))
	for i, name := range append(devices, "tandem") {
		args := []string{"-b", m.file("passwords"), name, "secret"}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.CommandContext(w.Context(), "mosquitto_passwd", args...).CombinedOutput(); err != nil {
			w.Fatalf("mosquitto_passwd: %v: %s", err, out)
		}
	}
	m.start()
	return m
}

func (m *mosquitto) file(name string) string { return filepath.Join(m.dir, name) }

func (m *mosquitto) start() {
	m.w.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil { // it is no user's program
		program = "/usr/sbin/mosquitto"
	}
	m.process = exec.CommandContext(context.WithoutCancel(m.w.Context()), program, "-c", m.file("mosquitto.conf"))
	if err := m.process.Start(); err != nil {
		m.w.Fatalf("there is no mosquitto (scripts/ensure-test-deps installs it): %v", err)
	}
	m.w.Cleanup(func() { m.stop(syscall.SIGKILL) })
	m.w.until("mosquitto listens", func() bool {
		c, err := net.Dial("tcp", m.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (m *mosquitto) stop(signal os.Signal) {
	m.w.Helper()
	if m.process.ProcessState != nil {
		return
	}
	m.w.must(m.process.Process.Signal(signal))
	_ = m.process.Wait() // it ended by a signal
}

// pub publishes as a device.
func (m *mosquitto) pub(device string, args ...string) error {
	m.w.Helper()
	args = append(append(hostPort(m.address), "-u", device, "-P", "secret", "-q", "1"), args...)
	out, err := m.w.mosquitto("mosquitto_pub", nil, args...)
	if err != nil {
		return errors.New(err.Error() + ": " + out)
	}
	return nil
}

// link connects a gateway to the broker, as a process of the name.
func (m *mosquitto) link(g *gateway.Gateway, name string) *mqtt.Link {
	m.w.Helper()
	l, err := mqtt.Connect(m.w.Context(), mqtt.LinkOptions{Gateway: g, Clock: time.Now, Meter: &m.w.tally, Broker: &url.URL{Scheme: "mqtt", Host: m.address},
		ClientID: name, User: "tandem", Password: []byte("secret")})
	m.w.must(err)
	m.w.Cleanup(l.Close)
	m.w.until("the link is up", l.Up)
	return l
}

func TestAnotherBroker(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *world{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			d, other := w.device("sensor"), w.device("other")
			m := newMosquitto(w, "sensor", "other", "stranger")
			m.link(w.g, "one")
			w.must(m.pub("sensor", "-t", w.topic(&d, "telemetry"), "-m", `{"battery":71}`))
			w.until("the report is there", func() bool { return w.battery(&d) == 71 })
			w.must(m.pub("sensor", "-t", w.topic(&other, "telemetry"), "-m", `{"battery":1}`)) // MQTT 3.1.1: refused without a word
			w.must(m.pub("sensor", "-t", w.topic(&d, "status"), "-m", `asleep`))
			w.must(m.pub("sensor", "-t", w.topic(&d, "status"), "-m", `{"status":"offline"}`))
			w.until("it is offline", func() bool { return w.status(&d) == tandem.Offline })
			w.must(m.pub("stranger", "-t", "tandem/"+w.slug+"/devices/stranger/telemetry", "-m", `{"battery":1}`))
			w.must(m.pub("sensor", "-t", w.topic(&d, "telemetry/garden"), "-m", `{"wet":true}`))
			w.until("what comes after it is there", func() bool { return len(w.history(&d, "garden")) == 1 })
			equal(w, w.battery(&other), -1)
			equal(w, w.counted(gateway.Malformed), 1)
			found, err := w.store.FindDevices(w.Context(), w.org, "stranger")
			w.must(err)
			equal(w, len(found), 0) // nobody is made by what is published

			c := w.command(&d, "blink")
			args := append(hostPort(m.address), "-V", "5", "-u", "sensor", "-P", "secret", "-q", "1", "-t", w.topic(&d, "commands"), "-C", "1", "-W", "15")
			got := make(chan string, 1)
			go func() {
				out, _ := w.mosquitto("mosquitto_sub", nil, args...)
				got <- out
			}()
			for out := ""; !strings.Contains(out, c.ID); {
				select {
				case out = <-got:
				case <-time.After(300 * time.Millisecond): // the device says that it is there, so that what waits for it is sent
					w.must(m.pub("sensor", "-t", w.topic(&d, "status"), "-m", "online"))
				}
			}
			w.must(m.pub("sensor", "-t", w.topic(&d, "commands/"+c.ID), "-m", `{"reply":1}`))
			w.until("the command is answered", func() bool { return w.commandStatus(&c) == tandem.CommandAcknowledged })
		})
	}
}

func TestADeviceWithAnotherNameGetsItsCommandsThere(t *testing.T) {
	w := onSQLite(t)
	d := w.device("sensor")
	m := newMosquitto(w, "sensor", "renamed")
	m.link(w.g, "one")
	w.must(m.pub("sensor", "-t", w.topic(&d, "telemetry"), "-m", `{"battery":1}`))
	w.until("the report is there", func() bool { return w.battery(&d) == 1 })
	now := w.read(&d)
	now.DeviceID = "renamed"
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{UpdateDevices: []tandem.Device{now}}))
	prefix := "tandem/" + w.slug + "/devices/renamed/"
	w.until("what comes under its name counts", func() bool {
		w.must(m.pub("renamed", "-t", prefix+"telemetry", "-m", `{"battery":2}`))
		return w.battery(&d) == 2
	})
	c := w.command(&d, "blink")
	w.until("the command is sent", func() bool { return w.commandStatus(&c) == tandem.CommandSent })
}

func TestProcessesDivideTheLoad(t *testing.T) {
	w := onSQLite(t)
	d := w.device("sensor")
	m := newMosquitto(w, "sensor")
	var tallies [2]gateway.Tally
	for i := range tallies {
		g := gateway.New(gateway.Options{Store: w.store, Clock: time.Now, IDs: id, Meter: &tallies[i]})
		w.Cleanup(g.Close)
		m.link(g, text("process-%d", i))
	}
	lines := &strings.Builder{}
	for i := range 200 {
		lines.WriteString(text(`{"n":%d}`+"\n", i))
	}
	w.must(os.WriteFile(m.file("lines"), []byte(lines.String()), 0o600))
	m.lines("sensor", w.topic(&d, "telemetry"))
	w.until("all are there", func() bool { return len(w.history(&d, "telemetry")) == 200 })
	for i := range tallies {
		n, _ := tallies[i].Timing(tandem.ViaMQTT)
		if n < 20 {
			w.Errorf("process %d stored %d", i, n)
		}
	}
}

// lines publishes each line of the file "lines".
func (m *mosquitto) lines(device, topic string) {
	m.w.Helper()
	file, err := os.Open(m.file("lines"))
	m.w.must(err)
	defer file.Close() //nolint:errcheck // it was read
	ctx, cancel := context.WithTimeout(m.w.Context(), 20*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "mosquitto_pub", append(hostPort(m.address), "-u", device, "-P", "secret", "-q", "1", "-t", topic, "-l")...)
	command.Stdin = file
	if out, err := command.CombinedOutput(); err != nil {
		m.w.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}

func TestABrokerBehindTLSAndWebSockets(t *testing.T) {
	w := onSQLite(t)
	d := w.device("sensor")
	authority := certificate(w, nil)
	own := certificate(w, &authority)
	certFile, keyFile := files(w, &own)
	caFile, _ := files(w, &authority)
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	secured, web := freeAddress(w), freeAddress(w)
	m := &mosquitto{w: w, dir: w.TempDir(), address: freeAddress(w)}
	who, err := user.Current()
	w.must(err)
	config := []string{"allow_anonymous true", "user " + who.Username}
	for address, lines := range map[string]string{m.address: "", secured: "cafile " + caFile + "\ncertfile " + certFile + "\nkeyfile " + keyFile, web: "protocol websockets"} {
		_, port, _ := strings.Cut(address, ":")
		config = append(config, "listener "+port+" 127.0.0.1", lines)
	}
	w.must(os.WriteFile(m.file("mosquitto.conf"), []byte(strings.Join(config, "\n")+"\n"), 0o600))
	m.start()
	for i, u := range []url.URL{{Scheme: "mqtts", Host: secured}, {Scheme: "ws", Host: web, Path: "/mqtt"}} {
		l, err := mqtt.Connect(t.Context(), mqtt.LinkOptions{Gateway: w.g, Clock: time.Now, Broker: &u, ClientID: "one", TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
		w.must(err)
		w.until("the link is up over "+u.Scheme, l.Up)
		out, err := w.mosquitto("mosquitto_pub", nil, append(hostPort(m.address), "-q", "1", "-t", w.topic(&d, "telemetry"), "-m", text(`{"battery":%d}`, i+1))...)
		if err != nil {
			t.Fatal(out)
		}
		w.until("the report is there", func() bool { return w.battery(&d) == float64(i+1) })
		l.Close()
	}
}

func TestNothingAcknowledgedIsLostWhenOneOfUsRestarts(t *testing.T) {
	w := onSQLite(t)
	d := w.device("sensor")
	m := newMosquitto(w, "sensor")
	l := m.link(w.g, "one")
	w.must(m.pub("sensor", "-t", w.topic(&d, "telemetry"), "-m", `{"n":1}`))
	w.until("it is there", func() bool { return len(w.history(&d, "telemetry")) == 1 })

	l.Close() // Tandem is away
	for i := range 20 {
		w.must(m.pub("sensor", "-t", w.topic(&d, "telemetry"), "-m", text(`{"away":%d}`, i)))
	}
	m.stop(syscall.SIGTERM) // and then the broker, too
	m.start()
	l = m.link(w.g, "one")
	w.until("all that came meanwhile is there", func() bool { return len(w.history(&d, "telemetry")) == 21 })

	m.stop(syscall.SIGTERM) // the broker alone
	w.until("that is noticed", func() bool { return !l.Up() })
	m.start()
	w.until("the link is up again", l.Up)
	w.must(m.pub("sensor", "-t", w.topic(&d, "telemetry"), "-m", `{"battery":9}`))
	w.until("it goes on", func() bool { return w.battery(&d) == 9 })
	equal(w, len(w.history(&d, "telemetry")), 22)
}
