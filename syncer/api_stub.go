package syncer

import (
	"context"

	"tandem"
)

// Run does one run to its end and gives it as recorded. The error says why it could not start or
// why it failed; partial, blocked and canceled runs are no error.
func (e *Engine) Run(ctx context.Context, org string, req Request, report Report) (tandem.Run, error) {
	return tandem.Run{}, nil
}

// Preview plans the run without a write and hands each change to each, in order; nil is allowed.
// With save the plan is stored, to be applied later by its id.
func (e *Engine) Preview(ctx context.Context, org string, req Request, save bool, each func(tandem.Change) error, report Report) (Preview, error) {
	return Preview{}, nil
}

// Approve lets through what a blocked run held back, as a new run.
func (e *Engine) Approve(ctx context.Context, org, runID, by string, report Report) (tandem.Run, error) {
	return tandem.Run{}, nil
}

// Discard drops what a blocked run held back.
func (e *Engine) Discard(ctx context.Context, org, runID, by string) error { return nil }

// Revert undoes a finished run as a new run (S29). PreviewRevert only says what that would do.
func (e *Engine) Revert(ctx context.Context, org, runID, by string, report Report) (tandem.Run, error) {
	return tandem.Run{}, nil
}

// PreviewRevert hands each change that Revert would make to each, and what it cannot undo with a Note.
func (e *Engine) PreviewRevert(ctx context.Context, org, runID string, each func(tandem.Change) error) (Preview, error) {
	return Preview{}, nil
}

// Settle settles conflicts (S10), in one go for all that the filter names.
func (e *Engine) Settle(ctx context.Context, org string, s Settlement) ([]Settled, error) {
	return nil, nil
}

// Link links a device to a remote device by a person's word; it also revives an unlinked assignment.
func (e *Engine) Link(ctx context.Context, org, serviceID, deviceID, externalID, by string) (tandem.Assignment, error) {
	return tandem.Assignment{}, nil
}

// Unlink keeps the assignment but stops syncing it, until a person links it again.
func (e *Engine) Unlink(ctx context.Context, org, serviceID, deviceID, by string) error { return nil }

// ImportRemote creates local devices for remote ones that are not linked, whatever the filters say.
func (e *Engine) ImportRemote(ctx context.Context, org, serviceID string, externalIDs []string, by string) (tandem.Run, error) {
	return tandem.Run{}, nil
}

// IgnoreRemote hides remote devices from the not-linked list, or shows them again.
func (e *Engine) IgnoreRemote(ctx context.Context, org, serviceID string, externalIDs []string, ignore bool) error {
	return nil
}

// Compare reads a device's remote side and puts the three values side by side, for each service it is on.
func (e *Engine) Compare(ctx context.Context, org, deviceID string) ([]Comparison, error) {
	return nil, nil
}
