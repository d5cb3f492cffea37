package main

import (
	"context"
	"io"

	"tandem"
	"tandem/api/client"
	"tandem/audit"
)

// chainAtServer is the audit as the server gives it: as much as an export takes.
type chainAtServer struct {
	tandem.AuditStore // nil: an export takes nothing else
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

// Unsealed counts what has no place yet.
func (c chainAtServer) Unsealed(ctx context.Context, org string, limit int) ([]tandem.AuditEntry, int, error) {
	return c.client.AuditTail(ctx, org, limit)
}

// ExportAudit writes the chain as the server gives it.
func (s *atServer) ExportAudit(ctx context.Context, org string, to io.Writer) (audit.Head, error) {
	return audit.Export(ctx, chainAtServer{client: s.Client}, org, to)
}

// VerifyAudit recomputes the chain here, from what the server gives. The records of runs are not looked at.
func (s *atServer) VerifyAudit(ctx context.Context, org string, earlier *audit.Head, report audit.Progress) (audit.Result, error) {
	watched := &watchedChain{chainAtServer: chainAtServer{client: s.Client}, earlier: earlier, report: report}
	r, w := io.Pipe()
	go func() {
		_, err := audit.Export(ctx, watched, org, w)
		w.CloseWithError(err)
	}()
	result, err := audit.VerifyExport(r)
	if err != nil {
		return result, err
	}
	result.Compared = earlier != nil
	if problem := watched.compared(org, result.After); problem != nil {
		result.Problems = append(result.Problems, *problem)
	}
	return result, nil
}

// watchedChain holds an earlier head against the place that it was at, while the chain goes by.
type watchedChain struct {
	chainAtServer
	earlier *audit.Head
	report  audit.Progress
	at      string // the hash at the earlier head's place
	last    int64
}

// Sealed walks the chain and looks.
func (c *watchedChain) Sealed(ctx context.Context, org string, after int64, limit int) ([]tandem.SealedEntry, error) {
	entries, err := c.chainAtServer.Sealed(ctx, org, after, limit)
	for i := range entries {
		seal := entries[i].Seal
		if seal == nil {
			continue
		}
		c.last = seal.Seq
		if c.earlier != nil && seal.Seq == c.earlier.Seq {
			c.at = seal.Hash
		}
	}
	if c.report != nil {
		c.report(c.last, 0)
	}
	return entries, err
}

// compared says what the earlier head shows, nil when it fits.
func (c *watchedChain) compared(org string, after int64) *audit.Problem {
	h := c.earlier
	switch {
	case h == nil || h.Seq == 0:
		return nil
	case h.OrganizationID != org:
		return &audit.Problem{Kind: audit.NoMatch, Seq: h.Seq, Message: "the earlier head is of another organization"}
	case h.Seq > c.last:
		return &audit.Problem{Kind: audit.Removed, Seq: c.last + 1, Message: "the chain ends before the place of the earlier head: what was after it is gone"}
	case h.Seq <= after:
		return &audit.Problem{Kind: audit.NoMatch, Seq: h.Seq, Message: "the earlier head is from before what is kept, and proves nothing any more; use a newer one"}
	case c.at != h.Hash:
		return &audit.Problem{Kind: audit.Resealed, Seq: h.Seq, Message: "this place is not what it was at the earlier head: the chain up to there was made anew"}
	}
	return nil
}
