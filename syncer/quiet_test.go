package syncer_test

import (
	"testing"

	"tandem"
)

// TestS20UnchangedCostsNoWrite: a second run with no edits between writes on neither side (S20, S25).
func TestS20UnchangedCostsNoWrite(t *testing.T) {
	for name, options := range map[string][]option{
		"sqlite":     {fleet(230)},
		"postgresql": {fleet(230), onPostgres},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options...)
			first := w.sync(tandem.OpBidirectional)
			w.completed(first)
			w.equal(first.Summary, tandem.Summary{Processed: 230, Successful: 230, Local: tandem.Counts{Created: 230}})
			for _, op := range []tandem.Operation{tandem.OpBidirectional, tandem.OpImport, tandem.OpExport} {
				run := w.quiet(op)
				w.completed(run)
				w.equal(run.Summary, tandem.Summary{Processed: 230, Successful: 230})
			}
		})
	}
}

// TestS20Requests: an unchanged run asks for the project, the words and the pages, and for nothing else.
func TestS20Requests(t *testing.T) {
	w := newWorld(t, fleet(230))
	w.completed(w.sync(tandem.OpBidirectional))
	w.quiet(tandem.OpBidirectional)
	w.requests()
	w.completed(w.sync(tandem.OpBidirectional))
	got := w.requests()
	w.equal(got.ByRoute["GET /v1/projects/{project}/devices"], 3)
	w.equal(got.ByRoute["GET /v1/projects/{project}"], 1)
	if got.Total > 3+1+3+1 { // pages, project, words; one cohort listing may need the organization
		t.Errorf("%d requests: %v", got.Total, got.ByRoute)
	}
}

// TestS20OneChanged: of many, the changed ones cost a read and a write each.
func TestS20OneChanged(t *testing.T) {
	w, ids := stocked(t, 220)
	w.editLocal(w.localOf(ids[3]).ID, func(d *tandem.Device) { d.Tags = []string{"blue"} })
	w.editRemote(ids[4], rename("there"))
	before := w.versions()
	w.requests()
	run := w.sync(tandem.OpBidirectional)
	w.completed(run)
	got := w.requests()
	w.equal(got.Writes, 2) // the tag, and the device that has it
	w.equal(got.ByRoute["GET /v1/projects/{project}/devices/{device}"], 1)
	moved := 0
	for key, version := range w.versions() {
		if before[key] != version {
			moved++
		}
	}
	w.equal(moved, 3) // two assignments, and the device that was renamed there
	w.equal(run.Summary, tandem.Summary{Processed: 220, Successful: 220, Local: tandem.Counts{Updated: 1}, Remote: tandem.Counts{Updated: 1}})
}

// TestS20Everything: with every field, metadata in its listing, filters and unlinked devices, a second run still writes nothing.
func TestS20Everything(t *testing.T) {
	w := newWorld(t, fleet(150), creating, config(func(c *tandem.ServiceConfig) {
		c.Paths = tandem.Paths{Metadata: "state:config", Battery: "state:battery", Location: "state:location"}
		c.Filters.Name = "*1*"
	}))
	w.local("mine", func(d *tandem.Device) { d.Metadata = object{"a": 1}; d.Tags = []string{"own"}; d.Enabled = false })
	w.sync(tandem.OpBidirectional)
	w.quiet(tandem.OpBidirectional)
	w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, w.devices()[0].ID, "ada"))
	w.sync(tandem.OpBidirectional)
	w.quiet(tandem.OpBidirectional)
}
