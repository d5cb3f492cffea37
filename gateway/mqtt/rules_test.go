package mqtt_test

import (
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/gateway"
	"tandem/gateway/mqtt"
)

// eachVersion runs a test with MQTT 3.1.1 and 5.
func eachVersion(t *testing.T, test func(w *world, version byte)) {
	t.Parallel()
	for name, version := range map[string]byte{"3.1.1": 4, "5": 5} {
		t.Run(name, func(t *testing.T) { test(onSQLite(t), version) })
	}
}

func TestManyUnderWayAreAnsweredInTheirOrder(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		w.serve()
		d := w.device("sensor")
		x, code := w.dial(&d, version, hello{})
		equal(w, code, 0)
		for i := range 50 {
			x.publish(w.topic(&d, "telemetry"), text(`{"battery":%d}`, i), 1, uint16(i+1), false)
		}
		for i := range 50 {
			id, reason := x.acknowledged()
			equal(w, id, uint16(i+1))
			equal(w, reason, 0)
		}
		equal(w, w.battery(&d), 49)
		equal(w, len(w.history(&d, "telemetry")), 50)
	})
}

func TestRedeliveries(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		w.serve()
		d := w.device("sensor")
		x, _ := w.dial(&d, version, hello{})
		x.publish(w.topic(&d, "telemetry"), `{"n":1}`, 1, 1, false)
		x.acknowledged()
		_ = x.c.Close() // the acknowledgement got lost, as far as the device knows
		x, _ = w.dial(&d, version, hello{})
		x.publish(w.topic(&d, "telemetry"), `{"n":1}`, 1, 1, true)
		x.acknowledged()
		equal(w, len(w.history(&d, "telemetry")), 1)
		x.publish(w.topic(&d, "telemetry"), `{"n":1}`, 1, 2, true) // another that got lost before it arrived
		x.acknowledged()
		equal(w, len(w.history(&d, "telemetry")), 2)
		equal(w, w.counted(gateway.Duplicate), 1)
	})
}

func TestWhatCanNeverBeStored(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		w.serve()
		d := w.device("sensor")
		x, _ := w.dial(&d, version, hello{})
		for i, m := range [][2]string{{"telemetry", "\xa1\x67"}, {"status", "asleep"}, {"status", strings.Repeat("x", 2000)}, {"telemetry", `"` + strings.Repeat("x", 70<<10) + `"`},
			{"telemetry/status", `1`}, {"commands/none", `[]`}} {
			x.publish(w.topic(&d, m[0]), m[1], 1, uint16(i+1), false)
			id, reason := x.acknowledged()
			equal(w, id, uint16(i+1))
			if version == 5 && reason != 0x99 {
				w.Errorf("%s: reason %x", m[0], reason)
			}
		}
		x.publish(w.topic(&d, "commands/none"), ``, 1, 9, false)
		if _, reason := x.acknowledged(); version == 5 && reason != 0x83 {
			w.Errorf("reason %x", reason)
		}
		equal(w, len(w.history(&d, "telemetry")), 0)
		if w.counted(gateway.Malformed) < 5 {
			w.Errorf("%d were counted", w.counted(gateway.Malformed))
		}
		x.publish(w.topic(&d, "telemetry"), strings.Repeat("x", 200<<10), 1, 10, false) // no end of it
		for kind, _ := x.read(); kind != 0; kind, _ = x.read() {
			if kind == 4 {
				w.Error("it was acknowledged")
			}
		}
		x, _ = w.dial(&d, version, hello{})
		x.publish(w.topic(&d, "telemetry"), `{"battery":5}`, 2, 11, false) // QoS 2 is not offered
		if kind, _ := x.read(); kind != 0 && kind != 14 {
			w.Errorf("there is a packet of type %d", kind)
		}
		equal(w, w.battery(&d), -1)
	})
}

