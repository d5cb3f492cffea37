package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// BeginAnswer reserves a key, or gives what is there. An expired answer counts as none.
func (s *Store) BeginAnswer(ctx context.Context, org string, a tandem.Answer, now time.Time) (stored tandem.Answer, begun bool, err error) {
	const op = "reserve an idempotency key"
	err = s.write(ctx, op, org, func(tx bun.Conn) error {
		var found word
		if err := tx.QueryRowContext(ctx, "SELECT id FROM organizations WHERE id = ?", org).Scan(&found); err != nil {
			return noRow(err, missing("organization", org))
		}
		b := bulk{dialect: s.dialect}
		expired := b.literal(func() { b.instant(now) })
		tail := " ON CONFLICT (organization_id, key) DO UPDATE SET " + assign("fingerprint", "status", "header", "body", "expires_at") +
			" WHERE idempotency_keys.expires_at <= " + string(expired)
		for range attempts {
			n, err := s.bulkly(ctx, tx, "INSERT INTO idempotency_keys (organization_id, key, fingerprint, status, header, body, expires_at) ", tail, 1, func(b *bulk, _ int) {
				b.text(org)
				b.text(a.Key)
				b.text(a.Fingerprint)
				b.int(0)
				b.json(nil, true)
				b.bytes(nil)
				b.instant(a.ExpiresAt)
			})
			if begun = n > 0; err != nil || begun {
				stored = tandem.Answer{Key: a.Key, Fingerprint: a.Fingerprint, ExpiresAt: a.ExpiresAt}
				return err
			}
			stored, err = scanAnswer(ctx, tx, org, a.Key)
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			} // it was dropped in between
		}
		return &tandem.Error{Code: tandem.Busy, Op: op, Message: "other requests with the same key keep coming and going", RetryAfter: time.Second}
	})
	return stored, begun, err
}

func scanAnswer(ctx context.Context, tx bun.Conn, org, key string) (tandem.Answer, error) {
	a := tandem.Answer{}
	var header word
	var expires stamp
	err := tx.QueryRowContext(ctx, "SELECT key, fingerprint, status, header, body, expires_at FROM idempotency_keys WHERE organization_id = ? AND key = ?",
		org, key).Scan(&a.Key, &a.Fingerprint, &a.Status, &header, &a.Body, &expires)
	if err != nil {
		return a, err
	}
	a.ExpiresAt = expires.Time
	return a, header.decode(&a.Header)
}

// FinishAnswer keeps the reply of the request that reserved the key; NotFound when the reservation is gone.
func (s *Store) FinishAnswer(ctx context.Context, org string, a tandem.Answer) error {
	return s.write(ctx, "keep a reply", org, func(tx bun.Conn) error {
		b := bulk{dialect: s.dialect}
		header := b.literal(func() { b.json(a.Header, len(a.Header) == 0) })
		body := b.literal(func() { b.bytes(a.Body) })
		key := b.literal(func() { b.text(a.Key) })
		fingerprint := b.literal(func() { b.text(a.Fingerprint) })
		if b.err != nil {
			return b.err
		}
		result, err := tx.ExecContext(ctx, `UPDATE idempotency_keys SET status = ?, header = ?, body = ?, expires_at = ?
			WHERE organization_id = ? AND key = ? AND fingerprint = ? AND status = 0`, a.Status, header, body, at(a.ExpiresAt), org, key, fingerprint)
		if err != nil {
			return err
		}
		return affected(result, missing("idempotency key", ""))
	})
}

// DropAnswer frees a key whose request is not finished.
func (s *Store) DropAnswer(ctx context.Context, org, key string) error {
	return s.write(ctx, "free an idempotency key", org, func(tx bun.Conn) error {
		if err := checkText(key); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM idempotency_keys WHERE organization_id = ? AND key = ? AND status = 0", org, key)
		return err
	})
}
