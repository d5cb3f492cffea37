package jobs

import (
	"context"
	"sync"
	"time"

	"tandem"
	"tandem/syncer"
)

// The bounds of sending edits: services at one look, and devices in one run.
const (
	pushServices = 500
	pushAtOnce   = 500
)

// pushMemory is which services this process left alone, and until when, so that it does not ask about each at every look.
type pushMemory struct {
	mu    sync.Mutex
	until map[string]time.Time // by service
}

func (m *pushMemory) rests(service string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Before(m.until[service])
}

func (m *pushMemory) rest(service string, now, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.until == nil {
		m.until = map[string]time.Time{}
	}
	for s, t := range m.until {
		if !now.Before(t) {
			delete(m.until, s)
		}
	}
	m.until[service] = until
}

// lookForPushes asks for a job for each service with devices that are to go through a run soon (S36, S38).
func (j *Jobs) lookForPushes(ctx context.Context) (more bool, err error) {
	now := j.now()
	due, err := j.Store.ServicesToPush(ctx, now, pushServices)
	if err != nil {
		return false, err
	}
	var list []work
	for _, p := range due {
		if !j.push.rests(p.ServiceID, now) {
			list = append(list, work{kind: tandem.JobPush, Org: p.OrganizationID, Args: map[string]string{"service_id": p.ServiceID},
				Key: keyed(time.Now(), p.OrganizationID, p.ServiceID)})
		}
	}
	if len(list) == 0 {
		return false, nil
	}
	return false, j.engine.insert(ctx, list)
}

// pushService queues runs about a service's devices that are due. While another run has the service they gather, to go
// together in one run after it.
func (j *Jobs) pushService(ctx context.Context, w *job) error {
	service, err := j.Store.Service(ctx, w.Org, w.Args["service_id"])
	if err != nil {
		return unless(gone(err), err)
	}
	now := j.now()
	if j.push.rests(service.ID, now) {
		return nil
	}
	holder, err := j.Store.LeaseHolder(ctx, w.Org, service.ID)
	if err != nil || holder != "" {
		return err
	}
	for {
		due, err := j.Store.DuePushes(ctx, w.Org, service.ID, now, pushAtOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		sorted, until := sortPushes(&service, due, now)
		if !until.IsZero() {
			j.push.rest(service.ID, now, until)
			return nil
		}
		if len(sorted.drop) > 0 {
			if err := j.Store.Apply(ctx, w.Org, &tandem.Changes{DropPushes: sorted.drop}); err != nil {
				return err
			}
		}
		for _, one := range sorted.runs {
			if _, err := j.Engine.Queue(ctx, w.Org, one.request, &tandem.Changes{DropPushes: one.of}); err != nil {
				return err
			}
		}
		if len(due) < pushAtOnce {
			return nil
		}
	}
}

// sortedPushes is what becomes of pushes: some go into runs, some need none.
type sortedPushes struct {
	runs []pushRun
	drop []tandem.Push
}

// pushRun is a run and the pushes that it answers.
type pushRun struct {
	request tandem.RunRequest
	of      []tandem.Push
}

// sortPushes decides what becomes of a service's pushes; until, when it is set, says that they wait that long. What is
// dropped is not lost: the next run over the whole service meets it.
func sortPushes(s *tandem.Service, due []tandem.Push, now time.Time) (out sortedPushes, until time.Time) {
	waits := s.State == tandem.ServiceRejected || s.State == tandem.ServiceLocked || !syncer.Approved(s) // for a person
	if s.State == tandem.ServiceDegraded {
		switch {
		case s.RetryAt == nil:
			waits = true
		case s.RetryAt.After(now):
			return out, *s.RetryAt
		}
	}
	if !s.IsActive || waits {
		out.drop = due
		return out, until
	}
	for _, trigger := range []tandem.Trigger{tandem.ByEdit, tandem.ByWebhook} {
		one := pushRun{request: tandem.RunRequest{ServiceID: s.ID, Trigger: trigger}}
		for i, p := range due {
			if p.Trigger != trigger {
				continue
			}
			if trigger == tandem.ByEdit && !s.SyncEnabled { // S38 is about services with automatic sync
				out.drop = append(out.drop, p)
				continue
			}
			one.add(p, len(one.of) == 0, due[i].By)
		}
		if len(one.of) > 0 {
			out.runs = append(out.runs, one)
		}
	}
	return out, until
}

// add puts a push into the run. Who edited is named where it is the same for all.
func (r *pushRun) add(p tandem.Push, first bool, by string) {
	r.of = append(r.of, p)
	if p.ExternalDeviceID != "" {
		r.request.ExternalIDs = append(r.request.ExternalIDs, p.ExternalDeviceID)
	} else {
		r.request.DeviceIDs = append(r.request.DeviceIDs, p.DeviceID)
	}
	if first {
		r.request.CreatedBy = by
	} else if r.request.CreatedBy != by {
		r.request.CreatedBy = ""
	}
}
