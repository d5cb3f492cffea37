package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"

	"tandem"
)

// ConflictGroups counts conflicts by service, field and type, the most first.
func (s *Store) ConflictGroups(ctx context.Context, org string, q tandem.ConflictFilter) (groups []tandem.ConflictGroup, err error) {
	f := s.conflictConditions(org, q)
	groups = []tandem.ConflictGroup{}
	err = s.read(ctx, "count conflicts", org, func(tx bun.Conn) error {
		if f.err != nil {
			return f.err
		}
		return query(ctx, tx, func(rows *sql.Rows) error {
			g := tandem.ConflictGroup{}
			var oldest stamp
			err := rows.Scan(&g.ServiceID, &g.Field, &g.Type, &g.Count, &oldest)
			g.OldestAt = oldest.Time
			groups = append(groups, g)
			return err
		}, "SELECT c.service_id, c.field_name, c.conflict_type, COUNT(*), MIN(c.created_at) FROM device_conflicts AS c"+f.where()+
			" GROUP BY c.service_id, c.field_name, c.conflict_type ORDER BY COUNT(*) DESC, c.service_id, c.field_name, c.conflict_type LIMIT 1000", f.args...)
	})
	return groups, err
}

// UndoneEntries hands the entries of a run that did not get done to each, without their values, oldest first, at most limit of them.
func (s *Store) UndoneEntries(ctx context.Context, org, run string, limit int, each func(*tandem.Entry)) error {
	return s.read(ctx, "read what a run did not get done", org, func(tx bun.Conn) error {
		var device, external, name, note, code, failure word
		return query(ctx, tx, func(rows *sql.Rows) error {
			e := tandem.Entry{OrganizationID: org, RunID: run}
			if err := rows.Scan(&e.ID, &e.Side, &e.Action, &device, &external, &name, &note, &e.Outcome, &code, &failure); err != nil {
				return err
			}
			e.DeviceID, e.ExternalDeviceID, e.DeviceName, e.Note = string(device), string(external), string(name), string(note)
			e.Code, e.Error = tandem.Code(code), string(failure)
			each(&e)
			return nil
		}, `SELECT e.id, e.side, e.action, e.device_id, e.external_device_id, e.device_name, e.note, e.outcome, e.code, e.error
			FROM golioth_sync_log_entries AS e WHERE e.organization_id = ? AND e.run_id = ? AND e.outcome <> 'done' ORDER BY e.created_at, e.id LIMIT ?`, org, run, limit)
	})
}

// DeviceEntries gives the newest entries of runs about a device with what is known of their runs, and counts all matches.
func (s *Store) DeviceEntries(ctx context.Context, org, device string, field tandem.Path, limit int) (found []tandem.HistoryEntry, total int, err error) {
	f := &filter{}
	f.add("e.organization_id = ? AND e.device_id = ?", org, device)
	if err := checkText(device); err != nil {
		f.err = err
	}
	f.field("e.field", field)
	err = s.read(ctx, "read a device's history", org, func(tx bun.Conn) error {
		if total, err = f.countInOrder(ctx, tx, "golioth_sync_log_entries AS e", "e.created_at DESC, e.id DESC"); err != nil {
			return err
		}
		if found, err = scanHistory(ctx, tx, f, limit); err != nil {
			return err
		}
		return s.nameDeliveries(ctx, tx, org, found)
	})
	return found, total, err
}

// field adds that a column is a path; of a bare field also its leaves.
func (f *filter) field(column string, path tandem.Path) {
	if path == "" || strings.Contains(string(path), "/") {
		f.equal(column, string(path))
		return
	}
	if err := checkText(string(path)); err != nil {
		f.err = err
	}
	f.add("("+column+" = ? OR ("+column+" >= ? AND "+column+" < ?))", string(path), string(path)+"/", string(path)+"0") // "0" follows "/"
}

func scanHistory(ctx context.Context, tx bun.Conn, f *filter, limit int) (found []tandem.HistoryEntry, err error) {
	var operation, trigger, by word
	before := []any{&operation, &trigger, &by}
	err = eachEntryWith(ctx, tx, "", before, func(e *tandem.Entry) {
		h := tandem.HistoryEntry{At: e.CreatedAt, Field: e.Path, Side: e.Side, Action: e.Action, Before: e.Before, After: e.After, By: string(by), RunID: e.RunID,
			Trigger: tandem.Trigger(trigger), Operation: tandem.Operation(operation), Outcome: e.Outcome, Source: tandem.FromRun, Note: e.Note, Error: e.Error}
		if h.Trigger == tandem.ByWebhook {
			h.Source = tandem.FromDelivery
		}
		found = append(found, h)
	}, "SELECT r.operation, r.trigger, r.created_by, "+entryRead+` FROM golioth_sync_log_entries AS e
		LEFT JOIN golioth_sync_log AS r ON r.organization_id = e.organization_id AND r.id = e.run_id`+f.where()+
		" ORDER BY e.created_at DESC, e.id DESC LIMIT ?", append(append([]any{}, f.args...), limit)...)
	return found, err
}

