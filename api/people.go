package api

import (
	"context"
	"net/http"
	"time"

	"tandem"
	"tandem/registry"
)

// tokens registers the rights of programs.
func (a *API) tokens() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Sort tokenSort `query:"sort"`
	}
	type tokenList struct {
		Tokens     []tandem.Token    `json:"tokens"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, describing(route("tokens-list", http.MethodGet, "/api/v1/tokens", "tokens", "List tokens, newest first"), "One's own, or all for who manages them."),
		func(ctx context.Context, in *listInput) (*body[tokenList], error) {
			c := callerOf(ctx)
			all, err := a.options.Registry.Tokens(ctx, c.actor, c.org)
			page, err := sortedPage(tandem.TokenOrder, all, string(in.Sort), in.Listing, err)
			return with(tokenList{page, in.pagination(len(all))}, err)
		})

	type tokenCreateInput struct {
		InOrg
		Once
		Body struct {
			Name    string      `json:"name" minLength:"1" maxLength:"255"`
			Role    tandem.Role `json:"role,omitempty" enum:"owner,admin,manager,operator,viewer" doc:"At most one's own; that when left out."`
			Scopes  []string    `json:"scopes,omitempty" maxItems:"100" doc:"Permissions such as devices:read; all of the role's when left out."`
			Expires string      `json:"expires_in,omitempty" maxLength:"20" doc:"A duration such as 720h; 90 days when left out."`
			Never   bool        `json:"never_expires,omitempty"`
			Shared  bool        `json:"shared,omitempty" doc:"Of no person: it stays when its maker leaves."`
		}
	}
	type tokenCreated struct {
		tandem.Token
		Secret string `json:"token" doc:"What programs send. It is shown this once."`
	}
	op := created(route("tokens-create", http.MethodPost, "/api/v1/tokens", "tokens", "Make a token"))
	op.Metadata = map[string]any{secretKey: true}
	handle(a, op, func(ctx context.Context, in *tokenCreateInput) (*body[tokenCreated], error) {
		c, b := callerOf(ctx), &in.Body
		var life time.Duration
		if b.Expires != "" {
			var err error
			if life, err = time.ParseDuration(b.Expires); err != nil || life <= 0 {
				return nil, tandem.Errorf(tandem.Invalid, "create token", b.Name, "expires_in is %.20q, it must be a duration such as 720h", b.Expires)
			}
		}
		t, secret, err := a.options.Registry.CreateToken(ctx, c.actor, c.org, registry.NewToken{Name: b.Name, Role: b.Role, Scopes: b.Scopes, Life: life, Never: b.Never, Shared: b.Shared})
		return with(tokenCreated{t, secret}, err)
	})

	handle(a, describing(route("tokens-revoke", http.MethodDelete, "/api/v1/tokens/{id}", "tokens", "End a token"), "At once."),
		func(ctx context.Context, in *ByID) (*body[tandem.Token], error) {
			c := callerOf(ctx)
			t, err := a.options.Registry.RevokeToken(ctx, c.actor, c.org, in.ID)
			if err == nil {
				a.forgetToken(t.ID)
			}
			return with(t, err)
		})
}

// users registers the members of an organization.
func (a *API) users() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Search string     `query:"search" maxLength:"200" doc:"Part of the email or name."`
		Role   string     `query:"role" enum:"owner,admin,manager,operator,viewer"`
		Sort   memberSort `query:"sort"`
	}
	type userList struct {
		Users      []tandem.Member   `json:"users"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("users-list", http.MethodGet, "/api/v1/users", "users", "List the members, by email"),
		func(ctx context.Context, in *listInput) (*body[userList], error) {
			c := callerOf(ctx)
			rows, total, err := a.options.Registry.Users(ctx, c.actor, c.org, tandem.MemberFilter{Search: in.Search, Role: tandem.Role(in.Role),
				Sort: string(in.Sort), Page: in.page()})
			return with(userList{list(rows), in.pagination(total)}, err)
		})

	type UserByID struct {
		OrganizationParam
		ID string `path:"id" maxLength:"300" doc:"The person, by id or email."`
	}
	handle(a, route("users-show", http.MethodGet, "/api/v1/users/{id}", "users", "Show a member"),
		func(ctx context.Context, in *UserByID) (*tagged[tandem.Member], error) {
			c := callerOf(ctx)
			m, err := a.options.Registry.User(ctx, c.actor, c.org, in.ID)
			return &tagged[tandem.Member]{versionTag(m.Version), m}, err
		})

	type userUpdateInput struct {
		UserByID
		Edit
		Body struct {
			Role     *tandem.Role `json:"role,omitempty" enum:"owner,admin,manager,operator,viewer" doc:"At most one's own."`
			Disabled *bool        `json:"disabled,omitempty" doc:"Keep the person from signing in anywhere."`
		}
	}
	handle(a, route("users-update", http.MethodPatch, "/api/v1/users/{id}", "users", "Change a member's role, or lock them out"),
		func(ctx context.Context, in *userUpdateInput) (*tagged[tandem.Member], error) {
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			m, err := a.updateUser(ctx, in.ID, in.Body.Role, in.Body.Disabled, named(version)...)
			if err != nil {
				return nil, a.staleMember(ctx, callerOf(ctx), in.ID, err)
			}
			return &tagged[tandem.Member]{versionTag(m.Version), m}, nil
		})

	type removeInput struct {
		UserByID
		Edit
	}
	handle(a, describing(route("users-remove", http.MethodDelete, "/api/v1/users/{id}", "users", "Remove a member"), "The person keeps the account; their tokens of the organization end."),
		func(ctx context.Context, in *removeInput) (*body[tandem.Member], error) {
			c := callerOf(ctx)
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			m, err := a.options.Registry.RemoveUser(ctx, c.actor, c.org, in.ID, named(version)...)
			a.forgetUser(m.ID)
			return with(m, a.staleMember(ctx, c, in.ID, err))
		})
}

