package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tandem"
	"tandem/registry"
)

// How long it is remembered who calls. What this process changes of somebody's rights counts at once; what another
// process changes, after this.
const (
	callerLife  = 10 * time.Second
	callersKept = 10_000
)

// caller is who sent a request, and for which organization.
type caller struct {
	actor registry.Actor
	org   string // its id; "" where the operation is about none
}

type callerKey struct{}

// request is what every request has.
type request struct {
	id      string
	address string
	token   bool // it has an Authorization header, and so nothing to do with sessions
}

type requestKey struct{}

func requestOf(ctx context.Context) request {
	r, _ := ctx.Value(requestKey{}).(request)
	return r
}

// requestID gives how the log names the request.
func requestID(ctx context.Context) string { return requestOf(ctx).id }

// callerOf gives who sent the request; the zero caller may do nothing.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// OrganizationParam says which organization a request is about.
type OrganizationParam struct {
	Organization       string `query:"organization" maxLength:"200" doc:"The organization, by id or slug. May be left out by a caller who belongs to one only."`
	OrganizationHeader string `header:"Tandem-Organization" maxLength:"200" doc:"The same, as a header."`
}

// signedIn lets nobody in who is not known, and remembers who it is.
func (a *API) signedIn(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	actor, err := a.identify(r)
	if err != nil {
		reply(a.huma, ctx, a.failed(ctx.Context(), err))
		return
	}
	next(huma.WithValue(ctx, callerKey{}, caller{actor: actor}))
}

// inOrganization finds out which organization the request is about.
func (a *API) inOrganization(ctx huma.Context, next func(huma.Context)) {
	c := callerOf(ctx.Context())
	ref, err := askedOrganization(ctx.Query("organization"), ctx.Header("Tandem-Organization"))
	if err == nil {
		c.org, err = a.organizationID(ctx.Context(), c.actor, ref)
	}
	if err != nil {
		reply(a.huma, ctx, a.failed(ctx.Context(), err))
		return
	}
	next(huma.WithValue(ctx, callerKey{}, c))
}

// askedOrganization gives the organization that a request names, "" for none.
func askedOrganization(query, header string) (string, error) {
	query, header = strings.TrimSpace(query), strings.TrimSpace(header)
	if query != "" && header != "" && query != header {
		return "", tandem.Errorf(tandem.Invalid, "find organization", "", "the query and the header name different organizations").WithHint("name it once")
	}
	if query == "" {
		return header, nil
	}
	return query, nil
}

// organizationID finds one of the actor's own organizations. Others are not even looked up.
func (a *API) organizationID(ctx context.Context, actor registry.Actor, ref string) (string, error) {
	if _, ok := actor.Roles[ref]; ok {
		return ref, nil
	}
	if ref == "" {
		return onlyOrganization(actor)
	}
	for id := range actor.Roles {
		slug, err := a.slugs.get(id, func() (string, error) {
			o, err := a.options.Store.Organization(ctx, id)
			return o.Slug, err
		})
		if err != nil && !tandem.Is(err, tandem.NotFound) {
			return "", err
		}
		if err == nil && slug == ref {
			return id, nil
		}
	}
	return "", tandem.Errorf(tandem.NotFound, "find organization", ref, "there is no such organization").WithHint("GET /api/v1/organizations lists yours")
}

func onlyOrganization(actor registry.Actor) (string, error) {
	switch len(actor.Roles) {
	case 0:
		return "", tandem.Errorf(tandem.NotFound, "find organization", "", "you belong to no organization").WithHint("ask for an invitation")
	case 1:
		for id := range actor.Roles {
			return id, nil
		}
	}
	return "", tandem.Errorf(tandem.Invalid, "find organization", "", "you belong to several organizations, and the request names none").
		WithHint("add ?organization=, or the header Tandem-Organization, with an id or slug; GET /api/v1/organizations lists yours")
}

// Actor gives who sent a request, by its token or its session, for whoever else serves signed-in people.
// Unauthorized where nobody is signed in.
func (a *API) Actor(r *http.Request) (registry.Actor, error) { return a.identify(r) }

// ForgetUser has the next request of a person, and of their tokens, look their rights up again: somebody changed them.
func (a *API) ForgetUser(id string) { a.forgetUser(id) }

// identify finds out who sent a request.
func (a *API) identify(r *http.Request) (registry.Actor, error) {
	var actor registry.Actor
	var err error
	if header := r.Header.Get("Authorization"); header != "" {
		actor, err = a.bearer(r.Context(), header)
	} else {
		actor, err = a.inSession(r)
	}
	actor.RequestID, actor.Address = requestID(r.Context()), requestOf(r.Context()).address
	if err == nil && a.options.Note != nil {
		a.options.Note(r.Context(), actor.ID)
	}
	return actor, err
}

// bearer finds the actor of a token.
func (a *API) bearer(ctx context.Context, header string) (registry.Actor, error) {
	scheme, secret, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(secret) > 200 {
		return registry.Actor{}, tandem.Errorf(tandem.Unauthorized, "read Authorization", "", "the header Authorization holds no bearer token").
			WithHint("send Authorization: Bearer tdm_…")
	}
	return a.callers.get("token "+hashed(secret), func() (registry.Actor, error) {
		return a.options.Registry.TokenActor(ctx, strings.TrimSpace(secret))
	})
}

// hashed is how a secret is named in memory.
func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// stillMay reports whether whoever opened a stream may still read it, with all of its kinds.
func (a *API) stillMay(r *http.Request, kinds []string) bool {
	actor, err := a.identify(r)
	if err != nil {
		// A database that is away for a moment ends no stream; whoever is refused does.
		return !tandem.Is(err, tandem.Unauthorized)
	}
	_, err = caller{actor, callerOf(r.Context()).org}.heard(kinds)
	return err == nil
}

// forgetUser drops what is remembered of a person and their tokens.
func (a *API) forgetUser(id string) {
	a.callers.forgetAll(func(actor registry.Actor) bool { return actor.UserID == id })
}

// forgetToken drops what is remembered of a token.
func (a *API) forgetToken(id string) {
	a.callers.forgetAll(func(actor registry.Actor) bool { return actor.Kind == tandem.TokenActor && actor.ID == id })
}

// addressOf gives where a request comes from, without the port. What proxies say is the matter of the server in front.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// guarded keeps pages of other sites from acting for whoever is signed in here. A request with a token is not made by a
// browser on its own.
func (a *API) guarded(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	if a.public != nil {
		// The URL was checked, and has a scheme and a host; AddTrustedOrigin takes such.
		if err := protection.AddTrustedOrigin(originOf(a.public)); err != nil {
			a.options.Log.Warn("the public URL is not taken for an origin", "error", err)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" && (protection.Check(r) != nil || a.otherScheme(r)) {
			newProblem(r.Context(), crossOrigin, "the request comes from a page of another site",
				"open Tandem's own pages, or use a token").write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// otherScheme reports whether a changing request comes from the same host over http, where the server's own pages are on https.
func (a *API) otherScheme(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || a.public == nil || a.public.Scheme != "https" || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return false
	}
	return origin == "http://"+a.public.Host
}
