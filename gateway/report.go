package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"math"
	"time"
	"unicode/utf8"

	"tandem"
	"tandem/report"
)

// ErrTooLarge is in the chain of the Invalid error about a message that is larger than it may be.
var ErrTooLarge = errors.New("the message is too large")

// The retry that a sender is asked for.
const awayRetry = 2 * time.Second

// TelemetryPath is where a payload stands in a device's history when it names no other place.
const TelemetryPath = "telemetry"

// mostPath bounds a path, in bytes.
const mostPath = 200

// Message is what a device sent: a report, or a list of them.
type Message struct {
	Via         tandem.Via // by which it came
	ContentType string     // "" where the protocol carries none: then it is found out
	Body        []byte     // not changed afterwards
	Path        string     // below the device's telemetry, "" for TelemetryPath
	At          *time.Time // by the device's clock, for reports that name no time; nil where it said none
	Again       bool       // the protocol says that it may be a redelivery: the same content within a minute counts once
}

// Receipt is what became of a message.
type Receipt struct {
	Stored    int      // reports that are durable now
	Duplicate bool     // it is a redelivery of what was stored before
	Notes     []string // what was left out of the reports, and why
}

// Report stores what a device sent, and returns when it is durable. Errors: Unauthorized when the device is let in no
// more, RateLimited when it sends too much (RetryAfter says when to go on), Invalid or Malformed when what it sent can
// never be stored (ErrTooLarge among them), Unavailable when it can later. On any error but a Timeout of ctx nothing was stored.
func (g *Gateway) Report(ctx context.Context, d Device, m Message) (Receipt, error) {
	began := g.o.Clock()
	e, err := g.current(ctx, d)
	if err != nil {
		g.o.Meter.Count(m.Via, refusal(err), 1)
		return Receipt{}, err
	}
	said, err := g.read(&m)
	if err != nil {
		g.o.Meter.Count(m.Via, Malformed, 1)
		return Receipt{}, err
	}
	state := g.commits.state(&e.found.Device)
	digest := m.digest()
	if m.Again && state.stored(digest, began) {
		g.o.Meter.Count(m.Via, Duplicate, 1)
		return Receipt{Duplicate: true}, nil
	}
	if wait := state.take(len(said), g.o.Rate, g.o.Burst, began); wait > 0 {
		g.o.Meter.Count(m.Via, TooMany, len(said))
		return Receipt{}, &tandem.Error{Code: tandem.RateLimited, Op: "gateway: report", Thing: d.DeviceID, Message: "the device reports too often",
			Hint: "send less, or several reports in one message", RetryAfter: wait}
	}
	state.date(said, began)
	receipt, err := g.commit(ctx, d, state, said)
	if err != nil {
		g.o.Meter.Count(m.Via, refusal(err), len(said))
		return receipt, err
	}
	state.keep(digest, began)
	g.o.Meter.Count(m.Via, Stored, receipt.Stored)
	g.o.Meter.Took(m.Via, g.o.Clock().Sub(began))
	return receipt, nil
}

// Presence notes that a device came or went, at an instant of ours or (a last will's) of its own; nil for now. It
// returns when that is durable. Errors are those of Report.
func (g *Gateway) Presence(ctx context.Context, d Device, via tandem.Via, online bool, at *time.Time) error {
	began := g.o.Clock()
	e, err := g.known.get(ctx, d.key)
	if err != nil {
		return err
	}
	if e.found.Device.ID != d.ID { // it was revoked, which is no reason to take it for online
		if online {
			return errWrong()
		}
		e = &entry{found: tandem.Credentialed{Device: tandem.Device{ID: d.ID, OrganizationID: d.OrganizationID}}}
	}
	state := g.commits.state(&e.found.Device)
	said := []report.Said{{SentAt: at, Fields: tandem.AllFields, Status: &online, Told: !online}}
	state.date(said, began)
	_, err = g.commit(ctx, d, state, said)
	g.o.Meter.Count(via, refusal(err), 1)
	return err
}

// commit waits until reports are durable.
func (g *Gateway) commit(ctx context.Context, d Device, state *deviceState, said []report.Said) (Receipt, error) {
	w := &waiting{org: d.OrganizationID, state: state, said: said, answer: make(chan outcome, 1)}
	if !g.commits.add(w) {
		return Receipt{}, &tandem.Error{Code: tandem.Unavailable, Op: "gateway: report", Message: "too many reports wait for the database",
			Hint: "send it again later", RetryAfter: awayRetry}
	}
	select {
	case is := <-w.answer:
		return Receipt{Stored: len(said), Notes: is.notes}, is.err
	case <-ctx.Done():
		return Receipt{}, tandem.Errorf(tandem.Timeout, "gateway: report", d.DeviceID, "the report was not stored in time: %w", ctx.Err())
	}
}

