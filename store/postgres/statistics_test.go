package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem"
	"tandem/store"
	"tandem/store/pgtest"
	"tandem/store/postgres"
)

// TestKeysWithoutStatistics: right after a first import, before anything was analyzed, a batch reads its own rows and not
// the organization's.
func TestKeysWithoutStatistics(t *testing.T) {
	const devices, batch = 6_000, 100
	ctx, where := t.Context(), pgtest.URL(t)
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	admin, err := pgx.Connect(ctx, where)
	fail(err)
	t.Cleanup(func() { fail(admin.Close(context.WithoutCancel(ctx))) })
	// use opens the store, and closes it so that its sessions report what they read.
	use := func(fn func(st *store.Store)) (read int64) {
		t.Helper()
		st, err := postgres.Open(ctx, where, store.Options{AutoMigrate: true})
		fail(err)
		fn(st)
		fail(st.Close())
		for open := 1; open > 0; {
			fail(admin.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&open))
		}
		fail(admin.QueryRow(ctx, `SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('devices', 'device_service_assignments', 'golioth_sync_log_entries')) +
			(SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('devices', 'device_service_assignments', 'device_hardware_ids', 'golioth_sync_log_entries'))`).Scan(&read))
		return read
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var all []tandem.Device
	var links []tandem.Assignment
	var entries []tandem.Entry
	for i := range devices {
		d := tandem.Device{ID: fmt.Sprintf("d-%06d", i), Name: fmt.Sprintf("Pump %d", i), DeviceID: fmt.Sprintf("P-%d", i), HardwareIDs: []string{fmt.Sprintf("HW-%d", i)},
			Observed: tandem.Observed{LastSeen: &now}, Version: 1, CreatedAt: now, UpdatedAt: now}
		all = append(all, d)
		entries = append(entries, tandem.Entry{ID: fmt.Sprintf("e-%06d", i), RunID: "r", ServiceID: "s", Outcome: tandem.OutcomeDone, CreatedAt: now,
			Change: tandem.Change{Side: tandem.LocalSide, Action: tandem.ActCreate, DeviceID: d.ID}})
		links = append(links, tandem.Assignment{ID: fmt.Sprintf("a-%06d", i), DeviceID: d.ID, ServiceID: "s", ExternalDeviceID: fmt.Sprintf("x-%06d", i), SyncEnabled: true,
			Status: tandem.SyncSynced, Version: 1, CreatedAt: now, UpdatedAt: now})
	}
	before := use(func(st *store.Store) {
		for _, table := range []string{"devices", "device_service_assignments", "device_hardware_ids", "golioth_sync_log_entries"} {
			_, err := st.DB().ExecContext(ctx, "ALTER TABLE "+table+" SET (autovacuum_enabled = off)")
			fail(err)
		}
		fail(st.CreateOrganization(ctx, tandem.Organization{ID: "o", Name: "o", Slug: "o"}))
		fail(st.CreateService(ctx, "o", tandem.Service{ID: "s", Name: "s", ServiceType: "golioth", Config: tandem.DefaultServiceConfig()}))
		fail(st.Apply(ctx, "o", &tandem.Changes{CreateDevices: all, CreateAssignments: links, Entries: entries}))
	})
	var ids, externals []string
	var probes []tandem.Probe
	var reports []tandem.Observation
	later := now.Add(time.Hour)
	for i := devices / 2; i < devices/2+batch; i++ {
		ids, externals = append(ids, all[i].ID), append(externals, links[i].ExternalDeviceID)
		probes = append(probes, tandem.Probe{Name: all[i].Name, HardwareIDs: all[i].HardwareIDs})
		reports = append(reports, tandem.Observation{DeviceID: all[i].ID, Observed: tandem.Observed{LastSeen: &later}})
	}
	from, to := devices/2, devices/2+batch
	for _, test := range []struct {
		name string
		call func(st *store.Store) (int, error)
	}{
		{"linked by remote id", func(st *store.Store) (int, error) {
			found, err := st.LinkedByExternal(ctx, "o", "s", externals)
			return len(found), err
		}},
		{"linked by device", func(st *store.Store) (int, error) {
			found, err := st.LinkedByDevice(ctx, "o", "s", ids)
			return len(found), err
		}},
		{"candidates", func(st *store.Store) (int, error) {
			found, err := st.Candidates(ctx, "o", "s", probes)
			return len(found), err
		}},
		{"recent changes", func(st *store.Store) (int, error) {
			found, err := st.RecentChanges(ctx, "o", ids, 1)
			return len(found), err
		}},
		{"reports", func(st *store.Store) (int, error) {
			return batch, st.Apply(ctx, "o", &tandem.Changes{Observe: reports})
		}},
		{"edits", func(st *store.Store) (int, error) {
			return batch, st.Apply(ctx, "o", &tandem.Changes{UpdateDevices: all[from:to], UpdateAssignments: links[from:to]})
		}},
	} {
		after := use(func(st *store.Store) {
			n, err := test.call(st)
			fail(err)
			if n != batch {
				t.Errorf("%s: %d found, want %d", test.name, n, batch)
			}
		})
		if read := after - before; read > devices {
			t.Errorf("%s: %d rows were read for %d of %d devices", test.name, read, batch, devices)
		} else {
			t.Logf("%s: %d rows were read", test.name, read)
		}
		before = after
	}
}
