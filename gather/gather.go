// Package gather turns what many send into few transactions: while one batch is committed, the next gathers.
package gather

import (
	"sync"
	"time"
)

// When batches wait for company.
const (
	gatherFor = 8 * time.Millisecond // since the last batch was begun, so that few transactions carry many items
	busyFrom  = 8                    // items in the last batch
)

// Options say how a Queue takes its items. All of them are needed.
type Options[T any] struct {
	Waiting int         // items that may wait
	Batch   int         // items in a batch
	Weight  int         // of a batch, which one item alone may exceed
	Weigh   func(T) int // gives an item's weight
	Writers int         // batches that are committed at once
	Commit  func([]T)   // commits a batch, which is its own; it is called from Writers goroutines
}

// Queue holds items until they are committed. New makes one.
type Queue[T any] struct {
	o      Options[T]
	mu     sync.Mutex
	some   sync.Cond // items is not empty, or closed
	items  []T
	closed bool
	done   sync.WaitGroup
}

// New starts a queue's writers; Close ends them.
func New[T any](o Options[T]) *Queue[T] {
	q := &Queue[T]{o: o}
	q.some.L = &q.mu
	for range o.Writers {
		q.done.Go(q.write)
	}
	return q
}

// Add queues an item; false when there is no room, or never will be again.
func (q *Queue[T]) Add(item T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full() {
		return false
	}
	q.items = append(q.items, item)
	q.some.Signal()
	return true
}

// Full reports whether Add would refuse an item now.
func (q *Queue[T]) Full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.full()
}

func (q *Queue[T]) full() bool { return q.closed || len(q.items) >= q.o.Waiting }

// Depth is how many items wait.
func (q *Queue[T]) Depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Close lets nothing more in and waits until all that waited is committed.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.closed = true
	q.some.Broadcast()
	q.mu.Unlock()
	q.done.Wait()
}

// write commits one batch after another. Who comes alone is committed at once; when many come, they go together.
func (q *Queue[T]) write() {
	gather := time.NewTimer(0)
	defer gather.Stop()
	last, began := 0, time.Time{}
	for {
		if wait := gatherFor - time.Since(began); last >= busyFrom && wait > 0 && q.Depth() < q.o.Batch {
			gather.Reset(wait)
			<-gather.C
		}
		batch := q.take()
		if batch == nil {
			return
		}
		last, began = len(batch), time.Now()
		q.o.Commit(batch)
	}
}

// take waits for items and takes as many as go into one batch; nil when there will be none.
func (q *Queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		if q.closed {
			return nil
		}
		q.some.Wait()
	}
	n, weight := 0, 0
	for n < len(q.items) && n < q.o.Batch {
		one := q.o.Weigh(q.items[n])
		if n > 0 && weight+one > q.o.Weight {
			break
		}
		weight += one
		n++
	}
	batch := make([]T, n)
	copy(batch, q.items)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	if rest > 0 {
		q.some.Signal()
	}
	return batch
}
