package registry

import (
	"context"

	"tandem"
)

// Conflicts lists conflicts, newest first, and counts all matches.
func (r *Registry) Conflicts(ctx context.Context, actor Actor, org string, filter tandem.ConflictFilter) ([]tandem.Conflict, int, error) {
	if err := actor.may(org, ReadConflicts); err != nil {
		return nil, 0, err
	}
	return r.Store.Conflicts(ctx, org, filter)
}

// Conflict finds one conflict.
func (r *Registry) Conflict(ctx context.Context, actor Actor, org, id string) (tandem.Conflict, error) {
	if err := actor.may(org, ReadConflicts); err != nil {
		return tandem.Conflict{}, err
	}
	return r.Store.Conflict(ctx, org, id)
}

// SettleConflicts settles the pending conflicts that the settlement's filter names, or says with DryRun what that
// would change (S10). What became of each is in its place; one that failed does not keep the others.
func (r *Registry) SettleConflicts(ctx context.Context, actor Actor, org string, s tandem.Settlement) ([]tandem.Settled, error) {
	if err := actor.may(org, SettleConflicts); err != nil {
		return nil, err
	}
	s.By = actor.By()
	return r.Engine.Settle(ctx, org, s)
}

// CompareDevice puts a device's base, local and remote values side by side, for each service that it is on.
func (r *Registry) CompareDevice(ctx context.Context, actor Actor, org, ref string) ([]tandem.Comparison, error) {
	d, err := r.Device(ctx, actor, org, ref)
	if err != nil {
		return nil, err
	}
	return r.Engine.Compare(ctx, org, d.ID)
}

// DeviceObservations lists what a device reported, newest first. The filter's DeviceID is ref's.
func (r *Registry) DeviceObservations(ctx context.Context, actor Actor, org, ref string, filter tandem.ObservationFilter) ([]tandem.DeviceObservation, int, error) {
	d, err := r.Device(ctx, actor, org, ref)
	if err != nil {
		return nil, 0, err
	}
	filter.DeviceID = d.ID
	return r.Server.Observations(ctx, org, filter)
}
