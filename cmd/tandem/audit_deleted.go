package main

import (
	"context"
	"time"

	"tandem"
)

// inAudit says whose audit a command is about: also one that outlived its organization.
type inAudit struct {
	In
	OrgID string `name:"org-id" placeholder:"ID" help:"The id of an organization that was deleted, of which the audit is left; on the database only. See tandem audit deleted."`
}

// inAudit finds the place and the organization.
func (a *app) inAudit(ctx context.Context, in inAudit, fn func(s *desk, org tandem.Organization) error) error {
	if in.OrgID == "" {
		return a.inOrganization(ctx, in.In, fn)
	}
	if in.Org != "" {
		return &usageError{"--org and --org-id do not go together", "--org names an organization that is there, --org-id one that was deleted"}
	}
	return a.onlyHere(ctx, func(s *session) error {
		all, err := s.registry.DeletedOrganizations(ctx, s.actor)
		if err != nil {
			return err
		}
		for _, o := range all {
			if o.ID == in.OrgID {
				return fn(a.onDatabase(s), tandem.Organization{ID: o.ID, Name: o.Name, Slug: o.Slug})
			}
		}
		return tandem.Errorf(tandem.NotFound, "find deleted organization", in.OrgID, "no organization with this id was deleted").
			WithHint("`tandem audit deleted` shows those that were")
	})
}

// onlyHere refuses to go to a server: who has the database itself looks at what no organization's people can see.
func (a *app) onlyHere(ctx context.Context, fn func(s *session) error) error {
	if a.flags.Server != "" {
		return &usageError{"deleted organizations are not looked at through a server", "work on the database: leave --server out"}
	}
	return a.with(ctx, fn)
}

// AuditDeletedCmd is `tandem audit deleted`.
type AuditDeletedCmd struct{}

// Run lists them.
func (c *AuditDeletedCmd) Run(ctx context.Context, a *app) error {
	return a.onlyHere(ctx, func(s *session) error {
		all, err := s.registry.DeletedOrganizations(ctx, s.actor)
		if err != nil {
			return err
		}
		if a.out.json {
			if all == nil {
				all = []tandem.DeletedOrganization{}
			}
			return a.out.value(map[string]any{"organizations": all})
		}
		if len(all) == 0 {
			a.out.printf("no organization was deleted\n")
			return nil
		}
		rows := make([][]string, len(all))
		for i, o := range all {
			rows[i] = []string{o.ID, o.Slug, o.Name, o.DeletedAt.Format(time.DateTime)}
		}
		a.out.table([]string{"id", "slug", "name", "deleted"}, rows)
		return nil
	})
}
