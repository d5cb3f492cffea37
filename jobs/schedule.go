package jobs

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"tandem"
	"tandem/syncer"
)

// The schedule's bounds.
const (
	scheduleAtOnce = 200
	longestBackoff = time.Hour
	// recheck is how often a service that waits for a person is looked at: it may be one who changes nothing that tells us.
	recheck = 5 * time.Minute
)

// lookAtSchedule asks for a job for each service whose time has come. One process gets it.
func (j *Jobs) lookAtSchedule(ctx context.Context) (more bool, err error) {
	due, err := j.Store.DueServices(ctx, j.now(), scheduleAtOnce)
	if err != nil || len(due) == 0 {
		return false, err
	}
	list := make([]work, len(due))
	for i, s := range due {
		list[i] = work{kind: kindSchedule, Org: s.OrganizationID, Args: map[string]string{"service_id": s.ID}, Key: keyed(time.Now(), s.OrganizationID, s.ID)}
	}
	return false, j.engine.insert(ctx, list)
}

// scheduleService begins a service's next run, or says when to look again, in one transaction with the next time.
func (j *Jobs) scheduleService(ctx context.Context, w *job) error {
	service, err := j.Store.Service(ctx, w.Org, w.Args["service_id"])
	if err != nil {
		return unless(gone(err), err)
	}
	now := j.now()
	if !service.IsActive || !service.SyncEnabled || service.NextSyncAt != nil && service.NextSyncAt.After(now) {
		return nil // paused, or another process was faster
	}
	next := decide(&service, now, rand.Float64())
	if next.start && !syncer.Approved(&service) {
		asked, err := j.asked(ctx, &service)
		if err != nil {
			return err
		}
		if asked {
			next = waits(now, "its settings wait for a person's approval")
		}
	}
	if next.start {
		busy, err := j.atIt(ctx, &service)
		if err != nil {
			return err
		}
		if busy {
			next.start, next.why = false, "the run before is still going on"
		}
	}
	at := &next.at
	change := &tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: service.ID, NextSyncAt: &at}}}
	if !next.start {
		j.Log.Debug("a scheduled run is left out", "service", service.ID, "why", next.why, "next", next.at)
		return j.Store.Apply(ctx, w.Org, change)
	}
	_, err = j.Engine.Queue(ctx, w.Org, tandem.RunRequest{ServiceID: service.ID, Trigger: tandem.BySchedule}, change)
	return unless(gone(err), err)
}

// decision is what the schedule does with a service now, and when it looks at it again.
type decision struct {
	start bool
	at    time.Time
	why   string // not started
}

// waits is for a service that waits for a person.
func waits(now time.Time, why string) decision {
	return decision{at: now.Add(recheck), why: why}
}

// decide goes by the service alone. Chance is from 0 to 1: it spreads services that were set up together over a tenth
// of their interval to either side.
func decide(s *tandem.Service, now time.Time, chance float64) decision {
	switch {
	case s.State == tandem.ServiceRejected:
		return waits(now, "the service refused the key (S31)")
	case s.State == tandem.ServiceLocked:
		return waits(now, "the stored key cannot be opened")
	case s.State == tandem.ServiceDegraded && s.RetryAt == nil:
		return waits(now, "a person has to decide: "+s.StateReason)
	case s.State == tandem.ServiceDegraded && s.RetryAt.After(now):
		return decision{at: *s.RetryAt, why: "the service is degraded: " + s.StateReason}
	}
	return decision{start: true, at: now.Add(interval(s, chance))}
}

// interval is the service's own with a jitter; longer, up to an hour, the more scheduled runs failed in a row.
func interval(s *tandem.Service, chance float64) time.Duration {
	every := time.Duration(max(s.SyncInterval, 60)) * time.Second
	if s.SyncFailures > 0 {
		every = max(every, min(longestBackoff, every<<min(s.SyncFailures, 10)))
	}
	return time.Duration(float64(every) * (0.9 + 0.2*chance))
}

// asked reports whether a person was already shown what these very settings would do, and has not let them (S28). What was
// let once and is to be let anew, since other settings came between or the project is another, is asked again.
func (j *Jobs) asked(ctx context.Context, s *tandem.Service) (bool, error) {
	plans, err := j.Store.Plans(ctx, s.OrganizationID, s.ID)
	if err != nil {
		return false, err
	}
	shown := syncer.Fingerprint(&s.Config)
	for _, p := range plans {
		if p.Reason == tandem.PlanApproval { // the newest
			return p.ConfigPrint == shown && p.Status != tandem.PlanUsed, nil
		}
	}
	return false, nil
}

// atIt reports whether a run over the whole service is queued or going on.
func (j *Jobs) atIt(ctx context.Context, s *tandem.Service) (bool, error) {
	for _, status := range []tandem.RunStatus{tandem.RunQueued, tandem.RunRunning} {
		runs, _, err := j.Store.Runs(ctx, s.OrganizationID, tandem.RunFilter{ServiceID: s.ID, Status: status})
		if err != nil {
			return false, err
		}
		for i := range runs {
			if whole(&runs[i], j.now()) {
				return true, nil
			}
		}
	}
	return false, nil
}

// whole reports whether a run is about all devices of its service. One that says until when it waits is dead after that,
// or, when it is going on, what a person does by hand.
func whole(run *tandem.Run, now time.Time) bool {
	var d syncer.Details
	if run.DeviceID != "" || json.Unmarshal(run.Details, &d) != nil || len(d.Scope) > 0 {
		return false
	}
	return d.WaitingUntil == nil || run.Status == tandem.RunQueued && now.Before(*d.WaitingUntil)
}

// learn counts the scheduled runs that failed in a row, and puts the next one off while they do.
func (j *Jobs) learn(ctx context.Context, service *tandem.Service, run *tandem.Run) error {
	mark, ok := lesson(service, run, j.now(), rand.Float64())
	if !ok {
		return nil
	}
	return j.Store.Apply(ctx, run.OrganizationID, &tandem.Changes{PutServices: []tandem.ServiceMark{mark}})
}

// lesson decides what a run's end says about its service's schedule; only that of the service's last run says something.
func lesson(s *tandem.Service, run *tandem.Run, now time.Time, chance float64) (mark tandem.ServiceMark, ok bool) {
	mark.ServiceID = s.ID
	switch {
	case !s.SyncEnabled || s.LastRunID != run.ID:
		return mark, false
	case run.Status == tandem.RunFailed && run.Trigger == tandem.BySchedule:
		failures := min(s.SyncFailures+1, 1000)
		after := *s
		after.SyncFailures = failures
		at := now.Add(interval(&after, chance))
		if s.State == tandem.ServiceDegraded && s.RetryAt != nil && s.RetryAt.After(at) {
			at = *s.RetryAt
		}
		next := &at
		mark.SyncFailures, mark.NextSyncAt = &failures, &next
		return mark, true
	case (run.Status == tandem.RunCompleted || run.Status == tandem.RunPartial) && (s.SyncFailures > 0 || late(s, now)):
		after, none := *s, 0
		after.SyncFailures = 0
		at := now.Add(interval(&after, chance)) // not as late as it was put off while it failed, or waited for a person
		next := &at
		mark.SyncFailures, mark.NextSyncAt = &none, &next
		return mark, true
	}
	return mark, false
}

// late reports whether the next run was put off for longer than its interval.
func late(s *tandem.Service, now time.Time) bool {
	return s.NextSyncAt != nil && s.NextSyncAt.After(now.Add(interval(s, 1)))
}
