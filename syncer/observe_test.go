package syncer_test

import (
	"testing"
	"time"

	"tandem"
	"tandem/golioth/simulator"
)

func (w *world) report(id string, what simulator.Activity) {
	w.t.Helper()
	w.must(w.sim.Report(w.project, id, what))
}

// TestS5Observations: they flow one way, bump no version and are no entries.
func TestS5Observations(t *testing.T) {
	for name, options := range map[string][]option{"sqlite": nil, "postgresql": {onPostgres}} {
		t.Run(name, func(t *testing.T) {
			w, ids := stocked(t, 3, options...)
			before := w.localOf(ids[0])
			w.equal(before.LastSeen == nil, true)
			at := w.now().Truncate(time.Millisecond)
			w.report(ids[0], simulator.Activity{At: at, Online: true, Version: "1.2.3"})
			w.advance(time.Minute)
			run := w.quiet(tandem.OpBidirectional) // no version moves, nothing is told
			w.completed(run)
			w.equal(run.Summary, tandem.Summary{Processed: 3, Successful: 3})
			d := w.localOf(ids[0])
			w.equal(d.LastSeen.Equal(at), true)
			w.equal(d.Firmware["main"].Version, "1.2.3")
			w.equal(d.FirmwareAt.Equal(at), true)
			w.equal(d.Version, before.Version)
		})
	}
}

// TestS5Order: an older observation never overwrites a newer, whichever way it came.
func TestS5Order(t *testing.T) {
	w, ids := stocked(t, 1)
	here := w.localOf(ids[0]).ID
	newer := w.now().Add(30 * time.Second).Truncate(time.Millisecond)
	level := 55.0
	w.must(w.store.Apply(w.ctx, w.org, &tandem.Changes{Observe: []tandem.Observation{{DeviceID: here, Observed: tandem.Observed{LastSeen: &newer, BatteryLevel: &level, BatteryAt: &newer}}}}))
	w.report(ids[0], simulator.Activity{At: newer.Add(-20 * time.Second), Version: "1.0.0"})
	w.sync(tandem.OpBidirectional)
	w.equal(w.device(here).LastSeen.Equal(newer), true)
	w.equal(w.device(here).Firmware["main"].Version, "1.0.0")
	w.report(ids[0], simulator.Activity{At: newer.Add(time.Minute), Version: "2.0.0"})
	w.sync(tandem.OpBidirectional)
	w.equal(w.device(here).LastSeen.Equal(newer.Add(time.Minute)), true)
	w.equal(w.device(here).Firmware["main"].Version, "2.0.0")
}

// TestS5StrangeTimes: a time before the device's creation or ahead of receipt by more than five minutes does
// not count; the time of first receipt does, and stays.
func TestS5StrangeTimes(t *testing.T) {
	for name, c := range map[string]struct {
		off     time.Duration // from now
		counted bool
	}{
		"a clock that never was set":   {-40 * 365 * 24 * time.Hour, false},
		"before the device was made":   {-time.Hour, false},
		"a day ahead":                  {24 * time.Hour, false},
		"six minutes ahead":            {7 * time.Minute, false},
		"four minutes ahead":           {4 * time.Minute, true},
		"a moment ago":                 {-time.Second, true},
		"exactly when it was received": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, ids := stocked(t, 1)
			w.advance(10 * time.Minute)
			at := w.now().Add(c.off).Truncate(time.Millisecond)
			if name == "before the device was made" {
				at = w.remoteDevice(ids[0]).CreatedAt.Add(-time.Hour).Truncate(time.Millisecond)
			}
			w.report(ids[0], simulator.Activity{At: at, Version: "1.0.0"})
			from := w.now()
			run, err := w.run(request(w))
			w.must(err)
			w.completed(run)
			d := w.localOf(ids[0])
			if d.LastSeen == nil || d.FirmwareAt == nil {
				t.Fatal("it was not noticed at all")
			}
			if c.counted {
				w.equal(d.LastSeen.Equal(at), true)
				w.equal(d.FirmwareAt.Equal(at), true)
				return
			}
			for _, got := range []time.Time{*d.LastSeen, *d.FirmwareAt} {
				if got.Before(from.Add(-time.Second)) || got.After(w.now().Add(time.Second)) {
					t.Errorf("got %s, want the time of receipt, %s", got, from)
				}
			}
			w.quiet(tandem.OpBidirectional)
			w.equal(w.localOf(ids[0]).LastSeen.Equal(*d.LastSeen), true)
		})
	}
}

