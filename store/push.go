package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// pushWithin is how long a push is put off at most by further edits (S38).
const pushWithin = 5 * time.Second

// pushKey is what one row of device_pushes is about.
type pushKey struct{ service, device, external string }

func keyOfPush(p *tandem.Push) pushKey { return pushKey{p.ServiceID, p.DeviceID, p.ExternalDeviceID} }

// putPushes adds pushes, or puts those off that wait already, at most until pushWithin after the first.
func (s *Store) putPushes(ctx context.Context, tx bun.Conn, org string, pushes []tandem.Push) error {
	rows := lastOf(pushes, keyOfPush)
	services := make([]string, 0, len(rows))
	for _, p := range rows {
		services = append(services, p.ServiceID)
	}
	if err := s.exist(ctx, tx, org, "device_services", "service", services); err != nil {
		return err
	}
	least := s.dialect.Least()
	return s.insert(ctx, tx, "device_pushes", "organization_id, service_id, device_id, external_device_id, trigger, created_by, first_at, due_at, until",
		` ON CONFLICT (organization_id, service_id, device_id, external_device_id) DO UPDATE SET trigger = excluded.trigger, created_by = excluded.created_by,
			due_at = `+least+`(excluded.due_at, device_pushes.until)`,
		len(rows), func(b *bulk, i int) {
			p := rows[i]
			first := p.First
			if first.IsZero() {
				first = p.Due
			}
			until := first.Add(pushWithin)
			due := p.Due
			if due.After(until) {
				due = until
			}
			b.text(org)
			b.text(p.ServiceID)
			b.text(p.DeviceID)
			b.text(p.ExternalDeviceID)
			b.text(string(p.Trigger))
			b.opt(p.By)
			b.instant(first)
			b.instant(due)
			b.instant(until)
		})
}

// dropPushes removes those that were not put off meanwhile.
func (a *apply) dropPushes(ctx context.Context) error {
	rows := lastOf(a.DropPushes, keyOfPush)
	_, err := a.bulkly(ctx, a.tx, "WITH v (service_id, device_id, external_device_id, due_at) AS (", `) DELETE FROM device_pushes WHERE organization_id = `+quoted(a.org)+`
		AND EXISTS (SELECT 1 FROM v WHERE v.service_id = device_pushes.service_id AND v.device_id = device_pushes.device_id
			AND v.external_device_id = device_pushes.external_device_id AND device_pushes.due_at <= v.due_at)`,
		len(rows), func(b *bulk, i int) {
			b.text(rows[i].ServiceID)
			b.text(rows[i].DeviceID)
			b.text(rows[i].ExternalDeviceID)
			b.instant(rows[i].Due)
		})
	return err
}

// DuePushes gives a service's pushes that are due, the longest due first, without taking them.
func (s *Store) DuePushes(ctx context.Context, org, service string, now time.Time, limit int) (found []tandem.Push, err error) {
	err = s.read(ctx, "read due pushes", org, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			p := tandem.Push{}
			var by word
			var first, due stamp
			if err := rows.Scan(&p.OrganizationID, &p.ServiceID, &p.DeviceID, &p.ExternalDeviceID, &p.Trigger, &by, &first, &due); err != nil {
				return err
			}
			p.By, p.First, p.Due = string(by), first.Time, due.Time
			found = append(found, p)
			return nil
		}, `SELECT organization_id, service_id, device_id, external_device_id, trigger, created_by, first_at, due_at FROM device_pushes
			WHERE organization_id = ? AND service_id = ? AND due_at <= ? ORDER BY due_at, device_id, external_device_id LIMIT ?`, org, service, at(now), limit)
	})
	return found, err
}

// ServicesToPush names the organizations and services with pushes due before an instant; Due is when the first is.
func (s *Store) ServicesToPush(ctx context.Context, before time.Time, limit int) (found []tandem.Push, err error) {
	err = s.read(ctx, "look for due pushes", everyOrganization, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			p := tandem.Push{}
			var due stamp
			err := rows.Scan(&p.OrganizationID, &p.ServiceID, &due)
			p.Due = due.Time
			found = append(found, p)
			return err
		}, `SELECT organization_id, service_id, MIN(due_at) AS due FROM device_pushes`+s.dialect.Indexed("device_pushes_due")+` WHERE due_at < ?
			GROUP BY organization_id, service_id ORDER BY due, organization_id, service_id LIMIT ?`, at(before), limit)
	})
	return found, err
}
