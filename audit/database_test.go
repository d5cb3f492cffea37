package audit_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"

	"tandem"
	"tandem/audit"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
	"tandem/store/sqlite"
	"tandem/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// database is a store, and a way around it: the hand of somebody who owns the database.
type database struct {
	*store.Store
	org string
	do  func(t *testing.T, statement string)
}

var ctx = context.Background()

// migrate makes a PostgreSQL database with every table.
func migrate(ctx context.Context, url string) error {
	s, err := postgres.Open(ctx, url, store.Options{AutoMigrate: true})
	if err != nil {
		return err
	}
	return s.Close()
}

// onBoth runs a test on both databases, with an organization in them.
func onBoth(t *testing.T, test func(t *testing.T, db *database)) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) *database{"sqlite": openSQLite, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			now := time.Now().UTC()
			db.org = newID()
			if err := db.CreateOrganization(ctx, tandem.Organization{ID: db.org, Name: "Acme", Slug: "acme", CreatedAt: now, UpdatedAt: now}); err != nil {
				t.Fatal(err)
			}
			test(t, db)
		})
	}
}

func openSQLite(t *testing.T) *database {
	file := sqlitetest.File(t)
	return &database{Store: opened(t)(sqlite.Open(ctx, file)), do: around(t, "sqlite", file, func(statement string) []string {
		var drop []string
		for _, table := range []string{"audit_log", "audit_seals", "golioth_sync_log_entries"} {
			for _, verb := range []string{"update", "delete", "insert"} {
				drop = append(drop, "DROP TRIGGER IF EXISTS "+table+"_"+verb)
			}
		}
		return append(drop, statement)
	})}
}

func openPostgres(t *testing.T) *database {
	at := pgtest.Copy(t, "audit", migrate)
	return &database{Store: opened(t)(postgres.Open(ctx, at)), do: around(t, "pgx", pgtest.AdminURL(t, at), func(statement string) []string {
		return []string{"SET session_replication_role = replica", statement}
	})}
}

// opened closes a store with the test.
func opened(t *testing.T) func(*store.Store, error) *store.Store {
	return func(s *store.Store, err error) *store.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
}

