package store

import (
	"context"
	"maps"
	"sync"
	"time"
)

// kept are values that are dear to find, one of each organization, kept for some time. A value that is getting old is given
// once more while a newer one is looked for, so that hardly anybody waits for it.
type kept[T any] struct {
	young, old time.Duration // until when a value is given as it is, and until when it is given at all

	mu    sync.Mutex
	byOrg map[string]*keptValue[T]
	ended sync.WaitGroup
}

// keptAtAll is of how many organizations one process keeps values.
const keptAtAll = 64

type keptValue[T any] struct {
	value   T
	at      time.Time
	there   bool
	looking chan struct{} // closed once who looks has found; nil while nobody does
}

// get gives an organization's value, by find where none is kept that is young enough; find says whether it is worth keeping.
func (k *kept[T]) get(ctx context.Context, org string, find func(context.Context) (value T, keep bool, err error)) (T, error) {
	k.mu.Lock()
	one := k.byOrg[org]
	if one == nil {
		one = k.add(org)
	}
	age := time.Since(one.at)
	switch {
	case one.there && age < k.young, one.there && age < k.old && one.looking != nil:
		defer k.mu.Unlock()
		return one.value, nil
	case one.there && age < k.old:
		defer k.mu.Unlock()
		one.looking = make(chan struct{})
		k.ended.Go(func() { // its failure is for the next one to meet, who waits
			later, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
			defer cancel()
			_, _ = k.look(later, one, find)
		})
		return one.value, nil
	case one.looking != nil:
		looking := one.looking
		k.mu.Unlock()
		select {
		case <-looking:
		case <-ctx.Done():
			return one.value, ctx.Err()
		}
		k.mu.Lock()
		value, fresh := one.value, one.there && time.Since(one.at) < k.young
		k.mu.Unlock()
		if fresh {
			return value, nil
		}
		value, _, err := find(ctx) // it failed, or is not kept
		return value, err
	}
	one.looking = make(chan struct{})
	k.mu.Unlock()
	return k.look(ctx, one, find)
}

// look finds a value and keeps it.
func (k *kept[T]) look(ctx context.Context, one *keptValue[T], find func(context.Context) (T, bool, error)) (value T, err error) {
	keep, at := false, time.Now()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		close(one.looking)
		one.looking, one.there = nil, keep
		if keep {
			one.value, one.at = value, at
		}
	}()
	value, found, err := find(ctx)
	keep = found && err == nil
	return value, err
}

// add makes room for an organization's value, in the place of any other that nobody looks for when there are too many.
func (k *kept[T]) add(org string) *keptValue[T] {
	if k.byOrg == nil {
		k.byOrg = map[string]*keptValue[T]{}
	}
	maps.DeleteFunc(k.byOrg, func(_ string, other *keptValue[T]) bool { return len(k.byOrg) >= keptAtAll && other.looking == nil })
	one := &keptValue[T]{}
	k.byOrg[org] = one
	return one
}
