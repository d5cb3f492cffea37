package registry

import (
	"context"

	"tandem"
)

// NotLinked lists what the last listing of a service showed and nothing here is linked to.
func (r *Registry) NotLinked(ctx context.Context, actor Actor, org, serviceID string, filter tandem.NotLinkedFilter) ([]tandem.NotLinked, int, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return nil, 0, err
	}
	return r.Store.NotLinked(ctx, org, serviceID, filter)
}

// ImportRemote creates local devices for remote ones, whatever the filters say.
func (r *Registry) ImportRemote(ctx context.Context, actor Actor, org, serviceID string, externalIDs []string) (tandem.Run, error) {
	if err := actor.may(org, CreateDevices); err != nil {
		return tandem.Run{}, err
	}
	along := r.note(actor, org, "remote.import", thing{"service", serviceID, ""}, nil, map[string]any{"external_ids": externalIDs})
	return r.Engine.ImportRemote(ctx, org, serviceID, externalIDs, actor.By(), along)
}

// IgnoreRemote hides remote devices from the list of those not linked, or shows them again.
func (r *Registry) IgnoreRemote(ctx context.Context, actor Actor, org, serviceID string, externalIDs []string, ignore bool) error {
	if err := actor.may(org, UpdateDevices); err != nil {
		return err
	}
	along := r.note(actor, org, "remote.ignore", thing{"service", serviceID, ""}, nil, map[string]any{"external_ids": externalIDs, "ignore": ignore})
	return r.Engine.IgnoreRemote(ctx, org, serviceID, externalIDs, ignore, along)
}

// ConfirmProject lets a service have another project behind it than the one it was linked to (S21).
// All its devices are unlinked first, each with an entry in the history; they stay here as they are.
func (r *Registry) ConfirmProject(ctx context.Context, actor Actor, org, id string) (detached int, err error) {
	if err := actor.may(org, ManageServices); err != nil {
		return 0, err
	}
	return r.Engine.ConfirmProject(ctx, org, id, actor.By(), r.note(actor, org, "service.confirm_project", thing{"service", id, ""}, nil, nil))
}
