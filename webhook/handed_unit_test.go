package webhook

import (
	"fmt"
	"testing"
	"time"

	"tandem"
)

func some(from, n, bytes int) (list []tandem.Delivery) {
	for i := range n {
		list = append(list, tandem.Delivery{ID: fmt.Sprint(from + i), Body: make([]byte, bytes)})
	}
	return list
}

// TestHanded: what is in hand keeps its order and its bounds, and what is not ours any more is let go.
func TestHanded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h := &handed{}
	if h.reserve(1, 1) {
		t.Error("nobody takes what is here")
	}
	h.open(true)
	put := func(list []tandem.Delivery, till time.Time) {
		t.Helper()
		if !h.reserve(len(list), bodies(list)) {
			t.Fatal("no room")
		}
		h.add(reservation{n: len(list), bytes: bodies(list), till: till}, list)
	}
	put(some(0, 3, 10), now.Add(time.Second))
	put(some(3, 4, 10), now.Add(2*time.Second))
	list, till := h.take(now, 5)
	if len(list) != 5 || list[0].ID != "0" || list[4].ID != "4" || !till.Equal(now.Add(time.Second)) {
		t.Errorf("%d taken until %s: %v", len(list), till, list)
	}
	if list, _ := h.take(now.Add(2*time.Second), 5); len(list) != 0 || h.size != 0 || h.bytes != 0 || len(h.batches) != 0 {
		t.Errorf("%d taken that are not ours; %d deliveries and %d bytes left", len(list), h.size, h.bytes)
	}
	if !h.reserve(2, 20) {
		t.Error("there is no room")
	}
	h.add(reservation{n: 2, bytes: 20}, nil) // it could not be stored
	if h.size != 0 || h.bytes != 0 {
		t.Errorf("%d deliveries and %d bytes are reserved for ever", h.size, h.bytes)
	}
	if h.reserve(mostHanded+1, 0) || h.reserve(1, mostHandedBytes+1) {
		t.Error("there is room for all")
	}
	if h.fallBehind(true); h.reserve(1, 1) {
		t.Error("older ones wait")
	}
}
