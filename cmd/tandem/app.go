package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/golioth"
	"tandem/registry"
	"tandem/secret"
	"tandem/store"
	"tandem/store/postgres"
	"tandem/store/sqlite"
	"tandem/syncer"
)

// app is one command under way.
type app struct {
	*Main
	flags *Globals
	out   *output
	log   *slog.Logger
}

func newApp(m *Main, flags *Globals) *app {
	level := slog.LevelWarn
	if flags.Verbose {
		level = slog.LevelInfo
	}
	_, noColor := m.LookupEnv("NO_COLOR")
	return &app{Main: m, flags: flags, out: newOutput(m, flags.JSON, flags.NoColor || noColor),
		log: slog.New(slog.NewTextHandler(m.Stderr, &slog.HandlerOptions{Level: level}))}
}

// exit reports a command's error and gives its exit code.
func (a *app) exit(err error) int {
	var code exitCode
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		a.out.fail("usage", usage.message, usage.hint)
		return exitUsage
	}
	f := failureOf(err)
	a.out.fail(f.Code, f.Message, f.Hint)
	switch tandem.Code(f.Code) {
	case tandem.Blocked:
		return exitBlocked
	case tandem.Invalid:
		return exitUsage
	}
	return exitFailed
}

// session is an open database with everything that works on it.
type session struct {
	*app
	store    *store.Store
	keys     *secret.Keyring
	engine   *syncer.Engine
	registry *registry.Registry
	actor    registry.Actor
	// writeTimeout is when a write to a service is given up; 0 for the client's own.
	writeTimeout time.Duration
	clients      clients
}

// with opens the database for the time of fn.
func (a *app) with(ctx context.Context, fn func(s *session) error) (err error) {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return fn(s)
}

func (a *app) open(ctx context.Context) (*session, error) {
	st, err := a.openStore(ctx, store.Options{})
	if err != nil {
		return nil, err
	}
	return a.withKeys(st)
}

// withKeys gives the session of an open store, closing it when the keys cannot be read.
func (a *app) withKeys(st *store.Store) (*session, error) {
	keys, err := secret.Open(a.keyFile())
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return a.newSession(st, keys), nil
}

func (a *app) newSession(st *store.Store, keys *secret.Keyring) *session {
	s := &session{app: a, store: st, keys: keys, actor: a.actor(), clients: clients{store: st, keys: keys}}
	s.engine = &syncer.Engine{Store: st, Connect: s.connect, Clock: a.Clock, NewID: newID, Holder: holder(), Log: a.log}
	s.registry = &registry.Registry{Store: st, Server: st, Engine: s.engine, Clock: a.Clock, NewID: newID, Vault: vault{keys}, Pipelines: s.pipelines, Remote: s.project, Reach: s.reach}
	return s
}

func (s *session) close() error {
	s.clients.close()
	return s.store.Close()
}

// openStore opens the database. A new SQLite file gets its schema by itself; any other database with an
// older or newer schema is refused, unless options say otherwise.
func (a *app) openStore(ctx context.Context, options store.Options) (*store.Store, error) {
	url := a.flags.DatabaseURL
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		path := sqlitePath(url)
		if path == "" {
			return nil, &usageError{"--database-url names no file", "for example --database-url sqlite:tandem.db"}
		}
		stat, err := os.Stat(path)
		fresh := errors.Is(err, os.ErrNotExist) || err == nil && stat.Size() == 0
		options.AutoMigrate = fresh && !options.AnySchema
		return sqlite.Open(ctx, path, options)
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return postgres.Open(ctx, url, options)
	}
	return nil, &usageError{"--database-url is neither sqlite:FILE nor postgres://…", "for example --database-url sqlite:tandem.db"}
}

// onSQLite reports whether the database is a file.
func (a *app) onSQLite() bool { return strings.HasPrefix(a.flags.DatabaseURL, "sqlite:") }

func sqlitePath(url string) string {
	return strings.TrimPrefix(strings.TrimPrefix(url, "sqlite:"), "//")
}

// keyFile gives the file of keys: beside the SQLite database, or in the working folder.
func (a *app) keyFile() string {
	switch {
	case a.flags.KeyFile != "":
		return a.flags.KeyFile
	case strings.HasPrefix(a.flags.DatabaseURL, "sqlite:"):
		return filepath.Join(filepath.Dir(sqlitePath(a.flags.DatabaseURL)), secret.FileName)
	}
	return secret.FileName
}

// where is the place that a service's key is sealed for.
func where(organizationID, serviceID string) secret.Where {
	return secret.Where{Organization: organizationID, Table: "device_services", Column: "credentials", Row: serviceID}
}

// connect gives the remote of a service, with its key and its share of the budget (S32).
func (s *session) connect(_ context.Context, service tandem.Service) (tandem.Remote, error) {
	return s.client(service)
}

func (s *session) client(service tandem.Service) (*golioth.Client, error) {
	return s.clients.of(&service, golioth.Options{WriteTimeout: s.writeTimeout})
}

// project asks a service's project who it is. One that is only about to be added has no budget yet.
func (s *session) project(ctx context.Context, service tandem.Service) (tandem.RemoteProject, error) {
	if service.CreatedAt.IsZero() {
		key, err := s.keys.Unseal(service.Credentials, where(service.OrganizationID, service.ID))
		if err != nil {
			return tandem.RemoteProject{}, err
		}
		var transport http.RoundTripper
		if s.clients.transport != nil { // a name may lead where an address that came over the network may not
			transport = s.clients.transport(&service)
		}
		return askProject(ctx, &service.Config, key, transport)
	}
	client, err := s.client(service)
	if err != nil {
		return tandem.RemoteProject{}, err
	}
	return client.Project(ctx)
}

// actor is the person at the command line, as far as the system knows: that it is root tells of nobody.
func (a *app) actor() registry.Actor {
	name := "command line"
	if u, err := user.Current(); err == nil && u.Username != "" && u.Uid != "0" {
		name = u.Username + " (command line)"
	}
	return registry.Command(name)
}

// newID mints a UUIDv7. It fails only when the system has no randomness left, which is no state to go on in.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// holder names this process in leases.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), newID())
}

// readKey reads an API key from a file, standard input or TANDEM_API_KEY; never from an argument.
func (a *app) readKey(file string) (secret.Text, error) {
	if file == "" {
		if _, ok := a.LookupEnv("TANDEM_API_KEY"); !ok {
			return secret.Text{}, &usageError{"the API key is missing", "give it with --api-key-file FILE, --api-key-file - for standard input, or in TANDEM_API_KEY"}
		}
		return secret.Read(secret.Source{Env: "TANDEM_API_KEY"})
	}
	var stdin io.Reader
	if file == "-" {
		stdin = a.Stdin
	}
	return secret.Read(secret.Source{File: file, Stdin: stdin})
}

// word quotes a name for a shell where it must be.
func word(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
