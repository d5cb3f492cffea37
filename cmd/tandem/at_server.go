package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"tandem"
	"tandem/api/client"
	"tandem/registry"
	"tandem/secret"
)

// Place says where commands are done: on the database, or at a server that runs.
type Place struct {
	Server    string `placeholder:"URL" help:"Work at this server instead of on a database, with a token of it."`
	TokenFile string `placeholder:"FILE" help:"The file that holds the token; - reads standard input. Or set TANDEM_TOKEN."`
	Token     string `placeholder:"TOKEN" help:"The token itself. Other users of this machine can see what stands among the arguments: better set TANDEM_TOKEN or use --token-file."`
}

// token gives the token that the server is called with.
func (a *app) token() (secret.Text, error) {
	p := &a.flags.Place
	switch {
	case p.TokenFile != "":
		return a.readSecret(p.TokenFile)
	case p.Token == "":
		return secret.Text{}, &usageError{"the token for the server is missing", "set TANDEM_TOKEN, or give --token-file FILE; tandem token create makes one"}
	}
	if set, _ := a.LookupEnv("TANDEM_TOKEN"); set != p.Token {
		a.out.note("a token among the arguments can be seen by other users of this machine; TANDEM_TOKEN and --token-file cannot\n")
	}
	return secret.NewText(strings.TrimSpace(p.Token)), nil
}

// dial gives the desk at the server.
func (a *app) dial() (*desk, error) {
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.Options{URL: a.flags.Server, Token: token.Reveal(), Agent: "tandem " + version})
	if err != nil {
		return nil, err
	}
	return &desk{app: a, useCases: &atServer{Client: c, approved: map[string]approval{}}}, nil
}

// databaseOnly are the commands about the machine that the database is on.
var databaseOnly = []string{"serve", "migrate", "backup", "restore", "secret", "demo"}

// refuseServer turns down a server for a command that works on the database only.
func (a *app) refuseServer(command string) error {
	first, _, _ := strings.Cut(command, " ")
	for _, name := range databaseOnly {
		if a.flags.Server != "" && name == first {
			return &usageError{"tandem " + name + " works on the database only, not at a server", "leave --server and TANDEM_SERVER out, and run it where the database is"}
		}
	}
	return nil
}

// atServer does the use cases at a server that runs, as whoever the token is of. What is the same there is the
// client's own; here is what differs.
type atServer struct {
	*client.Client
	approved map[string]approval // of the services that were read
}

// approval says whether a service's settings may run, and whether there ever was a run that a person let (S28).
type approval struct{ now, ever bool }

// seen keeps what a reply says beside the service.
func (s *atServer) seen(v client.Service, err error) (tandem.Service, error) {
	if err == nil {
		s.approved[v.ID] = approval{v.Approved, v.EverApproved}
	}
	return v.Service, err
}

// Services lists services.
func (s *atServer) Services(ctx context.Context, org string) ([]tandem.Service, error) {
	all, err := s.Client.Services(ctx, org)
	services := make([]tandem.Service, len(all))
	for i := range all {
		services[i], _ = s.seen(all[i], nil)
	}
	return services, err
}

// Service finds one.
func (s *atServer) Service(ctx context.Context, org, ref string) (tandem.Service, error) {
	return s.seen(s.Client.Service(ctx, org, ref))
}

// AddService connects a project.
func (s *atServer) AddService(ctx context.Context, org string, add newService) (tandem.Service, error) {
	return s.seen(s.Client.AddService(ctx, org, client.NewService{Name: add.Name, Type: add.Type, Config: add.Config, Key: add.Key.Reveal(), Check: add.Check}))
}

// UpdateService changes one.
func (s *atServer) UpdateService(ctx context.Context, org, ref string, edit serviceEdit) (tandem.Service, error) {
	change := client.ServiceEdit{Name: edit.Name, Config: edit.Config, IsActive: edit.IsActive, SyncEnabled: edit.SyncEnabled, SyncInterval: edit.SyncInterval}
	if edit.Key != nil {
		key := edit.Key.Reveal()
		change.Key = &key
	}
	return s.seen(s.Client.UpdateService(ctx, org, ref, change))
}

// DeleteService removes one.
func (s *atServer) DeleteService(ctx context.Context, org, ref string, ifVersion ...int64) (tandem.Service, int, error) {
	v, unlinked, err := s.Client.DeleteService(ctx, org, ref, ifVersion...)
	return v.Service, unlinked, err
}

// TestService asks its project.
func (s *atServer) TestService(ctx context.Context, org string, v *tandem.Service) (tandem.RemoteProject, time.Duration, error) {
	return s.Client.TestService(ctx, org, v.ID)
}

