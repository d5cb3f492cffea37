package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// batch is what one transaction enters of one run. Runs go on in several goroutines, so that the ids of two batches may
// lie between each other's: each row names its batch, by the id of its first entry.
type batch struct {
	run     string
	entries []*tandem.Entry // by id
}

// first is the batch's name.
func (b *batch) first() string { return b.entries[0].ID }

// batches sorts entries by run, each run's by id.
func batches(entries []tandem.Entry) []batch {
	var found []batch
	at := make(map[string]int, 1)
	for i := range entries {
		e := &entries[i]
		k, ok := at[e.RunID]
		if !ok {
			k = len(found)
			at[e.RunID], found = k, append(found, batch{run: e.RunID})
		}
		found[k].entries = append(found[k].entries, e)
	}
	for _, b := range found {
		slices.SortFunc(b.entries, func(x, y *tandem.Entry) int { return strings.Compare(x.ID, y.ID) })
	}
	return found
}

// batchTold is what the audit says of a batch.
type batchTold struct {
	Entries int    `json:"entries"`
	First   string `json:"first"`
	Last    string `json:"last"`
	Digest  string `json:"digest"`
}

// audited is the audit's entry about a batch.
func (b *batch) audited(org string, at time.Time) (tandem.AuditEntry, error) {
	d := newDigest()
	for _, e := range b.entries {
		d.add(e)
	}
	told, err := json.Marshal(batchTold{Entries: len(b.entries), First: b.first(), Last: b.entries[len(b.entries)-1].ID, Digest: d.sum()})
	if err != nil {
		return tandem.AuditEntry{}, err
	}
	return tandem.AuditEntry{ID: newEventID(), OrganizationID: org, At: at, ActorKind: tandem.SystemActor, Actor: "system", Action: "run.batch",
		ThingType: "run", ThingID: b.run, RunID: b.run, After: told}, nil
}

// digest is SHA-256 over entries: each value as its column has it, with its length before it, in the order of the columns.
// A value that is absent counts as empty. Both databases give back what was written, so that it can be computed again.
type digest struct {
	hash.Hash
	buf []byte
}

// digestScheme begins each digest. Another order or other columns are another scheme.
const digestScheme = "tandem run entries 1"

func newDigest() *digest {
	d := &digest{Hash: sha256.New(), buf: make([]byte, 0, 1024)}
	d.Write([]byte(digestScheme))
	return d
}

func (d *digest) add(e *tandem.Entry) {
	buf := d.buf[:0]
	for _, s := range [...]string{e.ID, e.RunID, e.ServiceID, string(e.Side), string(e.Action), e.DeviceID, e.ExternalDeviceID, e.DeviceName, string(e.Path)} {
		buf = append(binary.AppendUvarint(buf, uint64(len(s))), s...)
	}
	for _, s := range [...][]byte{e.Before, e.After} {
		buf = append(binary.AppendUvarint(buf, uint64(len(s))), s...)
	}
	for _, s := range [...]string{e.Note, string(e.Outcome), string(e.Code), e.Error} {
		buf = append(binary.AppendUvarint(buf, uint64(len(s))), s...)
	}
	d.buf = binary.AppendVarint(buf, e.CreatedAt.UTC().Round(time.Microsecond).UnixMicro())
	d.Write(d.buf)
}

func (d *digest) sum() string { return hex.EncodeToString(d.Sum(nil)) }

// RunDigests reads the entries of a run again, once for all of its batches.
func (s *Store) RunDigests(ctx context.Context, org, run string) (found tandem.RunDigests, err error) {
	const op = "check a run's entries"
	if err := checkText(run); err != nil {
		return found, s.fail(op, err)
	}
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		found = tandem.RunDigests{Batches: map[string]tandem.BatchDigest{}}
		type state struct {
			*digest
			n int
		}
		states := map[string]*state{}
		text := "SELECT COALESCE(e.batch, ''), " + entryRead + " FROM golioth_sync_log_entries AS e WHERE e.organization_id = ? AND e.run_id = ? ORDER BY e.id"
		var name word
		err := eachEntryWith(ctx, tx, org, []any{&name}, func(e *tandem.Entry) {
			if name == "" {
				found.Unnamed = append(found.Unnamed, e.ID)
				return
			}
			one, ok := states[string(name)]
			if !ok {
				one = &state{digest: newDigest()}
				states[string(name)] = one
			}
			one.add(e)
			one.n++
		}, text, org, run)
		for name, one := range states {
			found.Batches[name] = tandem.BatchDigest{Entries: one.n, Digest: one.sum()}
		}
		return err
	})
	return found, err
}

// eachEntry calls fn for every row of a query that selects entryRead.
func eachEntry(ctx context.Context, tx bun.Conn, org string, fn func(e *tandem.Entry), text string, args ...any) error {
	return eachEntryWith(ctx, tx, org, nil, fn, text, args...)
}

// eachEntryWith does the same where other columns come first.
func eachEntryWith(ctx context.Context, tx bun.Conn, org string, before []any, fn func(e *tandem.Entry), text string, args ...any) error {
	var id, run, service, outcome, code, failure word
	var created stamp
	c := changeScan{}
	targets := append(append(append(before, &id, &run, &service), c.targets()...), &outcome, &code, &failure, &created)
	return query(ctx, tx, func(rows *sql.Rows) error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		fn(&tandem.Entry{ID: string(id), OrganizationID: org, RunID: string(run), ServiceID: string(service), Change: c.change(),
			Outcome: tandem.EntryOutcome(outcome), Code: tandem.Code(code), Error: string(failure), CreatedAt: created.Time})
		return nil
	}, text, args...)
}