func TestAFloodOfOneHoldsUpNoOther(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		if version == 5 { // what is too much is refused, however slowly it comes here
			w.g.Close()
			w.g = gateway.New(gateway.Options{Store: w.store, Clock: time.Now, IDs: id, Meter: &w.tally, Rate: 1, Burst: 200})
		}
		w.serve()
		flooding, quiet := w.device("flooding"), w.device("quiet")
		x, _ := w.dial(&flooding, version, hello{clientID: "x"})
		y, _ := w.dial(&quiet, version, hello{clientID: "y"})
		go func() {
			topic := w.topic(&flooding, "telemetry")
			for i := range 300 {
				body := str(topic)
				body = append(body, byte((i+1)>>8), byte(i+1))
				if version == 5 {
					body = append(body, 0)
				}
				if _, err := x.c.Write(packetOf(0x32, append(body, text(`{"n":%d}`, i)...))); err != nil {
					return
				}
			}
		}()
		y.publish(w.topic(&quiet, "telemetry"), `{"battery":50}`, 1, 1, false)
		began := time.Now()
		_, reason := y.acknowledged()
		equal(w, reason, 0)
		if took := time.Since(began); took > 2*time.Second {
			w.Errorf("the other waited %s", took)
		}
		refused := 0
		for range 300 {
			if _, reason := x.acknowledged(); reason == 0x97 {
				refused++
			}
		}
		switch {
		case version == 5 && refused == 0:
			w.Error("nothing was refused")
		case version == 4: // it was made to wait, and lost nothing
			equal(w, len(w.history(&flooding, "telemetry")), 300)
		}
	})
}

func TestHalfOpenConnectionsAndLastWills(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		w.serve()
		silent, dying, leaving := w.device("silent"), w.device("dying"), w.device("leaving")
		w.dial(&silent, version, hello{clientID: "1", keepalive: 1}) // and says nothing any more
		x, _ := w.dial(&dying, version, hello{clientID: "2", willTopic: w.topic(&dying, "status"), willPayload: "offline", willRetain: true})
		y, _ := w.dial(&leaving, version, hello{clientID: "3", willTopic: w.topic(&leaving, "status"), willPayload: "offline"})
		for _, k := range []*known{&silent, &dying, &leaving} {
			w.until("it is online", func() bool { return w.status(k) == tandem.Online })
		}
		_ = x.c.Close()
		y.send([]byte{0xe0, 0}) // DISCONNECT: no will
		if kind, _ := y.read(); kind != 0 {
			w.Error("the connection goes on")
		}
		for _, k := range []*known{&silent, &dying} {
			w.until("it is offline", func() bool { return w.status(k) == tandem.Offline })
		}
		equal(w, w.status(&leaving), tandem.Online)
		z, _ := w.dial(&dying, version, hello{clientID: "4"})
		z.subscribe(1, w.topic(&dying, "status"), 1)
		topic, payload, retained := z.message()
		equal(w, topic, w.topic(&dying, "status"))
		equal(w, payload, "offline")
		equal(w, retained, true)
		_, code := w.dial(&dying, version, hello{clientID: "5", willTopic: w.topic(&silent, "status"), willPayload: "offline"})
		if code != 5 && code != 0x87 {
			w.Errorf("a foreign will is answered %x", code)
		}
	})
}

func TestAClientThatComesAgainTakesItsSessionOver(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		w.serve()
		d, other := w.device("sensor"), w.device("other")
		x, _ := w.dial(&d, version, hello{clientID: "same", willTopic: w.topic(&d, "status"), willPayload: "offline"})
		foreign, _ := w.dial(&other, version, hello{clientID: "same"}) // of another device: no business of theirs
		for range 5 {
			y, code := w.dial(&d, version, hello{clientID: "same", willTopic: w.topic(&d, "status"), willPayload: "offline"})
			equal(w, code, 0)
			if kind, body := x.read(); version == 5 && (kind != 14 || body[0] != 0x8e) || version == 4 && kind != 0 {
				w.Errorf("the one before gets a packet of type %d: %x", kind, body)
			}
			x = y
		}
		x.publish(w.topic(&d, "telemetry"), `{"battery":5}`, 1, 1, false)
		x.acknowledged()
		foreign.publish(w.topic(&other, "telemetry"), `{"battery":6}`, 1, 1, false)
		foreign.acknowledged()
		equal(w, w.status(&d), tandem.Online) // no will was done
		for _, h := range w.history(&d, "status") {
			if string(h.Value) == `"offline"` {
				w.Error("it was taken for offline")
			}
		}
		equal(w, w.b.Clients(), 2)
	})
}

