package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// Sessions and one-time links are asked for by who only has a secret: no organization is known, and the policies let
// none see them.

const linkColumns = "id, purpose, hash, user_id, invitation_organization, invitation_id, expires_at, used_at, created_at"

// CreateLink adds a link; unused ones of the same purpose and person, or the same invitation, end.
func (s *Store) CreateLink(ctx context.Context, link tandem.OneTimeLink) error {
	return s.write(ctx, "make a one-time link", everyOrganization, func(tx bun.Conn) error {
		for _, v := range []string{link.UserID, link.OrganizationID, link.InvitationID} {
			if err := checkText(v); err != nil {
				return err
			}
		}
		// Each process that starts while there is nobody prints a set-up link of its own: all of them are good.
		if _, err := tx.ExecContext(ctx, `DELETE FROM one_time_links WHERE purpose <> 'set_up' AND purpose = ? AND user_id = ? AND invitation_organization = ? AND invitation_id = ?
			AND used_at IS NULL`, string(link.Purpose), link.UserID, link.OrganizationID, link.InvitationID); err != nil {
			return err
		}
		return s.insert(ctx, tx, "one_time_links", linkColumns, "", 1, func(b *bulk, _ int) {
			b.text(link.ID)
			b.text(string(link.Purpose))
			b.text(link.Hash)
			b.text(link.UserID)
			b.text(link.OrganizationID)
			b.text(link.InvitationID)
			b.instant(link.ExpiresAt)
			b.optTime(link.UsedAt)
			b.instant(link.CreatedAt)
		})
	})
}

// Link reads one that can be used; NotFound when it was used or has expired.
func (s *Store) Link(ctx context.Context, purpose tandem.LinkPurpose, hash string, now time.Time) (link tandem.OneTimeLink, err error) {
	const op = "find a one-time link"
	if err := checkText(hash); err != nil {
		return link, s.fail(op, err)
	}
	err = s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		link, err = scanLink(ctx, tx, "hash = ? AND purpose = ? AND used_at IS NULL AND expires_at > ?", hash, string(purpose), at(now))
		return err
	})
	return link, err
}

// UseLink spends a link: NotFound when it was used or has expired.
func (s *Store) UseLink(ctx context.Context, purpose tandem.LinkPurpose, hash string, now time.Time) (link tandem.OneTimeLink, err error) {
	const op = "use a one-time link"
	if err := checkText(hash); err != nil {
		return link, s.fail(op, err)
	}
	err = s.write(ctx, op, everyOrganization, func(tx bun.Conn) error {
		if err := spendLink(ctx, tx, purpose, hash, now); err != nil {
			return err
		}
		link, err = scanLink(ctx, tx, "hash = ?", hash)
		return err
	})
	return link, err
}

func spendLink(ctx context.Context, tx bun.Conn, purpose tandem.LinkPurpose, hash string, now time.Time) error {
	result, err := tx.ExecContext(ctx, "UPDATE one_time_links SET used_at = ? WHERE hash = ? AND purpose = ? AND used_at IS NULL AND expires_at > ?",
		at(now), hash, string(purpose), at(now))
	if err != nil {
		return err
	}
	return affected(result, missingLink())
}

// missingLink says no more than whoever holds a link may know.
func missingLink() *tandem.Error {
	return missing("link", "").WithHint("it was used already or has expired; ask for another")
}

func scanLink(ctx context.Context, tx bun.Conn, condition string, args ...any) (tandem.OneTimeLink, error) {
	l := tandem.OneTimeLink{}
	var expires, used, created stamp
	err := tx.QueryRowContext(ctx, "SELECT "+linkColumns+" FROM one_time_links WHERE "+condition, args...).
		Scan(&l.ID, &l.Purpose, &l.Hash, &l.UserID, &l.OrganizationID, &l.InvitationID, &expires, &used, &created)
	l.ExpiresAt, l.UsedAt, l.CreatedAt = expires.Time, used.ptr(), created.Time
	return l, noRow(err, missingLink())
}

// Session reads one that has not expired.
func (s *Store) Session(ctx context.Context, id string, now time.Time) (session tandem.Session, err error) {
	const op = "find a session"
	if err := checkText(id); err != nil {
		return session, s.fail(op, err)
	}
	err = s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		var user word
		var expires stamp
		err := tx.QueryRowContext(ctx, "SELECT id, user_id, data, expires_at FROM sessions WHERE id = ? AND expires_at > ?", id, at(now)).
			Scan(&session.ID, &user, &session.Data, &expires)
		session.UserID, session.ExpiresAt = string(user), expires.Time
		return noRow(err, missing("session", ""))
	})
	return session, err
}

// PutSession adds or rewrites a session.
func (s *Store) PutSession(ctx context.Context, session tandem.Session) error {
	return s.write(ctx, "keep a session", everyOrganization, func(tx bun.Conn) error {
		return s.insert(ctx, tx, "sessions", "id, user_id, data, expires_at", " ON CONFLICT (id) DO UPDATE SET "+assign("user_id", "data", "expires_at"), 1,
			func(b *bulk, _ int) {
				b.text(session.ID)
				b.opt(session.UserID)
				b.bytes(session.Data)
				b.instant(session.ExpiresAt)
			})
	})
}

// DeleteSession ends one, if it is there.
func (s *Store) DeleteSession(ctx context.Context, id string) error {
	return s.endSessions(ctx, "end a session", "id", id)
}

// DeleteSessions ends all of a person's.
func (s *Store) DeleteSessions(ctx context.Context, user string) error {
	return s.endSessions(ctx, "end a person's sessions", "user_id", user)
}

func (s *Store) endSessions(ctx context.Context, op, column, value string) error {
	if err := checkText(value); err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, op, everyOrganization, func(tx bun.Conn) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM sessions WHERE "+column+" = ?", value)
		return err
	})
}
