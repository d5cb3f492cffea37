package syncer_test

import (
	"context"
	"iter"
	"sync"
	"time"

	"tandem"
)

// hooks is a test's hand between the engine and what it talks to. Before is asked before each call:
// an error is given instead of the call. After is asked once it has taken effect: an error is given
// instead of its reply. Both may be changed at any time; nil lets everything through.
type hooks struct {
	mu     sync.Mutex
	before func(call, thing string) error
	after  func(call, thing string) error
	lease  tandem.Lease // the last one taken
}

// on sets both; nil for none.
func (h *hooks) on(before, after func(call, thing string) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before, h.after = before, after
}

func (h *hooks) ask(after bool, call, thing string) error {
	h.mu.Lock()
	ask := h.before
	if after {
		ask = h.after
	}
	h.mu.Unlock()
	if ask == nil {
		return nil
	}
	defer func() { h.mu.Lock(); h.mu.Unlock() }() //nolint:staticcheck // what ask wrote is there for the next that asks
	return ask(call, thing)
}

// around makes a call between the two.
func around[T any](h *hooks, call, thing string, do func() (T, error)) (T, error) {
	var none T
	if err := h.ask(false, call, thing); err != nil {
		return none, err
	}
	v, err := do()
	if hookErr := h.ask(true, call, thing); hookErr != nil {
		return none, hookErr
	}
	return v, err
}

