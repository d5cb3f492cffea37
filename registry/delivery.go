package registry

import (
	"context"
	"slices"

	"tandem"
)

// Deliveries lists received webhooks, newest first, and counts all matches.
func (r *Registry) Deliveries(ctx context.Context, actor Actor, org string, filter tandem.DeliveryFilter) ([]tandem.Delivery, int, error) {
	if err := actor.may(org, ReadDeliveries); err != nil {
		return nil, 0, err
	}
	return r.Server.Deliveries(ctx, org, filter)
}

// Delivery finds one received webhook.
func (r *Registry) Delivery(ctx context.Context, actor Actor, org, id string) (tandem.Delivery, error) {
	if err := actor.may(org, ReadDeliveries); err != nil {
		return tandem.Delivery{}, err
	}
	return r.Server.Delivery(ctx, org, id)
}

// DeliveryDevices finds the linked devices that received webhooks are about, by the webhook's id.
func (r *Registry) DeliveryDevices(ctx context.Context, actor Actor, org string, deliveries ...tandem.Delivery) (map[string]tandem.Device, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return nil, err
	}
	remote := map[string][]string{} // external ids by service
	for i := range deliveries {
		if d := &deliveries[i]; d.ServiceID != "" && d.ExternalDeviceID != "" && !slices.Contains(remote[d.ServiceID], d.ExternalDeviceID) {
			remote[d.ServiceID] = append(remote[d.ServiceID], d.ExternalDeviceID)
		}
	}
	found := make(map[string]tandem.Device, len(deliveries))
	for service, ids := range remote {
		linked, err := r.Store.LinkedByExternal(ctx, org, service, ids)
		if err != nil {
			return nil, err
		}
		for _, l := range linked {
			for i := range deliveries {
				if d := &deliveries[i]; d.ServiceID == service && d.ExternalDeviceID == l.Assignment.ExternalDeviceID && l.Device.DeletedAt == nil {
					found[d.ID] = l.Device
				}
			}
		}
	}
	return found, nil
}

// ReplayDeliveries has received webhooks processed again and says how many; ids of others are left out (S36).
func (r *Registry) ReplayDeliveries(ctx context.Context, actor Actor, org string, ids []string) (int, error) {
	if err := actor.may(org, ReplayDeliveries); err != nil {
		return 0, err
	}
	if err := checkMany("deliveries", len(ids)); err != nil {
		return 0, err
	}
	var along tandem.Along
	for _, id := range ids {
		along.Audit = append(along.Audit, r.entry(actor, org, "delivery.replay", thing{"delivery", id, ""}, nil, nil))
	}
	return r.Server.ReplayDeliveries(ctx, org, ids, along)
}

// maxMany bounds what one call may be about.
const maxMany = 1000

func checkMany(what string, n int) error {
	switch {
	case n == 0:
		return invalid(what, "names none")
	case n > maxMany:
		return invalid(what, "names %d, at most %d are allowed in one call", n, maxMany)
	}
	return nil
}
