package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"tandem"
	"tandem/store"
	"tandem/store/sqlite"
)

func TestBackupIsACheckedCopyAndNeverOverwrites(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	st, err := sqlite.Open(ctx, filepath.Join(dir, "tandem.db"), store.Options{AutoMigrate: true})
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	must(t, st.CreateOrganization(ctx, tandem.Organization{ID: "o", Name: "Acme", Slug: "acme"}))
	file := filepath.Join(dir, "backup's.db")
	must(t, st.Backup(ctx, file))
	must(t, sqlite.Check(ctx, file))
	if err := st.Backup(ctx, file); !tandem.Is(err, tandem.Exists) {
		t.Errorf("second backup to the same file: %v, want code exists", err)
	}
	bad := filepath.Join(dir, "bad.db")
	must(t, os.WriteFile(bad, []byte("this is no database, whatever its name says"), 0o600))
	if err := sqlite.Check(ctx, bad); !tandem.Is(err, tandem.Corrupt) {
		t.Errorf("check of another file: %v, want code corrupt", err)
	}
}
