//go:build unix

package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/store"
)

// BenchmarkDeliveries measures the way of a webhook: stored in batches as requests come together, claimed, processed.
func BenchmarkDeliveries(b *testing.B) {
	for name, db := range databases {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			st, err := db.open(ctx, db.fresh(b), store.Options{AutoMigrate: true})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { must(b, st.Close()) })
			const devices, deliveries, batch, claim = 10_000, 30_000, 200, 1_000
			org, service := "01957f3e-0000-7000-c000-000000000001", "01957f3e-0000-7000-d000-000000000001"
			must(b, st.CreateOrganization(ctx, tandem.Organization{ID: org, Name: "acme", Slug: org}))
			must(b, st.CreateService(ctx, org, tandem.Service{ID: service, Name: "prod", ServiceType: "golioth", Config: tandem.DefaultServiceConfig()}))
			var ids []string
			for at := 0; at < devices; at += 500 {
				c := fleet(org, service, at, 500)
				for i := range c.CreateDevices {
					ids = append(ids, c.CreateDevices[i].ID)
				}
				must(b, st.Apply(ctx, org, c))
			}
			now := time.Now()
			next := 0
			make1 := func(i int) tandem.Delivery {
				return tandem.Delivery{ID: fmt.Sprintf("01957f3f-0000-7000-8000-%012d", i), OrganizationID: org, ServiceID: service,
					EventID: fmt.Sprintf("01957f3f-0000-7000-9000-%012d", i*7919%1_000_000_007), Digest: fmt.Sprintf("%064x", i), Type: "device.data",
					ExternalDeviceID: fmt.Sprintf("65f0a1b2c3d4%012d", i*7919%devices), ProjectID: "demo", Path: "sensor", ContentType: "application/json",
					Headers: map[string]string{"Ce-Type": "sensor", "Ce-Id": fmt.Sprint(i)},
					Body:    []byte(fmt.Sprintf(`{"battery":{"level":%d},"temperature":21.5,"location":{"lat":52.1,"lon":4.3},"n":%d}`, i%100, i)), ReceivedAt: now}
			}
			var stored, processed, both time.Duration
			var storedCPU, processedCPU, bothCPU time.Duration
			produce := func() {
				for range deliveries / batch {
					list := make([]tandem.Delivery, batch)
					for i := range list {
						list[i] = make1(next)
						next++
					}
					if _, err := st.StoreDeliveries(ctx, list); err != nil {
						b.Error(err)
						return
					}
				}
			}
			consume := func() (n int) {
				claimed, err := st.ClaimDeliveries(ctx, "h", claim, time.Minute)
				if err != nil {
					b.Error(err)
					return 0
				}
				c := tandem.Changes{}
				for i := range claimed {
					at := now.Add(time.Duration(next) * time.Millisecond)
					var number int
					if _, err := fmt.Sscanf(claimed[i].ExternalDeviceID, "65f0a1b2c3d4%d", &number); err != nil {
						b.Error(err)
					}
					level := float64(number % 100)
					c.Observe = append(c.Observe, tandem.Observation{DeviceID: ids[number], Observed: tandem.Observed{LastSeen: &at, BatteryLevel: &level, BatteryAt: &at}})
					c.Observations = append(c.Observations, tandem.DeviceObservation{DeviceID: ids[number], ServiceID: service, Path: "battery_level", Value: []byte(fmt.Sprint(level)),
						ObservedAt: at.Add(time.Duration(i) * time.Microsecond)})
					c.Deliveries = append(c.Deliveries, tandem.DeliveryOutcome{ID: claimed[i].ID, Status: tandem.DeliveryProcessed, Attempts: 1, At: at})
				}
				if len(claimed) > 0 {
					must(b, st.Apply(ctx, org, &c))
				}
				return len(claimed)
			}
			for range b.N {
				timed(&stored, &storedCPU, produce)
				timed(&processed, &processedCPU, func() {
					for consume() > 0 {
						continue
					}
				})
				timed(&both, &bothCPU, func() {
					var wait sync.WaitGroup
					var done atomic.Bool
					wait.Go(func() { produce(); done.Store(true) })
					for {
						ended := done.Load()
						if consume() == 0 && ended {
							break
						}
					}
					wait.Wait()
				})
			}
			n := float64(b.N * deliveries)
			b.ReportMetric(n/stored.Seconds(), "stored/s")
			b.ReportMetric(n/processed.Seconds(), "processed/s")
			b.ReportMetric(n/both.Seconds(), "both/s")
			b.ReportMetric(float64(storedCPU.Microseconds())/n, "cpu-µs/stored")
			b.ReportMetric(float64(processedCPU.Microseconds())/n, "cpu-µs/processed")
			b.ReportMetric(float64(bothCPU.Microseconds())/n, "cpu-µs/both")
			b.ReportMetric(0, "ns/op")
		})
	}
}
