//go:build unix

package store_test

import (
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/store"
)

// TestListingsOfLargeFleets: what this process changes shows at once, rows are fresh always, and many who ask get the same.
func TestListingsOfLargeFleets(t *testing.T) {
	t.Parallel()
	for name, db := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			st, err := db.open(ctx, db.fresh(t), store.Options{AutoMigrate: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { must(t, st.Close()) })
			const devices = 10_500
			org, service := "01957f3e-0000-7000-c000-000000000001", "01957f3e-0000-7000-d000-000000000001"
			must(t, st.CreateOrganization(ctx, tandem.Organization{ID: org, Name: "acme", Slug: org}))
			must(t, st.CreateService(ctx, org, tandem.Service{ID: service, Name: "prod", ServiceType: "golioth", Config: tandem.DefaultServiceConfig()}))
			for at := 0; at < devices; at += 1500 {
				c := fleet(org, service, at, 1500)
				c.Entries = nil
				must(t, st.Apply(ctx, org, c))
			}
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			list := func(q tandem.DeviceFilter) ([]tandem.DeviceRow, int) {
				t.Helper()
				q.Now = now
				rows, total, err := st.Devices(ctx, org, q)
				must(t, err)
				return rows, total
			}
			var wait sync.WaitGroup
			for range 8 {
				wait.Go(func() {
					if rows, total := list(tandem.DeviceFilter{Sort: "-last_seen", Page: tandem.Page{Limit: 10}}); total != devices || len(rows) != 10 {
						t.Errorf("%d rows of %d", len(rows), total)
					}
				})
			}
			wait.Wait()
			seen := map[string]bool{}
			for page := 1; page <= 11; page++ { // the last ones are past what is kept
				rows, _ := list(tandem.DeviceFilter{Page: tandem.Page{Number: page, Limit: 1000}})
				for _, row := range rows {
					seen[row.ID] = true
				}
			}
			if len(seen) != devices {
				t.Errorf("the pages show %d devices", len(seen))
			}
			rows, _ := list(tandem.DeviceFilter{Search: "pump-000007"})
			later, level := now.Add(time.Hour), 12.5
			must(t, st.Apply(ctx, org, &tandem.Changes{Observe: []tandem.Observation{{DeviceID: rows[0].ID, Observed: tandem.Observed{LastSeen: &later, BatteryLevel: &level}}}}))
			rows, total := list(tandem.DeviceFilter{Search: "pump-000007"})
			if total != 1 || rows[0].BatteryLevel == nil || *rows[0].BatteryLevel != level {
				t.Errorf("a report does not show: %+v", rows)
			}
			edited := rows[0].Device
			edited.DeletedAt = &later
			must(t, st.Apply(ctx, org, &tandem.Changes{UpdateDevices: []tandem.Device{edited}}))
			if rows, total := list(tandem.DeviceFilter{Search: "pump-000007"}); total != 0 || len(rows) != 0 {
				t.Errorf("a removed device shows: %d of %d", len(rows), total)
			}
			if _, total := list(tandem.DeviceFilter{}); total != devices-1 {
				t.Errorf("%d devices", total)
			}
			yes, no := true, false
			if _, total := list(tandem.DeviceFilter{Enabled: &yes}); total != devices-1 {
				t.Errorf("%d enabled", total)
			}
			if _, total := list(tandem.DeviceFilter{Enabled: &no}); total != 0 {
				t.Errorf("%d disabled", total)
			}
		})
	}
}
