package gateway_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/gateway"
	"tandem/store/pgtest"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// world is an organization with a device, and a gateway over its database.
type world struct {
	*testing.T
	ctx    context.Context
	store  tandem.ServerStore
	org    string
	device tandem.Device
	tally  gateway.Tally
	g      *gateway.Gateway
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
			test(newWorld(t, open(t)))
		})
	}
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

func newWorld(t *testing.T, store tandem.ServerStore, change ...func(*gateway.Options)) *world {
	w := &world{T: t, ctx: t.Context(), store: store, org: id()}
	now := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	w.must(store.CreateOrganization(w.ctx, tandem.Organization{ID: w.org, Name: "acme", Slug: "acme-" + w.org, CreatedAt: now, UpdatedAt: now}))
	w.device = w.newDevice("sensor-1")
	w.g = w.open(change...)
	return w
}

// open starts another gateway over the same database, as another process would.
func (w *world) open(change ...func(*gateway.Options)) *gateway.Gateway {
	o := gateway.Options{Store: w.store, Clock: time.Now, IDs: id, Meter: &w.tally, Unseal: func(c *tandem.Credential) ([]byte, error) { return c.Sealed, nil }}
	for _, f := range change {
		f(&o)
	}
	g := gateway.New(o)
	w.Cleanup(g.Close)
	return g
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) want(err error, code tandem.Code) {
	w.Helper()
	if tandem.CodeOf(err) != code {
		w.Fatalf("want %q, got %q: %v", code, tandem.CodeOf(err), err)
	}
}

func equal[T comparable](w *world, got, want T) {
	w.Helper()
	if got != want {
		w.Errorf("got %v, want %v", got, want)
	}
}

func (w *world) newDevice(name string) tandem.Device {
	w.Helper()
	now := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	d := tandem.Device{ID: id(), OrganizationID: w.org, Name: name, DeviceID: name, Lifecycle: tandem.Active, Enabled: true, CreatedAt: now, UpdatedAt: now}
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{CreateDevices: []tandem.Device{d}}))
	return d
}

// credential gives a device one whose secret is "secret of " and its identity.
func (w *world) credential(d *tandem.Device, kind tandem.CredentialKind, change ...func(*tandem.Credential)) tandem.Credential {
	w.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := tandem.Credential{ID: id(), DeviceID: d.ID, Kind: kind, Name: string(kind), CreatedAt: now, UpdatedAt: now}
	c.Identity = "identity " + c.ID
	switch kind {
	case tandem.PSKCredential:
		c.Sealed = []byte("secret of " + c.Identity)
	case tandem.TokenCredential, tandem.PasswordCredential:
		c.Hash = gateway.HashSecret("secret of " + c.Identity)
	}
	for _, f := range change {
		f(&c)
	}
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutCredentials: []tandem.Credential{c}}))
	kept, err := w.store.Credential(w.ctx, w.org, c.ID)
	w.must(err)
	return kept
}

func claim(c *tandem.Credential) gateway.Claim {
	return gateway.Claim{Kind: c.Kind, Identity: c.Identity, Secret: "secret of " + c.Identity}
}

// in lets the device in with a token.
func (w *world) in(d *tandem.Device) gateway.Device {
	w.Helper()
	c := w.credential(d, tandem.TokenCredential)
	in, err := w.g.Authenticate(w.ctx, claim(&c))
	w.must(err)
	return in
}

func body(format string, args ...any) gateway.Message {
	return gateway.Message{Via: tandem.ViaHTTP, ContentType: "application/json", Body: fmt.Appendf(nil, format, args...)}
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

func (w *world) read(d *tandem.Device) tandem.Device {
	w.Helper()
	is, err := w.store.Device(w.ctx, w.org, d.ID)
	w.must(err)
	return is
}

func (w *world) history(d *tandem.Device, path string) []tandem.DeviceObservation {
	w.Helper()
	found, _, err := w.store.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: d.ID, Path: path})
	w.must(err)
	return found
}

