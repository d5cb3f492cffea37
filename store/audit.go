package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"tandem"
)

const auditRead = `l.id, l.at, l.actor_kind, l.actor_id, l.actor, l.action, l.thing_type, l.thing_id, l.thing, l.before, l.after, l.run_id, l.request_id, l.address`

const sealRead = "s.seq, s.entry_id, s.previous, s.hash, s.sealed_at"

// sealedScan is where auditRead and sealRead are scanned to; either may be of a row that is not there.
type sealedScan struct {
	id, kind, actorID, actor, action, thingType, thingID, thing, before, after, run, request, address word
	at                                                                                                stamp
	seq                                                                                               sql.NullInt64
	entry, previous, hash                                                                             word
	sealed                                                                                            stamp
}

func (r *sealedScan) entryTargets() []any {
	return []any{&r.id, &r.at, &r.kind, &r.actorID, &r.actor, &r.action, &r.thingType, &r.thingID, &r.thing, &r.before, &r.after, &r.run, &r.request, &r.address}
}

func (r *sealedScan) sealTargets() []any {
	return []any{&r.seq, &r.entry, &r.previous, &r.hash, &r.sealed}
}

// auditEntry gives the entry; the zero one where it is not there.
func (r *sealedScan) auditEntry(org string) tandem.AuditEntry {
	if r.id == "" {
		return tandem.AuditEntry{}
	}
	return tandem.AuditEntry{ID: string(r.id), OrganizationID: org, At: r.at.Time, ActorKind: tandem.ActorKind(r.kind), ActorID: string(r.actorID),
		Actor: string(r.actor), Action: string(r.action), ThingType: string(r.thingType), ThingID: string(r.thingID), Thing: string(r.thing),
		Before: r.before.raw(), After: r.after.raw(), RunID: string(r.run), RequestID: string(r.request), Address: string(r.address)}
}

func (r *sealedScan) seal() *tandem.AuditSeal {
	if !r.seq.Valid {
		return nil
	}
	return &tandem.AuditSeal{Seq: r.seq.Int64, EntryID: string(r.entry), Previous: string(r.previous), Hash: string(r.hash), SealedAt: r.sealed.Time}
}

// scanSealed reads rows of auditRead, sealRead.
func scanSealed(ctx context.Context, tx bun.Conn, org, text string, args ...any) (found []tandem.SealedEntry, err error) {
	r := sealedScan{}
	targets := append(r.entryTargets(), r.sealTargets()...)
	err = query(ctx, tx, func(rows *sql.Rows) error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		found = append(found, tandem.SealedEntry{AuditEntry: r.auditEntry(org), Seal: r.seal()})
		return nil
	}, text, args...)
	return found, err
}

// Audit lists entries, newest first unless sorted otherwise, and counts all matches. Since is the first instant, Until the first one after.
func (s *Store) Audit(ctx context.Context, org string, q tandem.AuditFilter) (found []tandem.SealedEntry, total int, err error) {
	f := &filter{}
	order := f.ordered(auditOrders, q.Sort)
	f.add("l.organization_id = ?", org)
	if q.Actor != "" {
		if err := checkText(q.Actor); err != nil {
			f.err = err
		}
		f.add(`(l.actor_id = ? OR l.actor_folded LIKE ? ESCAPE '\')`, q.Actor, like(q.Actor))
	}
	if q.Action != "" {
		if err := checkText(q.Action); err != nil {
			f.err = err
		}
		f.add("(l.action = ? OR l.action >= ? AND l.action < ?)", q.Action, q.Action+".", q.Action+"/") // "/" follows "."
	}
	f.equal("l.thing_type", q.ThingType)
	f.equal("l.thing_id", q.ThingID)
	f.equal("l.run_id", q.RunID)
	f.contains(q.Search, "l.search_text")
	if !q.Since.IsZero() {
		f.add("l.at >= ?", at(q.Since))
	}
	if !q.Until.IsZero() {
		f.add("l.at < ?", at(q.Until))
	}
	err = s.read(ctx, "list the audit", org, func(tx bun.Conn) error {
		if total, err = f.count(ctx, tx, "audit_log AS l"); err != nil {
			return err
		}
		text, args := f.page(auditRead+", "+sealRead, "audit_log AS l LEFT JOIN audit_seals AS s ON s.organization_id = l.organization_id AND s.entry_id = l.id",
			order, q.Page)
		found, err = scanSealed(ctx, tx, org, text, args...)
		return err
	})
	return found, total, err
}