func TestSessions(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		w.serve()
		d := w.device("sensor")
		x, _ := w.dial(&d, version, hello{keep: true})
		x.subscribe(1, w.topic(&d, "commands"), 1)
		first := w.command(&d, "first")
		_, payload, _ := x.message()
		if !strings.Contains(payload, first.ID) {
			w.Errorf("got %s", payload)
		}
		_ = x.c.Close()
		w.until("it is gone", func() bool { return w.b.Clients() == 0 })
		second := w.command(&d, "second")
		x, _ = w.dial(&d, version, hello{keep: true}) // it need not subscribe again
		for _, c := range []tandem.Command{first, second} {
			_, payload, _ = x.message()
			if !strings.Contains(payload, c.ID) {
				w.Errorf("got %s, want %s", payload, c.Name)
			}
		}
		for _, c := range []tandem.Command{first, second} {
			x.publish(w.topic(&d, "commands/"+c.ID), `{"status":"ok","reply":{"blinked":3}}`, 1, 7, false)
			x.acknowledged()
			equal(w, w.commandStatus(&c), tandem.CommandAcknowledged)
		}
	})
}

func TestADeviceTakesOnlySoMuchRoom(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		w.serve()
		d, other := w.device("sensor"), w.device("other")
		for i := range 16 {
			_, code := w.dial(&d, version, hello{clientID: text("c%d", i)})
			equal(w, code, 0)
		}
		w.until("they are counted", func() bool { return w.b.Clients() == 16 })
		if _, code := w.dial(&d, version, hello{clientID: "c16"}); code != 3 && code != 0x97 {
			w.Errorf("one more is answered %x", code)
		}
		x, code := w.dial(&other, version, hello{})
		equal(w, code, 0)
		for i := range 16 {
			code = x.subscribe(uint16(i+1), w.topic(&other, text("telemetry/%d", i)), 1)
			equal(w, code, 1)
		}
		if code = x.subscribe(17, w.topic(&other, "commands"), 1); code != 0x80 && code != 0x97 {
			w.Errorf("one filter more is answered %x", code)
		}
	})
}

func TestADeviceGetsWhatItPublishes(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		w.serve()
		d := w.device("sensor")
		x, _ := w.dial(&d, version, hello{clientID: "x"})
		y, _ := w.dial(&d, version, hello{clientID: "y"})
		x.subscribe(1, w.topic(&d, "#"), 1)
		for i, below := range []string{"telemetry", "telemetry/garden", "status"} {
			y.publish(w.topic(&d, below), "online", 1, uint16(i+1), false)
			topic, payload, retained := x.message()
			equal(w, topic, w.topic(&d, below))
			equal(w, payload, "online")
			equal(w, retained, false)
			y.acknowledged()
		}
	})
}

func TestFullHouse(t *testing.T) {
	w := onSQLite(t).serve(func(o *mqtt.BrokerOptions) { o.Clients = 1 })
	d := w.device("sensor")
	x, code := w.dial(&d, 4, hello{clientID: "1"})
	equal(w, code, 0)
	_, code = w.dial(&d, 4, hello{clientID: "2"})
	equal(w, code, 3)
	_, code = w.dial(&d, 5, hello{clientID: "3"})
	equal(w, code, 0x89)
	_ = x.c.Close()
	w.until("there is room", func() bool { return w.b.Clients() == 0 })
	w.until("another is let in", func() bool { _, code := w.dial(&d, 4, hello{clientID: "2"}); return code == 0 })
}
