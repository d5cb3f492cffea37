package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

// ServiceShowCmd is `tandem service show`.
type ServiceShowCmd struct {
	In
	Service string `arg:"" optional:"" help:"Its name or id."`
}

// Run shows it.
func (c *ServiceShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "its name")
		if err != nil {
			return err
		}
		return a.showService(ctx, s, org, &v)
	})
}

func (a *app) showService(ctx context.Context, s *desk, org tandem.Organization, v *tandem.Service) error {
	if a.out.json {
		return a.out.value(v)
	}
	linked, err := s.LinkedCount(ctx, org.ID, v.ID)
	if err != nil {
		return err
	}
	c := &v.Config
	byField := make([]string, 0, len(c.FieldStrategies))
	for field, strategy := range c.FieldStrategies {
		byField = append(byField, field+" "+string(strategy))
	}
	slices.Sort(byField)
	pin := ""
	if v.Pin != nil {
		pin = fmt.Sprintf("%s, made %s", clean(v.Pin.ID), v.Pin.CreatedAt.Format(time.DateOnly))
	}
	a.out.pairs("name", clean(v.Name), "id", v.ID, "type", v.ServiceType, "project", clean(c.Project), "pinned to", pin, "address", clean(c.BaseURL),
		"API key", "stored encrypted", "state", a.stateText(v), "linked devices", number(linked),
		"last run", a.out.ago(v.LastRunAt), "fields", list(c.Fields.Names()), "direction", string(c.Direction),
		"conflicts", string(c.Strategy), "by field", cmp.Or(strings.Join(byField, ", "), "none"), "creates here", yes(c.CreateLocal), "creates there", yes(c.CreateRemote),
		"deleted there", string(c.OnRemoteDelete), "deletes there", yes(c.DeleteRemote),
		"guards", fmt.Sprintf("%g of the devices deleted, %g changed in a day", c.Guards.MaxDelete, c.Guards.MaxChange),
		"metadata path", orOff(c.Paths.Metadata), "battery path", orOff(c.Paths.Battery), "location path", orOff(c.Paths.Location),
		"imports only", cmp.Or(filterText(&c.Filters), "no filter: every new device"),
		"budget", fmt.Sprintf("%s requests a minute, %d at once", number(c.RequestsPerMinute), c.Concurrency),
		"state reads", number(c.StateReads)+" a run at most",
		"online window", duration(time.Duration(c.OnlineWindow)*time.Second),
		"automatic sync", map[bool]string{true: "on", false: "off"}[v.SyncEnabled],
		"interval", duration(time.Duration(v.SyncInterval)*time.Second), "next run", a.nextRun(v), "failed in a row", failures(v))
	a.out.pairs(webhookPairs(v)...)
	return nil
}

// stateText says how a service is, why, and when it is tried next.
func (a *app) stateText(v *tandem.Service) string {
	text := serviceState(v)
	if v.StateReason != "" {
		text += ": " + clean(v.StateReason)
	}
	if v.RetryAt != nil && v.State != tandem.ServiceOK {
		text += "; the next try by itself: " + v.RetryAt.UTC().Format(time.DateTime) + " UTC, " + a.out.since(*v.RetryAt)
	}
	return text
}

// nextRun says when the schedule starts the next run, where it does.
func (a *app) nextRun(v *tandem.Service) string {
	switch {
	case !v.IsActive:
		return "none: the service is paused"
	case !v.SyncEnabled:
		return ""
	case v.State == tandem.ServiceRejected || v.State == tandem.ServiceLocked:
		return "none until the key is right"
	case v.NextSyncAt == nil:
		return "as soon as a server runs"
	}
	return v.NextSyncAt.UTC().Format(time.DateTime) + " UTC, " + a.out.since(*v.NextSyncAt)
}

func failures(v *tandem.Service) string {
	if v.SyncFailures == 0 {
		return ""
	}
	return number(v.SyncFailures)
}

func orOff(path string) string {
	if path == "" {
		return "off"
	}
	return clean(path)
}

func filterText(f *tandem.Filters) string {
	var parts []string
	for _, p := range [][2]string{{"name", f.Name}, {"tags", strings.Join(f.Tags, "+")}, {"blueprint", f.Blueprint}, {"cohort", f.Cohort}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+clean(p[1]))
		}
	}
	return strings.Join(parts, ", ")
}
