package registry

import (
	"context"
	"time"

	"tandem"
)

// Overview counts the fleet and what is wrong with it. Of what the actor may not read it counts nothing.
func (r *Registry) Overview(ctx context.Context, actor Actor, org string) (tandem.Overview, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return tandem.Overview{}, err
	}
	o, err := r.Server.Overview(ctx, org, r.Clock())
	if err != nil {
		return o, err
	}
	if !actor.May(org, ReadConflicts) {
		o.ConflictsOpen = 0
		for i := range o.Services {
			o.Services[i].ConflictsOpen = 0
		}
	}
	if !actor.May(org, ReadServices) {
		o.Services = []tandem.ServiceOverview{}
	}
	if !actor.May(org, ReadAlerts) {
		o.AlertsOpen = 0
	}
	if !actor.May(org, ReadDeliveries) {
		o.DeadDeliveries = 0
	}
	return o, nil
}

// OpenCounts counts what waits for somebody; zero of what the actor may not read.
func (r *Registry) OpenCounts(ctx context.Context, actor Actor, org string) (tandem.OpenCounts, error) {
	if err := actor.member(org); err != nil {
		return tandem.OpenCounts{}, err
	}
	open, err := r.Server.OpenCounts(ctx, org)
	if !actor.May(org, ReadConflicts) {
		open.Conflicts = 0
	}
	if !actor.May(org, ReadAlerts) {
		open.Alerts = 0
	}
	if !actor.May(org, ReadDeliveries) {
		open.DeadDeliveries = 0
	}
	return open, err
}

// DeliveryRate gives how many deliveries came to each status, of one service or, with "", of all, in steps of whole
// minutes, empty ones included, at most tandem.MaxDeliveryBuckets.
func (r *Registry) DeliveryRate(ctx context.Context, actor Actor, org, service string, since, until time.Time, step time.Duration) ([]tandem.DeliveryBucket, error) {
	if err := actor.may(org, ReadDeliveries); err != nil {
		return nil, err
	}
	if step < time.Minute || step%time.Minute != 0 {
		return nil, invalid("step", "is %s: deliveries are counted by the minute, so it must be whole minutes", step)
	}
	if service != "" {
		found, err := r.Store.Service(ctx, org, service)
		if err != nil {
			return nil, err
		}
		service = found.ID
	}
	return r.Server.DeliveryRate(ctx, org, service, since, until, step)
}

// ConflictGroups counts the conflicts that a filter names by service, field and type, the most first.
func (r *Registry) ConflictGroups(ctx context.Context, actor Actor, org string, filter tandem.ConflictFilter) ([]tandem.ConflictGroup, error) {
	if err := actor.may(org, ReadConflicts); err != nil {
		return nil, err
	}
	return r.Server.ConflictGroups(ctx, org, filter)
}

// DeviceFacets gives the up to 200 most used types, tags, blueprints and cohorts, to filter by.
func (r *Registry) DeviceFacets(ctx context.Context, actor Actor, org string) (tandem.DeviceFacets, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return tandem.DeviceFacets{}, err
	}
	return r.Server.DeviceFacets(ctx, org)
}

// RunProgress gives where a run stands, whichever process performs it: at most about two seconds old.
func (r *Registry) RunProgress(ctx context.Context, actor Actor, org, run string) (tandem.Progress, error) {
	if err := actor.may(org, ReadRuns); err != nil {
		return tandem.Progress{}, err
	}
	return r.Server.RunProgress(ctx, org, run)
}
