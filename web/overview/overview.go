package overview

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// What the page looks back on.
const (
	trendRuns   = 30            // of each service
	recentRuns  = 200           // of all services, for the trend
	activity    = 12            // lines
	failing     = 8             // devices
	rateFor     = 2 * time.Hour // of deliveries
	conflictTop = 6             // groups
)

// Register adds the page.
func Register(s *shell.Site) { s.Handle("GET ", show) }

// look is all that the page shows. What the person may not read stays empty.
type look struct {
	c         *shell.Call
	counts    tandem.Overview
	services  []tandem.Service
	runs      []tandem.Run // newest first
	failing   []tandem.DeviceRow
	failed    int
	conflicts []tandem.ConflictGroup
	alerts    []tandem.Alert
	rate      []tandem.DeliveryBucket
}

// parts are what is read again by itself, with what each needs.
var parts = map[string][]func(context.Context, *look) error{
	"fleet":      {readCounts},
	"services":   {readCounts, readServices, readRuns},
	"attention":  {readCounts, readServices, readFailing, readConflicts, readAlerts},
	"deliveries": {readRate},
	"activity":   {readServices, readRuns},
}

func show(c *shell.Call) error {
	v := &look{c: c}
	needed := []func(context.Context, *look) error{readCounts, readServices, readRuns, readFailing, readConflicts, readAlerts, readRate}
	part := c.Query("part")
	if some, ok := parts[part]; ok {
		needed = some
	}
	group, ctx := errgroup.WithContext(c.R.Context())
	for _, read := range needed {
		group.Go(func() error { return read(ctx, v) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	switch part {
	case "fleet":
		return c.Part(fleet(v))
	case "services":
		return c.Part(services(v))
	case "attention":
		return c.Part(attention(v))
	case "deliveries":
		return c.Part(deliveries(v))
	case "activity":
		return c.Part(recent(v))
	}
	return c.Page(shell.Frame{Title: "Overview", Section: shell.Overview, Scripts: []string{"uplot.js", "plot.js"}, Styles: []string{"uplot.css"}}, page(v))
}

func readCounts(ctx context.Context, v *look) (err error) {
	if v.c.May(registry.ReadDevices) {
		v.counts, err = v.c.Registry().Overview(ctx, v.c.Actor, v.c.Org.ID)
	}
	return err
}

func readServices(ctx context.Context, v *look) (err error) {
	if v.c.May(registry.ReadServices) {
		v.services, err = v.c.Registry().Services(ctx, v.c.Actor, v.c.Org.ID)
	}
	return err
}

func readRuns(ctx context.Context, v *look) (err error) {
	if v.c.May(registry.ReadRuns) {
		v.runs, _, err = v.c.Registry().Runs(ctx, v.c.Actor, v.c.Org.ID, tandem.RunFilter{Page: tandem.Page{Limit: recentRuns}})
	}
	return err
}

func readFailing(ctx context.Context, v *look) (err error) {
	if v.c.May(registry.ReadDevices) {
		v.failing, v.failed, err = v.c.Registry().Devices(ctx, v.c.Actor, v.c.Org.ID, tandem.DeviceFilter{SyncStatus: tandem.SyncError, Page: tandem.Page{Limit: failing}})
	}
	return err
}

func readConflicts(ctx context.Context, v *look) (err error) {
	if v.c.May(registry.ReadConflicts) {
		v.conflicts, err = v.c.Registry().ConflictGroups(ctx, v.c.Actor, v.c.Org.ID, tandem.ConflictFilter{})
	}
	return err
}

func readAlerts(ctx context.Context, v *look) (err error) {
	if v.c.May(registry.ReadAlerts) {
		v.alerts, _, err = v.c.Registry().Alerts(ctx, v.c.Actor, v.c.Org.ID, tandem.AlertFilter{Page: tandem.Page{Limit: failing}})
	}
	return err
}

func readRate(ctx context.Context, v *look) (err error) {
	if v.c.May(registry.ReadDeliveries) {
		until := v.c.Now().Truncate(time.Minute).Add(time.Minute)
		v.rate, err = v.c.Registry().DeliveryRate(ctx, v.c.Actor, v.c.Org.ID, "", until.Add(-rateFor), until, time.Minute)
	}
	return err
}
