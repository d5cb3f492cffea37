package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// newAudit gives an entry of the audit that is not stored.
func (w *world) newAudit(action string, edits ...func(*tandem.AuditEntry)) tandem.AuditEntry {
	e := tandem.AuditEntry{ID: w.id(), OrganizationID: w.org, At: w.now, ActorKind: tandem.PersonActor, ActorID: "someone", Actor: "Someone", Action: action,
		ThingType: "device", ThingID: "d", Thing: "pump"}
	for _, edit := range edits {
		edit(&e)
	}
	return e
}

// tell writes entries of the audit, without anything else.
func (w *world) tell(entries ...tandem.AuditEntry) {
	w.Helper()
	w.apply(tandem.Changes{Along: tandem.Along{Audit: entries}})
}

// audited lists the whole audit, newest first.
func (w *world) audited() []tandem.SealedEntry {
	w.Helper()
	all, _, err := w.st.Audit(w.ctx, w.org, tandem.AuditFilter{Page: tandem.Page{Limit: 1000}})
	w.must(err)
	return all
}

func actionOf(e tandem.SealedEntry) string { return e.Action }

func entryID(e tandem.SealedEntry) string { return e.ID }

// genesis is what the first seal of a chain follows.
var genesis = strings.Repeat("0", 64)

// sealsOf gives seals that follow a place, for entries in their order. What is hashed is package audit's affair.
func sealsOf(seq int64, previous string, at time.Time, ids ...string) (seals []tandem.AuditSeal) {
	for _, id := range ids {
		sum := sha256.Sum256([]byte(previous + id))
		seals = append(seals, tandem.AuditSeal{Seq: seq + 1, EntryID: id, Previous: previous, Hash: hex.EncodeToString(sum[:]), SealedAt: at})
		seq, previous = seq+1, seals[len(seals)-1].Hash
	}
	return seals
}

// seal seals the oldest n entries and gives the seals.
func (w *world) seal(n int) []tandem.AuditSeal {
	w.Helper()
	last, err := w.st.LastSeal(w.ctx, w.org)
	w.must(err)
	if last.Seq == 0 {
		last.Hash = genesis
	}
	entries, _, err := w.st.Unsealed(w.ctx, w.org, n)
	w.must(err)
	seals := sealsOf(last.Seq, last.Hash, w.now, pick(entries, func(e tandem.AuditEntry) string { return e.ID })...)
	w.must(w.st.Seal(w.ctx, w.org, seals))
	return seals
}

// owner runs a statement on the database itself, as its owner, whom no policy binds.
func (w *world) owner(statement string, args ...any) error {
	db := w.st.(interface{ DB() *bun.DB }).DB()
	_, err := db.ExecContext(w.ctx, statement, args...)
	return err
}

// batchesOf gives what the audit says of the batches of a run, oldest first.
func (w *world) batchesOf(run string) (told []struct {
	Entries             int
	First, Last, Digest string
}) {
	w.Helper()
	found, _, err := w.st.Audit(w.ctx, w.org, tandem.AuditFilter{Action: "run.batch", RunID: run, Page: tandem.Page{Limit: 1000}})
	w.must(err)
	for i := len(found) - 1; i >= 0; i-- {
		e := found[i]
		if e.ThingType != "run" || e.ThingID != run || e.ActorKind != tandem.SystemActor || e.At.IsZero() {
			w.Errorf("%+v", e)
		}
		told = append(told, struct {
			Entries             int
			First, Last, Digest string
		}{})
		w.must(json.Unmarshal(e.After, &told[len(told)-1]))
	}
	return told
}

