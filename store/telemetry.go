package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// ApplyAll writes the changes of several organizations in one transaction, each as Apply does.
func (s *Store) ApplyAll(ctx context.Context, all []tandem.OrganizationChanges) error {
	const op = "apply changes"
	if len(all) == 0 {
		return nil
	}
	if len(all) == 1 {
		return s.Apply(ctx, all[0].OrganizationID, all[0].Changes)
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b tandem.OrganizationChanges) int { // all writers lock in this order
		return strings.Compare(a.OrganizationID, b.OrganizationID)
	})
	var last apply
	jobs := false
	err := s.write(ctx, op, all[0].OrganizationID, func(tx bun.Conn) error {
		for i, one := range all {
			if i > 0 {
				if err := s.as(ctx, tx, one.OrganizationID); err != nil {
					return err
				}
			}
			last = apply{Store: s, org: one.OrganizationID, Changes: one.Changes, tx: tx}
			jobs = jobs || len(one.Jobs) > 0
			if err := last.run(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return last.explain(ctx, err)
	}
	for _, one := range all {
		s.committed(one.OrganizationID, one.Changes)
		s.cameTo(one.OrganizationID, one.Changes.Deliveries)
	}
	s.bell.ring(jobs)
	return nil
}

// Reporters gives of some devices what a report is held against.
func (s *Store) Reporters(ctx context.Context, org string, ids []string) (found []tandem.Device, err error) {
	err = s.readKeyed(ctx, "read reporting devices", org, func(tx bun.Conn) error {
		found, err = s.reporters(ctx, tx, org, ids)
		return err
	})
	return found, err
}

func (s *Store) reporters(ctx context.Context, tx bun.Conn, org string, ids []string) ([]tandem.Device, error) {
	found := make([]tandem.Device, 0, len(ids))
	err := s.byID(ctx, tx, org, "devices", "id, device_id, name, enabled, last_seen, offline_at, firmware, firmware_at, deleted_at, created_at", ids, false,
		func(rows *sql.Rows) error {
			d := tandem.Device{OrganizationID: org}
			var firmware word
			var seen, gone, dated, deleted, created stamp
			if err := rows.Scan(&d.ID, &d.DeviceID, &d.Name, &d.Enabled, &seen, &gone, &firmware, &dated, &deleted, &created); err != nil {
				return err
			}
			d.LastSeen, d.OfflineAt, d.FirmwareAt, d.DeletedAt, d.CreatedAt = seen.ptr(), gone.ptr(), dated.ptr(), deleted.ptr(), created.Time
			var err error
			d.Firmware, err = decodeFirmware(firmware)
			found = append(found, d)
			return err
		})
	return found, err
}

// The bounds of a series.
const (
	mostPoints  = 2000
	leastStride = time.Millisecond
)

// Series gives a device's numbers in stretches of equal length.
func (s *Store) Series(ctx context.Context, org string, q tandem.SeriesFilter) (found []tandem.SeriesPoint, err error) {
	const op = "read a device's numbers"
	if _, err := checked(append([]string{org, q.DeviceID, q.Path}, q.Within...)); err != nil {
		return nil, s.fail(op, err)
	}
	if !q.Since.Before(q.Until) {
		return nil, s.fail(op, tandem.Errorf(tandem.Invalid, "", "", "the time ends before it begins"))
	}
	stride := q.Until.Sub(q.Since) / time.Duration(min(max(q.Points, 1), mostPoints))
	stride = (stride + leastStride - 1).Truncate(leastStride) // up, in what both databases can count
	value := s.dialect.Number("o.value", q.Within)
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		found = nil
		return query(ctx, tx, func(rows *sql.Rows) error {
			p := tandem.SeriesPoint{}
			var stretch int64
			if err := rows.Scan(&stretch, &p.Min, &p.Max, &p.Mean, &p.Count); err != nil {
				return err
			}
			p.At = q.Since.Add(time.Duration(stretch) * stride).UTC()
			found = append(found, p)
			return nil
		}, "SELECT v.stretch, MIN(v.number), MAX(v.number), AVG(v.number), COUNT(*) FROM (SELECT "+s.dialect.Stretch("o.observed_at", q.Since, stride)+" AS stretch, "+value+
			` AS number FROM device_observations AS o WHERE o.organization_id = ? AND o.device_id = ? AND o.observed_at >= ? AND o.observed_at < ? AND o.path = ?) AS v
			WHERE v.number IS NOT NULL GROUP BY v.stretch ORDER BY v.stretch`, org, q.DeviceID, at(q.Since), at(q.Until), q.Path)
	})
	return found, err
}
