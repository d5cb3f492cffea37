package mqtt_test

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"tandem/gateway/mqtt"
)

// TestWhoAnnouncesMuchTakesNoRoomForLong: packets that are announced and do not come have bounded room for some time. Small
// ones of others are served meanwhile, larger ones after it.
func TestWhoAnnouncesMuchTakesNoRoomForLong(t *testing.T) {
	eachVersion(t, func(w *world, version byte) {
		w.serve(func(o *mqtt.BrokerOptions) { o.Partial, o.Packet = 300<<10, time.Second })
		d, other := w.device("sensor"), w.device("other")
		var stalled []*raw
		for _, client := range []string{"a", "b"} {
			x, code := w.dial(&d, version, hello{clientID: client})
			equal(w, code, 0)
			whole := packetOf(0x32, make([]byte, 130<<10))
			x.send(whole[:10])
			stalled = append(stalled, x)
		}
		small, _ := w.dial(&other, version, hello{clientID: "small"})
		small.publish(w.topic(&other, "telemetry"), `{"battery":1}`, 1, 1, false)
		small.acknowledged()
		large, _ := w.dial(&other, version, hello{clientID: "large"})
		large.publish(w.topic(&other, "telemetry"), `{"x":"`+strings.Repeat("x", 60<<10)+`"}`, 1, 1, false)
		large.acknowledged()
		for _, x := range stalled {
			if kind, _ := x.read(); kind != 0 && kind != 14 {
				w.Errorf("a client whose packet does not come is answered with type %d", kind)
			}
		}
	})
}

// TestWhatIsRememberedOfAClientIsBounded: long filters and topics with numbers are refused, and so are packets with much beside
// their payload.
func TestWhatIsRememberedOfAClientIsBounded(t *testing.T) {
	w := onPostgres(t).serve()
	d := w.device("sensor")
	long := w.topic(&d, strings.Repeat("x", 3<<10))
	x, _ := w.dial(&d, 5, hello{clientID: "filter"})
	if code := x.subscribe(1, long, 1); code < 0x80 {
		t.Errorf("a long filter is answered %x", code)
	}
	property := append(append([]byte{0x26}, str("a")...), str(strings.Repeat("x", 5<<10))...)
	for name, test := range map[string]struct {
		topic      string
		properties []byte
		want       byte
	}{
		"alias":    {long, []byte{3, 0x23, 0, 1}, 0x90},
		"property": {w.topic(&d, "telemetry"), append(binary.AppendUvarint(nil, uint64(len(property))), property...), 0x95},
	} {
		x, _ := w.dial(&d, 5, hello{clientID: name})
		body := append(append(str(test.topic), 0, 1), test.properties...)
		x.send(packetOf(0x32, append(body, "{}"...)))
		if kind, answer := x.read(); kind != 14 || len(answer) == 0 || answer[0] != test.want {
			t.Errorf("%s is answered with type %d: %x", name, kind, answer)
		}
	}
}

// TestAFloodOfStrangersLetsDevicesIn: where connections that say nothing take all places, one of them goes for each that comes.
func TestAFloodOfStrangersLetsDevicesIn(t *testing.T) {
	w := onPostgres(t).serve(func(o *mqtt.BrokerOptions) {
		o.Clients, o.Pending, o.Greeting, o.WebSocket = 4, 20, time.Minute, "127.0.0.1:0"
	})
	d := w.device("sensor")
	const places, strangers = 24, 60
	for _, kind := range []string{"mqtt", "ws"} {
		gone := make(chan bool, strangers)
		for range strangers {
			c, err := net.Dial("tcp", w.b.Addresses()[kind])
			w.must(err)
			w.Cleanup(func() { _ = c.Close() })
			go func() {
				_, _ = c.Read(make([]byte, 1)) // until it is ended
				gone <- true
			}()
		}
		late := time.After(20 * time.Second)
		for range strangers - places {
			select {
			case <-gone:
			case <-late:
				w.Fatalf("%s: strangers that wait keep out others", kind)
			}
		}
		x, code := w.dial(&d, 4, hello{clientID: kind})
		equal(w, code, 0)
		x.publish(w.topic(&d, "telemetry"), `{"battery":1}`, 1, 1, false)
		x.acknowledged()
	}
}