// updateUser changes the role and the lock, each of the version that the one before it left.
func (a *API) updateUser(ctx context.Context, ref string, role *tandem.Role, disabled *bool, ifVersion ...int64) (tandem.Member, error) {
	c, r := callerOf(ctx), a.options.Registry
	if role != nil {
		m, err := r.ChangeRole(ctx, c.actor, c.org, ref, *role, ifVersion...)
		if err != nil {
			return m, err
		}
		a.forgetUser(m.ID)
		if len(ifVersion) > 0 {
			ifVersion = []int64{m.Version}
		}
	}
	if disabled != nil {
		u, err := r.DisableUser(ctx, c.actor, c.org, ref, *disabled, ifVersion...)
		if err != nil {
			return tandem.Member{}, err
		}
		a.forgetUser(u.ID)
	}
	return r.User(ctx, c.actor, c.org, ref)
}

// staleMember adds to the refusal of an old version the member as it is now.
func (a *API) staleMember(ctx context.Context, c caller, ref string, err error) error {
	if !tandem.Is(err, tandem.Stale) {
		return err
	}
	now, readErr := a.options.Registry.User(ctx, c.actor, c.org, ref)
	return stale(ctx, err, now, now.Version, readErr)
}

// invitations registers who was asked to join.
func (a *API) invitations() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Sort invitationSort `query:"sort"`
	}
	type invitationList struct {
		Invitations []tandem.Invitation `json:"invitations"`
		Pagination  tandem.Pagination   `json:"pagination"`
	}
	handle(a, route("invitations-list", http.MethodGet, "/api/v1/invitations", "users", "List invitations, newest first"),
		func(ctx context.Context, in *listInput) (*body[invitationList], error) {
			c := callerOf(ctx)
			all, err := a.options.Registry.Invitations(ctx, c.actor, c.org)
			page, err := sortedPage(tandem.InvitationOrder, all, string(in.Sort), in.Listing, err)
			return with(invitationList{page, in.pagination(len(all))}, err)
		})

	type invitationCreateInput struct {
		InOrg
		Once
		Body struct {
			Email string      `json:"email" maxLength:"254"`
			Role  tandem.Role `json:"role" enum:"owner,admin,manager,operator,viewer"`
		}
	}
	type invitationCreated struct {
		tandem.Invitation
		Secret string `json:"secret" doc:"Of the link, to be sent by hand where no mail is set up. It is shown this once."`
	}
	op := created(route("invitations-create", http.MethodPost, "/api/v1/invitations", "users", "Invite a person"))
	op.Metadata = map[string]any{secretKey: true}
	handle(a, op, func(ctx context.Context, in *invitationCreateInput) (*body[invitationCreated], error) {
		c := callerOf(ctx)
		invitation, secret, err := a.options.Registry.Invite(ctx, c.actor, c.org, in.Body.Email, in.Body.Role)
		return with(invitationCreated{invitation, secret}, err)
	})

	handle(a, route("invitations-revoke", http.MethodDelete, "/api/v1/invitations/{id}", "users", "Take an invitation back"),
		func(ctx context.Context, in *ByID) (*body[tandem.Invitation], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.RevokeInvitation(ctx, c.actor, c.org, in.ID))
		})
}
