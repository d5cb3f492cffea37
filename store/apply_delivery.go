package store

import (
	"context"
	"time"

	"tandem"
)

// outcomes writes what became of deliveries; those that are processed already, or not there, stay as they are: another
// process had them after a claim ran out.
func (a *apply) outcomes(ctx context.Context) error {
	rows := lastOf(a.Changes.Deliveries, func(o *tandem.DeliveryOutcome) string { return o.ID })
	_, err := a.bulkly(ctx, a.tx, "WITH v (id, status, attempts, due_at, error, processed_at, run_id) AS (", `) UPDATE delivery_states AS s
		SET status = v.status, attempts = v.attempts, due_at = v.due_at, error = v.error, processed_at = v.processed_at, run_id = v.run_id,
			claimed_by = NULL, claimed_until = NULL
		FROM v WHERE s.organization_id = `+quoted(a.org)+" AND s.id = v.id AND s.status NOT IN ('processed', 'refused')",
		len(rows), func(b *bulk, i int) {
			o := rows[i]
			due, processed := o.NextAt, time.Time{}
			switch o.Status {
			case tandem.DeliveryStored, tandem.DeliveryRetrying:
				if due == nil {
					due = &a.clock
				}
			case tandem.DeliveryProcessed:
				due, processed = nil, o.At
			default:
				due = nil
			}
			b.text(o.ID)
			b.text(string(o.Status))
			b.int(int64(o.Attempts))
			b.optTime(due)
			b.opt(o.Error)
			b.time(processed)
			b.opt(o.RunID)
		})
	return err
}

// wake sets those deliveries free that waited for the devices that are linked now (S35).
func (a *apply) wake(ctx context.Context) error {
	linked := map[string][]string{} // remote ids by service
	for _, assignments := range [][]tandem.Assignment{a.CreateAssignments, a.UpdateAssignments} {
		for i := range assignments {
			if one := &assignments[i]; one.SyncEnabled && one.Status != tandem.SyncUnlinked {
				linked[one.ServiceID] = append(linked[one.ServiceID], one.ExternalDeviceID)
			}
		}
	}
	if len(linked) == 0 {
		return nil
	}
	waits := false
	if err := a.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM delivery_states WHERE organization_id = ? AND status = 'waiting')", a.org).Scan(&waits); err != nil || !waits {
		return err
	}
	for service, ids := range linked {
		if _, err := a.backToStored(ctx, a.tx, a.org, ids, "external_device_id", "service_id = "+quoted(service)+" AND status = 'waiting'"); err != nil {
			return err
		}
	}
	return nil
}

// history adds observed values; the same value of the same instant is there once.
func (a *apply) history(ctx context.Context) error {
	sure := make(map[string]bool, len(a.Observe))
	for i := range a.Observe { // observe has made sure of them
		sure[a.Observe[i].DeviceID] = true
	}
	for i := range a.CreateDevices {
		sure[a.CreateDevices[i].ID] = true
	}
	var unsure []string
	for i := range a.Changes.Observations {
		if id := a.Changes.Observations[i].DeviceID; !sure[id] {
			unsure = append(unsure, id)
		}
	}
	if err := a.exist(ctx, a.tx, a.org, "devices", "device", unsure); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "device_observations", "organization_id, device_id, observed_at, path, service_id, value, created_at", " ON CONFLICT DO NOTHING",
		len(a.Changes.Observations), func(b *bulk, i int) {
			o := &a.Changes.Observations[i]
			b.text(a.org)
			b.text(o.DeviceID)
			b.instant(o.ObservedAt)
			b.text(o.Path)
			b.opt(o.ServiceID)
			value := o.Value
			if len(value) == 0 {
				value = []byte("null")
			}
			b.raw(value)
			b.string(isTime, a.now)
		})
}
