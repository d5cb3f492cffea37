//go:build unix

package store_test

import (
	"slices"
	"testing"
	"time"

	"tandem"
	"tandem/store"
)

// deviceFilters are the filters and sorts of a listing of devices.
func deviceFilters(service string, now time.Time) map[string]tandem.DeviceFilter {
	yes, no := true, false
	filters := map[string]tandem.DeviceFilter{"none": {}, "search": {Search: "mp-0123"}, "search rare": {Search: "pump-098765"}, "online": {Status: tandem.Online},
		"offline": {Status: tandem.Offline}, "never seen": {Status: tandem.NeverSeen}, "type": {Type: "sensor"}, "lifecycle": {Lifecycle: tandem.Maintenance},
		"tag": {Tag: "north"}, "tag rare": {Tag: "rare"}, "blueprint": {Blueprint: "pump"}, "cohort": {Cohort: "stable"}, "enabled": {Enabled: &yes}, "disabled": {Enabled: &no},
		"service": {ServiceID: service}, "status error": {ServiceID: service, SyncStatus: tandem.SyncError}, "synced": {SyncStatus: tandem.SyncSynced},
		"not linked": {NotLinked: true}, "page 500": {Page: tandem.Page{Number: 500, Limit: 100}}, "two": {Tag: "north", Status: tandem.Online}}
	for _, sort := range []string{"name", "-name", "device_id", "last_seen", "-last_seen", "battery_level", "-battery_level", "created_at", "-created_at", "updated_at", "-updated_at"} {
		filters["sort "+sort] = tandem.DeviceFilter{Sort: sort}
	}
	for name, f := range filters {
		f.Now = now
		if f.Limit == 0 {
			f.Limit = 50
		}
		filters[name] = f
	}
	return filters
}

// BenchmarkDeviceList measures each filter and sort over 100,000 devices of one organization.
func BenchmarkDeviceList(b *testing.B) {
	for name, db := range databases {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			st, err := db.open(ctx, db.fresh(b), store.Options{AutoMigrate: true})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { must(b, st.Close()) })
			const devices = 100_000
			org, service := "01957f3e-0000-7000-c000-000000000001", "01957f3e-0000-7000-d000-000000000001"
			must(b, st.CreateOrganization(ctx, tandem.Organization{ID: org, Name: "acme", Slug: org}))
			must(b, st.CreateService(ctx, org, tandem.Service{ID: service, Name: "prod", ServiceType: "golioth", Config: tandem.DefaultServiceConfig()}))
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			for at := 0; at < devices; at += 1000 {
				c := fleet(org, service, at, 1000)
				c.Entries = nil
				for i := range c.CreateDevices {
					d := &c.CreateDevices[i]
					n := at + i
					seen, level := now.Add(-time.Duration(n*7919%100_000)*time.Second), float64(n*31%1000)/10
					d.LastSeen, d.BatteryLevel, d.BatteryAt = &seen, &level, &seen
					d.CreatedAt, d.UpdatedAt = now.Add(-time.Duration(n*31%100_000)*time.Second), now.Add(-time.Duration(n*17%100_000)*time.Second)
					if n%10 == 0 {
						d.LastSeen, d.BatteryLevel, d.BatteryAt = nil, nil, nil
					}
					if n%100 == 0 {
						d.DeviceType, d.Lifecycle, d.Enabled, d.Tags = "sensor", tandem.Maintenance, false, []string{"rare"}
						c.CreateAssignments[i].Status = tandem.SyncError
					}
				}
				kept := c.CreateAssignments[:0]
				for i := range c.CreateAssignments {
					if i%1000 != 1 {
						kept = append(kept, c.CreateAssignments[i])
					}
				}
				c.CreateAssignments = kept
				must(b, st.Apply(ctx, org, c))
			}
			if _, err := st.DB().ExecContext(ctx, "ANALYZE"); err != nil {
				b.Fatal(err)
			}
			filters := deviceFilters(service, now)
			names := make([]string, 0, len(filters))
			for name := range filters {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				var took []time.Duration
				total := 0
				for range 20 {
					start := time.Now()
					_, n, err := st.Devices(ctx, org, filters[name])
					took = append(took, time.Since(start))
					must(b, err)
					total = n
				}
				slices.Sort(took)
				b.Logf("%-22s p50 %6.1f ms  p95 %6.1f ms  first %6.1f ms  total %d", name, took[10].Seconds()*1000, took[18].Seconds()*1000, took[19].Seconds()*1000, total)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
