package audit

import (
	"context"
	"fmt"
	"time"

	"tandem"
)

// The sealer's bounds: entries in one transaction, and transactions in one call.
const (
	sealBatch = 500
	sealTurns = 200
)

// Seal gives an organization's unsealed entries their places, oldest first, and says how many. It works in bounded
// batches and returns early, without an error, where another sealer is at work: what that one leaves is for the next call.
func Seal(ctx context.Context, store tandem.AuditStore, org string, now time.Time) (n int, err error) {
	for range sealTurns {
		head, err := end(ctx, store, org)
		if err != nil {
			return n, fmt.Errorf("find the end of the audit's chain: %w", err)
		}
		entries, _, err := store.Unsealed(ctx, org, sealBatch)
		if err != nil {
			return n, fmt.Errorf("read what is not sealed yet: %w", err)
		}
		if len(entries) == 0 {
			return n, nil
		}
		switch err := store.Seal(ctx, org, next(head, entries, now)); {
		case tandem.Is(err, tandem.Stale):
			return n, nil
		case err != nil:
			return n, fmt.Errorf("seal the audit: %w", err)
		}
		n += len(entries)
		if len(entries) < sealBatch {
			return n, nil
		}
	}
	return n, nil
}

// end gives where the chain ends: at its last seal, at the checkpoint when retention removed all, or before the first.
func end(ctx context.Context, store tandem.AuditStore, org string) (Head, error) {
	seal, err := store.LastSeal(ctx, org)
	if err != nil {
		return Head{}, err
	}
	if seal.Seq > 0 {
		return Head{OrganizationID: org, Seq: seal.Seq, Hash: seal.Hash, At: seal.SealedAt}, nil
	}
	return start(ctx, store, org)
}

// start gives what the first seal that is left follows.
func start(ctx context.Context, store tandem.AuditStore, org string) (Head, error) {
	point, err := store.LastCheckpoint(ctx, org)
	if err != nil {
		return Head{}, err
	}
	if point.Seq > 0 {
		return Head{OrganizationID: org, Seq: point.Seq, Hash: point.Hash, At: point.CreatedAt}, nil
	}
	return Head{OrganizationID: org, Hash: Genesis}, nil
}
