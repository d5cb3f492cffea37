package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tandem"
)

// How long answers are kept, and how large they may be.
const (
	answerLife    = 24 * time.Hour
	answerPending = 15 * time.Minute // a request whose process died frees its key after this
	answerMax     = 1 << 20          // bytes; a larger one is not kept, and its key stays used
	maxKey        = 200              // characters
)

// replayedHeader marks a reply that was given before.
const replayedHeader = "Idempotency-Replayed"

// Once is the header of requests that are done at most once.
type Once struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"A text of up to 200 printable characters, new for each thing to do. The same request with the same key gets the same reply again for a day, and is not done twice."`
}

// onceKey marks an operation that takes the header; secretKey one whose reply is shown once and may not be stored.
const (
	onceKey   = "tandem-once"
	secretKey = "tandem-secret"
)

// parseKey reads an Idempotency-Key.
func parseKey(text string) (string, error) {
	if len(text) > maxKey {
		return "", tandem.Errorf(tandem.Invalid, "read Idempotency-Key", "", "Idempotency-Key has %d bytes, at most %d are allowed", len(text), maxKey)
	}
	for i := range len(text) {
		if text[i] < 0x21 || text[i] > 0x7e {
			return "", tandem.Errorf(tandem.Invalid, "read Idempotency-Key", "", "Idempotency-Key holds a byte that is no printable ASCII").
				WithHint("use a random text such as a UUID")
		}
	}
	return text, nil
}

// once does a request with an Idempotency-Key at most once, and replies what was replied before.
func (a *API) once(ctx huma.Context, next func(huma.Context)) {
	text := ctx.Header("Idempotency-Key")
	if text == "" || ctx.Operation().Metadata[onceKey] == nil {
		next(ctx)
		return
	}
	key, err := parseKey(text)
	if err != nil {
		reply(a.huma, ctx, problemOf(ctx.Context(), err))
		return
	}
	r, w := humago.Unwrap(ctx)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit(ctx.Operation())))
	if err != nil {
		reply(a.huma, ctx, bodyProblem(r.Context(), err))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := callerOf(r.Context())
	mine := tandem.Answer{Key: string(c.actor.Kind) + " " + c.actor.ID + " " + ctx.Operation().OperationID + " " + key,
		Fingerprint: fingerprint(r, body), ExpiresAt: a.options.Clock().Add(answerPending)}
	org := keptUnder(c)
	stored, begun, err := a.options.Store.BeginAnswer(r.Context(), org, mine, a.options.Clock())
	switch {
	case err != nil:
		reply(a.huma, ctx, problemOf(r.Context(), err))
	case begun:
		a.firstTime(ctx, r, w, org, mine, next)
	default:
		a.again(ctx, w, mine, stored)
	}
}

// keptUnder gives the organization that an answer is kept under: that of the request or, where only the body names it,
// always the same of the caller's. The key itself is the caller's alone.
func keptUnder(c caller) string {
	if c.org != "" || len(c.actor.Roles) == 0 {
		return c.org
	}
	return slices.Min(slices.Collect(maps.Keys(c.actor.Roles)))
}

// fingerprint tells requests under one key apart.
func fingerprint(r *http.Request, body []byte) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(r.Method), []byte(r.URL.Path), []byte(r.URL.RawQuery), body} {
		_, _ = h.Write([]byte(strconv.Itoa(len(part)) + ":")) // a hash takes everything
		_, _ = h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// again replies what was replied, or why it cannot be.
func (a *API) again(ctx huma.Context, w http.ResponseWriter, mine, stored tandem.Answer) {
	switch {
	case stored.Fingerprint != mine.Fingerprint:
		reply(a.huma, ctx, newProblem(ctx.Context(), tandem.Invalid, "another request was made with this Idempotency-Key", "use a new key for each thing to do"))
	case stored.Status == 0:
		p := newProblem(ctx.Context(), tandem.Busy, "the first request with this Idempotency-Key is still under way", "ask again in a moment")
		p.wait(&tandem.Error{Code: tandem.Busy})
		reply(a.huma, ctx, p)
	default:
		for name, value := range stored.Header {
			w.Header().Set(name, value)
		}
		w.Header().Set(replayedHeader, "true")
		w.WriteHeader(stored.Status)
		_, _ = w.Write(stored.Body) // whoever asked may have left
	}
}

// firstTime does the request and keeps the reply. A request that had no effect frees its key.
func (a *API) firstTime(ctx huma.Context, r *http.Request, w http.ResponseWriter, org string, mine tandem.Answer, next func(huma.Context)) {
	kept := context.WithoutCancel(r.Context()) // what was done is noted also when nobody waits for the reply
	rec := &recorder{ResponseWriter: w}
	finished := false
	defer func() {
		if !finished { // a panic: nobody knows what was done, so the key stays used until it expires
			a.logger(kept).ErrorContext(kept, "a request with an Idempotency-Key broke off", "operation", ctx.Operation().OperationID)
		}
	}()
	next(humago.NewContext(ctx.Operation(), r, rec))
	finished = true
	var err error
	if harmless(rec.status) {
		err = a.options.Store.DropAnswer(kept, org, mine.Key)
	} else {
		err = a.options.Store.FinishAnswer(kept, org, a.toKeep(kept, ctx.Operation(), mine, rec))
	}
	if err != nil {
		a.logger(kept).ErrorContext(kept, "the reply to a request with an Idempotency-Key is not kept", "error", err)
	}
}

// harmless reports whether a status says that nothing was done.
func harmless(status int) bool {
	return status >= 400 && status < 500 || status == http.StatusServiceUnavailable
}

// toKeep is the answer that is stored: never a secret, and never more than fits.
func (a *API) toKeep(ctx context.Context, op *huma.Operation, mine tandem.Answer, rec *recorder) tandem.Answer {
	mine.ExpiresAt = a.options.Clock().Add(answerLife)
	mine.Status, mine.Header, mine.Body = rec.status, map[string]string{}, rec.body.Bytes()
	for _, name := range []string{"Content-Type", "Location", "Etag"} {
		if value := rec.Header().Get(name); value != "" {
			mine.Header[name] = value
		}
	}
	if op.Metadata[secretKey] == nil && !rec.cut {
		return mine
	}
	p := newProblem(ctx, tandem.Exists, "this was done by an earlier request with this Idempotency-Key, whose reply is not repeated", "read what is there now")
	text, err := json.Marshal(p)
	if err != nil {
		text = nil
	}
	mine.Status, mine.Body, mine.Header = p.Status, text, map[string]string{"Content-Type": ProblemType}
	return mine
}

// recorder passes a reply on and keeps a copy.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	cut    bool
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write keeps what is written.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.body.Len()+len(p) > answerMax {
		r.cut = true
	} else {
		_, _ = r.body.Write(p) // a buffer takes everything
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets deadlines through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// bodyLimit gives how large an operation's body may be.
func bodyLimit(op *huma.Operation) int64 {
	if op.MaxBodyBytes > 0 {
		return op.MaxBodyBytes
	}
	return maxBody
}

// bodyProblem says why a body cannot be read.
func bodyProblem(ctx context.Context, err error) *Problem {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return newProblem(ctx, tooLarge, "the body has more than "+strconv.FormatInt(large.Limit, 10)+" bytes", "send less at once")
	}
	return newProblem(ctx, tandem.Timeout, "the body did not arrive", "send it again")
}
