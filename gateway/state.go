package gateway

import (
	"slices"
	"sync"
	"time"

	"tandem"
	"tandem/report"
)

// The bounds of what is kept of reporting devices.
const (
	stateLife  = 10 * time.Minute // without a report
	redelivery = time.Minute      // in which the same content may be a redelivery
	mostRecent = 128              // messages of a device that are remembered as long
)

// deviceState is what is known of a device that reports: what its next report is held against, and how much it sent.
type deviceState struct {
	mu     sync.Mutex
	device tandem.Device
	loaded time.Time // when device was last read
	used   time.Time
	last   time.Time // of receipt: no two reports of a device have the same, or one would be taken for the other's double
	tokens float64   // how many reports it may send at once
	filled time.Time // when tokens was so
	recent []recent  // oldest first

	waiting int // bytes of its reports that wait for their commit; the committer's lock is for it
}

// recent is a message that came, by which a redelivery of it is known.
type recent struct {
	digest uint64
	at     time.Time
	w      *waiting
}

// known gives the message with the same content that was stored within redelivery, or is about to be; nil for none.
func (s *deviceState) known(digest uint64, now time.Time) *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.recent {
		if r.digest == digest && now.Sub(r.at) < redelivery && !r.w.failed() {
			return r.w
		}
	}
	return nil
}

// keep remembers content that is to be stored.
func (s *deviceState) keep(digest uint64, now time.Time, w *waiting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := 0
	for over < len(s.recent) && (now.Sub(s.recent[over].at) >= redelivery || len(s.recent)-over >= mostRecent) {
		over++
	}
	s.recent = append(slices.Delete(s.recent, 0, over), recent{digest, now, w})
}

// take lets n reports through, or says how long to wait until they may come.
func (s *deviceState) take(n int, rate float64, burst int, now time.Time) time.Duration {
	if rate < 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	full := float64(max(burst, n)) // a message that is allowed at all is let through when the device was quiet before
	if s.filled.IsZero() {
		s.tokens = full
	} else {
		s.tokens = min(full, s.tokens+max(now.Sub(s.filled).Seconds(), 0)*rate)
	}
	s.filled = now
	if lacking := float64(n) - s.tokens; lacking > 0 {
		return max(time.Duration(lacking/rate*float64(time.Second)), time.Millisecond)
	}
	s.tokens -= float64(n)
	return 0
}

// date gives reports their times of receipt.
func (s *deviceState) date(said []report.Said, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = now.UTC().Truncate(time.Microsecond)
	s.used = now
	for i := range said {
		if !now.After(s.last) {
			now = s.last.Add(time.Microsecond)
		}
		said[i].ReceivedAt, s.last = now, now
	}
}

// look gives the device as it is known, and when it was read.
func (s *deviceState) look() (tandem.Device, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.device, s.loaded
}

// leave puts the device as reports left it. Two transactions may end in another order than they began: the newer stays.
func (s *deviceState) leave(d tandem.Device, loaded time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if loaded.Before(s.loaded) {
		return
	}
	e := report.Effect{Observed: s.device.Observed}
	e.Leave(&d)
	s.device, s.loaded = d, loaded
}