// nameDeliveries says which webhooks led to runs; of several the first one.
func (s *Store) nameDeliveries(ctx context.Context, tx bun.Conn, org string, found []tandem.HistoryEntry) error {
	first, runs := map[string]string{}, []string{}
	for i := range found {
		if h := &found[i]; h.Source == tandem.FromDelivery {
			if _, there := first[h.RunID]; !there {
				first[h.RunID], runs = "", append(runs, h.RunID)
			}
		}
	}
	if err := s.inChunks("run_id", runs, chunk, func(list bun.Safe) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var run, id word
			err := rows.Scan(&run, &id)
			first[string(run)] = string(id)
			return err
		}, "SELECT run_id, MIN(id) FROM delivery_states WHERE organization_id = ? AND run_id IS NOT NULL AND ? GROUP BY run_id", org, list)
	}); err != nil {
		return err
	}
	for i := range found {
		found[i].DeliveryID = first[found[i].RunID]
	}
	return nil
}

// DeviceEdits gives the newest audit entries about a device.
func (s *Store) DeviceEdits(ctx context.Context, org, device string, limit int) (found []tandem.AuditEntry, err error) {
	err = s.read(ctx, "read who edited a device", org, func(tx bun.Conn) error {
		if err := checkText(device); err != nil {
			return err
		}
		r := sealedScan{}
		targets := r.entryTargets()
		return query(ctx, tx, func(rows *sql.Rows) error {
			if err := rows.Scan(targets...); err != nil {
				return err
			}
			found = append(found, r.auditEntry(org))
			return nil
		}, "SELECT "+auditRead+` FROM audit_log AS l WHERE l.organization_id = ? AND l.thing_id = ? AND l.thing_type = 'device'
			ORDER BY l.at DESC, l.id DESC LIMIT ?`, org, device, limit)
	})
	return found, err
}

// RecentEdits gives the audit entries of people's edits of several devices, the newest first, at most perDevice of each.
func (s *Store) RecentEdits(ctx context.Context, org string, devices []string, perDevice int) (found []tandem.AuditEntry, err error) {
	err = s.read(ctx, "read who edited devices", org, func(tx bun.Conn) error {
		r := sealedScan{}
		targets := r.entryTargets()
		return s.inChunks("l.thing_id", devices, chunk, func(list bun.Safe) error {
			return query(ctx, tx, func(rows *sql.Rows) error {
				if err := rows.Scan(targets...); err != nil {
					return err
				}
				found = append(found, r.auditEntry(org))
				return nil
			}, "SELECT "+auditRead+` FROM (
				SELECT l.*, ROW_NUMBER() OVER (PARTITION BY l.thing_id ORDER BY l.at DESC, l.id DESC) AS place FROM audit_log AS l
				WHERE l.organization_id = ? AND ? AND l.thing_type = 'device' AND l.action IN ('device.create', 'device.update', 'device.delete')
			) AS l WHERE l.place <= ? ORDER BY l.at DESC, l.id DESC`, org, list, perDevice)
		})
	})
	return found, err
}

// NoteProgress keeps where a running run stands, for others to see; what ended meanwhile stays as it is.
func (s *Store) NoteProgress(ctx context.Context, org string, p tandem.Progress) error {
	text, err := json.Marshal(&p)
	if err != nil {
		return s.fail("note a run's progress", err)
	}
	err = s.write(ctx, "note a run's progress", org, func(tx bun.Conn) error {
		b := bulk{dialect: s.dialect}
		n, err := count(tx.ExecContext(ctx, "UPDATE golioth_sync_log SET progress = ? WHERE organization_id = ? AND id = ? AND status = 'running'",
			b.literal(func() { b.raw(text) }), org, p.RunID))
		if err != nil || n == 0 || b.err != nil {
			return err
		}
		now, err := s.instant(ctx, tx)
		if err != nil {
			return err
		}
		return s.putEvents(ctx, tx, []tandem.Event{{ID: newEventID(), OrganizationID: org, At: now, Kind: runsKind, IDs: []string{p.RunID}}})
	})
	if err == nil {
		s.bell.ring(false)
	}
	return err
}

// RunProgress gives where a run stands: as it was last noted while it runs, else as it ended.
func (s *Store) RunProgress(ctx context.Context, org, id string) (p tandem.Progress, err error) {
	const op = "look where a run stands"
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		found, err := scanRuns(ctx, tx, "SELECT "+runRead+" FROM golioth_sync_log AS r WHERE r.organization_id = ? AND r.id = ? AND r.pruned_at IS NULL", org, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return missing("run", id)
		}
		run := &found[0]
		var noted word
		if err := tx.QueryRowContext(ctx, "SELECT progress FROM golioth_sync_log WHERE organization_id = ? AND id = ?", org, id).Scan(&noted); err != nil {
			return err
		}
		p = tandem.Progress{}
		if run.Status == tandem.RunRunning {
			if err := noted.decode(&p); err != nil {
				return err
			}
		}
		if run.Status != tandem.RunRunning || p.RunID == "" {
			p.Summary, p.Done, p.At = run.Summary, run.Summary.Processed, run.CompletedAt
		}
		p.RunID, p.Status, p.StartedAt = run.ID, run.Status, run.StartedAt
		return nil
	})
	return p, err
}
