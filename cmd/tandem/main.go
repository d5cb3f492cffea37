// Command tandem keeps a device registry and its Golioth projects in step, from a terminal.
//
// It is the only package that knows every other one: it wires them and turns their results into
// text for people, JSON for programs and exit codes for scripts. Rules live in registry, syncer and merge.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"tandem"
)

func main() {
	m := &Main{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv, Clock: time.Now}
	os.Exit(m.Run(context.Background()))
}

// Main is the program with everything that it takes from outside, so that tests can boot it.
type Main struct {
	Args      []string // without the program's name
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
	LookupEnv func(string) (string, bool)
	Clock     tandem.Clock
}

// CLI is every command with its flags.
type CLI struct {
	Globals

	Overview   OverviewCmd   `cmd:"" help:"How the fleet and its syncs are, at a glance."`
	Org        OrgCmd        `cmd:"" help:"Organizations: create, list, show, update, delete."`
	User       UserCmd       `cmd:"" help:"People: create, list, show, update, delete, invite, reset-password."`
	Token      TokenCmd      `cmd:"" help:"What programs sign in with: create, list, show, delete."`
	Service    ServiceCmd    `cmd:"" help:"Connections to Golioth projects: add, list, show, update, test, connect, pause, resume, delete."`
	Device     DeviceCmd     `cmd:"" help:"Devices: create, list, show, update, delete, link, unlink, import, export, history."`
	Remote     RemoteCmd     `cmd:"" help:"What is on a service and not here: list, import, ignore."`
	Sync       SyncCmd       `cmd:"" help:"Synchronize a service, or show what that would do."`
	Plans      PlansCmd      `cmd:"" help:"What a sync would do, stored: list, show, discard. tandem sync --plan applies one."`
	Runs       RunsCmd       `cmd:"" help:"What syncs did: list, show, approve, discard, cancel, revert."`
	Conflicts  ConflictsCmd  `cmd:"" help:"What both sides changed: list, show, resolve."`
	Deliveries DeliveriesCmd `cmd:"" help:"Received webhooks: list, show, replay, rate."`
	Alerts     AlertsCmd     `cmd:"" help:"What somebody should look at: list, show, acknowledge, resolve."`
	Channels   ChannelsCmd   `cmd:"" help:"Where alerts are sent: create, list, show, update, test, delete."`
	Audit      AuditCmd      `cmd:"" help:"Who did what: verify, export."`
	Migrate    MigrateCmd    `cmd:"" help:"Bring the database's schema up to this version, or show where it stands."`
	Doctor     DoctorCmd     `cmd:"" help:"Check the database, the keys and every service, and say what to do."`
	Backup     BackupCmd     `cmd:"" help:"Write a copy of the SQLite database to a file."`
	Restore    RestoreCmd    `cmd:"" help:"Put a backup in the place of the SQLite database."`
	Secret     SecretCmd     `cmd:"" help:"The keys that encrypt API keys: rotate."`
	Serve      ServeCmd      `cmd:"" help:"Serve people, programs and webhooks, and keep the services in step by their schedules."`
	Health     HealthCmd     `cmd:"" help:"Ask the server on this machine whether it is well; for health checks."`
	Demo       DemoCmd       `cmd:"" help:"Everything at once, against a simulated project: import, edits, a conflict, an undo."`
	Simulator  SimulatorCmd  `cmd:"" help:"Serve a simulated Golioth project with any number of devices, and with faults."`
	Version    VersionCmd    `cmd:"" help:"Print the version."`
}

// Globals are the flags that every command takes.
type Globals struct {
	Place
	DatabaseURL string `placeholder:"URL" default:"sqlite:tandem.db" help:"The database: sqlite:FILE or postgres://…"`
	KeyFile     string `placeholder:"FILE" help:"The file of keys that encrypt API keys (tandem.key beside the SQLite database, or in the working folder)."`
	JSON        bool   `help:"Write JSON to standard output, and nothing else."`
	Verbose     bool   `short:"v" help:"Leave nothing out of lists."`
	NoColor     bool   `help:"Write no colors; so does NO_COLOR."`
}

const description = `Keeps your device registry and your Golioth projects in step, both ways.

Every flag can also be set as an environment variable: --database-url as TANDEM_DATABASE_URL.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 finished with conflicts or partial failures,
4 blocked by a guard or waiting for approval.`

// The exit codes that scripts rely on.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3
	exitBlocked = 4
)

// exitCode ends a command whose output says everything already.
type exitCode int

// Error gives the code, for logs.
func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// usageError is wrong usage that the parser could not see.
type usageError struct{ message, hint string }

// Error gives what is wrong and what to do.
func (e *usageError) Error() string {
	if e.hint == "" {
		return e.message
	}
	return e.message + "; " + e.hint
}

// leave is how the parser ends the program after --help.
type leave int

// Run does one command and gives the exit code.
func (m *Main) Run(ctx context.Context) (code int) {
	defer func() {
		if v := recover(); v != nil {
			l, ok := v.(leave)
			if !ok {
				panic(v)
			}
			code = int(l)
		}
	}()
	cli := &CLI{}
	parser, err := kong.New(cli, kong.Name("tandem"), kong.Description(description), sortFlags(), kong.Writers(m.Stdout, m.Stderr),
		kong.Exit(func(code int) { panic(leave(code)) }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Resolvers(environment(m.LookupEnv)))
	if err != nil {
		_, _ = fmt.Fprintln(m.Stderr, "tandem:", err) // nowhere left to report to
		return exitFailed
	}
	args := m.Args
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return m.misused(args, err)
	}
	ctx, stop := m.signals(ctx, parsed.Command() == "serve")
	defer stop()
	a := newApp(m, &cli.Globals)
	if err := errors.Join(blank(parsed), a.refuseServer(parsed.Command())); err != nil {
		return a.exit(err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return a.exit(parsed.Run(a))
}

// environment gives every visible flag its TANDEM_ variable. The command line goes first.
func environment(lookup func(string) (string, bool)) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if flag.Hidden || flag.Name == "help" || len(flag.Envs) > 0 { // a flag with a variable of its own has only that
			return nil, nil
		}
		if value, ok := lookup("TANDEM_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))); ok {
			return value, nil
		}
		return nil, nil
	})
}

// signals gives a context that the first Ctrl-C ends gently: a run stops at its next batch.
// The second one kills the program, as if it had been by itself: what is half done is settled by the next run (S24).
func (m *Main) signals(parent context.Context, serving bool) (context.Context, func()) {
	stopping := "stopping at the end of this batch"
	if serving {
		stopping = "stopping: requests end, runs go on in another process or at the next start"
	}
	ctx, cancel := context.WithCancel(parent)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-caught:
			signal.Stop(caught) // the next one has its usual effect
			_, _ = fmt.Fprintln(m.Stderr, "\n"+stopping+"; press Ctrl-C again to stop at once")
			cancel()
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(caught)
		close(done)
		cancel()
	}
}