// TryService has the server ask a project.
func (s *atServer) TryService(ctx context.Context, org, ref, baseURL, project string, key *secret.Text) (tandem.RemoteProject, time.Duration, error) {
	var text *string
	if key != nil {
		revealed := key.Reveal()
		text = &revealed
	}
	return s.Client.TryService(ctx, org, ref, baseURL, project, text)
}

// HasKey cannot be known: the server shows no keys.
func (s *atServer) HasKey(*tandem.Service, secret.Text) bool { return false }

// Approved says what the server said when the service was read.
func (s *atServer) Approved(v *tandem.Service) (now, ever bool) {
	at := s.approved[v.ID]
	return at.now, at.ever
}

// UpdateWebhook changes how deliveries are authenticated and read.
func (s *atServer) UpdateWebhook(ctx context.Context, org, ref string, edit registry.WebhookEdit) (tandem.Service, string, error) {
	v, made, err := s.Client.UpdateWebhook(ctx, org, ref, edit)
	return v.Service, made, err
}

// DisconnectWebhook ends the webhook.
func (s *atServer) DisconnectWebhook(ctx context.Context, org, ref string) (tandem.Service, error) {
	v, err := s.Client.DisconnectWebhook(ctx, org, ref)
	return v.Service, err
}

// DeleteDevice removes a device there.
func (s *atServer) DeleteDevice(ctx context.Context, org, ref string) (tandem.Device, error) {
	return s.Client.DeleteDevice(ctx, org, ref)
}

// CreateUser is done on the database: over the network people are invited.
func (s *atServer) CreateUser(context.Context, string, registry.NewPerson, tandem.Role) (tandem.User, error) {
	return tandem.User{}, notThere("accounts are made")
}

// UnlockUser is done on the database: over the network it would be a way in.
func (s *atServer) UnlockUser(context.Context, string, bool) (tandem.User, string, error) {
	return tandem.User{}, "", notThere("people who are locked out are let in")
}

// ResetPassword goes with it.
func (s *atServer) ResetPassword(context.Context, string, string) (tandem.User, error) {
	return tandem.User{}, notThere("people who are locked out are let in")
}

func notThere(what string) error {
	return &usageError{what + " on the database only, not at a server", "leave --server and TANDEM_SERVER out, and run it where the database is"}
}

// Sync has a run done there and follows it.
func (s *atServer) Sync(ctx context.Context, org string, req tandem.RunRequest, report tandem.Report) (tandem.Run, error) {
	return s.follow(ctx, org, report, func() (tandem.Run, error) { return s.StartRun(ctx, org, req) })
}

// Preview plans a run there.
func (s *atServer) Preview(ctx context.Context, org string, req tandem.RunRequest, save bool, each func(tandem.Change) error, _ tandem.Report) (tandem.Preview, error) {
	return s.Client.Preview(ctx, org, req, save, each)
}

// ImportRemote creates devices for remote ones.
func (s *atServer) ImportRemote(ctx context.Context, org, service string, externalIDs []string, report tandem.Report) (tandem.Run, error) {
	return s.follow(ctx, org, report, func() (tandem.Run, error) { return s.Client.ImportRemote(ctx, org, service, externalIDs) })
}

// ApproveRun lets through what a run held back.
func (s *atServer) ApproveRun(ctx context.Context, org, id string, report tandem.Report) (tandem.Run, error) {
	return s.follow(ctx, org, report, func() (tandem.Run, error) { return s.Client.ApproveRun(ctx, org, id) })
}

// RevertRun undoes a run.
func (s *atServer) RevertRun(ctx context.Context, org, id string, report tandem.Report) (tandem.Run, error) {
	return s.follow(ctx, org, report, func() (tandem.Run, error) { return s.Client.RevertRun(ctx, org, id) })
}

// stopWait is how long a run may take to stop when Ctrl-C asked it to.
const stopWait = time.Minute

// follow starts a run and watches it to its end. Ctrl-C asks it to stop at its next batch, as of a run that is done here.
func (s *atServer) follow(ctx context.Context, org string, report tandem.Report, start func() (tandem.Run, error)) (tandem.Run, error) {
	run, err := start()
	if err != nil {
		return tandem.Run{}, err
	}
	run, err = s.Await(ctx, org, run, report)
	if ctx.Err() != nil && !run.Status.Ended() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
		defer cancel()
		if _, err := s.CancelRun(last, org, run.ID); err != nil && !tandem.Is(err, tandem.Invalid) { // it has ended meanwhile
			return run, err
		}
		run, err = s.Await(last, org, run, report)
	}
	if err != nil {
		return run, err
	}
	return run, runFailed(&run)
}

// runFailed gives why a run failed, as it would be known here.
func runFailed(run *tandem.Run) error {
	if run.Status != tandem.RunFailed {
		return nil
	}
	return tandem.Errorf(tandem.Code(run.Status), "run", "", "%w", errors.New(run.Error))
}
