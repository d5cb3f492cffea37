package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/uptrace/bun"

	"tandem"
)

// Deliveries lists an organization's, newest first unless sorted otherwise, and counts the matches as countSome does.
func (s *Store) Deliveries(ctx context.Context, org string, q tandem.DeliveryFilter) (found []tandem.Delivery, total int, err error) {
	received, state := &filter{}, &filter{}
	received.add("d.organization_id = ?", org)
	received.among("d.id", q.IDs)
	received.equal("d.service_id", q.ServiceID)
	received.equal("d.type", q.Type)
	received.equal("d.external_device_id", q.ExternalDeviceID)
	received.among("d.external_device_id", q.AboutAny)
	counted, from := "deliveries AS d", "deliveries AS d CROSS JOIN delivery_states AS s" // the first one leads
	order := received.ordered(deliveryOrders, q.Sort)
	switch q.Status {
	case "":
	case tandem.DeliveryProcessed: // nearly all are
		state.equal("s.status", string(q.Status))
		counted = from
	default:
		state.equal("s.status", string(q.Status))
		state.add("s.status <> 'processed'") // as the index has it
		from, order = "delivery_states AS s CROSS JOIN deliveries AS d", state.ordered(stateOrders, q.Sort)
		counted = from
	}
	both := &filter{err: received.err}
	if state.err != nil {
		both.err = state.err
	}
	both.conditions = append(append(both.conditions, state.conditions...), received.conditions...)
	both.args = append(append(both.args, state.args...), received.args...)
	both.add("s.organization_id = ? AND s.id = d.id", org)
	matching := both
	if q.Status == "" {
		matching = received
	}
	err = s.read(ctx, "list deliveries", org, func(tx bun.Conn) error {
		if total, err = matching.countSome(ctx, tx, counted); err != nil {
			return err
		}
		text, args := both.page(deliveryRead, from, order, q.Page)
		return query(ctx, tx, func(rows *sql.Rows) error { return scanDelivery(rows, &found) }, text, args...)
	})
	return found, total, err
}

// Delivery reads one.
func (s *Store) Delivery(ctx context.Context, org, id string) (found tandem.Delivery, err error) {
	const op = "find a delivery"
	some, _, err := s.Deliveries(ctx, org, tandem.DeliveryFilter{IDs: []string{id}})
	switch {
	case err != nil:
		return found, err
	case len(some) == 0:
		return found, s.fail(op, missing("delivery", id))
	}
	return some[0], nil
}

