package main

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem"
	"tandem/alert"
	"tandem/api"
	ingest "tandem/gateway/http"
	"tandem/jobs"
	"tandem/outbound"
	"tandem/registry"
	"tandem/secret"
	"tandem/server"
	"tandem/store"
	"tandem/web"
	"tandem/webhook"
)

// serving is one server process: the shell that listens, and what works behind it.
type serving struct {
	*session
	cmd     *ServeCmd
	routes  []server.Route // beside the usual ones
	tour    bool           // the pages have the demo's tour
	server  *server.Server
	metrics *server.Metrics
	traces  *server.Traces

	policy   outbound.Policy
	notifier *alert.Notifier
	mailer   alert.Mailer
	mailing  func(context.Context) error // sends letters until its context ends; nil without a mail server

	api       *api.API
	hooks     *webhook.Handler
	devices   deviceDoor
	processor *webhook.Processor
	database  *jobs.Database
	jobs      *jobs.Jobs
}

// How long stopping may take: requests, then the work behind them.
const (
	stopRequests = 20 * time.Second
	stopReports  = 10 * time.Second // of devices: what is not stored by then is not acknowledged, and comes again
	stopWork     = 30 * time.Second
)

// migrateWithin is how long a server waits for another that is giving the database its tables.
const migrateWithin = 10 * time.Second

// openServing opens the database for a server: an empty one gets its tables. Of several that start at once, one makes
// them and the others wait; an older database that nobody is migrating is refused at once.
func (a *app) openServing(ctx context.Context) (*session, error) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		st, err := a.openStore(ctx, store.Options{AutoMigrate: true, FleetsFrom: store.LargeFleet})
		if err == nil {
			return a.withKeys(st)
		}
		var e *tandem.Error
		if !tandem.Is(err, tandem.Schema) || !errors.As(err, &e) || e.RetryAfter == 0 || time.Since(began) > migrateWithin {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// newServing wires the parts; those of the demo have a tour, and routes beside the usual ones. What it opened is closed
// again when it fails.
func newServing(ctx context.Context, c *ServeCmd, s *session, demo ...server.Route) (v *serving, err error) {
	v = &serving{session: s, cmd: c, routes: demo, tour: len(demo) > 0, metrics: server.NewMetrics(version, s.Clock)}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.stop())
		}
	}()
	if v.traces, err = server.NewTraces(ctx, v.environment, version); err != nil {
		return v, err
	}
	if v.database, err = v.openJobs(ctx); err != nil {
		return v, err
	}
	if err = v.tell(); err != nil {
		return v, err
	}
	v.receive()
	v.letDevicesIn()
	if err = v.serveCoAP(ctx); err != nil {
		return v, err
	}
	if err = v.answer(); err != nil {
		return v, err
	}
	if err = v.shell(ctx); err != nil {
		return v, err
	}
	if err = errors.Join(v.serveMQTT(ctx), v.linkMQTT(ctx)); err != nil {
		return v, err
	}
	v.jobs, err = jobs.Start(ctx, jobs.Options{Database: v.database, Store: v.store, Engine: v.engine, Clock: v.Clock, NewID: newID, Log: v.log,
		Holder: v.engine.Holder, Retention: c.retention(), Runs: c.Runs, Workers: c.Workers, Deliveries: v.processor, Notifier: v.notifier,
		Ended: v.metrics.RunEnded, Failed: v.metrics.JobFailed, Span: v.traces.Span})
	if err == nil {
		v.measure()
	}
	return v, err
}

// environment gives a variable's value, "" where it is not set.
func (v *serving) environment(name string) string {
	value, _ := v.LookupEnv(name)
	return value
}

// tell sets up what goes out: to services, to people, and which addresses may be called.
func (v *serving) tell() error {
	v.policy = outbound.Policy{AllowPrivate: v.cmd.AllowPrivateAddresses}
	v.clients.transport = v.carry
	v.notifier = alert.New(alert.Options{Store: v.store, Clock: v.Clock, Open: v.openChannel, Policy: v.policy, PublicURL: v.cmd.PublicURL, Holder: v.engine.Holder,
		Meter: v.metrics.Notified})
	password, err := optionalSecret(v.cmd.MailPasswordFile)
	if err != nil {
		return err
	}
	v.mailer = alert.Mailer{Config: alert.EmailConfig{Host: v.cmd.MailHost, Port: v.cmd.MailPort, Security: alert.Security(v.cmd.MailSecurity),
		Username: v.cmd.MailUser, From: v.cmd.MailFrom}, Password: password.Reveal(), Policy: outbound.Policy{AllowPrivate: true}} // whoever starts the server may name any
	v.registry.Notifier, v.registry.Throttle, v.registry.Previews = v.notifier, registry.NewThrottle(100_000), &registry.Previews{}
	v.registry.MayCall = func(_ context.Context, url string) error { return v.policy.Check(url) }
	v.registry.Post, v.mailing = v.post()
	v.registry.Auditor = auditor{v.store, v.Clock}
	return nil
}

// carry gives what carries the requests to a service: to private addresses only where the command line named them.
func (v *serving) carry(s *tandem.Service) http.RoundTripper {
	policy := v.policy
	policy.AllowPrivate = policy.AllowPrivate || s.Config.PrivateAddress
	return metered{outbound.Transport(policy), v.metrics, v.traces}
}

