package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
)

// ConflictsCmd is `tandem conflicts`.
type ConflictsCmd struct {
	List    ConflictsListCmd    `cmd:"" help:"List what both sides changed differently."`
	Show    ConflictsShowCmd    `cmd:"" help:"Show one with its three values."`
	Resolve ConflictsResolveCmd `cmd:"" help:"Settle one, or many by service, field and type."`
}

// ConflictGroup narrows conflicts, as flags.
type ConflictGroup struct {
	Service string `help:"Of this service."`
	Field   string `help:"Of this field, such as name or metadata/site; metadata is all of its leaves."`
	Type    string `enum:",concurrent_modification,initial_mismatch,ambiguous_match,deleted_remotely,deleted_locally" default:"" help:"concurrent_modification, initial_mismatch, ambiguous_match, deleted_remotely or deleted_locally."`
}

func (g *ConflictGroup) filter(ctx context.Context, s *desk, org tandem.Organization) (tandem.ConflictFilter, error) {
	filter := tandem.ConflictFilter{Field: tandem.Path(g.Field), Type: tandem.ConflictType(g.Type)}
	if g.Field != "" {
		if _, ok := filter.Field.Field(); !ok {
			_, err := tandem.ParseField(g.Field)
			return filter, err
		}
	}
	if g.Service != "" {
		v, err := s.service(ctx, org, g.Service, "--service")
		if err != nil {
			return filter, err
		}
		filter.ServiceID = v.ID
	}
	return filter, nil
}

// ConflictsListCmd is `tandem conflicts list`.
type ConflictsListCmd struct {
	In
	ConflictGroup
	Paging
	Device string `help:"Of this device."`
	Status string `enum:",pending,resolving,resolved,ignored,auto_resolved,converged,superseded" default:"" help:"With this status; open ones when left out."`
	All    bool   `help:"Closed ones too."`
	Search string `help:"Part of the device's name."`
	Groups bool   `help:"Count them by service, field and type instead."`
	Sort   string `enum:"${sort_conflicts}" default:"" help:"${sorts_conflicts}"`
}

// Run lists them.
func (c *ConflictsListCmd) Run(ctx context.Context, a *app) error {
	page, err := c.page()
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		filter, err := c.filter(ctx, s, org)
		if err != nil {
			return err
		}
		filter.Status, filter.All, filter.Search, filter.Sort, filter.Page = tandem.ResolutionStatus(c.Status), c.All, c.Search, c.Sort, page
		if c.Device != "" {
			d, err := s.Device(ctx, org.ID, c.Device)
			if err != nil {
				return err
			}
			filter.DeviceIDs = []string{d.ID}
		}
		if c.Groups {
			return s.showConflictGroups(ctx, org, filter)
		}
		all, total, err := s.Conflicts(ctx, org.ID, filter)
		if err != nil {
			return err
		}
		if a.out.json {
			if all == nil {
				all = []tandem.Conflict{}
			}
			return a.out.value(map[string]any{"conflicts": all, "pagination": pagination(page, total)})
		}
		if total == 0 {
			a.out.printf("no conflict\n")
			return nil
		}
		rows := make([][]string, len(all))
		for i := range all {
			v := &all[i]
			rows[i] = []string{v.ID, short(dash(v.DeviceName), 28), dash(string(v.FieldName)), string(v.Type), short(valueText(v.BaseValue), 24),
				short(valueText(v.LocalValue), 24), short(valueText(v.RemoteValue), 24), string(v.Status), a.out.since(v.CreatedAt)}
		}
		a.out.table([]string{"id", "device", "field", "type", "base", "local", "remote", "status", "found"}, rows)
		a.out.more(page, (page.Number-1)*page.Limit+len(all), total)
		if !slices.ContainsFunc(all, func(v tandem.Conflict) bool { return v.Open() }) {
			return nil
		}
		a.out.printf("%s\n", a.out.dim("settle one: tandem conflicts resolve ID --take local|remote|ignore, or --value JSON; many: --field F --take …"))
		return nil
	})
}

