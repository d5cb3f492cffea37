package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// DetachService lets go of everything that ties a service to its project, in one transaction (S21): the
// run and an entry for each assignment are written, the assignments, intents, not linked devices and
// known entities go, open conflicts are superseded, and the pin is cleared. The fence must hold.
func (s *Store) DetachService(ctx context.Context, org string, fence tandem.Fence, run tandem.Run, entry func(tandem.Linked) tandem.Entry, now time.Time) (detached int, err error) {
	err = s.write(ctx, "detach a service from its project", org, func(tx bun.Conn) error {
		detached = 0
		a := apply{Store: s, org: org, tx: tx, Changes: &tandem.Changes{Fence: &fence, PutRuns: []tandem.Run{run}}}
		if err := a.run(ctx); err != nil {
			return err
		}
		for after := ""; ; {
			linked, err := assignmentsAfter(ctx, tx, org, fence.ServiceID, after)
			if err != nil {
				return err
			}
			if len(linked) == 0 {
				if err := forgetProject(ctx, tx, org, fence.ServiceID, now); err != nil {
					return err
				}
				return s.tellOfMany(ctx, tx, org, now)
			}
			a.Changes = &tandem.Changes{}
			for _, l := range linked {
				a.Changes.Entries = append(a.Changes.Entries, entry(l))
			}
			if err := a.entries(ctx); err != nil {
				return err
			}
			detached += len(linked)
			after = linked[len(linked)-1].Assignment.ID
		}
	})
	s.upset(org)
	return detached, err
}

// assignmentsAfter walks a service's assignments, unlinked ones too, in the order of their ids.
func assignmentsAfter(ctx context.Context, tx bun.Conn, org, service, after string) ([]tandem.Linked, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+assignmentRead+`, `+deviceRead+` FROM device_service_assignments AS a
		JOIN devices AS d ON d.organization_id = a.organization_id AND d.id = a.device_id
		WHERE a.organization_id = ? AND a.service_id = ? AND a.id > ? ORDER BY a.id LIMIT ?`, org, service, after, chunk)
	if err != nil {
		return nil, err
	}
	return scanLinked(org, nil, rows)
}

// forgetProject drops what was learnt of a project.
func forgetProject(ctx context.Context, tx bun.Conn, org, service string, now time.Time) error {
	for _, table := range []string{"device_service_assignments", "remote_intents", "remote_devices", "remote_entities"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE organization_id = ? AND service_id = ?", org, service); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE device_conflicts SET resolution_status = 'superseded', resolved_at = ?, updated_at = ?, version = version + 1
		WHERE organization_id = ? AND service_id = ? AND resolution_status IN ('pending', 'resolving')`, at(now), at(now), org, service); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE device_services SET project_identity = NULL, last_listed_at = NULL, approved_config = NULL, version = version + 1,
		updated_at = ? WHERE organization_id = ? AND id = ?`, at(now), org, service)
	return err
}
