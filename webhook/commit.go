package webhook

import (
	"context"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/gather"
)

// The bounds of the buffer between requests and the database.
const (
	DefaultWaiting = 8192     // requests that wait for their commit
	DefaultBatch   = 1000     // deliveries in one transaction
	mostWaiting    = 64 << 20 // bytes of bodies in it
	mostBatch      = 8 << 20  // bytes of bodies in one transaction
	storeTimeout   = 10 * time.Second
)

// waiting is a request that waits for its commit.
type waiting struct {
	delivery tandem.Delivery
	answer   chan outcome // has room for one
}

// outcome is what became of it: err nil says that it is durable.
type outcome struct {
	duplicate bool
	err       error
}

// committer turns many requests into few transactions.
type committer struct {
	store     Store
	processor *Processor // may be nil
	queue     *gather.Queue[*waiting]
	bytes     atomic.Int64 // of the bodies that wait
}

func newCommitter(o *Options) *committer {
	c := &committer{store: o.Store, processor: o.Processor}
	c.queue = gather.New(gather.Options[*waiting]{Waiting: o.Waiting, Batch: o.Batch, Weight: mostBatch,
		Weigh: func(w *waiting) int { return len(w.delivery.Body) }, Writers: o.Writers, Commit: c.begin})
	return c
}

// add queues a request; false when there is no room, or never will be.
func (c *committer) add(w *waiting) bool {
	size := int64(len(w.delivery.Body))
	if all := c.bytes.Add(size); (all <= mostWaiting || all == size) && c.queue.Add(w) {
		return true
	}
	c.bytes.Add(-size)
	return false
}

// begin commits a batch that waits no more.
func (c *committer) begin(batch []*waiting) {
	for _, w := range batch {
		c.bytes.Add(-int64(len(w.delivery.Body)))
	}
	c.commit(batch)
}

// commit stores a batch and answers. Where one of it cannot be stored, the others are: halves are tried by themselves.
func (c *committer) commit(batch []*waiting) {
	deliveries := make([]tandem.Delivery, len(batch))
	for i, w := range batch {
		deliveries[i] = w.delivery
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	to := c.processor.reserve(deliveries)
	claimed, duplicates, err := c.store.StoreAndClaim(ctx, deliveries, to.holder, claimLife)
	cancel()
	c.processor.hand(to, claimed) // before anybody hears of it: a processor that ends then does it too
	if err != nil {
		if len(batch) > 1 && !passing(err) {
			c.commit(batch[:len(batch)/2])
			c.commit(batch[len(batch)/2:])
			return
		}
		for _, w := range batch {
			w.answer <- outcome{err: err}
		}
		return
	}
	double := make([]bool, len(batch))
	for _, i := range duplicates {
		if i >= 0 && i < len(double) {
			double[i] = true
		}
	}
	for i, w := range batch {
		w.answer <- outcome{duplicate: double[i]}
	}
}

// passing reports whether an error is the database's state, not the delivery's fault.
func passing(err error) bool {
	return tandem.Is(err, tandem.Unavailable, tandem.Timeout, tandem.DiskFull, tandem.Schema)
}
