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