// Sealed walks the sealed entries in order of the chain, after a place. A seal whose entry is gone has an entry without an id.
func (s *Store) Sealed(ctx context.Context, org string, after int64, limit int) (found []tandem.SealedEntry, err error) {
	err = s.read(ctx, "read the sealed audit", org, func(tx bun.Conn) error {
		found, err = scanSealed(ctx, tx, org, "SELECT "+auditRead+", "+sealRead+` FROM audit_seals AS s
			LEFT JOIN audit_log AS l ON l.organization_id = s.organization_id AND l.id = s.entry_id
			WHERE s.organization_id = ? AND s.seq > ? ORDER BY s.seq LIMIT ?`, org, after, steps(limit))
		return err
	})
	return found, err
}

// steps bounds how many rows a walk takes at once.
func steps(limit int) int {
	if limit <= 0 {
		return 1000
	}
	return min(limit, 10_000)
}

// Unsealed walks the other entries, by id, which is by age, and counts them.
func (s *Store) Unsealed(ctx context.Context, org string, limit int) (found []tandem.AuditEntry, total int, err error) {
	err = s.read(ctx, "read the unsealed audit", org, func(tx bun.Conn) error {
		found = nil
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM audit_unsealed WHERE organization_id = ?", org).Scan(&total); err != nil {
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
		}, "SELECT "+auditRead+` FROM audit_unsealed AS w JOIN audit_log AS l ON l.organization_id = w.organization_id AND l.id = w.entry_id
			WHERE w.organization_id = ? ORDER BY w.entry_id LIMIT ?`, org, steps(limit))
	})
	return found, total, err
}

// OrganizationsToSeal names those with unsealed entries.
func (s *Store) OrganizationsToSeal(ctx context.Context) (orgs []string, err error) {
	err = s.read(ctx, "find what is to be sealed", everyOrganization, func(tx bun.Conn) error {
		orgs = nil
		return query(ctx, tx, func(rows *sql.Rows) error {
			var org word
			err := rows.Scan(&org)
			orgs = append(orgs, string(org))
			return err
		}, "SELECT DISTINCT organization_id FROM audit_unsealed ORDER BY organization_id")
	})
	return orgs, err
}

// LastSeal gives where the chain ends; the zero value where nothing is sealed.
func (s *Store) LastSeal(ctx context.Context, org string) (seal tandem.AuditSeal, err error) {
	err = s.read(ctx, "find the end of the audit's chain", org, func(tx bun.Conn) error {
		seal, err = lastSeal(ctx, tx, org)
		return err
	})
	return seal, err
}

func lastSeal(ctx context.Context, tx bun.Conn, org string) (tandem.AuditSeal, error) {
	r := sealedScan{}
	err := tx.QueryRowContext(ctx, "SELECT "+sealRead+" FROM audit_seals AS s WHERE s.organization_id = ? ORDER BY s.seq DESC LIMIT 1", org).Scan(r.sealTargets()...)
	if err != nil {
		return tandem.AuditSeal{}, ignoreNoRow(err)
	}
	return *r.seal(), nil
}

// LastCheckpoint gives where the chain begins; the zero value where nothing was removed.
func (s *Store) LastCheckpoint(ctx context.Context, org string) (point tandem.AuditCheckpoint, err error) {
	err = s.read(ctx, "find the beginning of the audit's chain", org, func(tx bun.Conn) error {
		point, err = lastCheckpoint(ctx, tx, org)
		return err
	})
	return point, err
}

func lastCheckpoint(ctx context.Context, tx bun.Conn, org string) (tandem.AuditCheckpoint, error) {
	p := tandem.AuditCheckpoint{}
	var created stamp
	err := tx.QueryRowContext(ctx, "SELECT seq, hash, entries, created_at FROM audit_checkpoints WHERE organization_id = ? ORDER BY seq DESC LIMIT 1", org).
		Scan(&p.Seq, &p.Hash, &p.Entries, &created)
	p.CreatedAt = created.Time
	return p, ignoreNoRow(err)
}

// ignoreNoRow drops the error of a row that need not be there.
func ignoreNoRow(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}