// TestS5StrangeTimeLater: a strange time does not move what is known.
func TestS5StrangeTimeLater(t *testing.T) {
	w, ids := stocked(t, 1)
	at := w.now().Truncate(time.Millisecond)
	w.report(ids[0], simulator.Activity{At: at})
	w.sync(tandem.OpBidirectional)
	w.report(ids[0], simulator.Activity{At: at.Add(24 * time.Hour)})
	w.sync(tandem.OpBidirectional)
	w.equal(w.localOf(ids[0]).LastSeen.Equal(at), true)
	// Once its clock is right again, its reports count.
	w.report(ids[0], simulator.Activity{At: at.Add(90 * time.Second)})
	w.sync(tandem.OpBidirectional)
	w.equal(w.localOf(ids[0]).LastSeen.Equal(at.Add(90*time.Second)), true)
}

// TestBatteryAndLocation: both come from configurable places, state or stream.
func TestBatteryAndLocation(t *testing.T) {
	for name, c := range map[string]struct {
		battery, location string
		listing           string
	}{
		"by state in the listing":      {"state:battery", "state:location", "nested"},
		"by state, device by device":   {"state:battery", "state:location", "null"},
		"below one path":               {"state:health/battery", "state:health/place", "value"},
		"by stream":                    {"stream:battery", "stream:location", "nested"},
		"deep in the stream":           {"stream:health/battery", "stream:health/place", "nested"},
		"one by state, one by stream":  {"state:battery", "stream:location", "nested"},
		"the field is off: not at all": {"", "", "nested"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, unknown("listing-data="+c.listing), config(func(s *tandem.ServiceConfig) { s.Paths.Battery, s.Paths.Location = c.battery, c.location }))
			ids := w.remotes("gw", 5)
			w.completed(w.sync(tandem.OpBidirectional))
			put := func(id string, battery any, location any) {
				for path, v := range map[string]any{c.battery: battery, c.location: location} {
					switch {
					case path == "" || v == nil:
					case path[:6] == "state:":
						w.setState(id, path[6:], v)
					default:
						w.must(w.sim.AppendStream(w.project, id, w.now(), nested(path[7:], v)))
					}
				}
			}
			put(ids[0], 83.5, object{"lat": 52.5, "lon": 13.4, "accuracy": 5})
			put(ids[1], 150, object{"lat": 99, "lon": 13.4}) // no percentage, no place on earth
			put(ids[2], "full", "Berlin")
			put(ids[3], 0, object{"latitude": -33.9, "longitude": 151.2})
			w.completed(w.quiet(tandem.OpBidirectional))
			if c.battery == "" {
				w.equal(w.localOf(ids[0]).BatteryLevel == nil, true)
				return
			}
			d := w.localOf(ids[0])
			if d.BatteryLevel == nil || *d.BatteryLevel != 83.5 || d.BatteryAt == nil {
				t.Fatalf("battery %v at %v", d.BatteryLevel, d.BatteryAt)
			}
			w.equal(d.Location, &tandem.Location{Latitude: 52.5, Longitude: 13.4, Accuracy: 5})
			for _, id := range ids[1:3] {
				w.equal(w.localOf(id).BatteryLevel == nil, true)
				w.equal(w.localOf(id).Location == nil, true)
			}
			w.equal(*w.localOf(ids[3]).BatteryLevel, 0.0)
			w.equal(w.localOf(ids[3]).Location, &tandem.Location{Latitude: -33.9, Longitude: 151.2})
			// News replace it, and no news leave it.
			put(ids[0], 12, nil)
			w.completed(w.quiet(tandem.OpBidirectional))
			w.equal(*w.localOf(ids[0]).BatteryLevel, 12.0)
			w.completed(w.quiet(tandem.OpBidirectional))
			w.equal(*w.localOf(ids[0]).BatteryLevel, 12.0)
			w.equal(w.localOf(ids[0]).Location, &tandem.Location{Latitude: 52.5, Longitude: 13.4, Accuracy: 5})
		})
	}
}

// nested puts a value at a slash-separated path.
func nested(path string, v any) any {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return nested(path[:i], object{path[i+1:]: v})
		}
	}
	return object{path: v}
}

// TestStreamIsOneQuery: the stream is asked once for the whole project, since the last run.
func TestStreamIsOneQuery(t *testing.T) {
	w := newWorld(t, config(func(s *tandem.ServiceConfig) { s.Paths.Battery = "stream:battery" }))
	ids := w.remotes("gw", 150)
	for i, id := range ids {
		w.must(w.sim.AppendStream(w.project, id, w.now().Add(-time.Minute), object{"battery": i % 100}))
		w.must(w.sim.AppendStream(w.project, id, w.now(), object{"battery": (i + 1) % 100}))
	}
	w.requests()
	w.completed(w.sync(tandem.OpBidirectional))
	n := 0
	for route, k := range w.requests().ByRoute {
		if route == "POST /v1/projects/{project}/stream" || route == "GET /v1/projects/{project}/stream" {
			n += k
		}
	}
	if n == 0 || n > 10 {
		t.Errorf("%d stream queries", n)
	}
	w.equal(*w.localOf(ids[7]).BatteryLevel, 8.0) // the newest
}
