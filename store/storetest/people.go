package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
)

// newUser gives a person who is not stored.
func (w *world) newUser(edits ...func(*tandem.User)) tandem.User {
	id := w.id()
	u := tandem.User{ID: id, Email: "u" + id + "@example.com", Name: "Person " + id, RecoveryHashes: []string{}, Version: 1, CreatedAt: w.now, UpdatedAt: w.now}
	for _, edit := range edits {
		edit(&u)
	}
	return u
}

// user creates a person who is a member with a role, and gives them as stored.
func (w *world) user(role tandem.Role, edits ...func(*tandem.User)) tandem.User {
	w.Helper()
	u := w.newUser(edits...)
	w.must(w.st.CreateUser(w.ctx, u, []tandem.Membership{w.newMember(u, role)}))
	return w.readUser(u.ID)
}

func (w *world) newMember(u tandem.User, role tandem.Role) tandem.Membership {
	return tandem.Membership{OrganizationID: w.org, UserID: u.ID, Role: role, CreatedAt: w.now, UpdatedAt: w.now}
}

func (w *world) readUser(ref string) tandem.User {
	w.Helper()
	u, err := w.st.User(w.ctx, ref)
	w.must(err)
	return u
}

// newInvitation gives an invitation that is not stored.
func (w *world) newInvitation() tandem.Invitation {
	id := w.id()
	return tandem.Invitation{ID: id, OrganizationID: w.org, Email: id + "@example.com", Role: tandem.Operator, InvitedBy: "someone", ExpiresAt: w.now.Add(time.Hour),
		CreatedAt: w.now, UpdatedAt: w.now}
}

// race runs one attempt on each of several handles at once, and counts those without an error; others have one of the codes.
func (w *world) race(attempt func(st tandem.ServerStore) error, codes ...tandem.Code) int64 {
	w.Helper()
	var wins atomic.Int64
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			switch err := attempt(w.handles[i%len(w.handles)]); {
			case err == nil:
				wins.Add(1)
			case !tandem.Is(err, codes...):
				w.Errorf("a loser got %v (code %q), want %q", err, tandem.CodeOf(err), codes)
			}
		})
	}
	wait.Wait()
	return wins.Load()
}

