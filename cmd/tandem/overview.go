package main

import (
	"context"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
)

// overviewCases are what is looked at first.
type overviewCases interface {
	Overview(ctx context.Context, org string) (tandem.Overview, error)
	ConflictGroups(ctx context.Context, org string, filter tandem.ConflictFilter) ([]tandem.ConflictGroup, error)
	EntryGroups(ctx context.Context, org, run string) ([]tandem.EntryGroup, error)
	DeviceHistory(ctx context.Context, org, ref string, filter tandem.HistoryFilter) ([]tandem.HistoryEntry, int, error)
	DeliveryRate(ctx context.Context, org, service string, since, until time.Time, step time.Duration) ([]tandem.DeliveryBucket, error)
}

// Overview counts the fleet.
func (s onDatabase) Overview(ctx context.Context, org string) (tandem.Overview, error) {
	return s.registry.Overview(ctx, s.actor, org)
}

// ConflictGroups counts conflicts by kind.
func (s onDatabase) ConflictGroups(ctx context.Context, org string, filter tandem.ConflictFilter) ([]tandem.ConflictGroup, error) {
	return s.registry.ConflictGroups(ctx, s.actor, org, filter)
}

// EntryGroups groups what a run did not get done by cause.
func (s onDatabase) EntryGroups(ctx context.Context, org, run string) ([]tandem.EntryGroup, error) {
	return s.registry.EntryGroups(ctx, s.actor, org, run)
}

// DeviceHistory lists what changed a device.
func (s onDatabase) DeviceHistory(ctx context.Context, org, ref string, filter tandem.HistoryFilter) ([]tandem.HistoryEntry, int, error) {
	return s.registry.DeviceHistory(ctx, s.actor, org, ref, filter)
}

// DeliveryRate counts deliveries over time.
func (s onDatabase) DeliveryRate(ctx context.Context, org, service string, since, until time.Time, step time.Duration) ([]tandem.DeliveryBucket, error) {
	return s.registry.DeliveryRate(ctx, s.actor, org, service, since, until, step)
}

// OverviewCmd is `tandem overview`.
type OverviewCmd struct{ In }

// Run shows how everything is.
func (c *OverviewCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		o, err := s.Overview(ctx, org.ID)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(o)
		}
		names := map[string]string{}
		if len(o.Services) > 0 {
			services, err := s.Services(ctx, org.ID)
			if err != nil {
				return err
			}
			for i := range services {
				names[services[i].ID] = services[i].Name
			}
		}
		a.out.printf("%s\n", a.out.bold(clean(org.Name)))
		a.out.pairs("devices", number(o.Devices), "online", number(o.ByStatus[tandem.Online]), "offline", number(o.ByStatus[tandem.Offline]),
			"never seen", number(o.ByStatus[tandem.NeverSeen]), "open conflicts", number(o.ConflictsOpen), "open alerts", number(o.AlertsOpen), "dead letters", number(o.DeadDeliveries))
		if len(o.Services) == 0 {
			a.out.printf("no service yet; connect one: tandem service add golioth --org %s\n", org.Slug)
			return nil
		}
		rows := make([][]string, len(o.Services))
		for i := range o.Services {
			one := &o.Services[i]
			rows[i] = []string{dash(names[one.ServiceID]), number(one.Linked), number(one.BySync[tandem.SyncSynced]), number(one.BySync[tandem.SyncPending]),
				number(one.BySync[tandem.SyncConflict]), number(one.BySync[tandem.SyncError]), number(one.NotLinked), number(one.ConflictsOpen)}
		}
		a.out.table([]string{"service", "linked", "synced", "pending", "conflict", "error", "not linked", "open conflicts"}, rows)
		return nil
	})
}

// showConflictGroups lists conflicts by kind.
func (s *desk) showConflictGroups(ctx context.Context, org tandem.Organization, filter tandem.ConflictFilter) error {
	groups, err := s.ConflictGroups(ctx, org.ID, filter)
	if err != nil {
		return err
	}
	if s.out.json {
		return s.out.value(map[string]any{"groups": groups})
	}
	if len(groups) == 0 {
		s.out.printf("no conflict\n")
		return nil
	}
	services, err := s.Services(ctx, org.ID)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for i := range services {
		names[services[i].ID] = services[i].Name
	}
	rows := make([][]string, len(groups))
	for i, g := range groups {
		rows[i] = []string{dash(names[g.ServiceID]), dash(string(g.Field)), string(g.Type), number(g.Count), s.out.since(g.OldestAt)}
	}
	s.out.table([]string{"service", "field", "type", "conflicts", "oldest"}, rows)
	s.out.printf("%s\n", s.out.dim("settle one kind: tandem conflicts resolve --service S --field F --type T --take local|remote|ignore"))
	return nil
}

