package main

import (
	"context"
	"io"

	"tandem"
	"tandem/audit"
	"tandem/registry"
)

// auditor checks and exports the audit for the pages.
type auditor struct {
	store tandem.AuditStore
	clock tandem.Clock
}

// Verify walks the chain.
func (a auditor) Verify(ctx context.Context, org string, report func(done, of int64)) (registry.AuditVerdict, error) {
	r, err := audit.Verify(ctx, a.store, org, nil, report)
	verdict := registry.AuditVerdict{After: r.After, Sealed: r.Sealed, Head: r.Head.Seq, Hash: r.Head.Hash, Unsealed: r.Unsealed, Batches: r.Batches, Pruned: r.Pruned, More: r.More}
	for _, p := range r.Problems {
		verdict.Problems = append(verdict.Problems, registry.AuditProblem{Kind: string(p.Kind), Place: p.Seq, EntryID: p.EntryID, Message: p.Message})
	}
	return verdict, err
}

// Export seals what has no place yet, and writes the chain.
func (a auditor) Export(ctx context.Context, org string, to io.Writer) error {
	if _, err := audit.Seal(ctx, a.store, org, a.clock().UTC()); err != nil && !tandem.Is(err, tandem.Stale) { // the server's sealer was there
		return err
	}
	_, err := audit.Export(ctx, a.store, org, to)
	return err
}
