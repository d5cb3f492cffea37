package mqtt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/uuid"

	"tandem"
	"tandem/gateway"
	"tandem/gateway/mqtt"
	"tandem/store/pgtest"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// world is an organization with devices, and a broker that they may speak to.
type world struct {
	*testing.T
	store tandem.ServerStore
	org   string // its id
	slug  string
	tally gateway.Tally
	g     *gateway.Gateway
	b     *mqtt.Broker
	log   *safeBuffer
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

// known is a device with a user name and password.
type known struct {
	tandem.Device
	credential tandem.Credential
	user       string
	password   string
}

func onSQLite(t *testing.T) *world {
	t.Parallel()
	return newWorld(t, sqlitetest.Open(t))
}

func onPostgres(t *testing.T) *world {
	t.Parallel()
	return newWorld(t, postgrestest.Open(t))
}

func newWorld(t *testing.T, store tandem.ServerStore) *world {
	w := &world{T: t, store: store, org: id(), log: &safeBuffer{}}
	w.slug = "acme-" + w.org
	now := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	w.must(store.CreateOrganization(t.Context(), tandem.Organization{ID: w.org, Name: "acme", Slug: w.slug, CreatedAt: now, UpdatedAt: now}))
	w.g = gateway.New(gateway.Options{Store: w.store, Clock: time.Now, IDs: id, Meter: &w.tally, MaxBody: 64 << 10, Rate: 100, Burst: 200})
	t.Cleanup(func() { w.g.Close() })
	return w
}

// serve opens a broker on free ports.
func (w *world) serve(change ...func(*mqtt.BrokerOptions)) *world {
	w.Helper()
	o := mqtt.BrokerOptions{Gateway: w.g, Clock: time.Now, Meter: &w.tally, Listen: "127.0.0.1:0"}
	for _, f := range change {
		f(&o)
	}
	var err error
	w.b, err = mqtt.Open(w.Context(), o)
	w.must(err)
	w.Cleanup(func() { w.b.Close() })
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

// device makes a device with a password.
func (w *world) device(name string) known {
	w.Helper()
	now := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	k := known{Device: tandem.Device{ID: id(), OrganizationID: w.org, Name: name, DeviceID: name, Lifecycle: tandem.Active, Enabled: true, CreatedAt: now, UpdatedAt: now},
		user: "user-" + id(), password: "secret-" + id()}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{CreateDevices: []tandem.Device{k.Device}}))
	k.credential = w.credential(&k, tandem.Credential{Kind: tandem.PasswordCredential, Identity: k.user, Hash: gateway.HashSecret(k.password)})
	return k
}

// credential gives a device one.
func (w *world) credential(k *known, c tandem.Credential) tandem.Credential {
	w.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	c.ID, c.DeviceID, c.Name, c.CreatedAt, c.UpdatedAt = id(), k.ID, "test", now, now
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{PutCredentials: []tandem.Credential{c}}))
	kept, err := w.store.Credential(w.Context(), w.org, c.ID)
	w.must(err)
	return kept
}

// revoke revokes a device's credential.
func (w *world) revoke(k *known) {
	w.Helper()
	now := time.Now()
	k.credential.RevokedAt = &now
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{PutCredentials: []tandem.Credential{k.credential}}))
}

// topic is one of a device's.
func (w *world) topic(k *known, below string) string {
	return "tandem/" + w.slug + "/devices/" + k.DeviceID + "/" + below
}

func (w *world) read(k *known) tandem.Device {
	w.Helper()
	d, err := w.store.Device(w.Context(), w.org, k.ID)
	w.must(err)
	return d
}

func (w *world) battery(k *known) float64 {
	w.Helper()
	if d := w.read(k); d.BatteryLevel != nil {
		return *d.BatteryLevel
	}
	return -1
}

func (w *world) status(k *known) tandem.Status {
	w.Helper()
	d := w.read(k)
	return d.StatusAt(time.Now(), tandem.DefaultOnlineWindow)
}

func (w *world) history(k *known, path string) []tandem.DeviceObservation {
	w.Helper()
	found, _, err := w.store.Observations(w.Context(), w.org, tandem.ObservationFilter{DeviceID: k.ID, Path: path, Page: tandem.Page{Limit: 1000}})
	w.must(err)
	return found
}

// counted is how often something happened.
func (w *world) counted(what gateway.Outcome) (n int64) {
	for _, c := range w.tally.Counts() {
		if c.What == what && c.Via == tandem.ViaMQTT {
			n += c.N
		}
	}
	return n
}

// until asks again until ok, for as long as a person would wait.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(15 * time.Second)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			w.Fatalf("%s: it does not come to that", what)
		}
	}
}

// command queues a command.
func (w *world) command(k *known, name string) tandem.Command {
	w.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := tandem.Command{ID: id(), DeviceID: k.ID, Name: name, Payload: json.RawMessage(`{"times":3}`), Status: tandem.CommandQueued,
		ExpiresAt: now.Add(time.Minute), CreatedAt: now, UpdatedAt: now}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{PutCommands: []tandem.Command{c}}))
	return c
}

func (w *world) commandStatus(c *tandem.Command) tandem.CommandStatus {
	w.Helper()
	is, err := w.store.Command(w.Context(), w.org, c.ID)
	w.must(err)
	return is.Status
}

// safeBuffer is a log that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// host and port of an address, as mosquitto's clients want them.
func hostPort(address string) []string {
	host, port, _ := strings.Cut(address, ":")
	return []string{"-h", host, "-p", port}
}

// mosquitto runs one of mosquitto's clients, with a device's name and password where there is a device.
func (w *world) mosquitto(program string, k *known, args ...string) (string, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	if k != nil {
		args = append(args, "-u", k.user, "-P", k.password)
	}
	if w.b != nil {
		args = append(hostPort(w.b.Addresses()["mqtt"]), args...)
	}
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		w.Fatal("there is no mosquitto-clients: scripts/ensure-test-deps installs it")
	}
	return string(out), err
}

func (w *world) pub(k *known, args ...string) {
	w.Helper()
	if out, err := w.mosquitto("mosquitto_pub", k, args...); err != nil {
		w.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}

// client3 connects with MQTT 3.1.1.
func (w *world) client3(k *known, change ...func(*paho3.ClientOptions)) paho3.Client {
	w.Helper()
	o := paho3.NewClientOptions().AddBroker("tcp://" + w.b.Addresses()["mqtt"]).SetUsername(k.user).SetPassword(k.password).SetClientID("c").SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectTimeout(5 * time.Second).SetCleanSession(true)
	for _, f := range change {
		f(o)
	}
	c := paho3.NewClient(o)
	w.must(wait(c.Connect()))
	w.Cleanup(func() { c.Disconnect(0) })
	return c
}

var errSlow = errors.New("no answer came in time")

func wait(t paho3.Token) error {
	if !t.WaitTimeout(10 * time.Second) {
		return errSlow
	}
	return t.Error()
}

func text(format string, args ...any) string { return fmt.Sprintf(format, args...) }
