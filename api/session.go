package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"tandem"
	"tandem/registry"
)

// What a session holds, all of it text. Somebody is signed in when user is there.
const (
	userValue         = "user"
	epochValue        = "epoch" // of the user, when they signed in
	pendingUserValue  = "pending_user"
	pendingEpochValue = "pending_epoch"
	pendingAtValue    = "pending_at" // Unix seconds
)

// pendingLife is how long the second step may take.
const pendingLife = 10 * time.Minute

// touchEvery is how often a session's use is written.
const touchEvery = time.Minute

// sessionPath is where the session itself is worked with; elsewhere it is only looked at.
const sessionPath = "/api/v1/session"

// sessionStore keeps sessions for the session library: under a hash of what the cookie holds, so that whoever reads the
// database cannot take one over.
type sessionStore struct {
	store  Store
	clock  tandem.Clock
	idle   time.Duration
	forget func(key string) // what is remembered of a session
}

// newSessions makes the session library ready.
func newSessions(o *Options, public *url.URL) (*scs.SessionManager, *sessionStore) {
	kept := &sessionStore{store: o.Store, clock: o.Clock, idle: o.IdleTimeout, forget: func(string) {}}
	m := scs.New()
	m.Store, m.Codec = kept, sessionCodec{}
	m.Lifetime = o.Lifetime // idle sessions are ended by the store's own expiry
	m.Cookie.Name, m.Cookie.Path, m.Cookie.HttpOnly, m.Cookie.SameSite = "tandem", "/", true, http.SameSiteLaxMode
	if o.HTTPS || public != nil && public.Scheme == "https" {
		m.Cookie.Name, m.Cookie.Secure = "__Host-tandem", true
	}
	return m, kept
}

// withSession lets the session library work where sessions begin, change and end.
func (a *API) withSession(next http.Handler) http.Handler {
	a.kept.forget = a.callers.forget
	a.sessions.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) { a.failed(r.Context(), err).write(w) }
	managed := a.sessions.LoadAndSave(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" && (r.URL.Path == sessionPath || strings.HasPrefix(r.URL.Path, sessionPath+"/")) {
			managed.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sessionKey is what is remembered of a session goes by.
func sessionKey(id string) string { return "session " + id }

// inSession finds the actor of the request's cookie.
func (a *API) inSession(r *http.Request) (registry.Actor, error) {
	cookie, err := r.Cookie(a.sessions.Cookie.Name)
	if err != nil || cookie.Value == "" || len(cookie.Value) > 200 {
		return registry.Actor{}, tandem.Errorf(tandem.Unauthorized, "use session", "", "nobody is signed in").
			WithHint("sign in, or send Authorization: Bearer with a token")
	}
	id := hashed(cookie.Value)
	return a.callers.get(sessionKey(id), func() (registry.Actor, error) {
		user, epoch, err := a.kept.user(r.Context(), id)
		if err != nil {
			return registry.Actor{}, err
		}
		return a.options.Registry.SessionActor(r.Context(), user, epoch)
	})
}

// user gives who a session is of, and notes that it was used.
func (s *sessionStore) user(ctx context.Context, id string) (user string, epoch int64, err error) {
	ended := tandem.Errorf(tandem.Unauthorized, "use session", "", "the session has ended").WithHint("sign in again")
	now := s.clock()
	row, err := s.store.Session(ctx, id, now)
	if tandem.Is(err, tandem.NotFound) {
		return "", 0, ended
	}
	if err != nil {
		return "", 0, err
	}
	deadline, values, err := sessionCodec{}.Decode(row.Data)
	if err != nil || !now.Before(deadline) {
		return "", 0, ended
	}
	user, _ = values[userValue].(string)
	text, _ := values[epochValue].(string)
	epoch, err = strconv.ParseInt(text, 10, 64)
	if user == "" || err != nil {
		return "", 0, ended
	}
	if until := s.until(deadline); until.Sub(row.ExpiresAt) >= touchEvery {
		row.ExpiresAt = until
		if err := s.store.PutSession(ctx, row); err != nil {
			return "", 0, err
		}
	}
	return user, epoch, nil
}

// until is when a session ends that is used now.
func (s *sessionStore) until(deadline time.Time) time.Time {
	if until := s.clock().Add(s.idle); until.Before(deadline) {
		return until
	}
	return deadline
}

// FindCtx reads a session.
func (s *sessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	row, err := s.store.Session(ctx, hashed(token), s.clock())
	if tandem.Is(err, tandem.NotFound) {
		return nil, false, nil
	}
	return row.Data, err == nil, err
}

// CommitCtx writes a session.
func (s *sessionStore) CommitCtx(ctx context.Context, token string, data []byte, deadline time.Time) error {
	_, values, err := sessionCodec{}.Decode(data)
	if err != nil {
		return err
	}
	user, _ := values[userValue].(string)
	id := hashed(token)
	err = s.store.PutSession(ctx, tandem.Session{ID: id, UserID: user, Data: data, ExpiresAt: s.until(deadline)})
	s.forget(sessionKey(id))
	return err
}

// DeleteCtx ends a session.
func (s *sessionStore) DeleteCtx(ctx context.Context, token string) error {
	id := hashed(token)
	err := s.store.DeleteSession(ctx, id)
	s.forget(sessionKey(id))
	if tandem.Is(err, tandem.NotFound) {
		return nil
	}
	return err
}

// Find reads a session.
func (s *sessionStore) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit writes a session.
func (s *sessionStore) Commit(token string, data []byte, deadline time.Time) error {
	return s.CommitCtx(context.Background(), token, data, deadline)
}

// Delete ends a session.
func (s *sessionStore) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// sessionCodec writes sessions as JSON; all values are text.
type sessionCodec struct{}

type sessionData struct {
	Deadline time.Time         `json:"deadline"`
	Values   map[string]string `json:"values"`
}

// Encode writes a session.
func (sessionCodec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	d := sessionData{Deadline: deadline.UTC(), Values: make(map[string]string, len(values))}
	for name, value := range values {
		text, ok := value.(string)
		if !ok {
			return nil, tandem.Errorf(tandem.Internal, "write session", name, "it is no text")
		}
		d.Values[name] = text
	}
	return json.Marshal(d)
}

// Decode reads one.
func (sessionCodec) Decode(data []byte) (time.Time, map[string]any, error) {
	var d sessionData
	if err := json.Unmarshal(data, &d); err != nil {
		return time.Time{}, nil, err
	}
	values := make(map[string]any, len(d.Values))
	for name, text := range d.Values {
		values[name] = text
	}
	return d.Deadline, values, nil
}
