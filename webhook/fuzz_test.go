package webhook

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tandem"
	"tandem/report"
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
			if !utf8.ValidString(value) || !report.Printable(value) || len(value) > mostCE+2 {
				t.Errorf("%s is kept as %q", name, value)
			}
		}
	})
}

// checkIdentity says what must hold of whatever was let in: the database takes it.
func checkIdentity(t *testing.T, id identity) {
	t.Helper()
	for _, text := range []string{id.event, id.kind, id.device, id.project, id.path} {
		if !utf8.ValidString(text) || !report.Printable(text) || len(text) > mostPath {
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
