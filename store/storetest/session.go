package storetest

import (
	"time"

	"tandem"
)

// newLink gives a link that is not stored.
func (w *world) newLink(purpose tandem.LinkPurpose, edits ...func(*tandem.OneTimeLink)) tandem.OneTimeLink {
	id := w.id()
	l := tandem.OneTimeLink{ID: id, Purpose: purpose, Hash: "hash-" + id, ExpiresAt: w.now.Add(time.Hour), CreatedAt: w.now}
	for _, edit := range edits {
		edit(&l)
	}
	return l
}

var sessionTests = map[string]func(*world){
	"a link is used once, for its purpose, until it expires": func(w *world) {
		l := w.newLink(tandem.ResetLink, func(l *tandem.OneTimeLink) { l.UserID = "user" + l.ID })
		w.must(w.st.CreateLink(w.ctx, l))
		found, err := w.st.Link(w.ctx, l.Purpose, l.Hash, w.now)
		w.must(err)
		w.equal(found, l)
		for _, wrong := range []func() (tandem.OneTimeLink, error){
			func() (tandem.OneTimeLink, error) { return w.st.Link(w.ctx, tandem.SetUpLink, l.Hash, w.now) },
			func() (tandem.OneTimeLink, error) { return w.st.UseLink(w.ctx, tandem.InviteLink, l.Hash, w.now) },
			func() (tandem.OneTimeLink, error) { return w.st.Link(w.ctx, l.Purpose, l.Hash+"x", w.now) },
			func() (tandem.OneTimeLink, error) { return w.st.Link(w.ctx, l.Purpose, l.Hash, l.ExpiresAt) },
			func() (tandem.OneTimeLink, error) { return w.st.UseLink(w.ctx, l.Purpose, l.Hash, l.ExpiresAt) },
		} {
			_, err := wrong()
			w.wantCode(err, tandem.NotFound)
		}
		if n := w.race(func(st tandem.ServerStore) error {
			used, err := st.UseLink(w.ctx, l.Purpose, l.Hash, w.now)
			if err == nil {
				w.equal(used.UserID, l.UserID)
				w.equal(used.UsedAt, &w.now)
			}
			return err
		}, tandem.NotFound); n != 1 {
			w.Errorf("it was used %d times", n)
		}
		_, err = w.st.Link(w.ctx, l.Purpose, l.Hash, w.now)
		w.wantCode(err, tandem.NotFound)
	},
	"a new link ends those before it of the same purpose and person": func(w *world) {
		of := func(user, invitation string) func(*tandem.OneTimeLink) {
			return func(l *tandem.OneTimeLink) {
				l.UserID, l.InvitationID = user, invitation
				if invitation != "" {
					l.OrganizationID = w.org
				}
			}
		}
		user := w.id()
		first, again := w.newLink(tandem.ResetLink, of(user, "")), w.newLink(tandem.ResetLink, of(user, ""))
		another := w.newLink(tandem.ResetLink, of(w.id(), ""))
		setUp := w.newLink(tandem.SetUpLink, of(user, ""))
		invited, second, invitedAgain := w.newLink(tandem.InviteLink, of("", "i1")), w.newLink(tandem.InviteLink, of("", "i2")), w.newLink(tandem.InviteLink, of("", "i1"))
		for _, l := range []tandem.OneTimeLink{first, another, setUp, invited, second, again, invitedAgain} {
			w.must(w.st.CreateLink(w.ctx, l))
		}
		for _, test := range []struct {
			link  tandem.OneTimeLink
			there bool
		}{{first, false}, {again, true}, {another, true}, {setUp, true}, {invited, false}, {second, true}, {invitedAgain, true}} {
			switch _, err := w.st.Link(w.ctx, test.link.Purpose, test.link.Hash, w.now); {
			case test.there:
				w.must(err)
			default:
				w.wantCode(err, tandem.NotFound)
			}
		}
	},
	"sessions are kept, rewritten and ended": func(w *world) {
		user := w.id()
		s := tandem.Session{ID: "s" + w.id(), Data: []byte{0, 1, 255}, ExpiresAt: w.now.Add(time.Hour)}
		w.must(w.st.PutSession(w.ctx, s))
		got := func(id string) tandem.Session {
			w.Helper()
			found, err := w.st.Session(w.ctx, id, w.now)
			w.must(err)
			return found
		}
		w.equal(got(s.ID), s)
		s.UserID, s.Data, s.ExpiresAt = user, []byte("more"), w.now.Add(2*time.Hour)
		w.must(w.st.PutSession(w.ctx, s))
		w.equal(got(s.ID), s)
		_, err := w.st.Session(w.ctx, s.ID, s.ExpiresAt)
		w.wantCode(err, tandem.NotFound)
		second, third, others := s, s, s
		second.ID, third.ID, others.ID, others.UserID = s.ID+"2", s.ID+"3", s.ID+"4", "other"+user
		for _, one := range []tandem.Session{second, third, others} {
			w.must(w.st.PutSession(w.ctx, one))
		}
		w.must(w.st.DeleteSession(w.ctx, s.ID))
		w.must(w.st.DeleteSession(w.ctx, s.ID)) // again
		_, err = w.st.Session(w.ctx, s.ID, w.now)
		w.wantCode(err, tandem.NotFound)
		got(second.ID)
		w.must(w.st.DeleteSessions(w.ctx, user))
		for _, id := range []string{second.ID, third.ID} {
			_, err = w.st.Session(w.ctx, id, w.now)
			w.wantCode(err, tandem.NotFound)
		}
		w.equal(got(others.ID), others)
	},
}

