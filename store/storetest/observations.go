package storetest

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// observeEach gives a device n numbers on a path, from 0 on, one after another.
func (w *world) observeEach(d tandem.Device, path string, from time.Time, n int, every time.Duration) {
	w.Helper()
	history := make([]tandem.DeviceObservation, n)
	for i := range history {
		history[i] = tandem.DeviceObservation{DeviceID: d.ID, Path: path, Value: raw(fmt.Sprint(i)), ObservedAt: from.Add(time.Duration(i) * every)}
	}
	w.apply(tandem.Changes{Observations: history})
}

// rollUp sums up what was written until now, as if two hours had passed.
func (w *world) rollUp() (hours int) {
	w.Helper()
	owner, ok := w.st.(interface{ DB() *bun.DB })
	if !ok {
		w.Fatal("the store does not give its database")
	}
	_, err := owner.DB().ExecContext(w.ctx, "DELETE FROM chores") // or it would begin where another test has left it
	w.must(err)
	now, err := w.st.Now(w.ctx)
	w.must(err)
	for more := true; more; {
		var some int
		some, more, err = w.st.RollUp(w.ctx, now.Add(2*time.Hour))
		w.must(err)
		hours += some
	}
	return hours
}

var observationTests = map[string]func(*world){
	"a value is kept whenever it was observed, and once": func(w *world) {
		d := w.device("d")
		var history []tandem.DeviceObservation
		for _, at := range []time.Time{time.Unix(0, 0), w.now.AddDate(-30, 0, 0), w.now.AddDate(-1, 0, 0), w.now, w.now.Add(time.Microsecond), w.now.AddDate(0, 2, 0), w.now.AddDate(7000, 0, 0)} {
			history = append(history, tandem.DeviceObservation{DeviceID: d.ID, Path: "p", Value: raw("1"), ObservedAt: at.UTC()})
		}
		for range 2 {
			for _, st := range w.handles {
				w.must(st.Apply(w.ctx, w.org, &tandem.Changes{Observations: history}))
			}
		}
		found, total, err := w.st.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: d.ID, Sort: "observed_at"})
		w.must(err)
		w.equal(total, len(history))
		w.equal(found, history)
	},
	"what is over goes, and what came late for the same time stays": func(w *world) {
		d := w.device("d")
		now, err := w.st.Now(w.ctx)
		w.must(err)
		week := 7 * 24 * time.Hour
		count := func() int {
			_, n, err := w.st.Observations(w.ctx, w.org, tandem.ObservationFilter{DeviceID: d.ID})
			w.must(err)
			return n
		}
		w.observeEach(d, "p", now.Add(-200*week), 5, time.Second)
		w.prune(tandem.Retention{Observations: 5 * week}, now.Add(4*week), 1000)
		w.equal(count(), 5) // they were written just now
		w.prune(tandem.Retention{Observations: 5 * week}, now.Add(6*week), 1000)
		w.equal(count(), 0)
		w.observeEach(d, "p", now.Add(-200*week), 5, time.Second) // the partition is gone, and another process does not know
		w.must(w.handles[1].Apply(w.ctx, w.org, &tandem.Changes{Observations: []tandem.DeviceObservation{{DeviceID: d.ID, Path: "p", Value: raw("1"), ObservedAt: now.Add(-201 * week)}}}))
		w.equal(count(), 6)
		w.prune(tandem.Retention{Observations: time.Hour}, now.Add(2*time.Hour), 1000)
		w.equal(count(), 0)
	},
	"a long series is the same whether its hours were summed up or not": func(w *world) {
		d, hour := w.device("d"), w.now.Truncate(time.Hour)
		var history []tandem.DeviceObservation
		observe := func(from time.Time, n int, every time.Duration) {
			for i := range n {
				at := from.Add(time.Duration(i) * every)
				history = append(history,
					tandem.DeviceObservation{DeviceID: d.ID, Path: "battery_level", Value: raw(fmt.Sprint(i % 101)), ObservedAt: at},
					tandem.DeviceObservation{DeviceID: d.ID, Path: "telemetry", Value: raw(fmt.Sprintf(`{"in":{"a b":%d.5},"list":[1,{"x":-%d}],"text":"%d","1":%d}`, i, i, i, i)), ObservedAt: at})
			}
		}
		observe(hour.Add(7*time.Minute), 400, time.Minute)               // busy, from within an hour to within another
		observe(hour.Add(50*time.Hour), 20, 10*time.Minute)              // not busy
		observe(hour.Add(90*time.Hour+30*time.Second), 120, time.Minute) // busy again
		history = append(history, tandem.DeviceObservation{DeviceID: d.ID, Path: "telemetry", Value: raw(`"none"`), ObservedAt: hour.Add(time.Hour)})
		w.apply(tandem.Changes{Observations: history})
		ask := func() (all [][]tandem.SeriesPoint) {
			for _, since := range []time.Time{hour.Add(-20 * time.Minute), hour, hour.Add(2*time.Hour + 11*time.Minute)} {
				for _, points := range []int{1, 7, 100, 2000} {
					for _, way := range [][]string{nil, {"in", "a b"}, {"list", "1", "x"}, {"list", "0"}, {"1"}, {"text"}, {"none"}} {
						q := tandem.SeriesFilter{DeviceID: d.ID, Path: "telemetry", Within: way, Since: since, Until: hour.Add(100*time.Hour + 3*time.Minute), Points: points}
						if way == nil {
							q.Path = "battery_level"
						}
						found, err := w.st.Series(w.ctx, w.org, q)
						w.must(err)
						if len(found) > points {
							w.Errorf("%d points, asked for %d", len(found), points)
						}
						for i := range found {
							found[i].Mean = float64(int(found[i].Mean*1e6)) / 1e6 // the order of adding shows behind that
						}
						all = append(all, found)
					}
				}
			}
			return all
		}
		before := ask()
		w.equal(len(before[0]), 1)
		w.equal(before[0][0].Count, 540)
		if n := w.rollUp(); n < 2*8 {
			w.Errorf("%d hours were summed up", n)
		}
		w.equal(ask(), before)
		// What comes late counts once it is summed up.
		w.apply(tandem.Changes{Observations: []tandem.DeviceObservation{{DeviceID: d.ID, Path: "battery_level", Value: raw("1000"), ObservedAt: hour.Add(3*time.Hour + time.Second)}}})
		w.rollUp()
		w.equal(ask()[0][0].Max, 1000.0)
	},
	"payloads of too many numbers are not summed up": func(w *world) {
		d, hour := w.device("d"), w.now.Truncate(time.Hour)
		wide := `{"n":%d`
		for i := range 70 {
			wide += fmt.Sprintf(`,"m%d":1`, i)
		}
		var history []tandem.DeviceObservation
		for i := range 40 {
			history = append(history, tandem.DeviceObservation{DeviceID: d.ID, Path: "wide", Value: raw(fmt.Sprintf(wide+"}", i)), ObservedAt: hour.Add(time.Duration(i) * time.Second)})
		}
		w.apply(tandem.Changes{Observations: history})
		w.rollUp()
		found, err := w.st.Series(w.ctx, w.org, tandem.SeriesFilter{DeviceID: d.ID, Path: "wide", Within: []string{"n"}, Since: hour.Add(-50 * time.Hour), Until: hour.Add(50 * time.Hour), Points: 1})
		w.must(err)
		w.equal(len(found), 1)
		w.equal(found[0].Max, 39.0)
		w.equal(found[0].Count, 40)
	},
	"the sums of hours go with what they are of": func(w *world) {
		d := w.device("d")
		w.observeEach(d, "p", w.now, 40, time.Second)
		w.rollUp()
		now, err := w.st.Now(w.ctx)
		w.must(err)
		removed, _ := w.prune(tandem.Retention{Observations: time.Hour}, now.Add(8*24*time.Hour), 1000)
		if removed["hours"] == 0 {
			w.Errorf("%v", removed)
		}
		found, err := w.st.Series(w.ctx, w.org, tandem.SeriesFilter{DeviceID: d.ID, Path: "p", Since: w.now.Add(-100 * time.Hour), Until: w.now.Add(100 * time.Hour), Points: 1})
		w.must(err)
		w.equal(len(found), 0)
	},
}
