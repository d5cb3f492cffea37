package store

import (
	"context"
	"sync"
	"time"
)

// listening is how long a wait lasts at most: where a notification gets lost, behind a pooler that carries none or while
// a connection is made anew, whoever waits looks once a second.
const listening = time.Second

// looker is who waits: each remembers by itself what it has looked at.
type looker int

const (
	eventLooker looker = iota
	jobLooker
	lookers
)

// bell is rung when something may have been committed, here or by another process. A ring between a look and the wait
// that follows it ends that wait.
type bell struct {
	mu     sync.Mutex
	rung   [lookers]int64
	next   [lookers]chan struct{} // closed by the next ring
	seen   [lookers]int64
	stop   context.CancelFunc
	closed bool
	ended  sync.WaitGroup
}

// ring wakes those who wait for events and, where there are jobs too, those who wait for these.
func (b *bell) ring(jobs bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wake(eventLooker)
	if jobs {
		b.wake(jobLooker)
	}
}

// wake is ring for one of them. The lock is held.
func (b *bell) wake(who looker) {
	b.rung[who]++
	if b.next[who] != nil {
		close(b.next[who])
		b.next[who] = nil
	}
}

// looked notes what had rung before a look.
func (b *bell) looked(who looker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[who] = b.rung[who]
}

// wait returns after the next ring since the last look, or some time later, or with ctx. The first one to wait has the
// database listened to.
func (b *bell) wait(ctx context.Context, s *Store, who looker) error {
	b.mu.Lock()
	if b.stop == nil && !b.closed {
		var listen context.Context
		listen, b.stop = context.WithCancel(context.WithoutCancel(ctx))
		b.ended.Go(func() { s.dialect.Listen(listen, b.ring) })
	}
	if b.rung[who] != b.seen[who] {
		b.mu.Unlock()
		return s.fail("wait for events", ctx.Err())
	}
	if b.next[who] == nil {
		b.next[who] = make(chan struct{})
	}
	next := b.next[who]
	b.mu.Unlock()
	timer := time.NewTimer(listening)
	defer timer.Stop()
	select {
	case <-next:
	case <-timer.C:
	case <-ctx.Done():
		return s.fail("wait for events", ctx.Err())
	}
	return nil
}

// close ends the listening.
func (b *bell) close() {
	b.mu.Lock()
	b.closed = true
	stop := b.stop
	b.mu.Unlock()
	if stop != nil {
		stop()
	}
	b.ended.Wait()
}