// receive sets the webhooks up.
func (v *serving) receive() {
	meter, batch := deliveryMeter{v.metrics}, webhook.LargeClaim
	if v.onSQLite() {
		batch = webhook.DefaultClaim
	}
	v.processor = webhook.NewProcessor(webhook.ProcessorOptions{Store: v.store, Clock: v.Clock, IDs: newID, Holder: v.engine.Holder, Log: v.log,
		Batch: batch, Meter: meter, Dead: jobs.DeadLetters(v.store, v.Clock, newID, v.log)})
	v.hooks = webhook.NewHandler(webhook.Options{Store: v.store, Open: vault{v.keys}.webhookSecrets, Clock: v.Clock, IDs: newID, Log: v.log,
		Meter: meter, Processor: v.processor})
}

// answer sets the API up.
func (v *serving) answer() (err error) {
	options := api.Options{Registry: v.registry, Store: v.store, Clock: v.Clock, NewID: newID, Log: v.log, PublicURL: v.cmd.PublicURL, HTTPS: v.cmd.TLSCert != "", Version: version,
		Note: server.NoteActor}
	if v.cmd.OIDCIssuer != "" {
		secret, err := optionalSecret(v.cmd.OIDCClientSecretFile)
		if err != nil {
			return err
		}
		options.OIDC = &api.OIDC{Issuer: v.cmd.OIDCIssuer, ClientID: v.cmd.OIDCClientID, ClientSecret: secret.Reveal()}
	}
	v.api, err = api.New(options)
	return err
}

// shell opens what listens.
func (v *serving) shell(ctx context.Context) error {
	proxies, err := prefixes(v.cmd.TrustedProxies)
	if err != nil {
		return err
	}
	token, err := optionalSecret(v.cmd.MetricsTokenFile)
	if err != nil {
		return err
	}
	pages, err := web.New(web.Options{Registry: v.registry, Log: v.log, Clock: v.Clock, Actor: v.api.Actor, Place: v.api.Place, Changed: v.api.ForgetUser,
		Provider: v.cmd.OIDCIssuer != "", Doors: func() []string { return v.devices.places }, PublicURL: v.cmd.PublicURL, Version: version, Tour: v.tour, Retention: v.cmd.retention()})
	if err != nil {
		return err
	}
	v.server, err = server.New(server.Options{Listen: []string{v.cmd.Listen}, CertFile: v.cmd.TLSCert, KeyFile: v.cmd.TLSKey, AllowTLS12: v.cmd.TLSMin == "1.2", ClientCAFile: v.cmd.IngestClientCA,
		PublicURL: v.cmd.PublicURL, TrustedProxies: proxies, Health: v.health(), Metrics: v.metrics, MetricsListen: v.cmd.MetricsListen,
		MetricsToken: server.Secret(token.Reveal()), Traces: v.traces, Stopping: v.stopping, Grace: stopRequests, Log: v.log, Clock: v.Clock, NewID: newID,
		Limits: server.Limits{AddressRate: v.cmd.AddressRate, TokenRate: v.cmd.TokenRate, WebhookRate: v.cmd.WebhookRate, IngestRate: v.cmd.IngestRate},
		Routes: append([]server.Route{
			{Pattern: "/api/", Handler: v.api, Kind: server.Program, MaxBody: maxUpload, Name: v.api.RouteName},
			{Pattern: webhook.Pattern, Handler: v.hooks, Kind: server.Webhook},
			{Pattern: ingest.Prefix, Handler: v.devices.http, Kind: server.Ingest},
			{Pattern: web.AssetPrefix, Handler: web.Assets(), Kind: server.Asset},
			{Pattern: "/", Handler: pages, Kind: server.Page, MaxBody: maxUpload},
		}, v.routes...)})
	if err != nil {
		return err
	}
	return v.server.Listen(ctx)
}

// maxUpload bounds an API request's body, such as a file of devices; most operations take less.
const maxUpload = 64 << 20

// prefixes reads addresses and ranges of addresses.
func prefixes(texts []string) ([]netip.Prefix, error) {
	var found []netip.Prefix
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			found = append(found, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, &usageError{"--trusted-proxies: " + text + " is no address", "write addresses or ranges, such as 10.0.0.0/8,192.0.2.7"}
		}
		found = append(found, p)
	}
	return found, nil
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

// run serves until ctx ends, then stops in order: no new requests, what was received is stored, runs stop at their
// next batch.
func (v *serving) run(ctx context.Context) error {
	if !v.tour {
		for _, place := range v.devices.places {
			v.out.note("devices speak to %s\n", place)
		}
		v.out.note("tandem serves %s; Ctrl-C stops it\n", v.base())
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return v.server.Run(ctx) })
	if v.mailing != nil {
		group.Go(func() error { return v.mailing(ctx) })
	}
	return errors.Join(group.Wait(), v.stop())
}

// stop lets go of what newServing made, in the order in which it is needed.
func (v *serving) stop() error {
	var errs []error
	v.devices.close()
	if v.hooks != nil {
		v.hooks.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWork)
	defer cancel()
	if v.jobs != nil {
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
	if v.traces != nil {
		errs = append(errs, v.traces.Close(ctx))
	}
	return errors.Join(errs...)
}
