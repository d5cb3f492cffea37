package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem"
	"tandem/store"
	"tandem/store/sqlite"
)

// fill makes organizations until that fails.
func fill(t *testing.T, st *store.Store) error {
	t.Helper()
	for i := range 1_000 {
		err := st.CreateOrganization(t.Context(), tandem.Organization{ID: fmt.Sprint(i), Slug: fmt.Sprint(i), Name: strings.Repeat("n", 4_000)})
		if err != nil {
			return err
		}
	}
	return nil
}

// TestErrors: what can be wrong with the file is told by code, names the file, and says what to do.
func TestErrors(t *testing.T) {
	made := func(t *testing.T) (*store.Store, string) {
		path := filepath.Join(t.TempDir(), "tandem.db")
		st, err := sqlite.Open(t.Context(), path, store.Options{AutoMigrate: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
		return st, path
	}
	pragma := func(t *testing.T, text string) (string, error) {
		st, path := made(t)
		if _, err := st.DB().ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		return path, fill(t, st)
	}
	opened := func(t *testing.T, path string) error {
		st, err := sqlite.Open(t.Context(), path, store.Options{AutoMigrate: true})
		if err == nil {
			t.Cleanup(func() {
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		return err
	}
	for name, test := range map[string]struct {
		want tandem.Code
		meet func(t *testing.T) (string, error)
	}{
		"the disk is full":     {tandem.DiskFull, func(t *testing.T) (string, error) { return pragma(t, "PRAGMA max_page_count = 120") }},
		"the file is readonly": {tandem.Unavailable, func(t *testing.T) (string, error) { return pragma(t, "PRAGMA query_only = 1") }},
		"not a database": {tandem.Corrupt, func(t *testing.T) (string, error) {
			path := filepath.Join(t.TempDir(), "letter.txt")
			if err := os.WriteFile(path, []byte(strings.Repeat("Dear reader, ", 1_000)), 0o600); err != nil {
				t.Fatal(err)
			}
			return path, opened(t, path)
		}},
		"no such folder": {tandem.Unavailable, func(t *testing.T) (string, error) {
			path := filepath.Join(t.TempDir(), "none", "tandem.db")
			return path, opened(t, path)
		}},
		"a folder": {tandem.Unavailable, func(t *testing.T) (string, error) {
			path := t.TempDir()
			return path, opened(t, path)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path, err := test.meet(t)
			var e *tandem.Error
			if !errors.As(err, &e) || e.Code != test.want || e.Thing != path || e.Op == "" || e.Message == "" || e.Hint == "" {
				t.Errorf("got %#v of %v, want code %s about %s", e, err, test.want, path)
			}
		})
	}
}