func TestAReportIsThereOnceItIsAnswered(t *testing.T) {
	onBoth(t, func(w *world) {
		in := w.in(&w.device)
		receipt, err := w.g.Report(w.ctx, in, body(`{"battery":87,"location":{"lat":52.5,"lon":13.4},"firmware":"1.2.3","temperature":21.5}`))
		w.must(err)
		equal(w, receipt.Stored, 1)
		d := w.read(&w.device)
		equal(w, *d.BatteryLevel, 87)
		equal(w, d.Location.Latitude, 52.5)
		equal(w, d.Firmware["main"].Version, "1.2.3")
		equal(w, d.StatusAt(time.Now(), tandem.DefaultOnlineWindow), tandem.Online)
		equal(w, len(w.history(&w.device, "telemetry")), 1)
		equal(w, string(w.history(&w.device, "status")[0].Value), `"online"`)
		equal(w, w.history(&w.device, "battery_level")[0].ServiceID, "")

		at := time.Now().Add(-10 * time.Minute).UTC().Truncate(time.Microsecond)
		receipt, err = w.g.Report(w.ctx, in, body(`[{"battery":10,"time":%q},{"battery":86},{"battery":"full"}]`, at.Format(time.RFC3339Nano)))
		w.must(err)
		equal(w, receipt.Stored, 3)
		equal(w, len(receipt.Notes), 1)
		equal(w, *w.read(&w.device).BatteryLevel, 86) // an older one never overwrites
		equal(w, len(w.history(&w.device, "telemetry")), 4)
	})
}

func TestWhatDevicesSendWithoutAType(t *testing.T) {
	onBoth(t, func(w *world) {
		in := w.in(&w.device)
		for _, m := range []gateway.Message{
			{Body: []byte(`{"battery":5}`)},
			{Body: []byte("\xa1\x67battery\x18\x32")}, // CBOR
			{Body: []byte(`44`), Path: "battery"},
			{Body: []byte(`hello`), Path: "greeting"},
			{Body: []byte{0, 1, 2, 0xff}, Path: "blob"},
		} {
			_, err := w.g.Report(w.ctx, in, m)
			w.must(err)
		}
		equal(w, *w.read(&w.device).BatteryLevel, 44)
		equal(w, len(w.history(&w.device, "battery_level")), 3)
		equal(w, string(w.history(&w.device, "greeting")[0].Value), `"hello"`)
		equal(w, string(w.history(&w.device, "blob")[0].Value), `"AAEC/w=="`)

		_, err := w.g.Report(w.ctx, in, body(`{"battery":`))
		w.want(err, tandem.Malformed)
		_, err = w.g.Report(w.ctx, in, body(`"%s"`, strings.Repeat("x", w.g.MaxBody())))
		w.want(err, tandem.Invalid)
		_, err = w.g.Report(w.ctx, in, gateway.Message{Body: []byte(`1`), Path: "status"})
		w.want(err, tandem.Invalid)
	})
}

func TestRedeliveriesCountOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		in := w.in(&w.device)
		m := body(`{"n":1}`)
		_, err := w.g.Report(w.ctx, in, m)
		w.must(err)
		m.Again = true
		receipt, err := w.g.Report(w.ctx, in, m)
		w.must(err)
		equal(w, receipt.Duplicate, true)
		m.Again = false // said anew, it is another report
		_, err = w.g.Report(w.ctx, in, m)
		w.must(err)
		equal(w, len(w.history(&w.device, "telemetry")), 2)
		timed := body(`{"n":1,"time":%q}`, time.Now().UTC().Format(time.RFC3339Nano))
		for range 2 { // to whichever process
			_, err = w.open().Report(w.ctx, in, timed)
			w.must(err)
		}
		equal(w, len(w.history(&w.device, "telemetry")), 3)
	})
}