var peopleTests = map[string]func(*world){
	"a person is kept whole and found by id, email and subject": func(w *world) {
		before, err := w.st.CountUsers(w.ctx)
		w.must(err)
		at := w.now.Add(time.Minute)
		u := w.newUser(func(u *tandem.User) {
			u.Email, u.Name = "Änne.'"+u.ID+"'@Example.com", "Ünïcode 🚀 'quoted' \\ ?"
			u.PasswordHash, u.TOTPSecret, u.TOTPEnabled, u.TOTPStep = "$argon2id$x?", []byte{0, 1, 255}, true, 58000000
			u.RecoveryHashes, u.Issuer, u.Subject = []string{"aa", "bb"}, "https://issuer.example.com", "sub-"+u.ID
			u.Epoch, u.Failures, u.LockedUntil, u.DisabledAt, u.LastLoginAt = 3, 4, &at, &at, &at
		})
		w.must(w.st.CreateUser(w.ctx, u, nil))
		for _, ref := range []string{u.ID, u.Email, "äNNE.'" + u.ID + "'@eXAMPLE.COM"} {
			w.equal(w.readUser(ref), u)
		}
		bySubject, err := w.st.UserBySubject(w.ctx, u.Issuer, u.Subject)
		w.must(err)
		w.equal(bySubject, u)
		_, err = w.st.UserBySubject(w.ctx, "https://other.example.com", u.Subject)
		w.wantCode(err, tandem.NotFound)
		_, err = w.st.User(w.ctx, "nobody")
		w.wantCode(err, tandem.NotFound)
		_, err = w.st.User(w.ctx, "no\x00body")
		w.wantCode(err, tandem.Invalid)
		after, err := w.st.CountUsers(w.ctx)
		w.must(err)
		if after != before+1 {
			w.Errorf("%d people after %d", after, before)
		}
	},
	"an email and a subject are taken once, whatever the case": func(w *world) {
		a, b := w.user(tandem.Viewer, func(u *tandem.User) { u.Issuer, u.Subject = "i", "s"+u.ID }), w.user(tandem.Viewer)
		w.wantCode(w.st.CreateUser(w.ctx, w.newUser(func(u *tandem.User) { u.Email = "U" + a.Email[1:] }), nil), tandem.Exists)
		w.wantCode(w.st.CreateUser(w.ctx, w.newUser(func(u *tandem.User) { u.Issuer, u.Subject = a.Issuer, a.Subject }), nil), tandem.Exists)
		b.Email = "U" + a.Email[1:]
		w.wantCode(w.st.UpdateUser(w.ctx, b), tandem.Exists)
		w.equal(w.readUser(b.ID).Version, int64(1))
	},
	"a person is rewritten at the version that was read": func(w *world) {
		u := w.user(tandem.Viewer, func(u *tandem.User) { at := w.now; u.TOTPStep, u.LastLoginAt = 100, &at })
		edited := u
		at := w.now.Add(time.Hour)
		edited.Email, edited.Name, edited.PasswordHash, edited.TOTPSecret, edited.TOTPEnabled = "new-"+u.Email, "New", "$x", []byte("s"), true
		edited.RecoveryHashes, edited.Issuer, edited.Subject, edited.Epoch = []string{"r"}, "i", "s-"+u.ID, 9
		edited.Failures, edited.LockedUntil, edited.DisabledAt, edited.UpdatedAt = 2, &at, &at, at
		edited.TOTPStep, edited.LastLoginAt = 50, nil // these are a sign-in's
		w.must(w.st.UpdateUser(w.ctx, edited))
		edited.TOTPStep, edited.LastLoginAt, edited.Version = 100, u.LastLoginAt, 2
		w.equal(w.readUser(u.ID), edited)
		_, err := w.st.User(w.ctx, u.Email)
		w.wantCode(err, tandem.NotFound)
		w.wantCode(w.st.UpdateUser(w.ctx, u), tandem.Stale)
		w.wantCode(w.st.UpdateUser(w.ctx, w.newUser()), tandem.NotFound)
		if n := w.race(func(st tandem.ServerStore) error { return st.UpdateUser(w.ctx, edited) }, tandem.Stale); n != 1 {
			w.Errorf("%d edits of one version", n)
		}
	},
	"a sign-in is noted beside other edits": func(w *world) {
		u := w.user(tandem.Viewer, func(u *tandem.User) { u.TOTPStep = 10 })
		at, until := w.now.Add(time.Hour), w.now.Add(2*time.Hour)
		edited := u
		edited.Name = "Renamed"
		w.must(w.st.UpdateUser(w.ctx, edited))
		u.Failures, u.LockedUntil, u.LastLoginAt = 5, &until, &at
		w.must(w.st.NoteLogin(w.ctx, u, 10)) // no code
		edited.Failures, edited.LockedUntil, edited.LastLoginAt, edited.Version = 5, &until, &at, 2
		w.equal(w.readUser(u.ID), edited)
		u.TOTPStep, u.Failures, u.LockedUntil = 12, 0, nil
		w.must(w.st.NoteLogin(w.ctx, u, 10))
		w.wantCode(w.st.NoteLogin(w.ctx, u, 10), tandem.Stale) // the same code again
		u.TOTPStep = 11
		w.wantCode(w.st.NoteLogin(w.ctx, u, 10), tandem.Stale) // one before it
		u.TOTPStep = 10
		w.must(w.st.NoteLogin(w.ctx, u, 10)) // no code, read before the others
		if is := w.readUser(u.ID); is.TOTPStep != 12 || is.Failures != 0 || is.LockedUntil != nil {
			w.Errorf("%+v", is)
		}
		w.wantCode(w.st.NoteLogin(w.ctx, w.newUser(), 0), tandem.NotFound)
	},
	"a code works for one of many": func(w *world) {
		u := w.user(tandem.Viewer)
		u.TOTPStep = 7
		if n := w.race(func(st tandem.ServerStore) error { return st.NoteLogin(w.ctx, u, 0) }, tandem.Stale); n != 1 {
			w.Errorf("it worked %d times", n)
		}
	},
	"a person belongs to organizations, by slug": func(w *world) {
		b := w.other()
		u := w.newUser()
		w.must(w.st.CreateUser(w.ctx, u, []tandem.Membership{b.newMember(u, tandem.Owner), w.newMember(u, tandem.Viewer)}))
		found, err := w.st.Belongings(w.ctx, u.ID)
		w.must(err)
		var want []tandem.Belonging
		for _, one := range []struct {
			org  string
			role tandem.Role
		}{{w.org, tandem.Viewer}, {b.org, tandem.Owner}} {
			o, err := w.st.Organization(w.ctx, one.org)
			w.must(err)
			want = append(want, tandem.Belonging{Organization: o, Role: one.role})
		}
		w.equal(found, want)
		none, err := w.st.Belongings(w.ctx, "nobody")
		w.must(err)
		w.equal(none, []tandem.Belonging(nil))
		w.must(w.st.DeleteOrganization(w.ctx, b.org, 0, w.now))
		found, err = w.st.Belongings(w.ctx, u.ID)
		w.must(err)
		w.equal(found, want[:1])
		w.readUser(u.ID) // the person stays
	},
	"creating a person is one transaction with memberships and audit": func(w *world) {
		b := w.other()
		u := w.newUser()
		both := []tandem.AuditEntry{w.newAudit("user.create"), b.newAudit("user.create"), w.newAudit("user.invite")}
		w.must(w.st.CreateUser(w.ctx, u, []tandem.Membership{w.newMember(u, tandem.Admin), b.newMember(u, tandem.Viewer)}, both...))
		w.equal(pick(w.audited(), actionOf), []string{"user.invite", "user.create"})
		w.equal(pick(b.audited(), actionOf), []string{"user.create"})
		nowhere := w.newAudit("user.create")
		nowhere.OrganizationID = "nowhere"
		for _, wrong := range []func(u tandem.User) error{
			func(u tandem.User) error {
				return w.st.CreateUser(w.ctx, u, []tandem.Membership{w.newMember(u, tandem.Admin), {OrganizationID: "nowhere", UserID: u.ID, Role: tandem.Admin, CreatedAt: w.now, UpdatedAt: w.now}})
			},
			func(u tandem.User) error { return w.st.CreateUser(w.ctx, u, nil, w.newAudit("x"), nowhere) },
		} {
			second := w.newUser()
			w.wantCode(wrong(second), tandem.NotFound)
			_, err := w.st.User(w.ctx, second.ID)
			w.wantCode(err, tandem.NotFound)
		}
		w.wantCode(w.st.UpdateUser(w.ctx, w.readUser(u.ID), b.newAudit("user.update"), nowhere), tandem.NotFound)
		w.equal(w.readUser(u.ID).Version, int64(1))
		w.must(w.st.UpdateUser(w.ctx, w.readUser(u.ID), b.newAudit("user.update"), w.newAudit("user.update")))
		w.equal(len(w.audited()), 3)
		w.equal(len(b.audited()), 2)
	},
	"members are listed by email, searched and counted": func(w *world) {
		var want []string
		for i := range 5 {
			role := tandem.Viewer
			if i == 2 {
				role = tandem.Owner
			}
			u := w.user(role, func(u *tandem.User) {
				u.Email = fmt.Sprintf("%c%d-%s@example.com", "aB"[i%2], i, u.ID)
				u.Name = fmt.Sprintf("100%% Näme_%d", i)
			})
			want = append(want, u.ID)
		}
		w.other().user(tandem.Viewer)
		want = []string{want[0], want[2], want[4], want[1], want[3]}
		idOf := func(m tandem.Member) string { return m.ID }
		for _, test := range []struct {
			filter tandem.MemberFilter
			want   []string
			total  int
		}{
			{tandem.MemberFilter{}, want, 5},
			{tandem.MemberFilter{Page: tandem.Page{Number: 2, Limit: 2}}, want[2:4], 5},
			{tandem.MemberFilter{Role: tandem.Owner}, want[1:2], 1},
			{tandem.MemberFilter{Search: "NÄME_3"}, want[4:], 1},
			{tandem.MemberFilter{Search: "100%"}, want, 5},
			{tandem.MemberFilter{Search: "b1-"}, want[3:4], 1},
			{tandem.MemberFilter{Search: "nothing"}, nil, 0},
		} {
			found, total, err := w.st.Members(w.ctx, w.org, test.filter)
			w.must(err)
			w.equal(pick(found, idOf), test.want)
			w.equal(total, test.total)
		}
		m, err := w.st.Member(w.ctx, w.org, want[1])
		w.must(err)
		w.equal(m, tandem.Member{User: w.readUser(want[1]), Role: tandem.Owner, Version: 2, Membership: 1})
		byEmail, err := w.st.Member(w.ctx, w.org, m.Email)
		w.must(err)
		w.equal(byEmail, m)
		for _, nobody := range []string{"nobody", w.other().user(tandem.Viewer).Email} {
			_, err = w.st.Member(w.ctx, w.org, nobody)
			w.wantCode(err, tandem.NotFound)
		}
	},
	"a role is given, changed and taken, and the tokens go with the person": func(w *world) {
		u := w.newUser()
		w.must(w.st.CreateUser(w.ctx, u, nil))
		b := w.other()
		w.apply(tandem.Changes{PutMembers: []tandem.Membership{w.newMember(u, tandem.Viewer)}})
		b.apply(tandem.Changes{PutMembers: []tandem.Membership{b.newMember(u, tandem.Viewer)}})
		promoted := w.newMember(u, tandem.Admin)
		mine, others, elsewhere := w.newToken(u.ID), w.newToken(""), b.newToken(u.ID)
		w.apply(tandem.Changes{PutMembers: []tandem.Membership{promoted}, PutTokens: []tandem.Token{mine, others}})
		b.apply(tandem.Changes{PutTokens: []tandem.Token{elsewhere}})
		m, err := w.st.Member(w.ctx, w.org, u.ID)
		w.must(err)
		w.equal(m.Role, tandem.Admin)
		w.equal([]int64{m.Version, m.Membership}, []int64{m.User.Version + 2, 2}) // one of the person, one of the role
		promoted.Version = 1
		for _, stale := range []tandem.Changes{{PutMembers: []tandem.Membership{promoted}}, {DropMembers: []tandem.Versioned{{ID: u.ID, Version: 1}}}} {
			w.wantCode(w.st.Apply(w.ctx, w.org, &stale), tandem.Stale)
		}
		w.apply(tandem.Changes{DropMembers: []tandem.Versioned{{ID: u.ID}, {ID: "nobody"}}})
		_, err = w.st.Member(w.ctx, w.org, u.ID)
		w.wantCode(err, tandem.NotFound)
		_, err = b.st.Member(w.ctx, b.org, u.ID)
		w.must(err)
		for _, test := range []struct {
			token   tandem.Token
			revoked bool
		}{{mine, true}, {others, false}, {elsewhere, false}} {
			is, err := w.st.TokenByHash(w.ctx, test.token.Hash)
			w.must(err)
			if (is.RevokedAt != nil) != test.revoked {
				w.Errorf("%+v, want revoked %t", is, test.revoked)
			}
		}
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutMembers: []tandem.Membership{w.newMember(w.newUser(), tandem.Viewer)}}), tandem.NotFound)
	},
	"invitations are kept, rewritten and listed newest first": func(w *world) {
		first, second := w.newInvitation(), w.newInvitation()
		second.CreatedAt = w.now.Add(time.Second)
		w.apply(tandem.Changes{PutInvitations: []tandem.Invitation{first, second}})
		at := w.now.Add(time.Hour)
		first.AcceptedAt, first.RevokedAt, first.Role, first.UpdatedAt = &at, &at, tandem.Admin, at
		w.apply(tandem.Changes{PutInvitations: []tandem.Invitation{first}})
		all, err := w.st.Invitations(w.ctx, w.org)
		w.must(err)
		w.equal(all, []tandem.Invitation{second, first})
		one, err := w.st.Invitation(w.ctx, w.org, first.ID)
		w.must(err)
		w.equal(one, first)
		_, err = w.st.Invitation(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
	},
}
