package http

import "sync"

// places are what one device may have at once of something.
type places struct {
	most int
	mu   sync.Mutex
	by   map[string]int // taken, by device
}

// enter takes a place; false where the device has none left.
func (p *places) enter(device string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[device] >= p.most {
		return false
	}
	if p.by == nil {
		p.by = map[string]int{}
	}
	p.by[device]++
	return true
}

// leave gives it back.
func (p *places) leave(device string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[device]--; p.by[device] == 0 {
		delete(p.by, device)
	}
}