func aroundErr(h *hooks, call, thing string, do func() error) error {
	_, err := around(h, call, thing, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// hooked is an option that puts hooks around every remote call and every write of the store. The
// calls are named "remote update", "store apply" and so on; the thing is the remote id where there is one.
func (h *hooks) hooked() option {
	return func(s *setup) {
		s.remote = func(r tandem.Remote) tandem.Remote { return hookedRemote{r, h} }
		s.store = func(st tandem.Store) tandem.Store { return hookedStore{st, h} }
	}
}

type hookedRemote struct {
	tandem.Remote
	h *hooks
}

func (r hookedRemote) Project(ctx context.Context) (tandem.RemoteProject, error) {
	return around(r.h, "remote project", "", func() (tandem.RemoteProject, error) { return r.Remote.Project(ctx) })
}

func (r hookedRemote) Devices(ctx context.Context, l tandem.RemoteListing) iter.Seq2[tandem.RemotePage, error] {
	return func(yield func(tandem.RemotePage, error) bool) {
		if err := r.h.ask(false, "remote list", ""); err != nil {
			yield(tandem.RemotePage{}, err)
			return
		}
		for page, err := range r.Remote.Devices(ctx, l) {
			if hookErr := r.h.ask(true, "remote list", ""); hookErr != nil {
				yield(tandem.RemotePage{}, hookErr)
				return
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

func (r hookedRemote) Device(ctx context.Context, id string) (tandem.RemoteDevice, error) {
	return around(r.h, "remote read", id, func() (tandem.RemoteDevice, error) { return r.Remote.Device(ctx, id) })
}

func (r hookedRemote) CreateDevice(ctx context.Context, d tandem.NewRemoteDevice) (tandem.RemoteDevice, error) {
	return around(r.h, "remote create", d.Name, func() (tandem.RemoteDevice, error) { return r.Remote.CreateDevice(ctx, d) })
}

func (r hookedRemote) UpdateDevice(ctx context.Context, id string, patch tandem.RemotePatch) (tandem.RemoteDevice, error) {
	return around(r.h, "remote update", id, func() (tandem.RemoteDevice, error) { return r.Remote.UpdateDevice(ctx, id, patch) })
}

func (r hookedRemote) DeleteDevice(ctx context.Context, id string) error {
	return aroundErr(r.h, "remote delete", id, func() error { return r.Remote.DeleteDevice(ctx, id) })
}

func (r hookedRemote) CreateTag(ctx context.Context, name string) (tandem.RemoteEntity, error) {
	return around(r.h, "remote tag", name, func() (tandem.RemoteEntity, error) { return r.Remote.CreateTag(ctx, name) })
}

func (r hookedRemote) State(ctx context.Context, id, path string) (any, error) {
	return around(r.h, "remote state", id, func() (any, error) { return r.Remote.State(ctx, id, path) })
}

func (r hookedRemote) SetState(ctx context.Context, id, path string, value any) error {
	return aroundErr(r.h, "remote set state", id, func() error { return r.Remote.SetState(ctx, id, path, value) })
}

func (r hookedRemote) DeleteState(ctx context.Context, id, path string) error {
	return aroundErr(r.h, "remote delete state", id, func() error { return r.Remote.DeleteState(ctx, id, path) })
}

type hookedStore struct {
	tandem.Store
	h *hooks
}

func (s hookedStore) Apply(ctx context.Context, org string, c *tandem.Changes) error {
	return aroundErr(s.h, "store apply", "", func() error { return s.Store.Apply(ctx, org, c) })
}

func (s hookedStore) CreatePlan(ctx context.Context, org string, p tandem.Plan) error {
	return aroundErr(s.h, "store create plan", p.ID, func() error { return s.Store.CreatePlan(ctx, org, p) })
}

func (s hookedStore) AppendPlan(ctx context.Context, org, plan string, rows []tandem.Change) error {
	return aroundErr(s.h, "store append plan", plan, func() error { return s.Store.AppendPlan(ctx, org, plan, rows) })
}

func (s hookedStore) SealPlan(ctx context.Context, org, plan string, rows int, checksum string) error {
	return aroundErr(s.h, "store seal plan", plan, func() error { return s.Store.SealPlan(ctx, org, plan, rows, checksum) })
}

func (s hookedStore) AcquireLease(ctx context.Context, org, service, holder, run string, ttl time.Duration) (tandem.Lease, error) {
	return around(s.h, "store lease", "", func() (tandem.Lease, error) {
		lease, err := s.Store.AcquireLease(ctx, org, service, holder, run, ttl)
		if err == nil {
			s.h.mu.Lock()
			s.h.lease = lease
			s.h.mu.Unlock()
		}
		return lease, err
	})
}

func (s hookedStore) RenewLease(ctx context.Context, org string, lease tandem.Lease, ttl time.Duration) (tandem.Lease, error) {
	return around(s.h, "store renew", "", func() (tandem.Lease, error) { return s.Store.RenewLease(ctx, org, lease, ttl) })
}

func (s hookedStore) ReleaseLease(ctx context.Context, org string, lease tandem.Lease) error {
	return aroundErr(s.h, "store release", "", func() error { return s.Store.ReleaseLease(ctx, org, lease) })
}

// dieBefore lets the process die before its n-th write, counted from 1: neither that nor anything later
// takes place. It gives a function that says how many writes there were, and whether it died.
func (h *hooks) dieBefore(n int) (writes func() (count int, died bool)) {
	var mu sync.Mutex
	count, died := 0, false
	h.on(func(call, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		switch call {
		case "remote project", "remote list", "remote read", "remote state":
		default:
			if count++; count == n {
				died = true
			}
		}
		if died {
			return tandem.Errorf(tandem.Internal, "test", "", "the process is dead")
		}
		return nil
	}, nil)
	return func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		return count, died
	}
}

// resurrect lets calls through again, as from a new process: the dead one's lease has run out.
func (h *hooks) resurrect(w *world) {
	w.t.Helper()
	h.on(nil, nil)
	h.mu.Lock()
	lease := h.lease
	h.lease = tandem.Lease{}
	h.mu.Unlock()
	if lease.ServiceID != "" {
		if err := w.store.ReleaseLease(w.ctx, w.org, lease); err != nil && !tandem.Is(err, tandem.LeaseLost) {
			w.must(err)
		}
	}
}
