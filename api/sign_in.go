package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"tandem"
	"tandem/registry"
)

// account is who is signed in.
type account struct {
	User          tandem.User        `json:"user"`
	Organizations []tandem.Belonging `json:"organizations"`
	Permissions   map[string]allowed `json:"permissions" doc:"By organization id: what the person may do there."`
}

type allowed []registry.Permission

// signInReply says how far signing in has come.
type signInReply struct {
	SecondFactor bool     `json:"second_factor_required" doc:"A code is asked for; send it to second-step."`
	Account      *account `json:"account,omitempty" doc:"Who is signed in now."`
}

func (a *API) session() {
	type sessionSignInInput struct {
		Body struct {
			Email    string `json:"email" maxLength:"254"`
			Password string `json:"password" maxLength:"1024"`
		}
	}
	handle(a, open(describing(route("session-sign-in", http.MethodPost, sessionPath, "session", "Sign in"),
		"Sets the session's cookie. Every refusal is the same 401; 429 says that the address has to wait.")),
		func(ctx context.Context, in *sessionSignInInput) (*body[signInReply], error) {
			who, err := a.options.Registry.SignIn(ctx, in.Body.Email, in.Body.Password, requestOf(ctx).address)
			if err != nil {
				return nil, err
			}
			return a.entered(ctx, who)
		})

	type sessionStepInput struct {
		Body struct {
			Code string `json:"code" maxLength:"100" doc:"A code of the authenticator app, or a recovery code."`
		}
	}
	handle(a, open(route("session-second-step", http.MethodPost, sessionPath+"/second-step", "session", "Give the code of the second factor")),
		func(ctx context.Context, in *sessionStepInput) (*body[signInReply], error) {
			user, epoch, err := a.pending(ctx)
			if err != nil {
				return nil, err
			}
			who, err := a.options.Registry.SignInCode(ctx, user, epoch, in.Body.Code, requestOf(ctx).address)
			if err != nil {
				return nil, err
			}
			return a.entered(ctx, who)
		})

	handle(a, open(describing(route("session-sign-out", http.MethodDelete, sessionPath, "session", "Sign out"), "Also where nobody is signed in.")),
		func(ctx context.Context, _ *none) (*done, error) {
			if requestOf(ctx).token { // it has no session to end
				return nil, nil
			}
			return nil, a.signOut(ctx)
		})

	handle(a, route("session-show", http.MethodGet, sessionPath, "session", "Show who is signed in"),
		func(ctx context.Context, _ *none) (*body[account], error) {
			return with(a.account(ctx, callerOf(ctx).actor))
		})

	type sessionRenameInput struct {
		Body struct {
			Name string `json:"name" minLength:"1" maxLength:"255"`
		}
	}
	handle(a, route("session-rename", http.MethodPatch, sessionPath, "session", "Change one's name"),
		func(ctx context.Context, in *sessionRenameInput) (*body[tandem.User], error) {
			return with(a.options.Registry.Rename(ctx, callerOf(ctx).actor, in.Body.Name))
		})

	handle(a, describing(route("session-end-others", http.MethodDelete, sessionPath+"/others", "session", "End one's other sessions"),
		"On other devices; this one goes on."),
		func(ctx context.Context, _ *none) (*done, error) { return nil, a.endOthers(ctx) })
	a.passwords()
	a.links()
}

// managed refuses what needs a session from a request with a token.
func (a *API) managed(ctx context.Context) error {
	if !requestOf(ctx).token {
		return nil
	}
	return tandem.Errorf(tandem.Forbidden, "use session", "", "this is about a browser's session, and the request has a token").WithHint("sign in with a browser")
}

