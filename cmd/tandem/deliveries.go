package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
)

// DeliveriesCmd is `tandem deliveries`.
type DeliveriesCmd struct {
	List   DeliveriesListCmd   `cmd:"" help:"List received webhooks, newest first."`
	Show   DeliveriesShowCmd   `cmd:"" help:"Show one: what came, and what became of it."`
	Replay DeliveriesReplayCmd `cmd:"" help:"Have some processed again."`
	Rate   DeliveriesRateCmd   `cmd:"" help:"Count them over time."`
}

// DeliveriesListCmd is `tandem deliveries list`.
type DeliveriesListCmd struct {
	In
	Paging
	Service  string `help:"Of this service."`
	Status   string `enum:",stored,retrying,waiting,processed,dead,refused" default:"" help:"stored, retrying, waiting (for a device that is not linked), processed, dead (given up) or refused."`
	Type     string `help:"Of this type, such as device.data, or pipeline."`
	External string `name:"external-device" placeholder:"ID" help:"About this remote device."`
	Sort     string `enum:"${sort_deliveries}" default:"" help:"${sorts_deliveries}"`
}

// Run lists them.
func (c *DeliveriesListCmd) Run(ctx context.Context, a *app) error {
	page, err := c.page()
	if err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		filter := tandem.DeliveryFilter{Status: tandem.DeliveryStatus(c.Status), Type: c.Type, ExternalDeviceID: c.External, Sort: c.Sort, Page: page}
		if filter.ServiceID, err = s.serviceID(ctx, org, c.Service); err != nil {
			return err
		}
		all, total, err := s.Deliveries(ctx, org.ID, filter)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"deliveries": whole(all), "pagination": tandem.PaginatedSome(page, total)})
		}
		if total == 0 {
			a.out.printf("no delivery; have a project send some: tandem service connect SERVICE --org %s --public-url https://…\n", org.Slug)
			return nil
		}
		rows := make([][]string, len(all))
		for i := range all {
			d := &all[i]
			rows[i] = []string{d.ID, a.out.since(d.ReceivedAt), short(deliveryAbout(d), 40), dash(short(d.ExternalDeviceID, 28)), a.deliveryStatus(d), number(d.Attempts), dash(short(d.Error, 50))}
		}
		a.out.table([]string{"id", "received", "what", "remote device", "status", "attempts", "error"}, rows)
		a.out.moreOfSome(page, len(all), total)
		return nil
	})
}

// deliveryAbout says what came.
func deliveryAbout(d *tandem.Delivery) string {
	if d.Path != "" {
		return d.Type + " " + d.Path
	}
	return d.Type
}

func (a *app) deliveryStatus(d *tandem.Delivery) string {
	switch d.Status {
	case tandem.DeliveryProcessed:
		return a.out.paint(text.FgGreen, string(d.Status))
	case tandem.DeliveryDead, tandem.DeliveryRefused:
		return a.out.paint(text.FgRed, string(d.Status))
	}
	return string(d.Status)
}

// DeliveriesShowCmd is `tandem deliveries show`.
type DeliveriesShowCmd struct {
	In
	ID string `arg:"" help:"Its id."`
}

// Run shows it.
func (c *DeliveriesShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		d, err := s.Delivery(ctx, org.ID, c.ID)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(d)
		}
		processed := ""
		if d.ProcessedAt != nil {
			processed = a.out.since(*d.ProcessedAt)
		}
		next := ""
		if d.NextAt != nil && d.Status == tandem.DeliveryRetrying {
			next = a.out.since(*d.NextAt)
		}
		sent := ""
		if d.SentAt != nil {
			sent = d.SentAt.UTC().Format(time.RFC3339Nano)
		}
		a.out.pairs("id", d.ID, "what", clean(deliveryAbout(&d)), "remote device", clean(d.ExternalDeviceID), "project", clean(d.ProjectID),
			"status", a.deliveryStatus(&d), "attempts", number(d.Attempts), "error", clean(d.Error), "next try", next,
			"sent", sent, "received", d.ReceivedAt.UTC().Format(time.DateTime)+" UTC, "+a.out.since(d.ReceivedAt), "processed", processed,
			"event id", clean(d.EventID), "run", d.RunID, "type", clean(d.ContentType))
		for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
			a.out.printf("%s: %s\n", a.out.dim(clean(name)), clean(d.Headers[name]))
		}
		a.out.printf("\n%s\n", bodyText(d.Body))
		switch d.Status {
		case tandem.DeliveryDead:
			a.out.printf("\n%s\n", a.out.dim("try it again: tandem deliveries replay "+d.ID+" --org "+org.Slug))
		case tandem.DeliveryWaiting:
			a.out.printf("\n%s\n", a.out.dim("it waits for its device to be linked: tandem remote list --org "+org.Slug))
		}
		return nil
	})
}

// bodyText shows a body: JSON indented, other text as it is, anything else as bytes.
func bodyText(body []byte) string {
	var indented bytes.Buffer
	if json.Indent(&indented, body, "", "  ") == nil {
		body = indented.Bytes()
	}
	if !utf8.Valid(body) {
		return fmt.Sprintf("% x", body)
	}
	lines := strings.Split(string(body), "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// DeliveriesReplayCmd is `tandem deliveries replay`.
type DeliveriesReplayCmd struct {
	In
	IDs     []string `arg:"" optional:"" name:"id" help:"Their ids; leave them out with --dead."`
	Dead    bool     `help:"All that were given up."`
	Service string   `help:"With --dead: of this service."`
}

// replayBatch is how many go into one call.
const replayBatch = 1000

// Run has them processed again by the server that runs.
func (c *DeliveriesReplayCmd) Run(ctx context.Context, a *app) error {
	if (len(c.IDs) > 0) == c.Dead || c.Service != "" && !c.Dead {
		return &usageError{"it is not said which deliveries", "give ids, or --dead, which can be narrowed with --service"}
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		ids := c.IDs
		for _, id := range ids { // a wrong id is an error, not nothing to do
			if _, err := s.Delivery(ctx, org.ID, id); err != nil {
				return err
			}
		}
		if c.Dead {
			var err error
			if ids, err = c.dead(ctx, s, org); err != nil {
				return err
			}
		}
		done := 0
		for part := range slices.Chunk(ids, replayBatch) {
			n, err := s.ReplayDeliveries(ctx, org.ID, part)
			if err != nil {
				return err
			}
			done += n
		}
		if a.out.json {
			return a.out.value(map[string]any{"replayed": done})
		}
		a.out.printf("%s set back, to be processed again\n", count(done, "delivery", "deliveries"))
		return nil
	})
}

// dead finds all deliveries that were given up.
func (c *DeliveriesReplayCmd) dead(ctx context.Context, s *desk, org tandem.Organization) ([]string, error) {
	filter := tandem.DeliveryFilter{Status: tandem.DeliveryDead}
	var err error
	if filter.ServiceID, err = s.serviceID(ctx, org, c.Service); err != nil {
		return nil, err
	}
	var ids []string
	for filter.Page = (tandem.Page{Number: 1, Limit: 1000}); ; filter.Page.Number++ {
		found, _, err := s.Deliveries(ctx, org.ID, filter)
		if err != nil {
			return nil, err
		}
		for i := range found {
			ids = append(ids, found[i].ID)
		}
		if len(found) < filter.Page.Limit {
			return ids, nil
		}
	}
}
