package syncer_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
)

// about does a run about some devices.
func (w *world) about(operation tandem.Operation, devices ...string) tandem.Run {
	w.t.Helper()
	w.advance(time.Minute)
	run, err := w.run(tandem.RunRequest{Operation: operation, DeviceIDs: devices})
	w.must(err)
	return run
}

// TestS38ScopedRun: a run about some devices reads these, without a listing, and touches no others.
func TestS38ScopedRun(t *testing.T) {
	w, ids := stocked(t, 130)
	one, two := w.localOf(ids[0]).ID, w.localOf(ids[1]).ID
	for _, id := range ids[:3] {
		w.editRemote(id, tandem.RemotePatch{AddTagIDs: w.tags("there")})
		w.editLocal(w.localOf(id).ID, func(d *tandem.Device) { d.Enabled = false })
	}
	w.requests()
	run := w.about(tandem.OpBidirectional, one, two)
	w.completed(run)
	got := w.requests()
	w.equal(got.ByRoute["GET /v1/projects/{project}/devices"], 0)
	w.equal(got.Writes, 2)
	w.equal(run.Summary, tandem.Summary{Processed: 2, Successful: 2, Local: tandem.Counts{Updated: 2}, Remote: tandem.Counts{Updated: 2}})
	w.equal([]bool{w.remoteDevice(ids[0]).Enabled, w.remoteDevice(ids[1]).Enabled, w.remoteDevice(ids[2]).Enabled}, []bool{false, false, true})
	w.equal(w.device(one).Tags, []string{"there"})
	w.equal(len(w.localOf(ids[2]).Tags), 0)
	before := w.versions()
	w.completed(w.about(tandem.OpBidirectional, one, two))
	w.equal(w.requests().Writes, 0)
	w.equal(w.versions(), before)
}

