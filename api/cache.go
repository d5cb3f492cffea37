package api

import (
	"sync"
	"time"

	"tandem"
)

// cache keeps answers for a few seconds, at most some of them, so that what a page asks ten times a second is looked up once.
// What was forgotten while it was being looked up is not kept.
type cache[T any] struct {
	clock tandem.Clock
	life  time.Duration
	most  int

	mu     sync.Mutex
	kept   map[string]cached[T]
	epochs map[string]int // of keys that were forgotten while somebody looked them up
	asking map[string]int
}

// cached is one answer.
type cached[T any] struct {
	value T
	until time.Time
}

func newCache[T any](clock tandem.Clock, life time.Duration, most int) *cache[T] {
	return &cache[T]{clock: clock, life: life, most: most, kept: map[string]cached[T]{}, epochs: map[string]int{}, asking: map[string]int{}}
}

// get gives what is kept, or looks it up. Failures are not kept.
func (c *cache[T]) get(key string, look func() (T, error)) (T, error) {
	c.mu.Lock()
	if found, ok := c.kept[key]; ok && c.clock().Before(found.until) {
		c.mu.Unlock()
		return found.value, nil
	}
	epoch := c.epochs[key]
	c.asking[key]++
	c.mu.Unlock()

	value, err := look()

	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.epochs[key] == epoch {
		c.put(key, value)
	}
	if c.asking[key]--; c.asking[key] == 0 {
		delete(c.asking, key)
		delete(c.epochs, key)
	}
	return value, err
}

// put keeps an answer and makes room for it. The caller holds the lock.
func (c *cache[T]) put(key string, value T) {
	now := c.clock()
	if len(c.kept) >= c.most {
		for k, old := range c.kept {
			if !now.Before(old.until) {
				delete(c.kept, k)
			}
		}
		for k := range c.kept { // any: a full cache of fresh answers only costs look-ups
			if len(c.kept) < c.most {
				break
			}
			delete(c.kept, k)
		}
	}
	c.kept[key] = cached[T]{value, now.Add(c.life)}
}

// forget drops one answer, also one that is being looked up.
func (c *cache[T]) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, key)
	if c.asking[key] > 0 {
		c.epochs[key]++
	}
}

// forgetAll drops the answers that match.
func (c *cache[T]) forgetAll(match func(T) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, old := range c.kept {
		if match(old.value) {
			delete(c.kept, k)
		}
	}
	for k := range c.asking { // what they will find is not known yet
		c.epochs[k]++
	}
}
