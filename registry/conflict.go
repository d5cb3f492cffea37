package registry

import (
	"context"
	"encoding/json"

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
	s.By, s.Along = actor.By(), r.note(actor, org, "conflict.settle", settledThing(&s), nil, settling(&s))
	return r.Engine.Settle(ctx, org, s)
}

// SettleConflictsLater leaves it to a background job to settle what may be very many; each becomes what SettleConflicts
// would make of it, as runs tell.
func (r *Registry) SettleConflictsLater(ctx context.Context, actor Actor, org string, s tandem.Settlement) error {
	if err := actor.may(org, SettleConflicts); err != nil {
		return err
	}
	if s.DryRun {
		return invalid("settlement", "cannot be previewed later")
	}
	s.By = actor.By()
	text, err := json.Marshal(s)
	if err != nil {
		return invalid("value", "cannot be written as JSON: %v", err)
	}
	along := r.note(actor, org, "conflict.settle", settledThing(&s), nil, settling(&s))
	along.Jobs = []tandem.Job{{Kind: tandem.JobSettle, OrganizationID: org, Args: map[string]string{"settlement": string(text)}}}
	return r.Store.Apply(ctx, org, &tandem.Changes{Along: along})
}

// settledThing is what the audit of a settlement is about: the one conflict, or the service.
func settledThing(s *tandem.Settlement) thing {
	if len(s.Filter.IDs) == 1 {
		return thing{"conflict", s.Filter.IDs[0], ""}
	}
	return thing{"service", s.Filter.ServiceID, ""}
}

// settling is what the audit keeps of a settlement.
func settling(s *tandem.Settlement) map[string]any {
	said := map[string]any{"take": s.Take}
	if s.Take == tandem.TakeValue {
		said["value"] = s.Value
	}
	if s.DeviceID != "" {
		said["device_id"] = s.DeviceID
	}
	if len(s.Filter.IDs) > 1 {
		said["conflicts"] = s.Filter.IDs
	}
	if s.Filter.Field != "" {
		said["field"] = s.Filter.Field
	}
	if s.Filter.Type != "" {
		said["type"] = s.Filter.Type
	}
	return said
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
