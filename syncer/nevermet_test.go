package syncer_test

import (
	"strings"
	"testing"

	"tandem"
)

// A link that was written from a file names a remote device that may never have been: that it is not
// there is a mistake to be told, and no deletion to be followed.
func TestS15ALinkThatNeverMetIsNotADeletion(t *testing.T) {
	w := newWorld(t, config(func(c *tandem.ServiceConfig) { c.OnRemoteDelete = tandem.DeleteLocal }))
	w.remotes("gw", 3)
	w.completed(w.sync(tandem.OpBidirectional))
	id := w.local("important")
	now := w.now()
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{CreateAssignments: []tandem.Assignment{{ID: w.id(), OrganizationID: w.org, DeviceID: id,
		ServiceID: w.service.ID, ExternalDeviceID: "67f0a1b2c3d4e5f6010203aa", SyncEnabled: true, Status: tandem.SyncPending, Version: 1, CreatedAt: now, UpdatedAt: now}}}))
	for range 2 {
		run, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
		w.must(err)
		w.ended(run, tandem.RunPartial)
		if told := strings.Join(w.told(run), "\n"); !strings.Contains(told, "67f0a1b2c3d4e5f6010203aa") && run.Summary.Failed != 1 {
			t.Errorf("the run says %q and %+v", told, run.Summary)
		}
	}
	if d := w.device(id); d.DeletedAt != nil || d.Lifecycle != tandem.Active || !w.isLinked(id) {
		t.Errorf("the device is %s, deleted at %v", d.Lifecycle, d.DeletedAt)
	}
}
