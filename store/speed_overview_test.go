//go:build unix

package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tandem"
	"tandem/store"
)

// BenchmarkOverview measures what pages show at a glance over 100,000 devices of one organization, with 20,000 open
// conflicts, and a week of deliveries of ten services by the minute.
func BenchmarkOverview(b *testing.B) {
	for name, db := range databases {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			st, err := db.open(ctx, db.fresh(b), store.Options{AutoMigrate: true, FleetsFrom: store.LargeFleet})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { must(b, st.Close()) })
			org, service := "01957f3e-0000-7000-c000-000000000001", "01957f3e-0000-7000-d000-000000000001"
			must(b, st.CreateOrganization(ctx, tandem.Organization{ID: org, Name: "acme", Slug: org}))
			must(b, st.CreateService(ctx, org, tandem.Service{ID: service, Name: "prod", ServiceType: "golioth", Config: tandem.DefaultServiceConfig()}))
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			for at := 0; at < 100_000; at += 1000 {
				c := fleet(org, service, at, 1000)
				for i := range c.CreateDevices {
					d := &c.CreateDevices[i]
					d.DeviceType, d.Tags = fmt.Sprintf("type-%d", i%300), []string{fmt.Sprintf("tag-%d", i%300), "north"}
					if i%5 == 0 {
						c.CreateAssignments[i].Status = tandem.SyncConflict
						c.PutConflicts = append(c.PutConflicts, tandem.Conflict{ID: "c" + d.ID, OrganizationID: org, ServiceID: service, DeviceID: d.ID, DeviceName: d.Name,
							Type: tandem.ConcurrentModification, FieldName: "name", Status: tandem.ConflictPending, CreatedAt: now, UpdatedAt: now})
					}
					if i%100 == 0 {
						c.Entries[i].Outcome, c.Entries[i].Error = tandem.OutcomeFailed, "the name "+d.Name+" is taken"
					}
				}
				for i := range c.CreateDevices {
					external := fmt.Sprintf("unknown-%06d", at+i)
					c.PutNotLinked = append(c.PutNotLinked, tandem.NotLinked{ServiceID: service, ExternalDeviceID: external, Name: external, Reason: "new", Ignored: i%10 == 0,
						Device: tandem.RemoteDevice{ID: external, Name: external}, FirstSeenAt: now, SeenAt: now})
				}
				must(b, st.Apply(ctx, org, c))
			}
			for s := range 10 {
				_, err := st.DB().ExecContext(ctx, fmt.Sprintf(`WITH RECURSIVE m (minute) AS (SELECT 0 UNION ALL SELECT minute + 1 FROM m WHERE minute < 10079)
					INSERT INTO delivery_counts (organization_id, minute, service_id, status, count)
					SELECT '%s', %d - minute, 'service-%d', s.status, 300000 FROM m, (SELECT 'stored' AS status UNION ALL SELECT 'processed' UNION ALL SELECT 'retrying') AS s`,
					org, now.Unix()/60, s))
				must(b, err)
			}
			if _, err := st.DB().ExecContext(ctx, "ANALYZE"); err != nil {
				b.Fatal(err)
			}
			rate := func(service string, back, step time.Duration) func() error {
				return func() error { _, err := st.DeliveryRate(ctx, org, service, now.Add(-back), now, step); return err }
			}
			page := tandem.Page{Number: 1, Limit: 50}
			entries := func(q tandem.EntryFilter) func() error {
				q.RunID, q.Page = "01957f3e-0000-7000-b000-000000000001", page
				return func() error { _, _, err := st.Entries(ctx, org, q); return err }
			}
			notLinked := func(q tandem.NotLinkedFilter) func() error {
				q.Page = page
				return func() error { _, _, err := st.NotLinked(ctx, org, service, q); return err }
			}
			conflicts := func(q tandem.ConflictFilter) func() error {
				q.Page = page
				return func() error { _, _, err := st.Conflicts(ctx, org, q); return err }
			}
			for _, one := range []struct {
				name string
				do   func() error
			}{
				{"overview", func() error { _, err := st.Overview(ctx, org, now); return err }},
				{"open counts", func() error { _, err := st.OpenCounts(ctx, org); return err }},
				{"facets", func() error { _, err := st.DeviceFacets(ctx, org); return err }},
				{"conflict groups", func() error { _, err := st.ConflictGroups(ctx, org, tandem.ConflictFilter{}); return err }},
				{"rate, last hour", rate("", time.Hour, time.Minute)},
				{"rate, a service's day", rate("service-3", 24*time.Hour, time.Minute)},
				{"rate, a week", rate("", 7*24*time.Hour, time.Hour)},
				{"undone entries", func() error {
					return st.UndoneEntries(ctx, org, "01957f3e-0000-7000-b000-000000000001", 10_000, func(*tandem.Entry) {})
				}},
				{"a device's entries", func() error {
					_, _, err := st.DeviceEntries(ctx, org, "01957f3e-0000-7000-8000-000000000077", "", 100)
					return err
				}},
				{"a run's entries", entries(tandem.EntryFilter{})},
				{"a run's entries, failed", entries(tandem.EntryFilter{Outcome: tandem.OutcomeFailed})},
				{"a run's entries, searched", entries(tandem.EntryFilter{Search: "pump-09876"})},
				{"a run's entries, all found", entries(tandem.EntryFilter{Search: "pump"})},
				{"not linked", notLinked(tandem.NotLinkedFilter{})},
				{"not linked, searched", notLinked(tandem.NotLinkedFilter{Search: "known-09876"})},
				{"not linked, by reason", notLinked(tandem.NotLinkedFilter{Reason: "new"})},
				{"not linked, ignored", notLinked(tandem.NotLinkedFilter{OnlyIgnored: true})},
				{"not linked, sort -name", notLinked(tandem.NotLinkedFilter{Sort: "-name"})},
				{"not linked, sort id", notLinked(tandem.NotLinkedFilter{Sort: "external_device_id"})},
				{"conflicts", conflicts(tandem.ConflictFilter{})},
				{"conflicts, of a service", conflicts(tandem.ConflictFilter{ServiceID: service})},
				{"conflicts, of a field", conflicts(tandem.ConflictFilter{Field: "name"})},
				{"conflicts, of a type", conflicts(tandem.ConflictFilter{Type: tandem.ConcurrentModification})},
				{"conflicts, searched", conflicts(tandem.ConflictFilter{Search: "pump-0987"})},
				{"conflicts, all", conflicts(tandem.ConflictFilter{All: true})},
				{"conflicts, sort field", conflicts(tandem.ConflictFilter{Sort: "field_name"})},
			} {
				var took []time.Duration
				for range 40 {
					start := time.Now()
					must(b, one.do())
					took = append(took, time.Since(start))
				}
				first := took[0]
				slices.Sort(took)
				b.Logf("%-22s p50 %6.1f ms  p95 %6.1f ms  first %6.1f ms", one.name, took[20].Seconds()*1000, took[37].Seconds()*1000, first.Seconds()*1000)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