// around executes a statement past the store, and past what the database has against it.
func around(t *testing.T, driver, where string, statements func(string) []string) func(*testing.T, string) {
	return func(t *testing.T, statement string) {
		t.Helper()
		db, err := sql.Open(driver, where)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements(statement) {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// write adds n entries to the audit and gives their ids.
func (db *database) write(t *testing.T, n int) []string {
	t.Helper()
	var along tandem.Along
	var ids []string
	for i := range n {
		ids = append(ids, newID())
		along.Audit = append(along.Audit, tandem.AuditEntry{
			ID: ids[i], OrganizationID: db.org, At: time.Now().UTC(), ActorKind: tandem.PersonActor, ActorID: "u1", Actor: "one@example.com",
			Action: "device.update", ThingType: "device", ThingID: newID(), Thing: fmt.Sprint("pump ", i),
			Before: json.RawMessage(`{"b": 1.50, "a":"<&>"}`), After: json.RawMessage(`{"b":2}`), RequestID: "r1", Address: "192.0.2.1",
		})
	}
	if err := db.Apply(ctx, db.org, &tandem.Changes{Along: along}); err != nil {
		t.Fatal(err)
	}
	return ids
}

// seal seals what there is.
func (db *database) seal(t *testing.T, want int) {
	t.Helper()
	if n, err := audit.Seal(ctx, db, db.org, time.Now().UTC()); err != nil || n != want {
		t.Fatalf("sealed %d, want %d: %v", n, want, err)
	}
}

// verify checks the chain and gives the kinds and places of its problems.
func (db *database) verify(t *testing.T, head *audit.Head) (audit.Result, []string) {
	t.Helper()
	result, err := audit.Verify(ctx, db, db.org, head, nil)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range result.Problems {
		found = append(found, fmt.Sprintf("%s %d", p.Kind, p.Seq))
	}
	return result, found
}

func TestAChainIsSealedVerifiedAndExported(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		if result, found := db.verify(t, nil); len(found) > 0 || result.Sealed != 0 {
			t.Errorf("an empty chain: %+v", result)
		}
		db.write(t, 510) // more than a batch
		db.seal(t, 510)
		db.write(t, 5)
		result, found := db.verify(t, nil)
		if len(found) > 0 || result.Sealed != 510 || result.Head.Seq != 510 || result.Unsealed != 5 {
			t.Errorf("%v, %+v", found, result)
		}
		var out bytes.Buffer
		head, err := audit.Export(ctx, db, db.org, &out)
		if err != nil || head.Seq != 510 {
			t.Fatalf("export: %+v %v", head, err)
		}
		if lines := strings.Count(out.String(), "\n"); lines != 512 {
			t.Errorf("%d lines", lines)
		}
		exported, err := audit.VerifyExport(bytes.NewReader(out.Bytes()))
		if err != nil || !exported.OK() || exported.Sealed != 510 || exported.Unsealed != 5 {
			t.Errorf("the export: %v %+v", err, exported)
		}
		db.seal(t, 5)
		kept, err := audit.ReadHead(&out)
		if err != nil {
			t.Fatal(err)
		}
		if result, found := db.verify(t, &kept); len(found) > 0 || !result.Compared || result.Head.Seq != 515 {
			t.Errorf("against the head of before: %v, %+v", found, result)
		}
		if orgs, err := db.OrganizationsToSeal(ctx); err != nil || len(orgs) != 0 {
			t.Errorf("to seal: %v %v", orgs, err)
		}
	})
}

func TestTamperingInTheDatabaseIsFound(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ids := db.write(t, 12)
		db.seal(t, 12)
		result, _ := db.verify(t, nil)
		head := result.Head
		// Each lies on top of the ones before.
		for _, step := range []struct {
			statement string
			want      []string
		}{
			{"UPDATE audit_log SET actor = 'two@example.com' WHERE id = '" + ids[3] + "'", []string{"changed 4"}},
			{"UPDATE audit_log SET at = (SELECT at FROM audit_log WHERE id = '" + ids[0] + "') WHERE id = '" + ids[5] + "'", []string{"changed 4", "changed 6"}},
			{"DELETE FROM audit_log WHERE id = '" + ids[8] + "'", []string{"changed 4", "changed 6", "removed 9"}},
			{"DELETE FROM audit_seals WHERE entry_id = '" + ids[9] + "'", []string{"changed 4", "changed 6", "removed 9", "removed 10"}},
			{"DELETE FROM audit_seals WHERE seq > 10", []string{"changed 4", "changed 6", "removed 9", "removed 10"}},
		} {
			db.do(t, step.statement)
			if _, found := db.verify(t, &head); !slices.Equal(found, step.want) {
				t.Fatalf("after %s: %v, want %v", step.statement, found, step.want)
			}
		}
		result, _ = db.verify(t, &head)
		if p := result.Problems[0]; p.EntryID != ids[3] || !strings.Contains(p.Message, ids[3]) {
			t.Errorf("the changed entry is not named: %+v", p)
		}
		if !tandem.Is(result.Err(), tandem.Corrupt) {
			t.Errorf("error %v", result.Err())
		}
	})
}

func TestAChainThatIsMadeAnewDoesNotFitItsOldHead(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ids := db.write(t, 6)
		db.seal(t, 6)
		result, _ := db.verify(t, nil)
		head := result.Head
		db.do(t, "UPDATE audit_log SET actor = 'two@example.com' WHERE id = '"+ids[2]+"'")
		db.do(t, "DELETE FROM audit_seals")
		db.do(t, "INSERT INTO audit_unsealed (organization_id, entry_id) SELECT organization_id, id FROM audit_log")
		db.seal(t, 6)
		if _, found := db.verify(t, nil); len(found) > 0 {
			t.Errorf("without a head nothing can be seen, and yet: %v", found)
		}
		if _, found := db.verify(t, &head); !slices.Equal(found, []string{"resealed 6"}) {
			t.Errorf("against the old head: %v", found)
		}
		later := audit.Head{OrganizationID: db.org, Seq: 9, Hash: head.Hash}
		if _, found := db.verify(t, &later); !slices.Equal(found, []string{"removed 7"}) {
			t.Errorf("against a head further on: %v", found)
		}
		foreign := audit.Head{OrganizationID: newID(), Seq: 6, Hash: head.Hash}
		if result, found := db.verify(t, &foreign); !slices.Equal(found, []string{"no match 6"}) || !tandem.Is(result.Err(), tandem.Invalid) {
			t.Errorf("against a foreign head: %v %v", found, result.Err())
		}
	})
}