// showEntryGroups lists what a run did not get done by cause.
func (s *desk) showEntryGroups(ctx context.Context, org tandem.Organization, run *tandem.Run) error {
	groups, err := s.EntryGroups(ctx, org.ID, run.ID)
	if err != nil {
		return err
	}
	if s.out.json {
		return s.out.value(map[string]any{"operation_id": run.ID, "groups": groups})
	}
	if len(groups) == 0 {
		s.out.printf("the run got everything done\n")
	}
	for i := range groups {
		g := &groups[i]
		s.out.printf("%s × %s %s: %s\n", s.out.paint(text.FgRed, number(g.Count)), g.Outcome, g.Action, dash(g.Error))
		names := make([]string, len(g.Devices))
		for i, d := range g.Devices {
			names[i] = short(firstOf(d.DeviceName, d.ExternalDeviceID, d.DeviceID), 40)
		}
		said := list(names)
		if len(names) == 5 && g.Count > 5 {
			said += " and more"
		}
		s.out.printf("    %s\n", said)
		if g.Hint != "" {
			s.out.printf("    → %s\n", clean(g.Hint))
		}
	}
	return nil
}

// firstOf gives the first text that is not empty.
func firstOf(texts ...string) string {
	for _, one := range texts {
		if one != "" {
			return one
		}
	}
	return ""
}

// DeviceHistoryCmd is `tandem device history`.
type DeviceHistoryCmd struct {
	In
	Paging
	Device string `arg:"" help:"Its id, device_id or name."`
	Field  string `help:"Of this field, such as name or metadata/site; metadata is all of its leaves."`
}

// Run lists what changed it.
func (c *DeviceHistoryCmd) Run(ctx context.Context, a *app) error {
	page, err := c.page()
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		all, total, err := s.DeviceHistory(ctx, org.ID, c.Device, tandem.HistoryFilter{Field: tandem.Path(c.Field), Page: page})
		if err != nil {
			return err
		}
		if a.out.json {
			if all == nil {
				all = []tandem.HistoryEntry{}
			}
			return a.out.value(map[string]any{"history": all, "pagination": pagination(page, total)})
		}
		if total == 0 {
			a.out.printf("nothing changed it yet\n")
			return nil
		}
		rows := make([][]string, len(all))
		for i := range all {
			h := &all[i]
			from := h.Source
			if h.RunID != "" {
				from += " " + h.RunID
			}
			rows[i] = []string{a.out.since(h.At), string(h.Side), string(h.Action), dash(string(h.Field)), short(valueText(h.Before), 30), short(valueText(h.After), 30),
				string(h.Outcome), dash(clean(h.By)), from}
		}
		a.out.table([]string{"when", "side", "action", "field", "before", "after", "outcome", "by", "from"}, rows)
		a.out.more(page, (page.Number-1)*page.Limit+len(all), total)
		return nil
	})
}

// DeliveriesRateCmd is `tandem deliveries rate`.
type DeliveriesRateCmd struct {
	In
	Service string        `help:"Of this service."`
	Last    time.Duration `default:"1h" help:"How far back."`
	Step    time.Duration `default:"1m" help:"How long a step is: whole minutes."`
}

// Run counts deliveries over time.
func (c *DeliveriesRateCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		service := ""
		if c.Service != "" {
			v, err := s.service(ctx, org, c.Service, "--service")
			if err != nil {
				return err
			}
			service = v.ID
		}
		now := a.Clock()
		buckets, err := s.DeliveryRate(ctx, org.ID, service, now.Add(-c.Last), now, c.Step)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"buckets": buckets})
		}
		shown := []tandem.DeliveryStatus{tandem.DeliveryStored, tandem.DeliveryProcessed, tandem.DeliveryWaiting, tandem.DeliveryRetrying, tandem.DeliveryDead, tandem.DeliveryRefused}
		header := []string{"from"}
		for _, status := range shown {
			header = append(header, string(status))
		}
		var rows [][]string
		for _, b := range buckets {
			if len(b.Counts) == 0 {
				continue
			}
			row := []string{b.At.UTC().Format(time.DateTime)}
			for _, status := range shown {
				row = append(row, number(b.Counts[status]))
			}
			rows = append(rows, row)
		}
		if len(rows) == 0 {
			a.out.printf("no delivery in that time\n")
			return nil
		}
		a.out.table(header, rows)
		return nil
	})
}
