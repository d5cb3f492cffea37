package api

import (
	"context"
	"net/http"
	"time"

	"tandem"
	"tandem/registry"
)

// organizations registers the caller's own tenants.
func (a *API) organizations() {
	type listInput struct {
		Listing
		Selection
		Sort organizationSort `query:"sort"`
	}
	type organizationList struct {
		Organizations []tandem.Organization `json:"organizations"`
		Pagination    tandem.Pagination     `json:"pagination"`
	}
	handle(a, route("organizations-list", http.MethodGet, "/api/v1/organizations", "organizations", "List one's organizations"),
		func(ctx context.Context, in *listInput) (*body[organizationList], error) {
			all, err := a.options.Registry.Organizations(ctx, callerOf(ctx).actor)
			page, err := sortedPage(tandem.OrganizationOrder, all, string(in.Sort), in.Listing, err)
			return with(organizationList{page, in.pagination(len(all))}, err)
		})

	type organizationCreateInput struct {
		Once
		Body struct {
			Name string `json:"name" minLength:"1" maxLength:"200"`
			Slug string `json:"slug,omitempty" maxLength:"63" doc:"Made from the name when left out."`
		}
	}
	type organizationCreated struct {
		ETag     string `header:"ETag" doc:"The version, for If-Match."`
		Location string `header:"Location" doc:"The organization."`
		Body     tandem.Organization
	}
	handle(a, created(route("organizations-create", http.MethodPost, "/api/v1/organizations", "organizations", "Make an organization")),
		func(ctx context.Context, in *organizationCreateInput) (*organizationCreated, error) {
			c := callerOf(ctx)
			o, err := a.options.Registry.CreateOrganization(ctx, c.actor, in.Body.Name, in.Body.Slug)
			a.forgetUser(c.actor.UserID) // who made it owns it from now on
			return &organizationCreated{versionTag(o.Version), "/api/v1/organizations/" + o.ID, o}, err
		})

	type OrganizationByID struct {
		ID string `path:"id" maxLength:"200" doc:"By id or slug."`
	}
	handle(a, route("organizations-show", http.MethodGet, "/api/v1/organizations/{id}", "organizations", "Show an organization"),
		func(ctx context.Context, in *OrganizationByID) (*tagged[tandem.Organization], error) {
			o, err := a.options.Registry.Organization(ctx, callerOf(ctx).actor, in.ID)
			return &tagged[tandem.Organization]{versionTag(o.Version), o}, err
		})

	type organizationUpdateInput struct {
		OrganizationByID
		Edit
		Body struct {
			Name *string `json:"name,omitempty" maxLength:"200"`
			Slug *string `json:"slug,omitempty" maxLength:"63"`

			EscalateAfter *int `json:"escalate_after_minutes,omitempty" minimum:"0" maximum:"43200" doc:"After how many minutes an alert that nobody acknowledges escalates; 0 for never, 30 where it was never set."`
		}
	}
	handle(a, route("organizations-update", http.MethodPatch, "/api/v1/organizations/{id}", "organizations", "Change an organization"),
		func(ctx context.Context, in *organizationUpdateInput) (*tagged[tandem.Organization], error) {
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			o, err := a.options.Registry.UpdateOrganization(ctx, callerOf(ctx).actor, in.ID, registry.OrganizationEdit{Name: in.Body.Name, Slug: in.Body.Slug,
				EscalateAfter: in.Body.EscalateAfter, IfVersion: expected(version)})
			a.slugs.forget(o.ID)
			if err != nil {
				return nil, a.staleOrganization(ctx, in.ID, err)
			}
			return &tagged[tandem.Organization]{versionTag(o.Version), o}, nil
		})

	type deleteInput struct {
		OrganizationByID
		Edit
		Confirm string `query:"confirm" maxLength:"63" doc:"The organization's slug, to say that it is meant."`
	}
	handle(a, describing(route("organizations-delete", http.MethodDelete, "/api/v1/organizations/{id}", "organizations", "Delete an organization and everything in it"),
		"Its remote projects are not touched."),
		func(ctx context.Context, in *deleteInput) (*body[deleted], error) {
			actor := callerOf(ctx).actor
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			o, err := a.options.Registry.Organization(ctx, actor, in.ID)
			if err != nil {
				return nil, err
			}
			if in.Confirm != o.Slug {
				return nil, tandem.Errorf(tandem.Invalid, "delete organization", o.Name, "it holds everything that belongs to it, and the request does not say that this is meant").
					WithHint("add ?confirm= with its slug")
			}
			if o, err = a.options.Registry.DeleteOrganization(ctx, actor, o.ID, named(version)...); err != nil {
				return nil, a.staleOrganization(ctx, in.ID, err)
			}
			a.callers.forgetAll(func(other registry.Actor) bool { _, member := other.Roles[o.ID]; return member })
			return with(deleted{o.ID}, nil)
		})
}

