package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tandem"
	"tandem/registry"
)

// How a stream is kept.
const (
	recheck      = 2                // heartbeats: whether whoever opened the stream still may read it
	writeTimeout = 20 * time.Second // for what a reader does not take
	resumeWithin = 30 * time.Minute // events are kept for longer; see tandem.DefaultRetention
	reconnectMS  = 2000
)

// eventKinds are what a stream can be narrowed to.
var eventKinds = []string{"devices", "conflicts", "runs", "services", "deliveries", "alerts", "commands", "credentials", "device.online", "device.offline"}

// readsKind is what lets somebody hear of a kind.
var readsKind = map[string]registry.Permission{"devices": registry.ReadDevices, "device.online": registry.ReadDevices, "device.offline": registry.ReadDevices,
	"conflicts": registry.ReadConflicts, "runs": registry.ReadRuns, "services": registry.ReadServices, "deliveries": registry.ReadDeliveries, "alerts": registry.ReadAlerts,
	"commands": registry.ReadDevices, "credentials": registry.ReadDevices} // both by device

type liveInput struct {
	OrganizationParam
	Kinds       string `query:"kinds" maxLength:"500" doc:"Only events of these kinds, separated by commas: devices, conflicts, runs, services, deliveries, alerts, commands, credentials, device.online, device.offline."`
	LastEventID string `header:"Last-Event-ID" maxLength:"300" doc:"The id of the last event that was seen: the stream goes on after it."`
}

// live registers the stream. It says what changed, not what it is now: whoever looks reads that again.
func (a *API) live() {
	handle(a, huma.Operation{OperationID: "live", Method: http.MethodGet, Path: "/api/v1/live", Tags: []string{"live"},
		Summary: "Follow what changes",
		Description: "Server-sent events. Each has the kind as its event name and `{id, at, kind, ids, many}` as its data: a hint to read those things again; " +
			"with `many`, more than the ids say. An event named `reset` says that some were missed: read everything that is shown. " +
			"Without kinds it tells of all that the caller may read. A comment comes every 15 seconds. One person or token may hold 20 streams at once; the next is 429. The stream ends within a minute after the session or token that opened it.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}},
	}, func(ctx context.Context, in *liveInput) (*huma.StreamResponse, error) {
		c := callerOf(ctx)
		kinds, err := parseKinds(in.Kinds)
		if err == nil {
			kinds, err = c.heard(kinds)
		}
		if err != nil {
			return nil, err
		}
		s, cursor, err := a.hub.open(ctx, c.org, string(c.actor.Kind)+" "+c.actor.ID, kinds)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hctx huma.Context) {
			defer a.hub.leave(s)
			r, w := humago.Unwrap(hctx)
			a.stream(r, w, s, cursor, in.LastEventID)
		}}, nil
	})
}

// parseKinds reads the kinds that a stream is narrowed to.
func parseKinds(text string) ([]string, error) {
	kinds := splitList(text)
	for _, kind := range kinds {
		if !slices.Contains(eventKinds, kind) {
			return nil, tandem.Errorf(tandem.Invalid, "follow events", "", "there are no events of the kind %.40q", kind).
				WithHint("the kinds are %s", strings.Join(eventKinds, ", "))
		}
	}
	return kinds, nil
}

// heard gives the kinds that the caller may hear of: those that were asked for, or all there are for them.
func (c caller) heard(kinds []string) ([]string, error) {
	denied := func(kind string) bool { return !c.actor.May(c.org, readsKind[kind]) }
	if len(kinds) == 0 {
		if kinds = slices.DeleteFunc(slices.Clone(eventKinds), denied); len(kinds) > 0 {
			return kinds, nil
		}
		return nil, tandem.Errorf(tandem.Forbidden, "follow events", "", "there is nothing that you may read").WithHint("use a token with a scope such as %s", registry.ReadDevices)
	}
	if at := slices.IndexFunc(kinds, denied); at >= 0 {
		return nil, tandem.Errorf(tandem.Forbidden, "follow events", "", "you may not hear of %s", kinds[at]).WithHint("it needs %s", readsKind[kinds[at]])
	}
	return kinds, nil
}

