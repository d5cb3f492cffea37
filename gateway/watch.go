package gateway

import (
	"context"
	"time"

	"tandem"
)

// How events are read.
const (
	eventsAtOnce = 1000
	watchPause   = 50 * time.Millisecond  // between looks, however often it rings
	watchRetry   = 250 * time.Millisecond // after a failed look
)

// watch reads what changed, and drops what is known of it, and wakes whoever waits for commands.
func (g *Gateway) watch(ctx context.Context) {
	cursor, broken := "", true
	pause := time.NewTimer(0)
	defer pause.Stop()
	reading := newComplaint(&g.o, "read what changed")
	for ctx.Err() == nil {
		before := g.o.Clock()
		events, next, err := g.o.Store.EventsSince(ctx, cursor, eventsAtOnce)
		if err != nil {
			if broken = true; ctx.Err() == nil {
				reading.about(err)
			}
			if cursor != "" && !tandem.Is(err, tandem.Unavailable, tandem.Timeout) {
				cursor = "" // it may be too old; what is known is forgotten below
			}
			wait(ctx, pause, watchRetry)
			continue
		}
		reading.about(nil)
		for i := range events {
			g.take(&events[i])
		}
		again := cursor != "" && len(events) >= eventsAtOnce
		if !again {
			g.known.looked(before, broken)
			if broken {
				g.commands.all()
			}
			broken = false
		}
		cursor = next
		if again {
			continue
		}
		if err := g.o.Store.WaitForEvents(ctx); err != nil {
			wait(ctx, pause, watchRetry)
			continue
		}
		wait(ctx, pause, watchPause)
	}
}

// take does what an event asks for.
func (g *Gateway) take(e *tandem.Event) {
	switch e.Kind {
	case "credentials", "organization": // it has another name perhaps, by which its devices are found
		g.known.changed(e.OrganizationID, e.IDs, e.Many)
	case "devices":
		if len(e.Data) == 0 { // something was edited; what was observed only changes nothing here
			g.known.changed(e.OrganizationID, e.IDs, e.Many)
		}
	case "commands":
		if len(e.Data) == 0 { // some were handed out: those need nobody
			g.commands.changed(e.OrganizationID, e.IDs, e.Many)
		}
	}
}

// wait waits for a time, or for ctx.
func wait(ctx context.Context, timer *time.Timer, d time.Duration) {
	timer.Reset(d)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
