package api

import (
	"context"
	"net/http"

	"tandem"
	"tandem/registry"
)

// passwords registers what is done with one's password.
func (a *API) passwords() {
	type sessionChangeInput struct {
		Body struct {
			Current  string `json:"current" maxLength:"1024"`
			Password string `json:"password" maxLength:"1024"`
		}
	}
	handle(a, describing(route("session-change-password", http.MethodPost, sessionPath+"/password", "session", "Change one's password"),
		"All other sessions end."),
		func(ctx context.Context, in *sessionChangeInput) (*done, error) {
			u, err := a.options.Registry.ChangePassword(ctx, callerOf(ctx).actor, in.Body.Current, in.Body.Password)
			if err != nil {
				return nil, err
			}
			return nil, a.renewed(ctx, &u)
		})

	type sessionForgotInput struct {
		Body struct {
			Email string `json:"email" maxLength:"254"`
		}
	}
	handle(a, open(describing(route("session-forgot-password", http.MethodPost, sessionPath+"/password-reset", "session", "Ask for a link to a new password"),
		"It is sent by mail where there is an account; the reply is the same where there is none.")),
		func(ctx context.Context, in *sessionForgotInput) (*done, error) {
			return nil, a.options.Registry.RequestPasswordReset(ctx, in.Body.Email, requestOf(ctx).address)
		})

	type sessionResetInput struct {
		Body struct {
			Secret   string `json:"secret" maxLength:"200" doc:"Of the link."`
			Password string `json:"password" maxLength:"1024"`
		}
	}
	handle(a, open(describing(route("session-reset-password", http.MethodPost, sessionPath+"/password-reset/complete", "session", "Set a new password with a link"),
		"All sessions end; sign in with the new password.")),
		func(ctx context.Context, in *sessionResetInput) (*done, error) {
			u, err := a.options.Registry.ResetPassword(ctx, in.Body.Secret, in.Body.Password)
			if err == nil {
				a.forgetUser(u.ID)
			}
			return nil, err
		})
}

// invitedReply says what an invitation's link is about.
type invitedReply struct {
	Organization string      `json:"organization"`
	Email        string      `json:"email"`
	Role         tandem.Role `json:"role"`
	HasAccount   bool        `json:"has_account" doc:"The person signs in and joins; otherwise they accept and make an account."`
}

// SecretBody is the secret of a link. It is sent in the body: addresses end up in logs.
type SecretBody struct {
	Secret string `json:"secret" maxLength:"200" doc:"Of the link."`
}

// links registers what is done with the one-time links.
func (a *API) links() {
	type sessionSetUpInput struct {
		Body struct {
			SecretBody
			Email        string `json:"email" maxLength:"254"`
			Name         string `json:"name,omitempty" maxLength:"255"`
			Password     string `json:"password" maxLength:"1024"`
			Organization string `json:"organization,omitempty" maxLength:"200" doc:"The name of the first organization, where there is none yet."`
		}
	}
	handle(a, open(describing(route("session-set-up", http.MethodPost, sessionPath+"/set-up", "session", "Make the first owner"),
		"With the link that the server prints at its first start. The owner is signed in.")),
		func(ctx context.Context, in *sessionSetUpInput) (*body[signInReply], error) {
			b := &in.Body
			if err := a.managed(ctx); err != nil {
				return nil, err
			}
			u, err := a.options.Registry.SetUp(ctx, b.Secret, registry.NewPerson{Email: b.Email, Name: b.Name, Password: b.Password}, b.Organization)
			if err != nil {
				return nil, err
			}
			return a.entered(ctx, registry.SignedIn{User: u})
		})

	type lookInput struct{ Body SecretBody }
	handle(a, open(route("session-look-at-invitation", http.MethodPost, sessionPath+"/invitation", "session", "Look at an invitation")),
		func(ctx context.Context, in *lookInput) (*body[invitedReply], error) {
			at, err := a.options.Registry.LookAtInvitation(ctx, in.Body.Secret)
			return with(invitedReply{Organization: at.Organization.Name, Email: at.Invitation.Email, Role: at.Invitation.Role, HasAccount: at.HasAccount}, err)
		})

	type sessionAcceptInput struct {
		Body struct {
			SecretBody
			Name     string `json:"name,omitempty" maxLength:"255"`
			Password string `json:"password" maxLength:"1024"`
		}
	}
	handle(a, open(describing(route("session-accept-invitation", http.MethodPost, sessionPath+"/invitation/accept", "session", "Accept an invitation with a new account"),
		"Who has an account signs in and joins instead.")),
		func(ctx context.Context, in *sessionAcceptInput) (*body[signInReply], error) {
			if err := a.managed(ctx); err != nil {
				return nil, err
			}
			u, err := a.options.Registry.AcceptInvitation(ctx, in.Body.Secret, registry.NewPerson{Name: in.Body.Name, Password: in.Body.Password})
			if err != nil {
				return nil, err
			}
			return a.entered(ctx, registry.SignedIn{User: u})
		})

	handle(a, route("session-join", http.MethodPost, sessionPath+"/invitation/join", "session", "Accept an invitation with one's own account"),
		func(ctx context.Context, in *lookInput) (*body[tandem.Organization], error) {
			c := callerOf(ctx)
			o, err := a.options.Registry.Join(ctx, c.actor, in.Body.Secret)
			a.forgetUser(c.actor.UserID)
			return with(o, err)
		})
}

