package legacy

import (
	"context"

	"tandem"
)

// copyPeople brings the older table's people over under their ids, with their place in their organization. They have
// no password here until they set one: how the old ones were kept is not known.
func (m *migration) copyPeople(ctx context.Context) error {
	old, err := m.aside(ctx, "users")
	if err != nil || old == "" {
		return err
	}
	rows, err := m.read(ctx, old)
	if err != nil {
		return err
	}
	for _, r := range rows {
		u := m.person(r)
		if u.ID == "" || u.Email == "" {
			m.left(old, r, "it has no id or no email address")
			continue
		}
		if there, err := m.st.User(ctx, u.ID); err == nil && there.ID == u.ID {
			continue
		} else if err != nil && !tandem.Is(err, tandem.NotFound) {
			return err
		}
		var memberships []tandem.Membership
		if org := r.text("organization_id"); m.organizations[org] {
			memberships = []tandem.Membership{{OrganizationID: org, UserID: u.ID, Role: role(r.text("role")), CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt}}
		}
		if err := m.st.CreateUser(ctx, u, memberships); err != nil {
			if fatal(err) {
				return err
			}
			m.left(old, r, "it could not be written: %v", err)
			continue
		}
		read, err := m.st.User(ctx, u.ID)
		if err != nil {
			return err
		}
		if err := verify("person", u.ID, read, u); err != nil {
			return err
		}
	}
	return nil
}

// person reads an old row.
func (m *migration) person(r row) tandem.User {
	u := tandem.User{ID: r.text("id"), Email: r.text("email"), Name: r.text("name", "full_name", "display_name", "email"), RecoveryHashes: []string{}, Version: 1,
		CreatedAt: or(r.time("created_at"), m.now)}
	u.UpdatedAt = or(r.time("updated_at"), u.CreatedAt)
	return u
}

// role gives what an old row calls the role when there is one of that name, and the least otherwise.
func role(name string) tandem.Role {
	for _, r := range tandem.Roles {
		if string(r) == name {
			return r
		}
	}
	return tandem.Viewer
}