// pending gives who did the first step a moment ago.
func (a *API) pending(ctx context.Context) (user string, epoch int64, err error) {
	refused := tandem.Errorf(tandem.Unauthorized, "sign in", "", "the first step is missing, or was too long ago").WithHint("sign in with the password first")
	if err := a.managed(ctx); err != nil {
		return "", 0, refused
	}
	user = a.sessions.GetString(ctx, pendingUserValue)
	epoch, epochErr := strconv.ParseInt(a.sessions.GetString(ctx, pendingEpochValue), 10, 64)
	at, atErr := strconv.ParseInt(a.sessions.GetString(ctx, pendingAtValue), 10, 64)
	if user == "" || epochErr != nil || atErr != nil || a.options.Clock().Sub(time.Unix(at, 0)) > pendingLife {
		return "", 0, refused
	}
	return user, epoch, nil
}

// entered begins a session, or the wait for the second step. What the session held before ends, and so does its id.
func (a *API) entered(ctx context.Context, who registry.SignedIn) (*body[signInReply], error) {
	if err := a.begin(ctx, who); err != nil {
		return nil, err
	}
	if who.NeedsCode {
		return with(signInReply{SecondFactor: true}, nil)
	}
	actor, err := a.options.Registry.SessionActor(ctx, who.User.ID, who.User.Epoch)
	if err != nil {
		return nil, err
	}
	now, err := a.account(ctx, actor)
	return with(signInReply{Account: &now}, err)
}

// begin puts who came in into a session under a new id.
func (a *API) begin(ctx context.Context, who registry.SignedIn) error {
	if err := a.managed(ctx); err != nil {
		return err
	}
	if err := a.sessions.Clear(ctx); err != nil {
		return err
	}
	if err := a.sessions.RenewToken(ctx); err != nil {
		return err
	}
	a.sessions.SetDeadline(ctx, a.options.Clock().Add(a.options.Lifetime))
	epoch := strconv.FormatInt(who.User.Epoch, 10)
	if who.NeedsCode {
		a.sessions.Put(ctx, pendingUserValue, who.User.ID)
		a.sessions.Put(ctx, pendingEpochValue, epoch)
		a.sessions.Put(ctx, pendingAtValue, strconv.FormatInt(a.options.Clock().Unix(), 10))
		return nil
	}
	a.sessions.Put(ctx, userValue, who.User.ID)
	a.sessions.Put(ctx, epochValue, epoch)
	return nil
}

// signOut ends the session, and tells the audit whose it was.
func (a *API) signOut(ctx context.Context) error {
	user := a.sessions.GetString(ctx, userValue)
	epoch, err := strconv.ParseInt(a.sessions.GetString(ctx, epochValue), 10, 64)
	if endErr := a.sessions.Destroy(ctx); endErr != nil || user == "" || err != nil {
		return endErr
	}
	actor, err := a.options.Registry.SessionActor(ctx, user, epoch)
	if tandem.Is(err, tandem.Unauthorized) { // it had ended before
		return nil
	}
	if err != nil {
		return err
	}
	actor.RequestID, actor.Address = requestID(ctx), requestOf(ctx).address
	return a.options.Registry.SignOut(ctx, actor)
}

// renewed goes on in a new session after something that ended all of a person's.
func (a *API) renewed(ctx context.Context, u *tandem.User) error {
	a.forgetUser(u.ID)
	return a.begin(ctx, registry.SignedIn{User: *u})
}

// account describes the signed-in person.
func (a *API) account(ctx context.Context, actor registry.Actor) (account, error) {
	u, all, err := a.options.Registry.Me(ctx, actor)
	now := account{User: u, Organizations: list(all), Permissions: map[string]allowed{}}
	for _, b := range all {
		now.Permissions[b.Organization.ID] = registry.Permissions(b.Role)
	}
	return now, err
}

// endOthers ends all sessions of the person but this one, which goes on under a new id.
func (a *API) endOthers(ctx context.Context) error {
	if err := a.managed(ctx); err != nil {
		return err
	}
	actor := callerOf(ctx).actor
	if err := a.options.Store.DeleteSessions(ctx, actor.UserID); err != nil {
		return err
	}
	a.forgetUser(actor.UserID)
	until := a.sessions.Deadline(ctx) // a new id makes no session last longer
	if err := a.sessions.RenewToken(ctx); err != nil {
		return err
	}
	a.sessions.SetDeadline(ctx, until)
	return nil
}
