package client

import (
	"context"
	"net/http"
	"strconv"

	"tandem"
	"tandem/registry"
)

// Organizations lists the caller's own, by slug.
func (c *Client) Organizations(ctx context.Context) ([]tandem.Organization, error) {
	var r struct{ Organizations []tandem.Organization }
	err := c.do(ctx, call{method: http.MethodGet, path: path("organizations"), query: values("limit", "1000")}, &r)
	return r.Organizations, err
}

// Organization finds one of them by id or slug.
func (c *Client) Organization(ctx context.Context, ref string) (tandem.Organization, error) {
	var o tandem.Organization
	err := c.do(ctx, call{method: http.MethodGet, path: path("organizations", ref)}, &o)
	return o, err
}

// CreateOrganization makes one, which the signed-in person then owns.
func (c *Client) CreateOrganization(ctx context.Context, name, slug string) (tandem.Organization, error) {
	var o tandem.Organization
	err := c.do(ctx, call{method: http.MethodPost, path: path("organizations"), body: map[string]string{"name": name, "slug": slug}}, &o)
	return o, err
}

// UpdateOrganization changes one.
func (c *Client) UpdateOrganization(ctx context.Context, ref string, edit registry.OrganizationEdit) (tandem.Organization, error) {
	body := map[string]any{}
	if edit.Name != nil {
		body["name"] = *edit.Name
	}
	if edit.Slug != nil {
		body["slug"] = *edit.Slug
	}
	if edit.EscalateAfter != nil {
		body["escalate_after_minutes"] = *edit.EscalateAfter
	}
	var o tandem.Organization
	err := c.do(ctx, call{method: http.MethodPatch, path: path("organizations", ref), body: body, match: version(edit.IfVersion)}, &o)
	return o, err
}

// DeleteOrganization removes one with everything in it, with a version only that one.
func (c *Client) DeleteOrganization(ctx context.Context, ref string, ifVersion ...int64) (tandem.Organization, error) {
	o, err := c.Organization(ctx, ref)
	if err != nil {
		return o, err
	}
	return o, c.do(ctx, call{method: http.MethodDelete, path: path("organizations", o.ID), query: values("confirm", o.Slug), match: versions(ifVersion)}, nil)
}

// Users lists the members, by email.
func (c *Client) Users(ctx context.Context, org string, filter tandem.MemberFilter) ([]tandem.Member, int, error) {
	var r struct {
		Users      []tandem.Member
		Pagination tandem.Pagination
	}
	query := paging(values("search", filter.Search, "role", string(filter.Role), "sort", filter.Sort), filter.Page)
	err := c.do(ctx, call{method: http.MethodGet, path: path("users"), org: org, query: query}, &r)
	return r.Users, r.Pagination.Total, err
}

// User finds a member by id or email.
func (c *Client) User(ctx context.Context, org, ref string) (tandem.Member, error) {
	var m tandem.Member
	err := c.do(ctx, call{method: http.MethodGet, path: path("users", ref), org: org}, &m)
	return m, err
}

// ChangeRole gives a member another role, with a version only of that one.
func (c *Client) ChangeRole(ctx context.Context, org, ref string, role tandem.Role, ifVersion ...int64) (tandem.Member, error) {
	var m tandem.Member
	err := c.do(ctx, call{method: http.MethodPatch, path: path("users", ref), org: org, body: map[string]any{"role": role}, match: versions(ifVersion)}, &m)
	return m, err
}

// DisableUser keeps a person from signing in anywhere, or lets them again.
func (c *Client) DisableUser(ctx context.Context, org, ref string, disabled bool, ifVersion ...int64) (tandem.User, error) {
	var m tandem.Member
	err := c.do(ctx, call{method: http.MethodPatch, path: path("users", ref), org: org, body: map[string]any{"disabled": disabled}, match: versions(ifVersion)}, &m)
	return m.User, err
}

// RemoveUser ends a membership, with a version only that one.
func (c *Client) RemoveUser(ctx context.Context, org, ref string, ifVersion ...int64) (tandem.Member, error) {
	var m tandem.Member
	err := c.do(ctx, call{method: http.MethodDelete, path: path("users", ref), org: org, match: versions(ifVersion)}, &m)
	return m, err
}

// Invite asks a person to join, and gives the secret of the link.
func (c *Client) Invite(ctx context.Context, org, email string, role tandem.Role) (tandem.Invitation, string, error) {
	var r struct {
		tandem.Invitation
		Secret string `json:"secret"`
	}
	err := c.do(ctx, call{method: http.MethodPost, path: path("invitations"), org: org, body: map[string]any{"email": email, "role": role}}, &r)
	return r.Invitation, r.Secret, err
}

// Invitations lists who was invited, newest first.
func (c *Client) Invitations(ctx context.Context, org string) ([]tandem.Invitation, error) {
	var r struct{ Invitations []tandem.Invitation }
	err := c.do(ctx, call{method: http.MethodGet, path: path("invitations"), org: org, query: values("limit", "1000")}, &r)
	return r.Invitations, err
}

