package webhook

import (
	"context"
	"sync"
	"time"

	"tandem"
)

// What may wait for a processor in its process. What is stored beyond waits in the database.
const (
	mostHanded      = 4096     // deliveries
	mostHandedBytes = 32 << 20 // of their bodies, about
)

// finishTime is how long a processor that ends may still take for what was handed to it.
const finishTime = 5 * time.Second

// handed is what a processor has in its hands: deliveries that this process stored and claimed in one transaction.
type handed struct {
	mu      sync.Mutex
	opened  bool // somebody takes what is here
	behind  bool // older ones wait in the database: first those
	batches []handedBatch
	size    int // deliveries in batches, and reserved
	bytes   int // of their bodies
}

type handedBatch struct {
	deliveries []tandem.Delivery
	till       time.Time // the claim is ours
}

// reservation is room for deliveries of which it is not known yet whether they can be stored; holder is "" for none.
type reservation struct {
	holder string
	n      int
	bytes  int
	till   time.Time
}

// reserve makes room for deliveries that are about to be stored.
func (p *Processor) reserve(deliveries []tandem.Delivery) (to reservation) {
	n, bytes := len(deliveries), bodies(deliveries)
	if p == nil || !p.handed.reserve(n, bytes) {
		return to
	}
	return reservation{holder: p.o.Holder, n: n, bytes: bytes, till: p.o.Clock().Add(claimLife / 2)}
}

// bodies gives the bytes that the bodies of deliveries take.
func bodies(deliveries []tandem.Delivery) (bytes int) {
	for i := range deliveries {
		bytes += len(deliveries[i].Body)
	}
	return bytes
}

// hand gives a processor what was stored, fewer or none where it could not be, and wakes it.
func (p *Processor) hand(to reservation, claimed []tandem.Delivery) {
	if p == nil {
		return
	}
	if to.holder != "" {
		p.handed.add(to, claimed)
	}
	p.Poke()
}

// finish does, for a while, what was handed over before the processor's end. What is left, others claim.
func (p *Processor) finish(ctx context.Context) {
	p.handed.open(false)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	for ctx.Err() == nil {
		list, till := p.release() // what the end broke off
		if len(list) == 0 {
			list, till = p.handed.take(p.o.Clock(), p.o.Batch)
		}
		if len(list) == 0 {
			return
		}
		if err := p.process(ctx, list, till); err != nil {
			p.o.Log.Warn("deliveries are left to another process", "error", err)
			return
		}
	}
}

func (h *handed) open(yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opened = yes
}

func (h *handed) fallBehind(yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.behind = yes
}

func (h *handed) reserve(n, bytes int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.opened || h.behind || h.size+n > mostHanded || h.bytes+bytes > mostHandedBytes {
		return false
	}
	h.size += n
	h.bytes += bytes
	return true
}

func (h *handed) add(to reservation, claimed []tandem.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.size += len(claimed) - to.n
	h.bytes += bodies(claimed) - to.bytes
	if len(claimed) > 0 {
		h.batches = append(h.batches, handedBatch{claimed, to.till})
	}
}

// take gives up to most deliveries, the first that came first, and until when all of them are ours. Those whose claim runs out are let go.
func (h *handed) take(now time.Time, most int) (list []tandem.Delivery, till time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.batches) > 0 && len(list) < most {
		b := &h.batches[0]
		n := min(len(b.deliveries), most-len(list))
		if now.Before(b.till) {
			if len(list) == 0 {
				till = b.till // what comes later is ours for longer
			}
			list = append(list, b.deliveries[:n]...)
		} else {
			n = len(b.deliveries)
		}
		h.size -= n
		h.bytes -= bodies(b.deliveries[:n])
		if b.deliveries = b.deliveries[n:]; len(b.deliveries) == 0 {
			h.batches[0] = handedBatch{}
			h.batches = h.batches[1:]
		}
	}
	return list, till
}