// TestScopedEnds: what a run about one device finds gone ends as in a whole run.
func TestScopedEnds(t *testing.T) {
	t.Run("gone there", func(t *testing.T) {
		w, ids := stocked(t, 12)
		here := w.localOf(ids[0]).ID
		w.deleteRemote(ids[0])
		w.completed(w.about(tandem.OpBidirectional, here))
		w.equal(w.isLinked(here), false)
		w.equal(w.device(here).Lifecycle, tandem.Decommissioned)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("gone here", func(t *testing.T) {
		w, ids := stocked(t, 12, deletingRemote)
		here := w.localOf(ids[0]).ID
		w.deleteLocal(here)
		run := w.about(tandem.OpBidirectional, here)
		w.completed(run)
		w.equal(run.Summary, tandem.Summary{Processed: 1, Successful: 1, Remote: tandem.Counts{Deleted: 1}})
		w.equal(w.hasRemote(ids[0]), false)
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("not there yet", func(t *testing.T) {
		w, _ := stocked(t, 3, creating)
		here := w.local("new", func(d *tandem.Device) { d.Tags = []string{"blue"} })
		other := w.local("other")
		run := w.about(tandem.OpBidirectional, here)
		w.completed(run)
		w.equal(run.Summary, tandem.Summary{Processed: 1, Successful: 1, Remote: tandem.Counts{Created: 1}})
		w.equal(w.isLinked(other), false)
		w.equal(w.remoteTags(w.remoteNamed("new").ID), []string{"blue"})
		w.completed(w.sync(tandem.OpBidirectional))
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("renamed to what another has", func(t *testing.T) {
		w, ids := stocked(t, 3)
		here := w.localOf(ids[0]).ID
		w.renameHere(map[string]string{ids[0]: "gw-001"})
		run := w.about(tandem.OpBidirectional, here)
		w.ended(run, tandem.RunPartial)
		w.equal(run.Summary, tandem.Summary{Processed: 1, Failed: 1})
	})
	t.Run("unlinked", func(t *testing.T) {
		w, ids := stocked(t, 3)
		here := w.localOf(ids[0]).ID
		w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, here, "ada"))
		w.editLocal(here, func(d *tandem.Device) { d.Name = "mine" })
		w.completed(w.about(tandem.OpBidirectional, here))
		w.equal(w.remoteDevice(ids[0]).Name, "gw-000")
	})
}

// TestS12AmbiguousIsNotCreated: what may be there already is not created a second time.
func TestS12AmbiguousIsNotCreated(t *testing.T) {
	w := newWorld(t, creating)
	w.local("gw-1", withHardware("old"))
	w.remote("gw-1", hardware("new"))
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal(w.remoteCount(), 1)
	w.equal(len(w.devices()), 1)
	w.quiet(tandem.OpBidirectional)
	w.settle("", tandem.TakeCreate, nil)
	w.sync(tandem.OpBidirectional)
	w.equal(len(w.devices()), 2)
}

// TestS14RecreateOnce: a recreate whose reply is lost is found again by its hardware id.
func TestS14RecreateOnce(t *testing.T) {
	for _, fault := range []string{"reset-after:POST /devices:count=1", "reset-before:POST /devices:count=1"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w, ids := stocked(t, 12, onRemoteDelete(tandem.RecreateRemote))
			here := w.localOf(ids[0]).ID
			w.deleteRemote(ids[0])
			w.fault(fault)
			w.sync(tandem.OpBidirectional)
			w.fault()
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteCount(), 12)
			w.equal(w.localOf(w.remoteNamed("gw-000").ID).ID, here)
			w.equal(len(w.intents()), 0)
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS26Refused: a write that the service refuses fails its device alone, says why, and goes when it can.
func TestS26Refused(t *testing.T) {
	for name, rename := range map[string]bool{"a hardware id that another has": false, "the same, and a new name": true} {
		t.Run(name, func(t *testing.T) {
			w, ids := stocked(t, 5, config(func(c *tandem.ServiceConfig) { c.Filters.Name = "gw-*" }))
			stranger := w.remote("stranger", hardware("taken"))
			here := w.localOf(ids[0]).ID
			w.editLocal(here, func(d *tandem.Device) {
				d.HardwareIDs = []string{"hw-gw-000", "taken"}
				if rename {
					d.Name = "renamed"
				}
			})
			w.editLocal(w.localOf(ids[1]).ID, func(d *tandem.Device) { d.Name = "fine" })
			run := w.sync(tandem.OpBidirectional)
			w.ended(run, tandem.RunPartial)
			w.equal(run.Summary.Failed, 1)
			w.equal(w.remoteDevice(ids[1]).Name, "fine")
			i := slices.IndexFunc(w.entries(run), func(e tandem.Entry) bool { return e.Outcome == tandem.OutcomeFailed })
			if e := w.entries(run)[i]; e.DeviceID != here || e.Code != tandem.Exists || !strings.Contains(strings.ToLower(e.Error), "hardware") {
				t.Errorf("the entry does not say what happened: %+v", e)
			}
			w.equal(w.assignment(here).Status, tandem.SyncError)
			w.equal(w.assignment(here).Error != "", true)
			w.deleteRemote(stranger)
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteDevice(ids[0]).HardwareIDs, []string{"hw-gw-000", "taken"})
			w.equal(w.assignment(here).Status, tandem.SyncSynced)
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestStateUnreadable: that the state cannot be read holds up neither the run nor what else is to be merged (S26).
func TestStateUnreadable(t *testing.T) {
	for _, shape := range []string{"nested", "null"} {
		t.Run(shape, func(t *testing.T) {
			w := newWorld(t, unknown("listing-data="+shape), metadataAt("meta"))
			ids := w.remotes("gw", 2) // so few that the service is not taken for being away
			for _, id := range ids {
				w.setState(id, "meta", object{"a": 1})
			}
			w.completed(w.sync(tandem.OpBidirectional))
			w.editRemote(ids[0], rename("renamed"))
			w.setState(ids[0], "meta/a", 2)
			w.fault("500:GET /devices/{id}/data/*")
			run := w.sync(tandem.OpBidirectional)
			w.fault()
			w.ended(run, tandem.RunPartial)
			w.equal(w.localOf(ids[0]).Name, "renamed")
			w.like(w.localOf(ids[0]).Metadata, object{"a": 1})
			w.completed(w.sync(tandem.OpBidirectional))
			w.like(w.localOf(ids[0]).Metadata, object{"a": 2})
		})
	}
}
