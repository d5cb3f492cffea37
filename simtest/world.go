package simtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/secret"
	"tandem/store"
	"tandem/store/postgres"
	"tandem/store/sqlite"
	"tandem/store/sqlite/sqlitetest"
)

const serviceName = "prod"

// database is where a world's local side is kept.
type database struct {
	url     string
	keyFile string
	open    func(context.Context) (*store.Store, error)
	// log gives a number that moves when something is committed; -1 where that cannot be seen from outside.
	log func() int64
}

// onSQLite gives a database file of the test's own.
func onSQLite(t testing.TB) database {
	path := sqlitetest.File(t)
	return database{url: "sqlite:" + path, keyFile: filepath.Join(filepath.Dir(path), secret.FileName),
		open: func(ctx context.Context) (*store.Store, error) { return sqlite.Open(ctx, path) },
		log: func() int64 {
			stat, err := os.Stat(path + "-wal")
			if err != nil {
				return 0
			}
			return stat.ModTime().UnixNano() ^ stat.Size()
		}}
}

// onPostgres gives an organization's place in a database that many worlds share.
func onPostgres(url, dir string) database {
	return database{url: url, keyFile: filepath.Join(dir, secret.FileName), log: func() int64 { return -1 },
		open: func(ctx context.Context) (*store.Store, error) {
			return postgres.Open(ctx, url)
		}}
}

// world is everything that one seed plays with.
type world struct {
	seed     uint64
	rng      *rand.Rand
	settings settings
	names    names
	story    *story
	ledger   *ledger
	gate     *gate
	sim      *simulator.Server
	server   *httptest.Server
	db       database
	store    *store.Store
	registry *registry.Registry
	org      tandem.Organization
	service  tandem.Service
	program  string // path of the executable
	now      atomic.Pointer[process]
	known    []string // local devices that people made
	made     int      // people's deletions so far
	switched int      // people's local edits of enabled and cohort so far
}

// newWorld makes the world of a seed: the fleet, the organization and its service, before the first run.
func newWorld(ctx context.Context, seed uint64, s settings, rng *rand.Rand, db database, program string) (w *world, err error) {
	w = &world{seed: seed, rng: rng, settings: s, story: newStory(), ledger: newLedger(), db: db, program: program}
	options := simulator.Options{Seed: seed, Projects: []simulator.Project{{ID: project, Keys: []string{projectKey}, Devices: s.fleet}}}
	for _, u := range s.unknowns {
		if err := options.Unknowns.Set(u); err != nil {
			return nil, err
		}
	}
	if w.sim, err = simulator.New(options); err != nil {
		return nil, err
	}
	w.gate = newGate(w.sim, w.ledger)
	w.gate.perPage, w.gate.root = s.perPage, s.root
	w.server = httptest.NewServer(w.gate)
	if w.store, err = db.open(ctx); err != nil {
		w.server.Close()
		return nil, err
	}
	w.registry = &registry.Registry{Store: w.store, Clock: time.Now, NewID: func() string { return uuid.Must(uuid.NewV7()).String() }}
	return w, errors.Join(w.found(ctx), w.populate(ctx))
}

// close gives everything back.
func (w *world) close() error {
	w.server.Close()
	return w.store.Close()
}

// found makes the organization and connects the service.
func (w *world) found(ctx context.Context) error {
	var err error
	if w.org, err = w.registry.CreateOrganization(ctx, actor, "Seed", fmt.Sprintf("seed-%d", w.seed)); err != nil {
		return err
	}
	keys, err := secret.Open(w.db.keyFile)
	if err != nil {
		return err
	}
	config := tandem.DefaultServiceConfig()
	config.BaseURL, config.Project = w.server.URL, project
	w.settings.config(&config)
	w.service, err = w.registry.AddService(ctx, actor, w.org.ID, registry.NewService{Name: serviceName, ServiceType: "golioth", Config: config,
		Key: func(org, id string) ([]byte, error) {
			return keys.Seal(secret.NewText(projectKey), secret.Where{Organization: org, Table: "device_services", Column: "credentials", Row: id})
		}})
	return err
}

// populate writes the fleet into the ledger, adds what people may choose from, and makes the first local devices.
func (w *world) populate(ctx context.Context) error {
	for i := range 40 {
		for _, kind := range []tandem.EntityKind{tandem.BlueprintEntity, tandem.CohortEntity} {
			if _, err := w.sim.CreateEntity(project, kind, fmt.Sprintf("%s-%d", kind, i)); err != nil {
				return err
			}
		}
	}
	w.gate.compare(person, "", nil, w.gate.look(""))
	for range w.settings.locals {
		if err := w.createLocal(ctx); err != nil {
			return err
		}
	}
	return nil
}
