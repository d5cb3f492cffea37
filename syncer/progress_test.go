package syncer_test

import (
	"context"
	"testing"
	"time"

	"tandem"
)

// TestProgressIsNoted: where a run stands is there for whoever asks the database, while it runs and once it has ended.
func TestProgressIsNoted(t *testing.T) {
	t.Parallel()
	var h hooks
	w := newWorld(t, h.hooked())
	w.remotes("gate", 5)
	store, ok := w.store.(tandem.ServerStore)
	if hooked, is := w.store.(hookedStore); is {
		store, ok = hooked.Store.(tandem.ServerStore)
	}
	if !ok {
		t.Fatal("the store is none of a server")
	}
	var noted tandem.Progress
	h.on(func(call, _ string) error {
		if call == "remote list" && noted.Phase == "" {
			noted = awaitProgress(w.ctx, t, store, w)
		}
		return nil
	}, nil)
	run := w.sync(tandem.OpImport)
	w.completed(run)
	if noted.RunID != run.ID || noted.Status != tandem.RunRunning || noted.StartedAt == nil || noted.At == nil || noted.PhaseAt == nil {
		t.Errorf("while it ran: %+v", noted)
	}
	last, err := store.RunProgress(w.ctx, w.org, run.ID)
	w.must(err)
	if last.Status != tandem.RunCompleted || last.Done != 5 || last.Summary != run.Summary {
		t.Errorf("once it has ended: %+v", last)
	}
}

// awaitProgress looks until the run that goes on has noted where it stands.
func awaitProgress(ctx context.Context, t *testing.T, store tandem.ServerStore, w *world) tandem.Progress {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	over := time.After(30 * time.Second)
	for {
		runs, _, err := store.Runs(ctx, w.org, tandem.RunFilter{Status: tandem.RunRunning})
		if err != nil || len(runs) != 1 {
			t.Errorf("%d runs go on, %v", len(runs), err)
			return tandem.Progress{}
		}
		p, err := store.RunProgress(ctx, w.org, runs[0].ID)
		if err != nil || p.Phase != "" {
			if err != nil {
				t.Error(err)
			}
			return p
		}
		select {
		case <-look.C:
		case <-over:
			t.Error("it never noted where it stands")
			return tandem.Progress{}
		}
	}
}
