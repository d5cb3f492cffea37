package coap

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/plgd-dev/go-coap/v3/message/codes"

	"tandem"
	"tandem/gateway"
	"tandem/report"
)

// The content formats that are used here (RFC 7252, 12.3).
const (
	formatText  = 0
	formatLinks = 40
	formatBytes = 42
	formatJSON  = 50
	formatCBOR  = 60
)

// mediaTypes are those of the formats that are read; what says none is looked at.
var mediaTypes = map[int]string{-1: "", formatText: "text/plain", formatBytes: "application/octet-stream", formatJSON: "application/json", formatCBOR: "application/cbor"}

// lingering is how long a connection stays whose device is let in no more.
const lingering = time.Second

// mostAnswer bounds what a device says of a command, in bytes.
const mostAnswer = 8 << 10

// links says what there is (RFC 6690).
const links = `</telemetry>;ct="50 60",</status>;ct="50 60",</commands>;obs;ct=50`

// answer finds out what a request is for, and does it.
func (c *conn) answer(ctx context.Context, f *frame, again bool) reply {
	r, err := readRequest(f)
	switch {
	case errors.Is(err, errProxy):
		return refusal(codes.ProxyingNotSupported, "this is no proxy")
	case err != nil:
		return refusal(codes.BadOption, "an option is not understood")
	case len(r.path) == 0:
		return refusal(codes.NotFound, "there is nothing here; post to /telemetry")
	}
	switch name := r.path[0]; {
	case name == "telemetry":
		return c.post(ctx, r, func(d gateway.Device, body []byte, format int) reply {
			return c.telemetry(ctx, r, d, body, format, again)
		})
	case name == "status" && len(r.path) == 1:
		return c.post(ctx, r, func(d gateway.Device, body []byte, format int) reply { return c.status(ctx, d, body, format) })
	case name == "commands" && len(r.path) == 1:
		return c.commands(ctx, r)
	case name == "commands" && len(r.path) == 2:
		return c.post(ctx, r, func(d gateway.Device, body []byte, format int) reply {
			return c.acknowledge(ctx, d, r.path[1], body, format)
		})
	case name == ".well-known" && len(r.path) == 2 && r.path[1] == "core" && r.code == codes.GET:
		p := answer(codes.Content)
		p.format, p.payload = formatLinks, []byte(links)
		return p
	}
	return refusal(codes.NotFound, "there is nothing at this path; post to /telemetry")
}

// post sees to what all that is posted needs: the device, and all of its blocks.
func (c *conn) post(ctx context.Context, r *request, then func(d gateway.Device, body []byte, format int) reply) reply {
	if r.code != codes.POST {
		return refusal(codes.MethodNotAllowed, "only POST is served here")
	}
	d, err := c.who(ctx, r)
	if err != nil {
		return c.refuse(err)
	}
	if _, known := mediaTypes[r.format]; !known {
		return refusal(codes.UnsupportedMediaType, "JSON (50) and CBOR (60) are read")
	}
	if r.block1 == nil {
		return then(d, r.payload, r.format)
	}
	c.mu.Lock()
	body, format, done, p := c.blocks.take(r, c.s.o.Clock())
	c.mu.Unlock()
	if !done {
		return p
	}
	p = then(d, body, format)
	if wait := p.later; wait != nil {
		return later(func() reply {
			p := wait()
			p.block1 = r.block1
			return p
		})
	}
	p.block1 = r.block1
	return p
}

// telemetry stores a report, or several.
func (c *conn) telemetry(ctx context.Context, r *request, d gateway.Device, body []byte, format int, again bool) reply {
	m := gateway.Message{Via: tandem.ViaCoAP, ContentType: mediaTypes[format], Body: body, Path: strings.Trim(strings.Join(r.path[1:], "/"), "/"), Again: again, Number: r.id}
	pending, err := c.s.o.Gateway.Begin(ctx, d, m)
	return c.stored(ctx, pending, err)
}

// stored answers once something is durable.
func (c *conn) stored(ctx context.Context, pending *gateway.Pending, err error) reply {
	if err != nil {
		return c.refuse(err)
	}
	return later(func() reply {
		if _, err := pending.Wait(ctx); err != nil {
			return c.refuse(err)
		}
		return answer(codes.Changed)
	})
}

// status notes that the device comes or goes: "online" or "offline", by itself or as status or online of an object.
func (c *conn) status(ctx context.Context, d gateway.Device, body []byte, format int) reply {
	online, err := readStatus(body, format)
	if err != nil {
		return c.refuse(err)
	}
	pending, err := c.s.o.Gateway.BeginStatus(ctx, d, tandem.ViaCoAP, online, false)
	return c.stored(ctx, pending, err)
}

