package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tandem"
	"tandem/store"
)

// The history that BenchmarkObservations makes: of one device that reports every few seconds, and of many that do not.
const (
	historyDays = 90
	denseRows   = 1_000_000
	fleetRows   = 200_000
	fleetOf     = 500
	rowsAtOnce  = 2000
)

// BenchmarkObservations measures what the history of devices costs: to write, to plot and to remove.
func BenchmarkObservations(b *testing.B) {
	for name, db := range databases {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			st, err := db.open(ctx, db.fresh(b), store.Options{AutoMigrate: true})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { must(b, st.Close()) })
			for range b.N {
				observations(b, st, name == "postgres")
			}
		})
	}
}

func observations(b *testing.B, st *store.Store, postgres bool) {
	ctx, org := b.Context(), fmt.Sprintf("o-%d", time.Now().UnixNano())
	now := time.Now().UTC().Truncate(time.Second)
	begins := now.AddDate(0, 0, -historyDays)
	must(b, st.CreateOrganization(ctx, tandem.Organization{ID: org, Name: "acme", Slug: org}))
	var devices []tandem.Device
	for i := range fleetOf + 1 {
		id := fmt.Sprintf("%s-%04d", org, i)
		devices = append(devices, tandem.Device{ID: id, Name: id, DeviceID: id, Lifecycle: tandem.Active, CreatedAt: begins, UpdatedAt: begins})
	}
	must(b, st.Apply(ctx, org, &tandem.Changes{CreateDevices: devices}))
	logged := func(what string, rows int, fn func()) {
		b.Helper()
		wal, began := walOf(b, st, postgres), time.Now()
		fn()
		took := time.Since(began)
		text := fmt.Sprintf("%-34s %10s", what, took.Round(time.Millisecond))
		if rows > 0 {
			text += fmt.Sprintf("  %8.0f rows/s", float64(rows)/took.Seconds())
		}
		if postgres {
			text += fmt.Sprintf("  %6.0f MB of log", float64(walOf(b, st, postgres)-wal)/1e6)
		}
		b.Log(text)
	}
	write := func(rows int, device func(i int) string) {
		stride := time.Duration(historyDays) * 24 * time.Hour / time.Duration(rows)
		for from := 0; from < rows; from += rowsAtOnce {
			c := &tandem.Changes{}
			for i := from; i < from+rowsAtOnce; i++ {
				o := tandem.DeviceObservation{DeviceID: device(i), Path: "battery_level", Value: json.RawMessage(fmt.Sprint(i % 100)), ObservedAt: begins.Add(time.Duration(i) * stride)}
				if i%2 == 1 {
					o.Path, o.Value = "telemetry", json.RawMessage(fmt.Sprintf(`{"temperature":%d.5,"humidity":%d,"in":{"co2":%d}}`, i%40, i%100, i%1000))
				}
				c.Observations = append(c.Observations, o)
			}
			must(b, st.Apply(ctx, org, c))
		}
	}
	logged("write a fleet's history", fleetRows, func() { write(fleetRows, func(i int) string { return devices[i%fleetOf].ID }) })
	logged("write one device's history", denseRows, func() { write(denseRows, func(int) string { return devices[fleetOf].ID }) })
	logged("write what is there", 100_000, func() { write(100_000, func(int) string { return devices[0].ID }) })
	if postgres {
		_, err := st.DB().ExecContext(ctx, "ANALYZE")
		must(b, err)
	}
	asked := func(when string) {
		for _, q := range []struct {
			what   string
			days   int
			path   string
			within []string
		}{{"battery, a day", 1, "battery_level", nil}, {"battery, a week", 7, "battery_level", nil}, {"battery, 90 days", historyDays, "battery_level", nil}, {"temperature, 90 days", historyDays, "telemetry", []string{"temperature"}}} {
			b.Logf("%-34s %10s", q.what+when, median(func() {
				_, err := st.Series(ctx, org, tandem.SeriesFilter{DeviceID: devices[fleetOf].ID, Path: q.path, Within: q.within, Since: now.AddDate(0, 0, -q.days), Until: now, Points: 300})
				must(b, err)
			}))
		}
		b.Logf("%-34s %10s", "newest 50 of any path"+when, median(func() {
			_, _, err := st.Observations(ctx, org, tandem.ObservationFilter{DeviceID: devices[rand.IntN(fleetOf)].ID, Page: tandem.Page{Number: 1, Limit: 50}})
			must(b, err)
		}))
	}
	asked("")
	if up, ok := any(st).(interface {
		RollUp(ctx context.Context, now time.Time) (int, bool, error)
	}); ok {
		hours := 0
		logged("sum hours up", denseRows, func() {
			for more := true; more; {
				var n int
				var err error
				n, more, err = up.RollUp(ctx, time.Now().Add(2*time.Hour))
				must(b, err)
				hours += n
			}
		})
		b.Logf("%d hours", hours)
		asked(", summed up")
	}
	removed := 0
	logged("remove it all", fleetRows+denseRows, func() {
		for n := 1; n > 0; {
			some, err := st.Prune(ctx, tandem.Retention{Observations: historyDays * 24 * time.Hour}, now.AddDate(0, 0, 2*historyDays+14), rowsAtOnce)
			must(b, err)
			n = 0
			for _, one := range some {
				n += one
			}
			removed += n
		}
	})
	b.Logf("in %d rows and partitions", removed)
}

// walOf gives how much PostgreSQL's log holds.
func walOf(b *testing.B, st *store.Store, postgres bool) (at int64) {
	if postgres {
		must(b, st.DB().DB.QueryRowContext(b.Context(), "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&at))
	}
	return at
}

// median gives that of nine calls, after one that does not count.
func median(fn func()) time.Duration {
	fn()
	took := make([]time.Duration, 9)
	for i := range took {
		began := time.Now()
		fn()
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2].Round(10 * time.Microsecond)
}
