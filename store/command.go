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

const commandWritten = `organization_id, id, device_id, name, payload, status, via, service_id, expires_at, sent_at, answered_at, reply, error,
	created_by, created_at, updated_at`

// The statuses of commands that may still be answered, as in the indexes.
const openCommand = "status IN ('queued', 'sent')"

// commands adds commands, or rewrites those that are still open.
func (a *apply) commands(ctx context.Context) error {
	rows := lastOf(a.PutCommands, func(c *tandem.Command) string { return c.ID })
	devices := make([]string, 0, len(rows))
	for _, c := range rows {
		devices = append(devices, c.DeviceID)
	}
	if err := a.exist(ctx, a.tx, a.org, "devices", "device", devices); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "device_commands", commandWritten, " ON CONFLICT (organization_id, id) DO UPDATE SET "+
		assign("status", "via", "sent_at", "answered_at", "reply", "error", "updated_at")+" WHERE device_commands."+openCommand,
		len(rows), func(b *bulk, i int) { writeCommand(b, a.org, rows[i]) })
}

func writeCommand(b *bulk, org string, c *tandem.Command) {
	b.text(org)
	b.text(c.ID)
	b.text(c.DeviceID)
	b.text(c.Name)
	payload := c.Payload
	if len(payload) == 0 {
		payload = []byte("null")
	}
	b.raw(payload)
	b.text(string(c.Status))
	b.opt(string(c.Via))
	b.opt(c.ServiceID)
	b.instant(c.ExpiresAt)
	b.optTime(c.SentAt)
	b.optTime(c.AnsweredAt)
	b.raw(c.Reply)
	b.opt(c.Error)
	b.opt(c.CreatedBy)
	b.instant(c.CreatedAt)
	b.instant(c.UpdatedAt)
}

func scanCommand(rows *sql.Rows, found *[]tandem.Command) error {
	c := tandem.Command{}
	var payload, via, service, reply, failure, by word
	var expires, sent, answered, created, updated stamp
	if err := rows.Scan(&c.OrganizationID, &c.ID, &c.DeviceID, &c.Name, &payload, &c.Status, &via, &service, &expires, &sent, &answered, &reply, &failure,
		&by, &created, &updated); err != nil {
		return err
	}
	c.Payload, c.Reply, c.Via, c.ServiceID, c.Error, c.CreatedBy = payload.raw(), reply.raw(), tandem.Via(via), string(service), string(failure), string(by)
	c.ExpiresAt, c.SentAt, c.AnsweredAt, c.CreatedAt, c.UpdatedAt = expires.Time, sent.ptr(), answered.ptr(), created.Time, updated.Time
	*found = append(*found, c)
	return nil
}

// Commands lists an organization's commands, newest first.
func (s *Store) Commands(ctx context.Context, org string, q tandem.CommandFilter) (found []tandem.Command, total int, err error) {
	f := &filter{}
	f.add("organization_id = ?", org)
	f.equal("device_id", q.DeviceID)
	f.equal("status", string(q.Status))
	err = s.read(ctx, "list commands", org, func(tx bun.Conn) error {
		found = nil
		if total, err = f.count(ctx, tx, "device_commands"); err != nil {
			return err
		}
		text, args := f.page(commandWritten, "device_commands", "id DESC", q.Page)
		return query(ctx, tx, func(rows *sql.Rows) error { return scanCommand(rows, &found) }, text, args...)
	})
	return found, total, err
}

// Command reads one.
func (s *Store) Command(ctx context.Context, org, id string) (found tandem.Command, err error) {
	err = s.read(ctx, "find a command", org, func(tx bun.Conn) error {
		found, err = s.command(ctx, tx, org, id)
		return err
	})
	return found, err
}

func (s *Store) command(ctx context.Context, tx bun.Conn, org, id string) (tandem.Command, error) {
	if err := checkText(id); err != nil {
		return tandem.Command{}, err
	}
	var found []tandem.Command
	err := query(ctx, tx, func(rows *sql.Rows) error { return scanCommand(rows, &found) },
		"SELECT "+commandWritten+" FROM device_commands WHERE organization_id = ? AND id = ?", org, id)
	if err == nil && len(found) == 0 {
		err = missing("command", id)
	}
	if err != nil {
		return tandem.Command{}, err
	}
	return found[0], nil
}

