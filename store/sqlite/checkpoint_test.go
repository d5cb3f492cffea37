package sqlite

import (
	"database/sql"
	"path/filepath"
	"testing"
)

// TestTheLogBeginsAnew writes more than a long log holds: it is carried over beside the writer, who then begins it anew.
// No store is open: its own carrier could be at work just then, and of two that carry one gives way.
func TestTheLogBeginsAnew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tandem.db")
	writer, err := sql.Open("sqlite", source(path, false))
	if err != nil {
		t.Fatal(err)
	}
	writer.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := writer.Close(); err != nil {
			t.Error(err)
		}
	})
	exec := func(text string) {
		t.Helper()
		if _, err := writer.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE filler (n INTEGER PRIMARY KEY, b BLOB)")
	exec("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO filler SELECT i, zeroblob(8000) FROM n")
	c := carrier{path: path, writer: writer}
	if err := c.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.own.Close(); err != nil {
		t.Fatal(err)
	}
	exec("DELETE FROM filler WHERE n = 1")
	length, err := checkpoint(t.Context(), writer)
	if err != nil {
		t.Fatal(err)
	}
	if length > 100 {
		t.Errorf("the log has %d pages after it was carried over", length)
	}
	var n int
	if err := writer.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM filler").Scan(&n); err != nil || n != 4999 {
		t.Errorf("%d rows, %v", n, err)
	}
}
