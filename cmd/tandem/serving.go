package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem"
	"tandem/alert"
	"tandem/api"
	"tandem/jobs"
	"tandem/outbound"
	"tandem/registry"
	"tandem/secret"
	"tandem/store"
	"tandem/web"
	"tandem/webhook"
)

// serving is one server process: the shell that listens, and what works behind it.
type serving struct {
	*session
	cmd      *ServeCmd
	listener net.Listener
	address  string

	policy   outbound.Policy
	notifier *alert.Notifier
	mailer   alert.Mailer
	mailing  func(context.Context) error // sends letters until its context ends; nil without a mail server

	api       *api.API
	hooks     *webhook.Handler
	processor *webhook.Processor
	database  *jobs.Database
	jobs      *jobs.Jobs
}

// stopWithin is how long work that is under way may take when the server stops.
const stopWithin = 45 * time.Second

// openServing opens the database for a server: an empty one gets its tables.
func (a *app) openServing(ctx context.Context) (*session, error) {
	st, err := a.openStore(ctx, store.Options{AutoMigrate: true})
	if err != nil {
		return nil, err
	}
	return a.withKeys(st)
}

// newServing wires the parts. What it opened is closed again when it fails.
func newServing(ctx context.Context, c *ServeCmd, s *session) (v *serving, err error) {
	v = &serving{session: s, cmd: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.stop())
		}
	}()
	if v.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", c.Listen); err != nil {
		return v, tandem.Errorf(tandem.Unavailable, "serve", c.Listen, "cannot listen there: %w", err).
			WithHint("choose another address with --listen, for example 127.0.0.1:8081")
	}
	v.address = v.listener.Addr().String()
	if v.database, err = v.openJobs(ctx); err != nil {
		return v, err
	}
	if err := v.tell(); err != nil {
		return v, err
	}
	v.receive()
	oidc, err := v.oidc()
	if err != nil {
		return v, err
	}
	if v.api, err = api.New(api.Options{Registry: v.registry, Store: v.store, Clock: v.Clock, NewID: newID, Log: v.log, PublicURL: c.PublicURL, Version: version, OIDC: oidc}); err != nil {
		return v, err
	}
	v.jobs, err = jobs.Start(ctx, jobs.Options{Database: v.database, Store: v.store, Engine: v.engine, Clock: v.Clock, NewID: newID, Log: v.log,
		Holder: v.engine.Holder, Retention: c.retention(), Runs: c.Runs, Workers: c.Workers,
		Deliveries: v.processor, Notifier: v.notifier})
	return v, err
}

// tell sets up what goes out: alerts, letters, and which addresses may be called.
func (v *serving) tell() error {
	v.policy = outbound.Policy{AllowPrivate: v.cmd.AllowPrivateAddresses}
	v.notifier = alert.New(alert.Options{Store: v.store, Clock: v.Clock, Open: v.openChannel, Policy: v.policy, PublicURL: v.cmd.PublicURL, Holder: v.engine.Holder})
	password, err := optionalSecret(v.cmd.MailPasswordFile)
	if err != nil {
		return err
	}
	v.mailer = alert.Mailer{Config: alert.EmailConfig{Host: v.cmd.MailHost, Port: v.cmd.MailPort, Security: alert.Security(v.cmd.MailSecurity),
		Username: v.cmd.MailUser, From: v.cmd.MailFrom}, Password: password.Reveal(), Policy: outbound.Policy{AllowPrivate: true}} // whoever starts the server may name any
	v.registry.Notifier, v.registry.Throttle = v.notifier, registry.NewThrottle(100_000)
	v.registry.MayCall = func(_ context.Context, url string) error { return v.policy.Check(url) }
	v.registry.Post, v.mailing = v.post()
	return nil
}

// oidc gives the identity provider's settings, nil where there is none.
func (v *serving) oidc() (*api.OIDC, error) {
	if v.cmd.OIDCIssuer == "" {
		return nil, nil
	}
	secret, err := optionalSecret(v.cmd.OIDCClientSecretFile)
	return &api.OIDC{Issuer: v.cmd.OIDCIssuer, ClientID: v.cmd.OIDCClientID, ClientSecret: secret.Reveal()}, err
}

// optionalSecret reads a file with a secret, where one is named.
func optionalSecret(file string) (secret.Text, error) {
	if file == "" {
		return secret.Text{}, nil
	}
	return secret.Read(secret.Source{File: file})
}

// openJobs gives the job engine its place in the store's database, with its tables.
func (v *serving) openJobs(ctx context.Context) (*jobs.Database, error) {
	db := jobs.OnSQLite(v.store.DB().DB)
	if !v.onSQLite() {
		var err error
		if db, err = jobs.OnPostgres(ctx, v.flags.DatabaseURL); err != nil {
			return nil, err
		}
	}
	if _, err := jobs.Migrate(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// receive sets the webhooks up.
func (v *serving) receive() {
	v.processor = webhook.NewProcessor(webhook.ProcessorOptions{Store: v.store, Clock: v.Clock, IDs: newID, Holder: v.engine.Holder, Log: v.log, Dead: jobs.DeadLetters(v.store, v.Clock, newID, v.log)})
	v.hooks = webhook.NewHandler(webhook.Options{Store: v.store, Open: vault{v.keys}.webhookSecrets, Clock: v.Clock, IDs: newID, Log: v.log, Stored: v.processor.Poke})
}

// handler routes what the server answers.
func (v *serving) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", v.api)
	mux.Handle(webhook.Pattern, v.hooks)
	mux.Handle("/", web.New(web.Options{Registry: v.registry, Log: v.log}))
	return mux
}

// run serves until ctx ends, then stops in order: no new requests, what was received is stored, runs stop at their
// next batch.
func (v *serving) run(ctx context.Context) error {
	server := &http.Server{Handler: v.handler(), ReadHeaderTimeout: 10 * time.Second}
	v.out.note("tandem serves %s; Ctrl-C stops it\n", v.base())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := server.Serve(v.listener)
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
	if v.mailing != nil {
		group.Go(func() error { return v.mailing(ctx) })
	}
	<-ctx.Done()
	v.log.Info("stopping: runs end at their next batch and go on in another process, or at the next start")
	v.api.Close()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err := server.Shutdown(last)
	return errors.Join(err, group.Wait(), v.stop())
}

// stop lets go of what newServing made, in the order in which it is needed.
func (v *serving) stop() error {
	var errs []error
	if v.hooks != nil {
		v.hooks.Close()
	}
	if v.jobs != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		errs = append(errs, v.jobs.Stop(ctx))
	}
	if v.api != nil {
		v.api.Close()
	}
	if v.database != nil {
		v.database.Close()
	}
	if v.notifier != nil {
		v.notifier.Close()
	}
	if v.listener != nil {
		if err := v.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
