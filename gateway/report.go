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

// The retries that a sender is asked for.
const (
	awayRetry    = 2 * time.Second
	crowdedRetry = 200 * time.Millisecond
)

// TelemetryPath is where a payload stands in a device's history when it names no other place.
const TelemetryPath = "telemetry"

// heldFor is how long a device's messages may have waited elsewhere.
const heldFor = time.Hour

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
	Held        bool       // it came by somebody who keeps messages while this program is away: an hour's worth may come at once
	Number      uint16     // what the protocol tells a device's messages apart by, a redelivery having the same; 0 for nothing
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
	p, err := g.Begin(ctx, d, m)
	if err != nil {
		return Receipt{}, err
	}
	return p.Wait(ctx)
}

// Begin is Report for who sends on before the answer is there: the order of the calls is the order in which the
// device's messages count. Its errors are those of Report; the rest comes from Wait.
func (g *Gateway) Begin(ctx context.Context, d Device, m Message) (*Pending, error) {
	began := g.o.Clock()
	e, err := g.current(ctx, d)
	if err != nil {
		g.o.Meter.Count(m.Via, refusal(err), 1)
		return nil, err
	}
	state := g.commits.state(&e.found.Device)
	if len(m.Body) > g.o.MaxBody { // it is refused for good, however much waits
		return g.begin(d, &m, state, 0, began)
	}
	size := unfolded*len(m.Body) + leastSize
	if err = g.reserve(state, size); err != nil {
		if m.Held && tandem.Is(err, tandem.RateLimited) { // who holds it can hold it longer
			err = queueFull()
		}
		g.o.Meter.Count(m.Via, refusal(err), 1)
		return nil, err
	}
	p, err := g.begin(d, &m, state, size, began)
	if err != nil || p.again {
		g.commits.release(state, size)
	}
	return p, err
}

// begin is Begin with the room that the message needs.
func (g *Gateway) begin(d Device, m *Message, state *deviceState, size int, began time.Time) (*Pending, error) {
	said, err := g.read(m)
	if err != nil {
		g.o.Meter.Count(m.Via, Malformed, 1)
		return nil, err
	}
	p := &Pending{g: g, via: m.Via, device: d.DeviceID, n: len(said), began: began}
	digest := m.digest()
	if m.Again {
		if p.w = state.known(digest, began); p.w != nil {
			p.again = true
			return p, nil
		}
	}
	if wait := state.take(len(said), g.o.Rate, g.burst(m.Held), began); wait > 0 {
		g.o.Meter.Count(m.Via, TooMany, len(said))
		return nil, tooOften(d, wait)
	}
	state.date(said, began)
	if p.w, err = g.commit(d.OrganizationID, state, said, size); err != nil {
		g.o.Meter.Count(m.Via, refusal(err), len(said))
		return nil, err
	}
	state.keep(digest, began, p.w)
	return p, nil
}

// Presence notes that a device came or went, at an instant of ours or (a last will's) of its own; nil for now. It
// returns when that is durable. Errors are those of Report.
func (g *Gateway) Presence(ctx context.Context, d Device, via tandem.Via, online bool, at *time.Time) error {
	p, err := g.BeginPresence(ctx, d, via, online, at)
	if err != nil {
		return err
	}
	_, err = p.Wait(ctx)
	return err
}

// BeginPresence is to Presence what Begin is to Report.
func (g *Gateway) BeginPresence(ctx context.Context, d Device, via tandem.Via, online bool, at *time.Time) (*Pending, error) {
	began := g.o.Clock()
	e, err := g.known.get(ctx, d.key)
	if err != nil {
		return nil, err
	}
	if e.found.Device.ID != d.ID { // it was revoked, which is no reason to take it for online
		if online {
			return nil, errWrong()
		}
		e = &entry{found: tandem.Credentialed{Device: tandem.Device{ID: d.ID, OrganizationID: d.OrganizationID}}}
	}
	state := g.commits.state(&e.found.Device)
	said := []report.Said{{SentAt: at, Fields: tandem.AllFields, Status: &online, Told: !online}}
	state.date(said, began)
	p := &Pending{g: g, via: via, device: d.DeviceID, n: 1, began: began}
	if err = g.reserve(state, leastSize); err == nil {
		if p.w, err = g.commit(d.OrganizationID, state, said, leastSize); err != nil {
			g.commits.release(state, leastSize)
		}
	}
	if err != nil {
		g.o.Meter.Count(via, refusal(err), 1)
		return nil, err
	}
	return p, nil
}

