package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
)

// FuzzParseFields: whatever is selected, the names are known ones, each once, or the refusal is the caller's.
func FuzzParseFields(f *testing.F) {
	known := []string{"id", "name", "tags"}
	for _, seed := range []string{"", "id", "id,name", "id,,id", " name ", "colour", strings.Repeat("id,", 200), "\x00", "ID"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names, err := parseFields(text, known)
		if err != nil {
			refused(t, err)
			return
		}
		for i, name := range names {
			if !slices.Contains(known, name) || slices.Contains(names[:i], name) {
				t.Fatalf("%q gave %q", text, names)
			}
		}
	})
}

// FuzzIfMatch: what is taken for a version is one that we write, or *.
func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{"", "*", `"7"`, `W/"7"`, `"0"`, `"-1"`, `"+1"`, `"1", "2"`, `"9223372036854775808"`, "7", `""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		version, err := Edit{IfMatch: text}.version(t.Context())
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity && p.Status != http.StatusPreconditionRequired {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		plain := strings.TrimPrefix(strings.TrimSpace(text), "W/")
		if version == anyVersion && plain != "*" || version != anyVersion && plain != versionTag(version) {
			t.Fatalf("%q was taken for %d", text, version)
		}
	})
}

// FuzzParseKey: a key that is taken is printable and short.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"", "k", "with space", strings.Repeat("k", 201), "\x7f", "ü", "018f-9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := parseKey(text)
		if err != nil {
			refused(t, err)
			return
		}
		if key != text || len(key) > maxKey || strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) {
			t.Fatalf("%q was taken", text)
		}
	})
}

// FuzzQueries: what else a query holds is read or refused.
func FuzzQueries(f *testing.F) {
	for _, seed := range []string{"", "30s", "1h", "-1s", "devices,runs", "x", "1e9s", "9999999h", "5.a", "zz.", "-1.x", "kd3.1\r\nid: 2"} {
		f.Add(seed)
	}
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseWait(text); err != nil {
			refused(t, err)
		} else if d < 0 || d > maxWait {
			t.Fatalf("wait %q is %v", text, d)
		}
		if kinds, err := parseKinds(text); err != nil {
			refused(t, err)
		} else {
			for _, kind := range kinds {
				if !slices.Contains(eventKinds, kind) {
					t.Fatalf("kinds %q are %q", text, kinds)
				}
			}
		}
		if cursor, ok := parseEventID(text, now); ok && strings.ContainsAny(cursor, "\r\n\x00") {
			t.Fatalf("id %q gave %q", text, cursor)
		}
		if cursor, ok := parseEventID(eventID(now, "cursor-"+strings.Map(line, text)), now.Add(time.Minute)); !ok || cursor != "cursor-"+strings.Map(line, text) {
			t.Fatalf("an id of ours is not read back: %q", cursor)
		}
		if _, err := askedOrganization(text, "x"); err != nil {
			refused(t, err)
		}
		for _, element := range splitList(text) {
			if element == "" || strings.Contains(element, ",") {
				t.Fatalf("%q holds %q", text, element)
			}
		}
	})
}

func line(c rune) rune {
	if c == '\r' || c == '\n' || c == 0 {
		return -1
	}
	return c
}

// FuzzLocalPath: where a browser is sent after signing in is a page of this server, however it is read.
func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"", "/", "/devices?tag=a#x", "//evil.example.com", `/\evil`, "https://evil", "/%2f/evil", "/\tevil", "javascript:x", "///x", "/x//y", "/..//evil.example.com"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://tandem.example.com/api/v1/session/oidc/callback")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		to := localPath(text)
		u, err := base.Parse(to)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`) ||
			strings.ContainsAny(to, "\r\n\t") {
			t.Fatalf("%q leads to %q", text, to)
		}
	})
}

// FuzzParseValue: a value is JSON, whole.
func FuzzParseValue(f *testing.F) {
	for _, seed := range []string{"null", "1", "12345678901234567890", `"x"`, `{"a":[1]}`, "1 2", "{", "", "tru"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseValue([]byte(text))
		if err != nil {
			refused(t, err)
		} else if !json.Valid([]byte(text)) {
			t.Fatalf("%q was taken", text)
		}
	})
}

// refused fails unless an error is the caller's own.
func refused(t *testing.T, err error) {
	t.Helper()
	if !tandem.Is(err, tandem.Invalid) {
		t.Fatalf("the refusal is %v (%s)", err, tandem.CodeOf(err))
	}
	if p := problemOf(context.Background(), err); p.Status != http.StatusUnprocessableEntity || len(p.Detail) > 500 {
		t.Fatalf("the problem is %v", p)
	}
}