func TestWhoIsLetIn(t *testing.T) {
	onBoth(t, func(w *world) {
		past := time.Now().Add(-time.Second)
		for _, kind := range []tandem.CredentialKind{tandem.TokenCredential, tandem.PasswordCredential} {
			good := w.credential(&w.device, kind)
			in, err := w.g.Authenticate(w.ctx, claim(&good))
			w.must(err)
			equal(w, in.DeviceID, "sensor-1")
			equal(w, in.Organization, "acme-"+w.org)
			wrong := claim(&good)
			wrong.Secret += "x"
			_, err = w.g.Authenticate(w.ctx, wrong)
			w.want(err, tandem.Unauthorized)
			over := w.credential(&w.device, kind, func(c *tandem.Credential) { c.ExpiresAt = &past })
			_, err = w.g.Authenticate(w.ctx, claim(&over))
			w.want(err, tandem.Unauthorized)
			_, err = w.g.Authenticate(w.ctx, gateway.Claim{Kind: kind, Identity: "nobody", Secret: "x"})
			w.want(err, tandem.Unauthorized)
			later := time.Now().Add(time.Hour)
			turned := w.credential(&w.device, kind, func(c *tandem.Credential) {
				c.PreviousHash, c.PreviousUntil, c.Hash = c.Hash, &later, gateway.HashSecret("new")
			})
			_, err = w.g.Authenticate(w.ctx, claim(&turned))
			w.must(err)
			ended := w.credential(&w.device, kind, func(c *tandem.Credential) {
				c.PreviousHash, c.PreviousUntil, c.Hash = c.Hash, &past, gateway.HashSecret("newer")
			})
			_, err = w.g.Authenticate(w.ctx, claim(&ended))
			w.want(err, tandem.Unauthorized)
		}
		psk := w.credential(&w.device, tandem.PSKCredential)
		in, key, err := w.g.PSK(w.ctx, psk.Identity, "")
		w.must(err)
		equal(w, string(key), "secret of "+psk.Identity)
		equal(w, in.ID, w.device.ID)
		_, err = w.g.Authenticate(w.ctx, claim(&psk))
		w.want(err, tandem.Unauthorized)
	})
}

func TestGuessingIsSlowedDown(t *testing.T) {
	onBoth(t, func(w *world) {
		good := w.credential(&w.device, tandem.PasswordCredential)
		wrong := claim(&good)
		wrong.Secret, wrong.Address = "guess", "192.0.2.1"
		limited := error(nil)
		for range 100 {
			if _, limited = w.g.Authenticate(w.ctx, wrong); tandem.Is(limited, tandem.RateLimited) {
				break
			}
		}
		w.want(limited, tandem.RateLimited)
		right := claim(&good)
		right.Address = "192.0.2.2" // others are not held up
		_, err := w.g.Authenticate(w.ctx, right)
		w.must(err)
	})
}

func TestARevokedCredentialIsOutWithinTwoSecondsEverywhere(t *testing.T) {
	onBoth(t, func(w *world) {
		c := w.credential(&w.device, tandem.TokenCredential)
		gateways := []*gateway.Gateway{w.g, w.open()}
		devices := make([]gateway.Device, 2)
		for i, g := range gateways {
			var err error
			devices[i], err = g.Authenticate(w.ctx, claim(&c))
			w.must(err)
			w.must(g.Check(w.ctx, devices[i]))
			w.must(g.Still(w.ctx, devices[i]))
		}
		now := time.Now()
		c.RevokedAt = &now
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{PutCredentials: []tandem.Credential{c}}))
		for i, g := range gateways {
			w.until("the credential is out", 2*time.Second, func() bool { return tandem.Is(g.Check(w.ctx, devices[i]), tandem.Unauthorized) })
			w.want(g.Still(w.ctx, devices[i]), tandem.Unauthorized)
			_, err := g.Report(w.ctx, devices[i], body(`{}`))
			w.want(err, tandem.Unauthorized)
		}
		in := w.in(&w.device)
		d := w.read(&w.device)
		d.Enabled = false
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{UpdateDevices: []tandem.Device{d}}))
		w.until("a disabled device is out", 2*time.Second, func() bool { return tandem.Is(w.g.Check(w.ctx, in), tandem.Unauthorized) })
	})
}

