package gather

import (
	"slices"
	"sync"
	"testing"
)

// TestQueue: batches keep the order and their bounds, an item that is too heavy goes alone, and the end leaves nothing behind.
func TestQueue(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	var once sync.Once
	inside := make(chan struct{})
	var batches [][]int
	q := New(Options[int]{Waiting: 9, Batch: 3, Weight: 10, Weigh: func(n int) int { return n }, Writers: 1, Commit: func(batch []int) {
		once.Do(func() { close(inside) })
		<-gate
		batches = append(batches, batch)
	}})
	q.Add(1)
	<-inside // the others gather meanwhile
	for _, n := range []int{1, 2, 3, 4, 5, 50, 6, 4, 1} {
		if !q.Add(n) {
			t.Fatalf("no room for %d", n)
		}
	}
	if q.Add(1) || !q.Full() || q.Depth() != 9 {
		t.Errorf("%d wait, full %t", q.Depth(), q.Full())
	}
	close(gate)
	q.Close()
	if want := [][]int{{1}, {1, 2, 3}, {4, 5}, {50}, {6, 4}, {1}}; !slices.EqualFunc(batches, want, slices.Equal[[]int]) {
		t.Errorf("batches %v, want %v", batches, want)
	}
	if q.Add(1) || !q.Full() {
		t.Error("a closed queue takes items")
	}
}

// TestQueueOfMany: many senders and writers, each item once.
func TestQueueOfMany(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[int]int{}
	q := New(Options[int]{Waiting: 10_000, Batch: 50, Weight: 1000, Weigh: func(int) int { return 1 }, Writers: 4, Commit: func(batch []int) {
		mu.Lock()
		defer mu.Unlock()
		for _, n := range batch {
			got[n]++
		}
	}})
	var senders sync.WaitGroup
	for s := range 8 {
		senders.Go(func() {
			for n := range 500 {
				q.Add(s*500 + n)
			}
		})
	}
	senders.Wait()
	q.Close()
	if len(got) != 4000 {
		t.Errorf("%d items, want 4000", len(got))
	}
	for n, times := range got {
		if times != 1 {
			t.Errorf("%d came %d times", n, times)
		}
	}
}
