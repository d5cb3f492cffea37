package webhook

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tandem"
)

type plainSecret string

func (s plainSecret) Reveal() string { return string(s) }

func FuzzSignature(f *testing.F) {
	for _, s := range []string{"", "sha256=", strings.Repeat("a", 64), "sha256=" + strings.Repeat("0F", 32), "SHA256=" + strings.Repeat("g", 64), "sha1=00", " \t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sum, ok := parseSignature(text)
		if !ok {
			return
		}
		if !strings.HasSuffix(strings.ToLower(strings.TrimSpace(text)), hex.EncodeToString(sum[:])) {
			t.Errorf("%q was read as %x", text, sum)
		}
		v := newVerifier(tandem.WebhookConfig{Scheme: tandem.SignatureScheme}, []Secret{plainSecret("k")})
		if v.check(http.Header{SignatureHeader: {text}}, []byte("body"), time.Unix(1, 0)) == "" {
			t.Errorf("%q was let through", text)
		}
	})
}

func FuzzStandardHeaders(f *testing.F) {
	f.Add("msg_1", "1700000000", "v1,abc")
	f.Add("", "-1", "v1")
	f.Add("a.b", "99999999999999999999", "v1, v1,= v2,x ,")
	f.Fuzz(func(t *testing.T, id, stamp, signature string) {
		v := newVerifier(tandem.WebhookConfig{Scheme: tandem.StandardScheme}, []Secret{plainSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")})
		header := http.Header{}
		header.Set("webhook-id", id)
		header.Set("webhook-timestamp", stamp)
		header.Set("webhook-signature", signature)
		if v.check(header, []byte("body"), time.Unix(1700000000, 0)) == "" {
			t.Errorf("%q %q %q was let through", id, stamp, signature)
		}
	})
}

func FuzzPipelineHeaders(f *testing.F) {
	f.Add("6520aabbccddeeff00112233", "demo", "io.golioth.data.v1/.s/sensor/a", "2026-01-02T03:04:05.123456Z", "1")
	f.Add("x\x00", "p q", "/.s", "yesterday", strings.Repeat("i", 500))
	f.Add("a", "", "a/.sensor/", "0000-01-01T00:00:00Z", "\xff")
	f.Fuzz(func(t *testing.T, source, subject, ceType, at, event string) {
		header := http.Header{"Ce-Source": {source}, "Ce-Subject": {subject}, "Ce-Type": {ceType}, "Ce-Time": {at}, "Ce-Id": {event}}
		id, err := identify(header, nil, tandem.HeaderScheme)
		if err != nil {
			return
		}
		checkIdentity(t, id)
		for name, value := range keptHeaders(header) {
			if !utf8.ValidString(value) || !printable(value) || len(value) > mostCE+2 {
				t.Errorf("%s is kept as %q", name, value)
			}
		}
	})
}

// checkIdentity says what must hold of whatever was let in: the database takes it.
func checkIdentity(t *testing.T, id identity) {
	t.Helper()
	for _, text := range []string{id.event, id.kind, id.device, id.project, id.path} {
		if !utf8.ValidString(text) || !printable(text) || len(text) > mostPath {
			t.Errorf("%q was let in", text)
		}
	}
	if id.device == "" || id.kind == "" {
		t.Errorf("about nothing: %+v", id)
	}
	if id.sent != nil && (id.sent.Year() < 1970 || id.sent.Year() > 9998) {
		t.Errorf("sent at %s", id.sent)
	}
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"id":"e1","type":"device.data","time":"2026-01-02T03:04:05Z","project_id":"demo","device_id":"6520aabbccddeeff00112233","data":{"battery":3}}`), false)
	f.Add([]byte(`{"type":"device.online","device_id":"\u0000"}`), false)
	f.Add([]byte(`{"type":1,"device_id":null}`), false)
	f.Add([]byte(`[`), false)
	f.Add(unhex("a2647479706566646576696365696465766963655f69646161"), true)
	f.Fuzz(func(t *testing.T, body []byte, cbor bool) {
		contentType := "application/json"
		if cbor {
			contentType = "application/cbor"
		}
		id, err := identify(http.Header{"Content-Type": {contentType}}, body, tandem.SignatureScheme)
		if err == nil {
			checkIdentity(t, id)
		}
	})
}

func unhex(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return b
}

func FuzzCBOR(f *testing.F) {
	for _, text := range []string{"a26762617474657279183763746d70f94900", "5bffffffffffffffff00", "9b7fffffffffffffff01", "bb7fffffffffffffff0101", "62c328",
		"a2616101616102", "a1810101", "7f657374726561646d696e67ff", "c249010000000000000000", "c4821a3b9aca0001", "3bffffffffffffffff", "c074323031332d30332d32315432303a30343a30305a",
		"d9d9f7a1616101", "f97e00", "fb7ff0000000000000", "c16161", "bf6161ff", "f8ff", "1c", "ff", "9f9f9f9f"} {
		f.Add(unhex(text))
	}
	f.Add(bytes.Repeat([]byte{0xc6}, 100_000))
	f.Add(bytes.Repeat([]byte{0x81}, 100_000))
	f.Fuzz(func(t *testing.T, body []byte) {
		value, err := decodeCBOR(body)
		if err != nil {
			return
		}
		if _, err := json.Marshal(value); err != nil {
			t.Errorf("%x gives what is no JSON: %v", body, err)
		}
	})
}

func FuzzPayload(f *testing.F) {
	for _, text := range []string{`{"battery":55,"location":{"lat":1,"lon":2},"firmware":"1.2"}`, `{"a":"\u0000"}`, `{"a":"\ud800"}`, `{"a":1e999999}`, `[[[[`, `{"a":1}{}`, `"x"`, `null`, ``} {
		f.Add("application/json", []byte(text))
	}
	f.Add("text/plain", []byte("55"))
	f.Add("", []byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		p, err := decode(contentType, body)
		if err != nil || p.raw == nil {
			return
		}
		if !json.Valid(p.raw) || !utf8.Valid(p.raw) || bytes.Contains(p.raw, []byte(`\u0000`)) {
			t.Errorf("%q is kept as %q", body, p.raw)
		}
	})
}

func FuzzPaths(f *testing.F) {
	f.Add("sensor:battery/level", "sensor", []byte(`{"battery":{"level":55}}`))
	f.Add("a/0/b", "", []byte(`{"a":[{"b":true}]}`))
	f.Add(":", "x", []byte(`3`))
	f.Add("stream:sensor/battery", "sensor", []byte(`{"battery":200,"location":{"lat":91,"lon":0}}`))
	f.Fuzz(func(t *testing.T, spec, on string, body []byte) {
		value, err := decodeJSON(body)
		if err != nil {
			return
		}
		config := tandem.DefaultServiceConfig()
		config.Paths.Battery, config.Paths.Location = spec, spec
		config.Webhook.Paths = map[string]string{firmwareField: spec, onlineField: spec}
		r := read(first(mapped(&config, on, value), named(value)), tandem.AllFields, time.Unix(1, 0))
		if r.battery != nil && (*r.battery < 0 || *r.battery > 100) {
			t.Errorf("battery %v", *r.battery)
		}
		if r.location != nil && (r.location.Latitude < -90 || r.location.Latitude > 90 || r.location.Longitude < -180 || r.location.Longitude > 180) {
			t.Errorf("location %v", *r.location)
		}
	})
}
