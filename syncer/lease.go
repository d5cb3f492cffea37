package syncer

import (
	"context"
	"sync"
	"time"

	"tandem"
)

// The defaults of a lease. A process that dies keeps its services from others for LeaseTTL at most.
const (
	DefaultLeaseTTL     = 25 * time.Second
	DefaultWriteTimeout = 10 * time.Second
	DefaultSettle       = 10 * time.Second
)

// keeper holds a service's lease for a run and renews it (S19). Its own reckoning is by the
// monotonic clock, so that a wall clock that jumps neither shortens nor stretches it.
type keeper struct {
	store tandem.LeaseStore
	org   string
	ttl   time.Duration
	note  func(context.Context) // called now and then while the lease is held

	mu     sync.Mutex
	lease  tandem.Lease
	until  time.Time // monotonic, counted from before the call that renewed it
	lost   error
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// keep renews the lease until stop or loss, and has the holder note where it stands; the context it gives ends with the lease.
func keep(ctx context.Context, store tandem.LeaseStore, org string, lease tandem.Lease, asked time.Time, ttl time.Duration, note func(context.Context)) (*keeper, context.Context) {
	held, cancel := context.WithCancelCause(ctx)
	k := &keeper{store: store, org: org, ttl: ttl, note: note, lease: lease, until: asked.Add(ttl), cancel: cancel, done: make(chan struct{})}
	go k.renewing(held)
	return k, held
}

func (k *keeper) renewing(ctx context.Context) {
	defer close(k.done)
	tick := time.NewTicker(k.ttl / 5)
	defer tick.Stop()
	noting := time.NewTicker(noteProgress)
	defer noting.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-noting.C:
			brief, cancel := context.WithTimeout(ctx, k.ttl/10) // it must not keep the lease from being renewed
			k.note(brief)
			cancel()
		case <-tick.C:
			if err := k.renew(ctx); err != nil && ctx.Err() == nil {
				k.lose(err)
				return
			}
		}
	}
}

// renew extends the lease; a database that is away for a moment is forgiven while the lease lasts.
func (k *keeper) renew(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	asked := time.Now()
	lease, err := k.store.RenewLease(ctx, k.org, k.lease, k.ttl)
	switch {
	case err == nil:
		k.lease, k.until = lease, asked.Add(k.ttl)
		return nil
	case tandem.Is(err, tandem.LeaseLost) || !time.Now().Before(k.until):
		return err
	}
	return nil
}

func (k *keeper) lose(err error) {
	k.mu.Lock()
	k.lost = tandem.Errorf(tandem.LeaseLost, "sync", "", "another process took this run over: %w", err).
		WithHint("look at the newer run of this service; what this one had not finished, that one does")
	k.mu.Unlock()
	k.cancel(k.lost)
}

// fence is the proof that goes with each transaction.
func (k *keeper) fence() *tandem.Fence {
	k.mu.Lock()
	defer k.mu.Unlock()
	return &tandem.Fence{ServiceID: k.lease.ServiceID, Token: k.lease.Fence}
}

// taken is the database's clock when the lease was taken or last renewed.
func (k *keeper) taken() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lease.Now
}

// outlasts makes sure that the lease lasts for d from now (S19): a remote write starts only then.
func (k *keeper) outlasts(ctx context.Context, d time.Duration) error {
	k.mu.Lock()
	left, lost := time.Until(k.until), k.lost
	k.mu.Unlock()
	if lost != nil {
		return lost
	}
	if left > d {
		return nil
	}
	if err := k.renew(ctx); err != nil {
		k.lose(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost == nil && time.Until(k.until) <= d {
		return tandem.Errorf(tandem.LeaseLost, "sync", "", "the lease could not be renewed in time for a write")
	}
	return k.lost
}

// release gives the lease back.
func (k *keeper) release(ctx context.Context) error {
	k.cancel(nil)
	<-k.done
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost != nil {
		return nil
	}
	return k.store.ReleaseLease(ctx, k.org, k.lease)
}