// staleOrganization adds to the refusal of an old version the organization as it is now.
func (a *API) staleOrganization(ctx context.Context, ref string, err error) error {
	if !tandem.Is(err, tandem.Stale) {
		return err
	}
	now, readErr := a.options.Registry.Organization(ctx, callerOf(ctx).actor, ref)
	return stale(ctx, err, now, now.Version, readErr)
}

// audit registers who changed what.
func (a *API) audit() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Actor     string    `query:"actor" maxLength:"200" doc:"By id, or part of the name."`
		Action    string    `query:"action" maxLength:"100" doc:"Such as device.update, or device for all of its."`
		ThingType string    `query:"thing_type" maxLength:"100"`
		ThingID   string    `query:"thing_id" maxLength:"200"`
		Run       string    `query:"run" maxLength:"100" doc:"Of this run, by id."`
		Search    string    `query:"search" maxLength:"200" doc:"Part of the thing's or the actor's name."`
		Since     time.Time `query:"since" doc:"Not before."`
		Until     time.Time `query:"until" doc:"Before."`
		Sort      auditSort `query:"sort"`
	}
	type auditList struct {
		Entries    []tandem.SealedEntry `json:"entries"`
		Pagination tandem.Pagination    `json:"pagination"`
	}
	handle(a, route("audit-list", http.MethodGet, "/api/v1/audit", "audit", "List who changed what, newest first"),
		func(ctx context.Context, in *listInput) (*body[auditList], error) {
			c := callerOf(ctx)
			rows, total, err := a.options.Registry.Audit(ctx, c.actor, c.org, tandem.AuditFilter{Actor: in.Actor, Action: in.Action, ThingType: in.ThingType, ThingID: in.ThingID,
				RunID: in.Run, Search: in.Search, Since: in.Since, Until: in.Until, Sort: string(in.Sort), Page: in.page()})
			return with(auditList{list(rows), in.pagination(total)}, err)
		})

	type chainInput struct {
		OrganizationParam
		After int64 `query:"after" minimum:"0" doc:"After this place in the chain; 0 from the beginning."`
		Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
	}
	type auditChain struct {
		Entries []tandem.SealedEntry `json:"entries"`
	}
	handle(a, describing(route("audit-chain", http.MethodGet, "/api/v1/audit/chain", "audit", "Walk the sealed entries in the chain's order"), "An empty reply ends it."),
		func(ctx context.Context, in *chainInput) (*body[auditChain], error) {
			c := callerOf(ctx)
			rows, err := a.options.Registry.AuditChain(ctx, c.actor, c.org, in.After, in.Limit)
			return with(auditChain{list(rows)}, err)
		})

	type endInput struct{ OrganizationParam }
	handle(a, describing(route("audit-end", http.MethodGet, "/api/v1/audit/end", "audit", "Show where the chain ends"), "Its place is 0 where nothing is sealed yet."),
		func(ctx context.Context, _ *endInput) (*body[tandem.AuditSeal], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.AuditEnd(ctx, c.actor, c.org))
		})

	type digestsInput struct {
		OrganizationParam
		Run string `path:"run" maxLength:"100" doc:"The run's id."`
	}
	handle(a, describing(route("audit-run-digests", http.MethodGet, "/api/v1/audit/runs/{run}/digests", "audit", "Show the digests of a run's entries as they are now"),
		"To be held against the audit's entries of the action run.batch; `tandem audit verify` does. A run that is not kept any more has none."),
		func(ctx context.Context, in *digestsInput) (*body[tandem.RunDigests], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.RunDigests(ctx, c.actor, c.org, in.Run))
		})

	type tailInput struct {
		OrganizationParam
		Limit int `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
	}
	type auditTail struct {
		Entries []tandem.AuditEntry `json:"entries"`
		Total   int                 `json:"total"`
	}
	handle(a, route("audit-tail", http.MethodGet, "/api/v1/audit/unsealed", "audit", "List the entries that are not sealed yet, oldest first"),
		func(ctx context.Context, in *tailInput) (*body[auditTail], error) {
			c := callerOf(ctx)
			rows, total, err := a.options.Registry.AuditTail(ctx, c.actor, c.org, in.Limit)
			return with(auditTail{list(rows), total}, err)
		})
}