// enrollment is what an authenticator app is set up with.
type enrollment struct {
	Secret string `json:"secret" doc:"To be typed."`
	URL    string `json:"url" doc:"To be shown as a code to scan."`
}

// recovery are codes that let in once each, without the app.
type recovery struct {
	Codes []string `json:"recovery_codes" doc:"Shown this once."`
}

// PasswordBody proves that it is still the same person.
type PasswordBody struct {
	Password string `json:"password,omitempty" maxLength:"1024" doc:"One's password; empty for who has none."`
}

// secondFactor registers what is done with one's second factor.
func (a *API) secondFactor() {
	type passwordInput struct{ Body PasswordBody }
	handle(a, describing(route("session-enroll-totp", http.MethodPost, sessionPath+"/totp", "session", "Set up a second factor"), "It counts once a code of it was confirmed."),
		func(ctx context.Context, in *passwordInput) (*body[enrollment], error) {
			e, err := a.options.Registry.EnrollFactor(ctx, callerOf(ctx).actor, in.Body.Password)
			return with(enrollment{e.Secret, e.URL}, err)
		})

	type sessionConfirmInput struct {
		Body struct {
			Code string `json:"code" maxLength:"100"`
		}
	}
	handle(a, describing(route("session-confirm-totp", http.MethodPost, sessionPath+"/totp/confirm", "session", "Turn the second factor on"), "All other sessions end."),
		func(ctx context.Context, in *sessionConfirmInput) (*body[recovery], error) {
			u, codes, err := a.options.Registry.ConfirmFactor(ctx, callerOf(ctx).actor, in.Body.Code)
			if err != nil {
				return nil, err
			}
			return with(recovery{codes}, a.renewed(ctx, &u))
		})

	handle(a, route("session-renew-recovery-codes", http.MethodPost, sessionPath+"/totp/recovery-codes", "session", "Make new recovery codes"),
		func(ctx context.Context, in *passwordInput) (*body[recovery], error) {
			codes, err := a.options.Registry.RenewRecoveryCodes(ctx, callerOf(ctx).actor, in.Body.Password)
			return with(recovery{list(codes)}, err)
		})

	type sessionDisableInput struct {
		Body struct {
			PasswordBody
			Code string `json:"code" maxLength:"100"`
		}
	}
	handle(a, describing(route("session-disable-totp", http.MethodPost, sessionPath+"/totp/disable", "session", "Turn the second factor off"), "All other sessions end."),
		func(ctx context.Context, in *sessionDisableInput) (*done, error) {
			u, err := a.options.Registry.DisableFactor(ctx, callerOf(ctx).actor, in.Body.Password, in.Body.Code)
			if err != nil {
				return nil, err
			}
			return nil, a.renewed(ctx, &u)
		})
}
