package syncer

import (
	"context"
	"time"

	"tandem"
)

// noteProgress is how often a run notes where it stands, for those who watch it from another process.
const noteProgress = time.Second

// note keeps where the run stands, where that moved since the last time. That it fails does not matter to the run.
func (r *run) note(ctx context.Context) {
	r.mu.Lock()
	at := r.now()
	now := tandem.Progress{RunID: r.record.ID, Phase: r.phase, Done: r.done, Total: r.total, Summary: r.record.Summary, At: &at}
	if !r.phaseAt.IsZero() {
		began := r.phaseAt
		now.PhaseAt = &began
	}
	moved := r.noted.Phase != now.Phase || r.noted.Done != now.Done || r.noted.Total != now.Total || r.noted.Summary != now.Summary
	running := r.record.Status == tandem.RunRunning
	r.mu.Unlock()
	if !moved || !running {
		return
	}
	if err := r.e.Store.NoteProgress(ctx, r.org, now); err != nil {
		return
	}
	r.noted = now // only the keeper's goroutine looks at it
}
