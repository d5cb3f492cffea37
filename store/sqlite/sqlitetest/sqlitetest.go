// Package sqlitetest gives tests SQLite databases that have their tables already: copies of one that is migrated once
// for each test binary, since migrating takes longer than most tests do.
package sqlitetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"tandem/store"
	"tandem/store/sqlite"
)

// Open opens a fresh, migrated database in memory where the system has a folder there: what a disk's sync costs is not
// what most tests are about. It is closed and removed when the test ends.
func Open(t testing.TB) *store.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), File(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// File gives the path of a fresh, migrated database for the time of the test.
func File(t testing.TB) string {
	t.Helper()
	image, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder(t), "tandem.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// migrated gives the bytes of a database with every table and no row.
var migrated = sync.OnceValues(func() (image []byte, err error) {
	dir, err := os.MkdirTemp("", "tandem-template-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "template.db")
	s, err := sqlite.Open(context.Background(), path, store.Options{AutoMigrate: true})
	if err != nil {
		return nil, err
	}
	whole := filepath.Join(dir, "whole.db")
	if err := errors.Join(s.Backup(context.Background(), whole), s.Close()); err != nil { // the log folded in
		return nil, err
	}
	return os.ReadFile(whole)
})

// folder gives a folder of the test's own.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tandem-test-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