// Place gives a Last-Event-ID for now: a stream that is opened with it misses nothing that happens from here on.
// "" where the database does not answer.
func (a *API) Place(ctx context.Context) string {
	cursor := a.hub.place(ctx)
	if cursor == "" {
		return ""
	}
	return eventID(a.options.Clock(), cursor)
}

// eventID writes a cursor with the time at which it was current.
func eventID(now time.Time, cursor string) string {
	return strconv.FormatInt(now.Unix(), 36) + "." + cursor
}

// parseEventID reads it back; ok is false for one that is not ours or too old to go on from.
func parseEventID(text string, now time.Time) (cursor string, ok bool) {
	stamp, cursor, found := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(stamp, 36, 64)
	if !found || err != nil || cursor == "" || strings.ContainsAny(cursor, "\r\n\x00") {
		return "", false
	}
	age := now.Sub(time.Unix(seconds, 0))
	return cursor, age < resumeWithin && age > -time.Minute
}

// stream writes events until the reader leaves, the server stops, or the right to read ends.
func (a *API) stream(r *http.Request, w http.ResponseWriter, s *stream, cursor, last string) {
	out := &events{w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy in front must not hold it back
	w.WriteHeader(http.StatusOK)
	ctx := r.Context()
	out.begin()
	if last != "" {
		a.resume(ctx, out, s, last)
	}
	out.place(eventID(a.options.Clock(), cursor))
	if !out.flush() {
		return
	}
	beat := time.NewTicker(a.options.Heartbeat)
	defer beat.Stop()
	for beats := 1; ; {
		select {
		case <-ctx.Done():
			return
		case <-a.hub.done:
			return
		case b := <-s.batches:
			out.batch(b, eventID(a.options.Clock(), b.cursor))
		case <-beat.C:
			if beats++; beats%recheck == 0 && !a.stillMay(r, s.kinds) {
				return
			}
			a.beat(out, s)
		}
		if !out.flush() {
			return
		}
	}
}

// beat writes a comment, and how far the stream has come.
func (a *API) beat(out *events, s *stream) {
	out.comment()
	cursor, lost := a.hub.position(s)
	if lost {
		out.reset()
	}
	if cursor != "" {
		out.place(eventID(a.options.Clock(), cursor))
	}
}

// resume brings a returning reader up to date, or tells it to read again.
func (a *API) resume(ctx context.Context, out *events, s *stream, last string) {
	cursor, ok := parseEventID(last, a.options.Clock())
	if !ok {
		out.reset()
		return
	}
	missed, err := a.hub.since(ctx, s, cursor)
	if err != nil {
		out.reset()
		return
	}
	for _, f := range missed {
		out.event(f.kind, f.text)
	}
}

// events writes server-sent events. After the first failure it writes nothing.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (e *events) printf(format string, args ...any) {
	if e.err != nil {
		return
	}
	// A server that sets no deadlines has none to move.
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, e.err = fmt.Fprintf(e.w, format, args...)
}

// begin says after how long to come back, and makes proxies pass the first bytes on.
func (e *events) begin() { e.printf("retry: %d\n\n", reconnectMS) }

// event writes one event. Its text is JSON, which has no line ends.
func (e *events) event(kind string, text []byte) { e.printf("event: %s\ndata: %s\n\n", kind, text) }

// reset tells the reader that events were missed.
func (e *events) reset() { e.printf("event: reset\ndata: {}\n\n") }

// place sets the id from which the reader goes on, without an event.
func (e *events) place(id string) { e.printf("id: %s\n\n", id) }

// comment is written so that both sides notice when the other is gone.
func (e *events) comment() { e.printf(": still here\n\n") }

// batch writes what a stream got.
func (e *events) batch(b batch, id string) {
	if b.reset {
		e.reset()
	}
	for _, f := range b.frames {
		e.event(f.kind, f.text)
	}
	e.place(id)
}

// flush sends what was written; false when the reader is gone.
func (e *events) flush() bool {
	if e.err == nil {
		e.err = e.control.Flush()
	}
	return e.err == nil
}
