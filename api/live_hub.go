package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tandem"
)

// The bounds of the live streams. A stream that is not read fast enough loses its place, not the others'.
const (
	tailBatch     = 500
	streamBuffer  = 32 // batches that wait for one stream
	tailRetry     = time.Second
	streamRetry   = 10 * time.Second // after which one who has too many may ask again
	resumeAtOnce  = 4                // streams that catch up from the store at the same time
	resumeBatches = 20
	streamsEach   = 20 // of one person or token, in one process
)

// frame is one event as streams are told of it, marshalled once for all of them.
type frame struct {
	kind string
	text []byte
}

// batch is what one stream gets at once. After it the stream has seen everything up to the cursor.
type batch struct {
	frames []frame
	cursor string
	reset  bool // events were missed: read again
}

// hub follows the events of all organizations once for the process, and hands each stream those of its own.
type hub struct {
	store tandem.EventStore
	log   *slog.Logger
	slots chan struct{} // for catching up

	mu      sync.Mutex
	streams map[string]map[*stream]struct{} // by organization
	held    map[string]int                  // streams by who holds them
	cursor  string
	started bool
	stop    context.CancelFunc
	ended   chan struct{} // closed with the tailer
	closed  bool
	done    chan struct{} // closed when streams are to end
}

// stream is one reader's place.
type stream struct {
	org     string
	holder  string   // who is counted for it; "" for nobody: a request that waits for a run
	kinds   []string // empty for all
	batches chan batch
	lost    bool // batches were dropped since the last one that was taken; guarded by hub.mu
}

func newHub(store tandem.EventStore, log *slog.Logger) *hub {
	return &hub{store: store, log: log, slots: make(chan struct{}, resumeAtOnce), streams: map[string]map[*stream]struct{}{}, held: map[string]int{},
		ended: make(chan struct{}), done: make(chan struct{})}
}

// open adds a stream, and starts following at the first. The cursor is where the stream begins; what is published later reaches it.
func (h *hub) open(ctx context.Context, org, holder string, kinds []string) (*stream, string, error) {
	if err := h.start(ctx); err != nil {
		return nil, "", err
	}
	s := &stream{org: org, holder: holder, kinds: kinds, batches: make(chan batch, streamBuffer)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, "", tandem.Errorf(tandem.Unavailable, "open a stream", "", "the server is stopping").WithHint("connect again in a moment")
	}
	if holder != "" && h.held[holder] >= streamsEach {
		return nil, "", &tandem.Error{Code: tandem.RateLimited, Op: "open a stream", Message: "you follow as many streams as one person or token may at once",
			Hint: "close one of them, or let one tell several of your pages", RetryAfter: streamRetry}
	}
	if holder != "" {
		h.held[holder]++
	}
	if h.streams[org] == nil {
		h.streams[org] = map[*stream]struct{}{}
	}
	h.streams[org][s] = struct{}{}
	return s, h.cursor, nil
}

// leave removes a stream.
func (h *hub) leave(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams[s.org], s)
	if h.held[s.holder]--; h.held[s.holder] <= 0 {
		delete(h.held, s.holder)
	}
	if len(h.streams[s.org]) == 0 {
		delete(h.streams, s.org)
	}
}

// place gives how far the process has read; "" where that is not known.
func (h *hub) place(ctx context.Context) string {
	if h.start(ctx) != nil {
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cursor
}

// start begins to follow, once, from now on.
func (h *hub) start(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started || h.closed {
		return nil
	}
	_, cursor, err := h.store.EventsSince(ctx, "", tailBatch)
	if err != nil {
		return err
	}
	follow, stop := context.WithCancel(context.Background())
	h.cursor, h.started, h.stop = cursor, true, stop
	go h.follow(follow)
	return nil
}

// close ends the following and all streams.
func (h *hub) close() {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.closed = true
	close(h.done)
	started := h.started
	if started {
		h.stop()
	}
	h.mu.Unlock()
	if started {
		<-h.ended
	}
}

// follow reads events as they become visible, until it is stopped.
func (h *hub) follow(ctx context.Context) {
	defer close(h.ended)
	for ctx.Err() == nil {
		more, err := h.read(ctx)
		if err == nil && !more {
			err = h.store.WaitForEvents(ctx)
		}
		if err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "live streams wait for the database", "error", err)
			pause(ctx, tailRetry)
		}
	}
}

// pause waits for a while, or for the context.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// read takes the next events and hands them out; more says that there may be others at once.
func (h *hub) read(ctx context.Context) (more bool, err error) {
	h.mu.Lock()
	cursor := h.cursor
	h.mu.Unlock()
	events, next, err := h.store.EventsSince(ctx, cursor, tailBatch)
	if err != nil {
		return false, err
	}
	byOrg := frames(events)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cursor = next
	for org, frames := range byOrg {
		for s := range h.streams[org] {
			s.offer(batch{frames: s.wanted(frames), cursor: next})
		}
	}
	return len(events) == tailBatch, nil
}

// frames writes events once, by organization.
func frames(events []tandem.Event) map[string][]frame {
	byOrg := map[string][]frame{}
	for i := range events {
		text, err := json.Marshal(&events[i])
		if err != nil {
			continue // an event is a hint; one that cannot be written says nothing
		}
		byOrg[events[i].OrganizationID] = append(byOrg[events[i].OrganizationID], frame{events[i].Kind, text})
	}
	return byOrg
}

// wanted gives the frames of the kinds that the stream asked for.
func (s *stream) wanted(all []frame) []frame {
	if len(s.kinds) == 0 {
		return all
	}
	var some []frame
	for _, f := range all {
		if slices.Contains(s.kinds, f.kind) {
			some = append(some, f)
		}
	}
	return some
}

// offer gives a batch without waiting. A stream with no room left is told to read again once it takes the next one.
// The caller holds the hub's lock.
func (s *stream) offer(b batch) {
	if len(b.frames) == 0 {
		return
	}
	if s.lost {
		b.frames, b.reset = nil, true
	}
	select {
	case s.batches <- b:
		s.lost = false
	default:
		s.lost = true
	}
}

// position gives how far the process has read, for heartbeats. While the stream has batches to take, its place is not known.
func (h *hub) position(s *stream) (cursor string, lost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.lost && len(s.batches) == 0 {
		s.lost = false
		return h.cursor, true
	}
	if len(s.batches) > 0 {
		return "", false
	}
	return h.cursor, false
}

// errTooFar says that a stream was away for too long to be caught up.
var errTooFar = errors.New("the stream was away for too long")

// since reads what a stream missed between two cursors. errTooFar when that is too much.
func (h *hub) since(ctx context.Context, s *stream, cursor string) ([]frame, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	var missed []frame
	for range resumeBatches {
		events, next, err := h.store.EventsSince(ctx, cursor, tailBatch)
		if err != nil {
			return nil, err
		}
		missed = append(missed, s.wanted(frames(events)[s.org])...)
		if len(events) < tailBatch {
			return missed, nil
		}
		cursor = next
	}
	return nil, errTooFar
}
