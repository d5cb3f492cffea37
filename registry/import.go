package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"tandem"
)

// importBatch is how many rows one transaction holds.
const importBatch = 500

// maxProblems bounds the problems that a report lists; all are counted.
const maxProblems = 1000

// ImportOptions say how to import.
type ImportOptions struct {
	ServiceID string // for external_device_id where a row names no service
	SkipBad   bool   // import the good rows although others are wrong
	DryRun    bool   // change nothing
}

// ImportReport says what an import did, or would do.
type ImportReport struct {
	Rows        int          `json:"rows"`
	Created     int          `json:"created"`
	Updated     int          `json:"updated"`
	Unchanged   int          `json:"unchanged"`
	Linked      int          `json:"linked"`
	Bad         int          `json:"bad"` // rows that are wrong, and not imported
	Problems    []RowProblem `json:"problems"`
	DryRun      bool         `json:"dry_run"`
	NotImported bool         `json:"not_imported"` // nothing was written, because of bad rows
}

// ImportChange is what one row does.
type ImportChange struct {
	Line             int           `json:"line"`
	Action           string        `json:"action"` // create, update or link
	DeviceID         string        `json:"device_id"`
	Name             string        `json:"name"`
	Changes          []FieldChange `json:"changes,omitempty"`
	ExternalDeviceID string        `json:"external_device_id,omitempty"` // that it is linked to
}

// ImportDevices adds and updates devices by device_id, and links them where a row names a remote device.
// All rows are checked before the first is written. Rows that are wrong are reported by line; then
// nothing is written unless SkipBad is set, and the error is Invalid. each may be nil; it sees what
// changes once every row is known to be good or to be skipped.
func (r *Registry) ImportDevices(ctx context.Context, actor Actor, org string, rows iter.Seq2[Row, error], options ImportOptions, each func(ImportChange)) (ImportReport, error) {
	report := ImportReport{DryRun: options.DryRun, Problems: []RowProblem{}}
	for _, p := range []Permission{CreateDevices, UpdateDevices} {
		if err := actor.may(org, p); err != nil {
			return report, err
		}
	}
	all, err := collect(rows)
	if err != nil {
		return report, err
	}
	report.Rows = len(all)
	services, err := r.servicesByRef(ctx, org)
	if err != nil {
		return report, err
	}
	im := &importing{r: r, actor: actor, org: org, options: options, services: services}
	im.checkDoubles(all)

	// First pass: find everything that is wrong, write nothing.
	for _, batch := range batches(all) {
		if _, err := im.decide(ctx, batch); err != nil {
			return report, err
		}
	}
	for i := range all {
		if len(all[i].Problems) > 0 {
			report.Bad++
			report.Problems = append(report.Problems, all[i].Problems[:min(len(all[i].Problems), max(0, maxProblems-len(report.Problems)))]...)
		}
	}
	report.NotImported = report.Bad > 0 && !options.SkipBad
	write := !options.DryRun && !report.NotImported

	// Second pass: write batch by batch.
	for _, batch := range batches(all) {
		var d decided
		err := retryMoved(func() (err error) {
			if d, err = im.decide(ctx, batch); err == nil && write && !d.empty() {
				err = r.Store.Apply(ctx, org, &d.changes)
			}
			return err
		})
		if err != nil {
			return report, fmt.Errorf("after %d devices: %w", report.Created+report.Updated+report.Unchanged, err)
		}
		report.Created += d.created
		report.Updated += d.updated
		report.Unchanged += d.unchanged
		report.Linked += d.linked
		for _, change := range d.shown {
			if each != nil {
				each(change)
			}
		}
	}
	if report.NotImported && !options.DryRun {
		report.Created, report.Updated, report.Unchanged, report.Linked = 0, 0, 0, 0
		return report, tandem.Errorf(tandem.Invalid, "import devices", "", "wrong rows: %d of %d; nothing was imported", report.Bad, report.Rows).
			WithHint("mend them, or import the others with --skip-bad")
	}
	return report, nil
}

func collect(rows iter.Seq2[Row, error]) ([]Row, error) {
	var all []Row
	for row, err := range rows {
		if err != nil {
			var e *tandem.Error
			if errors.As(err, &e) {
				return nil, err
			}
			return nil, tandem.Errorf(tandem.Invalid, "read devices", "", "the file cannot be read: %w", err)
		}
		all = append(all, row)
	}
	return all, nil
}

func batches(rows []Row) [][]Row {
	var out [][]Row
	for len(rows) > 0 {
		n := min(importBatch, len(rows))
		out = append(out, rows[:n])
		rows = rows[n:]
	}
	return out
}

func (r *Registry) servicesByRef(ctx context.Context, org string) (map[string]tandem.Service, error) {
	services, err := r.Store.Services(ctx, org)
	if err != nil {
		return nil, err
	}
	byRef := make(map[string]tandem.Service, 2*len(services))
	for _, s := range services {
		byRef[s.ID], byRef[s.Name] = s, s
	}
	return byRef, nil
}