// Reporting gives the devices behind some remote ids, with no more of each than a report is held against.
func (s *Store) Reporting(ctx context.Context, org, service string, externalIDs []string) (found []tandem.Linked, err error) {
	const op = "read reporting devices"
	if err := errors.Join(checkText(org), checkText(service)); err != nil {
		return nil, s.fail(op, err)
	}
	own := "organization_id = " + quoted(org)
	err = s.readKeyed(ctx, op, org, func(tx bun.Conn) error {
		found = make([]tandem.Linked, 0, len(externalIDs))
		for some := range slices.Chunk(externalIDs, 2*chunk) {
			rows, err := s.keyed(ctx, tx, "SELECT a.device_id, a.external_device_id, a.sync_enabled, a.sync_status, d.last_seen, d.offline_at, d.firmware, d.firmware_at, d.deleted_at, d.created_at FROM ",
				"device_service_assignments", "a", own+" AND service_id = "+quoted(service), "external_device_id", some,
				s.dialect.Follow("devices", "d", own, "id", "a.device_id"))
			if err != nil {
				return err
			}
			if err := each(rows, func() error { return scanReporting(rows, org, service, &found) }); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// scanReporting adds a row of Reporting's to a list.
func scanReporting(rows *sql.Rows, org, service string, found *[]tandem.Linked) (err error) {
	var device, external, status, firmware word
	var seen, gone, dated, deleted, created stamp
	one := tandem.Linked{}
	if err := rows.Scan(&device, &external, &one.Assignment.SyncEnabled, &status, &seen, &gone, &firmware, &dated, &deleted, &created); err != nil {
		return err
	}
	one.Device.ID, one.Device.OrganizationID, one.Assignment.OrganizationID, one.Assignment.ServiceID = string(device), org, org, service
	one.Assignment.DeviceID, one.Assignment.ExternalDeviceID, one.Assignment.Status = string(device), string(external), tandem.SyncStatus(status)
	one.Device.LastSeen, one.Device.OfflineAt, one.Device.FirmwareAt, one.Device.DeletedAt, one.Device.CreatedAt = seen.ptr(), gone.ptr(), dated.ptr(), deleted.ptr(), created.Time
	one.Device.Firmware, err = decodeFirmware(firmware)
	*found = append(*found, one)
	return err
}

// scanDelivery adds a row of deliveryRead to a list.
func scanDelivery(rows *sql.Rows, found *[]tandem.Delivery) error {
	d := tandem.Delivery{}
	var event, external, project, path, headers, failure, run word
	var sent, received, due, processed stamp
	if err := rows.Scan(&d.OrganizationID, &d.ID, &d.ServiceID, &event, &d.Digest, &d.Type, &external, &project, &path, &d.ContentType,
		&headers, &d.Body, &sent, &received, &d.Status, &d.Attempts, &due, &failure, &processed, &run); err != nil {
		return err
	}
	d.EventID, d.ExternalDeviceID, d.ProjectID, d.Path = string(event), string(external), string(project), string(path)
	d.Error, d.RunID = string(failure), string(run)
	d.SentAt, d.ReceivedAt, d.NextAt, d.ProcessedAt = sent.ptr(), received.Time, due.ptr(), processed.ptr()
	*found = append(*found, d)
	return headers.decode(&(*found)[len(*found)-1].Headers)
}

// CountDeliveries gives how many there are in each status. Of one organization processed ones are counted as countSome does,
// of all organizations they are left out: there may be a hundred million.
func (s *Store) CountDeliveries(ctx context.Context, org string) (counts map[tandem.DeliveryStatus]int, err error) {
	of, where := org, "s.organization_id = "+quoted(org)+" AND "
	if org == "" {
		of, where = everyOrganization, ""
	}
	counts = map[tandem.DeliveryStatus]int{}
	err = s.read(ctx, "count deliveries", of, func(tx bun.Conn) error {
		err := query(ctx, tx, func(rows *sql.Rows) error {
			var status tandem.DeliveryStatus
			var n int
			err := rows.Scan(&status, &n)
			counts[status] = n
			return err
		}, "SELECT s.status, COUNT(*) FROM delivery_states AS s WHERE "+where+"s.status IN ('stored', 'retrying', 'waiting', 'dead', 'refused') AND s.status <> 'processed' GROUP BY s.status")
		if err != nil || org == "" {
			return err
		}
		f := &filter{}
		f.add("s.organization_id = ? AND s.status = 'processed'", org)
		n, err := f.countSome(ctx, tx, "delivery_states AS s")
		if n > 0 {
			counts[tandem.DeliveryProcessed] = n
		}
		return err
	})
	return counts, err
}

// Observations reads a device's history, newest first unless sorted otherwise, and counts the matches as countSome does.
func (s *Store) Observations(ctx context.Context, org string, q tandem.ObservationFilter) (found []tandem.DeviceObservation, total int, err error) {
	f := &filter{}
	order := f.ordered(observationOrders, q.Sort)
	f.add("o.organization_id = ?", org)
	f.add("o.device_id = ?", q.DeviceID)
	if err := checkText(q.DeviceID); err != nil {
		f.err = err
	}
	if !q.Since.IsZero() {
		f.add("o.observed_at >= ?", at(q.Since))
	}
	if !q.Until.IsZero() {
		f.add("o.observed_at < ?", at(q.Until))
	}
	f.equal("o.path", q.Path)
	err = s.read(ctx, "read a device's history", org, func(tx bun.Conn) error {
		if total, err = f.countSome(ctx, tx, "device_observations AS o"); err != nil {
			return err
		}
		text, args := f.page("o.device_id, o.service_id, o.path, o.value, o.observed_at", "device_observations AS o", order, q.Page)
		return query(ctx, tx, func(rows *sql.Rows) error {
			o := tandem.DeviceObservation{}
			var service, value word
			var observed stamp
			if err := rows.Scan(&o.DeviceID, &service, &o.Path, &value, &observed); err != nil {
				return err
			}
			o.ServiceID, o.Value, o.ObservedAt = string(service), value.raw(), observed.Time
			found = append(found, o)
			return nil
		}, text, args...)
	})
	return found, total, err
}
