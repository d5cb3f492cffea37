package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

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
	for _, one := range all {
		s.room(ctx, one.Changes.Observations)
	}
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
