package syncer_test

import (
	"testing"

	"tandem"
)

// TestS23Cleared: what is emptied on one side is emptied on the other, by null and by removal.
func TestS23Cleared(t *testing.T) {
	start := func(t *testing.T, options ...option) (*world, string, string) {
		w := newWorld(t, options...)
		w.remotes("other", 9)
		there := w.remote("gw-1", tags("blue", "round"), blueprint("gateway"), cohort("early"), hardware("hw-1", "hw-2"))
		w.completed(w.sync(tandem.OpBidirectional))
		return w, w.localOf(there).ID, there
	}
	t.Run("here", func(t *testing.T) {
		w, here, there := start(t)
		w.editLocal(here, func(d *tandem.Device) {
			d.Tags, d.Blueprint, d.Cohort, d.HardwareIDs = nil, "", "", []string{"hw-1"}
		})
		w.completed(w.sync(tandem.OpBidirectional))
		rd := w.remoteDevice(there)
		w.equal([]any{len(rd.TagIDs), rd.BlueprintID, rd.CohortID, rd.HardwareIDs}, []any{0, "", "", []string{"hw-1"}})
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("there", func(t *testing.T) {
		w, here, there := start(t)
		w.editRemote(there, tandem.RemotePatch{BlueprintID: ptr(""), CohortID: ptr(""), RemoveTagIDs: w.tags("blue", "round"), RemoveHardwareIDs: []string{"hw-2"}})
		w.completed(w.sync(tandem.OpBidirectional))
		d := w.device(here)
		w.equal([]any{len(d.Tags), d.Blueprint, d.Cohort, d.HardwareIDs}, []any{0, "", "", []string{"hw-1"}})
		w.quiet(tandem.OpBidirectional)
	})
	t.Run("a tag that is deleted there leaves its devices", func(t *testing.T) {
		w, here, _ := start(t)
		w.must(w.sim.DeleteEntity(w.project, tandem.TagEntity, w.entity(tandem.TagEntity, "blue")))
		w.completed(w.sync(tandem.OpBidirectional))
		w.equal(w.device(here).Tags, []string{"round"})
		w.quiet(tandem.OpBidirectional)
	})
}

// TestS14WhatACreateCannotCarry: a create carries what the service has; the rest follows or is drift.
func TestS14WhatACreateCannotCarry(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(options, creating, metadataAt("meta"))...)
			w.remotes("other", 9)
			w.entity(tandem.BlueprintEntity, "gateway")
			here := w.local("gw-1", func(d *tandem.Device) {
				d.Enabled, d.Tags, d.Blueprint, d.Cohort, d.Metadata = false, []string{"new"}, "gateway", "missing", object{"a": object{"b": 1}}
			})
			run := w.sync(tandem.OpBidirectional)
			w.completed(run)
			rd := w.remoteNamed("gw-1")
			w.equal([]any{rd.Enabled, w.remoteTags(rd.ID), rd.BlueprintID, rd.CohortID}, []any{false, []string{"new"}, w.entity(tandem.BlueprintEntity, "gateway"), ""})
			w.like(w.state(rd.ID, "meta"), object{"a": object{"b": 1}})
			w.equal(w.count(run, tandem.ActDrift, tandem.OutcomeHeld), 1)
			w.equal(w.device(here).Cohort, "missing")
			w.quiet(tandem.OpBidirectional)
			w.entity(tandem.CohortEntity, "missing")
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteDevice(rd.ID).CohortID, "missing")
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS13IgnoredAmbiguous: ignoring a remote device ends the question which device it is.
func TestS13IgnoredAmbiguous(t *testing.T) {
	w := newWorld(t)
	w.local("gw-1", withHardware("old"))
	there := w.remote("gw-1", hardware("new"))
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.must(w.engine.IgnoreRemote(w.ctx, w.org, w.service.ID, []string{there}, true))
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.closed(), []tandem.ResolutionStatus{tandem.ConflictIgnored})
	w.quiet(tandem.OpBidirectional)
	w.must(w.engine.IgnoreRemote(w.ctx, w.org, w.service.ID, []string{there}, false))
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.equal(w.conflict("").Type, tandem.AmbiguousMatch)
}

// TestTwoServices: a device that two projects have is one device here, and an edit at one reaches the other.
func TestTwoServices(t *testing.T) {
	w := newWorld(t)
	one := w.remote("gw-1", tags("blue"))
	w.completed(w.sync(tandem.OpBidirectional))
	other := w.second("second", creating2)
	twin := other.remote("gw-1", tags("round"))            // the same hardware id
	stranger := other.remote("gw-2", hardware("hw-third")) // nobody's
	other.completed(other.sync(tandem.OpBidirectional))
	here := w.localOf(one).ID
	w.equal(other.localOf(twin).ID, here)
	w.equal(len(w.devices()), 2)
	w.equal(w.device(here).Tags, []string{"blue", "round"})
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteTags(one), []string{"blue", "round"})
	w.equal(w.isLinked(other.localOf(stranger).ID), false)

	w.editRemote(one, rename("renamed"))
	w.completed(w.sync(tandem.OpBidirectional))
	other.completed(other.sync(tandem.OpBidirectional))
	w.equal(other.remoteDevice(twin).Name, "renamed")
	w.quiet(tandem.OpBidirectional)
	other.quiet(tandem.OpBidirectional)

	// The same name there, with another hardware id, is for a person: it is not a second gw-1 by guess.
	w.remote("gw-2", hardware("hw-fourth"))
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunPartial)
	w.settle("", tandem.TakeCreate, nil)
	w.equal(len(w.devices()), 3)
}

// creating2 creates on the service what is missing there.
func creating2(c *tandem.ServiceConfig) { c.CreateRemote = true }
