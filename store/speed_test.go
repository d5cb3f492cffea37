//go:build unix

package store_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"tandem"
	"tandem/store"
)

// fleet makes the changes of an import's batches: devices with their assignments and entries.
func fleet(org, service string, from, n int) *tandem.Changes {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	seen := now.Add(-time.Minute)
	c := &tandem.Changes{}
	for i := from; i < from+n; i++ {
		d := tandem.Device{ID: fmt.Sprintf("01957f3e-0000-7000-8000-%012d", i), OrganizationID: org, Name: fmt.Sprintf("pump-%06d", i),
			DeviceID: fmt.Sprintf("pump-%06d", i), Lifecycle: tandem.Active, HardwareIDs: []string{fmt.Sprintf("A0:B1:%08X", i)},
			Tags: []string{"north", "batch-7"}, Enabled: true, Blueprint: "pump", Cohort: "stable",
			Observed:      tandem.Observed{LastSeen: &seen, Firmware: map[string]tandem.Firmware{"main": {Version: "1.2.3", State: "idle"}}, FirmwareAt: &seen},
			FieldEditedAt: tandem.EditTimes{"name": now, "tags": now, "enabled": now, "hardware_ids": now}, CreatedAt: now, UpdatedAt: now}
		shared := d.Shared()
		shared.Known = shared.Known.Without(tandem.FieldMetadata)
		external := fmt.Sprintf("65f0a1b2c3d4%012d", i)
		c.CreateDevices = append(c.CreateDevices, d)
		c.CreateAssignments = append(c.CreateAssignments, tandem.Assignment{ID: fmt.Sprintf("01957f3e-0000-7000-9000-%012d", i), OrganizationID: org,
			DeviceID: d.ID, ServiceID: service, ExternalDeviceID: external, SyncEnabled: true, Status: tandem.SyncSynced, LastSync: &now,
			Base: tandem.Base{Local: shared, Remote: shared}, RemoteUpdatedAt: &seen, CreatedAt: now, UpdatedAt: now})
		c.Entries = append(c.Entries, tandem.Entry{ID: fmt.Sprintf("01957f3e-0000-7000-a000-%012d", i), OrganizationID: org, RunID: "01957f3e-0000-7000-b000-000000000001",
			ServiceID: service, Change: tandem.Change{Side: tandem.LocalSide, Action: tandem.ActCreate, DeviceID: d.ID, ExternalDeviceID: external,
				DeviceName: d.Name, After: []byte(fmt.Sprintf(`{"name":%q,"tags":["north","batch-7"],"enabled":true,"blueprint":"pump"}`, d.Name))},
			Outcome: tandem.OutcomeDone, CreatedAt: now})
	}
	return c
}

// BenchmarkBatches measures what a run of 10,000 devices does, in its batches of 500.
func BenchmarkBatches(b *testing.B) {
	for name, db := range databases {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			st, err := db.open(ctx, db.fresh(b), store.Options{AutoMigrate: true})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { must(b, st.Close()) })
			const devices, batch = 10_000, 500
			var applied, linked, observed, appliedCPU, linkedCPU, observedCPU time.Duration
			for range b.N {
				org := fmt.Sprintf("01957f3e-0000-7000-c000-%012d", time.Now().UnixNano()%1e12)
				must(b, st.CreateOrganization(ctx, tandem.Organization{ID: org, Name: "acme", Slug: org}))
				service := "01957f3e-0000-7000-d000-000000000001"
				must(b, st.CreateService(ctx, org, tandem.Service{ID: service, Name: "prod", ServiceType: "golioth", Config: tandem.DefaultServiceConfig()}))
				var batches []*tandem.Changes
				for at := 0; at < devices; at += batch {
					batches = append(batches, fleet(org, service, at, batch))
				}
				timed(&applied, &appliedCPU, func() {
					for _, c := range batches {
						must(b, st.Apply(ctx, org, c))
					}
				})
				timed(&linked, &linkedCPU, func() {
					for _, c := range batches {
						ids := make([]string, batch)
						for i := range ids {
							ids[i] = c.CreateAssignments[i].ExternalDeviceID
						}
						found, err := st.LinkedByExternal(ctx, org, service, ids)
						must(b, err)
						if len(found) != batch {
							b.Fatalf("%d linked, want %d", len(found), batch)
						}
					}
				})
				timed(&observed, &observedCPU, func() {
					for _, c := range batches {
						o := tandem.Changes{}
						for i := range c.CreateDevices {
							later := c.CreateDevices[i].LastSeen.Add(time.Hour)
							o.Observe = append(o.Observe, tandem.Observation{DeviceID: c.CreateDevices[i].ID, Observed: tandem.Observed{LastSeen: &later}})
						}
						must(b, st.Apply(ctx, org, &o))
					}
				})
			}
			b.ReportMetric(float64(b.N*devices)/applied.Seconds(), "devices-applied/s")
			b.ReportMetric(float64(linked.Microseconds())/1000/float64(b.N*devices/batch), "ms/500-linked")
			b.ReportMetric(float64(observed.Milliseconds())/float64(b.N), "ms/10k-observed")
			b.ReportMetric(float64(appliedCPU.Microseconds())/float64(b.N*devices), "cpu-µs/applied")
			b.ReportMetric(float64(linkedCPU.Microseconds())/1000/float64(b.N*devices/batch), "cpu-ms/500-linked")
			b.ReportMetric(float64(observedCPU.Milliseconds())/float64(b.N), "cpu-ms/10k-observed")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// timed adds what fn took: elapsed, and of this process's processors.
func timed(took, cpu *time.Duration, fn func()) {
	start, used := time.Now(), processors()
	fn()
	*took += time.Since(start)
	*cpu += processors() - used
}

// processors is how long this process has computed.
func processors() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
