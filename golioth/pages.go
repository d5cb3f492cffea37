package golioth

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"
)

// page is one page of any list.
type page[T any] struct {
	number, perPage, total int
	items                  []T
	now                    time.Time
}

// fetch gets one page.
type fetch[T any] func(ctx context.Context, number int) (page[T], error)

// pages walks a list in page order: page 0 first, since it says how many there are, and then up to ahead
// pages at once, decoded where they are fetched. At most twice that many wait for the consumer, so that
// memory does not grow with the list. The list ends with the last page that the newest total asks for, or
// with an empty one; a total that grows on the way is followed. An error ends it.
func pages[T any](ctx context.Context, ahead int, get fetch[T]) iter.Seq2[page[T], error] {
	return func(yield func(page[T], error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var fetching sync.WaitGroup
		defer fetching.Wait()
		defer cancel() // first: what is under way has to end

		first, err := get(ctx, 0)
		if err != nil {
			yield(page[T]{}, err)
			return
		}
		perPage := first.perPage
		last := lastPage(first.total, perPage)
		if !yield(first, nil) || len(first.items) == 0 {
			return
		}

		type fetched struct {
			page page[T]
			err  error
		}
		slots := make(chan struct{}, ahead)
		var queue []chan fetched // pages under way or waiting, in order
		for next := 1; ; {
			for ; next <= last && len(queue) < 2*ahead; next++ {
				number, result := next, make(chan fetched, 1)
				queue = append(queue, result)
				fetching.Go(func() {
					select {
					case slots <- struct{}{}:
						defer func() { <-slots }()
					case <-ctx.Done():
						result <- fetched{err: ctx.Err()}
						return
					}
					p, err := get(ctx, number)
					if err == nil && p.perPage != perPage {
						err = fmt.Errorf("page %d holds %d to a page, the first one %d", number, p.perPage, perPage)
					}
					result <- fetched{p, err}
				})
			}
			if len(queue) == 0 {
				return
			}
			f := <-queue[0]
			queue = queue[1:]
			if f.err != nil {
				yield(page[T]{}, f.err)
				return
			}
			last = max(last, lastPage(f.page.total, perPage))
			if !yield(f.page, nil) || len(f.page.items) == 0 {
				return
			}
		}
	}
}

// lastPage gives the number of the last page, counted from 0.
func lastPage(total, perPage int) int {
	if total <= 0 || perPage <= 0 {
		return 0
	}
	return (total - 1) / perPage
}
