package golioth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
)

// call is one operation on the wire.
type call struct {
	op      string // for errors
	thing   string // for errors
	method  string
	path    string // escaped, from /v1 on
	query   url.Values
	body    []byte // JSON, nil for none
	write   bool   // sent once, never again
	subject subject
	timeout time.Duration // 0 means the client's
	private Secret        // in the body; a refusal that shows some of it is not quoted
	// parse takes in a reply of status 200 to 299 where it was fetched; nil for a write, whose reply is taken in
	// after it. It runs again when a read is, and must then start afresh.
	parse func(*reply) error

	sent atomic.Bool // a request left, or may have
	last atomic.Pointer[reply]
}

// subject says what a path names, since a 404 means different things (API.md §1).
type subject uint8

const (
	aboutObject     subject = iota // one thing with an id
	aboutCollection                // a list, or a create: it is the project that is missing
	aboutDevice                    // a device, whose tags, blueprint or cohort may be what is missing
)

// reply is a reply read whole.
type reply struct {
	status int
	header http.Header
	body   *bytes.Buffer
	text   []byte // of body, until it is freed
}

// date gives the reply's Date, zero when there is none.
func (r *reply) date() time.Time {
	t, err := http.ParseTime(r.header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return t
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// free gives the body's memory to the next reply. Nothing may refer to text afterwards.
func (r *reply) free() {
	if r.body != nil && r.body.Cap() <= 1<<20 {
		bodies.Put(r.body)
	}
	r.body, r.text = nil, nil
}

// attemptError says how one attempt failed before there was a whole reply.
type attemptError struct {
	kind attemptKind
	err  error
}

type attemptKind uint8

const (
	kindNetwork  attemptKind = iota // connection, name, TLS
	kindTimeout                     // no whole reply in time
	kindCut                         // the body ended early
	kindTooLarge                    // the body passed MaxBody
	kindBroken                      // the body is no JSON, though it came whole
	kindShape                       // the body is JSON, or a web page, but not what was asked for
)

func (e *attemptError) Error() string { return e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

// passing reports whether a failed attempt may go well the next time.
func passing(err error) bool {
	var e *attemptError
	if !errors.As(err, &e) {
		return false
	}
	switch e.kind {
	case kindTimeout, kindCut, kindBroken:
		return true
	case kindNetwork:
		return !permanent(e.err)
	}
	return false // such as a reply of another shape: that is how this service speaks
}

// send does a call and gives a reply of status 200 to 299; the caller frees it. Other errors are *tandem.Error.
func (c *Client) send(ctx context.Context, k *call) (*reply, error) {
	executor := c.reads
	callCtx := ctx
	if k.write {
		executor = c.writes
		var cancel context.CancelFunc
		callCtx, cancel = context.WithTimeout(ctx, positive(k.timeout, c.writeTimeout))
		defer cancel()
	}
	r, err := executor.WithContext(callCtx).Get(func() (*reply, error) { return c.attempt(ctx, callCtx, k) })
	if err != nil {
		return nil, c.failure(k, err)
	}
	if r.status >= 200 && r.status <= 299 {
		return r, nil
	}
	defer r.free()
	refusal := c.refusal(k, r)
	if k.write && refused(r.status) {
		return nil, c.confirm(ctx, refusal)
	}
	return nil, refusal
}

// attempt sends the call once and reads the reply whole. The caller's own context comes along, since its end
// is no failure of the service; ctx bounds a write as a whole.
func (c *Client) attempt(caller, ctx context.Context, k *call) (*reply, error) {
	if err := c.awaitPause(ctx); err != nil {
		return nil, err
	}
	if c.budget != nil {
		release, err := c.budget.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	attemptCtx := ctx
	if !k.write {
		var cancel context.CancelFunc
		attemptCtx, cancel = context.WithTimeout(ctx, positive(k.timeout, c.readTimeout))
		defer cancel()
	}
	address := c.base + k.path
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	var body io.Reader
	if k.body != nil {
		body = bytes.NewReader(k.body)
	}
	request, err := http.NewRequestWithContext(attemptCtx, k.method, address, body)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, k.op, k.thing, "the request's address cannot be built")
	}
	request.Header.Set("x-api-key", string(c.key))
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "tandem")
	if k.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	k.sent.Store(true)
	// The transport is called directly: no redirect is followed, so that the key never goes to another host.
	response, err := c.transport.RoundTrip(request) //nolint:bodyclose // read closes it
	if err != nil {
		return nil, c.note(attemptFailure(caller, attemptCtx, err, kindNetwork))
	}
	r, err := read(response)
	if err != nil {
		return nil, c.note(attemptFailure(caller, attemptCtx, err, kindCut))
	}
	c.pause(r)
	if failing(r.status) {
		text := "HTTP " + http.StatusText(r.status)
		c.lastFailure.Store(&text)
	}
	k.last.Store(r)
	if k.parse != nil && r.status >= 200 && r.status <= 299 {
		if err := k.parse(r); err != nil {
			defer r.free()
			return nil, c.note(&attemptError{parseFailure(r, err), c.malformed(k, r, err)})
		}
	}
	return r, nil
}

// parseFailure tells a body that was damaged on its way, and may come whole the next time, from one of another shape.
func parseFailure(r *reply, err error) attemptKind {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && !html(r) {
		return kindBroken
	}
	return kindShape
}

// attemptFailure wraps an attempt's error; the caller's own end of patience stays what it is.
func attemptFailure(caller, attemptCtx context.Context, err error, kind attemptKind) error {
	var already *attemptError
	switch {
	case caller.Err() != nil:
		return caller.Err()
	case attemptCtx.Err() != nil:
		return &attemptError{kindTimeout, context.DeadlineExceeded}
	case errors.As(err, &already):
		return err
	case kind == kindNetwork && timedOut(err):
		kind = kindTimeout
	}
	return &attemptError{kind, err}
}

// note remembers a failure for the breaker's message.
func (c *Client) note(err error) error {
	if passing(err) {
		text := networkProblem(err, c.host).message
		c.lastFailure.Store(&text)
	}
	return err
}

// read reads a reply's body whole, up to the bound, and closes it.
func read(response *http.Response) (*reply, error) {
	defer func() { _ = response.Body.Close() }() // read whole; closing cannot lose anything
	buffer := bodies.Get().(*bytes.Buffer)       //nolint:errcheck // the pool holds nothing else
	buffer.Reset()
	if n := response.ContentLength; n > 0 && n <= MaxBody {
		buffer.Grow(int(n) + bytes.MinRead)
	}
	n, err := buffer.ReadFrom(io.LimitReader(response.Body, MaxBody+1))
	r := &reply{status: response.StatusCode, header: response.Header, body: buffer, text: buffer.Bytes()}
	if err != nil {
		r.free()
		return nil, err
	}
	if n > MaxBody {
		r.free()
		return nil, &attemptError{kindTooLarge, errors.New("the reply is larger than 16 MiB")}
	}
	return r, nil
}

// do sends a call and decodes the reply into v. A body of another shape is Malformed.
func (c *Client) do(ctx context.Context, k *call, v any) (time.Time, error) {
	parse := func(r *reply) error { return json.Unmarshal(r.text, v) } // leaves v alone when the syntax is wrong
	if !k.write {
		k.parse = parse
	}
	r, err := c.send(ctx, k)
	if err != nil {
		return time.Time{}, err
	}
	defer r.free()
	if k.write {
		if err := parse(r); err != nil {
			return time.Time{}, c.malformed(k, r, err)
		}
	}
	return r.date(), nil
}

// encode gives v as JSON. What the client sends always can be encoded, except a caller's own value.
func encode(op, thing string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, op, thing, "the value cannot be written as JSON: %w", err)
	}
	return body, nil
}

// under gives an escaped path under the project.
func (c *Client) under(segments ...string) string {
	return "/v1/projects/" + url.PathEscape(c.project) + join(segments)
}

func join(segments []string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// checkID refuses an id that would name another path than its own.
func checkID(op, id string) error {
	if id == "" || id == "." || id == ".." {
		return tandem.Errorf(tandem.Invalid, op, id, "the id is missing or cannot stand in a path")
	}
	return nil
}
