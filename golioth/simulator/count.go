package simulator

import (
	"sync"
	"time"
)

// Requests is what the server counted since it started or since ResetRequests.
// Calls to /simulator/ are not counted.
type Requests struct {
	Total         int            `json:"total"`
	Writes        int            `json:"writes"`          // calls that are not GET, stream queries by POST not among them
	ByRoute       map[string]int `json:"by_route"`        // "GET /v1/projects/{project}/devices"; "GET (unknown)" for other paths
	ByStatus      map[int]int    `json:"by_status"`       // HTTP status; 0 for a connection that was reset
	Limited       int            `json:"limited"`         // refused for too many requests
	PeakPerMinute int            `json:"peak_per_minute"` // most within any 60 seconds, by whole seconds of the clock
	MaxInFlight   int            `json:"max_in_flight"`   // most at once
	Bytes         int64          `json:"bytes"`           // of reply bodies
	Faults        map[string]int `json:"faults"`          // strikes, those at deliveries too, by the fault's text
}

// counter counts requests. The zero value is ready.
type counter struct {
	mu       sync.Mutex
	counts   Requests
	inFlight int
	buckets  [60]struct {
		second int64
		n      int
	}
}

func (c *counter) begin(method, pattern string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts.ByRoute == nil {
		c.counts.ByRoute, c.counts.ByStatus, c.counts.Faults = map[string]int{}, map[int]int{}, map[string]int{}
	}
	c.counts.Total++
	c.counts.ByRoute[method+" "+pattern]++
	if method != "GET" && pattern != under+"/stream" && pattern != under+"/devices/{device}/stream" {
		c.counts.Writes++
	}
	c.inFlight++
	c.counts.MaxInFlight = max(c.counts.MaxInFlight, c.inFlight)

	second := now.Unix()
	bucket := &c.buckets[uint64(second)%60]
	if bucket.second != second {
		bucket.second, bucket.n = second, 0
	}
	bucket.n++
	minute := 0
	for _, b := range c.buckets {
		if b.second <= second && b.second > second-60 {
			minute += b.n
		}
	}
	c.counts.PeakPerMinute = max(c.counts.PeakPerMinute, minute)
}

func (c *counter) end(status, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
	c.counts.ByStatus[status]++
	c.counts.Bytes += int64(bytes)
}

func (c *counter) limited() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Limited++
}

func (c *counter) struck(fault string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts.Faults == nil { // no call came yet
		c.counts.ByRoute, c.counts.ByStatus, c.counts.Faults = map[string]int{}, map[int]int{}, map[string]int{}
	}
	c.counts.Faults[fault]++
}

// snapshot copies the counts.
func (c *counter) snapshot() Requests {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	counts.ByRoute, counts.ByStatus, counts.Faults = map[string]int{}, map[int]int{}, map[string]int{}
	for k, v := range c.counts.ByRoute {
		counts.ByRoute[k] = v
	}
	for k, v := range c.counts.ByStatus {
		counts.ByStatus[k] = v
	}
	for k, v := range c.counts.Faults {
		counts.Faults[k] = v
	}
	return counts
}

// reset forgets the counts; what is in flight stays in flight.
func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = Requests{ByRoute: map[string]int{}, ByStatus: map[int]int{}, Faults: map[string]int{}, MaxInFlight: c.inFlight}
	clear(c.buckets[:])
}

// limiter allows a number of requests in any 60 seconds. Limit 0 allows all.
type limiter struct {
	mu    sync.Mutex
	limit int
	times []time.Time // of the last allowed requests, a ring
	next  int
}

// allow counts a request, or gives how long until one is allowed.
func (l *limiter) allow(now time.Time) (wait time.Duration) {
	if l.limit <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.times) < l.limit {
		l.times = append(l.times, now)
		return 0
	}
	if oldest := l.times[l.next]; now.Sub(oldest) < time.Minute && !now.Before(oldest) {
		return oldest.Add(time.Minute).Sub(now)
	}
	l.times[l.next] = now
	l.next = (l.next + 1) % l.limit
	return 0
}