func TestWhatRetentionRemovesLeavesACheckpoint(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		db.write(t, 4)
		db.seal(t, 4)
		result, _ := db.verify(t, nil)
		head := result.Head
		if n, err := db.PruneAudit(ctx, db.org, time.Now().Add(time.Hour), 3); err != nil || n != 3 {
			t.Fatalf("pruned %d: %v", n, err)
		}
		if result, found := db.verify(t, &head); len(found) > 0 || result.After != 3 || result.Sealed != 1 || !result.Compared {
			t.Errorf("%v %+v", found, result)
		}
		if n, err := db.PruneAudit(ctx, db.org, time.Now().Add(time.Hour), 3); err != nil || n != 1 {
			t.Fatalf("pruned %d: %v", n, err)
		}
		if result, found := db.verify(t, &head); len(found) > 0 || result.After != 4 || result.Sealed != 0 || !result.Compared {
			t.Errorf("all removed: %v %+v", found, result)
		}
		db.write(t, 2)
		db.seal(t, 2)
		if result, found := db.verify(t, &head); len(found) > 0 || result.Head.Seq != 6 {
			t.Errorf("gone on: %v %+v", found, result)
		}
		var out bytes.Buffer
		if _, err := audit.Export(ctx, db, db.org, &out); err != nil {
			t.Fatal(err)
		}
		if exported, err := audit.VerifyExport(&out); err != nil || !exported.OK() || exported.After != 4 || exported.Sealed != 2 {
			t.Errorf("the export: %v %+v", err, exported)
		}
		old := audit.Head{OrganizationID: db.org, Seq: 1, Hash: head.Hash}
		if _, found := db.verify(t, &old); !slices.Equal(found, []string{"no match 1"}) {
			t.Errorf("a head from before the checkpoint: %v", found)
		}
	})
}

// runs adds a service, and gives what adds runs of it with three entries each.
func (db *database) runs(t *testing.T, now time.Time) func() (run string, entries []string) {
	t.Helper()
	service := tandem.Service{ID: newID(), OrganizationID: db.org, Name: "prod", ServiceType: "golioth", Config: tandem.DefaultServiceConfig(),
		State: tandem.ServiceOK, CreatedAt: now, UpdatedAt: now}
	if err := db.CreateService(ctx, db.org, service); err != nil {
		t.Fatal(err)
	}
	return func() (string, []string) {
		r := tandem.Run{ID: newID(), OrganizationID: db.org, ServiceID: service.ID, Operation: tandem.OpImport, Trigger: tandem.ByHand,
			Status: tandem.RunCompleted, CreatedAt: now}
		var ids []string
		changes := tandem.Changes{PutRuns: []tandem.Run{r}}
		for i := range 3 {
			ids = append(ids, newID())
			changes.Entries = append(changes.Entries, tandem.Entry{ID: ids[i], OrganizationID: db.org, RunID: r.ID, ServiceID: service.ID,
				Change: tandem.Change{Side: tandem.LocalSide, Action: tandem.ActUpdate, DeviceID: newID(), DeviceName: "pump", Path: "name",
					Before: json.RawMessage(`"a"`), After: json.RawMessage(`"b"`)},
				Outcome: tandem.OutcomeDone, CreatedAt: now})
		}
		if err := db.Apply(ctx, db.org, &changes); err != nil {
			t.Fatal(err)
		}
		return r.ID, ids
	}
}

func TestRetentionIsNoTampering(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		now := time.Now().UTC()
		run := db.runs(t, now)
		run()
		run()
		if _, err := audit.Seal(ctx, db, db.org, now); err != nil {
			t.Fatal(err)
		}
		steps := 0
		for {
			removed, err := db.Prune(ctx, tandem.Retention{Runs: time.Minute}, now.Add(time.Hour), 2)
			if err != nil {
				t.Fatal(err)
			}
			if result, found := db.verify(t, nil); len(found) > 0 || result.Batches+result.Pruned != 2 {
				t.Fatalf("after %d steps: %v %+v", steps, result.Problems, result)
			}
			if removed["entries"]+removed["runs"] == 0 {
				break
			}
			steps++
		}
		if result, _ := db.verify(t, nil); steps < 3 || result.Pruned != 2 {
			t.Errorf("%d steps, %+v", steps, result)
		}
	})
}

