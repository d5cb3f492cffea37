package report

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"tandem"
)

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
		value, err := DecodeCBOR(body)
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
		p, err := Decode(contentType, body)
		if err != nil || p.Raw == nil {
			return
		}
		if !json.Valid(p.Raw) || !utf8.Valid(p.Raw) || bytes.Contains(p.Raw, []byte(`\u0000`)) {
			t.Errorf("%q is kept as %q", body, p.Raw)
		}
	})
}

func FuzzPaths(f *testing.F) {
	f.Add("sensor:battery/level", "sensor", []byte(`{"battery":{"level":55}}`))
	f.Add("a/0/b", "", []byte(`{"a":[{"b":true}]}`))
	f.Add(":", "x", []byte(`3`))
	f.Add("stream:sensor/battery", "sensor", []byte(`{"battery":200,"location":{"lat":91,"lon":0}}`))
	f.Fuzz(func(t *testing.T, spec, on string, body []byte) {
		value, err := DecodeJSON(body)
		if err != nil {
			return
		}
		config := tandem.DefaultServiceConfig()
		config.Paths.Battery, config.Paths.Location = spec, spec
		config.Webhook.Paths = map[string]string{Firmware: spec, Online: spec}
		r := Read(First(Mapped(&config, on, value), Named(value)), tandem.AllFields, time.Unix(1, 0))
		if r.Battery != nil && (*r.Battery < 0 || *r.Battery > 100) {
			t.Errorf("battery %v", *r.Battery)
		}
		if r.Location != nil && (r.Location.Latitude < -90 || r.Location.Latitude > 90 || r.Location.Longitude < -180 || r.Location.Longitude > 180) {
			t.Errorf("location %v", *r.Location)
		}
	})
}
