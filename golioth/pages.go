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
		defer cancel() // what is under way ends, before it is waited for

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

		type result struct {
			page page[T]
			err  error
		}
		type job struct {
			number int
			done   chan result
		}
		jobs := make(chan job, 2*ahead)
		defer close(jobs)
		work := func() {
			for j := range jobs {
				p, err := get(ctx, j.number)
				if err == nil && p.perPage != perPage {
					err = fmt.Errorf("page %d holds %d to a page, the first one %d", j.number, p.perPage, perPage)
				}
				j.done <- result{p, err}
			}
		}
		var queue []job // pages under way or waiting, in order; never more than jobs holds
		for next, workers := 1, 0; ; {
			for ; next <= last && len(queue) < 2*ahead; next++ {
				j := job{next, make(chan result, 1)}
				queue = append(queue, j)
				jobs <- j
				if workers < ahead {
					workers++
					fetching.Go(work)
				}
			}
			if len(queue) == 0 {
				return
			}
			r := <-queue[0].done
			queue = queue[1:]
			if r.err != nil {
				yield(page[T]{}, r.err)
				return
			}
			last = max(last, lastPage(r.page.total, perPage))
			if !yield(r.page, nil) || len(r.page.items) == 0 {
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
