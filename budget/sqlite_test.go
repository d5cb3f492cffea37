package budget_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/store"
	"tandem/store/sqlite"
)

// TestS32OverOneDatabase: two processes' worth of connections to one file keep the limits together.
func TestS32OverOneDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	tr := &traffic{}
	var workers sync.WaitGroup
	began := time.Now()
	for i, name := range []string{"a", "b"} {
		st, err := sqlite.Open(t.Context(), path, store.Options{AutoMigrate: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			now := time.Now().UTC()
			if err := st.CreateOrganization(t.Context(), tandem.Organization{ID: "o", Name: "o", Slug: "o", CreatedAt: now, UpdatedAt: now}); err != nil {
				t.Fatal(err)
			}
			if err := st.CreateService(t.Context(), "o", tandem.Service{ID: "s", OrganizationID: "o", Name: "s", ServiceType: "golioth",
				Config: tandem.DefaultServiceConfig(), State: tandem.ServiceOK, SyncInterval: 300, Version: 1, CreatedAt: now, UpdatedAt: now}); err != nil {
				t.Fatal(err)
			}
		}
		b := open(st, name, 12_000, 6)
		t.Cleanup(b.Close)
		for range 8 {
			workers.Go(func() {
				for range 10 {
					tr.request(t, t.Context(), b, 5*time.Millisecond)
				}
			})
		}
	}
	workers.Wait()
	if tr.most > 6 {
		t.Errorf("%d requests were in flight together, the limit is 6", tr.most)
	}
	if most := tr.mostWithin(time.Second); most > 12_000/60*2+100 {
		t.Errorf("%d requests started within a second, at 200 a second", most)
	}
	if len(tr.started) != 160 {
		t.Errorf("%d requests were made in %v, want 160", len(tr.started), time.Since(began))
	}
}