func TestAFloodOfOneHoldsUpNoOther(t *testing.T) {
	onBoth(t, func(w *world) {
		g := w.open(func(o *gateway.Options) { o.Rate, o.Burst = 1, 5 })
		flooding := w.in(&w.device)
		d := w.newDevice("sensor-2")
		other := w.in(&d)
		refused := 0
		for range 50 {
			if _, err := g.Report(w.ctx, flooding, body(`{"battery":1}`)); err != nil {
				w.want(err, tandem.RateLimited)
				refused++
			}
		}
		if refused < 40 {
			w.Errorf("%d of 50 were refused", refused)
		}
		_, err := g.Report(w.ctx, other, body(`{"battery":2}`))
		w.must(err)
	})
}

func TestPresence(t *testing.T) {
	onBoth(t, func(w *world) {
		in := w.in(&w.device)
		w.must(w.g.Presence(w.ctx, in, tandem.ViaMQTT, true, nil))
		status := func() tandem.Status {
			d := w.read(&w.device)
			return d.StatusAt(time.Now(), tandem.DefaultOnlineWindow)
		}
		equal(w, status(), tandem.Online)
		w.must(w.g.Presence(w.ctx, in, tandem.ViaMQTT, false, nil))
		equal(w, status(), tandem.Offline)
		for _, want := range []tandem.Status{tandem.Offline, tandem.Online} {
			_, n, err := w.store.Devices(w.ctx, w.org, tandem.DeviceFilter{Status: want, Now: time.Now()})
			w.must(err)
			equal(w, n == 1, want == tandem.Offline)
		}
		_, err := w.g.Report(w.ctx, in, body(`{"a":1}`))
		w.must(err)
		equal(w, status(), tandem.Online)
		equal(w, len(w.history(&w.device, "status")), 3)
	})
}

func TestManyDevicesAtOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		devices := make([]tandem.Device, 20)
		var all sync.WaitGroup
		for i := range devices {
			devices[i] = w.newDevice(fmt.Sprintf("many-%d", i))
			in := w.in(&devices[i])
			all.Go(func() {
				for n := range 10 {
					if _, err := w.g.Report(w.ctx, in, body(`{"battery":%d}`, n)); err != nil {
						w.Error(err)
					}
				}
			})
		}
		all.Wait()
		for i := range devices {
			equal(w, len(w.history(&devices[i], "telemetry")), 10)
			equal(w, *w.read(&devices[i]).BatteryLevel, 9)
		}
	})
}

func TestADeviceThatAnotherVouchesFor(t *testing.T) {
	onBoth(t, func(w *world) {
		in, err := w.g.Named(w.ctx, "acme-"+w.org, "sensor-1")
		w.must(err)
		equal(w, in.ID, w.device.ID)
		_, err = w.g.Report(w.ctx, in, body(`{"battery":12}`))
		w.must(err)
		equal(w, *w.read(&w.device).BatteryLevel, 12)
		for _, other := range [][2]string{{"acme-" + w.org, "sensor-2"}, {"acme-" + w.org, w.device.ID}, {w.org, "sensor-1"}, {"umbrella", "sensor-1"}, {"", ""}} {
			_, err = w.g.Named(w.ctx, other[0], other[1])
			w.want(err, tandem.NotFound)
		}
		d := w.read(&w.device)
		d.Enabled = false
		w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{UpdateDevices: []tandem.Device{d}}))
		w.until("a disabled device is out", 2*time.Second, func() bool {
			_, err := w.g.Named(w.ctx, "acme-"+w.org, "sensor-1")
			return tandem.Is(err, tandem.Unauthorized)
		})
	})
}

func TestARedeliveryOfWhatIsUnderWayCountsOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		in := w.in(&w.device)
		first := body(`{"n":1}`)
		first.Number = 7
		again := first
		again.Again = true
		other := again
		other.Number = 8
		all := make([]*gateway.Pending, 3)
		for i, m := range []gateway.Message{first, again, other} {
			var err error
			all[i], err = w.g.Begin(w.ctx, in, m)
			w.must(err)
		}
		for i, duplicate := range []bool{false, true, false} {
			receipt, err := all[i].Wait(w.ctx)
			w.must(err)
			equal(w, receipt.Duplicate, duplicate)
		}
		equal(w, len(w.history(&w.device, "telemetry")), 2)
	})
}
