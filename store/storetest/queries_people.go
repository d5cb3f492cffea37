package storetest

import (
	"fmt"
	"time"

	"tandem"
)

// The people and the audit of each organization that RunQueries makes.
const (
	queryPeople = 30
	queryAudit  = 600
)

// fillQueriedPeople puts people and an audit, half of it sealed, into an organization.
func fillQueriedPeople(w *world) {
	w.Helper()
	var c tandem.Changes
	for i := range queryPeople {
		u := w.newUser(func(u *tandem.User) { u.Issuer, u.Subject = "https://issuer.example.com", u.ID })
		w.must(w.st.CreateUser(w.ctx, u, nil))
		role := tandem.Viewer
		if i%10 == 0 {
			role = tandem.Owner
		}
		c.PutMembers, c.PutTokens = append(c.PutMembers, w.newMember(u, role)), append(c.PutTokens, w.newToken(u.ID))
		c.PutInvitations = append(c.PutInvitations, w.newInvitation())
		if i%2 == 0 {
			w.must(w.st.PutSession(w.ctx, tandem.Session{ID: u.ID, UserID: u.ID, Data: make([]byte, 1_000), ExpiresAt: w.now}))
			w.must(w.st.CreateLink(w.ctx, w.newLink(tandem.ResetLink, func(l *tandem.OneTimeLink) { l.UserID = u.ID })))
		}
	}
	for i := range queryAudit {
		c.Along.Audit = append(c.Along.Audit, w.newAudit(fmt.Sprintf("device.do-%d", i%50), func(e *tandem.AuditEntry) {
			e.At, e.ThingID, e.RunID = w.now.Add(time.Duration(i)*time.Minute), fmt.Sprintf("thing-%d", i%50), fmt.Sprintf("run-%d", i%50)
		}))
	}
	w.apply(c)
	w.seal(queryAudit / 2)
}

// readPeople makes each read about people and the audit, with each filter.
func readPeople(w *world, f queried) {
	w.Helper()
	check := func(_ any, err error) { w.Helper(); w.must(err) }
	listed := func(_ any, _ int, err error) { w.Helper(); w.must(err) }
	missed := func(_ any, err error) { w.Helper(); w.wantCode(err, tandem.NotFound) }
	members, _, err := w.st.Members(w.ctx, w.org, tandem.MemberFilter{})
	w.must(err)
	u := members[0].User
	for _, q := range []tandem.MemberFilter{{Search: "person"}, {Role: tandem.Owner}} {
		listed(w.st.Members(w.ctx, w.org, q))
	}
	check(w.st.Member(w.ctx, w.org, u.ID))
	check(w.st.Member(w.ctx, w.org, u.Email))
	check(w.st.User(w.ctx, u.Email))
	check(w.st.UserBySubject(w.ctx, u.Issuer, u.Subject))
	missed(w.st.InvitationTo(w.ctx, u.Email, w.now))
	check(w.st.Belongings(w.ctx, u.ID))
	check(w.st.Invitations(w.ctx, w.org))
	check(w.st.Tokens(w.ctx, w.org))
	missed(w.st.TokenByHash(w.ctx, "x"))
	missed(w.st.Link(w.ctx, tandem.ResetLink, "x", w.now))
	missed(w.st.Session(w.ctx, "x", w.now))
	page := tandem.Page{Number: 2, Limit: 20}
	for _, q := range []tandem.AuditFilter{{}, {Action: "device"}, {Action: "device.do-7"}, {Actor: "someone"}, {ThingType: "device", ThingID: "thing-7"}, {RunID: "run-7"},
		{Search: "pump"}, {Since: w.now.Add(time.Hour), Until: w.now.Add(2 * time.Hour)}} {
		q.Page = page
		listed(w.st.Audit(w.ctx, w.org, q))
	}
	check(w.st.Sealed(w.ctx, w.org, 100, 100))
	listed(w.st.Unsealed(w.ctx, w.org, 100))
	check(w.st.LastSeal(w.ctx, w.org))
	check(w.st.LastCheckpoint(w.ctx, w.org))
	_, err = w.st.RunDigests(w.ctx, w.org, f.run.ID)
	w.must(err)
}
