package api_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"tandem"
)

// following is an open stream.
type following struct {
	w     *world
	stop  context.CancelFunc
	reply *http.Response
	lines chan string
}

// open begins to follow; query is what comes after the question mark.
func (w *world) open(token, query, last string) *following {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/v1/live?"+query, nil)
	w.must(err)
	r.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	reply, err := http.DefaultClient.Do(r)
	w.must(err)
	if reply.StatusCode != http.StatusOK || reply.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("the stream is %d, %s", reply.StatusCode, reply.Header.Get("Content-Type"))
	}
	f := &following{w: w, stop: stop, reply: reply, lines: make(chan string, 1000)}
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(reply.Body); s.Scan(); {
			f.lines <- s.Text()
		}
	}()
	return f
}

func (f *following) close() {
	f.stop()
	for range f.lines {
	}
	_ = f.reply.Body.Close()
}

// until reads to the line that begins so, and gives its rest.
func (f *following) until(begins string) string {
	f.w.t.Helper()
	for line := range f.lines {
		if rest, ok := strings.CutPrefix(line, begins); ok {
			return rest
		}
	}
	f.w.t.Fatalf("the stream ended before %q", begins)
	return ""
}

// TestLiveTellsOfChanges: what changes in an organization is told to its streams of that kind, and to no others.
func TestLiveTellsOfChanges(t *testing.T) {
	inBoth(t, func(w *world) {
		own, foreign, runs := w.open(w.token, "kinds=devices", ""), w.open(w.otherToken, "", ""), w.open(w.token, "kinds=runs", "")
		defer own.close()
		defer foreign.close()
		defer runs.close()
		for _, f := range []*following{own, foreign, runs} {
			f.until("id: ")
		}
		d := w.addDevice("one")
		own.until("event: devices")
		if data := own.until("data: "); !strings.Contains(data, d.ID) || strings.Contains(data, w.org.ID) {
			t.Errorf("the event is %s", data)
		}
		// The foreign stream hears of its own, first of all.
		w.as(w.otherToken).post("/api/v1/devices", `{"name":"two"}`).is(201)
		if data := foreign.until("data: "); strings.Contains(data, d.ID) {
			t.Errorf("another organization hears of %s", data)
		}
		w.as(w.token).post("/api/v1/services/prod/runs", `{"operation":"import"}`).is(202)
		if kind := runs.until("event: "); kind != "runs" {
			t.Errorf("the first event is about %s", kind)
		}
	})
}

// TestLiveGoesOnWhereItWas: a stream that comes back is told what it missed; one that was away too long, or brings an
// id that is not ours, is told to read again.
func TestLiveGoesOnWhereItWas(t *testing.T) {
	inBoth(t, func(w *world) {
		f := w.open(w.token, "", "")
		w.addDevice("seen")
		f.until("event: devices")
		id := f.until("id: ")
		f.close()
		missed := w.addDevice("missed")
		f = w.open(w.token, "", id)
		if data := f.until("data: "); !strings.Contains(data, missed.ID) {
			t.Errorf("told of %s", data)
		}
		f.close()
		for _, wrong := range []string{"x", "1.1", "zzzzzzzzzzzz.1", "0.", strings.Repeat("9", 250)} {
			f = w.open(w.token, "", wrong)
			if event := f.until("event: "); event != "reset" {
				t.Errorf("%q: the first event is %s", wrong, event)
			}
			f.close()
		}
	})
}

func TestLiveEndsWithTheServer(t *testing.T) {
	inOne(t, func(w *world) {
		f := w.open(w.token, "", "")
		f.until("id: ")
		w.api.Close()
		for range f.lines {
		}
		w.as(w.token).get("/api/v1/live").problem(503, tandem.Unavailable)
		f.close()
	})
}

func TestLiveRefusesWhatItDoesNotKnow(t *testing.T) {
	inOne(t, func(w *world) {
		w.as(w.token).get("/api/v1/live?kinds=devices,nothing").problem(422, tandem.Invalid)
		w.as(w.token).get("/api/v1/live?organization="+w.other.ID).problem(404, tandem.NotFound)
		w.as("").get("/api/v1/live").problem(401, tandem.Unauthorized)
	})
}

// TestStreamsOfOneCaller: one may hold so many at once; another has as many, and one that is closed makes room.
func TestStreamsOfOneCaller(t *testing.T) {
	inOne(t, func(w *world) {
		var open []*following
		for range 20 {
			open = append(open, w.open(w.token, "", ""))
		}
		refused := w.as(w.token).get("/api/v1/live")
		if refused.problem(429, tandem.RateLimited); refused.header.Get("Retry-After") == "" {
			t.Error("it does not say when to come again")
		}
		another, _ := w.newToken(w.org, tandem.Viewer)
		open = append(open, w.open(another, "", ""))
		open[0].close()
		for status := 429; status != 200; { // the server notices in its own time; the test ends with its deadline
			ctx, stop := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/v1/live", nil)
			w.must(err)
			r.Header.Set("Authorization", "Bearer "+w.token)
			reply, err := http.DefaultClient.Do(r)
			w.must(err)
			status = reply.StatusCode
			stop()
			_ = reply.Body.Close()
		}
		for _, f := range open[1:] {
			f.close()
		}
	})
}
