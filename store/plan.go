package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

const planRead = "id, service_id, run_id, operation, reason, status, row_count, checksum, config_fingerprint, created_by, created_at, used_at"

// CreatePlan adds an empty plan, open unless it says otherwise.
func (s *Store) CreatePlan(ctx context.Context, org string, p tandem.Plan) error {
	const op = "create a plan"
	status := p.Status
	if status == "" {
		status = tandem.PlanOpen
	}
	err := s.write(ctx, op, org, func(tx bun.Conn) error {
		if err := s.known(ctx, tx, org); err != nil {
			return err
		}
		return s.takenBy(s.insert(ctx, tx, "sync_plans", "organization_id, "+planRead, "", 1, func(b *bulk, _ int) {
			b.text(org)
			b.text(p.ID)
			b.text(p.ServiceID)
			b.opt(p.RunID)
			b.text(string(p.Operation))
			b.text(string(p.Reason))
			b.text(string(status))
			b.int(int64(p.Rows))
			b.text(p.Checksum)
			b.text(p.ConfigPrint)
			b.opt(p.CreatedBy)
			b.instant(p.CreatedAt)
			b.optTime(p.UsedAt)
		}), op, p.ID, "another plan has this id")
	})
	return s.parentless(err, "service", p.ServiceID)
}

// parentless turns a violated foreign key into NotFound.
func (s *Store) parentless(err error, what, id string) error {
	if err != nil && s.dialect.Missing(err) {
		return &tandem.Error{Code: tandem.NotFound, Thing: id, Message: "there is no such " + what, Err: err}
	}
	return err
}

// lockPlan locks a plan and gives its status.
func (s *Store) lockPlan(ctx context.Context, tx bun.Conn, org, plan string) (tandem.PlanStatus, error) {
	var status word
	err := tx.QueryRowContext(ctx, "SELECT status FROM sync_plans WHERE organization_id = ? AND id = ?"+s.dialect.Lock(), org, plan).Scan(&status)
	return tandem.PlanStatus(status), noRow(err, missing("plan", plan))
}

// AppendPlan adds rows; their order is the order of the plan.
func (s *Store) AppendPlan(ctx context.Context, org, plan string, rows []tandem.Change) error {
	return s.write(ctx, "write a plan", org, func(tx bun.Conn) error {
		if _, err := s.lockPlan(ctx, tx, org, plan); err != nil {
			return err
		}
		next := int64(0)
		if err := tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(position) + 1, 0) FROM sync_plan_changes WHERE organization_id = ? AND plan_id = ?", org, plan).Scan(&next); err != nil {
			return err
		}
		return s.insert(ctx, tx, "sync_plan_changes", "organization_id, plan_id, position, "+changeColumns, "", len(rows), func(b *bulk, i int) {
			b.text(org)
			b.text(plan)
			b.int(next + int64(i))
			writeChange(b, &rows[i])
		})
	})
}

// SealPlan stores the count and checksum once all rows are in.
func (s *Store) SealPlan(ctx context.Context, org, plan string, rows int, checksum string) error {
	return s.write(ctx, "seal a plan", org, func(tx bun.Conn) error {
		result, err := tx.ExecContext(ctx, "UPDATE sync_plans SET row_count = ?, checksum = ? WHERE organization_id = ? AND id = ?", rows, checksum, org, plan)
		if err != nil {
			return err
		}
		return affected(result, missing("plan", plan))
	})
}

// Plan reads one.
func (s *Store) Plan(ctx context.Context, org, id string) (tandem.Plan, error) {
	const op = "find a plan"
	found, err := s.plans(ctx, op, org, "id = ?", id)
	if err == nil && len(found) == 0 {
		err = s.fail(op, missing("plan", id))
	}
	if err != nil {
		return tandem.Plan{}, err
	}
	return found[0], nil
}

// Plans lists a service's plans (every service's for ""), newest first.
func (s *Store) Plans(ctx context.Context, org, service string) ([]tandem.Plan, error) {
	const op = "list plans"
	if service == "" {
		return s.plans(ctx, op, org, "TRUE ORDER BY created_at DESC, id DESC")
	}
	return s.plans(ctx, op, org, "service_id = ? ORDER BY created_at DESC, id DESC", service)
}