var auditTests = map[string]func(*world){
	"an entry is kept whole": func(w *world) {
		e := w.newAudit("device.update", func(e *tandem.AuditEntry) {
			e.Actor, e.Thing = "Ünïcode 🚀 'quoted' ? \\", "pump"
			e.Before, e.After, e.RunID, e.RequestID, e.Address = raw("{\"b\": 1,\n \"a\": 1.50}"), raw(`{"name":"ü\u0041"}`), "run", "request", "192.0.2.1"
		})
		bare := tandem.AuditEntry{ID: w.id(), OrganizationID: w.org, At: w.now.Add(-time.Hour), ActorKind: tandem.SystemActor, Action: "x.y", ThingType: "service"}
		w.tell(e, bare)
		found := w.audited()
		w.equal(found, []tandem.SealedEntry{{AuditEntry: e}, {AuditEntry: bare}})
		if string(found[0].Before) != string(e.Before) || string(found[0].After) != string(e.After) {
			w.Errorf("the text of the JSON changed: %s %s", found[0].Before, found[0].After)
		}
		unsealed, n, err := w.st.Unsealed(w.ctx, w.org, 10)
		w.must(err)
		w.equal(unsealed, []tandem.AuditEntry{e, bare})
		w.equal(n, 2)
	},
	"entries are listed newest first, and narrowed": func(w *world) {
		at := func(minutes int) time.Time { return w.now.Add(time.Duration(minutes) * time.Minute) }
		var ids []string
		for i, edit := range []func(*tandem.AuditEntry){
			func(e *tandem.AuditEntry) { e.Action = "device.update" },
			func(e *tandem.AuditEntry) { e.Action, e.ActorID, e.Actor = "device.delete", "p2", "Änne_1" },
			func(e *tandem.AuditEntry) {
				e.Action, e.ThingType, e.ThingID, e.Thing = "device", "service", "s1", "100% prod"
			},
			func(e *tandem.AuditEntry) { e.Action, e.RunID = "devices.import", "r1" },
		} {
			e := w.newAudit("", edit, func(e *tandem.AuditEntry) { e.At = at(i) })
			w.tell(e)
			ids = append(ids, e.ID)
		}
		w.other().tell(w.other().newAudit("device.update", func(e *tandem.AuditEntry) { e.OrganizationID = "" }))
		for _, test := range []struct {
			filter tandem.AuditFilter
			want   []int
		}{
			{tandem.AuditFilter{}, []int{3, 2, 1, 0}},
			{tandem.AuditFilter{Action: "device"}, []int{2, 1, 0}},
			{tandem.AuditFilter{Action: "device.delete"}, []int{1}},
			{tandem.AuditFilter{Action: "dev"}, nil},
			{tandem.AuditFilter{Actor: "p2"}, []int{1}},
			{tandem.AuditFilter{Actor: "ÄNNE_"}, []int{1}},
			{tandem.AuditFilter{ThingType: "service"}, []int{2}},
			{tandem.AuditFilter{ThingID: "s1"}, []int{2}},
			{tandem.AuditFilter{RunID: "r1"}, []int{3}},
			{tandem.AuditFilter{Search: "0% PROD"}, []int{2}},
			{tandem.AuditFilter{Search: "änne"}, []int{1}},
			{tandem.AuditFilter{Since: at(1)}, []int{3, 2, 1}},
			{tandem.AuditFilter{Until: at(1)}, []int{0}},
			{tandem.AuditFilter{Since: at(1), Until: at(2), Actor: "p2", Action: "device"}, []int{1}},
		} {
			found, total, err := w.st.Audit(w.ctx, w.org, test.filter)
			w.must(err)
			w.equal(pick(found, entryID), pick(test.want, func(i int) string { return ids[i] }))
			w.equal(total, len(test.want))
		}
		found, total, err := w.st.Audit(w.ctx, w.org, tandem.AuditFilter{Page: tandem.Page{Number: 2, Limit: 3}})
		w.must(err)
		w.equal(pick(found, entryID), ids[:1])
		w.equal(total, 4)
	},
	"a call's entries are of its organization": func(w *world) {
		b := w.other()
		d := w.newDevice("d")
		w.wantCode(w.st.Apply(w.ctx, w.org, &tandem.Changes{CreateDevices: []tandem.Device{d}, Along: tandem.Along{Audit: []tandem.AuditEntry{w.newAudit("x"), b.newAudit("x")}}}),
			tandem.NotFound)
		_, err := w.st.Device(w.ctx, w.org, d.ID)
		w.wantCode(err, tandem.NotFound)
		w.equal(len(w.audited())+len(b.audited()), 0)
		o := tandem.Organization{ID: w.id(), Name: "made", Slug: "made-" + w.id(), CreatedAt: w.now, UpdatedAt: w.now}
		w.must(w.st.CreateOrganization(w.ctx, o, tandem.Along{Audit: []tandem.AuditEntry{w.newAudit("organization.create", func(e *tandem.AuditEntry) { e.OrganizationID = o.ID })}}))
		made := *w
		made.org = o.ID
		w.equal(pick(made.audited(), actionOf), []string{"organization.create"})
		s := w.service("svc")
		w.wantCode(w.st.UpdateService(w.ctx, w.org, tandem.Service{ID: "none"}, tandem.Along{Audit: []tandem.AuditEntry{w.newAudit("service.update")}}), tandem.NotFound)
		w.equal(len(w.audited()), 0) // the change was not made: nor is it told
		w.must(w.st.UpdateService(w.ctx, w.org, s, tandem.Along{Audit: []tandem.AuditEntry{w.newAudit("service.update")}}))
		w.equal(pick(w.audited(), actionOf), []string{"service.update"})
	},
	"S37 entries are sealed into a chain": func(w *world) {
		entries := []tandem.AuditEntry{w.newAudit("a"), w.newAudit("b"), w.newAudit("c")}
		w.tell(entries...)
		toSeal := func() bool {
			w.Helper()
			orgs, err := w.st.OrganizationsToSeal(w.ctx)
			w.must(err)
			return strings.Contains(" "+strings.Join(orgs, " ")+" ", " "+w.org+" ")
		}
		w.equal(toSeal(), true)
		last, err := w.st.LastSeal(w.ctx, w.org)
		w.must(err)
		w.equal(last, tandem.AuditSeal{})
		first := sealsOf(0, genesis, w.now, entries[0].ID, entries[1].ID)
		b := w.other()
		foreign := b.newAudit("x")
		b.tell(foreign)
		for name, wrong := range map[string][]tandem.AuditSeal{
			"it does not begin at the beginning": sealsOf(1, genesis, w.now, entries[0].ID),
			"it follows another place":           sealsOf(0, strings.Repeat("1", 64), w.now, entries[0].ID),
			"no such entry":                      sealsOf(0, genesis, w.now, "none"),
			"another organization's":             sealsOf(0, genesis, w.now, foreign.ID),
			"twice the same":                     sealsOf(0, genesis, w.now, entries[0].ID, entries[0].ID),
		} {
			if err := w.st.Seal(w.ctx, w.org, wrong); !tandem.Is(err, tandem.Stale) {
				w.Errorf("%s: %v", name, err)
			}
		}
		w.wantCode(w.st.Seal(w.ctx, w.org, append(sealsOf(0, genesis, w.now, entries[0].ID), sealsOf(5, genesis, w.now, entries[1].ID)...)), tandem.Invalid)
		if n := w.race(func(st tandem.ServerStore) error { return st.Seal(w.ctx, w.org, first) }, tandem.Stale); n != 1 {
			w.Errorf("%d sealers", n)
		}
		w.must(w.st.Seal(w.ctx, w.org, nil))
		last, err = w.st.LastSeal(w.ctx, w.org)
		w.must(err)
		w.equal(last, first[1])
		left, n, err := w.st.Unsealed(w.ctx, w.org, 1)
		w.must(err)
		w.equal(left, entries[2:])
		w.equal(n, 1)
		w.equal(toSeal(), true)
		w.wantCode(w.st.Seal(w.ctx, w.org, sealsOf(2, last.Hash, w.now, entries[0].ID)), tandem.Stale) // it is sealed
		third := w.seal(10)
		w.equal(toSeal(), false)
		sealed := []tandem.SealedEntry{{AuditEntry: entries[0], Seal: &first[0]}, {AuditEntry: entries[1], Seal: &first[1]}, {AuditEntry: entries[2], Seal: &third[0]}}
		walked, err := w.st.Sealed(w.ctx, w.org, 0, 2)
		w.must(err)
		w.equal(walked, sealed[:2])
		walked, err = w.st.Sealed(w.ctx, w.org, 2, 2)
		w.must(err)
		w.equal(walked, sealed[2:])
		w.equal(w.audited(), []tandem.SealedEntry{sealed[2], sealed[1], sealed[0]})
	},
	"S37 pruning leaves a checkpoint": func(w *world) {
		var entries []tandem.AuditEntry
		for i := range 5 {
			entries = append(entries, w.newAudit("a", func(e *tandem.AuditEntry) { e.At = w.now.Add(time.Duration(i) * time.Hour) }))
		}
		entries[1].At = w.now.Add(10 * time.Hour) // sealed early, though it is newer
		w.tell(entries...)
		prune := func(before time.Time, limit, want int) {
			w.Helper()
			n, err := w.st.PruneAudit(w.ctx, w.org, before, limit)
			w.must(err)
			w.equal(n, want)
		}
		forever := w.now.Add(1000 * time.Hour)
		prune(forever, 10, 0) // nothing is sealed
		point, err := w.st.LastCheckpoint(w.ctx, w.org)
		w.must(err)
		w.equal(point, tandem.AuditCheckpoint{})
		seals := w.seal(4)
		prune(w.now, 10, 0)
		prune(w.now.Add(3*time.Hour), 10, 1) // the second is newer
		point, err = w.st.LastCheckpoint(w.ctx, w.org)
		w.must(err)
		if point.Seq != 1 || point.Hash != seals[0].Hash || point.Entries != 1 || point.CreatedAt.IsZero() {
			w.Errorf("%+v", point)
		}
		walked, err := w.st.Sealed(w.ctx, w.org, 0, 10)
		w.must(err)
		w.equal(pick(walked, entryID), []string{entries[1].ID, entries[2].ID, entries[3].ID})
		if n := w.race(func(st tandem.ServerStore) error {
			n, err := st.PruneAudit(w.ctx, w.org, forever, 2)
			if err == nil && n > 2 {
				w.Errorf("%d were removed at once", n)
			}
			return err
		}, tandem.Stale); n == 0 {
			w.Error("nobody pruned")
		}
		_, err = w.st.PruneAudit(w.ctx, w.org, forever, 10) // what those that lost the race left
		w.must(err)
		prune(forever, 10, 0)
		point, err = w.st.LastCheckpoint(w.ctx, w.org)
		w.must(err)
		w.equal([]any{point.Seq, point.Hash}, []any{int64(4), seals[3].Hash})
		w.equal(pick(w.audited(), entryID), []string{entries[4].ID}) // it waits for its seal
		w.wantCode(w.st.Seal(w.ctx, w.org, sealsOf(0, genesis, w.now, entries[4].ID)), tandem.Stale)
		w.must(w.st.Seal(w.ctx, w.org, sealsOf(4, point.Hash, w.now, entries[4].ID)))
	},
	"S37 the database refuses to rewrite or remove the record": func(w *world) {
		s := w.service("svc")
		run := w.newRun(s)
		w.apply(tandem.Changes{PutRuns: []tandem.Run{run}, Entries: []tandem.Entry{w.newEntry(run, w.device("d"))}})
		w.tell(w.newAudit("a"), w.newAudit("b"), w.newAudit("c"))
		w.seal(2)
		_, err := w.st.PruneAudit(w.ctx, w.org, w.now.Add(time.Hour*24*365*100), 1)
		w.must(err)
		before := w.audited()
		of := " WHERE organization_id = '" + w.org + "'"
		for _, statement := range []string{
			"UPDATE audit_log SET actor = 'nobody'" + of,
			"UPDATE audit_seals SET hash = 'x'" + of,
			"UPDATE audit_checkpoints SET hash = 'x'" + of,
			"UPDATE audit_unsealed SET entry_id = 'x'" + of,
			"UPDATE golioth_sync_log_entries SET outcome = 'failed'" + of,
			"DELETE FROM audit_log" + of,
			"DELETE FROM audit_log" + of + " AND id = '" + before[0].ID + "'",
			"DELETE FROM audit_seals" + of,
			"DELETE FROM audit_checkpoints" + of,
			"DELETE FROM audit_unsealed" + of,
			"INSERT INTO audit_checkpoints SELECT organization_id, seq, 'x', entries, created_at FROM audit_checkpoints" + of,
			"INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log" + of, // SQLite's; a mistake of syntax in PostgreSQL
			"INSERT OR REPLACE INTO audit_seals SELECT * FROM audit_seals" + of,
			"INSERT OR REPLACE INTO audit_checkpoints SELECT * FROM audit_checkpoints" + of,
		} {
			if err := w.owner(statement); err == nil {
				w.Errorf("the database let this be: %s", statement)
			}
		}
		w.equal(w.audited(), before)
		entries, _, err := w.st.Entries(w.ctx, w.org, tandem.EntryFilter{})
		w.must(err)
		w.equal(pick(entries, func(e tandem.Entry) tandem.EntryOutcome { return e.Outcome }), []tandem.EntryOutcome{tandem.OutcomeDone})
		w.must(w.owner("DELETE FROM golioth_sync_log_entries" + of)) // what retention does
		w.must(w.st.DeleteOrganization(w.ctx, w.org, 0, w.now))
	},
	"S37 the audit tells of a run's entries by their digest": func(w *world) {
		s, d := w.service("svc"), w.device("d")
		one, two := w.newRun(s), w.newRun(s)
		var c tandem.Changes
		c.PutRuns = []tandem.Run{one, two}
		for i := range 1203 { // several statements' worth, of two runs, not in order
			run := one
			if i%3 == 0 {
				run = two
			}
			c.Entries = append(c.Entries, w.newEntry(run, d, func(e *tandem.Entry) {
				e.CreatedAt = w.now.Add(time.Duration(i)*time.Microsecond + 600*time.Nanosecond) // finer than it is kept
				e.Before, e.After = raw(fmt.Sprintf("{ \"n\":\t%d.10, \"s\": \"ü\\u0000\" }", i)), nil
				e.DeviceName, e.Note = "Ünïcode 🚀 'quoted' ? \\", "n"
				if i%2 == 0 {
					e.Outcome, e.Code, e.Error, e.DeviceID, e.Path = tandem.OutcomeFailed, tandem.Busy, "failed", "", ""
				}
			}))
		}
		for i := range c.Entries {
			j := (i * 601) % len(c.Entries)
			c.Entries[i], c.Entries[j] = c.Entries[j], c.Entries[i]
		}
		middle := c.Entries[600]
		w.apply(c)
		digestOf := func(run, batch string) (tandem.BatchDigest, int) {
			w.Helper()
			found, err := w.st.RunDigests(w.ctx, w.org, run)
			w.must(err)
			return found.Batches[batch], len(found.Unnamed)
		}
		total := 0
		for _, run := range []tandem.Run{one, two} {
			told := w.batchesOf(run.ID)
			if len(told) != 1 {
				w.Fatalf("%d batches are told of", len(told))
			}
			got, unnamed := digestOf(run.ID, told[0].First)
			w.equal([]any{got, unnamed}, []any{tandem.BatchDigest{Entries: told[0].Entries, Digest: told[0].Digest}, 0})
			total += got.Entries
		}
		w.equal(total, len(c.Entries))
		// A second batch, whose ids lie between those of the first, is told of by itself.
		between := w.newEntry(one, d, func(e *tandem.Entry) { e.ID = middle.ID + "-later"; e.RunID = middle.RunID })
		w.apply(tandem.Changes{Entries: []tandem.Entry{between}})
		for _, b := range w.batchesOf(middle.RunID) {
			got, _ := digestOf(middle.RunID, b.First)
			w.equal(got, tandem.BatchDigest{Entries: b.Entries, Digest: b.Digest})
		}
		// What is tampered with shows.
		batch := w.batchesOf(middle.RunID)[0]
		if batch.Entries == 1 { // both were told of in one millisecond
			batch = w.batchesOf(middle.RunID)[1]
		}
		check := func(entries, slippedIn int, same bool) {
			w.Helper()
			got, unnamed := digestOf(middle.RunID, batch.First)
			w.equal([]any{got.Entries, unnamed, got.Digest == batch.Digest}, []any{entries, slippedIn, same})
		}
		check(batch.Entries, 0, true)
		const columns = "organization_id, run_id, service_id, side, action, device_name, outcome, created_at"
		w.must(w.owner("INSERT INTO golioth_sync_log_entries (id, "+columns+") SELECT ?, "+columns+" FROM golioth_sync_log_entries WHERE organization_id = ? AND id = ?",
			middle.ID+"-slipped-in", w.org, middle.ID))
		check(batch.Entries, 1, true)
		w.must(w.owner("INSERT INTO golioth_sync_log_entries (id, batch, "+columns+") SELECT ?, batch, "+columns+" FROM golioth_sync_log_entries WHERE organization_id = ? AND id = ?",
			middle.ID+"-slipped-in-too", w.org, middle.ID))
		check(batch.Entries+1, 1, false)
		w.must(w.owner("DELETE FROM golioth_sync_log_entries WHERE organization_id = ? AND id = ?", w.org, middle.ID))
		check(batch.Entries, 1, false)
		w.must(w.owner("DELETE FROM golioth_sync_log_entries WHERE organization_id = ? AND run_id = ?", w.org, middle.RunID))
		check(0, 0, false)
	},
	"S37 letting go of a project is told of too": func(w *world) {
		s := w.service("svc")
		for i := range 3 {
			w.link(w.device(fmt.Sprint(i)), s, fmt.Sprint("x", i))
		}
		lease, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "holder", "run", time.Hour)
		w.must(err)
		run := w.newRun(s)
		n, err := w.st.DetachService(w.ctx, w.org, tandem.Fence{ServiceID: s.ID, Token: lease.Fence}, run, func(l tandem.Linked) tandem.Entry { return w.newEntry(run, l.Device) }, w.now)
		w.must(err)
		told := w.batchesOf(run.ID)
		if n != 3 || len(told) != 1 || told[0].Entries != 3 {
			w.Errorf("%d assignments, %+v", n, told)
		}
	},
}
