package syncer

import (
	"os"
	"path/filepath"
	"testing"

	"tandem"
)

// TestS18RemovalsAreTakenOnce: what comes up while devices are removed is not among those, and not lost to a reader of them.
func TestS18RemovalsAreTakenOnce(t *testing.T) {
	w := newWork()
	defer w.close()
	for _, id := range []string{"a", "b"} {
		if err := w.toRemove(removal{DeviceID: id, Guarded: true}); err != nil {
			t.Fatal(err)
		}
	}
	todo, seen := w.takeRemovals(), 0
	err := todo.each(1, func(chunk []removal) error {
		seen += len(chunk)
		return w.toRemove(removal{DeviceID: "late"})
	})
	if err != nil || seen != 2 || w.removal.count != 2 || w.removals != 2 {
		t.Errorf("%d were seen, %d came up meanwhile, %d are guarded: %v", seen, w.removal.count, w.removals, err)
	}
}

// TestS20NothingIsLeftBehind: whatever a run keeps in temporary files goes with it, and a listing begun ahead stops.
func TestS20NothingIsLeftBehind(t *testing.T) {
	w := newWork()
	r := &run{dry: &dryRun{}}
	stopped := false
	r.ahead = &pages{stop: func() { stopped = true }}
	for range spoolMemory + 1 {
		for _, err := range []error{w.attend.add(task{}), w.renamed.add(task{}), w.taken.add(takenName{}), w.removal.add(removal{}),
			w.deferred.add(meeting{}), r.held.add(tandem.Change{}), r.dry.late.add(tandem.Change{})} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	files := []*os.File{w.attend.file, w.renamed.file, w.taken.file, w.removal.file, w.deferred.file, r.held.file, r.dry.late.file}
	w.close()
	r.letGo()
	if !stopped {
		t.Error("the listing goes on")
	}
	for i, f := range files {
		if f == nil {
			t.Fatalf("spool %d has no file", i)
		}
		if _, err := f.Stat(); err == nil {
			t.Errorf("spool %d is still open (%s)", i, filepath.Base(f.Name()))
		}
	}
}
