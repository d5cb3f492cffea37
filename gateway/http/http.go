package http

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem"
	"tandem/gateway"
	"tandem/report"
)

// Prefix is where a Handler is mounted.
const Prefix = "/ingest/v1/"

// The bounds of requests.
const (
	mostWait    = 60 * time.Second       // for a command
	bodyTime    = 15 * time.Second       // for reading a body
	waitMargin  = 10 * time.Second       // for answering after a wait
	mostAnswer  = 8 << 10                // bytes of a command's answer
	mostAtOnce  = 100                    // commands in one reply
	leastWait   = 500 * time.Millisecond // so that what is there is given, whether or not it is waited for
	collectTime = 20 * time.Millisecond

	sendingRetry = time.Second
	mostWaiting  = 4 // requests of one device for its commands …
	mostSending  = 8 // … and of what it says, at once
)

// Options say how devices are served over HTTP.
type Options struct {
	Gateway *gateway.Gateway
	Log     *slog.Logger                 // nil for none
	Address func(r *http.Request) string // where a request came from; nil for its connection's address
	Stopped <-chan struct{}              // closed when waiting requests are to be answered; nil for never
}

// Handler serves the routes below Prefix.
type Handler struct {
	o   Options
	mux *http.ServeMux

	waiting, sending places
}

// New makes a Handler.
func New(o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Address == nil {
		o.Address = func(r *http.Request) string {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				return r.RemoteAddr
			}
			return host
		}
	}
	h := &Handler{o: o, mux: http.NewServeMux(), waiting: places{most: mostWaiting}, sending: places{most: mostSending}}
	h.mux.HandleFunc("POST "+Prefix+"telemetry", h.in(h.saying(h.telemetry)))
	h.mux.HandleFunc("POST "+Prefix+"telemetry/{path...}", h.in(h.saying(h.telemetry)))
	h.mux.HandleFunc("GET "+Prefix+"commands", h.in(h.commands))
	h.mux.HandleFunc("POST "+Prefix+"commands/{id}", h.in(h.saying(h.answer)))
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, tandem.Errorf(tandem.NotFound, "", "", "there is nothing at this address").WithHint("post to %stelemetry, or get %scommands", Prefix, Prefix))
	})
	return h
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, r)
}

