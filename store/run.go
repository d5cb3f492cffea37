package store

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"tandem"
)

const runRead = `r.organization_id, r.id, r.service_id, r.operation, r.trigger, r.device_id, r.status, r.forced, r.processed, r.successful, r.failed, r.conflicts,
	r.local_created, r.local_updated, r.local_deleted, r.remote_created, r.remote_updated, r.remote_deleted,
	r.details, r.plan_id, r.reverts, r.error, r.started_at, r.completed_at, r.duration_ms, r.created_by, r.created_at`

// Run reads one.
func (s *Store) Run(ctx context.Context, org, id string) (run tandem.Run, err error) {
	err = s.read(ctx, "find a run", org, func(tx bun.Conn) error {
		found, err := scanRuns(ctx, tx, "SELECT "+runRead+" FROM golioth_sync_log AS r WHERE r.organization_id = ? AND r.id = ? AND r.pruned_at IS NULL", org, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return missing("run", id)
		}
		run = found[0]
		return nil
	})
	return run, err
}

// Runs lists runs, newest first unless sorted otherwise, and counts the matches up to tandem.CountedTo.
func (s *Store) Runs(ctx context.Context, org string, q tandem.RunFilter) (found []tandem.Run, all int, err error) {
	f := &filter{}
	order := f.ordered(runOrders, q.Sort)
	f.add("r.organization_id = ? AND r.pruned_at IS NULL", org)
	f.equal("r.service_id", q.ServiceID)
	f.equal("r.status", string(q.Status))
	f.equal("r.operation", string(q.Operation))
	f.equal("r.trigger", string(q.Trigger))
	f.equal("r.created_by", q.CreatedBy)
	f.equal("r.device_id", q.DeviceID)
	if !q.Since.IsZero() {
		f.add("r.created_at >= ?", at(q.Since))
	}
	if !q.Until.IsZero() {
		f.add("r.created_at < ?", at(q.Until))
	}
	if q.Search != "" {
		f.add("r.error_folded IS NOT NULL") // as the partial index says it
		f.contains(q.Search, "r.error_folded")
	}
	err = s.read(ctx, "list runs", org, func(tx bun.Conn) error {
		if f.err != nil {
			return f.err
		}
		text, args := f.page(runRead, "golioth_sync_log AS r", order, q.Page)
		if found, err = scanRuns(ctx, tx, text, args...); err != nil {
			return err
		}
		all, err = total(q.Page, len(found), func() (int, error) { return f.countSome(ctx, tx, "golioth_sync_log AS r") })
		return err
	})
	return found, all, err
}

func scanRuns(ctx context.Context, tx bun.Conn, text string, args ...any) (found []tandem.Run, err error) {
	err = query(ctx, tx, func(rows *sql.Rows) error {
		r := tandem.Run{}
		var device, details, plan, reverts, failure, by word
		var started, completed, created stamp
		if err := rows.Scan(&r.OrganizationID, &r.ID, &r.ServiceID, &r.Operation, &r.Trigger, &device, &r.Status, &r.Forced,
			&r.Summary.Processed, &r.Summary.Successful, &r.Summary.Failed, &r.Summary.Conflicts,
			&r.Summary.Local.Created, &r.Summary.Local.Updated, &r.Summary.Local.Deleted,
			&r.Summary.Remote.Created, &r.Summary.Remote.Updated, &r.Summary.Remote.Deleted,
			&details, &plan, &reverts, &failure, &started, &completed, &r.DurationMS, &by, &created); err != nil {
			return err
		}
		r.DeviceID, r.PlanID, r.Reverts, r.Error, r.CreatedBy = string(device), string(plan), string(reverts), string(failure), string(by)
		r.Details, r.StartedAt, r.CompletedAt, r.CreatedAt = details.raw(), started.ptr(), completed.ptr(), created.Time
		found = append(found, r)
		return nil
	}, text, args...)
	return found, err
}

const changeRead = "e.side, e.action, e.device_id, e.external_device_id, e.device_name, e.field, e.before, e.after, e.note"

const entryRead = "e.id, e.run_id, e.service_id, " + changeRead + ", e.outcome, e.code, e.error, e.created_at"

// changeScan is where changeRead is scanned to.
type changeScan struct{ side, action, device, external, name, field, before, after, note word }

func (c *changeScan) targets() []any {
	return []any{&c.side, &c.action, &c.device, &c.external, &c.name, &c.field, &c.before, &c.after, &c.note}
}

