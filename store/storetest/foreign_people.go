package storetest

import (
	"time"

	"tandem"
)

// peopleFilled names what an organization with one of everything has of people, and of its audit.
type peopleFilled struct {
	user       tandem.User
	invitation tandem.Invitation
	token      tandem.Token
	answer     tandem.Answer
	audit      tandem.AuditEntry // unsealed
	batch      tandem.AuditEntry // about f.entry
	seals      []tandem.AuditSeal
}

// fillPeople puts people, what they hold, and an audit with a checkpoint, a seal and a tail into an organization.
func fillPeople(w *world, f filled) (p peopleFilled) {
	w.Helper()
	p.user, p.invitation = w.user(tandem.Owner), w.newInvitation()
	p.token = w.newToken(p.user.ID)
	w.apply(tandem.Changes{PutInvitations: []tandem.Invitation{p.invitation}, PutTokens: []tandem.Token{p.token}})
	w.must(w.st.PutSession(w.ctx, tandem.Session{ID: "session-" + w.org, UserID: p.user.ID, ExpiresAt: w.now}))
	w.must(w.st.CreateLink(w.ctx, w.newLink(tandem.ResetLink, func(l *tandem.OneTimeLink) { l.UserID = p.user.ID })))
	p.answer = w.newAnswer()
	_, _, err := w.st.BeginAnswer(w.ctx, w.org, p.answer, w.now)
	w.must(err)
	p.audit = w.newAudit("device.update")
	w.tell(w.newAudit("a"), w.newAudit("b"), p.audit)
	p.seals = w.seal(2)
	_, err = w.st.PruneAudit(w.ctx, w.org, w.now.Add(100*365*24*time.Hour), 1)
	w.must(err)
	batches, _, err := w.st.Audit(w.ctx, w.org, tandem.AuditFilter{RunID: f.run.ID})
	w.must(err)
	p.batch = batches[0].AuditEntry
	return p
}

// snapshotPeople puts what the reads about people and the audit show of an organization.
func snapshotPeople(w *world, put func(name string, v any, err error)) {
	w.Helper()
	page := tandem.Page{Limit: 1000}
	members, _, err := w.st.Members(w.ctx, w.org, tandem.MemberFilter{Page: page})
	put("members", members, err)
	invitations, err := w.st.Invitations(w.ctx, w.org)
	put("invitations", invitations, err)
	tokens, err := w.st.Tokens(w.ctx, w.org)
	put("tokens", tokens, err)
	entries, _, err := w.st.Audit(w.ctx, w.org, tandem.AuditFilter{Page: page})
	put("audit", entries, err)
	point, err := w.st.LastCheckpoint(w.ctx, w.org)
	put("checkpoint", point, err)
	_, unsealed, err := w.st.Unsealed(w.ctx, w.org, 1)
	put("unsealed", unsealed, err)
}

var peopleForeign = cases{
	"Members": func(b *world, a filled) []outcome {
		return append(two(b.st.Members(b.ctx, b.org, tandem.MemberFilter{})), two(b.st.Members(b.ctx, b.org, tandem.MemberFilter{Search: a.people.user.Email}))...)
	},
	"Member": func(b *world, a filled) []outcome {
		_, byID := b.st.Member(b.ctx, b.org, a.people.user.ID)
		_, byEmail := b.st.Member(b.ctx, b.org, a.people.user.Email)
		return refused(byID, byEmail)
	},
	"Invitations": func(b *world, _ filled) []outcome { return one(b.st.Invitations(b.ctx, b.org)) },
	"Invitation": func(b *world, a filled) []outcome {
		_, err := b.st.Invitation(b.ctx, b.org, a.people.invitation.ID)
		return refused(err)
	},
	"Tokens": func(b *world, _ filled) []outcome { return one(b.st.Tokens(b.ctx, b.org)) },
	"Token": func(b *world, a filled) []outcome {
		_, err := b.st.Token(b.ctx, b.org, a.people.token.ID)
		return refused(err)
	},
	"TouchToken": func(b *world, a filled) []outcome {
		return refused(b.st.TouchToken(b.ctx, b.org, a.people.token.ID, b.now))
	},
	"Audit": func(b *world, a filled) []outcome {
		return append(two(b.st.Audit(b.ctx, b.org, tandem.AuditFilter{})), two(b.st.Audit(b.ctx, b.org, tandem.AuditFilter{RunID: a.run.ID, ThingID: a.run.ID}))...)
	},
	"Sealed":         func(b *world, _ filled) []outcome { return one(b.st.Sealed(b.ctx, b.org, 0, 10)) },
	"Unsealed":       func(b *world, _ filled) []outcome { return two(b.st.Unsealed(b.ctx, b.org, 10)) },
	"LastSeal":       func(b *world, _ filled) []outcome { return one(b.st.LastSeal(b.ctx, b.org)) },
	"LastCheckpoint": func(b *world, _ filled) []outcome { return one(b.st.LastCheckpoint(b.ctx, b.org)) },
	"Seal": func(b *world, a filled) []outcome {
		last := a.people.seals[len(a.people.seals)-1]
		return refused(b.st.Seal(b.ctx, b.org, sealsOf(last.Seq, last.Hash, b.now, a.people.audit.ID)), b.st.Seal(b.ctx, b.org, sealsOf(0, genesis, b.now, a.people.audit.ID)))
	},
	"RunDigests": func(b *world, a filled) []outcome {
		found, err := b.st.RunDigests(b.ctx, b.org, a.run.ID)
		return append(got(len(found.Batches), err), got(len(found.Unnamed), nil)...)
	},
	"PruneAudit": func(b *world, _ filled) []outcome {
		return one(b.st.PruneAudit(b.ctx, b.org, b.now.Add(100*365*24*time.Hour), 10))
	},
	"BeginAnswer": func(b *world, a filled) []outcome { // a key is an organization's own: this reserves b's
		stored, begun, err := b.st.BeginAnswer(b.ctx, b.org, tandem.Answer{Key: a.people.answer.Key}, b.now)
		stored.Key = ""
		return append(got(stored.Fingerprint, err), got(!begun, nil)...)
	},
	"FinishAnswer": func(b *world, a filled) []outcome { return refused(b.st.FinishAnswer(b.ctx, b.org, a.people.answer)) },
	"DropAnswer": func(b *world, a filled) []outcome {
		return got(nil, b.st.DropAnswer(b.ctx, b.org, a.people.answer.Key))
	},
}

// foreignPeopleChanges tries the members of Changes that are about people with a's ids.
func foreignPeopleChanges(b *world, a filled, must, may func(tandem.Changes) outcome) []outcome {
	token, audit := a.people.token, a.people.audit
	token.UserID, token.Hash = "", "another "+token.Hash
	audit.ID = b.id()
	return []outcome{
		must(tandem.Changes{Along: tandem.Along{Audit: []tandem.AuditEntry{audit}}}),
		may(tandem.Changes{PutMembers: []tandem.Membership{b.newMember(a.people.user, tandem.Viewer)}}), // a person may join b too
		may(tandem.Changes{DropMembers: []tandem.Versioned{{ID: a.people.user.ID}}}),
		may(tandem.Changes{PutInvitations: []tandem.Invitation{a.people.invitation}}),
		may(tandem.Changes{PutTokens: []tandem.Token{token}}),
	}
}
