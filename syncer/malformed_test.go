package syncer_test

import (
	"context"
	"iter"
	"sync"
	"testing"

	"tandem"
)

// bent is a remote whose replies a test may bend before the engine sees them; nil leaves them as they are.
type bent struct {
	tandem.Remote
	page   func(*tandem.RemotePage)
	read   func(*tandem.RemoteDevice)
	wrote  func(*tandem.RemoteDevice)
	stream iter.Seq2[tandem.StreamRow, error]
}

// bending is an option that puts b, changed as the test goes, around the remote.
func bending(b *bent) option {
	return wrapRemote(func(r tandem.Remote) tandem.Remote { return &bentBy{r, b} })
}

type bentBy struct {
	tandem.Remote
	by *bent
}

func (b *bentBy) Devices(ctx context.Context, l tandem.RemoteListing) iter.Seq2[tandem.RemotePage, error] {
	return func(yield func(tandem.RemotePage, error) bool) {
		for p, err := range b.Remote.Devices(ctx, l) {
			if b.by.page != nil {
				b.by.page(&p)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

func (b *bentBy) Device(ctx context.Context, id string) (tandem.RemoteDevice, error) {
	d, err := b.Remote.Device(ctx, id)
	if b.by.read != nil && err == nil {
		b.by.read(&d)
	}
	return d, err
}

func (b *bentBy) CreateDevice(ctx context.Context, n tandem.NewRemoteDevice) (tandem.RemoteDevice, error) {
	d, err := b.Remote.CreateDevice(ctx, n)
	if b.by.wrote != nil && err == nil {
		b.by.wrote(&d)
	}
	return d, err
}

func (b *bentBy) UpdateDevice(ctx context.Context, id string, p tandem.RemotePatch) (tandem.RemoteDevice, error) {
	d, err := b.Remote.UpdateDevice(ctx, id, p)
	if b.by.wrote != nil && err == nil {
		b.by.wrote(&d)
	}
	return d, err
}

func (b *bentBy) Stream(ctx context.Context, q tandem.StreamQuery) iter.Seq2[tandem.StreamRow, error] {
	if b.by.stream != nil {
		return b.by.stream
	}
	return b.Remote.Stream(ctx, q)
}

// dieAt lets the process die before a call: neither that nor anything later takes place.
func (h *hooks) dieAt(name string) {
	var mu sync.Mutex
	died := false
	h.on(func(call, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if died = died || call == name; died {
			return tandem.Errorf(tandem.Internal, "test", "", "the process is dead")
		}
		return nil
	}, nil)
}

// halved makes of a device what the client gives for a reply that does not say whether it is enabled.
func halved(d *tandem.RemoteDevice) {
	d.Enabled = false
	d.Problem = tandem.Errorf(tandem.Malformed, "test", d.ID, "it does not say whether it is enabled")
}

// TestS33MalformedReplyIsNotMerged: a write whose reply cannot be read is read back, and nothing of the reply comes here.
func TestS33MalformedReplyIsNotMerged(t *testing.T) {
	b := &bent{}
	w := newWorld(t, bending(b), config(func(c *tandem.ServiceConfig) { c.CreateRemote = true }))
	id := w.remotes("gate", 5)[0]
	w.completed(w.sync(tandem.OpBidirectional))
	b.wrote = halved
	local := w.localOf(id).ID
	w.setHere(local, "tags", []string{"blue"})
	made := w.local("made")
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	w.equal(w.remoteTags(id), []string{"blue"})
	w.equal(w.device(local).Enabled, true)
	w.equal(w.device(made).Enabled, true)
	w.equal(w.isLinked(made), true)
	w.equal(len(w.intents()), 0)
	b.wrote = nil
	w.quiet(tandem.OpBidirectional)
}

// TestS33MalformedDeviceFailsAlone: wherever one device is read by itself, what cannot be read of it is not merged.
func TestS33MalformedDeviceFailsAlone(t *testing.T) {
	enabledHere := func(w *world) {
		w.t.Helper()
		for _, d := range w.devices() {
			w.equal(d.Enabled, true)
		}
	}
	t.Run("a write left open by a dead process", func(t *testing.T) {
		var h hooks
		b := &bent{}
		w := newWorld(t, func(s *setup) {
			h.hooked()(s)
			inner := s.remote
			s.remote = func(r tandem.Remote) tandem.Remote { return &bentBy{inner(r), b} }
		})
		ids := w.remotes("gate", 5)
		w.completed(w.sync(tandem.OpBidirectional))
		w.setHere(w.localOf(ids[0]).ID, "name", "renamed")
		h.dieAt("remote update")
		_, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
		w.wantCode(err, tandem.Internal)
		h.resurrect(w)
		if len(w.intents()) != 1 {
			t.Fatalf("%d intents are open", len(w.intents()))
		}
		b.read = halved
		w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
		enabledHere(w)
		w.equal(len(w.intents()), 1) // it waits until the device can be read
		b.read = nil
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.remoteDevice(ids[0]).Name, "renamed")
	})
	t.Run("an import by hand", func(t *testing.T) {
		b := &bent{read: halved}
		w := newWorld(t, bending(b), config(func(c *tandem.ServiceConfig) { c.CreateLocal = false }))
		id := w.remote("gate")
		w.sync(tandem.OpBidirectional)
		run, err := w.engine.ImportRemote(w.ctx, w.org, w.service.ID, []string{id}, "ada")
		w.must(err)
		w.ended(run, tandem.RunPartial)
		w.equal(w.names(), []string{})
	})
	t.Run("a settlement and a comparison", func(t *testing.T) {
		b := &bent{}
		w := newWorld(t, bending(b))
		id := w.remotes("gate", 5)[0]
		w.completed(w.sync(tandem.OpBidirectional))
		local := w.localOf(id).ID
		w.setHere(local, "name", "here")
		w.setThere(id, "name", "there")
		w.sync(tandem.OpBidirectional)
		b.read = halved
		settled, err := w.engine.Settle(w.ctx, w.org, tandem.Settlement{Filter: tandem.ConflictFilter{ServiceID: w.service.ID}, Take: tandem.TakeLocal, By: "ada"})
		w.must(err)
		w.equal(len(settled), 1)
		w.wantCode(settled[0].Error, tandem.Malformed)
		w.equal(w.remoteDevice(id).Name, "there")
		compared, err := w.engine.Compare(w.ctx, w.org, local)
		w.must(err)
		w.wantCode(compared[0].RemoteError, tandem.Malformed)
		enabledHere(w)
	})
}