// OpenCommands counts those of a device that are queued or sent.
func (s *Store) OpenCommands(ctx context.Context, org, device string) (n int, err error) {
	f := &filter{}
	f.add("organization_id = ?", org)
	f.equal("device_id", device)
	f.add(openCommand)
	err = s.read(ctx, "count open commands", org, func(tx bun.Conn) error {
		n, err = f.count(ctx, tx, "device_commands")
		return err
	})
	return n, err
}

// TakeCommands gives the commands that wait for some devices to whoever can reach them, once.
func (s *Store) TakeCommands(ctx context.Context, org string, devices []string, via tandem.Via, again bool) (taken []tandem.Command, err error) {
	const op = "take commands"
	waiting := "status = 'queued'"
	if again {
		waiting = openCommand
	}
	waiting += " AND service_id IS NULL"
	some := false // most devices have none, and nothing is written for those
	if err := s.read(ctx, op, org, func(tx bun.Conn) error {
		some = false
		return s.inChunks("device_id", devices, 2*chunk, func(list bun.Safe) error {
			if some {
				return nil
			}
			return tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM device_commands WHERE organization_id = ? AND "+waiting+" AND ?)", org, list).Scan(&some)
		})
	}); err != nil || !some {
		return nil, err
	}
	err = s.write(ctx, op, org, func(tx bun.Conn) error {
		taken = nil
		now, err := s.instant(ctx, tx)
		if err != nil {
			return err
		}
		if err := s.inChunks("device_id", devices, 2*chunk, func(list bun.Safe) error {
			return query(ctx, tx, func(rows *sql.Rows) error { return scanCommand(rows, &taken) },
				"UPDATE device_commands SET status = 'sent', via = ?, sent_at = ?, updated_at = ? WHERE organization_id = ? AND "+waiting+
					" AND expires_at > ? AND ? RETURNING "+commandWritten, string(via), at(now), at(now), org, at(now), list)
		}); err != nil || len(taken) == 0 {
			return err
		}
		e := tandem.Event{ID: newEventID(), OrganizationID: org, At: now, Kind: commandsKind, IDs: named(nil, taken, func(c *tandem.Command) string { return c.DeviceID }), Data: sentOnly}
		if len(e.IDs) > namedInEvent {
			e.IDs, e.Many = nil, true
		}
		return s.putEvents(ctx, tx, []tandem.Event{e})
	})
	if err == nil && len(taken) > 0 {
		s.bell.ring(false)
	}
	slices.SortFunc(taken, func(a, b tandem.Command) int { return strings.Compare(a.ID, b.ID) })
	return taken, err
}

// ReturnCommands sets commands that could not be sent back to queued: whoever else reaches their devices is told.
func (s *Store) ReturnCommands(ctx context.Context, org string, ids []string) error {
	var devices []string
	err := s.write(ctx, "give commands back", org, func(tx bun.Conn) error {
		devices = nil
		now, err := s.instant(ctx, tx)
		if err != nil {
			return err
		}
		if err := s.inChunks("id", ids, 2*chunk, func(list bun.Safe) error {
			return query(ctx, tx, func(rows *sql.Rows) error {
				var device word
				err := rows.Scan(&device)
				devices = append(devices, string(device))
				return err
			}, "UPDATE device_commands SET status = 'queued', via = NULL, sent_at = NULL, updated_at = ? WHERE organization_id = ? AND status = 'sent' AND ? RETURNING device_id",
				at(now), org, list)
		}); err != nil || len(devices) == 0 {
			return err
		}
		e := tandem.Event{ID: newEventID(), OrganizationID: org, At: now, Kind: commandsKind, IDs: named(nil, devices, func(id *string) string { return *id })}
		if len(e.IDs) > namedInEvent {
			e.IDs, e.Many = nil, true
		}
		return s.putEvents(ctx, tx, []tandem.Event{e})
	})
	if err == nil && len(devices) > 0 {
		s.bell.ring(false)
	}
	return err
}

