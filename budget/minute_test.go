package budget_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem/golioth/simulator"
	"tandem/store"
)

// on drives a budget with a worker's bursts and pauses until an instant; each request travels for up to 400 ms.
func on(t *testing.T, tr *traffic, take func() (func(), error), random *rand.Rand, until time.Time, arrive func()) {
	for time.Now().Before(until) {
		for range 1 + random.IntN(200) {
			release, err := take()
			if err != nil {
				t.Error(err)
				return
			}
			<-time.After(time.Duration(random.Int64N(int64(400 * time.Millisecond))))
			arrive()
			tr.mu.Lock()
			tr.started = append(tr.started, time.Now())
			tr.mu.Unlock()
			release()
			if !time.Now().Before(until) {
				return
			}
		}
		<-time.After(time.Duration(random.Int64N(int64(20 * time.Second))))
	}
}

// TestS32NoMinuteSeesMore drives three processes' budgets together, in bursts and with pauses, and looks at every 60
// seconds in which their requests arrive.
func TestS32NoMinuteSeesMore(t *testing.T) {
	for _, perMinute := range []int{1, 2, 7, 60, 600, 6_000} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%d a minute, seed %d", perMinute, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					db, tr := &ledger{}, &traffic{}
					until := time.Now().Add(5 * time.Minute)
					var workers sync.WaitGroup
					for h := range 3 {
						b := open(db, fmt.Sprint(h), perMinute, 0)
						for w := range 1 + perMinute/100 {
							random := rand.New(rand.NewPCG(seed, uint64(1_000*h+w)))
							workers.Go(func() {
								on(t, tr, func() (func(), error) { return b.Acquire(t.Context()) }, random, until, func() {})
							})
						}
					}
					workers.Wait()
					slices.SortFunc(tr.started, time.Time.Compare)
					most := tr.mostWithin(time.Minute)
					if most > perMinute {
						t.Errorf("%d requests arrived within a minute, the limit is %d", most, perMinute)
					}
					if perMinute < 1_000 && most < perMinute*9/10 {
						t.Errorf("at most %d requests arrived within a minute: %d are allowed, and were asked for", most, perMinute)
					}
				})
			})
		}
	}
}

// TestS32NoRefusal has three processes keep a simulator busy that refuses what is more than the limit within any minute.
func TestS32NoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perMinute = 1_200
		server, err := simulator.New(simulator.Options{RequestsPerMinute: perMinute})
		if err != nil {
			t.Fatal(err)
		}
		db, tr := &ledger{}, &traffic{}
		until := time.Now().Add(4 * time.Minute)
		var workers sync.WaitGroup
		for h := range 3 {
			b := open(db, fmt.Sprint(h), perMinute, 32)
			for w := range 8 {
				random := rand.New(rand.NewPCG(uint64(h), uint64(w)))
				workers.Go(func() {
					on(t, tr, func() (func(), error) { return b.Acquire(t.Context()) }, random, until, func() {
						request := httptest.NewRequest(http.MethodGet, "/v1/projects/demo", nil)
						request.Header.Set("x-api-key", "demo-key")
						reply := httptest.NewRecorder()
						server.ServeHTTP(reply, request)
						if reply.Code != http.StatusOK {
							t.Errorf("the simulator answered %d: %s", reply.Code, reply.Body)
						}
					})
				})
			}
		}
		workers.Wait()
		if len(tr.started) < 3*perMinute {
			t.Errorf("only %d requests in four minutes at %d a minute", len(tr.started), perMinute)
		}
	})
}

// TestS32TheLimitItself: an export that wants more than the limit gets nearly all of it.
func TestS32TheLimitItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perMinute = 30_000
		db, tr := &ledger{}, &traffic{}
		b := open(db, "one", perMinute, 32)
		defer b.Close()
		began := time.Now()
		var workers sync.WaitGroup
		for range 32 { // 640 a second
			workers.Go(func() {
				for range 300 {
					tr.request(t, t.Context(), b, 50*time.Millisecond)
				}
			})
		}
		workers.Wait()
		pace, _ := store.Pace(perMinute)
		if took, want := time.Since(began), 9_600*pace; took > want*101/100 {
			t.Errorf("9,600 requests took %v, the pace alone takes %v", took, want)
		}
		if even := time.Minute / perMinute; pace > even*103/100 {
			t.Errorf("requests are granted every %v, an even minute has one every %v", pace, even)
		}
	})
}

// TestS32Pace: from rest, and however long the span, no more are granted than a minute may see.
func TestS32Pace(t *testing.T) {
	const span = 61 * time.Second // a minute, GrantLife and travel
	for perMinute := 1; perMinute < 1_000_000; perMinute += 1 + perMinute/7 {
		pace, ahead := store.Pace(perMinute)
		if granted := int((ahead + span) / pace); granted > perMinute || ahead < pace || perMinute >= 10 && perMinute < 10_000 && granted < perMinute-1 {
			t.Errorf("%d a minute: one every %v, %v ahead, grants %d in %v", perMinute, pace, ahead, granted, span)
		}
	}
}
