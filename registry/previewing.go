package registry

import (
	"fmt"
	"sync"
	"time"

	"tandem"
)

// How many previews are under way at once: each reads a whole project, and leaves nothing that would end the next one sooner.
const (
	previewsOfOne = 3 // actor
	previewsAtAll = 16
	previewsRetry = 5 * time.Second
)

// Previews bounds the previews under way, for each who asks and for all. The zero value is ready.
type Previews struct {
	mu  sync.Mutex
	of  map[string]int
	all int
}

// begin lets a preview begin, or says RateLimited. Call end when it is over. Whoever works on the database itself is not bounded.
func (p *Previews) begin(actor Actor) (end func(), err error) {
	if actor.Root || p == nil {
		return func() {}, nil
	}
	who := actor.UserID
	if who == "" {
		who = actor.ID
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	refused := &tandem.Error{Code: tandem.RateLimited, Op: "preview", RetryAfter: previewsRetry}
	switch {
	case p.of[who] >= previewsOfOne:
		refused.Message = fmt.Sprintf("you have %d previews under way already", previewsOfOne)
		return nil, refused.WithHint("wait until one of them is ready, or close its page")
	case p.all >= previewsAtAll:
		refused.Message = fmt.Sprintf("%d previews are under way on this server", previewsAtAll)
		return nil, refused.WithHint("try again in a moment")
	}
	if p.of == nil {
		p.of = map[string]int{}
	}
	p.of[who]++
	p.all++
	return func() { p.end(who) }, nil
}

func (p *Previews) end(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.of[who]--; p.of[who] == 0 {
		delete(p.of, who)
	}
}
