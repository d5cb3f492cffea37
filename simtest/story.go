package simtest

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// story is what happened in one world, line by line. It is safe for concurrent use.
type story struct {
	began time.Time

	mu    sync.Mutex
	lines []string
}

func newStory() *story { return &story{began: time.Now()} }

// tell adds a line, with the time since the beginning.
func (s *story) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%7.3fs  ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

// String gives the whole of it.
func (s *story) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}
