package syncer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tandem"
)

func TestS20SpoolKeepsOrderBeyondMemory(t *testing.T) {
	for _, n := range []int{0, 1, 7, spoolMemory, spoolMemory + 1, 3*spoolMemory + 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			var s spool[task]
			for i := range n {
				if err := s.add(task{DeviceID: fmt.Sprint(i), Counted: i%2 == 0}); err != nil {
					t.Fatal(err)
				}
			}
			if len(s.memory) > spoolMemory {
				t.Fatalf("%d items stay in memory", len(s.memory))
			}
			for round := range 2 { // it can be walked again
				next := 0
				err := s.each(100, func(chunk []task) error {
					if len(chunk) > 100 {
						t.Fatalf("a chunk of %d", len(chunk))
					}
					for _, x := range chunk {
						if x.DeviceID != fmt.Sprint(next) || x.Counted != (next%2 == 0) {
							t.Fatalf("round %d: item %d is %+v", round, next, x)
						}
						next++
					}
					return nil
				})
				if err != nil || next != n || s.count != n {
					t.Fatalf("visited %d of %d (count %d): %v", next, n, s.count, err)
				}
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			left, err := filepath.Glob(filepath.Join(os.TempDir(), "tandem-spool-*"))
			if err != nil || len(left) != 0 {
				t.Fatalf("left behind: %v %v", left, err)
			}
		})
	}
}

func TestSpoolStopsAtAnError(t *testing.T) {
	var s spool[int]
	for i := range 10 {
		if err := s.add(i); err != nil {
			t.Fatal(err)
		}
	}
	stop, calls := errors.New("stop"), 0
	if err := s.each(3, func([]int) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Fatalf("each gave %v after %d calls", err, calls)
	}
}

func TestSpoolSaysWhereThereIsNoRoom(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "not", "there"))
	var s spool[int]
	var err error
	for i := 0; err == nil && i <= spoolMemory+1; i++ {
		err = s.add(i)
	}
	var e *tandem.Error
	if !tandem.Is(err, tandem.DiskFull) || !errors.As(err, &e) || e.Hint == "" {
		t.Fatalf("the error is %v, want one with the code disk_full and a hint", err)
	}
}
