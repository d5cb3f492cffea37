package store

import (
	"maps"
	"slices"
	"testing"

	"tandem"
)

// TestEveryKeyHasAnOrder: what a listing says it can be sorted by is what it is.
func TestEveryKeyHasAnOrder(t *testing.T) {
	for _, o := range []orders{runOrders, entryOrders, conflictOrders, deliveryOrders, stateOrders, observationOrders, alertOrders, auditOrders, notLinkedOrders, memberOrders} {
		if got := slices.Sorted(maps.Keys(o.by)); !slices.Equal(got, slices.Sorted(slices.Values(o.keys))) {
			t.Errorf("there are orders by %v, and the keys are %v", got, o.keys)
		}
		if err := o.keys.Check(o.standard); err != nil {
			t.Error(err)
		}
	}
	for _, key := range tandem.DeviceSorts.All() {
		if _, err := deviceOrder(key); err != nil {
			t.Error(err)
		}
	}
}
