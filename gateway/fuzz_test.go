package gateway

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"tandem"
	"tandem/report"
)

// FuzzMessage takes a message as far as what would be stored of it: whatever a device sends is refused with a reason, or
// leads to values that both databases hold.
func FuzzMessage(f *testing.F) {
	for _, body := range []string{`{"battery":87,"location":{"lat":52.5,"lon":13.4},"firmware":"1.2.3","time":"2026-03-01T12:00:00Z"}`, `[{"battery":1},{"battery":2,"ts":1772366400}]`,
		`[{"a":1},2]`, `[]`, `55`, `"full"`, ` `, ``, `null`, `{"time":-1e300,"timestamp":99999999999999,"ts":"never"}`, `{"battery":{},"status":[],"location":7}`,
		`{"online":false,"firmware":{"main":{"version":"\u0000"}}}`, `{"\u0000":1,"\ud800":2}`, `{"n":1e999,"m":1e-999}`, "\xa1\x67battery\x18\x32", "\x82\xa1\x61a\x01\xa1\x61b\xf9\x7e\x00", "\xff\x00"} {
		f.Add("", "", []byte(body))
		f.Add("application/json; charset=utf-8", "telemetry", []byte(body))
		f.Add("application/cbor", "battery", []byte(body))
		f.Add("text/plain", "location", []byte(body))
		f.Add("application/octet-stream", "a/b", []byte(body))
	}
	g := &Gateway{o: Options{MaxBody: DefaultMaxBody}}
	created, now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, contentType, path string, body []byte) {
		said, err := g.read(&Message{ContentType: contentType, Path: path, Body: body})
		if err != nil {
			if !tandem.Is(err, tandem.Invalid, tandem.Malformed) {
				t.Errorf("the code of %v", err)
			}
			return
		}
		if len(said) == 0 || len(said) > MostReports {
			t.Errorf("%d reports", len(said))
		}
		device := &tandem.Device{ID: "d", CreatedAt: created}
		for i := range said {
			said[i].ReceivedAt = now
			e := report.Decide(&said[i], device)
			for _, o := range e.History {
				held(t, o.Value)
				if !utf8.ValidString(o.Path) || bytes.ContainsRune([]byte(o.Path), 0) || len(o.Path) > mostPath {
					t.Errorf("the path %q", o.Path)
				}
				if o.ObservedAt.Before(created) || o.ObservedAt.After(now.Add(report.FutureLimit)) {
					t.Errorf("observed at %s", o.ObservedAt)
				}
			}
			if level := e.Observed.BatteryLevel; level != nil && !(*level >= 0 && *level <= 100) {
				t.Errorf("battery %v", *level)
			}
			if seen := e.Observed.LastSeen; seen != nil && seen.After(now) {
				t.Errorf("seen at %s", seen)
			}
			for name, firmware := range e.Observed.Firmware {
				if !utf8.ValidString(name+firmware.Version) || bytes.ContainsRune([]byte(name+firmware.Version), 0) {
					t.Errorf("firmware %q: %q", name, firmware.Version)
				}
			}
			if !utf8.ValidString(e.Note) {
				t.Errorf("the note %q", e.Note)
			}
			e.Leave(device)
		}
	})
}

// held checks that both databases hold a value.
func held(t *testing.T, value json.RawMessage) {
	t.Helper()
	if !json.Valid(value) || !utf8.Valid(value) || bytes.Contains(value, []byte(`\u0000`)) && !bytes.Contains(value, []byte(`\\u0000`)) {
		t.Errorf("%q would be kept", value)
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return
		}
		if n, ok := token.(json.Number); ok {
			if _, err := n.Float64(); err != nil {
				t.Errorf("%q has a number that no database counts with", value)
			}
		}
	}
}

// FuzzAnswer reads what a device says of a command.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{``, " \n", `{}`, `{"status":"ok","reply":{"blinked":3}}`, `{"status":"failed","error":"no such lamp"}`, `{"status":"perhaps"}`, `{"status":7}`, `[]`, `"ok"`,
		`{"reply":null}`, `{"reply":"\u0000"}`, `{"reply":"\ud800"}`, `{"reply":1e999}`, `{"error":"a\u0000\n\u202e"}`, "{\"error\":\"\xff\"}", `{"reply":[[[[[[]]]]]]}`, `{"Status":"OK","STATUS":"ok"}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := ReadAnswer("id", body)
		if err != nil {
			if !tandem.Is(err, tandem.Invalid, tandem.Malformed) {
				t.Errorf("the code of %v", err)
			}
			return
		}
		if len(answer.Reply) > 0 {
			held(t, answer.Reply)
		}
		if len(answer.Reply) > tandem.MaxCommand {
			t.Errorf("a reply of %d bytes", len(answer.Reply))
		}
		if text := clean(answer.Error); !utf8.ValidString(text) || bytes.ContainsRune([]byte(text), 0) || len(text) > mostError {
			t.Errorf("the error is kept as %q", text)
		}
		if answer.ID != "id" {
			t.Errorf("it is about %q", answer.ID)
		}
	})
}
