package main

import (
	"context"
	"io"

	"tandem"
	"tandem/api/client"
	"tandem/audit"
)

// chainAtServer is the audit as the server gives it: as much as an export and a check take.
type chainAtServer struct {
	tandem.AuditStore // nil: they take nothing else
	client            *client.Client
}

// LastCheckpoint is what the first entry that is there says it follows.
func (c chainAtServer) LastCheckpoint(ctx context.Context, org string) (tandem.AuditCheckpoint, error) {
	first, err := c.client.AuditChain(ctx, org, 0, 1)
	if err != nil || len(first) == 0 || first[0].Seal == nil || first[0].Seal.Seq <= 1 {
		return tandem.AuditCheckpoint{}, err
	}
	return tandem.AuditCheckpoint{Seq: first[0].Seal.Seq - 1, Hash: first[0].Seal.Previous, CreatedAt: first[0].Seal.SealedAt}, nil
}

// Sealed walks the chain.
func (c chainAtServer) Sealed(ctx context.Context, org string, after int64, limit int) ([]tandem.SealedEntry, error) {
	return c.client.AuditChain(ctx, org, after, min(limit, 1000))
}

// LastSeal is where the chain ends.
func (c chainAtServer) LastSeal(ctx context.Context, org string) (tandem.AuditSeal, error) {
	return c.client.AuditEnd(ctx, org)
}

// Audit lists entries, newest first.
func (c chainAtServer) Audit(ctx context.Context, org string, filter tandem.AuditFilter) ([]tandem.SealedEntry, int, error) {
	return c.client.Audit(ctx, org, filter)
}

// RunDigests gives what a run's entries are now.
func (c chainAtServer) RunDigests(ctx context.Context, org, run string) (tandem.RunDigests, error) {
	return c.client.RunDigests(ctx, org, run)
}

// Unsealed counts what has no place yet.
func (c chainAtServer) Unsealed(ctx context.Context, org string, limit int) ([]tandem.AuditEntry, int, error) {
	return c.client.AuditTail(ctx, org, limit)
}

// ExportAudit writes the chain as the server gives it.
func (s *atServer) ExportAudit(ctx context.Context, org string, to io.Writer) (audit.Head, error) {
	return audit.Export(ctx, chainAtServer{client: s.Client}, org, to)
}

// VerifyAudit recomputes the chain here, from what the server gives.
func (s *atServer) VerifyAudit(ctx context.Context, org string, earlier *audit.Head, report audit.Progress) (audit.Result, error) {
	return audit.Verify(ctx, chainAtServer{client: s.Client}, org, earlier, report)
}