// BeginStatus is BeginPresence for what a device says of itself, which counts as a report does among those it may send;
// held is Message.Held.
func (g *Gateway) BeginStatus(ctx context.Context, d Device, via tandem.Via, online, held bool) (*Pending, error) {
	if err := g.allow(ctx, d, via, held); err != nil {
		return nil, err
	}
	return g.BeginPresence(ctx, d, via, online, nil)
}

// allow counts something that a device says beside its reports, and says when it was too much.
func (g *Gateway) allow(ctx context.Context, d Device, via tandem.Via, held bool) error {
	e, err := g.current(ctx, d)
	if err != nil {
		return err
	}
	if wait := g.commits.state(&e.found.Device).take(1, g.o.Rate, g.burst(held), g.o.Clock()); wait > 0 {
		g.o.Meter.Count(via, TooMany, 1)
		return tooOften(d, wait)
	}
	return nil
}

// burst is how much a device may say at once.
func (g *Gateway) burst(held bool) int {
	if held {
		return max(g.o.Burst, int(g.o.Rate*heldFor.Seconds()))
	}
	return g.o.Burst
}

// Pending is a message that waits for its commit.
type Pending struct {
	g      *Gateway
	via    tandem.Via
	device string
	n      int
	began  time.Time
	w      *waiting
	again  bool // it came before, as w
}

// Wait returns once the message is durable, or is not. It is called once; a message that nobody waits for is stored all the same.
func (p *Pending) Wait(ctx context.Context) (Receipt, error) {
	select {
	case <-p.w.done:
	case <-ctx.Done():
		return Receipt{}, tandem.Errorf(tandem.Timeout, "gateway: report", p.device, "the report was not stored in time: %w", ctx.Err())
	}
	switch is := &p.w.is; {
	case is.err != nil:
		p.g.o.Meter.Count(p.via, refusal(is.err), p.n)
		return Receipt{}, is.err
	case p.again:
		p.g.o.Meter.Count(p.via, Duplicate, 1)
		return Receipt{Duplicate: true}, nil
	default:
		p.g.o.Meter.Count(p.via, Stored, p.n)
		p.g.o.Meter.Took(p.via, p.g.o.Clock().Sub(p.began))
		return Receipt{Stored: p.n, Notes: is.notes}, nil
	}
}

// reserve takes the room for a message, or says why there is none.
func (g *Gateway) reserve(state *deviceState, size int) error {
	switch g.commits.reserve(state, size) {
	case full:
		return queueFull()
	case crowded:
		return &tandem.Error{Code: tandem.RateLimited, Op: "gateway: report", Message: "too much of this device waits for the database",
			Hint: "send less at once", RetryAfter: crowdedRetry}
	}
	return nil
}

// commit queues reports, for which room is reserved, for the database.
func (g *Gateway) commit(org string, state *deviceState, said []report.Said, size int) (*waiting, error) {
	w := &waiting{org: org, state: state, said: said, size: size, done: make(chan struct{})}
	if !g.commits.queue.Add(w) {
		return nil, queueFull()
	}
	return w, nil
}

func queueFull() error {
	return &tandem.Error{Code: tandem.Unavailable, Op: "gateway: report", Message: "too many reports wait for the database",
		Hint: "send it again later", RetryAfter: awayRetry}
}

// tooOften is the answer to a device that says too much.
func tooOften(d Device, wait time.Duration) error {
	return &tandem.Error{Code: tandem.RateLimited, Op: "gateway: report", Thing: d.DeviceID, Message: "the device reports too often",
		Hint: "send less, or several reports in one message", RetryAfter: wait}
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

// notKept is the note about a payload that the history has no room for.
const notKept = "the payload is too large for the history, which takes 16 KB of one, and is not kept"

// one makes a report of a payload.
func one(m *Message, p report.Payload) report.Said {
	said := report.Said{SentAt: m.At, Fields: tandem.AllFields, Find: report.Named(p.Value), Path: m.Path, Raw: p.Raw}
	if p.Raw == nil {
		said.Note = notKept
	}
	object, ok := p.Value.(map[string]any)
	if !ok {
		if field, value := fieldOf(m.Path), p.Value; field != "" { // a value by itself, under its name
			if text, ok := value.(string); ok && field == report.Battery {
				value = json.Number(bytes.TrimSpace([]byte(text)))
			}
			said.Find = func(asked string) (any, bool) { return value, asked == field && value != nil }
			said.Raw, said.Note = nil, "" // the history has it as the value that it is
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
	_, _ = h.Write([]byte{0, byte(m.Number >> 8), byte(m.Number)})
	_, _ = h.Write(m.Body)
	return h.Sum64()
}
