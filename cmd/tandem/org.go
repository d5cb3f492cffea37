package main

import (
	"context"
	"fmt"

	"tandem"
	"tandem/registry"
)

// OrgCmd is `tandem org`.
type OrgCmd struct {
	Create OrgCreateCmd `cmd:"" help:"Make an organization."`
	List   OrgListCmd   `cmd:"" help:"List the organizations."`
	Show   OrgShowCmd   `cmd:"" help:"Show one with what it has."`
	Update OrgUpdateCmd `cmd:"" help:"Change an organization's name or slug."`
	Delete OrgDeleteCmd `cmd:"" help:"Delete an organization and everything that it has here."`
}

// OrgCreateCmd is `tandem org create`.
type OrgCreateCmd struct {
	Name string `arg:"" help:"Its name."`
	Slug string `help:"Its short name for commands and URLs; made from the name when left out."`
}

// Run makes it.
func (c *OrgCreateCmd) Run(ctx context.Context, a *app) error {
	return a.at(ctx, func(s *desk) error {
		o, err := s.CreateOrganization(ctx, c.Name, c.Slug)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(o)
		}
		a.out.printf("created the organization %s\n", a.out.bold(o.Slug))
		a.out.note("next: tandem service add golioth --org %s --name NAME --project ID --api-key-file FILE\n", o.Slug)
		return nil
	})
}

// OrgListCmd is `tandem org list`.
type OrgListCmd struct {
	Sort string `enum:"${sort_org}" default:"" help:"${sorts_org}"`
}

// Run lists them.
func (c *OrgListCmd) Run(ctx context.Context, a *app) error {
	return a.at(ctx, func(s *desk) error {
		all, err := s.Organizations(ctx)
		if err != nil {
			return err
		}
		if err := tandem.OrganizationOrder.Sort(all, c.Sort); err != nil {
			return err
		}
		if a.out.json {
			if all == nil {
				all = []tandem.Organization{}
			}
			return a.out.value(map[string]any{"organizations": all})
		}
		if len(all) == 0 {
			a.out.printf("no organization yet; make one: tandem org create NAME\n")
			return nil
		}
		rows := make([][]string, len(all))
		for i, o := range all {
			rows[i] = []string{o.Slug, clean(o.Name), a.out.since(o.CreatedAt), o.ID}
		}
		a.out.table([]string{"slug", "name", "created", "id"}, rows)
		return nil
	})
}

// OrgShowCmd is `tandem org show`.
type OrgShowCmd struct {
	Org string `arg:"" optional:"" help:"Its slug or id."`
}

// Run shows it.
func (c *OrgShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, In{c.Org}, func(s *desk, o tandem.Organization) error {
		if a.out.json {
			return a.out.value(o)
		}
		_, total, err := s.Devices(ctx, o.ID, tandem.DeviceFilter{Page: tandem.Page{Number: 1, Limit: 1}})
		if err != nil {
			return err
		}
		services, err := s.Services(ctx, o.ID)
		if err != nil {
			return err
		}
		names := make([]string, len(services))
		for i := range services {
			names[i] = services[i].Name
		}
		a.out.pairs("name", clean(o.Name), "slug", o.Slug, "id", o.ID, "created", a.out.since(o.CreatedAt),
			"devices", number(total), "services", list(names))
		return nil
	})
}

// OrgUpdateCmd is `tandem org update`.
type OrgUpdateCmd struct {
	Org  string  `arg:"" help:"Its slug or id."`
	Name *string `help:"The new name."`
	Slug *string `help:"The new slug."`

	EscalateAfter *int `placeholder:"MINUTES" help:"After how many minutes an alert that nobody acknowledges escalates; 0 for never."`
}

// Run changes it.
func (c *OrgUpdateCmd) Run(ctx context.Context, a *app) error {
	if c.Name == nil && c.Slug == nil && c.EscalateAfter == nil {
		return &usageError{"nothing to change", "give --name, --slug or --escalate-after"}
	}
	return a.inOrganization(ctx, In{c.Org}, func(s *desk, o tandem.Organization) error {
		o, err := s.UpdateOrganization(ctx, o.ID, registry.OrganizationEdit{Name: c.Name, Slug: c.Slug, EscalateAfter: c.EscalateAfter})
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(o)
		}
		a.out.printf("updated the organization %s\n", o.Slug)
		return nil
	})
}

// OrgDeleteCmd is `tandem org delete`.
type OrgDeleteCmd struct {
	Org string `arg:"" help:"Its slug or id."`
	Yes bool   `help:"Do not ask."`
}

// Run deletes it.
func (c *OrgDeleteCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, In{c.Org}, func(s *desk, o tandem.Organization) error {
		_, total, err := s.Devices(ctx, o.ID, tandem.DeviceFilter{Page: tandem.Page{Number: 1, Limit: 1}})
		if err != nil {
			return err
		}
		question := fmt.Sprintf("delete the organization %s with its %s, services and history here? Its Golioth projects are not touched", o.Slug, devices(total))
		if err := a.confirm(c.Yes, question); err != nil {
			return err
		}
		if _, err := s.DeleteOrganization(ctx, o.ID, o.Version); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"deleted": o.ID})
		}
		a.out.printf("deleted the organization %s\n", o.Slug)
		a.out.note("its audit is left until retention removes it, for whoever has the database: tandem audit verify --org-id %s\n", o.ID)
		return nil
	})
}
