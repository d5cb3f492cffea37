package main

import (
	"context"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
)

// AlertsCmd is `tandem alerts`.
type AlertsCmd struct {
	List        AlertsListCmd        `cmd:"" help:"List what somebody should look at, newest first."`
	Show        AlertsShowCmd        `cmd:"" help:"Show one."`
	Acknowledge AlertsAcknowledgeCmd `cmd:"" help:"Say that you look after some: they do not escalate any more."`
	Resolve     AlertsResolveCmd     `cmd:"" help:"Close some; where the cause is still there, another is raised."`
}

// AlertsListCmd is `tandem alerts list`.
type AlertsListCmd struct {
	In
	Paging
	Service string `help:"About this service."`
	Kind    string `enum:",conflicts,run_failed,run_blocked,service_degraded,key_rejected,dead_letters" default:"" help:"conflicts, run_failed, run_blocked, service_degraded, key_rejected or dead_letters."`
	Status  string `enum:",raised,acknowledged,resolved" default:"" help:"raised, acknowledged or resolved; open ones when left out."`
	All     bool   `help:"Resolved ones too."`
	Sort    string `enum:"${sort_alerts}" default:"" help:"${sorts_alerts}"`
}

// Run lists them.
func (c *AlertsListCmd) Run(ctx context.Context, a *app) error {
	page, err := c.page()
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		filter := tandem.AlertFilter{Kind: tandem.AlertKind(c.Kind), Status: tandem.AlertStatus(c.Status), All: c.All, Sort: c.Sort, Page: page}
		if filter.ServiceID, err = s.serviceID(ctx, org, c.Service); err != nil {
			return err
		}
		all, total, err := s.Alerts(ctx, org.ID, filter)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"alerts": whole(all), "pagination": pagination(page, total)})
		}
		if total == 0 {
			a.out.printf("no alert\n")
			return nil
		}
		rows := make([][]string, len(all))
		for i := range all {
			v := &all[i]
			rows[i] = []string{v.ID, a.severity(v.Severity), string(v.Kind), short(v.Message, 70), number(v.Count), string(v.Status), a.out.since(v.LastAt)}
		}
		a.out.table([]string{"id", "severity", "kind", "what", "times", "status", "last"}, rows)
		a.out.more(page, (page.Number-1)*page.Limit+len(all), total)
		return nil
	})
}

func (a *app) severity(s tandem.Severity) string {
	if s == tandem.Critical {
		return a.out.paint(text.FgRed, string(s))
	}
	return a.out.paint(text.FgYellow, string(s))
}

// AlertsShowCmd is `tandem alerts show`.
type AlertsShowCmd struct {
	In
	ID string `arg:"" help:"Its id."`
}

// Run shows it.
func (c *AlertsShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.Alert(ctx, org.ID, c.ID)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(v)
		}
		by := func(who string, at *time.Time) string {
			if at == nil {
				return ""
			}
			return strings.TrimPrefix(clean(who)+", ", ", ") + a.out.since(*at)
		}
		a.out.printf("%s  %s\n", a.severity(v.Severity), a.out.bold(clean(v.Message)))
		if v.Hint != "" {
			a.out.printf("→ %s\n", clean(v.Hint))
		}
		a.out.pairs("id", v.ID, "kind", string(v.Kind), "status", string(v.Status), "raised", a.out.since(v.RaisedAt), "last", a.out.since(v.LastAt), "times", number(v.Count),
			"service", v.ServiceID, "run", v.RunID, "escalated", by("", v.EscalatedAt), "acknowledged", by(v.AcknowledgedBy, v.AcknowledgedAt), "resolved", by(v.ResolvedBy, v.ResolvedAt))
		return nil
	})
}

// AlertsAcknowledgeCmd is `tandem alerts acknowledge`.
type AlertsAcknowledgeCmd struct {
	In
	IDs []string `arg:"" name:"id" help:"Their ids."`
}

// Run acknowledges.
func (c *AlertsAcknowledgeCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		return a.moveAlerts(c.IDs, func(id string) (tandem.Alert, error) { return s.AcknowledgeAlert(ctx, org.ID, id) })
	})
}

// AlertsResolveCmd is `tandem alerts resolve`.
type AlertsResolveCmd struct {
	In
	IDs []string `arg:"" name:"id" help:"Their ids."`
}

// Run resolves.
func (c *AlertsResolveCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		return a.moveAlerts(c.IDs, func(id string) (tandem.Alert, error) { return s.ResolveAlert(ctx, org.ID, id) })
	})
}

// moveAlerts changes alerts one after the other and says what they are then.
func (a *app) moveAlerts(ids []string, move func(id string) (tandem.Alert, error)) error {
	moved := []tandem.Alert{}
	for _, id := range ids {
		v, err := move(id)
		if err != nil {
			return err
		}
		moved = append(moved, v)
		a.out.printf("%s: %s\n", v.Status, clean(v.Message))
	}
	if a.out.json {
		return a.out.value(map[string]any{"alerts": moved})
	}
	return nil
}
