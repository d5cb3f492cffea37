package webhook

import (
	"context"
	"sync"
	"time"

	"tandem"
)

// The bounds of the services that are kept in memory.
const (
	serviceLife  = 3 * time.Second        // a changed setting counts after this
	refusalLife  = 250 * time.Millisecond // what refuses must not be older: the secret may be new
	mostServices = 4096                   // known and unknown ones
	mostLookups  = 4                      // queries at once
	lookupWait   = 2 * time.Second
)

// target is what a delivery is for: a service with its checks, or none.
type target struct {
	service tandem.Service
	refusal Reason // why nothing is accepted for it, "" otherwise
	verify  verifier
	asked   time.Time
	until   time.Time
}

// known reports whether the service is there at all.
func (t *target) known() bool { return t.service.ID != "" }

// services looks services up by id alone, at most once in serviceLife each, unknown ones too.
type services struct {
	store interface {
		WebhookService(ctx context.Context, service string) (tandem.Service, error)
	}
	open  func(ctx context.Context, s tandem.Service) ([]Secret, error) // nil where nothing is to be checked
	clock tandem.Clock
	slots chan struct{}

	mu    sync.Mutex
	by    map[string]*target
	going map[string]chan struct{} // lookups under way
}

func newServices(store Store, open func(context.Context, tandem.Service) ([]Secret, error), clock tandem.Clock) *services {
	return &services{store: store, open: open, clock: clock, slots: make(chan struct{}, mostLookups),
		by: map[string]*target{}, going: map[string]chan struct{}{}}
}

// get gives what is known of a service. An error means that the database cannot say.
func (s *services) get(ctx context.Context, id string) (*target, error) {
	if !plausible(id) {
		return &target{refusal: UnknownService}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	for {
		s.mu.Lock()
		if t, ok := s.by[id]; ok && s.clock().Before(t.until) {
			s.mu.Unlock()
			return t, nil
		}
		wait, busy := s.going[id]
		if !busy {
			done := make(chan struct{})
			s.going[id] = done
			s.mu.Unlock()
			return s.look(ctx, id, done)
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, away(ctx.Err())
		}
	}
}

// again gives what is known of a service after something was refused by what was known; not ok when that is still new.
func (s *services) again(ctx context.Context, id string, old *target) (t *target, ok bool, err error) {
	if !plausible(id) || s.clock().Before(old.asked.Add(refusalLife)) {
		return old, false, nil
	}
	s.mu.Lock()
	if s.by[id] == old {
		delete(s.by, id)
	}
	s.mu.Unlock()
	t, err = s.get(ctx, id)
	return t, err == nil, err
}

// look asks the database, on behalf of all who wait for the same service.
func (s *services) look(ctx context.Context, id string, done chan struct{}) (t *target, err error) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.going, id)
		if err == nil {
			s.keep(id, t)
		}
		close(done)
	}()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, away(ctx.Err())
	}
	service, err := s.store.WebhookService(ctx, id)
	switch {
	case tandem.Is(err, tandem.NotFound):
		return &target{refusal: UnknownService}, nil
	case err != nil:
		return nil, err
	}
	t = &target{service: service}
	switch {
	case service.DeletedAt != nil:
		return &target{refusal: UnknownService}, nil
	case !service.IsActive:
		t.refusal = InactiveService
	case service.Config.Webhook.Scheme == "":
		t.refusal = NoScheme
	case s.open != nil:
		secrets, err := s.open(ctx, service)
		if err != nil {
			t.refusal = KeyLost
			break
		}
		t.verify = newVerifier(service.Config.Webhook, secrets)
	}
	return t, nil
}

// keep remembers an answer. When there are too many, the expired go, and if that does not help, any do. The lock is held.
func (s *services) keep(id string, t *target) {
	now := s.clock()
	t.asked, t.until = now, now.Add(serviceLife)
	if len(s.by) >= mostServices {
		for other, old := range s.by {
			if !now.Before(old.until) || !old.known() {
				delete(s.by, other)
			}
		}
		for other := range s.by {
			if len(s.by) < mostServices {
				break
			}
			delete(s.by, other)
		}
	}
	s.by[id] = t
}

// forget makes the next request ask again: the service was changed here.
func (s *services) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, id)
}

// plausible keeps texts that are no id of ours from the database.
func plausible(id string) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// away is the error of a database that does not answer in time.
func away(err error) error {
	return tandem.Errorf(tandem.Unavailable, "webhook: find service", "", "the database did not answer in time: %w", err)
}

// peek gives what is known already, nil for nothing.
func (s *services) peek(id string) *target {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[id]
}
