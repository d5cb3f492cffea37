package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tandem"
)

// TestFleetPagesInOrder: a page has what a whole sort would have there, wherever it is and however many are equal.
func TestFleetPagesInOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	rows := make([]fleetRow, 5_000)
	for i := range rows {
		id := fmt.Sprintf("id-%05d", random.IntN(1_000_000)*10_000+i)
		rows[i] = fleetRow{id: id, name: id, deviceID: id, deviceIDFolded: id, live: true, enabled: i%3 > 0, lastSeen: int64(random.IntN(40)), battery: never,
			createdAt: int64(i), updatedAt: int64(-i)}
	}
	f := newFleet("org", rows)
	for _, sort := range []string{"last_seen", "battery_level", "created_at", "updated_at"} {
		for _, down := range []bool{false, true} {
			for _, enabled := range []*bool{nil, new(bool)} {
				by, q := sort, newFleetFilter(tandem.DeviceFilter{Enabled: enabled}, time.Time{}, nil)
				if down {
					by = "-" + sort
				}
				want, all := f.list(q, by, 0, len(rows))
				if !slices.IsSortedFunc(want, func(a, b string) int { return f.ordered(sort, down, a, b) }) {
					t.Errorf("by %s the whole is not in order", by)
				}
				for range 60 {
					offset, limit := random.IntN(all+10), 1+random.IntN(700)
					got, total := f.list(q, by, offset, limit)
					if part := want[min(offset, all):min(offset+limit, all)]; total != all || !slices.Equal(got, part) {
						t.Fatalf("by %s from %d: %d of %d, %d wanted", by, offset, len(got), total, len(part))
					}
				}
			}
		}
	}
}

// ordered compares two devices as a listing has them.
func (f *fleet) ordered(sort string, down bool, a, b string) int {
	if down {
		a, b = b, a
	}
	x, y := f.rows[f.at[a]], f.rows[f.at[b]]
	if key := fleetKeys[sort]; key(&x) != key(&y) {
		return int(key(&x) - key(&y))
	}
	return slices.Compare([]byte(a), []byte(b))
}
