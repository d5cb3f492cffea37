package golioth

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

// Retry tunes how reads are retried (S30) and when the client stops trying. Zero values mean the defaults.
type Retry struct {
	Attempts        int            // of one read, the first included; 6
	First           time.Duration  // before the second attempt, doubling from there; 250 ms
	Max             time.Duration  // between two attempts; 8 s
	AfterCap        time.Duration  // the longest wait that a Retry-After gets; 30 s
	Confirm         time.Duration  // before a 401 or 403 is asked again (S31); 500 ms
	BreakerFailures int            // failures in a row that open the breaker; 20
	BreakerDelay    time.Duration  // until an open breaker lets one request try; 5 s
	Jitter          func() float64 // in [0, 1); nil means random
}

func (r Retry) withDefaults() Retry {
	r.Attempts = positive(r.Attempts, 6)
	r.First = positive(r.First, 250*time.Millisecond)
	r.Max = positive(r.Max, 8*time.Second)
	r.AfterCap = positive(r.AfterCap, 30*time.Second)
	r.Confirm = positive(r.Confirm, 500*time.Millisecond)
	r.BreakerFailures = positive(r.BreakerFailures, 20)
	r.BreakerDelay = positive(r.BreakerDelay, 5*time.Second)
	if r.Jitter == nil {
		r.Jitter = rand.Float64
	}
	return r
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// newRetry retries what may pass by itself. Replies were read whole before, so that nothing is left to drain.
func (c *Client) newRetry() retrypolicy.RetryPolicy[*reply] {
	return retrypolicy.NewBuilder[*reply]().
		HandleIf(func(r *reply, err error) bool {
			if err != nil {
				return errors.Is(err, circuitbreaker.ErrOpen) || passing(err)
			}
			return r.status == http.StatusTooManyRequests || failing(r.status)
		}).
		WithMaxAttempts(c.retry.Attempts).
		WithDelayFunc(c.delay).
		ReturnLastFailure().
		Build()
}

// newConfirmation asks once more before a key counts as refused (S31).
func (c *Client) newConfirmation() retrypolicy.RetryPolicy[*reply] {
	return retrypolicy.NewBuilder[*reply]().
		HandleIf(func(r *reply, err error) bool { return err == nil && refused(r.status) }).
		WithMaxRetries(1).
		WithDelay(c.retry.Confirm).
		ReturnLastFailure().
		Build()
}

// newBreaker stops both reads and writes after failures in a row, and then lets one request try.
// Refusals and rate limits are no failures: the service is there.
func (c *Client) newBreaker() circuitbreaker.CircuitBreaker[*reply] {
	return circuitbreaker.NewBuilder[*reply]().
		HandleIf(func(r *reply, err error) bool {
			if err != nil {
				return passing(err)
			}
			return failing(r.status)
		}).
		WithFailureThreshold(uint(c.retry.BreakerFailures)).
		WithDelay(c.retry.BreakerDelay).
		Build()
}

// failing reports whether a status says that the service is in trouble. 501 is a call it does not know.
func failing(status int) bool { return status >= 500 && status != http.StatusNotImplemented }

// refused reports whether a status is about the key.
func refused(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// delay says how long to wait before the next attempt: what the service asked for, up to the cap, else
// exponentially longer; a part of it at random, so that waiting callers do not come back as one.
func (c *Client) delay(exec failsafe.ExecutionAttempt[*reply]) time.Duration {
	backoff := c.retry.First << min(max(exec.Attempts()-1, 0), 16)
	backoff = min(backoff, c.retry.Max)
	backoff = backoff/2 + time.Duration(c.retry.Jitter()*float64(backoff/2))
	if errors.Is(exec.LastError(), circuitbreaker.ErrOpen) {
		return max(c.breaker.RemainingDelay(), backoff)
	}
	if r := exec.LastResult(); r != nil && exec.LastError() == nil {
		if after, ok := r.retryAfter(c.clock()); ok {
			after = min(after, c.retry.AfterCap)
			return after + time.Duration(c.retry.Jitter()*float64(min(after/8, time.Second)))
		}
	}
	return backoff
}

// pause holds every request of this client back until the service wants to be asked again.
func (c *Client) pause(r *reply) {
	if r.status != http.StatusTooManyRequests && r.status != http.StatusServiceUnavailable {
		return
	}
	if after, ok := r.retryAfter(c.clock()); ok {
		until := c.clock().Add(min(after, c.retry.AfterCap)).UnixNano()
		for was := c.pausedUntil.Load(); was < until && !c.pausedUntil.CompareAndSwap(was, until); was = c.pausedUntil.Load() {
			continue // another reply moved it meanwhile
		}
	}
}

// awaitPause waits a pause out.
func (c *Client) awaitPause(ctx context.Context) error {
	until := c.pausedUntil.Load()
	if until == 0 {
		return nil
	}
	wait := time.Unix(0, until).Sub(c.clock())
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter reads Retry-After in both its forms. A date counts from the reply's own Date, so that a
// clock that differs does not matter; now stands in where there is none.
func (r *reply) retryAfter(now time.Time) (time.Duration, bool) {
	if r.status != http.StatusTooManyRequests && r.status != http.StatusServiceUnavailable {
		return 0, false
	}
	text := strings.TrimSpace(r.header.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	const longest = 24 * time.Hour
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(seconds >= 0) { // negative, or not a number
			return 0, false
		}
		return time.Duration(min(seconds, longest.Seconds()) * float64(time.Second)), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date := r.date(); !date.IsZero() {
		now = date
	}
	return min(max(at.Sub(now), 0), longest), true
}
