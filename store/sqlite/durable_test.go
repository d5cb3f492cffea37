package sqlite_test

import (
	"testing"
	"time"

	"tandem"
	"tandem/store/sqlite/sqlitetest"
)

// TestOnlyWhatRepeatsDoesNotWaitForTheDisk: and nothing after it is taken for such.
func TestOnlyWhatRepeatsDoesNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	st := sqlitetest.Open(t)
	if err := st.CreateOrganization(t.Context(), tandem.Organization{ID: "o", Name: "O", Slug: "o", CreatedAt: time.Now(), UpdatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	synchronous := func() (n int) {
		t.Helper()
		if err := st.DB().QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const normal, full = 1, 2
	for _, step := range []struct {
		repeats bool
		want    int
	}{{false, full}, {true, normal}, {false, full}} {
		if err := st.Apply(t.Context(), "o", &tandem.Changes{Repeats: step.repeats}); err != nil {
			t.Fatal(err)
		}
		if got := synchronous(); got != step.want {
			t.Errorf("after a transaction that repeats: %t, synchronous is %d, want %d", step.repeats, got, step.want)
		}
	}
}
