package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/oauth2"

	"tandem"
	"tandem/registry"
)

// OIDC says which identity provider people may sign in through.
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret string // "" for a public client
	// Scopes beside openid; default email and profile.
	Scopes []string
	// SignInPage is where a browser is sent when something more is needed or went wrong: with ?step=code for the second
	// factor, with ?problem= and a code otherwise. Default /sign-in.
	SignInPage string
	Client     *http.Client // default: one with a timeout
}

// callbackPath is what the provider is given as the redirect URI, after the public URL.
const callbackPath = sessionPath + "/oidc/callback"

// What a session holds between start and callback.
const (
	stateValue    = "oidc_state"
	nonceValue    = "oidc_nonce"
	verifierValue = "oidc_verifier"
	nextValue     = "oidc_next"
)

// provider talks to the identity provider. It asks where things are at the first use, and again after a failure.
type provider struct {
	settings OIDC
	redirect string

	mu    sync.Mutex
	found *oidc.Provider
}

func newProvider(settings OIDC, public *url.URL) *provider {
	if settings.Client == nil {
		settings.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if settings.Scopes == nil {
		settings.Scopes = []string{"email", "profile"}
	}
	if settings.SignInPage == "" {
		settings.SignInPage = "/sign-in"
	}
	p := &provider{settings: settings}
	if public != nil {
		p.redirect = strings.TrimSuffix(public.String(), "/") + callbackPath
	}
	return p
}

// discover gives the provider's endpoints and keys.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	// The keys are fetched later with the context of this call, which must outlive the request.
	lasting := oidc.ClientContext(context.WithoutCancel(ctx), p.settings.Client)
	found, err := oidc.NewProvider(lasting, p.settings.Issuer)
	if err != nil {
		return nil, tandem.Errorf(tandem.Unavailable, "find identity provider", "", "the identity provider does not answer as it should: %w", err).
			WithHint("try again in a moment, or sign in with a password")
	}
	p.found = found
	return found, nil
}

// exchange is the OAuth client of a provider.
func (p *provider) exchange(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: p.settings.ClientID, ClientSecret: p.settings.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: p.redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, p.settings.Scopes...)}
}

// redirection sends a browser on.
type redirection struct {
	Status   int
	Location string `header:"Location"`
}

func redirecting(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusSeeOther
	return op
}

func (a *API) oidc() {
	type startInput struct {
		Next string `query:"next" maxLength:"2000" doc:"The page to come back to, a path of this server."`
	}
	handle(a, open(redirecting(describing(route("session-oidc-start", http.MethodGet, sessionPath+"/oidc/start", "session", "Sign in through the identity provider"),
		"Sends the browser there."))),
		func(ctx context.Context, in *startInput) (*redirection, error) {
			to, err := a.oidcStart(ctx, in.Next)
			return &redirection{http.StatusSeeOther, to}, err
		})

	type callbackInput struct {
		Code             string `query:"code" maxLength:"4096"`
		State            string `query:"state" maxLength:"500"`
		Error            string `query:"error" maxLength:"500"`
		ErrorDescription string `query:"error_description" maxLength:"4096"`
		ErrorURI         string `query:"error_uri" maxLength:"4096"`
		SessionState     string `query:"session_state" maxLength:"4096"`
		Issuer           string `query:"iss" maxLength:"2000"`
		Scope            string `query:"scope" maxLength:"4096"`
	}
	handle(a, open(redirecting(route("session-oidc-callback", http.MethodGet, callbackPath, "session", "Come back from the identity provider"))),
		func(ctx context.Context, in *callbackInput) (*redirection, error) {
			to, err := a.oidcCallback(ctx, in.Code, in.State, in.Error, in.Issuer)
			if err != nil {
				a.notLetIn(ctx, err)
				to = a.provider.settings.SignInPage + "?problem=" + url.QueryEscape(a.failed(ctx, err).Code)
			}
			return &redirection{http.StatusSeeOther, to}, nil
		})
}

// notLetIn tells the log why the provider's answer did not do: mostly that is for whoever runs the server to mend. What
// the provider replied is left out, but for its code.
func (a *API) notLetIn(ctx context.Context, err error) {
	var e *tandem.Error
	if !errors.As(err, &e) || e.Err == nil || e.Code != tandem.Unauthorized {
		return
	}
	cause := e.Err.Error()
	var refused *oauth2.RetrieveError
	if errors.As(e.Err, &refused) {
		cause = strings.TrimSpace(refused.ErrorCode + " " + refused.Response.Status)
	}
	a.logger(ctx).WarnContext(ctx, "signing in through the identity provider failed", "message", e.Message, "cause", cause[:min(len(cause), 300)])
}

