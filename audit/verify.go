package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"tandem"
)

// walkBatch is how many places are read at once.
const walkBatch = 500

// The actions of entries that Verify understands: the record of a run's batch, a run that retention removed, and the end
// of the organization, which took its runs.
const (
	batchAction   = "run.batch"
	prunedAction  = "run.pruned"
	deletedAction = "organization.delete"
)

// Batch is what an entry "run.batch" tells of, in its After: the entries of a run that were committed with it.
type Batch struct {
	Entries int    `json:"entries"`
	Digest  string `json:"digest"`
	First   string `json:"first"` // ids
	Last    string `json:"last"`
}

// Progress is told how far a check has come: places looked at, of about how many. It may be nil.
type Progress func(done, of int64)

// Verify walks an organization's chain from its checkpoint to its end and recomputes it, holds the entries of runs
// against what the audit tells of them, and compares with an earlier head, nil for none. What it finds is in the
// result; an error means that it could not look.
func Verify(ctx context.Context, store tandem.AuditStore, org string, head *Head, report Progress) (Result, error) {
	v := verification{store: store, result: Result{OrganizationID: org}, head: head, absent: map[string][]Problem{}, digests: map[string]runDigests{}}
	if err := v.run(ctx, report); err != nil {
		return v.result, fmt.Errorf("verify the audit: %w", err)
	}
	return v.result, nil
}

// verification is one call of Verify.
type verification struct {
	store  tandem.AuditStore
	result Result
	head   *Head
	walk   walk
	// absent are the batches of which entries are gone, by run: retention's own entry comes after them.
	absent map[string][]Problem
	// digests are of the runs that were read last.
	digests map[string]runDigests
	page    int // how many times places were read
}

// runDigests is what a run's entries were when a page of places had just been read: all that page tells of was committed.
type runDigests struct {
	tandem.RunDigests
	page int
}

// digestsKept is how many runs are remembered: the batches of runs that went on at the same time lie between each other.
const digestsKept = 64

// run walks from the checkpoint on until nothing more comes.
func (v *verification) run(ctx context.Context, report Progress) error {
	org := v.result.OrganizationID
	target, err := end(ctx, v.store, org)
	if err != nil {
		return err
	}
	from, err := start(ctx, v.store, org)
	if err != nil {
		return err
	}
	v.result.After = from.Seq
	v.walk = walk{result: &v.result, at: from}
	v.compare(from.Seq, from.Hash)
	for {
		entries, err := v.store.Sealed(ctx, org, v.walk.at.Seq, walkBatch)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		v.page++
		if err := v.batch(ctx, entries); err != nil {
			return err
		}
		if report != nil {
			report(v.result.Sealed, max(target.Seq-from.Seq, v.result.Sealed))
		}
	}
	if v.walk.at.Seq < target.Seq {
		if err := v.prunedMeanwhile(ctx); err != nil {
			return err
		}
	}
	if v.walk.at.Seq < target.Seq {
		v.walk.missing(target.Seq + 1)
	}
	v.walk.finish()
	v.compareEnd()
	if err := v.explain(ctx); err != nil {
		return err
	}
	_, v.result.Unsealed, err = v.store.Unsealed(ctx, org, 1)
	return err
}

// batch checks some places.
func (v *verification) batch(ctx context.Context, entries []tandem.SealedEntry) error {
	for _, e := range entries {
		if e.Seal == nil {
			return tandem.Errorf(tandem.Internal, "audit: verify", e.ID, "the store gave an entry without its seal")
		}
		if e.Seal.Seq > v.walk.at.Seq+1 {
			if err := v.prunedMeanwhile(ctx); err != nil {
				return err
			}
			if e.Seal.Seq <= v.walk.at.Seq {
				continue
			}
		}
		v.walk.step(e)
		v.compare(e.Seal.Seq, e.Seal.Hash)
		switch e.Action {
		case batchAction:
			if err := v.holdAgainst(ctx, &e); err != nil {
				return err
			}
		case prunedAction:
			v.result.Pruned += len(v.absent[prunedRun(&e.AuditEntry)])
			delete(v.absent, prunedRun(&e.AuditEntry))
		case deletedAction:
			v.allPruned()
		}
	}
	return nil
}

// allPruned answers for every run that is gone.
func (v *verification) allPruned() {
	for _, problems := range v.absent {
		v.result.Pruned += len(problems)
	}
	clear(v.absent)
}

// prunedMeanwhile moves on to a checkpoint that retention has made since the walk began.
func (v *verification) prunedMeanwhile(ctx context.Context) error {
	point, err := start(ctx, v.store, v.result.OrganizationID)
	if err == nil && point.Seq > v.walk.at.Seq {
		v.walk.at, v.walk.doubt = point, nil
		v.compare(point.Seq, point.Hash)
	}
	return err
}

// prunedRun names the run that retention's entry is about.
func prunedRun(e *tandem.AuditEntry) string {
	if e.RunID != "" {
		return e.RunID
	}
	return e.ThingID
}