// AnswerCommand notes what a device said of one of its open commands.
func (s *Store) AnswerCommand(ctx context.Context, org, device string, answer tandem.CommandAnswer, now time.Time) (answered bool, err error) {
	status := tandem.CommandAcknowledged
	if answer.Failed {
		status = tandem.CommandFailed
	}
	const op = "note a command's answer"
	err = s.writeWith(ctx, op, org, nil, func(tx bun.Conn) error {
		c, err := s.command(ctx, tx, org, answer.ID)
		if err == nil && c.DeviceID != device {
			err = missing("command", answer.ID)
		}
		if err != nil {
			return err
		}
		b := bulk{dialect: s.dialect}
		set := "status = " + quoted(string(status)) + ", answered_at = " + string(b.literal(func() { b.instant(now) })) + ", updated_at = " + string(b.literal(func() { b.instant(now) })) +
			", reply = " + string(b.literal(func() { b.raw(answer.Reply) })) + ", error = " + string(b.literal(func() { b.opt(answer.Error) }))
		if b.err != nil {
			return b.err
		}
		n, err := count(tx.ExecContext(ctx, "UPDATE device_commands SET "+set+" WHERE organization_id = "+quoted(org)+" AND id = "+quoted(answer.ID)+" AND "+openCommand))
		answered = n > 0
		if err != nil || !answered {
			return err
		}
		return s.putEvents(ctx, tx, []tandem.Event{{ID: newEventID(), OrganizationID: org, At: now, Kind: commandsKind, IDs: []string{device}}})
	})
	if err == nil && answered {
		s.bell.ring(false)
	}
	return answered, err
}

// CancelCommand withdraws a queued one.
func (s *Store) CancelCommand(ctx context.Context, org, id string, now time.Time, along ...tandem.Along) (found tandem.Command, err error) {
	const op = "cancel a command"
	err = s.writeWith(ctx, op, org, along, func(tx bun.Conn) error {
		if found, err = s.command(ctx, tx, org, id); err != nil {
			return err
		}
		n, err := count(tx.ExecContext(ctx, "UPDATE device_commands SET status = 'canceled', updated_at = ? WHERE organization_id = ? AND id = ? AND status = 'queued'", at(now), org, id))
		if err != nil {
			return err
		}
		if n == 0 {
			return tandem.Errorf(tandem.Stale, op, id, "the command is %s already", found.Status)
		}
		found.Status, found.UpdatedAt = tandem.CommandCanceled, now
		return s.putEvents(ctx, tx, []tandem.Event{{ID: newEventID(), OrganizationID: org, At: now, Kind: commandsKind, IDs: []string{found.DeviceID}}})
	})
	return found, err
}

// ExpireCommands ends open ones of any organization whose time is over.
func (s *Store) ExpireCommands(ctx context.Context, now time.Time, limit int) (n int, err error) {
	const op = "end commands whose time is over"
	some := false
	if err := s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		return tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM device_commands WHERE "+openCommand+" AND expires_at <= ?)", at(now)).Scan(&some)
	}); err != nil || !some {
		return 0, err
	}
	err = s.writeWith(ctx, op, everyOrganization, nil, func(tx bun.Conn) error {
		n = 0
		devices := map[string][]string{}
		if err := query(ctx, tx, func(rows *sql.Rows) error {
			var org, device word
			err := rows.Scan(&org, &device)
			devices[string(org)] = append(devices[string(org)], string(device))
			n++
			return err
		}, "UPDATE device_commands SET status = 'expired', updated_at = ? WHERE (organization_id, id) IN (SELECT organization_id, id FROM device_commands WHERE "+
			openCommand+" AND expires_at <= ? ORDER BY expires_at LIMIT ?"+s.dialect.LockFree()+") RETURNING organization_id, device_id", at(now), at(now), limit); err != nil {
			return err
		}
		var events []tandem.Event
		for org, ids := range devices {
			e := tandem.Event{ID: newEventID(), OrganizationID: org, At: now, Kind: commandsKind, IDs: ids}
			if len(ids) > namedInEvent {
				e.IDs, e.Many = nil, true
			}
			events = append(events, e)
		}
		return s.putEvents(ctx, tx, events)
	})
	if n > 0 {
		s.bell.ring(false)
	}
	return n, err
}
