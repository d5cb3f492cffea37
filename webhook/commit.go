package webhook

import (
	"context"
	"sync"
	"time"

	"tandem"
)

// The bounds of the buffer between requests and the database.
const (
	DefaultWaiting = 8192     // requests that wait for their commit
	DefaultBatch   = 1000     // deliveries in one transaction
	mostWaiting    = 64 << 20 // bytes of bodies in it
	mostBatch      = 8 << 20  // bytes of bodies in one transaction
	storeTimeout   = 10 * time.Second
	gatherFor      = 8 * time.Millisecond // when busy, so that few transactions carry many deliveries
	busyFrom       = 8                    // deliveries in the last transaction
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

// committer turns many requests into few transactions: while one commits, the next batch gathers.
type committer struct {
	store     Store
	batch     int
	processor *Processor // may be nil

	mu     sync.Mutex
	some   sync.Cond // queue is not empty, or closed
	queue  []*waiting
	bytes  int
	most   int
	closed bool
	done   sync.WaitGroup
}

func newCommitter(store Store, most, batch, writers int, processor *Processor) *committer {
	c := &committer{store: store, batch: batch, most: most, processor: processor}
	c.some.L = &c.mu
	c.done.Add(writers)
	for range writers {
		go c.write()
	}
	return c
}

// add queues a request; false when there is no room, or never will be.
func (c *committer) add(w *waiting) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(w.delivery.Body)
	if c.closed || len(c.queue) >= c.most || (c.bytes+size > mostWaiting && len(c.queue) > 0) {
		return false
	}
	c.queue = append(c.queue, w)
	c.bytes += size
	c.some.Signal()
	return true
}

// depth is how many requests wait.
func (c *committer) depth() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}

// close lets nothing more in and waits until all that waited is answered.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.some.Broadcast()
	c.mu.Unlock()
	c.done.Wait()
}

// write commits one batch after another. Who comes alone is stored at once; when many come, they go together.
func (c *committer) write() {
	defer c.done.Done()
	gather := time.NewTimer(0)
	defer gather.Stop()
	last, began := 0, time.Time{}
	for {
		if wait := gatherFor - time.Since(began); last >= busyFrom && wait > 0 && c.depth() < c.batch {
			gather.Reset(wait)
			<-gather.C
		}
		batch := c.take()
		if batch == nil {
			return
		}
		last, began = len(batch), time.Now()
		c.commit(batch)
	}
}

// take waits for requests and takes as many as go into one transaction; nil when there will be none.
func (c *committer) take() []*waiting {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 {
		if c.closed {
			return nil
		}
		c.some.Wait()
	}
	n, size := 0, 0
	for n < len(c.queue) && n < c.batch && (n == 0 || size+len(c.queue[n].delivery.Body) <= mostBatch) {
		size += len(c.queue[n].delivery.Body)
		n++
	}
	batch := make([]*waiting, n)
	copy(batch, c.queue)
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	c.bytes -= size
	if rest > 0 {
		c.some.Signal()
	}
	return batch
}

// commit stores a batch and answers. Where one of it cannot be stored, the others are: halves are tried by themselves.
func (c *committer) commit(batch []*waiting) {
	deliveries := make([]tandem.Delivery, len(batch))
	for i, w := range batch {
		deliveries[i] = w.delivery
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	to := c.processor.reserve(len(deliveries))
	claimed, duplicates, err := c.store.StoreAndClaim(ctx, deliveries, to.holder, claimLife)
	cancel()
	c.processor.hand(to, claimed)
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