// read takes a message apart.
func (g *Gateway) read(m *Message) ([]report.Said, error) {
	const op = "gateway: report"
	if len(m.Body) > g.o.MaxBody {
		return nil, tandem.Errorf(tandem.Invalid, op, "", "%w: it has %d bytes, and may have %d", ErrTooLarge, len(m.Body), g.o.MaxBody)
	}
	if m.Path == "" {
		m.Path = TelemetryPath
	}
	if len(m.Path) > mostPath || !utf8.ValidString(m.Path) || !report.Printable(m.Path) || m.Path == report.StatusPath {
		return nil, tandem.Errorf(tandem.Invalid, op, "", "the path cannot be one of a device's telemetry")
	}
	mediaType := report.MediaType(m.ContentType)
	if mediaType == "" || mediaType == "application/octet-stream" {
		mediaType = sniff(m.Body)
	}
	body, err := report.Decode(mediaType, m.Body)
	if err != nil {
		return nil, tandem.Errorf(tandem.Malformed, op, "", "%w", err)
	}
	list, several := body.Value.([]any)
	for i := range list {
		_, object := list[i].(map[string]any)
		several = several && object
	}
	if !several || len(list) == 0 {
		return []report.Said{one(m, body)}, nil
	}
	if len(list) > MostReports {
		return nil, tandem.Errorf(tandem.Invalid, op, "", "%w: it has %d reports, and may have %d", ErrTooLarge, len(list), MostReports)
	}
	said := make([]report.Said, len(list))
	for i, item := range list {
		said[i] = one(m, report.Payload{Value: item, Raw: report.Keep(item, nil)})
	}
	return said, nil
}

// sniff finds out what a body is.
func sniff(body []byte) string {
	switch {
	case json.Valid(body):
		return "application/json"
	case len(body) > 0 && (body[0]>>5 == 5 || body[0]>>5 == 4 || body[0]>>5 == 6) && !utf8.Valid(body):
		return "application/cbor" // a map, an array or a tag, which no text begins with
	case utf8.Valid(body):
		return "text/plain"
	}
	return "application/octet-stream"
}

// one makes a report of a payload.
func one(m *Message, p report.Payload) report.Said {
	said := report.Said{SentAt: m.At, Fields: tandem.AllFields, Find: report.Named(p.Value), Path: m.Path, Raw: p.Raw}
	object, ok := p.Value.(map[string]any)
	if !ok {
		if field, value := fieldOf(m.Path), p.Value; field != "" { // a value by itself, under its name
			if text, ok := value.(string); ok && field == report.Battery {
				value = json.Number(bytes.TrimSpace([]byte(text)))
			}
			said.Find = func(asked string) (any, bool) { return value, asked == field && value != nil }
			said.Raw = nil // the history has it as the value that it is
		}
		return said
	}
	if at := timeOf(object); at != nil {
		said.SentAt = at
	}
	return said
}

// fieldOf gives the field that a path names.
func fieldOf(path string) string {
	switch path {
	case "battery", report.Battery:
		return report.Battery
	case report.Location, report.Firmware:
		return path
	}
	return ""
}

// timeOf reads the time that a report names: RFC 3339, or seconds or milliseconds since 1970.
func timeOf(object map[string]any) *time.Time {
	var at time.Time
	for _, name := range []string{"time", "timestamp", "ts"} {
		switch v := object[name].(type) {
		case string:
			parsed, err := time.Parse(time.RFC3339Nano, v)
			if err != nil {
				continue
			}
			at = parsed
		case json.Number:
			f, err := v.Float64()
			if err != nil {
				continue
			}
			at = since1970(f)
		case float64:
			at = since1970(v)
		case int64:
			at = since1970(float64(v))
		case uint64:
			at = since1970(float64(v))
		default:
			continue
		}
		if at = at.UTC().Truncate(time.Microsecond); at.Year() >= 1970 && at.Year() < 9999 {
			return &at
		}
	}
	return nil
}

// since1970 takes large numbers for milliseconds.
func since1970(n float64) time.Time {
	if math.IsNaN(n) || math.Abs(n) > 1e14 {
		return time.Time{}
	}
	if math.Abs(n) < 1e11 {
		n *= 1000
	}
	return time.UnixMicro(int64(n * 1000))
}

var seed = maphash.MakeSeed()

// digest tells messages apart.
func (m *Message) digest() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(m.Path) // never fails
	_ = h.WriteByte(0)
	_, _ = h.Write(m.Body)
	return h.Sum64()
}
