package gateway_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/gateway"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
)

// BenchmarkReports stores the reports of 500 devices, each of which waits for its answer before it sends the next.
func BenchmarkReports(b *testing.B) {
	for name, open := range map[string]func(testing.TB) tandem.ServerStore{
		"sqlite":   func(tb testing.TB) tandem.ServerStore { return sqlitetest.Open(tb) },
		"postgres": func(tb testing.TB) tandem.ServerStore { return postgrestest.Open(tb) },
	} {
		b.Run(name, func(b *testing.B) {
			w := benchWorld(b, open(b))
			var sent atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for _, d := range w.devices {
				all.Go(func() {
					for n := sent.Add(1); n <= int64(b.N); n = sent.Add(1) {
						m := gateway.Message{Via: tandem.ViaMQTT, Body: fmt.Appendf(nil, `{"battery":%d,"temperature":%d.5}`, n%100, n%40)}
						if _, err := w.g.Report(b.Context(), d, m); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reports/s")
		})
	}
}

type manyDevices struct {
	g       *gateway.Gateway
	devices []gateway.Device
}

func benchWorld(b *testing.B, store tandem.ServerStore) manyDevices {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	now, org := time.Now().Add(-time.Hour).UTC(), id()
	must(store.CreateOrganization(b.Context(), tandem.Organization{ID: org, Name: "acme", Slug: "acme-" + org, CreatedAt: now, UpdatedAt: now}))
	var changes tandem.Changes
	for i := range 500 {
		d := tandem.Device{ID: id(), Name: fmt.Sprint("d", i), DeviceID: fmt.Sprint("d", i), Lifecycle: tandem.Active, Enabled: true, CreatedAt: now, UpdatedAt: now}
		changes.CreateDevices = append(changes.CreateDevices, d)
		c := tandem.Credential{ID: id(), DeviceID: d.ID, Kind: tandem.TokenCredential, Name: "x", Identity: id(), Hash: gateway.HashSecret(d.ID), CreatedAt: now, UpdatedAt: now}
		changes.PutCredentials = append(changes.PutCredentials, c)
	}
	must(store.Apply(b.Context(), org, &changes))
	w := manyDevices{g: gateway.New(gateway.Options{Store: store, Clock: time.Now, IDs: id, Rate: -1, Writers: 2})}
	b.Cleanup(w.g.Close)
	for i := range changes.CreateDevices {
		d, err := w.g.Authenticate(b.Context(), gateway.Claim{Kind: tandem.TokenCredential, Secret: changes.CreateDevices[i].ID})
		must(err)
		w.devices = append(w.devices, d)
	}
	return w
}
