package syncer_test

import (
	"slices"
	"testing"
	"time"

	"tandem"
)

// stocked gives a world whose n remote devices gw-000 … are linked, and their remote ids.
func stocked(t *testing.T, n int, options ...option) (*world, []string) {
	t.Helper()
	w := newWorld(t, options...)
	ids := w.remotes("gw", n)
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(len(w.devices()), n)
	return w, ids
}

func onRemoteDelete(what tandem.OnRemoteDelete) option {
	return config(func(c *tandem.ServiceConfig) { c.OnRemoteDelete = what })
}

var deletingRemote = config(func(c *tandem.ServiceConfig) { c.DeleteRemote = true })

// TestS15AbsenceIsNotDeletion: what a listing does not show, or shows late, is not deleted for that.
func TestS15AbsenceIsNotDeletion(t *testing.T) {
	for name, c := range map[string]struct {
		fault  string
		status tandem.RunStatus
		gone   int // devices that are really gone
		proven bool
	}{
		"one deleted while paging":        {"device-deleted:GET /devices:after=1,count=1", tandem.RunCompleted, 1, true},
		"some deleted in every listing":   {"device-deleted:GET /devices:after=1", tandem.RunPartial, 7, false},
		"one created while paging":        {"device-created:GET /devices:after=1,count=1", tandem.RunCompleted, 0, true},
		"one connects while paging":       {"auto-created:GET /devices:after=2,count=1", tandem.RunCompleted, 0, true},
		"a page fails and is asked again": {"503:GET /devices:after=1,count=1", tandem.RunCompleted, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := stocked(t, 350)
			w.advance(10 * time.Second) // what is created from now on is told from the old (S15)
			w.fault(c.fault)
			run := w.sync(tandem.OpBidirectional)
			w.fault()
			w.ended(run, c.status)
			w.equal(w.details(run).Listing.Complete, c.proven)
			unlinked := 0
			for _, d := range w.devices() {
				if d.Assignments[0].Status == tandem.SyncUnlinked {
					unlinked++
					if w.hasRemote(d.Assignments[0].ExternalDeviceID) {
						t.Errorf("%s was unlinked, but is there", d.Name)
					}
				}
			}
			if unlinked > c.gone || (!c.proven && unlinked > 0) {
				t.Errorf("%d devices were unlinked", unlinked)
			}
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteCount(), len(slices.DeleteFunc(w.devices(), func(d tandem.DeviceRow) bool { return d.Assignments[0].Status == tandem.SyncUnlinked })))
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS15UnprovenDeletesNothing: after two unproven listings nothing is deleted on either side.
func TestS15UnprovenDeletesNothing(t *testing.T) {
	w, ids := stocked(t, 250, deletingRemote, creating)
	w.deleteLocal(w.localOf(ids[3]).ID)
	w.deleteRemote(ids[7])
	w.local("ours")
	w.advance(10 * time.Second)
	w.fault("device-deleted:GET /devices:after=1")
	w.advance(time.Minute)
	run := w.sync(tandem.OpBidirectional)
	w.fault()
	w.ended(run, tandem.RunPartial)
	w.equal(w.details(run).Listing.Complete, false)
	w.equal(run.Summary.Remote, tandem.Counts{})
	w.equal(run.Summary.Local.Deleted, 0)
	w.equal(w.count(run, tandem.ActUnlink, tandem.OutcomeDone), 0)
	w.equal(w.hasRemote(ids[3]), true)
	w.equal(len(w.details(run).Warnings), 1)
}

// TestS15DirectReads: a linked device that the listing does not show is read directly, and only a 404
// that says so counts.
func TestS15DirectReads(t *testing.T) {
	for name, c := range map[string]struct {
		fault  string
		failed int
		code   tandem.Code // of a run that cannot go on
	}{
		"a 404 of the service counts":           {"", 0, ""},
		"a 404 page of a proxy does not":        {"html:GET /devices/{id}:code=404", 1, ""},
		"an empty 404 does not":                 {"empty:GET /devices/{id}:code=404", 1, ""},
		"a 500 does not":                        {"500:GET /devices/{id}", 1, ""},
		"a malformed reply does not":            {"malformed:GET /devices/{id}", 1, ""},
		"the project must answer afterwards":    {"404:GET /:after=1", 0, tandem.NotFound},
		"the project must be the same one then": {"project-swap:GET /:after=1,count=1", 0, tandem.Mismatch},
	} {
		t.Run(name, func(t *testing.T) {
			w, ids := stocked(t, 12)
			gone := w.localOf(ids[5]).ID
			w.deleteRemote(ids[5])
			if c.fault != "" {
				w.fault(c.fault)
			}
			w.advance(time.Minute)
			run, err := w.run(request(w))
			w.fault()
			if c.code != "" {
				if err == nil || run.Status != tandem.RunFailed {
					t.Errorf("the run went on: %s %v", run.Status, err)
				}
				w.equal(w.isLinked(gone), true)
				return
			}
			w.must(err)
			w.equal(run.Summary.Failed, c.failed)
			w.equal(w.isLinked(gone), c.failed > 0)
			if c.failed > 0 {
				w.ended(run, tandem.RunPartial)
				w.equal(w.device(gone).Lifecycle, tandem.Active)
				w.completed(w.sync(tandem.OpBidirectional)) // read again, and now it counts
				w.equal(w.isLinked(gone), false)
			}
		})
	}
}

// TestS15ReadDirectly200Merges: a device that the listing skipped is merged by its direct read.
func TestS15ReadDirectly200Merges(t *testing.T) {
	// A deletion while paging shifts one device past the reader; the listing is read again and shows all. With a
	// listing whose total falls and grows at once no proof is spoiled, yet a device may be missing from it.
	w, ids := stocked(t, 101)
	w.editRemote(ids[100], rename("moved"))
	w.advance(10 * time.Second)
	w.fault("device-deleted:GET /devices:after=1,count=1", "device-created:GET /devices:after=1,count=1")
	w.sync(tandem.OpBidirectional)
	w.fault()
	w.sync(tandem.OpBidirectional)
	w.equal(w.localOf(ids[100]).Name, "moved")
}

// TestS15TheKey: a project or key that is gone deletes nothing and marks the service (S31).
func TestS15TheKey(t *testing.T) {
	for name, fault := range map[string]string{"the key is revoked": "401:*", "the project is not ours any more": "403:*"} {
		t.Run(name, func(t *testing.T) {
			w, _ := stocked(t, 12)
			before := w.versions()
			w.fault(fault)
			run, err := w.run(request(w))
			w.equal(tandem.Is(err, tandem.Unauthorized, tandem.Forbidden), true)
			w.equal(run.Status, tandem.RunFailed)
			w.equal(w.stored().State, tandem.ServiceRejected)
			w.equal(w.versions(), before)
			w.fault()
			w.completed(w.quiet(tandem.OpBidirectional))
			w.equal(w.stored().State, tandem.ServiceOK)
		})
	}
}

// TestS16OnRemoteDelete: remote deleted, local unchanged since base.
func TestS16OnRemoteDelete(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run("unlink on "+name, func(t *testing.T) {
			w, ids := stocked(t, 12, options...)
			gone := w.localOf(ids[0]).ID
			w.deleteRemote(ids[0])
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal(run.Summary.Processed, 12)
			w.equal(w.assignment(gone).Status, tandem.SyncUnlinked)
			w.equal(w.device(gone).Lifecycle, tandem.Decommissioned)
			w.equal(w.count(run, tandem.ActUnlink, tandem.OutcomeDone), 1)
			w.quiet(tandem.OpBidirectional)
		})
	}
	t.Run("delete", func(t *testing.T) {
		w, ids := stocked(t, 12, onRemoteDelete(tandem.DeleteLocal))
		gone := w.localOf(ids[0]).ID
		w.deleteRemote(ids[0])
		run := w.sync(tandem.OpBidirectional)
		w.completed(run)
		w.equal(run.Summary.Local, tandem.Counts{Deleted: 1})
		w.equal(w.device(gone).DeletedAt != nil, true)
		w.equal(len(w.devices()), 11)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("delete unlinks while the device is linked elsewhere", func(t *testing.T) {
		w, ids := stocked(t, 12, onRemoteDelete(tandem.DeleteLocal))
		elsewhere := w.second("second", nil)
		elsewhere.remote("twin", hardware("hw-gw-000"))
		elsewhere.sync(tandem.OpBidirectional)
		gone := w.localOf(ids[0]).ID
		w.equal(elsewhere.isLinked(gone), true)
		w.deleteRemote(ids[0])
		w.sync(tandem.OpBidirectional)
		w.equal(w.device(gone).DeletedAt == nil, true)
		w.equal(w.device(gone).Lifecycle, tandem.Active)
		w.equal(w.isLinked(gone), false)
		w.equal(elsewhere.isLinked(gone), true)
	})
	t.Run("recreate", func(t *testing.T) {
		w := newWorld(t, onRemoteDelete(tandem.RecreateRemote))
		w.remotes("other", 11)
		id := w.remote("gw-1", tags("blue"), blueprint("gateway"), cohort("early"))
		w.editRemote(id, enable(false))
		w.completed(w.sync(tandem.OpBidirectional))
		here := w.localOf(id).ID
		w.deleteRemote(id)
		run := w.sync(tandem.OpBidirectional)
		w.completed(run)
		w.equal(run.Summary, tandem.Summary{Processed: 12, Successful: 12, Remote: tandem.Counts{Created: 1, Updated: 1}})
		again := w.remoteNamed("gw-1")
		w.equal(again.ID != id, true)
		w.equal(w.localOf(again.ID).ID, here)
		w.equal(w.remoteTags(again.ID), []string{"blue"})
		w.equal(again.CohortID, "early")
		w.equal(again.Enabled, false)
		i := slices.IndexFunc(w.entries(run), func(e tandem.Entry) bool { return e.Action == tandem.ActRecreate })
		w.equal(i >= 0 && w.entries(run)[i].Note != "", true) // its credentials and data are gone: that is said
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("an import does not recreate, an export does not unlink", func(t *testing.T) {
		for op, what := range map[tandem.Operation]tandem.OnRemoteDelete{tandem.OpImport: tandem.RecreateRemote, tandem.OpExport: tandem.UnlinkLocal} {
			w, ids := stocked(t, 12, onRemoteDelete(what))
			gone := w.localOf(ids[0]).ID
			w.deleteRemote(ids[0])
			w.quiet(op)
			w.equal(w.isLinked(gone), true)
		}
	})
}

// TestS17LocalDeleted: a tombstone unlinks, or deletes remotely where that is on.
func TestS17LocalDeleted(t *testing.T) {
	t.Run("by default it is unlinked, and no zombie comes back", func(t *testing.T) {
		w, ids := stocked(t, 12, creating)
		gone := w.localOf(ids[0]).ID
		w.deleteLocal(gone)
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.hasRemote(ids[0]), true)
		w.equal(w.assignment(gone).Status, tandem.SyncUnlinked)
		w.quiet(tandem.OpBidirectional)
		w.equal(len(w.devices()), 11)
	})
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run("delete_remote deletes it there on "+name, func(t *testing.T) {
			w, ids := stocked(t, 12, append(options, deletingRemote)...)
			gone := w.localOf(ids[0]).ID
			w.deleteLocal(gone)
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			w.equal(run.Summary.Remote, tandem.Counts{Deleted: 1})
			w.equal(run.Summary.Processed, 12)
			w.equal(w.hasRemote(ids[0]), false)
			w.equal(w.assignment(gone).Status, tandem.SyncUnlinked)
			w.quiet(tandem.OpBidirectional)
		})
	}
	t.Run("an import leaves the deletion to a run that may make it", func(t *testing.T) { // S7
		w, ids := stocked(t, 12, deletingRemote)
		w.deleteLocal(w.localOf(ids[0]).ID)
		w.sync(tandem.OpImport)
		w.equal(w.hasRemote(ids[0]), true)
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.hasRemote(ids[0]), false)
	})
	t.Run("force never deletes", func(t *testing.T) { // S11
		w, ids := stocked(t, 12, deletingRemote)
		w.deleteLocal(w.localOf(ids[0]).ID)
		run, err := w.run(tandem.RunRequest{Operation: tandem.OpExport, Force: true})
		w.must(err)
		w.completed(run)
		w.equal(w.hasRemote(ids[0]), true)
	})
	t.Run("gone on both sides", func(t *testing.T) {
		w, ids := stocked(t, 12, deletingRemote)
		gone := w.localOf(ids[0]).ID
		w.deleteLocal(gone)
		w.deleteRemote(ids[0])
		run := w.sync(tandem.OpBidirectional)
		w.completed(run)
		w.equal(run.Summary.Processed, 12)
		w.equal(w.assignment(gone).Status, tandem.SyncUnlinked)
		w.quiet(tandem.OpBidirectional)
	})
}

// TestS17Unlinked: an unlinked assignment bars matching and creating on both sides until a person links again.
func TestS17Unlinked(t *testing.T) {
	w, ids := stocked(t, 12, creating)
	here := w.localOf(ids[0]).ID
	w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, here, "ada"))
	w.editLocal(here, func(d *tandem.Device) { d.Name = "here" })
	w.editRemote(ids[0], rename("there"))
	w.completed(w.sync(tandem.OpBidirectional))
	w.quiet(tandem.OpBidirectional)
	w.equal(w.device(here).Name, "here")
	w.equal(w.remoteDevice(ids[0]).Name, "there")
	w.equal(w.remoteCount(), 12)
	w.equal(len(w.devices()), 12)

	// Even when the remote device comes back under another id.
	w.deleteRemote(ids[0])
	again := w.remote("there", hardware("hw-gw-000"))
	w.sync(tandem.OpBidirectional)
	w.equal(w.conflict("").ExternalDeviceID, again)
	w.equal(w.remoteCount(), 12)

	_, err := w.engine.Link(w.ctx, w.org, w.service.ID, here, again, "ada")
	w.must(err)
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal(w.conflict("name").Type, tandem.InitialMismatch)
}