// readStatus reads what is posted to the status.
func readStatus(body []byte, format int) (online bool, err error) {
	value, err := readValue(body, format)
	if err != nil {
		return false, err
	}
	if _, object := value.(map[string]any); !object {
		value = map[string]any{report.Online: value}
	}
	said := report.Read(report.Named(value), tandem.AllFields, zero)
	if said.Online == nil {
		return false, tandem.Errorf(tandem.Invalid, "gateway: status", "", "the status is neither online nor offline")
	}
	return *said.Online, nil
}

// readValue reads JSON or CBOR, or text by itself.
func readValue(body []byte, format int) (any, error) {
	var value any
	var err error
	switch format {
	case formatCBOR:
		value, err = report.DecodeCBOR(body)
	case formatJSON:
		value, err = report.DecodeJSON(body)
	default:
		if value, err = report.DecodeJSON(body); err != nil && utf8.Valid(body) {
			value, err = strings.TrimSpace(string(body)), nil
		}
	}
	if err != nil {
		return nil, tandem.Errorf(tandem.Malformed, "gateway: status", "", "%w", err)
	}
	return value, nil
}

// acknowledge takes what the device says of a command.
func (c *conn) acknowledge(ctx context.Context, d gateway.Device, id string, body []byte, format int) reply {
	if len(body) > mostAnswer {
		return refusal(codes.RequestEntityTooLarge, "the answer is too large")
	}
	if format == formatCBOR {
		value, err := report.DecodeCBOR(body)
		if err != nil {
			return c.refuse(tandem.Errorf(tandem.Malformed, "gateway: answer a command", id, "%w", err))
		}
		if body = report.Keep(value, nil); body == nil {
			return refusal(codes.RequestEntityTooLarge, "the answer is too large")
		}
	}
	said, err := gateway.ReadAnswer(id, body)
	if err != nil {
		return c.refuse(err)
	}
	return later(func() reply {
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		if err := c.s.o.Gateway.Acknowledge(ctx, d, said); err != nil {
			return c.refuse(err)
		}
		return answer(codes.Changed)
	})
}

// refuse answers an error; what is wrong here is logged. Who is let in no more has its connection ended.
func (c *conn) refuse(err error) reply {
	code := codeOf(err)
	text := "the server failed over this request; its log says why"
	var e *tandem.Error
	if errors.As(err, &e) && code != codes.InternalServerError {
		text = e.Message
	}
	if code == codes.InternalServerError {
		c.s.o.Log.Error("a device's request failed", "error", err)
	}
	p := refusal(code, text)
	if e != nil && (code == codes.TooManyRequests || code == codes.ServiceUnavailable) {
		p.maxAge = max(1, int(math.Ceil(e.RetryAfter.Seconds())))
	}
	if code == codes.Unauthorized && c.secured() { // a little later: the end may overtake what was said before it
		p.then = func() { time.AfterFunc(lingering, c.close) }
	}
	return p
}

// codeOf gives the code that an error stands for.
func codeOf(err error) codes.Code {
	switch tandem.CodeOf(err) {
	case tandem.Unauthorized:
		return codes.Unauthorized
	case tandem.Forbidden:
		return codes.Forbidden
	case tandem.NotFound:
		return codes.NotFound
	case tandem.RateLimited:
		return codes.TooManyRequests
	case tandem.Invalid, tandem.Malformed:
		if errors.Is(err, gateway.ErrTooLarge) {
			return codes.RequestEntityTooLarge
		}
		return codes.BadRequest
	case tandem.Unavailable, tandem.Timeout, tandem.DiskFull, tandem.Schema:
		return codes.ServiceUnavailable
	}
	return codes.InternalServerError
}

// refusal is an error with a few words for people (RFC 7252, 5.5.2).
func refusal(code codes.Code, text string) reply {
	p := answer(code)
	if len(text) > mostReason {
		text = strings.ToValidUTF8(text[:mostReason], "")
	}
	p.payload = []byte(text)
	return p
}

// preferred is the size of the blocks that a request wants of a payload.
func preferred(r *request) block {
	if r.block2 != nil {
		return *r.block2
	}
	return block{size: largestSize}
}

// acceptable reports whether a request takes an answer in JSON.
func acceptable(r *request) bool { return r.accept == -1 || r.accept == formatJSON }