// in lets the device in first.
func (h *Handler) in(next func(w http.ResponseWriter, r *http.Request, d gateway.Device)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, err := h.authenticate(r)
		if err != nil {
			if tandem.Is(err, tandem.Unauthorized) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="devices"`)
			}
			h.refuse(w, err)
			return
		}
		next(w, r, d)
	}
}

// saying bounds what one device says at once: each request holds memory for its body, and a place among what waits for the
// database, that others need too.
func (h *Handler) saying(next func(w http.ResponseWriter, r *http.Request, d gateway.Device)) func(w http.ResponseWriter, r *http.Request, d gateway.Device) {
	return func(w http.ResponseWriter, r *http.Request, d gateway.Device) {
		if !h.sending.enter(d.ID) {
			h.refuse(w, &tandem.Error{Code: tandem.RateLimited, Message: "the device says too much at once", Hint: "wait for a reply before the next request, or send several reports in one", RetryAfter: sendingRetry})
			return
		}
		defer h.sending.leave(d.ID)
		next(w, r, d)
	}
}

// authenticate goes by the token where there is one, else by the certificate.
func (h *Handler) authenticate(r *http.Request) (gateway.Device, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && token != "" {
		return h.o.Gateway.Authenticate(r.Context(), gateway.Claim{Kind: tandem.TokenCredential, Secret: token, Address: h.o.Address(r)})
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return h.o.Gateway.Certificate(r.Context(), r.TLS.VerifiedChains[0][0], h.o.Address(r))
	}
	return gateway.Device{}, tandem.Errorf(tandem.Unauthorized, "", "", "the request names no device").
		WithHint("send its token: Authorization: Bearer tdd_…")
}

// telemetry stores a report, or several.
func (h *Handler) telemetry(w http.ResponseWriter, r *http.Request, d gateway.Device) {
	mediaType := report.MediaType(r.Header.Get("Content-Type"))
	if mediaType == "application/x-www-form-urlencoded" { // what curl -d says of whatever it sends
		mediaType = ""
	}
	body, err := h.read(w, r, int64(h.o.Gateway.MaxBody()))
	if err != nil {
		h.refuse(w, err)
		return
	}
	receipt, err := h.o.Gateway.Report(r.Context(), d, gateway.Message{Via: tandem.ViaHTTP, ContentType: mediaType, Body: body, Path: strings.Trim(r.PathValue("path"), "/")})
	if err != nil {
		h.refuse(w, err)
		return
	}
	reply(w, http.StatusAccepted, struct {
		Stored int      `json:"stored"`
		Notes  []string `json:"notes,omitempty"`
	}{receipt.Stored, receipt.Notes})
}

// read reads a body within its bounds.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	// Not every ResponseWriter can do this; the server's own timeouts hold in any case.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tandem.Errorf(tandem.Invalid, "", "", "%w: it may have %d bytes", gateway.ErrTooLarge, most)
	case err != nil:
		return nil, tandem.Errorf(tandem.Malformed, "", "", "the body ended early or came too slowly")
	}
	return body, nil
}

// commands gives what waits for the device, after waiting for it as long as the request says.
func (h *Handler) commands(w http.ResponseWriter, r *http.Request, d gateway.Device) {
	wait, err := waitOf(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	if !h.waiting.enter(d.ID) {
		h.refuse(w, &tandem.Error{Code: tandem.RateLimited, Message: "the device asks for its commands several times at once already", Hint: "wait for one reply before the next request", RetryAfter: leastWait})
		return
	}
	defer h.waiting.leave(d.ID)
	// Not every ResponseWriter can do this; those that cannot have no deadline either.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + waitMargin))
	ctx, cancel := context.WithTimeout(r.Context(), max(wait, leastWait))
	defer cancel()
	given := make(chan tandem.Command, mostAtOnce)
	end := h.o.Gateway.Commands(d, tandem.ViaHTTP, func(c tandem.Command) error {
		select {
		case given <- c:
			return nil
		default:
			return errFull
		}
	})
	defer end()
	list := []command{}
	for {
		select {
		case c := <-given:
			list = append(list, command{c.ID, c.Name, c.Payload, c.ExpiresAt})
			if len(list) == 1 { // what waits beside it comes at once
				var collected context.CancelFunc
				ctx, collected = context.WithTimeout(r.Context(), collectTime)
				defer collected()
			}
			if len(list) < mostAtOnce {
				continue
			}
		case <-ctx.Done():
		case <-h.o.Stopped:
		}
		break
	}
	if err := h.o.Gateway.Check(r.Context(), d); err != nil { // it may have been let out while it waited
		h.refuse(w, err)
		return
	}
	reply(w, http.StatusOK, struct {
		Commands []command `json:"commands"`
	}{list})
}

var errFull = errors.New("the reply is full")

// command is one as its device sees it.
type command struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Payload   json.RawMessage `json:"payload"`
	ExpiresAt time.Time       `json:"expires_at"`
}

// waitOf reads how long a request waits: ?wait=30s, or a number of seconds.
func waitOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if seconds, asNumber := strconv.Atoi(text); asNumber == nil {
		wait, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || wait < 0 || wait > mostWait {
		return 0, tandem.Errorf(tandem.Invalid, "", "", "wait is no time between 0 and %d seconds", int(mostWait.Seconds()))
	}
	return wait, nil
}

// answer takes what the device says of a command.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, d gateway.Device) {
	body, err := h.read(w, r, mostAnswer)
	if err != nil {
		h.refuse(w, err)
		return
	}
	answer, err := gateway.ReadAnswer(r.PathValue("id"), body)
	if err == nil {
		err = h.o.Gateway.Acknowledge(r.Context(), d, answer)
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// refuse answers an error; what is wrong here is logged.
func (h *Handler) refuse(w http.ResponseWriter, err error) {
	if status(err) == http.StatusInternalServerError {
		h.o.Log.Error("a device's request failed", "error", err)
		err = tandem.Errorf(tandem.Internal, "", "", "the server failed over this request").WithHint("its log says why")
	}
	problem(w, err)
}

// status gives the one that an error stands for.
func status(err error) int {
	switch tandem.CodeOf(err) {
	case tandem.Unauthorized:
		return http.StatusUnauthorized
	case tandem.Forbidden:
		return http.StatusForbidden
	case tandem.NotFound:
		return http.StatusNotFound
	case tandem.RateLimited:
		return http.StatusTooManyRequests
	case tandem.Invalid, tandem.Malformed:
		if errors.Is(err, gateway.ErrTooLarge) {
			return http.StatusRequestEntityTooLarge
		}
		return http.StatusBadRequest
	case tandem.Unavailable, tandem.Timeout, tandem.DiskFull, tandem.Schema:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// problem answers as RFC 9457 says.
func problem(w http.ResponseWriter, err error) {
	var e *tandem.Error
	if !errors.As(err, &e) {
		e = tandem.Errorf(tandem.Internal, "", "", "the request failed")
	}
	code := status(err)
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(e.RetryAfter.Seconds())))))
	}
	text, marshal := json.Marshal(map[string]any{"type": "about:blank", "title": http.StatusText(code), "status": code, "code": e.Code, "detail": e.Message, "hint": e.Hint})
	if marshal != nil { // texts and a number only
		text = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	_, _ = w.Write(text) // who went away gets no answer
}

func reply(w http.ResponseWriter, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		problem(w, tandem.Errorf(tandem.Internal, "", "", "the reply cannot be written"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // who went away gets no answer
}