// ConflictsShowCmd is `tandem conflicts show`.
type ConflictsShowCmd struct {
	In
	ID string `arg:"" help:"The conflict's id."`
}

// Run shows it.
func (c *ConflictsShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.Conflict(ctx, org.ID, c.ID)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(v)
		}
		edited := func(value string, at string) string {
			if at == "never" {
				return value
			}
			return value + "  (" + at + ")"
		}
		a.out.pairs("device", dash(v.DeviceName), "remote device", clean(v.ExternalDeviceID), "field", dash(string(v.FieldName)), "type", string(v.Type),
			"base", valueText(v.BaseValue), "local", edited(valueText(v.LocalValue), a.out.ago(v.LocalUpdatedAt)),
			"remote", edited(valueText(v.RemoteValue), a.out.ago(v.RemoteUpdatedAt)), "why", clean(v.Explanation),
			"status", string(v.Status), "settled by", strings.TrimSpace(v.ResolutionStrategy+" "+clean(v.ResolvedBy)), "found", a.out.since(v.CreatedAt), "run", v.RunID)
		if v.Open() {
			a.out.printf("settle it: tandem conflicts resolve %s --org %s --take %s\n", v.ID, org.Slug, choices(v.Type))
		}
		return nil
	})
}

// choices are the ways to settle a type of conflict (S10).
func choices(t tandem.ConflictType) string {
	switch t {
	case tandem.AmbiguousMatch:
		return "link --device ID | create | ignore"
	case tandem.DeletedRemotely, tandem.DeletedLocally:
		return "delete | recreate | unlink"
	}
	return "local | remote | ignore, or --value JSON"
}

// ConflictsResolveCmd is `tandem conflicts resolve`.
type ConflictsResolveCmd struct {
	In
	ConflictGroup
	IDs    []string `arg:"" optional:"" name:"id" help:"The conflicts' ids; leave them out to settle by --service, --field and --type."`
	Take   string   `enum:",local,remote,ignore,link,create,delete,recreate,unlink" default:"" help:"local, remote or ignore; for an ambiguous match link, create or ignore; for a deleted device delete, recreate or unlink."`
	Value  *string  `placeholder:"JSON" help:"Settle with this value instead."`
	Device string   `help:"With --take link: the device to link."`
	DryRun bool     `help:"Show what would be done, and do nothing."`
	Yes    bool     `help:"Do not ask."`
}

// Run settles.
func (c *ConflictsResolveCmd) Run(ctx context.Context, a *app) error {
	settlement, err := c.settlement()
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		if settlement.Filter, err = c.filter(ctx, s, org); err != nil {
			return err
		}
		settlement.Filter.IDs, settlement.DryRun = c.IDs, c.DryRun
		if c.Device != "" {
			d, err := s.Device(ctx, org.ID, c.Device)
			if err != nil {
				return err
			}
			settlement.DeviceID = d.ID
		}
		for _, id := range c.IDs { // a wrong id is an error, not nothing to do
			v, err := s.Conflict(ctx, org.ID, id)
			if err != nil {
				return err
			}
			if !v.Open() {
				return settledAlready(a, &v)
			}
		}
		if len(c.IDs) == 0 && !c.Yes && !c.DryRun {
			preview := settlement
			preview.DryRun = true
			settled, err := s.Settle(ctx, org.ID, preview)
			if err != nil {
				return err
			}
			if len(settled) > 0 || !a.out.json {
				a.showSettled(settled, true)
			}
			if len(settled) == 0 {
				if a.out.json {
					return a.out.value(map[string]any{"dry_run": false, "settled": []tandem.Settled{}})
				}
				return nil
			}
			if err := a.confirm(false, "settle "+count(len(settled), "conflict", "conflicts")); err != nil {
				return err
			}
		}
		settled, err := s.Settle(ctx, org.ID, settlement)
		if err != nil {
			return err
		}
		failed := 0
		for i := range settled {
			if settled[i].Error != nil {
				failed++
			}
		}
		if a.out.json {
			if settled == nil {
				settled = []tandem.Settled{}
			}
			if err := a.out.value(map[string]any{"dry_run": c.DryRun, "settled": settled}); err != nil {
				return err
			}
		} else {
			a.showSettled(settled, c.DryRun)
		}
		switch {
		case failed > 0 && failed == len(settled):
			return exitCode(exitFailed)
		case failed > 0:
			return exitCode(exitPartial)
		}
		return nil
	})
}