// RevokeInvitation takes one back.
func (c *Client) RevokeInvitation(ctx context.Context, org, id string) (tandem.Invitation, error) {
	var in tandem.Invitation
	err := c.do(ctx, call{method: http.MethodDelete, path: path("invitations", id), org: org}, &in)
	return in, err
}

// ResetPassword sets a new password for the bearer of a reset link.
func (c *Client) ResetPassword(ctx context.Context, secret, password string) error {
	return c.do(ctx, call{method: http.MethodPost, path: path("session", "password-reset", "complete"), body: map[string]string{"secret": secret, "password": password}}, nil)
}

// Tokens lists tokens, newest first: one's own, or all for who manages them.
func (c *Client) Tokens(ctx context.Context, org string) ([]tandem.Token, error) {
	var all []tandem.Token
	for number := 1; ; number++ {
		var r struct {
			Tokens     []tandem.Token
			Pagination tandem.Pagination
		}
		if err := c.do(ctx, call{method: http.MethodGet, path: path("tokens"), org: org, query: paging(values(), tandem.Page{Number: number, Limit: 1000})}, &r); err != nil {
			return all, err
		}
		if all = append(all, r.Tokens...); number >= r.Pagination.Pages {
			return all, nil
		}
	}
}

// CreateToken makes a token and gives its secret, this once.
func (c *Client) CreateToken(ctx context.Context, org string, add registry.NewToken) (tandem.Token, string, error) {
	body := map[string]any{"name": add.Name, "never_expires": add.Never, "shared": add.Shared}
	if add.Role != "" {
		body["role"] = add.Role
	}
	if len(add.Scopes) > 0 {
		body["scopes"] = add.Scopes
	}
	if add.Life > 0 {
		body["expires_in"] = add.Life.String()
	}
	var r struct {
		tandem.Token
		Secret string `json:"token"`
	}
	err := c.do(ctx, call{method: http.MethodPost, path: path("tokens"), org: org, body: body}, &r)
	return r.Token, r.Secret, err
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, org, id string) (tandem.Token, error) {
	var t tandem.Token
	err := c.do(ctx, call{method: http.MethodDelete, path: path("tokens", id), org: org}, &t)
	return t, err
}

// Audit lists who changed what, newest first.
func (c *Client) Audit(ctx context.Context, org string, filter tandem.AuditFilter) ([]tandem.SealedEntry, int, error) {
	var r struct {
		Entries    []tandem.SealedEntry
		Pagination tandem.Pagination
	}
	query := paging(values("actor", filter.Actor, "action", filter.Action, "thing_type", filter.ThingType, "thing_id", filter.ThingID, "run", filter.RunID, "search", filter.Search,
		"since", instant(filter.Since), "until", instant(filter.Until), "sort", filter.Sort), filter.Page)
	err := c.do(ctx, call{method: http.MethodGet, path: path("audit"), org: org, query: query}, &r)
	return r.Entries, r.Pagination.Total, err
}

// AuditChain walks the sealed entries in the chain's order, after a place; an empty reply ends it.
func (c *Client) AuditChain(ctx context.Context, org string, after int64, limit int) ([]tandem.SealedEntry, error) {
	var r struct{ Entries []tandem.SealedEntry }
	query := values("after", strconv.FormatInt(after, 10), "limit", strconv.Itoa(min(max(limit, 1), 1000)))
	err := c.do(ctx, call{method: http.MethodGet, path: path("audit", "chain"), org: org, query: query}, &r)
	return r.Entries, err
}

// AuditEnd gives where the chain ends.
func (c *Client) AuditEnd(ctx context.Context, org string) (tandem.AuditSeal, error) {
	var seal tandem.AuditSeal
	err := c.do(ctx, call{method: http.MethodGet, path: path("audit", "end"), org: org}, &seal)
	return seal, err
}

// RunDigests gives what a run's entries are now, to be held against what the audit tells of them.
func (c *Client) RunDigests(ctx context.Context, org, run string) (tandem.RunDigests, error) {
	var digests tandem.RunDigests
	err := c.do(ctx, call{method: http.MethodGet, path: path("audit", "runs", run, "digests"), org: org}, &digests)
	return digests, err
}

// AuditTail gives the entries that are not sealed yet, oldest first, and counts them.
func (c *Client) AuditTail(ctx context.Context, org string, limit int) ([]tandem.AuditEntry, int, error) {
	var r struct {
		Entries []tandem.AuditEntry
		Total   int
	}
	err := c.do(ctx, call{method: http.MethodGet, path: path("audit", "unsealed"), org: org, query: values("limit", strconv.Itoa(min(max(limit, 1), 1000)))}, &r)
	return r.Entries, r.Total, err
}