// compare holds the earlier head against a place.
func (v *verification) compare(seq int64, hash string) {
	switch h := v.head; {
	case h == nil || v.result.Compared || h.Seq != seq || h.OrganizationID != v.result.OrganizationID:
		return
	case h.Hash != hash:
		v.result.add(Resealed, seq, "", "place %d is not what it was at the earlier head: the chain up to there was made anew", seq)
	}
	v.result.Compared = true
}

// compareEnd enters why the earlier head met no place.
func (v *verification) compareEnd() {
	switch h := v.head; {
	case h == nil || v.result.Compared:
	case h.OrganizationID != v.result.OrganizationID:
		v.result.add(NoMatch, h.Seq, "", "the earlier head is of another organization")
	case h.Seq > v.result.Head.Seq:
		v.result.add(Removed, v.result.Head.Seq+1, "", "the chain ends at place %d, and the earlier head was at %d: what was after it is gone",
			v.result.Head.Seq, h.Seq)
	case h.Seq < v.result.After:
		v.result.add(NoMatch, h.Seq, "", "the earlier head is from before the checkpoint at place %d and proves nothing any more; use a newer one", v.result.After)
	}
}

// holdAgainst checks that the entries of a run are those that were committed with the audit's.
func (v *verification) holdAgainst(ctx context.Context, e *tandem.SealedEntry) error {
	told, ok := batchOf(e)
	if !ok {
		v.result.add(RunDiffer, e.Seal.Seq, e.ID, "the entry %s does not say which entries of run %s it is about", e.ID, e.RunID)
		return nil
	}
	n, digest, err := v.digestOf(ctx, e.RunID, &told)
	if err != nil {
		return err
	}
	switch {
	case n < told.Entries: // retention removes a run in steps
		v.absent[e.RunID] = append(v.absent[e.RunID], Problem{Kind: RunDiffer, Seq: e.Seal.Seq, EntryID: e.ID,
			Message: fmt.Sprintf("of the %d entries of run %s that the audit tells of %d are gone, and retention did not remove them", told.Entries, e.RunID, told.Entries-n)})
		return nil
	case n > told.Entries:
		v.result.add(RunDiffer, e.Seal.Seq, e.ID, "run %s has %d entries where the audit tells of %d", e.RunID, n, told.Entries)
	case digest != told.Digest:
		v.result.add(RunDiffer, e.Seal.Seq, e.ID, "entries of run %s are not what they were when they were written", e.RunID)
	}
	v.result.Batches++
	return nil
}

// digestOf gives the number of a batch's entries and their digest. A run is read once, and again only where a batch is not
// what is told of it: it may have been written since.
func (v *verification) digestOf(ctx context.Context, run string, told *Batch) (n int, digest string, err error) {
	kept, there := v.digests[run]
	if there {
		if n, digest = kept.of(told); kept.page == v.page || n == told.Entries && digest == told.Digest {
			return n, digest, nil
		}
	}
	read, err := v.store.RunDigests(ctx, v.result.OrganizationID, run)
	if err != nil {
		return 0, "", err
	}
	for other := range v.digests {
		if len(v.digests) < digestsKept {
			break
		}
		delete(v.digests, other)
	}
	kept = runDigests{read, v.page}
	v.digests[run] = kept
	n, digest = kept.of(told)
	return n, digest, nil
}

// of gives what is there of a batch. Entries that name no batch count where their id is between its first and last: nothing
// can be slipped in there.
func (r *runDigests) of(told *Batch) (n int, digest string) {
	there := r.Batches[told.First]
	n = there.Entries
	for _, id := range r.Unnamed {
		if told.First <= id && id <= told.Last {
			n++
		}
	}
	return n, there.Digest
}

// batchOf reads what an entry tells of.
func batchOf(e *tandem.SealedEntry) (told Batch, ok bool) {
	err := json.Unmarshal(e.After, &told)
	return told, err == nil && told.First != "" && told.Last != ""
}

// explain enters the runs that are gone and that retention does not answer for; its word may still be unsealed.
func (v *verification) explain(ctx context.Context) error {
	if len(v.absent) > 0 {
		_, n, err := v.store.Audit(ctx, v.result.OrganizationID, tandem.AuditFilter{Action: deletedAction, Page: tandem.Page{Limit: 1}})
		if err != nil {
			return err
		}
		if n > 0 {
			v.allPruned()
		}
	}
	var left []Problem
	for run, problems := range v.absent {
		_, n, err := v.store.Audit(ctx, v.result.OrganizationID, tandem.AuditFilter{Action: prunedAction, RunID: run, Page: tandem.Page{Limit: 1}})
		if err != nil {
			return err
		}
		if n > 0 {
			v.result.Pruned += len(problems)
			continue
		}
		left = append(left, problems...)
	}
	slices.SortFunc(left, func(a, b Problem) int { return int(a.Seq - b.Seq) })
	for _, p := range left {
		v.result.add(p.Kind, p.Seq, p.EntryID, "%s", p.Message)
	}
	return nil
}

// itoa spells a place.
func itoa(n int64) string { return strconv.FormatInt(n, 10) }
