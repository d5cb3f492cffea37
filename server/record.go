package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"
)

// record is what is known of a request while it is under way, for the log and the metrics.
type record struct {
	id      string
	address netip.Addr
	https   bool
	route   string
	actor   string
	trace   string // the id of the trace it belongs to
	quiet   bool
	many    bool
	start   time.Time
	reply   *reply
}

type recordKey struct{}

// recordOf gives the request's record; one that nobody reads where there is none.
func recordOf(ctx context.Context) *record {
	if rec, ok := ctx.Value(recordKey{}).(*record); ok {
		return rec
	}
	return &record{}
}

// RequestID gives the id of the request that ctx belongs to, "" where it belongs to none.
func RequestID(ctx context.Context) string { return recordOf(ctx).id }

// Address gives the address of the client, past the proxies that are trusted; the zero value outside a request.
func Address(ctx context.Context) netip.Addr { return recordOf(ctx).address }

// NoteActor names who is acting, for the log: an id. It is called in the request's goroutine.
func NoteActor(ctx context.Context, id string) { recordOf(ctx).actor = id }

// NoteRoute names the pattern inside a handler that the request matched. It is called in the request's goroutine.
func NoteRoute(ctx context.Context, pattern string) { recordOf(ctx).route = pattern }

// recorded begins and ends a request's record, and turns a panic into a reply.
func (s *Server) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &record{start: s.clock(), route: "none"}
		s.identify(rec, r)
		rec.reply = &reply{ResponseWriter: w, time: s.o.Limits.ReplyTime}
		w.Header().Set("X-Request-Id", rec.id)
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		if s.o.Metrics != nil {
			s.o.Metrics.underWay.Inc()
			defer s.o.Metrics.underWay.Dec()
		}
		defer s.ended(rec, r)
		next.ServeHTTP(rec.reply, r)
	})
}

// ended is deferred: it recovers, logs and counts.
func (s *Server) ended(rec *record, r *http.Request) {
	cause := recover()
	abort := cause == http.ErrAbortHandler //nolint:errorlint // what was panicked with is compared, as net/http does
	if cause != nil && !abort {
		s.log.LogAttrs(r.Context(), slog.LevelError, "a request broke off", slog.String("request_id", rec.id), slog.String("route", rec.route),
			slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
		if rec.reply.status == 0 {
			writeProblem(rec.reply, r, http.StatusInternalServerError, "internal", "A fault of the server", "something went wrong that should not")
		} else {
			abort = true
		}
	}
	rec.reply.end()
	took := s.clock().Sub(rec.start)
	status := rec.reply.status
	if status == 0 {
		status = http.StatusOK
	}
	if s.o.Metrics != nil {
		s.o.Metrics.request(method(r), rec.route, status, took)
	}
	s.logRequest(rec, r, status, took, abort)
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// sumUpEvery is how often the log says how many deliveries were accepted, as long as some are.
const sumUpEvery = time.Minute

// sumUp counts an accepted delivery. Thousands of them may come in a second: the log has them by the minute.
func (s *Server) sumUp(r *http.Request) {
	n, now := s.accepted.Add(1), s.clock().UnixNano()
	last := s.summed.Load()
	if now-last < int64(sumUpEvery) || !s.summed.CompareAndSwap(last, now) {
		return
	}
	s.accepted.Add(-n)
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "requests of devices and deliveries were accepted", slog.Int64("n", n))
}

// logRequest writes the access log. What follows a ? may be a secret and is left out.
func (s *Server) logRequest(rec *record, r *http.Request, status int, took time.Duration, abort bool) {
	level := slog.LevelInfo
	switch {
	case rec.many && status < 300:
		level = slog.LevelDebug
		s.sumUp(r)
	case rec.quiet && status < 500:
		level = slog.LevelDebug
	case status >= 500:
		level = slog.LevelWarn
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", rec.id), slog.String("method", method(r)), slog.String("route", rec.route), slog.Int("status", status),
		slog.Int64("bytes", rec.reply.written), slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("address", rec.address.String()),
	}
	if rec.actor != "" {
		attrs = append(attrs, slog.String("actor_id", rec.actor))
	}
	if abort {
		attrs = append(attrs, slog.Bool("broken_off", true))
	}
	if rec.trace != "" {
		attrs = append(attrs, slog.String("trace_id", rec.trace))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// method gives the request's method, "other" for one of a stranger's invention.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// identify finds out who is calling, as far as the peer can be believed, and leaves handlers only that.
func (s *Server) identify(rec *record, r *http.Request) {
	peer := peerOf(r.RemoteAddr)
	rec.address, rec.https = peer, r.TLS != nil
	if s.trusts(peer) {
		rec.address = s.client(peer, r.Header.Values("X-Forwarded-For"))
		if proto := last(r.Header.Values("X-Forwarded-Proto")); proto != "" {
			rec.https = strings.EqualFold(proto, "https")
		}
		if id := r.Header.Get("X-Request-Id"); isRequestID(id) {
			rec.id = id
		}
	}
	if rec.id == "" && s.o.NewID != nil {
		rec.id = s.o.NewID()
	}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded", "X-Request-Id"} {
		r.Header.Del(name)
	}
	scheme := "http"
	if rec.https {
		scheme = "https"
	}
	r.Header.Set("X-Forwarded-Proto", scheme)
	if rec.address != peer {
		r.RemoteAddr = netip.AddrPortFrom(rec.address, 0).String()
	}
}

// trusts reports whether an address is a trusted proxy's.
func (s *Server) trusts(address netip.Addr) bool {
	for _, p := range s.o.TrustedProxies {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// client gives the right-most address of X-Forwarded-For that is no trusted proxy: what is left of it, anybody may have
// written. Where something is no address, nothing from there on is believed.
func (s *Server) client(peer netip.Addr, lines []string) netip.Addr {
	hops := strings.Split(strings.Join(lines, ","), ",")
	address := peer
	for i := len(hops) - 1; i >= 0; i-- {
		hop := peerOf(strings.TrimSpace(hops[i]))
		if !hop.IsValid() {
			return address
		}
		if address = hop; !s.trusts(hop) {
			return address
		}
	}
	return address
}

// peerOf reads an address, with or without a port.
func peerOf(text string) netip.Addr {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// last gives the last of comma-separated values.
func last(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	return strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:])
}

// isRequestID reports whether a text will do as an id in logs and headers.
func isRequestID(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	})
}
