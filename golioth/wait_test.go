package golioth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"tandem"
)

// S30, with a fake clock: what Retry-After asks for is waited, in both forms and up to the cap; the date
// counts from the service's own clock, which is an hour off here.
func TestS30RetryAfter(t *testing.T) {
	there := func() time.Time { return time.Now().Add(time.Hour).UTC().Truncate(time.Second) }
	for name, test := range map[string]struct {
		after  func() string
		status int
		waits  time.Duration
	}{
		"seconds":         {func() string { return "7" }, 429, 7 * time.Second},
		"date":            {func() string { return there().Add(9 * time.Second).Format(http.TimeFormat) }, 503, 9 * time.Second},
		"date in past":    {func() string { return there().Add(-time.Minute).Format(http.TimeFormat) }, 503, 0},
		"capped":          {func() string { return "86400" }, 429, 30 * time.Second},
		"nonsense":        {func() string { return "soon" }, 429, time.Millisecond / 2},
		"negative":        {func() string { return "-5" }, 429, time.Millisecond / 2},
		"only for 429":    {func() string { return "7" }, 500, time.Millisecond / 2},
		"absurd":          {func() string { return "1e300" }, 503, 30 * time.Second},
		"not even a date": {func() string { return "NaN" }, 503, time.Millisecond / 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				c, err := New(Options{Project: "p", Key: testKey, Retry: quick, Transport: transport(func(*http.Request) (*http.Response, error) {
					if asked++; asked == 1 {
						return answer(test.status, `{}`, "Retry-After", test.after(), "Date", there().Format(http.TimeFormat)), nil
					}
					return answer(200, `{"data":`+wire(1)+`}`), nil
				})})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if _, err := c.Device(t.Context(), goodID); err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(start); waited != test.waits {
					t.Errorf("waited %v, not %v", waited, test.waits)
				}
			})
		})
	}
}

func TestS30BackoffGrowsWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		c, err := New(Options{Project: "p", Key: testKey, Retry: Retry{Max: time.Second, Jitter: func() float64 { return 0.5 }},
			Transport: transport(func(*http.Request) (*http.Response, error) {
				at = append(at, time.Since(start))
				return nil, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
			})})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Device(t.Context(), goodID)
		wants(t, err, tandem.Unavailable, "api.golioth.io broke")
		ms := time.Millisecond // three quarters of 250, 500, 1000, 1000, 1000 ms
		want := []time.Duration{0, 187*ms + 500*time.Microsecond, 562*ms + 500*time.Microsecond, 1312*ms + 500*time.Microsecond, 2062*ms + 500*time.Microsecond, 2812*ms + 500*time.Microsecond}
		if fmt.Sprint(at) != fmt.Sprint(want) {
			t.Errorf("asked at %v, not %v", at, want)
		}
	})
}

// S30: a dead service is left alone, whoever asks, and is then tried with one request.
func TestS30Breaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, dead := 0, true
		c, err := New(Options{Project: "p", Key: testKey, Retry: Retry{Attempts: 2, BreakerFailures: 4, BreakerDelay: time.Minute},
			Transport: transport(func(*http.Request) (*http.Response, error) {
				asked++
				if dead {
					return answer(500, `{}`), nil
				}
				return answer(200, `{"data":`+wire(1)+`}`), nil
			})})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err = c.Device(t.Context(), goodID)
			wants(t, err, tandem.Unavailable)
			if errors.Is(err, tandem.ErrBreakerOpen) {
				t.Errorf("one reply is not the breaker: %v", err)
			}
		}
		if asked != 4 {
			t.Fatalf("asked %d times", asked)
		}
		err = c.DeleteDevice(t.Context(), goodID)
		wants(t, err, tandem.Unavailable, "failed 4 times in a row", "Internal Server Error", "tried again in 1m0s")
		var e *tandem.Error
		if !errors.As(err, &e) || e.RetryAfter != time.Minute || asked != 4 || !errors.Is(err, tandem.ErrBreakerOpen) {
			t.Errorf("asked %d times, %+v", asked, e)
		}
		dead = false
		if _, err := c.Device(t.Context(), goodID); err != nil { // a read waits for the breaker as for any retry
			t.Error(err)
		}
		if err := c.DeleteDevice(t.Context(), goodID); err != nil || asked != 6 {
			t.Errorf("asked %d times, %v", asked, err)
		}
	})
}

// A pause that one reply asks for holds back the others.
func TestS30RetryAfterHoldsTheWholeClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		c, err := New(Options{Project: "p", Key: testKey, Retry: quick, Transport: transport(func(*http.Request) (*http.Response, error) {
			if at = append(at, time.Since(start)); len(at) == 1 {
				return answer(429, `{}`, "Retry-After", "5"), nil
			}
			return answer(200, `{"data":{}}`), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		wants(t, c.SetState(t.Context(), goodID, "a", 1), tandem.RateLimited)
		if err := c.SetState(t.Context(), goodID, "b", 1); err != nil {
			t.Error(err)
		}
		if len(at) != 2 || at[1] != 5*time.Second {
			t.Errorf("asked at %v", at)
		}
	})
}
