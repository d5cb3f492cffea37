package budget

import (
	"context"
	"time"

	"tandem"
)

// step is what the keeper does next.
type step struct {
	do   action
	want int           // requests or slots to take
	wait time.Duration // for rest
}

type action uint8

const (
	rest action = iota
	takeRequests
	takeSlots
	stop
)

// keep talks to the store while there is work, and ends when everything is given back.
func (b *Budget) keep() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		switch s := b.next(time.Now()); s.do {
		case stop:
			return
		case takeRequests:
			b.fetchRequests(s.want)
		case takeSlots:
			b.leaseSlots(s.want)
		case rest:
			timer.Reset(s.wait)
			select {
			case <-b.wake:
			case <-timer.C:
			}
		}
	}
}

// next decides; it asks nobody.
func (b *Budget) next(now time.Time) step {
	b.mu.Lock()
	defer b.mu.Unlock()
	demand := b.flying + len(b.waiting)
	b.peak = max(b.peak, demand)

	if demand == 0 || b.closed {
		return b.nextIdle(now)
	}
	soonest := now.Add(beatEvery)
	if b.options.Concurrency > 0 {
		if s, ok := b.nextSlots(now, demand, &soonest); ok {
			return s
		}
	}
	if b.options.RequestsPerMinute > 0 {
		if b.low(now) && (b.tokens(now) == 0 || b.flying > 0) {
			if !now.Before(b.askTokensAt) {
				return step{do: takeRequests, want: min(max(b.ask, len(b.waiting)), b.block)}
			}
			soonest = earlier(soonest, b.askTokensAt)
		}
	}
	return step{do: rest, wait: max(soonest.Sub(now), time.Millisecond)}
}

// nextIdle gives slots back after idling, and ends the keeper.
func (b *Budget) nextIdle(now time.Time) step {
	if wait := b.idleSince.Add(idleAfter).Sub(now); !b.closed && b.held > 0 && wait > 0 {
		return step{do: rest, wait: wait}
	}
	if b.held > 0 && now.Before(b.heldUntil.Add(slotGuard)) {
		return step{do: takeSlots, want: 0}
	}
	b.held, b.grants, b.ask, b.keeping = 0, nil, 1, false
	return step{do: stop}
}

// nextSlots decides about slots: more of them, a renewal, or letting one go for a moment.
func (b *Budget) nextSlots(now time.Time, demand int, soonest *time.Time) (step, bool) {
	limit := b.options.Concurrency
	switch {
	case b.ebb == ebbing && b.flying < limit:
		b.ebb, b.ebbBy = ebbed, now.Add(ebbFor)
		return step{do: takeSlots, want: limit - 1}, true
	case b.ebb != flood && !now.Before(b.ebbBy):
		b.ebb = flood
		return step{do: takeSlots, want: min(max(demand, b.flying), limit)}, true
	case b.ebb != flood:
		*soonest = earlier(*soonest, b.ebbBy)
		return step{}, false
	}
	if len(b.waiting) > 0 && b.flying >= b.held && b.held < limit {
		if !now.Before(b.askSlotsAt) {
			return step{do: takeSlots, want: min(max(demand, 2*b.held), limit)}, true
		}
		*soonest = earlier(*soonest, b.askSlotsAt)
	}
	if b.held > 0 || b.flying > 0 {
		if !now.Before(b.beatAt) {
			if b.held >= limit && demand >= limit {
				b.ebb, b.ebbBy = ebbing, now.Add(ebbWithin)
			}
			want := min(max(b.peak, b.flying), limit)
			b.peak = demand
			return step{do: takeSlots, want: want}, true
		}
		*soonest = earlier(*soonest, b.beatAt)
	}
	return step{}, false
}

func (b *Budget) fetchRequests(want int) {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	o := &b.options
	before := time.Now() // a grant's life counts from the question: the answer may have been long under way
	granted, wait, err := o.Store.TakeRequests(ctx, o.OrganizationID, o.ServiceID, want, o.RequestsPerMinute)
	now := time.Now()

	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.askTokensAt = now.Add(askEvery)
		b.fail(err)
		return
	}
	b.tokens(now) // counts what died
	if b.unused == 0 {
		b.ask = min(2*b.ask, b.block)
	} else {
		b.ask = max(b.ask-b.unused, 1)
	}
	b.unused = 0
	if granted > 0 {
		b.grants = append(b.grants, grant{granted, before.Add(tandem.GrantLife)})
	}
	b.askTokensAt = now
	if granted < want {
		b.askTokensAt = now.Add(max(wait, time.Millisecond))
	}
	b.hand(now)
}

func (b *Budget) leaseSlots(want int) {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	o := &b.options
	before := time.Now() // the lease counts from when the store wrote it, which is later
	granted, err := o.Store.TakeSlots(ctx, o.OrganizationID, o.ServiceID, o.Holder, want, o.Concurrency, slotLife)
	now := time.Now()

	b.mu.Lock()
	defer b.mu.Unlock()
	b.beatAt, b.askSlotsAt = now.Add(beatEvery), now
	if err != nil {
		b.askSlotsAt = now.Add(askEvery)
		if want == 0 {
			b.held = 0 // they expire by themselves
			return
		}
		b.fail(err)
		return
	}
	b.held, b.heldUntil = granted, before.Add(slotLife-slotGuard)
	if granted < want {
		b.askSlotsAt = now.Add(askEvery)
	}
	b.hand(now)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
