package storetest

import (
	"strings"
	"time"

	"tandem"
)

var admissionTests = map[string]func(*world){
	"letting somebody in is all or nothing": func(w *world) {
		b := w.other()
		invitation := w.newInvitation()
		link := w.newLink(tandem.InviteLink, func(l *tandem.OneTimeLink) {
			l.OrganizationID, l.InvitationID = w.org, invitation.ID
		})
		w.apply(tandem.Changes{PutInvitations: []tandem.Invitation{invitation}})
		w.must(w.st.CreateLink(w.ctx, link))
		accepted := invitation
		accepted.AcceptedAt = &w.now
		u := w.newUser()
		o := tandem.Organization{ID: w.id(), Name: "New", Slug: "new-" + w.id(), CreatedAt: w.now, UpdatedAt: w.now}
		member := func(u tandem.User, org string) tandem.Membership {
			return tandem.Membership{OrganizationID: org, UserID: u.ID, Role: tandem.Admin, CreatedAt: w.now, UpdatedAt: w.now}
		}
		first := w.newAudit("organization.create", func(e *tandem.AuditEntry) { e.OrganizationID = o.ID })
		whole := func() tandem.Admission {
			return tandem.Admission{Link: &link, Now: w.now, Organization: &o, User: &u, Memberships: []tandem.Membership{member(u, w.org), member(u, o.ID)},
				Invitation: &accepted, Audit: []tandem.AuditEntry{first, w.newAudit("member.add")}}
		}
		existing := w.user(tandem.Owner)
		for name, spoil := range map[string]func(*tandem.Admission){
			"a spent link":      func(a *tandem.Admission) { a.Link = &tandem.OneTimeLink{Purpose: tandem.SetUpLink, Hash: link.Hash} },
			"an expired link":   func(a *tandem.Admission) { a.Now = link.ExpiresAt },
			"a taken email":     func(a *tandem.Admission) { taken := u; taken.Email = strings.ToUpper(existing.Email); a.User = &taken },
			"a taken slug":      func(a *tandem.Admission) { taken := o; taken.Slug = "org-" + b.org; a.Organization = &taken },
			"nowhere to belong": func(a *tandem.Admission) { a.Memberships = append(a.Memberships, member(u, "nowhere")) },
			"audit of nowhere": func(a *tandem.Admission) {
				a.Audit = append(a.Audit, w.newAudit("x", func(e *tandem.AuditEntry) { e.OrganizationID = "nowhere" }))
			},
			"nobody who is known": func(a *tandem.Admission) { a.User = nil },
		} {
			a := whole()
			spoil(&a)
			if err := w.st.Admit(w.ctx, a); !tandem.Is(err, tandem.NotFound, tandem.Exists) {
				w.Errorf("%s: %v", name, err)
			}
			_, err := w.st.User(w.ctx, u.ID)
			w.wantCode(err, tandem.NotFound)
			_, err = w.st.Organization(w.ctx, o.ID)
			w.wantCode(err, tandem.NotFound)
			in, err := w.st.Invitation(w.ctx, w.org, invitation.ID)
			w.must(err)
			w.equal(in, invitation)
			w.equal(w.audited(), []tandem.SealedEntry(nil))
			_, err = w.st.Link(w.ctx, link.Purpose, link.Hash, w.now)
			w.must(err)
		}
		a := whole()
		if n := w.race(func(st tandem.ServerStore) error { return st.Admit(w.ctx, a) }, tandem.NotFound); n != 1 {
			w.Errorf("%d came in by one link", n)
		}
		all, err := w.st.Belongings(w.ctx, u.ID)
		w.must(err)
		w.equal(len(all), 2)
		in, err := w.st.Invitation(w.ctx, w.org, invitation.ID)
		w.must(err)
		w.equal(in, accepted)
		w.equal(pick(w.audited(), actionOf), []string{"member.add"})
		_, err = w.st.Link(w.ctx, link.Purpose, link.Hash, w.now)
		w.wantCode(err, tandem.NotFound)
	},
	"who is a member already gets the role of the admission": func(w *world) {
		u := w.user(tandem.Viewer)
		w.must(w.st.Admit(w.ctx, tandem.Admission{Memberships: []tandem.Membership{w.newMember(u, tandem.Manager)}}))
		m, err := w.st.Member(w.ctx, w.org, u.ID)
		w.must(err)
		w.equal(m.Role, tandem.Manager)
	},
	"an email's invitation is found in whichever organization it is": func(w *world) {
		b := w.other()
		email := "Jörg-" + w.id() + "@example.com"
		put := func(w *world, edit func(*tandem.Invitation)) tandem.Invitation {
			in := w.newInvitation()
			in.Email = email
			edit(&in)
			w.apply(tandem.Changes{PutInvitations: []tandem.Invitation{in}})
			return in
		}
		put(b, func(in *tandem.Invitation) { in.RevokedAt = &w.now })
		put(b, func(in *tandem.Invitation) { in.AcceptedAt = &w.now })
		put(b, func(in *tandem.Invitation) { in.ExpiresAt = w.now })
		put(b, func(in *tandem.Invitation) { in.Email = "x" + email })
		_, err := w.st.InvitationTo(w.ctx, email, w.now)
		w.wantCode(err, tandem.NotFound)
		later := put(b, func(in *tandem.Invitation) { in.CreatedAt = w.now.Add(time.Minute) })
		first := put(w, func(in *tandem.Invitation) {})
		found, err := w.st.InvitationTo(w.ctx, strings.ToUpper(email), w.now)
		w.must(err)
		w.equal(found, first)
		found, err = w.st.InvitationTo(w.ctx, email, first.ExpiresAt.Add(-time.Second))
		w.must(err)
		w.equal(found, first)
		first.AcceptedAt = &w.now
		w.apply(tandem.Changes{PutInvitations: []tandem.Invitation{first}})
		found, err = w.st.InvitationTo(w.ctx, email, w.now)
		w.must(err)
		w.equal(found, later)
	},
}
