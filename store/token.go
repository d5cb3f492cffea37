package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

const tokenColumns = "organization_id, id, name, user_id, role, scopes, hash, expires_at, revoked_at, last_used_at, created_by, created_at, updated_at"

// TokenByHash finds a token of any organization.
func (s *Store) TokenByHash(ctx context.Context, hash string) (tandem.Token, error) {
	return s.oneToken(ctx, everyOrganization, "", "hash = ?", hash)
}

// Token reads one of an organization's.
func (s *Store) Token(ctx context.Context, org, id string) (tandem.Token, error) {
	return s.oneToken(ctx, org, id, "organization_id = ? AND id = ?", org, id)
}

// oneToken never names the hash in an error.
func (s *Store) oneToken(ctx context.Context, org, id, condition string, args ...string) (tandem.Token, error) {
	const op = "find a token"
	values, err := checked(args)
	if err != nil {
		return tandem.Token{}, s.fail(op, err)
	}
	found, err := s.tokens(ctx, op, org, condition, values...)
	if err == nil && len(found) == 0 {
		err = s.fail(op, missing("token", id))
	}
	if err != nil {
		return tandem.Token{}, err
	}
	return found[0], nil
}

// Tokens lists an organization's tokens, newest first.
func (s *Store) Tokens(ctx context.Context, org string) ([]tandem.Token, error) {
	return s.tokens(ctx, "list tokens", org, "organization_id = ? ORDER BY created_at DESC, id DESC", org)
}

func (s *Store) tokens(ctx context.Context, op, org, condition string, args ...any) (found []tandem.Token, err error) {
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			t := tandem.Token{}
			var user, scopes, by word
			var expires, revoked, used, created, updated stamp
			if err := rows.Scan(&t.OrganizationID, &t.ID, &t.Name, &user, &t.Role, &scopes, &t.Hash, &expires, &revoked, &used, &by, &created, &updated); err != nil {
				return err
			}
			t.UserID, t.CreatedBy = string(user), string(by)
			t.ExpiresAt, t.RevokedAt, t.LastUsedAt, t.CreatedAt, t.UpdatedAt = expires.ptr(), revoked.ptr(), used.ptr(), created.Time, updated.Time
			t.Scopes, err = decodeStrings(scopes)
			found = append(found, t)
			return err
		}, "SELECT "+tokenColumns+" FROM api_tokens WHERE "+condition, args...)
	})
	return found, err
}

// TouchToken notes when a token was last used.
func (s *Store) TouchToken(ctx context.Context, org, id string, used time.Time) error {
	return s.write(ctx, "note a token's use", org, func(tx bun.Conn) error {
		if err := checkText(id); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, "UPDATE api_tokens SET last_used_at = ? WHERE organization_id = ? AND id = ?", at(used), org, id)
		if err != nil {
			return err
		}
		return affected(result, missing("token", id))
	})
}
