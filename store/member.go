package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

const memberWritten = "organization_id, user_id, role, version, created_at, updated_at"

// writeMember writes memberWritten.
func writeMember(b *bulk, org, user string, m *tandem.Membership) {
	b.text(org)
	b.text(user)
	b.text(string(m.Role))
	b.int(max(m.Version, 1))
	b.instant(m.CreatedAt)
	b.instant(m.UpdatedAt)
}

// fromMembers goes from an organization's memberships to the people, so that those of all organizations are not read.
func (s *Store) fromMembers() string {
	return "memberships AS m" + s.dialect.Follow("users", "u", "TRUE", "id", "m.user_id")
}

// memberRead are the columns that scanMembers reads.
const memberRead = userRead + ", m.role, m.version"

// Members lists an organization's people, by email unless sorted otherwise, and counts all matches.
func (s *Store) Members(ctx context.Context, org string, q tandem.MemberFilter) (found []tandem.Member, total int, err error) {
	f := &filter{}
	order := f.ordered(memberOrders, q.Sort)
	f.add("m.organization_id = ?", org)
	f.equal("m.role", string(q.Role))
	f.contains(q.Search, "u.search_text")
	err = s.read(ctx, "list members", org, func(tx bun.Conn) error {
		if total, err = f.count(ctx, tx, s.fromMembers()); err != nil {
			return err
		}
		text, args := f.page(memberRead, s.fromMembers(), order, q.Page)
		found, err = scanMembers(ctx, tx, text, args...)
		return err
	})
	return found, total, err
}

// Member finds one of an organization's people by id, else by email.
func (s *Store) Member(ctx context.Context, org, idOrEmail string) (member tandem.Member, err error) {
	const op = "find a member"
	if err := checkText(idOrEmail); err != nil {
		return member, s.fail(op, err)
	}
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		found, err := scanMembers(ctx, tx, "SELECT "+memberRead+" FROM "+s.fromMembers()+
			" WHERE m.organization_id = ? AND (u.id = ? OR u.email_folded = ?) ORDER BY u.id <> ? LIMIT 1", org, idOrEmail, fold(idOrEmail), idOrEmail)
		if err == nil && len(found) == 0 {
			err = missing("member", idOrEmail)
		}
		if err != nil {
			return err
		}
		member = found[0]
		return nil
	})
	return member, err
}

func scanMembers(ctx context.Context, tx bun.Conn, text string, args ...any) (found []tandem.Member, err error) {
	r := userScan{}
	var role word
	var version int64
	targets := append(r.targets(), &role, &version)
	err = query(ctx, tx, func(rows *sql.Rows) error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		u, err := r.user()
		found = append(found, tandem.Member{User: u, Role: tandem.Role(role), Version: u.Version + version, Membership: version})
		return err
	}, text, args...)
	return found, err
}

const invitationColumns = "id, email, role, invited_by, expires_at, accepted_at, revoked_at, created_at, updated_at"

// Invitations lists an organization's invitations, newest first.
func (s *Store) Invitations(ctx context.Context, org string) ([]tandem.Invitation, error) {
	return s.invitations(ctx, "list invitations", org, " ORDER BY created_at DESC, id DESC")
}

// Invitation reads one.
func (s *Store) Invitation(ctx context.Context, org, id string) (tandem.Invitation, error) {
	const op = "find an invitation"
	if err := checkText(id); err != nil {
		return tandem.Invitation{}, s.fail(op, err)
	}
	found, err := s.invitations(ctx, op, org, " AND id = ?", id)
	if err == nil && len(found) == 0 {
		err = s.fail(op, missing("invitation", id))
	}
	if err != nil {
		return tandem.Invitation{}, err
	}
	return found[0], nil
}

// InvitationTo gives the open invitation, of any organization, that an email was sent first.
func (s *Store) InvitationTo(ctx context.Context, email string, now time.Time) (in tandem.Invitation, err error) {
	const op = "find an invitation"
	if err := checkText(email); err != nil {
		return in, s.fail(op, err)
	}
	err = s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		var expires, accepted, revoked, created, updated stamp
		err := tx.QueryRowContext(ctx, "SELECT organization_id, "+invitationColumns+` FROM invitations WHERE email_folded = ?
			AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > ? ORDER BY created_at, id LIMIT 1`, fold(email), at(now)).
			Scan(&in.OrganizationID, &in.ID, &in.Email, &in.Role, &in.InvitedBy, &expires, &accepted, &revoked, &created, &updated)
		in.ExpiresAt, in.CreatedAt, in.UpdatedAt = expires.Time, created.Time, updated.Time
		return noRow(err, missing("invitation", email))
	})
	return in, err
}

func (s *Store) invitations(ctx context.Context, op, org, tail string, args ...any) (found []tandem.Invitation, err error) {
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			i := tandem.Invitation{OrganizationID: org}
			var expires, accepted, revoked, created, updated stamp
			if err := rows.Scan(&i.ID, &i.Email, &i.Role, &i.InvitedBy, &expires, &accepted, &revoked, &created, &updated); err != nil {
				return err
			}
			i.ExpiresAt, i.AcceptedAt, i.RevokedAt, i.CreatedAt, i.UpdatedAt = expires.Time, accepted.ptr(), revoked.ptr(), created.Time, updated.Time
			found = append(found, i)
			return nil
		}, "SELECT "+invitationColumns+" FROM invitations WHERE organization_id = ?"+tail, append([]any{org}, args...)...)
	})
	return found, err
}