// settledAlready says how and by whom a conflict was closed.
func settledAlready(a *app, v *tandem.Conflict) error {
	how := strings.ReplaceAll(string(v.Status), "_", " ")
	if v.ResolutionStrategy != "" {
		how += ", " + v.ResolutionStrategy
	}
	if v.ResolvedBy != "" {
		how += ", by " + clean(v.ResolvedBy)
	}
	if v.ResolvedAt != nil {
		how += ", " + a.out.since(*v.ResolvedAt)
	}
	return tandem.Errorf(tandem.Stale, "settle conflict", v.ID, "it is settled already: %s", how).
		WithHint("its values then and now: tandem conflicts show %s", v.ID)
}

// settlement reads how to settle.
func (c *ConflictsResolveCmd) settlement() (tandem.Settlement, error) {
	s := tandem.Settlement{Take: tandem.Choice(c.Take)}
	switch {
	case c.Take == "" && c.Value == nil:
		return s, &usageError{"how to settle is missing", "give --take local|remote|ignore, or --value JSON"}
	case c.Take != "" && c.Value != nil:
		return s, &usageError{"--take and --value exclude each other", ""}
	case len(c.IDs) == 0 && c.Service == "" && c.Field == "" && c.Type == "":
		return s, &usageError{"it is not said which conflicts", "give ids, or settle a group by --service, --field and --type"}
	case len(c.IDs) > 0 && (c.Service != "" || c.Field != "" || c.Type != ""):
		return s, &usageError{"give ids or a group, not both", ""}
	case c.Take == "link" && c.Device == "":
		return s, &usageError{"--take link needs the device to link", "give --device ID"}
	}
	if c.Value != nil {
		d := json.NewDecoder(strings.NewReader(*c.Value))
		d.UseNumber()
		if err := d.Decode(&s.Value); err != nil || d.More() {
			return s, &usageError{"--value is not JSON", `a text goes in double quotes: --value '"gw-01"'`}
		}
		s.Take = tandem.TakeValue
	}
	return s, nil
}

// wholeDevice says what an action does to a device as a whole.
var wholeDevice = map[tandem.Action]string{
	tandem.ActUnlink:   "unlinked; the device stays as it is",
	tandem.ActLink:     "linked",
	tandem.ActDelete:   "DELETED",
	tandem.ActRecreate: "made anew",
	tandem.ActCreate:   "created",
}

func (a *app) showSettled(settled []tandem.Settled, dryRun bool) {
	if len(settled) == 0 {
		a.out.printf("no open conflict matches\n")
		return
	}
	shown, done := 0, 0
	for i := range settled {
		v := &settled[i]
		if v.Error == nil {
			done++
		}
		if shown++; shown > 50 && !a.flags.Verbose && v.Error == nil {
			continue
		}
		name := dash(v.Conflict.DeviceName)
		if v.Conflict.FieldName != "" {
			name += "  " + clean(string(v.Conflict.FieldName))
		}
		if v.Error != nil {
			a.out.printf("%s  %s\n", name, a.out.paint(text.FgRed, clean(v.Refusal)))
			continue
		}
		a.out.printf("%s\n", name)
		for j := range v.Changes {
			ch := &v.Changes[j]
			if did := wholeDevice[ch.Action]; did != "" {
				a.out.printf("  %s: %s\n", ch.Side, did)
				continue
			}
			a.out.printf("  %s: %s → %s\n", ch.Side, short(valueText(ch.Before), 50), short(valueText(ch.After), 50))
		}
	}
	verb := "settled"
	if dryRun {
		verb = "would be settled"
	}
	a.out.printf("%s of %s %s\n", number(done), count(len(settled), "conflict", "conflicts"), verb)
}