func (c *changeScan) change() tandem.Change {
	return tandem.Change{Side: tandem.Side(c.side), Action: tandem.Action(c.action), DeviceID: string(c.device), ExternalDeviceID: string(c.external),
		DeviceName: string(c.name), Path: tandem.Path(c.field), Before: c.before.raw(), After: c.after.raw(), Note: string(c.note)}
}

// Entries lists entries, oldest first unless sorted otherwise, and counts the matches up to tandem.CountedTo.
func (s *Store) Entries(ctx context.Context, org string, q tandem.EntryFilter) (found []tandem.Entry, all int, err error) {
	f := &filter{}
	if q.Newest && q.Sort == "" {
		q.Sort = "-created_at"
	}
	order := f.ordered(entryOrders, q.Sort)
	f.add("e.organization_id = ?", org)
	f.equal("e.run_id", q.RunID)
	f.equal("e.device_id", q.DeviceID)
	f.equal("e.service_id", q.ServiceID)
	f.equal("e.field", string(q.Path))
	f.equal("e.side", string(q.Side))
	f.equal("e.action", string(q.Action))
	f.equal("e.outcome", string(q.Outcome))
	if q.Outcome != "" && q.Outcome != tandem.OutcomeDone {
		f.add("e.outcome <> 'done'") // as the partial index says it
	}
	f.contains(q.Search, "e.search_text")
	err = s.read(ctx, "list entries", org, func(tx bun.Conn) error {
		if f.err != nil {
			return f.err
		}
		text, args := f.page(entryRead, "golioth_sync_log_entries AS e", order, q.Page)
		if found, err = scanEntries(ctx, tx, org, text, args...); err != nil {
			return err
		}
		all, err = total(q.Page, len(found), func() (int, error) {
			if q.DeviceID != "" && q.RunID == "" {
				return f.countInOrder(ctx, tx, "golioth_sync_log_entries AS e", order)
			}
			return f.countSome(ctx, tx, "golioth_sync_log_entries AS e")
		})
		return err
	})
	return found, all, err
}

// DoneEntries gives what a run did before a place, newest first, at most limit entries.
func (s *Store) DoneEntries(ctx context.Context, org, run string, before tandem.EntryPlace, limit int) (found []tandem.Entry, err error) {
	f := &filter{}
	f.add("e.organization_id = ?", org)
	f.add("e.run_id = ?", run)
	if err := checkText(run); err != nil {
		f.err = err
	}
	f.add("e.outcome = ?", string(tandem.OutcomeDone))
	if before != (tandem.EntryPlace{}) {
		f.add("(e.created_at, e.id) < (?, ?)", at(before.CreatedAt), before.ID)
	}
	err = s.read(ctx, "read what a run did", org, func(tx bun.Conn) error {
		text, args := f.page(entryRead, "golioth_sync_log_entries AS e", "e.created_at DESC, e.id DESC", tandem.Page{Limit: limit})
		found, err = scanEntries(ctx, tx, org, text, args...)
		return err
	})
	return found, err
}

func scanEntries(ctx context.Context, tx bun.Conn, org, text string, args ...any) (found []tandem.Entry, err error) {
	err = eachEntry(ctx, tx, org, func(e *tandem.Entry) { found = append(found, *e) }, text, args...)
	return found, err
}

// RequestCancel asks a run to stop at its next batch; Stale when it has ended.
func (s *Store) RequestCancel(ctx context.Context, org, run string, along ...tandem.Along) error {
	return s.writeWith(ctx, "cancel a run", org, along, func(tx bun.Conn) error {
		var status word
		if err := tx.QueryRowContext(ctx, "SELECT status FROM golioth_sync_log WHERE organization_id = ? AND id = ?"+s.dialect.Lock(), org, run).Scan(&status); err != nil {
			return noRow(err, missing("run", run))
		}
		if tandem.RunStatus(status).Ended() {
			return tandem.Errorf(tandem.Stale, "", run, "the run has ended already (%s)", status)
		}
		_, err := tx.ExecContext(ctx, "UPDATE golioth_sync_log SET cancel_requested = TRUE WHERE organization_id = ? AND id = ?", org, run)
		return err
	})
}

// CancelRequested is what the run looks at.
func (s *Store) CancelRequested(ctx context.Context, org, run string) (asked bool, err error) {
	err = s.read(ctx, "look whether a run was canceled", org, func(tx bun.Conn) error {
		return noRow(tx.QueryRowContext(ctx, "SELECT cancel_requested FROM golioth_sync_log WHERE organization_id = ? AND id = ?", org, run).Scan(&asked),
			missing("run", run))
	})
	return asked, err
}
