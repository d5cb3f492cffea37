package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"tandem"
)

// Store is what the gateway needs of the store.
type Store interface {
	FindCredential(ctx context.Context, kind tandem.CredentialKind, key string) (tandem.Credentialed, error)
	TouchCredentials(ctx context.Context, uses []tandem.CredentialUse) error
	Organization(ctx context.Context, idOrSlug string) (tandem.Organization, error)
	FindDevices(ctx context.Context, org, ref string) ([]tandem.Device, error)
	tandem.TelemetryStore
	TakeCommands(ctx context.Context, org string, devices []string, via tandem.Via, again bool) ([]tandem.Command, error)
	ReturnCommands(ctx context.Context, org string, ids []string) error
	AnswerCommand(ctx context.Context, org, device string, answer tandem.CommandAnswer, now time.Time) (bool, error)
	ExpireCommands(ctx context.Context, now time.Time, limit int) (int, error)
	tandem.EventStore
}

// The bounds where Options say nothing.
const (
	DefaultMaxBody = 256 << 10 // bytes of one message
	MostReports    = 1000      // reports in one message
	DefaultRate    = 50        // reports a second of one device …
	DefaultBurst   = 1000      // … and at once
	DefaultWaiting = 16384     // messages that wait for their commit
	DefaultBatch   = 2000      // reports in one transaction
)

// Options say how devices are served.
type Options struct {
	Store Store
	Clock tandem.Clock
	IDs   tandem.IDs
	// Unseal gives the key of a PSK credential; nil where there are none.
	Unseal  func(c *tandem.Credential) ([]byte, error)
	Meter   Meter        // nil for none
	Log     *slog.Logger // nil for none
	MaxBody int          // bytes of one message; 0 for DefaultMaxBody
	Rate    float64      // reports a second of one device; 0 for DefaultRate, negative for no limit
	Burst   int          // reports of one device at once; 0 for DefaultBurst
	Waiting int          // messages that may wait for their commit; 0 for DefaultWaiting
	Batch   int          // reports in one transaction; 0 for DefaultBatch
	Writers int          // transactions at once; 0 for one, which is right for SQLite
}

// Gateway serves devices. It is safe for concurrent use; Close ends it once the transports have ended.
type Gateway struct {
	o        Options
	known    *known
	commits  *committer
	commands *dispatcher
	failures *failures
	proven   proven
	uses     uses
	stop     context.CancelFunc
	ended    sync.WaitGroup
}

// New starts a Gateway.
func New(o Options) *Gateway {
	if o.Meter == nil {
		o.Meter = silent{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	orElse(&o.MaxBody, DefaultMaxBody)
	orElse(&o.Rate, DefaultRate)
	orElse(&o.Burst, DefaultBurst)
	orElse(&o.Waiting, DefaultWaiting)
	orElse(&o.Batch, DefaultBatch)
	orElse(&o.Writers, 1)
	ctx, stop := context.WithCancel(context.Background())
	g := &Gateway{o: o, stop: stop, known: newKnown(&o), failures: newFailures(o.Clock)}
	g.commits = newCommitter(&g.o, g.known)
	g.commands = newDispatcher(&g.o, g.Check)
	g.ended.Go(func() { g.watch(ctx) })
	g.ended.Go(func() { g.commands.run(ctx) })
	g.ended.Go(func() { g.chores(ctx) })
	return g
}

// closeWithin is how long stopping may take where nothing else is said.
const closeWithin = 10 * time.Second

// Stopping says that the gateway is about to be closed: what waits for the database, and what still comes, is stored within a
// time from now, all of it together, or is not acknowledged. The first call counts.
func (g *Gateway) Stopping(within time.Duration) { g.commits.stopping(within) }

// Close waits until all that was received is stored and answered, or was told to come again, as later reports are.
func (g *Gateway) Close() {
	g.Stopping(closeWithin)
	g.commits.queue.Close()
	g.stop()
	g.ended.Wait()
	last, cancel := context.WithTimeout(g.commits.life, noteWithin)
	defer cancel()
	defer g.commits.end()
	if err := g.noteUses(last); err != nil {
		g.o.Log.Warn("the last use of credentials is not noted", "error", err)
	}
}

// Waiting is how many messages wait for their commit.
func (g *Gateway) Waiting() int { return g.commits.queue.Depth() }

// MaxBody is how large a message may be, in bytes.
func (g *Gateway) MaxBody() int { return g.o.MaxBody }

// How often the gateway looks after what has become due.
const (
	choresEvery   = 5 * time.Second
	choreTime     = 10 * time.Second
	noteWithin    = 2 * time.Second // at the end
	expireAtATime = 1000
)

// chores ends commands whose time is over and notes which credentials were used.
func (g *Gateway) chores(ctx context.Context) {
	tick := time.NewTicker(choresEvery)
	defer tick.Stop()
	expiring, noting := newComplaint(&g.o, "end commands whose time is over"), newComplaint(&g.o, "note which credentials were used")
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		within, cancel := context.WithTimeout(ctx, choreTime)
		_, expired := g.o.Store.ExpireCommands(within, g.o.Clock(), expireAtATime)
		noted := g.noteUses(within)
		cancel()
		if ctx.Err() == nil {
			expiring.about(expired)
			noting.about(noted)
		}
		g.failures.sweep()
		g.known.sweep()
		g.commits.sweep()
	}
}

// orElse sets what is zero.
func orElse[T comparable](value *T, usual T) {
	var zero T
	if *value == zero {
		*value = usual
	}
}