// TestProblemsOfErrors: every code has a status, nothing of the server's own faults is told, and what a service behind
// refused is not the caller's refusal.
func TestProblemsOfErrors(t *testing.T) {
	ctx := t.Context()
	for code, k := range kinds {
		p := problemOf(ctx, &tandem.Error{Code: code, Message: "a message", Hint: "a hint", Err: errors.New("inner text")})
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if p.Status != k.status || strings.Contains(string(text), "inner text") || (p.Status == 500) == strings.Contains(string(text), "a message") {
			t.Errorf("%s: %s", code, text)
		}
		if (p.Status == 429 || p.Status == 503 || code == tandem.Busy) && code != tandem.RateLimited && p.header.Get("Retry-After") == "" {
			t.Errorf("%s does not say when to try again", code)
		}
	}
	for _, err := range []error{errors.New("the password is hunter2"), &tandem.Error{Code: "new", Message: "hunter2"}, &tandem.Error{Code: tandem.Unavailable, Err: errors.New("hunter2")}} {
		text, marshalErr := json.Marshal(problemOf(ctx, err))
		if marshalErr != nil || strings.Contains(string(text), "hunter2") {
			t.Errorf("%s", text)
		}
	}
	remote := problemOf(ctx, &tandem.Error{Code: tandem.Unauthorized, Op: "golioth: project", Message: "the key is wrong"})
	if remote.Status != http.StatusBadGateway || remote.Code != "unauthorized" || remote.header.Get("WWW-Authenticate") != "" {
		t.Errorf("a refused key is %v", remote)
	}
	late := problemOf(ctx, &tandem.Error{Code: tandem.RateLimited, RetryAfter: 1500 * time.Millisecond})
	if late.header.Get("Retry-After") != "2" || late.Retry != 2 {
		t.Errorf("to wait: %v", late.header)
	}
}

// TestCacheForgets: what is forgotten while it is looked up is not kept, and the cache stays within its bounds.
func TestCacheForgets(t *testing.T) {
	now := time.Unix(0, 0)
	c := newCache[int](func() time.Time { return now }, time.Second, 3)
	looks := 0
	get := func(key string, during func()) int {
		v, err := c.get(key, func() (int, error) {
			looks++
			during()
			return looks, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	nothing := func() {}
	for range 2 {
		if get("a", nothing) != 1 {
			t.Error("it is not kept")
		}
	}
	c.forget("a")
	if get("a", func() { c.forget("a") }) != 2 || get("a", nothing) != 3 {
		t.Error("what was forgotten meanwhile is kept")
	}
	if get("b", func() { c.forgetAll(func(int) bool { return true }) }) != 4 || get("b", nothing) != 5 || get("a", nothing) != 6 {
		t.Error("what was forgotten with all is kept")
	}
	now = now.Add(time.Second)
	if get("a", nothing) != 7 {
		t.Error("it is kept for longer")
	}
	for _, key := range []string{"c", "d", "e", "f"} {
		get(key, nothing)
	}
	if len(c.kept) > 3 || len(c.asking) != 0 || len(c.epochs) != 0 {
		t.Errorf("it holds %d, %d, %d", len(c.kept), len(c.asking), len(c.epochs))
	}
	if _, err := c.get("g", func() (int, error) { return 0, errors.New("no") }); err == nil || len(c.kept) > 3 {
		t.Error("a failure is kept")
	}
}

// TestSlowStreamsLoseTheirPlaceAlone: a stream that is not read gets a reset when it is read again, and the others
// their events.
func TestSlowStreamsLoseTheirPlaceAlone(t *testing.T) {
	h := newHub(nil, nil)
	h.cursor = "7"
	slow, quick := &stream{org: "o", batches: make(chan batch, streamBuffer)}, &stream{org: "o", batches: make(chan batch, streamBuffer)}
	got := 0
	for range streamBuffer + 5 {
		b := batch{frames: []frame{{"devices", []byte(`{}`)}}, cursor: "1"}
		slow.offer(b)
		quick.offer(b)
		if one := <-quick.batches; !one.reset {
			got++
		}
	}
	if got != streamBuffer+5 {
		t.Errorf("the quick one got %d", got)
	}
	for range streamBuffer {
		if one := <-slow.batches; one.reset {
			t.Error("a reset before what was kept")
		}
	}
	if cursor, lost := h.position(slow); cursor != "7" || !lost {
		t.Errorf("at its heartbeat it is at %q, %v", cursor, lost)
	}
	for range streamBuffer + 1 {
		slow.offer(batch{frames: []frame{{"devices", nil}}})
	}
	for range streamBuffer {
		<-slow.batches
	}
	slow.offer(batch{frames: []frame{{"devices", nil}}, cursor: "8"})
	if one := <-slow.batches; !one.reset || len(one.frames) != 0 {
		t.Errorf("after it lost its place it gets %+v", one)
	}
}
