package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"tandem"
)

// members gives people their roles, and takes them away with the tokens of those who leave.
func (a *apply) members(ctx context.Context) error {
	if !a.KeepOwner {
		return a.putMembers(ctx)
	}
	const owners = `SELECT m.user_id FROM memberships AS m JOIN users AS u ON u.id = m.user_id
		WHERE m.organization_id = ? AND m.role = 'owner' AND u.disabled_at IS NULL ORDER BY m.user_id`
	lock := a.dialect.Lock()
	if lock != "" {
		lock += " OF m"
	}
	// Two who take each other's role at once do so one after the other.
	if err := query(ctx, a.tx, func(*sql.Rows) error { return nil }, owners+lock, a.org); err != nil {
		return err
	}
	if err := a.putMembers(ctx); err != nil {
		return err
	}
	left := 0
	if err := query(ctx, a.tx, func(*sql.Rows) error { left++; return nil }, owners, a.org); err != nil || left > 0 {
		return err
	}
	return tandem.Errorf(tandem.Invalid, "", a.org, "this is the organization's last owner").WithHint("make somebody else an owner first")
}

var replaceMember = " ON CONFLICT (organization_id, user_id) DO UPDATE SET " + assign("role", "updated_at") + ", version = memberships.version + 1"

func (a *apply) putMembers(ctx context.Context) error {
	rows := lastOf(a.PutMembers, func(m *tandem.Membership) string { return m.UserID })
	read := slices.Clone(a.DropMembers)
	for _, m := range rows {
		read = append(read, tandem.Versioned{ID: m.UserID, Version: m.Version})
	}
	if err := a.atVersions(ctx, "memberships", "user_id", "member", read); err != nil {
		return err
	}
	if err := a.insert(ctx, a.tx, "memberships", memberWritten, replaceMember, len(rows), func(b *bulk, i int) {
		writeMember(b, a.org, rows[i].UserID, rows[i])
	}); err != nil {
		return err
	}
	return a.inChunks("user_id", idsOf(a.DropMembers), chunk, func(list bun.Safe) error {
		if _, err := a.tx.ExecContext(ctx, "UPDATE api_tokens SET revoked_at = ?, updated_at = ? WHERE organization_id = ? AND revoked_at IS NULL AND ?",
			a.now, a.now, a.org, list); err != nil {
			return err
		}
		_, err := a.tx.ExecContext(ctx, "DELETE FROM memberships WHERE organization_id = ? AND ?", a.org, list)
		return err
	})
}

// atVersions locks rows of the organization, and refuses when one is not at the version that was read.
func (a *apply) atVersions(ctx context.Context, table, column, what string, rows []tandem.Versioned) error {
	read := slices.DeleteFunc(slices.Clone(rows), func(v tandem.Versioned) bool { return v.Version == 0 })
	slices.SortFunc(read, func(x, y tandem.Versioned) int { return strings.Compare(x.ID, y.ID) }) // all writers lock them in this order
	for _, v := range read {
		if err := checkText(v.ID); err != nil {
			return err
		}
		var now int64
		err := a.tx.QueryRowContext(ctx, "SELECT version FROM "+table+" WHERE organization_id = ? AND "+column+" = ?"+a.dialect.Lock(), a.org, v.ID).Scan(&now)
		if err != nil {
			return noRow(err, missing(what, v.ID))
		}
		if now != v.Version {
			return movedOn(what, v.ID)
		}
	}
	return nil
}

// movedOn says that a row is not at the version that was read.
func movedOn(what, id string) error {
	return tandem.Errorf(tandem.Stale, "", id, "the %s was changed by someone else meanwhile", what).WithHint("read it again and repeat")
}

// idsOf gives the ids of rows.
func idsOf(rows []tandem.Versioned) []string {
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	return ids
}

func (a *apply) invitations(ctx context.Context) error {
	return a.putInvitations(ctx, a.tx, a.org, lastOf(a.PutInvitations, func(i *tandem.Invitation) string { return i.ID }))
}

func (s *Store) putInvitations(ctx context.Context, tx bun.Conn, org string, rows []*tandem.Invitation) error {
	return s.insert(ctx, tx, "invitations", "organization_id, email_folded, "+invitationColumns,
		" ON CONFLICT (organization_id, id) DO UPDATE SET "+assign("email", "email_folded", "role", "invited_by", "expires_at", "accepted_at", "revoked_at", "updated_at"),
		len(rows), func(b *bulk, i int) {
			n := rows[i]
			b.text(org)
			b.text(fold(n.Email))
			b.text(n.ID)
			b.text(n.Email)
			b.text(string(n.Role))
			b.text(n.InvitedBy)
			b.instant(n.ExpiresAt)
			b.optTime(n.AcceptedAt)
			b.optTime(n.RevokedAt)
			b.instant(n.CreatedAt)
			b.instant(n.UpdatedAt)
		})
}

// tokens adds or rewrites tokens. When one was last used is TouchToken's.
func (a *apply) tokens(ctx context.Context) error {
	rows := lastOf(a.PutTokens, func(t *tandem.Token) string { return t.ID })
	return a.insert(ctx, a.tx, "api_tokens", tokenColumns,
		" ON CONFLICT (organization_id, id) DO UPDATE SET "+assign("name", "user_id", "role", "scopes", "hash", "expires_at", "revoked_at", "updated_at"),
		len(rows), func(b *bulk, i int) {
			t := rows[i]
			b.text(a.org)
			b.text(t.ID)
			b.text(t.Name)
			b.opt(t.UserID)
			b.text(string(t.Role))
			b.list(t.Scopes)
			b.text(t.Hash)
			b.optTime(t.ExpiresAt)
			b.optTime(t.RevokedAt)
			b.optTime(t.LastUsedAt)
			b.opt(t.CreatedBy)
			b.instant(t.CreatedAt)
			b.instant(t.UpdatedAt)
		})
}
