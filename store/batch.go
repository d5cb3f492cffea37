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

// RunEntriesDigest reads the entries of a batch again, and gives their number and digest. Rows that name no batch count where
// their id is between its first and last: nothing can be slipped in there.
func (s *Store) RunEntriesDigest(ctx context.Context, org, run, firstID, lastID string) (n int, sum string, err error) {
	const op = "check a run's entries"
	for _, v := range []string{run, firstID, lastID} {
		if err := checkText(v); err != nil {
			return 0, "", s.fail(op, err)
		}
	}
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		d := newDigest()
		n, sum = 0, ""
		err := eachEntry(ctx, tx, org, func(e *tandem.Entry) {
			d.add(e)
			n++
		}, "SELECT "+entryRead+` FROM golioth_sync_log_entries AS e WHERE e.organization_id = ? AND e.run_id = ?
			AND (e.batch = ? OR e.batch IS NULL AND e.id BETWEEN ? AND ?) ORDER BY e.id`, org, run, firstID, firstID, lastID)
		if n > 0 {
			sum = d.sum()
		}
		return err
	})
	return n, sum, err
}

// eachEntry calls fn for every row of a query that selects entryRead.
func eachEntry(ctx context.Context, tx bun.Conn, org string, fn func(e *tandem.Entry), text string, args ...any) error {
	var id, run, service, outcome, code, failure word
	var created stamp
	c := changeScan{}
	targets := append(append([]any{&id, &run, &service}, c.targets()...), &outcome, &code, &failure, &created)
	return query(ctx, tx, func(rows *sql.Rows) error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		fn(&tandem.Entry{ID: string(id), OrganizationID: org, RunID: string(run), ServiceID: string(service), Change: c.change(),
			Outcome: tandem.EntryOutcome(outcome), Code: tandem.Code(code), Error: string(failure), CreatedAt: created.Time})
		return nil
	}, text, args...)
}
