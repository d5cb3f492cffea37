package mqtt

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

func FuzzTopic(f *testing.F) {
	for _, name := range []string{"tandem/acme/devices/sensor/telemetry", "tandem/acme/devices/a%2Fb/telemetry/garden/wet", "tandem/acme/devices/x/commands/7", "tandem//devices//status", "%", "a/%2"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		is, ok := parseTopic(name)
		if ok && !strings.HasPrefix(prefixOf(is.organization, is.device), "tandem/"+is.organization+"/devices/") {
			t.Errorf("%q is of %q", name, is.organization)
		}
		if got := decodeLevel(encodeLevel(name)); got != name {
			t.Errorf("%q comes back as %q", name, got)
		}
		again, ok := parseTopic(prefixOf("acme", name) + "telemetry")
		if name != "" && (!ok || again.device != name || again.organization != "acme" || again.place != telemetry) {
			t.Errorf("the topic of %q is taken for %+v", name, again)
		}
	})
}

// A filter below a device's name covers nothing that is not below it.
func FuzzFilter(f *testing.F) {
	f.Add("#", "tandem/acme/devices/other/telemetry")
	f.Add("+/x", "tandem/acme/devices/sensor/telemetry/x")
	f.Add("telemetry/#", "tandem/acme/devices/sensor/telemetry")
	f.Fuzz(func(t *testing.T, below, name string) {
		prefix := prefixOf("acme", "sensor")
		if filter := prefix + below; validFilter(filter) && matches(filter, name) && name+"/" != prefix && !strings.HasPrefix(name, prefix) {
			t.Errorf("%q covers %q", filter, name)
		}
		if validFilter(name) && !strings.ContainsAny(name, "+#") && !matches(name, name) {
			t.Errorf("%q does not cover itself", name)
		}
	})
}

func FuzzStatus(f *testing.F) {
	for _, body := range []string{"online", ` "Offline" `, `{"status":"online"}`, `{"online":false}`, "1", "true", "", "{", "\xff"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := readStatus(body)
		second, again := readStatus(body)
		if first != second || (err == nil) != (again == nil) || err != nil && first {
			t.Errorf("%q: %v %v, then %v %v", body, first, err, second, again)
		}
	})
}

// Whatever comes is read or refused; it fails over nothing.
func FuzzPacket(f *testing.F) {
	f.Add(byte(5), []byte("\x82\x06\x00\x01\x00\x00\x01a")) // a SUBSCRIBE that ends before its options
	f.Add(byte(4), []byte("\x30\x03\x00\x01a"))
	f.Add(byte(0), []byte("\x10\x0c\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00"))
	f.Add(byte(5), []byte("\x32\xff\xff\xff\xff\x7f"))
	f.Add(byte(5), []byte("\x40\x02\x00\x01"))
	f.Fuzz(func(t *testing.T, version byte, text []byte) {
		c := &conn{r: bufio.NewReader(bytes.NewReader(text))}
		first, length, err := c.header()
		if err != nil || length > 1<<20 {
			return
		}
		pk, err := c.rest(version, first, length)
		if (pk == nil || pk.FixedHeader.Type != packets.Publish) && err != nil {
			return
		}
		if err == nil && len(pk.Payload) > length {
			t.Errorf("a payload of %d bytes in a packet of %d", len(pk.Payload), length)
		}
	})
}

func TestStatuses(t *testing.T) {
	for body, want := range map[string]string{"online": "true", " OFFLINE\n": "false", `"online"`: "true", `{"status":"offline","battery":3}`: "false", `{"online":true}`: "true", "0": "false",
		"true": "true", "": "error", "sleeping": "error", `{}`: "error", `[1]`: "error", "2": "error", `{"status":null,"online":false}`: "false"} {
		online, err := readStatus([]byte(body))
		got := map[bool]string{true: "true", false: "false"}[online]
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q is %s, want %s", body, got, want)
		}
	}
}