func TestTheRecordOfARunIsHeldAgainstTheAudit(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		now := time.Now().UTC()
		run := db.runs(t, now)
		_, changed := run()
		gone, _ := run()
		pruned, _ := run()
		partly, some := run()
		fine, _ := run()
		if n, err := audit.Seal(ctx, db, db.org, now); err != nil || n < 5 {
			t.Fatalf("sealed %d: %v", n, err)
		}
		if result, found := db.verify(t, nil); len(found) > 0 || result.Batches != 5 {
			t.Fatalf("%v %+v", found, result)
		}
		db.do(t, "UPDATE golioth_sync_log_entries SET device_name = 'valve' WHERE id = '"+changed[1]+"'")
		for _, id := range []string{gone, pruned} {
			db.do(t, "DELETE FROM golioth_sync_log_entries WHERE run_id = '"+id+"'")
		}
		db.do(t, "DELETE FROM golioth_sync_log_entries WHERE id = '"+some[0]+"'") // retention works in steps
		// Retention's own word, first unsealed and then sealed, explains what it is about and no other.
		for _, id := range []string{pruned, partly} {
			if err := db.Apply(ctx, db.org, &tandem.Changes{Along: tandem.Along{Audit: []tandem.AuditEntry{{ID: newID(), OrganizationID: db.org, At: now,
				ActorKind: tandem.SystemActor, Actor: "retention", Action: "run.pruned", ThingType: "run", ThingID: id, RunID: id}}}}); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			result, found := db.verify(t, nil)
			if len(found) != 2 || result.Batches != 2 || result.Pruned != 2 {
				t.Fatalf("%v %+v", found, result)
			}
			text := fmt.Sprint(result.Problems)
			if !strings.Contains(text, gone) || strings.Contains(text, pruned) || strings.Contains(text, fine) {
				t.Errorf("problems %s", text)
			}
			if _, err := audit.Seal(ctx, db, db.org, now); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTheAuditOutlivesItsOrganization(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		now := time.Now().UTC()
		db.runs(t, now)()
		db.seal(t, 1)
		last := tandem.AuditEntry{ID: newID(), OrganizationID: db.org, At: now, ActorKind: tandem.PersonActor, Actor: "owner@example.com",
			Action: "organization.delete", ThingType: "organization", ThingID: db.org}
		if err := db.DeleteOrganization(ctx, db.org, 0, now, last); err != nil {
			t.Fatal(err)
		}
		for sealed := range 2 { // its last word answers for its runs before it has a place, too
			result, found := db.verify(t, nil)
			if len(found) > 0 || result.Pruned != 1 || result.Unsealed != 1-sealed && sealed == 1 {
				t.Errorf("%v %+v", found, result)
			}
			if _, err := audit.Seal(ctx, db, db.org, now); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		if _, err := audit.Export(ctx, db, db.org, &out); err != nil {
			t.Fatal(err)
		}
		if exported, err := audit.VerifyExport(&out); err != nil || !exported.OK() || exported.Unsealed != 0 {
			t.Errorf("the export: %v %+v", err, exported)
		}
	})
}

func TestSealersAtTheSameTimeMakeOneChain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		const writers, each = 3, 10
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for range each {
					db.write(t, 1)
					if _, err := audit.Seal(ctx, db, db.org, time.Now().UTC()); err != nil {
						t.Errorf("seal: %v", err)
					}
				}
			})
		}
		group.Wait()
		if _, err := audit.Seal(ctx, db, db.org, time.Now().UTC()); err != nil {
			t.Fatal(err)
		}
		if result, found := db.verify(t, nil); len(found) > 0 || result.Sealed != writers*each || result.Unsealed != 0 {
			t.Errorf("%v %+v", found, result)
		}
	})
}

func TestOrganizationsHaveChainsOfTheirOwn(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		db.write(t, 2)
		first, now := db.org, time.Now().UTC()
		db.org = newID()
		if err := db.CreateOrganization(ctx, tandem.Organization{ID: db.org, Name: "Other", Slug: "other", CreatedAt: now, UpdatedAt: now}); err != nil {
			t.Fatal(err)
		}
		db.write(t, 3)
		if orgs, err := db.OrganizationsToSeal(ctx); err != nil || len(orgs) != 2 {
			t.Fatalf("to seal: %v %v", orgs, err)
		}
		db.seal(t, 3)
		db.org = first
		db.seal(t, 2)
		if result, found := db.verify(t, nil); len(found) > 0 || result.Sealed != 2 {
			t.Errorf("%v %+v", found, result)
		}
	})
}
