package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/budget"
	"tandem/golioth"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/sqlite"
	"tandem/syncer"
)

// databases makes fresh ones of a kind.
type databases struct {
	kind    string
	dir     string
	count   int
	cluster *pgtest.Cluster // nil for SQLite
}

func newDatabases(ctx context.Context, kind string) (*databases, error) {
	dir, err := os.MkdirTemp("", "tandem-bench-")
	if err != nil {
		return nil, err
	}
	d := &databases{kind: kind, dir: dir}
	if kind == "postgres" {
		// Durable: fsync on, as in production.
		if d.cluster, err = pgtest.Start(ctx, pgtest.Options{Durable: true}); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

func (d *databases) close() error {
	var err error
	if d.cluster != nil {
		err = d.cluster.Stop()
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// fresh gives the URL of an empty database.
func (d *databases) fresh(ctx context.Context) (string, error) {
	if d.cluster != nil {
		return d.cluster.Create(ctx)
	}
	d.count++
	return "sqlite:" + filepath.Join(d.dir, fmt.Sprintf("bench-%d.db", d.count)), nil
}

// open opens a database as the program does.
func (d *databases) open(ctx context.Context, url string) (*store.Store, error) {
	options := store.Options{AutoMigrate: true}
	if d.cluster != nil {
		return postgres.Open(ctx, url, options)
	}
	return sqlite.Open(ctx, url[len("sqlite:"):], options)
}

// site is one organization with one service over a fresh database.
type site struct {
	store   *store.Store
	engine  *syncer.Engine
	org     string
	service tandem.Service
	key     string
	clients []*golioth.Client
	budgets []*budget.Budget
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// newSite makes one whose service has the default settings but for what change does to them.
func newSite(ctx context.Context, d *databases, sim *simulator, change func(*tandem.ServiceConfig)) (*site, error) {
	url, err := d.fresh(ctx)
	if err != nil {
		return nil, err
	}
	st, err := d.open(ctx, url)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	s := &site{store: st, org: newID(), key: apiKey}
	s.engine = &syncer.Engine{Store: st, Connect: s.connect, Clock: time.Now, NewID: newID, Holder: newID(),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	config := tandem.DefaultServiceConfig()
	config.BaseURL, config.Project = sim.url, project
	if change != nil {
		change(&config)
	}
	s.service = tandem.Service{ID: newID(), OrganizationID: s.org, Name: "bench", ServiceType: "golioth", Config: config,
		IsActive: true, SyncInterval: 300, State: tandem.ServiceOK, Version: 1, CreatedAt: now, UpdatedAt: now}
	err = st.CreateOrganization(ctx, tandem.Organization{ID: s.org, Name: "Bench", Slug: "bench", CreatedAt: now, UpdatedAt: now})
	if err == nil {
		err = st.CreateService(ctx, s.org, s.service)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *site) close() error {
	s.hangUp()
	return s.store.Close()
}

// hangUp closes the connections of earlier runs.
func (s *site) hangUp() {
	for _, b := range s.budgets {
		b.Close()
	}
	for _, c := range s.clients {
		c.Close()
	}
	s.budgets, s.clients = nil, nil
}

// connect gives each run a client of its own, with the service's budget, as a new process has it.
func (s *site) connect(_ context.Context, service tandem.Service) (tandem.Remote, error) {
	b := budget.New(budget.Options{Store: s.store, OrganizationID: s.org, ServiceID: service.ID, Holder: newID(),
		RequestsPerMinute: service.Config.RequestsPerMinute, Concurrency: service.Config.Concurrency})
	s.budgets = append(s.budgets, b)
	c, err := golioth.New(golioth.Options{BaseURL: service.Config.BaseURL, Project: service.Config.Project, Key: golioth.Secret(s.key), Budget: b})
	if err != nil {
		return nil, err
	}
	s.clients = append(s.clients, c)
	return c, nil
}

// sync does one run and times it. A run that does not complete is an error: its time would mean nothing.
func (s *site) sync(ctx context.Context, operation tandem.Operation, create tandem.Missing) (tandem.Run, time.Duration, error) {
	s.hangUp()
	var done tandem.Run
	took, err := timed(func() (err error) {
		done, err = s.engine.Run(ctx, s.org, tandem.RunRequest{ServiceID: s.service.ID, Operation: operation, Trigger: tandem.ByHand, CreateMissing: create}, nil)
		return err
	})
	if err == nil && done.Status != tandem.RunCompleted {
		err = fmt.Errorf("the %s run ended %s: %s %s", operation, done.Status, done.Error, done.Details)
	}
	return done, took, err
}

// timed runs fn on a clean heap and says how long it took.
func timed(fn func() error) (time.Duration, error) {
	runtime.GC()
	start := time.Now()
	err := fn()
	return time.Since(start), err
}

// devices gives every device of the site, in the order of their ids.
func (s *site) devices(ctx context.Context) ([]tandem.Device, error) {
	var all []tandem.Device
	for page := 1; ; page++ {
		rows, total, err := s.store.Devices(ctx, s.org, tandem.DeviceFilter{Sort: "device_id", Now: time.Now(), Page: tandem.Page{Number: page, Limit: 1000}})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			all = append(all, row.Device)
		}
		if len(rows) == 0 || len(all) >= total {
			return all, nil
		}
	}
}

// edit changes devices as a person would: half of them get a new name, half another tag.
func (s *site) edit(ctx context.Context, devices []tandem.Device, round int) error {
	now := time.Now().UTC()
	changes := &tandem.Changes{}
	for i, d := range devices {
		path := tandem.Path("name")
		if i%2 == 0 {
			d.Name = fmt.Sprintf("%s r%d", d.Name, round)
		} else {
			path = "tags"
			d.Tags = toggled(d.Tags, "staging")
		}
		edited := tandem.EditTimes{path: now}
		for p, at := range d.FieldEditedAt {
			if p != path {
				edited[p] = at
			}
		}
		d.FieldEditedAt, d.UpdatedAt = edited, now
		changes.UpdateDevices = append(changes.UpdateDevices, d)
	}
	return s.store.Apply(ctx, s.org, changes)
}

// toggled gives the set with the tag, or without it where it was there.
func toggled(tags []string, tag string) []string {
	out := []string{}
	found := false
	for _, t := range tags {
		if t == tag {
			found = true
			continue
		}
		out = append(out, t)
	}
	if !found {
		out = append(out, tag)
	}
	return out
}
