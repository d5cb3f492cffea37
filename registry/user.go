package registry

import (
	"context"
	"net/mail"
	"strings"

	"tandem"
)

// Users lists the people of an organization with their roles, by email, and counts all matches.
func (r *Registry) Users(ctx context.Context, actor Actor, org string, filter tandem.MemberFilter) ([]tandem.Member, int, error) {
	if err := actor.may(org, ReadUsers); err != nil {
		return nil, 0, err
	}
	return r.Server.Members(ctx, org, filter)
}

// User finds one of them by id or email.
func (r *Registry) User(ctx context.Context, actor Actor, org, ref string) (tandem.Member, error) {
	if err := actor.may(org, ReadUsers); err != nil {
		return tandem.Member{}, err
	}
	return r.Server.Member(ctx, org, ref)
}

// Me gives the actor's own account and organizations.
func (r *Registry) Me(ctx context.Context, actor Actor) (tandem.User, []tandem.Belonging, error) {
	if err := actor.person("read account"); err != nil {
		return tandem.User{}, nil, err
	}
	u, err := r.Server.User(ctx, actor.UserID)
	if err != nil {
		return u, nil, err
	}
	all, err := r.Server.Belongings(ctx, u.ID)
	return u, all, err
}

// Rename changes the actor's own name.
func (r *Registry) Rename(ctx context.Context, actor Actor, name string) (tandem.User, error) {
	if err := actor.person("rename account"); err != nil {
		return tandem.User{}, err
	}
	if err := checkLine("name", strings.TrimSpace(name), 1, maxName); err != nil {
		return tandem.User{}, err
	}
	return r.editUser(ctx, actor, actor.UserID, "user.update", func(u *tandem.User) error {
		u.Name = strings.TrimSpace(name)
		return nil
	})
}

// ChangeRole gives a person another role. Nobody gives, or takes, a role above their own; the last owner stays one. With a
// version it is Stale when the member is at another one.
func (r *Registry) ChangeRole(ctx context.Context, actor Actor, org, ref string, role tandem.Role, ifVersion ...int64) (m tandem.Member, err error) {
	if err := actor.mayGive(org, role); err != nil {
		return m, err
	}
	err = retryMoved(func() (err error) {
		if m, err = r.memberTo(ctx, actor, org, ref); err != nil {
			return err
		}
		if err := expect("change role", m.Email, m.Version, wanted(ifVersion)); err != nil || m.Role == role {
			return err
		}
		if err := r.leavesAnOwner(ctx, org, &m, role); err != nil {
			return err
		}
		if err := r.putMember(ctx, actor, org, "member.update", m.ID, m.Email, m.Role, role, m.Membership); err != nil {
			return err
		}
		m.Role, m.Version, m.Membership = role, m.Version+1, m.Membership+1
		return nil
	})
	return m, err
}

// RemoveUser ends a person's membership; their tokens of the organization end with it. The last owner stays. With a
// version it is Stale when the member is at another one.
func (r *Registry) RemoveUser(ctx context.Context, actor Actor, org, ref string, ifVersion ...int64) (m tandem.Member, err error) {
	err = retryMoved(func() (err error) {
		if m, err = r.memberTo(ctx, actor, org, ref); err != nil {
			return err
		}
		if err := expect("remove user", m.Email, m.Version, wanted(ifVersion)); err != nil {
			return err
		}
		if err := r.leavesAnOwner(ctx, org, &m, ""); err != nil {
			return err
		}
		along := r.note(actor, org, "member.remove", userThing(&m.User), map[string]any{"role": m.Role}, nil)
		return r.Store.Apply(ctx, org, &tandem.Changes{DropMembers: []tandem.Versioned{{ID: m.ID, Version: m.Membership}}, KeepOwner: m.Role == tandem.Owner, Along: along})
	})
	return m, err
}

// DisableUser keeps a person from signing in anywhere, or lets them again. Who does so manages all organizations that
// the person belongs to: elsewhere it would be somebody else's decision. With a version it is Stale when the member is at
// another one.
func (r *Registry) DisableUser(ctx context.Context, actor Actor, org, ref string, disabled bool, ifVersion ...int64) (tandem.User, error) {
	m, err := r.memberTo(ctx, actor, org, ref)
	if err != nil {
		return m.User, err
	}
	var want *int64
	if len(ifVersion) > 0 {
		if err := expect("change user", m.Email, m.Version, &ifVersion[0]); err != nil {
			return m.User, err
		}
		want = &m.User.Version
	}
	if disabled {
		if err := r.leavesAnOwner(ctx, org, &m, ""); err != nil {
			return m.User, err
		}
	}
	all, err := r.Server.Belongings(ctx, m.ID)
	if err != nil {
		return m.User, err
	}
	for _, b := range all {
		if !actor.May(b.Organization.ID, ManageUsers) || !atMost(b.Role, actor.role(b.Organization.ID)) {
			return m.User, tandem.Errorf(tandem.Forbidden, "disable user", m.Email, "the person belongs to another organization too, in which you do not manage people").
				WithHint("remove them from this one instead")
		}
	}
	action := "user.enable"
	if disabled {
		action = "user.disable"
	}
	return r.editUser(ctx, actor, m.ID, action, func(u *tandem.User) error {
		if err := expect(action, u.Email, u.Version, want); err != nil {
			return err
		}
		u.DisabledAt = nil
		u.Epoch++ // sessions end
		if disabled {
			now := r.Clock()
			u.DisabledAt = &now
		}
		return nil
	})
}

