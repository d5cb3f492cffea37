package store

import (
	"context"

	"github.com/uptrace/bun"

	"tandem"
)

// Admit writes all that letting a person in takes, or nothing.
func (s *Store) Admit(ctx context.Context, a tandem.Admission) error {
	return s.admit(ctx, "let a person in", &a)
}

func (s *Store) admit(ctx context.Context, op string, a *tandem.Admission) error {
	return s.write(ctx, op, everyOrganization, func(tx bun.Conn) error {
		if a.Link != nil {
			if err := checkText(a.Link.Hash); err != nil {
				return err
			}
			if err := spendLink(ctx, tx, a.Link.Purpose, a.Link.Hash, a.Now); err != nil {
				return err
			}
		}
		if a.Organization != nil {
			if err := s.addOrganization(ctx, tx, op, a.Organization); err != nil {
				return err
			}
		}
		if a.User != nil {
			if err := s.insert(ctx, tx, "users", userWritten, "", 1, func(b *bulk, _ int) { writeUser(b, a.User) }); err != nil {
				return s.takenEmail(err, op, a.User)
			}
		}
		if err := s.admitTo(ctx, tx, a); err != nil {
			return err
		}
		return s.audit(ctx, tx, everyOrganization, a.Audit)
	})
}

// admitTo writes the memberships, and the invitation as its organization.
func (s *Store) admitTo(ctx context.Context, tx bun.Conn, a *tandem.Admission) error {
	if err := s.insert(ctx, tx, "memberships", memberWritten, replaceMember, len(a.Memberships), func(b *bulk, i int) {
		m := &a.Memberships[i]
		writeMember(b, m.OrganizationID, m.UserID, m)
	}); err != nil {
		return s.parentless(err, "organization", "")
	}
	if a.Invitation == nil {
		return nil
	}
	if err := s.as(ctx, tx, a.Invitation.OrganizationID); err != nil {
		return err
	}
	if err := s.putInvitations(ctx, tx, a.Invitation.OrganizationID, []*tandem.Invitation{a.Invitation}); err != nil {
		return s.parentless(err, "organization", a.Invitation.OrganizationID)
	}
	return s.as(ctx, tx, everyOrganization)
}
