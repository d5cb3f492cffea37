package webhook_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
	"tandem/store/postgres/postgrestest"
	"tandem/store/sqlite/sqlitetest"
)

// TestS5AnyOrder: the state that deliveries leave does not depend on their order, their batches, or how often each came.
func TestS5AnyOrder(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); anyOrder(t, newWorld(t, sqlitetest.Open(t))) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); anyOrder(t, newWorld(t, postgrestest.Open(t))) })
}

func anyOrder(t *testing.T, w *world) {
	next := 0
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(r, "n")
		next += 2
		one, two := w.linked(next-1), w.linked(next)
		start := w.now().Add(-30 * time.Minute)
		first, second := make([]request, n), make([]request, n)
		for i, at := range rapid.Permutation(seconds(n)).Draw(r, "times") {
			data := map[string]any{}
			if rapid.Bool().Draw(r, "battery") {
				data["battery"] = i
			}
			if rapid.Bool().Draw(r, "location") {
				data["lat"], data["lon"] = i, -i
			}
			if rapid.Bool().Draw(r, "firmware") {
				data["firmware"] = strconv.Itoa(i)
			}
			kind := rapid.SampledFrom([]string{"device.data", "device.online", "device.offline", "device.telemetry", "device.status_changed"}).Draw(r, "kind")
			for d, to := range map[int][]request{next - 1: first, next: second} {
				to[i] = signed(event(fmt.Sprintf("%d-%d", d, i), kind, d, start.Add(time.Duration(at)*time.Second), data))
			}
		}
		w.accept(first...)
		w.process()
		order := append(rapid.Permutation(indexes(n)).Draw(r, "order"), rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 5).Draw(r, "again")...)
		for _, i := range order {
			w.accept(second[i])
			if rapid.Bool().Draw(r, "process") {
				w.process()
			}
		}
		w.process()
		if a, b := observed(w, one), observed(w, two); a != b {
			r.Fatalf("in order %s, otherwise %s", a, b)
		}
	})
}

func seconds(n int) []int { return indexes(n) }

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// observed gives what is known of a device, and its history, as text.
func observed(w *world, id string) string {
	history := w.history(id, "")
	for i := range history {
		history[i].DeviceID = ""
	}
	text, err := json.Marshal(struct {
		State   tandem.Observed
		History []tandem.DeviceObservation
	}{w.device(id).Observed, withoutStatus(history)})
	w.must(err)
	return string(text)
}

// withoutStatus leaves out who came and went, which is told as it is learned of.
func withoutStatus(history []tandem.DeviceObservation) (rest []tandem.DeviceObservation) {
	for _, o := range history {
		if o.Path != "status" {
			rest = append(rest, o)
		}
	}
	return rest
}
