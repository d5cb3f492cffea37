package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// quiet hands on what the job engine warns of; how it goes about its work is its own business.
func quiet(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(warnings{log.Handler(), &repeats{said: map[string]time.Time{}}})
}

// warnings lets warnings and errors through, but for those that a stop causes and those that were said just before: while
// the database is away the engine says the same several times a second.
type warnings struct {
	slog.Handler
	repeats *repeats
}

// Enabled leaves out what is below a warning.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && !errors.Is(ctx.Err(), context.Canceled) && w.Handler.Enabled(ctx, level)
}

// Handle says something once a minute.
func (w warnings) Handle(ctx context.Context, r slog.Record) error {
	unsaid, ok := w.repeats.say(r.Message, r.Time)
	if !ok {
		return nil
	}
	if unsaid > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("unsaid", unsaid))
	}
	return w.Handler.Handle(ctx, r)
}

// WithAttrs keeps the threshold.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs), w.repeats}
}

// WithGroup keeps the threshold.
func (w warnings) WithGroup(name string) slog.Handler {
	return warnings{w.Handler.WithGroup(name), w.repeats}
}

// mostSaid bounds how many messages are remembered; the engine has some dozens.
const mostSaid = 1000

// repeats knows what was said when, and how often it was not since.
type repeats struct {
	mu     sync.Mutex
	said   map[string]time.Time
	unsaid map[string]int
}

// say reports whether something is to be said now, and how often it was left out before.
func (r *repeats) say(message string, now time.Time) (unsaid int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, before := r.said[message]; before && now.Sub(last) < tellFailure {
		if r.unsaid == nil {
			r.unsaid = map[string]int{}
		}
		r.unsaid[message]++
		return 0, false
	}
	if len(r.said) >= mostSaid {
		clear(r.said)
		clear(r.unsaid)
	}
	r.said[message] = now
	unsaid = r.unsaid[message]
	delete(r.unsaid, message)
	return unsaid, true
}
