//go:build unix

package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/store"
)

// TestFleetsAmidChanges: whoever has made a change finds it at once, while others list and change too, and reports come in.
func TestFleetsAmidChanges(t *testing.T) {
	t.Parallel()
	for name, db := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			st, err := db.open(ctx, db.fresh(t), store.Options{AutoMigrate: true, FleetsFrom: 1})
			must(t, err)
			t.Cleanup(func() { must(t, st.Close()) })
			org, service := "01957f3e-0000-7000-c000-000000000001", "01957f3e-0000-7000-d000-000000000001"
			must(t, st.CreateOrganization(ctx, tandem.Organization{ID: org, Name: "acme", Slug: org}))
			must(t, st.CreateService(ctx, org, tandem.Service{ID: service, Name: "prod", ServiceType: "golioth", Config: tandem.DefaultServiceConfig()}))
			const writers, edits = 4, 12
			c := fleet(org, service, 0, 200)
			must(t, st.Apply(ctx, org, c))
			var all sync.WaitGroup
			for w := range writers {
				all.Go(func() {
					d := c.CreateDevices[w]
					d.Version = 1
					for i := range edits {
						d.Name = fmt.Sprintf("writer-%d-edit-%d", w, i)
						if err := st.Apply(ctx, org, &tandem.Changes{UpdateDevices: []tandem.Device{d}}); err != nil {
							t.Error(err)
							return
						}
						d.Version++
						if rows, n, err := st.Devices(ctx, org, tandem.DeviceFilter{Search: d.Name, Now: time.Now()}); err != nil || n < 1 || rows[0].ID != d.ID {
							t.Errorf("%s is not found: %d, %v", d.Name, n, err)
						}
					}
				})
				all.Go(func() {
					for i := range edits {
						seen := c.CreateDevices[0].LastSeen.Add(time.Duration(i*writers+w+1) * time.Hour)
						id := c.CreateDevices[100+w].ID
						if err := st.Apply(ctx, org, &tandem.Changes{Observe: []tandem.Observation{{DeviceID: id, Observed: tandem.Observed{LastSeen: &seen}}}}); err != nil {
							t.Error(err)
						}
						if _, n, err := st.Devices(ctx, org, tandem.DeviceFilter{Sort: "-last_seen", Now: seen}); err != nil || n != 200 {
							t.Errorf("%d of 200 are listed, %v", n, err)
						}
					}
				})
			}
			all.Wait()
			rows, _, err := st.Devices(ctx, org, tandem.DeviceFilter{Sort: "-last_seen", Now: time.Now()})
			must(t, err)
			if rows[0].ID != c.CreateDevices[100+writers-1].ID {
				t.Errorf("%s was seen last, not %s", c.CreateDevices[100+writers-1].ID, rows[0].ID)
			}
		})
	}
}
