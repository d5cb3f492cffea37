//go:build unix

package store_test

import (
	"maps"
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

// BenchmarkDeviceList measures each filter and sort over 100,000 linked devices of one organization: as a process lists that
// keeps fleets in memory, and as one does that keeps none; each for the first time, again and again, and each time after an edit.
func BenchmarkDeviceList(b *testing.B) {
	for name, db := range databases {
		b.Run(name, func(b *testing.B) {
			where := db.fresh(b)
			org, service := "01957f3e-0000-7000-c000-000000000001", "01957f3e-0000-7000-d000-000000000001"
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			for _, kept := range []struct {
				how  string
				from int
			}{{"tables", 0}, {"memory", store.LargeFleet}} {
				st, err := db.open(b.Context(), where, store.Options{AutoMigrate: true, FleetsFrom: kept.from})
				must(b, err)
				b.Cleanup(func() { must(b, st.Close()) })
				if kept.from == 0 {
					fillList(b, st, org, service, now)
				}
				start := time.Now()
				_, _, err = st.Devices(b.Context(), org, tandem.DeviceFilter{IDs: []string{"none"}, Now: now})
				must(b, err)
				_, _, err = st.Devices(b.Context(), org, tandem.DeviceFilter{Now: now})
				must(b, err)
				b.Logf("from %s: the very first listing %6.1f ms", kept.how, time.Since(start).Seconds()*1000)
				listEach(b, st, org, kept.how, deviceFilters(service, now))
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// fillList makes the fleet.
func fillList(b *testing.B, st *store.Store, org, service string, now time.Time) {
	ctx := b.Context()
	const devices = 100_000
	must(b, st.CreateOrganization(ctx, tandem.Organization{ID: org, Name: "acme", Slug: org}))
	must(b, st.CreateService(ctx, org, tandem.Service{ID: service, Name: "prod", ServiceType: "golioth", Config: tandem.DefaultServiceConfig()}))
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
	_, err := st.DB().ExecContext(ctx, "ANALYZE")
	must(b, err)
}

// listEach lists by each filter, and prints what it took.
func listEach(b *testing.B, st *store.Store, org, how string, filters map[string]tandem.DeviceFilter) {
	ctx := b.Context()
	edited, err := st.Device(ctx, org, "01957f3e-0000-7000-8000-000000050000")
	must(b, err)
	for _, name := range slices.Sorted(maps.Keys(filters)) {
		total := 0
		list := func() time.Duration {
			start := time.Now()
			_, n, err := st.Devices(ctx, org, filters[name])
			must(b, err)
			total = n
			return time.Since(start)
		}
		first := list()
		var again, afterEdit []time.Duration
		for range 40 {
			again = append(again, list())
		}
		for range 10 {
			edited.Notes += "."
			must(b, st.Apply(ctx, org, &tandem.Changes{UpdateDevices: []tandem.Device{edited}}))
			edited.Version++
			afterEdit = append(afterEdit, list())
		}
		slices.Sort(again)
		slices.Sort(afterEdit)
		b.Logf("from %s: %-22s first %6.1f ms   again p50 %5.1f p95 %5.1f ms   after an edit p50 %6.1f p90 %6.1f ms   total %d", how, name,
			first.Seconds()*1000, again[20].Seconds()*1000, again[38].Seconds()*1000, afterEdit[5].Seconds()*1000, afterEdit[9].Seconds()*1000, total)
	}
}
