package server

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
)

// handlerTime is how long a handler may take until it begins to reply, with what comes before.
const handlerTime = 10 * time.Minute

// slowest is the pace, in bytes a second, below which a reader is not waited for.
const slowest = 16 << 10

// piece is how much is written at once, so that a large reply is not one long wait.
const piece = 64 << 10

// reply is a ResponseWriter that remembers what was replied, and gives readers a time that grows with what they take:
// one who reads a byte now and then does not hold a connection for ever.
type reply struct {
	http.ResponseWriter
	time    time.Duration
	status  int
	written int64
	first   time.Time // when the reply began
	own     bool      // the handler sets deadlines itself
}

// Unwrap is for http.ResponseController.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status.
func (w *reply) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.renew()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts, and renews the deadline.
func (w *reply) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	total := 0
	for {
		w.renew()
		n, err := w.ResponseWriter.Write(p[:min(len(p), piece)])
		w.written += int64(n)
		total += n
		if p = p[n:]; err != nil || len(p) == 0 {
			return total, err
		}
	}
}

// Flush passes on what was written.
func (w *reply) Flush() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a reader who is gone is noticed by the next write
}

// SetWriteDeadline is for handlers that know better, such as streams: from then on they are on their own.
func (w *reply) SetWriteDeadline(at time.Time) error {
	w.own = true
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(at)
}

// renew moves the deadline on: the next piece must go out within the time, and the whole keep the pace.
func (w *reply) renew() {
	if w.own {
		return
	}
	now := time.Now() // connections go by the system's clock
	if w.first.IsZero() {
		w.first = now
	}
	until := now.Add(w.time)
	if pace := w.first.Add(w.time + time.Duration(w.written/slowest)*time.Second); pace.Before(until) {
		until = pace
	}
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(until) // not every ResponseWriter has one
}

// end bounds what the server itself still writes.
func (w *reply) end() { w.renew() }

// boundBody bounds a request's body. Once it is read, or when there is none, the time for reading it is over, and must
// not break off a handler that takes long.
func boundBody(w http.ResponseWriter, r *http.Request, limit int64) {
	control := http.NewResponseController(w)
	if r.Body == nil || r.Body == http.NoBody {
		_ = control.SetReadDeadline(time.Time{})
		return
	}
	r.Body = &body{ReadCloser: http.MaxBytesReader(w, r.Body, limit), control: control}
}

// body is a request's body.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	ended   bool
}

// Read ends the time for reading with the body.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && !b.ended {
		b.ended = true
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// problem is a failure as the API replies it (RFC 9457), for those that happen before it is asked.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Retry     int    `json:"retry_after,omitempty"`
}

// writeProblem replies a failure.
func writeProblem(w http.ResponseWriter, r *http.Request, status int, code, title, detail string) {
	p := problem{Type: "/api/docs/problems#" + code, Title: title, Status: status, Code: code, Detail: detail, RequestID: RequestID(r.Context())}
	if after, err := strconv.Atoi(w.Header().Get("Retry-After")); err == nil {
		p.Retry = after
	}
	text, err := json.Marshal(p)
	if err != nil {
		text = []byte("{}")
	}
	h := w.Header()
	h.Del("Content-Length")
	h.Del("Content-Encoding")
	h.Del("Etag")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a reader who is gone is noticed by the server
}

// tooMany refuses a request and says when to come again.
func tooMany(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	writeProblem(w, r, http.StatusTooManyRequests, "rate_limited", "Too many requests", "more requests came than this server takes from one side")
}
