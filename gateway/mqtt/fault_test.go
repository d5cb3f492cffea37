package mqtt_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/gateway"
	"tandem/gateway/mqtt"
)

// shaky is a store that is away while it is told to be, or that takes its time.
type shaky struct {
	tandem.ServerStore
	away  atomic.Bool
	pause atomic.Int64 // nanoseconds
	busy  atomic.Bool  // it is taking its time
}

func (s *shaky) ApplyAll(ctx context.Context, all []tandem.OrganizationChanges) error {
	if s.away.Load() {
		return tandem.Errorf(tandem.Unavailable, "apply", "", "the database is away")
	}
	if d := time.Duration(s.pause.Load()); d > 0 {
		s.busy.Store(true)
		<-time.After(d)
	}
	return s.ServerStore.ApplyAll(ctx, all)
}

func onShaky(t *testing.T) (*world, *shaky) {
	w := onSQLite(t)
	s := &shaky{ServerStore: w.store}
	w.store = s
	w.g = gateway.New(gateway.Options{Store: s, Clock: time.Now, IDs: id, Meter: &w.tally, Rate: -1})
	t.Cleanup(w.g.Close)
	return w, s
}

func TestWhatIsNotStoredIsNotAcknowledged(t *testing.T) {
	for name, version := range map[string]byte{"3.1.1": 4, "5": 5} {
		t.Run(name, func(t *testing.T) {
			w, s := onShaky(t)
			w.serve()
			d := w.device("sensor")
			x, _ := w.dial(&d, version, hello{})
			s.away.Store(true)
			x.publish(w.topic(&d, "telemetry"), `{"battery":1}`, 1, 1, false)
			x.publish(w.topic(&d, "telemetry"), `{"battery":2}`, 1, 2, false)
			if kind, body := x.read(); version == 4 && kind != 0 || version == 5 && (kind != 14 || body[0] != 0x89) {
				w.Fatalf("there is a packet of type %d: %x", kind, body)
			}
			s.away.Store(false)
			x, _ = w.dial(&d, version, hello{})
			for i := range 2 { // as a client does that has not got its acknowledgement
				x.publish(w.topic(&d, "telemetry"), text(`{"battery":%d}`, i+1), 1, uint16(i+1), true)
				x.acknowledged()
			}
			equal(w, w.battery(&d), 2)
			equal(w, len(w.history(&d, "telemetry")), 2)
		})
	}
}

func TestStoppingAnswersWhatIsUnderWay(t *testing.T) {
	w, s := onShaky(t)
	w.serve()
	d := w.device("sensor")
	x, _ := w.dial(&d, 5, hello{})
	w.until("it is online", func() bool { return w.status(&d) == tandem.Online })
	s.pause.Store(int64(300 * time.Millisecond))
	for i := range 10 {
		x.publish(w.topic(&d, "telemetry"), text(`{"n":%d}`, i), 1, uint16(i+1), false)
	}
	w.until("they are under way", s.busy.Load)
	done := make(chan struct{})
	go func() {
		w.b.Close()
		close(done)
	}()
	acknowledged := 0
	for {
		kind, body := x.read()
		if kind == 4 {
			acknowledged++
			continue
		}
		if kind != 14 || body[0] != 0x8b {
			w.Errorf("the last packet is of type %d: %x", kind, body)
		}
		break
	}
	<-done
	if stored := len(w.history(&d, "telemetry")); acknowledged == 0 || stored != acknowledged {
		w.Errorf("%d are acknowledged, %d stored", acknowledged, stored)
	}
	equal(w, w.status(&d), tandem.Online) // it was not the device that went
}

func TestALinkWaitsForTheDatabase(t *testing.T) {
	w, s := onShaky(t)
	d := w.device("sensor")
	m := newMosquitto(w, "sensor")
	m.link(w.g, "one")
	s.away.Store(true)
	for i := range 5 {
		w.must(m.pub("sensor", "-t", w.topic(&d, "telemetry"), "-m", text(`{"battery":%d}`, i)))
	}
	w.until("they are refused", func() bool { return w.counted(gateway.Overloaded) >= 5 })
	s.away.Store(false)
	w.until("they are there", func() bool { return len(w.history(&d, "telemetry")) == 5 })
	equal(w, w.battery(&d), 4)
}

func TestWhoSaysNothingIsNotKept(t *testing.T) {
	w := onSQLite(t).serve(func(o *mqtt.BrokerOptions) { o.Greeting = 200 * time.Millisecond })
	for _, first := range []string{"", "\x10", "GET / HTTP/1.1\r\n\r\n", "\x10\xff\xff\xff\x7f", "\x10\x80\x80\x02", "\x30\x00"} {
		c, err := net.Dial("tcp", w.b.Addresses()["mqtt"])
		w.must(err)
		_, err = c.Write([]byte(first))
		w.must(err)
		w.must(c.SetReadDeadline(time.Now().Add(5 * time.Second)))
		began := time.Now()
		if n, err := c.Read(make([]byte, 10)); n > 0 || err == nil || time.Since(began) > 4*time.Second {
			w.Errorf("%q gets %d bytes and %v after %s", first, n, err, time.Since(began))
		}
		_ = c.Close()
	}
}