// oidcStart remembers what the answer must match, and gives the provider's page.
func (a *API) oidcStart(ctx context.Context, next string) (string, error) {
	if err := a.managed(ctx); err != nil {
		return "", err
	}
	if a.provider.redirect == "" {
		return "", tandem.Errorf(tandem.Unavailable, "sign in", "", "the server does not know its own public URL").WithHint("whoever runs it sets --public-url")
	}
	found, err := a.provider.discover(ctx)
	if err != nil {
		return "", err
	}
	if a.sessions.GetString(ctx, userValue) == "" { // anybody can begin: what they leave behind is gone soon
		a.sessions.SetDeadline(ctx, a.options.Clock().Add(pendingLife))
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	a.sessions.Put(ctx, stateValue, state)
	a.sessions.Put(ctx, nonceValue, nonce)
	a.sessions.Put(ctx, verifierValue, verifier)
	a.sessions.Put(ctx, nextValue, localPath(next))
	return a.provider.exchange(found).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// localPath gives a page of this server; anything else is the first page.
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.ContainsAny(text, "\\\r\n\t") {
		return "/"
	}
	return u.String()
}

// oidcCallback checks what the provider says and signs in whom it vouches for.
func (a *API) oidcCallback(ctx context.Context, code, state, failure, issuer string) (string, error) {
	if err := a.managed(ctx); err != nil {
		return "", err
	}
	wanted, nonce := a.sessions.PopString(ctx, stateValue), a.sessions.PopString(ctx, nonceValue)
	verifier, next := a.sessions.PopString(ctx, verifierValue), a.sessions.PopString(ctx, nextValue)
	if wanted == "" || subtle.ConstantTimeCompare([]byte(wanted), []byte(state)) != 1 {
		return "", tandem.Errorf(tandem.Unauthorized, "sign in", "", "the answer of the identity provider belongs to no sign-in that was begun here").WithHint("begin again")
	}
	if failure != "" || code == "" {
		return "", tandem.Errorf(tandem.Unauthorized, "sign in", "", "the identity provider did not let you in").WithHint("begin again")
	}
	if issuer != "" && issuer != a.provider.settings.Issuer {
		return "", tandem.Errorf(tandem.Unauthorized, "sign in", "", "the answer is of another identity provider").WithHint("begin again")
	}
	who, err := a.provider.vouched(ctx, code, verifier, nonce)
	if err != nil {
		return "", err
	}
	in, err := a.options.Registry.SignInExternal(ctx, who, requestOf(ctx).address)
	if err != nil {
		return "", err
	}
	a.forgetUser(in.User.ID) // linking ends the sessions that there were
	if err := a.begin(ctx, in); err != nil {
		return "", err
	}
	if in.NeedsCode {
		return a.provider.settings.SignInPage + "?step=code&next=" + url.QueryEscape(next), nil
	}
	return next, nil
}

// vouched trades the code for what the provider says of the person.
func (p *provider) vouched(ctx context.Context, code, verifier, nonce string) (registry.External, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return registry.External{}, err
	}
	ctx = oidc.ClientContext(ctx, p.settings.Client)
	token, err := p.exchange(found).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return registry.External{}, notVouched("the identity provider did not take the code", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return registry.External{}, notVouched("the identity provider gave no identity", nil)
	}
	verified, err := found.Verifier(&oidc.Config{ClientID: p.settings.ClientID}).Verify(ctx, raw)
	if err != nil {
		return registry.External{}, notVouched("the identity that the provider gave is not valid", err)
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(nonce)) != 1 {
		return registry.External{}, notVouched("the identity that the provider gave is of another sign-in", nil)
	}
	return p.claims(ctx, found, verified, token)
}

// claimed is what is read of an identity.
type claimed struct {
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
	Name     string `json:"name"`
}

// claims reads the identity, and asks for what it leaves out.
func (p *provider) claims(ctx context.Context, found *oidc.Provider, verified *oidc.IDToken, token *oauth2.Token) (registry.External, error) {
	who := registry.External{Issuer: verified.Issuer, Subject: verified.Subject}
	var c claimed
	if err := verified.Claims(&c); err != nil {
		return who, notVouched("the identity that the provider gave cannot be read", err)
	}
	if c.Email == "" && found.UserInfoEndpoint() != "" {
		info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return who, notVouched("the identity provider did not say more about you", err)
		}
		if info.Subject != verified.Subject {
			return who, notVouched("the identity provider spoke of somebody else", nil)
		}
		if err := info.Claims(&c); err != nil {
			return who, notVouched("what the identity provider said cannot be read", err)
		}
	}
	who.Email, who.Verified, who.Name = c.Email, c.Verified, c.Name
	return who, nil
}

// notVouched makes the refusal; the cause, which may hold parts of a token, is not told.
func notVouched(message string, err error) error {
	return &tandem.Error{Code: tandem.Unauthorized, Op: "sign in", Message: message, Hint: "begin again", Err: err}
}
