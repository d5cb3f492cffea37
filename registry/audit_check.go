package registry

import (
	"context"
	"io"
)

// Auditor walks the audit's chain; package audit does it.
type Auditor interface {
	// Verify says whether an organization's chain is whole; report is told how far it has come, places of about how many.
	Verify(ctx context.Context, org string, report func(done, of int64)) (AuditVerdict, error)
	// Export writes the chain as JSON lines, ending with its head.
	Export(ctx context.Context, org string, to io.Writer) error
}

// AuditVerdict is what a walk of the chain found. It is whole when there are no problems.
type AuditVerdict struct {
	After    int64 // the place that the chain begins after: what is older is not kept any more
	Sealed   int64 // places that were looked at
	Head     int64 // the place that it ends at
	Hash     string
	Unsealed int // entries that have no place yet: nothing proves them
	Batches  int // records of runs that were held against it
	Pruned   int // such of runs that are not kept any more
	Problems []AuditProblem
	More     int // problems beyond those
}

// AuditProblem is one thing that is wrong with the chain.
type AuditProblem struct {
	Kind    string // such as changed or removed
	Place   int64
	EntryID string
	Message string // for people
}

// VerifyAudit walks the audit's chain from where it begins to its end, and recomputes it.
func (r *Registry) VerifyAudit(ctx context.Context, actor Actor, org string, report func(done, of int64)) (AuditVerdict, error) {
	if err := actor.may(org, ReadAudit); err != nil {
		return AuditVerdict{}, err
	}
	if r.Auditor == nil {
		return AuditVerdict{}, notHere("verify audit")
	}
	return r.Auditor.Verify(ctx, org, report)
}

// ExportAudit writes the sealed audit; `tandem audit verify --export` checks such a file.
func (r *Registry) ExportAudit(ctx context.Context, actor Actor, org string, to io.Writer) error {
	if err := actor.may(org, ReadAudit); err != nil {
		return err
	}
	if r.Auditor == nil {
		return notHere("export audit")
	}
	return r.Auditor.Export(ctx, org, to)
}
