package store

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// audit adds entries to the audit, in the transaction of what they tell of. Those of a call about organizations or people
// are of the organizations that they name; those of any other call are of its own.
func (s *Store) audit(ctx context.Context, tx bun.Conn, org string, entries []tandem.AuditEntry) error {
	if org != everyOrganization {
		for i := range entries {
			if of := entries[i].OrganizationID; of != "" && of != org {
				return missing("organization", of)
			}
		}
		return s.auditOf(ctx, tx, org, entries)
	}
	for start := 0; start < len(entries); {
		of, end := entries[start].OrganizationID, start+1
		for end < len(entries) && entries[end].OrganizationID == of {
			end++
		}
		if err := s.as(ctx, tx, of); err != nil {
			return err
		}
		if err := s.auditOf(ctx, tx, of, entries[start:end]); err != nil {
			return err
		}
		if start = end; start == len(entries) {
			return s.as(ctx, tx, everyOrganization)
		}
	}
	return nil
}

// as goes on as another organization.
func (s *Store) as(ctx context.Context, tx bun.Conn, org string) error {
	if err := checkText(org); err != nil {
		return err
	}
	text := s.dialect.As(org)
	if text == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, text)
	return err
}

// auditOf adds entries of one organization.
func (s *Store) auditOf(ctx context.Context, tx bun.Conn, org string, entries []tandem.AuditEntry) error {
	err := s.insert(ctx, tx, "audit_log", `organization_id, id, at, actor_kind, actor_id, actor, actor_folded, action, thing_type, thing_id, thing,
		before, after, run_id, request_id, address, search_text`, "", len(entries), func(b *bulk, i int) {
		e := &entries[i]
		b.text(org)
		b.text(e.ID)
		b.instant(e.At)
		b.text(string(e.ActorKind))
		b.opt(e.ActorID)
		b.text(e.Actor)
		b.text(fold(e.Actor))
		b.text(e.Action)
		b.text(e.ThingType)
		b.opt(e.ThingID)
		b.opt(e.Thing)
		b.raw(e.Before)
		b.raw(e.After)
		b.opt(e.RunID)
		b.opt(e.RequestID)
		b.opt(e.Address)
		b.text(fold(e.Thing + "\n" + e.Actor))
	})
	return s.parentless(err, "organization", org)
}

// Seal adds seals; Stale when the chain does not end where the first begins.
func (s *Store) Seal(ctx context.Context, org string, seals []tandem.AuditSeal) error {
	const op = "seal the audit"
	if len(seals) == 0 {
		return nil
	}
	ids := make([]string, len(seals))
	for i := range seals {
		ids[i] = seals[i].EntryID
		if i > 0 && (seals[i].Seq != seals[i-1].Seq+1 || seals[i].Previous != seals[i-1].Hash) {
			return tandem.Errorf(tandem.Invalid, op, seals[i].EntryID, "a seal does not follow the one before it")
		}
	}
	stale := tandem.Errorf(tandem.Stale, op, "", "the chain was continued meanwhile")
	err := s.write(ctx, op, org, func(tx bun.Conn) error {
		seq, hash, err := chainEnd(ctx, tx, org)
		if err != nil {
			return err
		}
		if seals[0].Seq != seq+1 || seals[0].Previous != hash {
			return stale
		}
		waiting := 0
		if err := s.inChunks("entry_id", ids, 10*chunk, func(list bun.Safe) error {
			some := 0
			err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM audit_unsealed WHERE organization_id = ? AND ?", org, list).Scan(&some)
			waiting += some
			return err
		}); err != nil {
			return err
		}
		if waiting != len(seals) {
			return stale
		}
		err = s.insert(ctx, tx, "audit_seals", "organization_id, seq, entry_id, previous, hash, sealed_at", "", len(seals), func(b *bulk, i int) {
			b.text(org)
			b.int(seals[i].Seq)
			b.text(seals[i].EntryID)
			b.text(seals[i].Previous)
			b.text(seals[i].Hash)
			b.instant(seals[i].SealedAt)
		})
		if err != nil && s.dialect.Taken(err) { // another sealer was faster by a moment
			return stale
		}
		return err
	})
	return err
}

// beginning is what the first seal of all follows.
var beginning = strings.Repeat("0", 64)

// chainEnd gives the place and hash that the next seal follows.
func chainEnd(ctx context.Context, tx bun.Conn, org string) (seq int64, hash string, err error) {
	seal, err := lastSeal(ctx, tx, org)
	if err != nil || seal.Seq > 0 {
		return seal.Seq, seal.Hash, err
	}
	point, err := lastCheckpoint(ctx, tx, org)
	if err != nil || point.Seq > 0 {
		return point.Seq, point.Hash, err
	}
	return 0, beginning, nil
}

// PruneAudit removes the first places of the chain whose entries are older than an instant, at most limit of them, and
// leaves a checkpoint for them. It stops at the first that is not.
func (s *Store) PruneAudit(ctx context.Context, org string, before time.Time, limit int) (removed int, err error) {
	const op = "remove old audit"
	err = s.write(ctx, op, org, func(tx bun.Conn) error {
		removed = 0
		old, err := scanSealed(ctx, tx, org, "SELECT "+auditRead+", "+sealRead+` FROM audit_seals AS s
			LEFT JOIN audit_log AS l ON l.organization_id = s.organization_id AND l.id = s.entry_id
			WHERE s.organization_id = ? ORDER BY s.seq LIMIT ?`, org, steps(limit))
		if err != nil {
			return err
		}
		n := 0
		for n < len(old) && entryTime(&old[n]).Before(before) {
			n++
		}
		if n == 0 {
			return nil
		}
		last := old[n-1].Seal
		if _, err := tx.ExecContext(ctx, "INSERT INTO audit_checkpoints (organization_id, seq, hash, entries, created_at) VALUES (?, ?, ?, ?, "+s.dialect.Clock()+")",
			org, last.Seq, last.Hash, n); err != nil {
			if s.dialect.Taken(err) {
				return tandem.Errorf(tandem.Stale, op, "", "another process is removing the same")
			}
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM audit_log WHERE organization_id = ? AND id IN (SELECT s.entry_id FROM audit_seals AS s
			WHERE s.organization_id = ? AND s.seq <= ?)`, org, org, last.Seq); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM audit_seals WHERE organization_id = ? AND seq <= ?", org, last.Seq)
		removed = n
		return err
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// entryTime is when an entry was made, or sealed where only the seal is left.
func entryTime(e *tandem.SealedEntry) time.Time {
	if e.ID == "" {
		return e.Seal.SealedAt
	}
	return e.At
}