// newToken gives a token that is not stored.
func (w *world) newToken(user string, edits ...func(*tandem.Token)) tandem.Token {
	id := w.id()
	t := tandem.Token{ID: id, OrganizationID: w.org, Name: "Token " + id, UserID: user, Role: tandem.Viewer, Scopes: []string{}, Hash: "hash-" + id, CreatedAt: w.now, UpdatedAt: w.now}
	for _, edit := range edits {
		edit(&t)
	}
	return t
}

var tokenTests = map[string]func(*world){
	"tokens are kept, rewritten, listed newest first and found by hash": func(w *world) {
		u := w.user(tandem.Operator)
		at := w.now.Add(time.Hour)
		first := w.newToken(u.ID, func(t *tandem.Token) {
			t.Scopes, t.ExpiresAt, t.CreatedBy = []string{"devices:read", "runs:read"}, &at, "someone"
		})
		second := w.newToken("", func(t *tandem.Token) { t.CreatedAt = w.now.Add(time.Second) })
		w.apply(tandem.Changes{PutTokens: []tandem.Token{first, second}})
		found, err := w.st.TokenByHash(w.ctx, first.Hash)
		w.must(err)
		w.equal(found, first)
		used := w.now.Add(time.Minute)
		w.must(w.st.TouchToken(w.ctx, w.org, first.ID, used))
		first.Name, first.Scopes, first.RevokedAt, first.UpdatedAt = "Renamed", []string{}, &at, at
		w.apply(tandem.Changes{PutTokens: []tandem.Token{first}}) // read before it was touched
		first.LastUsedAt = &used
		all, err := w.st.Tokens(w.ctx, w.org)
		w.must(err)
		w.equal(all, []tandem.Token{second, first})
		one, err := w.st.Token(w.ctx, w.org, first.ID)
		w.must(err)
		w.equal(one, first)
	},
	"a hash is one token's": func(w *world) {
		t := w.newToken("")
		w.apply(tandem.Changes{PutTokens: []tandem.Token{t}})
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutTokens: []tandem.Token{w.newToken("", func(n *tandem.Token) { n.Hash = t.Hash })}}), tandem.Exists)
	},
	"what is not there is not found": func(w *world) {
		_, err := w.st.TokenByHash(w.ctx, "no such hash")
		w.wantCode(err, tandem.NotFound)
		_, err = w.st.Token(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
		w.wantCode(w.st.TouchToken(w.ctx, w.org, "none", w.now), tandem.NotFound)
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{PutTokens: []tandem.Token{w.newToken("nobody")}}), tandem.NotFound)
	},
}

// newAnswer gives an answer under way.
func (w *world) newAnswer() tandem.Answer {
	return tandem.Answer{Key: "POST /x?" + w.id(), Fingerprint: "print", ExpiresAt: w.now.Add(time.Hour)}
}

var answerTests = map[string]func(*world){
	"one request of a key is done, and its reply is replied again": func(w *world) {
		a := w.newAnswer()
		if n := w.race(func(st tandem.ServerStore) error {
			stored, begun, err := st.BeginAnswer(w.ctx, w.org, a, w.now)
			if err == nil && !begun {
				err = tandem.Errorf(tandem.Busy, "", "", "another is at it")
			}
			w.equal(stored, a)
			return err
		}, tandem.Busy); n != 1 {
			w.Errorf("%d began", n)
		}
		done := a
		done.Status, done.Header, done.Body, done.ExpiresAt = 201, map[string]string{"Location": "/x'?"}, []byte("{\"a\":\x001}"), w.now.Add(24*time.Hour)
		w.must(w.st.FinishAnswer(w.ctx, w.org, done))
		other := a
		other.Fingerprint = "another request"
		stored, begun, err := w.st.BeginAnswer(w.ctx, w.org, other, w.now)
		w.must(err)
		w.equal(stored, done)
		w.equal(begun, false)
		w.wantCode(w.st.FinishAnswer(w.ctx, w.org, done), tandem.NotFound) // it is finished
		w.must(w.st.DropAnswer(w.ctx, w.org, a.Key))                       // and stays
		_, begun, err = w.st.BeginAnswer(w.ctx, w.org, a, w.now)
		w.must(err)
		w.equal(begun, false)
	},
	"a key is free again when it was dropped or has expired": func(w *world) {
		a := w.newAnswer()
		begin := func(now time.Time, want bool) {
			w.Helper()
			_, begun, err := w.st.BeginAnswer(w.ctx, w.org, a, now)
			w.must(err)
			w.equal(begun, want)
		}
		begin(w.now, true)
		w.must(w.st.DropAnswer(w.ctx, w.org, a.Key))
		begin(w.now, true)
		begin(a.ExpiresAt.Add(-time.Microsecond), false)
		late := a
		a.ExpiresAt = a.ExpiresAt.Add(time.Hour)
		a.Fingerprint = "second"
		begin(late.ExpiresAt, true)
		late.Status = 200
		w.wantCode(w.st.FinishAnswer(w.ctx, w.org, late), tandem.NotFound) // the first comes too late
		a.Status = 200
		w.must(w.st.FinishAnswer(w.ctx, w.org, a))
		_, _, err := w.st.BeginAnswer(w.ctx, "nowhere", a, w.now)
		w.wantCode(err, tandem.NotFound)
	},
}
