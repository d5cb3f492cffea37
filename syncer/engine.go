// Package syncer is one run: list, match, merge, apply, record (SYNC.md S12–S33).
// It is the only place that knows the order of things. What differs is decided in merge;
// what is kept is kept by the store; what the remote does is behind tandem.Remote.
package syncer

import (
	"context"
	"log/slog"
	"time"

	"tandem"
)

// Engine runs syncs. Its members are set once, before use; it is safe for concurrent use.
type Engine struct {
	Store tandem.Store
	// Connect gives the remote of a service, with its key and budget.
	Connect func(ctx context.Context, service tandem.Service) (tandem.Remote, error)
	Clock   tandem.Clock
	NewID   tandem.IDs
	// Holder names this process in leases; unique over all processes.
	Holder string
	Log    *slog.Logger
	// LeaseTTL is how long a dead process keeps a service from others (S19); 0 means DefaultLeaseTTL.
	// WriteTimeout is after how long a remote write has certainly ended; 0 means DefaultWriteTimeout.
	// The first must be the longer by a good margin.
	LeaseTTL, WriteTimeout time.Duration
	// Settle is within what time of our own write reading the value from before it is not an edit (S6); 0 means DefaultSettle.
	SettleWindow time.Duration
}