// memberTo finds a member that the actor may change.
func (r *Registry) memberTo(ctx context.Context, actor Actor, org, ref string) (tandem.Member, error) {
	if err := actor.may(org, ManageUsers); err != nil {
		return tandem.Member{}, err
	}
	m, err := r.Server.Member(ctx, org, ref)
	if err != nil {
		return m, err
	}
	if !atMost(m.Role, actor.role(org)) {
		return m, tandem.Errorf(tandem.Forbidden, "change user", m.Email, "the person is %s, which is above your role %s", m.Role, actor.role(org)).
			WithHint("ask an owner")
	}
	return m, nil
}

// mayGive refuses to give a role that allows what the actor may not do: one above its own, or beyond a token's scopes.
func (a Actor) mayGive(org string, role tandem.Role) error {
	if err := a.may(org, ManageUsers); err != nil {
		return err
	}
	if err := checkRole(role); err != nil {
		return err
	}
	if !atMost(role, a.role(org)) {
		return tandem.Errorf(tandem.Forbidden, "give role", string(role), "the role %s is above your role %s", role, a.role(org)).
			WithHint("ask an owner")
	}
	for _, p := range Permissions(role) {
		if !a.May(org, p) {
			return tandem.Errorf(tandem.Forbidden, "give role", string(role), "the role %s includes %s, which the token's scopes do not", role, p).
				WithHint("use a token without scopes, or sign in")
		}
	}
	return nil
}

// leavesAnOwner refuses to take the role of the last owner who can sign in.
func (r *Registry) leavesAnOwner(ctx context.Context, org string, m *tandem.Member, to tandem.Role) error {
	if m.Role != tandem.Owner || to == tandem.Owner {
		return nil
	}
	owners, _, err := r.Server.Members(ctx, org, tandem.MemberFilter{Role: tandem.Owner, Page: tandem.Page{Limit: 1000}})
	if err != nil {
		return err
	}
	for i := range owners {
		if owners[i].ID != m.ID && owners[i].DisabledAt == nil {
			return nil
		}
	}
	return tandem.Errorf(tandem.Invalid, "change user", m.Email, "this is the organization's last owner").
		WithHint("make somebody else an owner first")
}

// putMember writes a membership with its audit, at the version that was read, 0 for whatever is there.
func (r *Registry) putMember(ctx context.Context, actor Actor, org, action, user, email string, was, role tandem.Role, version int64) error {
	now := r.Clock()
	var before any
	if was != "" {
		before = map[string]any{"role": was}
	}
	return r.Store.Apply(ctx, org, &tandem.Changes{
		PutMembers: []tandem.Membership{{OrganizationID: org, UserID: user, Role: role, Version: version, CreatedAt: now, UpdatedAt: now}},
		KeepOwner:  was == tandem.Owner,
		Along:      r.note(actor, org, action, thing{"user", user, email}, before, map[string]any{"role": role})})
}

// editUser changes a person and notes it in each of their organizations.
func (r *Registry) editUser(ctx context.Context, actor Actor, id, action string, edit func(*tandem.User) error) (tandem.User, error) {
	var u tandem.User
	err := retryMoved(func() (err error) {
		if u, err = r.Server.User(ctx, id); err != nil {
			return err
		}
		before := u
		if err := edit(&u); err != nil {
			return err
		}
		all, err := r.Server.Belongings(ctx, u.ID)
		if err != nil {
			return err
		}
		was, is := userAudit(&before, &u)
		var audit []tandem.AuditEntry
		for _, b := range all {
			audit = append(audit, r.entry(actor, b.Organization.ID, action, userThing(&u), was, is))
		}
		u.UpdatedAt = r.Clock()
		if err := r.Server.UpdateUser(ctx, u, audit...); err != nil {
			return err
		}
		u.Version++
		return nil
	})
	return u, err
}

// userAudit says what changed of a person; of secrets, that they did.
func userAudit(before, after *tandem.User) (was, is map[string]any) {
	was, is = map[string]any{}, map[string]any{}
	note := func(field string, b, a any, same bool) {
		if !same {
			was[field], is[field] = b, a
		}
	}
	note("name", before.Name, after.Name, before.Name == after.Name)
	note("disabled", before.DisabledAt != nil, after.DisabledAt != nil, (before.DisabledAt == nil) == (after.DisabledAt == nil))
	note("totp_enabled", before.TOTPEnabled, after.TOTPEnabled, before.TOTPEnabled == after.TOTPEnabled)
	note("identity", before.Issuer != "", after.Issuer, before.Issuer == after.Issuer && before.Subject == after.Subject)
	note("recovery_codes", len(before.RecoveryHashes), len(after.RecoveryHashes), len(before.RecoveryHashes) == len(after.RecoveryHashes))
	if before.PasswordHash != after.PasswordHash {
		is["password"] = "changed"
	}
	return was, is
}

// checkEmail accepts a plain address and gives it trimmed.
func checkEmail(text string) (string, error) {
	text = strings.TrimSpace(text)
	if err := checkLine("email", text, 3, 254); err != nil {
		return text, err
	}
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text || address.Name != "" {
		return text, invalid("email", "%q is not an email address", text)
	}
	return text, nil
}
