package syncer_test

import (
	"testing"
	"time"

	"tandem"
)

// TestS21Swapped: a project that is not the one the service is pinned to stops the run; nothing is changed.
func TestS21Swapped(t *testing.T) {
	for _, op := range []tandem.Operation{tandem.OpBidirectional, tandem.OpImport, tandem.OpExport} {
		t.Run(string(op), func(t *testing.T) {
			w, ids := stocked(t, 30, creating, deletingRemote)
			pin := w.stored().Pin
			if pin == nil || pin.ID != "demo" || pin.OrganizationID == "" || pin.CreatedAt.IsZero() {
				t.Fatalf("the service is pinned to %+v", pin)
			}
			w.editLocal(w.localOf(ids[0]).ID, func(d *tandem.Device) { d.Name = "ours" })
			w.local("new")
			before := w.versions()
			w.must(w.sim.SwapProject("demo"))
			w.requests()
			w.advance(time.Minute)
			run, err := w.run(tandem.RunRequest{Operation: op})
			w.wantCode(err, tandem.Mismatch)
			w.equal(run.Status, tandem.RunFailed)
			w.equal(w.requests().Writes, 0)
			w.equal(w.versions(), before)
			w.equal(*w.stored().Pin, *pin)
			_, err = w.run(tandem.RunRequest{Operation: op, DeviceIDs: []string{w.devices()[0].ID}})
			w.wantCode(err, tandem.Mismatch)
		})
	}
}

// TestS21SwappedMeanwhile: a project swapped in the middle of a run deletes nothing.
func TestS21SwappedMeanwhile(t *testing.T) {
	w, _ := stocked(t, 250)
	w.advance(time.Minute)
	w.fault("project-swap:GET /devices:after=1,count=1")
	run, err := w.run(request(w))
	w.fault()
	if err == nil && run.Status == tandem.RunCompleted {
		t.Errorf("the run ended %s", run.Status)
	}
	for _, d := range w.devices() {
		for _, a := range d.Assignments {
			if a.Status == tandem.SyncUnlinked || d.Lifecycle != tandem.Active {
				t.Fatalf("%s was unlinked", d.Name)
			}
		}
	}
	_, err = w.run(request(w))
	w.wantCode(err, tandem.Mismatch)
}
