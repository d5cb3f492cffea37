package jobs

import (
	"context"
	"encoding/json"
	"time"

	"tandem"
)

// The bounds of looking for devices that went offline.
const (
	servicesAtOnce = 500
	offlineAtOnce  = 1000
	offlineTold    = 100 // how many ids an event names
	// longestGap is how far back is looked when nobody has looked for longer.
	longestGap = 24 * time.Hour
	// shortestSlice is where dividing a time that has too many ends.
	shortestSlice = time.Millisecond
)

// offline finds the devices whose last report has become older than their service's online window since the look before,
// which another process may have done: an event says so, and it is kept in their history.
func (j *Jobs) offline(ctx context.Context, w *job) error {
	until, err := time.Parse(time.RFC3339Nano, w.Args["at"])
	if err != nil {
		return err
	}
	since, err := j.lookedUntil(ctx, until)
	if err != nil || !since.Before(until) {
		return err
	}
	for after := ""; ; {
		services, err := j.Store.ActiveServices(ctx, after, servicesAtOnce)
		if err != nil || len(services) == 0 {
			return err
		}
		for i := range services {
			if err := j.offlineOf(ctx, &services[i], since, until); err != nil {
				return err
			}
		}
		after = services[len(services)-1].ID
	}
}

// lookedUntil is up to where the look before went: it is part of its job.
func (j *Jobs) lookedUntil(ctx context.Context, now time.Time) (time.Time, error) {
	last, ok, err := j.engine.lastDone(ctx, kindOffline)
	since := now.Add(-offlineEvery)
	if ok {
		if at, err := time.Parse(time.RFC3339Nano, last.Args["at"]); err == nil {
			since = at
		}
	}
	if oldest := now.Add(-longestGap); since.Before(oldest) {
		since = oldest
	}
	return since, err
}

// offlineOf tells of one service's devices. A slice of time with more of them than are read at once is divided.
func (j *Jobs) offlineOf(ctx context.Context, s *tandem.Service, since, until time.Time) error {
	found, err := j.Store.TurnedOffline(ctx, s.OrganizationID, s.ID, since, until, offlineAtOnce)
	if err != nil || len(found) == 0 {
		return unless(gone(err), err)
	}
	if half := until.Sub(since) / 2; len(found) == offlineAtOnce && half > shortestSlice {
		if err := j.offlineOf(ctx, s, since, since.Add(half)); err != nil {
			return err
		}
		return j.offlineOf(ctx, s, since.Add(half), until)
	}
	return j.Store.Apply(ctx, s.OrganizationID, j.wentOffline(s, found, until))
}

// wentOffline is what is kept and told of devices that stopped reporting.
func (j *Jobs) wentOffline(s *tandem.Service, found []tandem.LinkedID, at time.Time) *tandem.Changes {
	c := &tandem.Changes{}
	value, event := json.RawMessage(`"`+string(tandem.Offline)+`"`), tandem.Event{ID: j.NewID(), OrganizationID: s.OrganizationID, At: at, Kind: "device.offline"}
	for _, l := range found {
		c.Observations = append(c.Observations, tandem.DeviceObservation{DeviceID: l.DeviceID, ServiceID: s.ID, Path: "status", Value: value, ObservedAt: at})
		if len(event.IDs) < offlineTold {
			event.IDs = append(event.IDs, l.DeviceID)
		} else {
			event.Many = true
		}
	}
	c.Events = []tandem.Event{event}
	return c
}
