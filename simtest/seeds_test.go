package simtest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"tandem/cmd/tandem/built"
	"tandem/store/pgtest"
	"tandem/store/postgres/postgrestest"
)

var (
	oneSeed   = flag.Uint64("seed", 0, "play this seed alone")
	seeds     = flag.Uint64("seeds", 16, "how many seeds to play on SQLite, and a sixth of them on PostgreSQL")
	firstSeed = flag.Uint64("first", 1, "the first seed")
	verbose   = flag.Bool("story", false, "tell the story of each seed, failed or not")
)

// tandemProgram is the program, built once for all tests; without the race detector: its processes are many and short,
// and what they share is a database, not memory.
var tandemProgram string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// A world mostly waits, for a dead process's lease above all: more of them fit on a processor.
	if err := flag.Set("test.parallel", fmt.Sprint(max(4, 2*runtime.NumCPU()))); err != nil {
		fmt.Fprintln(os.Stderr, "simtest:", err)
		return 1
	}
	flag.Parse()
	dir, err := os.MkdirTemp("", "tandem-simtest-")
	if err == nil {
		defer func() {
			if err := os.RemoveAll(dir); err != nil {
				fmt.Fprintln(os.Stderr, "simtest:", err)
			}
		}()
		tandemProgram, err = built.Program(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "simtest:", err)
		return 1
	}
	return pgtest.Main(m)
}

// chosen gives the seeds to play.
func chosen(n uint64) []uint64 {
	if *oneSeed != 0 {
		return []uint64{*oneSeed}
	}
	var list []uint64
	for s := *firstSeed; s < *firstSeed+n; s++ {
		list = append(list, s)
	}
	return list
}

// TestSeeds plays whole worlds on SQLite: edits on both sides, faults, kills (S14, S22, S24, S25).
func TestSeeds(t *testing.T) {
	for _, seed := range chosen(*seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			playSeed(t, "TestSeeds", seed, onSQLite(t))
		})
	}
}

// TestSeedsOnPostgres plays them on PostgreSQL, each in an organization of its own.
func TestSeedsOnPostgres(t *testing.T) {
	url := postgrestest.URL(t)
	t.Run("seeds", func(t *testing.T) {
		for _, seed := range chosen((*seeds + 5) / 6) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				playSeed(t, "TestSeedsOnPostgres", seed, onPostgres(url, t.TempDir()))
			})
		}
	})
}

func playSeed(t *testing.T, test string, seed uint64, db database) {
	t.Helper()
	wrong, story, err := live(t.Context(), seed, db, tandemProgram)
	if err != nil {
		t.Errorf("the world broke down: %v\n\n%s\n\nagain: %s", err, story, replay(test, seed))
	}
	if len(wrong) > 0 {
		t.Errorf("%s\n\nwhat happened:\n%s\n\nagain: %s", strings.Join(wrong, "\n"), story, replay(test, seed))
	}
	if *verbose {
		t.Log(story)
	}
}