func (s *Store) plans(ctx context.Context, op, org, where string, args ...any) (found []tandem.Plan, err error) {
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			p := tandem.Plan{OrganizationID: org}
			var run, by word
			var created, used stamp
			if err := rows.Scan(&p.ID, &p.ServiceID, &run, &p.Operation, &p.Reason, &p.Status, &p.Rows, &p.Checksum, &p.ConfigPrint, &by, &created, &used); err != nil {
				return err
			}
			p.RunID, p.CreatedBy, p.CreatedAt, p.UsedAt = string(run), string(by), created.Time, used.ptr()
			found = append(found, p)
			return nil
		}, "SELECT "+planRead+" FROM sync_plans WHERE organization_id = ? AND "+where, append([]any{org}, args...)...)
	})
	return found, err
}

// PlanRows gives rows from offset on, in order; an empty reply ends it.
func (s *Store) PlanRows(ctx context.Context, org, plan string, offset, limit int) (found []tandem.Change, err error) {
	err = s.read(ctx, "read a plan", org, func(tx bun.Conn) error {
		if err := planExists(ctx, tx, org, plan); err != nil {
			return err
		}
		return scanChanges(ctx, tx, &found, "SELECT "+changeRead+` FROM sync_plan_changes AS e
			WHERE e.organization_id = ? AND e.plan_id = ? AND e.position >= ? ORDER BY e.position LIMIT ?`, org, plan, offset, limit)
	})
	return found, err
}

func planExists(ctx context.Context, tx bun.Conn, org, plan string) error {
	var id word
	return noRow(tx.QueryRowContext(ctx, "SELECT id FROM sync_plans WHERE organization_id = ? AND id = ?", org, plan).Scan(&id), missing("plan", plan))
}

// PlanRowsOf gives the rows about some devices, by device id or remote id, in order.
func (s *Store) PlanRowsOf(ctx context.Context, org, plan string, deviceIDs, externalIDs []string) (found []tandem.Change, err error) {
	devices, err := in(deviceIDs)
	if err != nil {
		return nil, s.fail("read a plan", err)
	}
	externals, err := in(externalIDs)
	if err != nil {
		return nil, s.fail("read a plan", err)
	}
	err = s.read(ctx, "read a plan", org, func(tx bun.Conn) error {
		if err := planExists(ctx, tx, org, plan); err != nil {
			return err
		}
		return scanChanges(ctx, tx, &found, "SELECT "+changeRead+` FROM sync_plan_changes AS e
			WHERE e.organization_id = ? AND e.plan_id = ? AND (e.device_id IN ? OR e.external_device_id IN ?) ORDER BY e.position`, org, plan, devices, externals)
	})
	return found, err
}

func scanChanges(ctx context.Context, tx bun.Conn, found *[]tandem.Change, text string, args ...any) error {
	c := changeScan{}
	targets := c.targets()
	return query(ctx, tx, func(rows *sql.Rows) error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		*found = append(*found, c.change())
		return nil
	}, text, args...)
}

// ClosePlan moves an open plan to used or discarded, once: Stale when it is not open any more.
func (s *Store) ClosePlan(ctx context.Context, org, plan string, status tandem.PlanStatus, now time.Time, along ...tandem.Along) error {
	return s.writeWith(ctx, "close a plan", org, along, func(tx bun.Conn) error {
		was, err := s.lockPlan(ctx, tx, org, plan)
		if err != nil {
			return err
		}
		if was != tandem.PlanOpen {
			return tandem.Errorf(tandem.Stale, "", plan, "the plan is %s already", was).WithHint("make a new one with --dry-run --save")
		}
		_, err = tx.ExecContext(ctx, "UPDATE sync_plans SET status = ?, used_at = ? WHERE organization_id = ? AND id = ?", string(status), at(now), org, plan)
		return err
	})
}
