package main

import (
	"context"
	"strings"

	"tandem"
)

// RemoteCmd is `tandem remote`.
type RemoteCmd struct {
	List   RemoteListCmd   `cmd:"" help:"List what the last sync saw on a service."`
	Import RemoteImportCmd `cmd:"" help:"Create devices here for remote ones, whatever the filters say."`
	Ignore RemoteIgnoreCmd `cmd:"" help:"Hide remote devices from the list, or show them again."`
}

// RemoteListCmd is `tandem remote list`.
type RemoteListCmd struct {
	In
	Paging
	Service   string `help:"The service; may be left out where there is only one."`
	NotLinked bool   `default:"true" help:"Only those that nothing here is linked to, which is what is kept."`
	Search    string `help:"Part of the name."`
	Reason    string `enum:",not_imported,filtered,ambiguous,ignored,unlinked" default:"" help:"not_imported, filtered, ambiguous, ignored or unlinked."`
	Ignored   bool   `help:"With the ignored ones."`
	Sort      string `enum:"${sort_remote}" default:"" help:"${sorts_remote}"`
}

// Run lists them.
func (c *RemoteListCmd) Run(ctx context.Context, a *app) error {
	page, err := c.page()
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "--service")
		if err != nil {
			return err
		}
		all, total, err := s.NotLinked(ctx, org.ID, v.ID, tandem.NotLinkedFilter{Search: c.Search, Reason: c.Reason, Ignored: c.Ignored, Sort: c.Sort, Page: page})
		if err != nil {
			return err
		}
		if a.out.json {
			if all == nil {
				all = []tandem.NotLinked{}
			}
			return a.out.value(map[string]any{"remote_devices": all, "pagination": pagination(page, total)})
		}
		if total == 0 {
			if v.LastListedAt == nil {
				a.out.printf("%s has not been synced yet: tandem sync %s --org %s\n", clean(v.Name), word(v.Name), org.Slug)
			} else {
				a.out.printf("every device on %s is linked here, as of %s\n", clean(v.Name), a.out.ago(v.LastListedAt))
			}
			return nil
		}
		rows := make([][]string, len(all))
		for i := range all {
			r := &all[i]
			rows[i] = []string{r.ExternalDeviceID, short(r.Name, 32), short(list(r.Device.HardwareIDs), 36), r.Reason, number(len(r.Candidates)), a.out.since(r.FirstSeenAt)}
		}
		a.out.table([]string{"id", "name", "hardware ids", "reason", "candidates", "first seen"}, rows)
		a.out.more(page, (page.Number-1)*page.Limit+len(all), total)
		a.out.printf("%s\n", a.out.dim("import some: tandem remote import ID…   link one: tandem device link DEVICE ID   hide some: tandem remote ignore ID…"))
		return nil
	})
}

// RemoteImportCmd is `tandem remote import`.
type RemoteImportCmd struct {
	In
	Service string   `help:"The service; may be left out where there is only one."`
	IDs     []string `arg:"" name:"id" help:"The remote devices' ids."`
}

// Run imports them.
func (c *RemoteImportCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "--service")
		if err != nil {
			return err
		}
		return s.runToEnd(ctx, org, &v, func(report tandem.Report) (tandem.Run, error) {
			return s.ImportRemote(ctx, org.ID, v.ID, c.IDs, report)
		})
	})
}

// RemoteIgnoreCmd is `tandem remote ignore`.
type RemoteIgnoreCmd struct {
	In
	Service string   `help:"The service; may be left out where there is only one."`
	IDs     []string `arg:"" name:"id" help:"The remote devices' ids."`
	Undo    bool     `help:"Show them again."`
}

// Run hides them.
func (c *RemoteIgnoreCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "--service")
		if err != nil {
			return err
		}
		if err := s.IgnoreRemote(ctx, org.ID, v.ID, c.IDs, !c.Undo); err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"ignored": !c.Undo, "external_device_ids": c.IDs})
		}
		verb := "hidden from"
		if c.Undo {
			verb = "shown again in"
		}
		a.out.printf("%s %s the list: %s\n", devices(len(c.IDs)), verb, strings.Join(c.IDs, ", "))
		return nil
	})
}
