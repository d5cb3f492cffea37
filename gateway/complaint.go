package gateway

import (
	"log/slog"
	"sync"
	"time"

	"tandem"
)

// How often somebody is told of what goes on failing.
const (
	complainEvery = time.Minute
	patience      = time.Minute // with what waits for its turn at the database, such as behind a large import
)

// complaint tells of work that is done again and again and fails: at once and then once a minute, and when it goes on. Work
// that only waits its turn is no failure before it has waited for long.
type complaint struct {
	what  string
	clock tandem.Clock
	log   *slog.Logger

	mu     sync.Mutex
	since  time.Time // of the first failure in a row; zero for none
	told   time.Time
	unsaid int
}

func newComplaint(o *Options, what string) *complaint {
	return &complaint{what: what, clock: o.Clock, log: o.Log}
}

// about notes how one attempt ended.
func (c *complaint) about(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	if err == nil {
		if !c.told.IsZero() {
			c.log.Info("the gateway goes on", "what", c.what, "failed_for", now.Sub(c.since).Round(time.Second))
		}
		c.since, c.told, c.unsaid = time.Time{}, time.Time{}, 0
		return
	}
	if c.since.IsZero() {
		c.since = now
	}
	waits := tandem.Is(err, tandem.Timeout) && now.Sub(c.since) < patience
	if waits || !c.told.IsZero() && now.Sub(c.told) < complainEvery {
		c.unsaid++
		return
	}
	c.log.Warn("the gateway fails, and tries again", "what", c.what, "since", c.since.UTC().Format(time.RFC3339), "unsaid", c.unsaid, "error", err)
	c.told, c.unsaid = now, 0
}
