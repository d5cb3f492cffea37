package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// committed notes changes of an organization that this process has committed.
func (s *Store) committed(org string, c *tandem.Changes) {
	if len(c.CreateDevices)+len(c.UpdateDevices)+len(c.CreateAssignments)+len(c.UpdateAssignments) > 0 {
		s.listings.changed(org)
	} else if len(c.Observe) == 0 {
		return
	}
	if s.fleets.least == 0 {
		return
	}
	f, _ := s.fleets.get(org)
	if f == nil {
		return
	}
	changed := make(map[string]bool, len(c.CreateDevices)+len(c.UpdateDevices)+len(c.CreateAssignments)+len(c.UpdateAssignments))
	for _, devices := range [][]tandem.Device{c.CreateDevices, c.UpdateDevices} {
		for i := range devices {
			changed[devices[i].ID] = true
		}
	}
	for _, links := range [][]tandem.Assignment{c.CreateAssignments, c.UpdateAssignments} {
		for i := range links {
			changed[links[i].DeviceID] = true
		}
	}
	observed := make([]fleetObserved, len(c.Observe))
	for i := range c.Observe {
		observed[i] = newFleetObserved(&c.Observe[i])
	}
	if f.keeping.mark(changed, observed) {
		s.fleets.ended.Go(func() { _ = s.catchUp(s.fleets.ctx, f, false) })
	}
}

// upset notes that this process has committed more than it can name.
func (s *Store) upset(org string) {
	s.listings.changed(org)
	if s.fleets.least == 0 {
		return
	}
	if f, _ := s.fleets.get(org); f != nil {
		f.keeping.upsetBy(true)
	}
}

// mark notes devices that have changed, and says whether there are so many that they had better be brought in.
func (k *keeping) mark(changed map[string]bool, observed []fleetObserved) (many bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.meanwhile != nil {
		k.meanwhile.add(changed, observed)
	}
	if !k.there {
		return false
	}
	k.marks.add(changed, observed)
	many = !k.looking && (len(k.marks.changed) >= changesAtOnce || len(k.marks.observed) >= observedAtOnce)
	k.looking = k.looking || many
	return many
}

func (k *keeping) upsetBy(urgent bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.upset.IsZero() {
		k.upset = time.Now()
	}
	k.urgent = k.urgent || urgent
}

func (k *keeping) take() marks {
	k.mu.Lock()
	defer k.mu.Unlock()
	taken := k.marks
	k.marks, k.looking = marks{}, false
	return taken
}

// catchUp brings into a fleet what was committed before the call, loading it where there is nothing yet.
func (s *Store) catchUp(ctx context.Context, f *fleet, asked bool) error {
	k, arrived := &f.keeping, time.Now()
	if err := s.beThere(ctx, f, asked); err != nil || k.refused() {
		return err
	}
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-k.turn }()
	if k.caught.After(arrived) {
		return nil // somebody did, who began after this call
	}
	began, taken := time.Now(), k.take()
	cursor, err := s.others(ctx, f, &taken)
	if err == nil {
		ids := make([]string, 0, len(taken.changed))
		for id := range taken.changed {
			ids = append(ids, id)
		}
		err = s.refresh(ctx, f, ids)
	}
	f.observe(taken.observed)
	if err != nil {
		k.mark(taken.changed, nil)
		return err
	}
	k.cursor, k.caught = cursor, began
	return nil
}

// others adds what the events tell that other processes have committed.
func (s *Store) others(ctx context.Context, f *fleet, m *marks) (cursor string, err error) {
	const some = 1000
	cursor = f.keeping.cursor
	err = s.read(ctx, "read events", f.org, func(tx bun.Conn) error {
		for {
			events, next, err := s.eventsAfter(ctx, tx, f.org, cursor, some)
			if err != nil {
				return err
			}
			cursor = next
			for i := range events {
				if e := &events[i]; e.Kind != devicesKind || s.fleets.isOwn(e.ID) {
					continue
				} else if e.Many {
					f.keeping.upsetBy(false)
				} else {
					changed := make(map[string]bool, len(e.IDs))
					for _, id := range e.IDs {
						changed[id] = true
					}
					m.add(changed, nil)
				}
			}
			if len(events) < some {
				return nil
			}
		}
	})
	return cursor, err
}

// beThere has a fleet loaded where it is not, or where too much has changed; it waits for that where the older one will not do.
func (s *Store) beThere(ctx context.Context, f *fleet, asked bool) error {
	k := &f.keeping
	for {
		k.mu.Lock()
		if asked {
			k.asked = time.Now()
		}
		if k.tooLarge && time.Since(k.loaded) < largeFor {
			k.mu.Unlock()
			return nil
		}
		upset := !k.upset.IsZero()
		wait := !k.there || k.urgent || upset && time.Since(k.upset) > upsetAtMost
		if k.loading == nil && (wait || upset && time.Since(k.loaded) > max(betweenLoads, loadsShare*k.took)) {
			if s.fleets.ctx.Err() != nil {
				k.mu.Unlock()
				return s.fleets.ctx.Err()
			}
			k.loading = make(chan struct{})
			s.fleets.ended.Go(func() { s.load(f) })
		}
		loading := k.loading
		k.mu.Unlock()
		if !wait {
			return nil
		}
		select {
		case <-loading:
		case <-ctx.Done():
			return ctx.Err()
		}
		k.mu.Lock()
		err := k.failure
		k.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// load reads a fleet anew, and puts what was committed meanwhile among the marks.
func (s *Store) load(f *fleet) {
	k := &f.keeping
	k.mu.Lock()
	began := time.Now()
	k.meanwhile = &marks{}
	upset, urgent := k.upset, k.urgent
	k.upset, k.urgent = time.Time{}, false
	k.mu.Unlock()
	anew, cursor, err := s.loadFleet(s.fleets.ctx, f.org)
	k.turn <- struct{}{}
	k.mu.Lock()
	if err == nil {
		f.become(anew)
		k.cursor, k.there = cursor, true
		k.marks = *k.meanwhile // what was marked before is in it
	} else {
		k.upset, k.urgent = earlier(upset, k.upset), urgent || k.urgent
	}
	k.tooLarge = errors.Is(err, errTooLarge)
	if k.tooLarge {
		err = nil
	}
	k.failure, k.meanwhile, k.loaded, k.took = err, nil, time.Now(), time.Since(began)
	close(k.loading)
	k.loading = nil
	k.mu.Unlock()
	<-k.turn
	s.fleets.makeRoom(f)
}

// earlier gives the first of two instants that are not zero.
func earlier(a, b time.Time) time.Time {
	all := slices.DeleteFunc([]time.Time{a, b}, time.Time.IsZero)
	if len(all) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(all, time.Time.Compare)
}
