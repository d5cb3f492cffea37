package sqlite

import (
	"context"
	"database/sql"
	"os"
	"sync"
	"time"
)

// How the write-ahead log is carried over into the file.
const (
	carryEvery = 400 * time.Millisecond
	longLog    = 4_000       // pages, from which on it is
	longestLog = 4 * longLog // pages, from which on whoever commits does it, for want of anybody else
	shortRest  = 100         // pages that the writer may be left with
	mostRounds = 5           // until they are so few
	pageSize   = 8192
)

// carrier carries the log over beside the writer: in a commit, it would keep everybody waiting who wants to write. What is
// committed meanwhile is left for the end, which the writer's own connection does: then the log begins anew.
type carrier struct {
	path   string
	writer *sql.DB
	own    *sql.DB // opened when it is needed
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

// carry starts one; close ends it.
func carry(path string, writer *sql.DB) *carrier {
	ctx, stop := context.WithCancel(context.Background())
	c := &carrier{path: path, writer: writer, stop: stop}
	c.ended.Go(func() {
		tick := time.NewTicker(carryEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				// What fails is tried again; the writer does it when it fails for long.
				_ = c.look(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	return c
}

// look carries the log over once it is long.
func (c *carrier) look(ctx context.Context) (err error) {
	file, err := os.Stat(c.path + "-wal")
	if err != nil || file.Size() < longLog*pageSize {
		return err
	}
	if c.own == nil {
		if c.own, err = sql.Open("sqlite", source(c.path, false)); err != nil {
			return err
		}
		c.own.SetMaxOpenConns(1)
	}
	// What is committed during one round is for the next, which is shorter.
	for round, before := 0, 0; ; round++ {
		length, err := checkpoint(ctx, c.own)
		if err != nil || length < longLog {
			return err
		}
		if length-before <= shortRest || round == mostRounds-1 {
			break
		}
		before = length
	}
	_, err = checkpoint(ctx, c.writer)
	return err
}

// checkpoint carries over what nobody reads in the log, and gives the log's length in pages.
func checkpoint(ctx context.Context, db *sql.DB) (length int, err error) {
	var busy, carried int
	err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &length, &carried)
	return length, err
}

func (c *carrier) close() error {
	if c == nil {
		return nil
	}
	c.stop()
	c.ended.Wait()
	if c.own == nil {
		return nil
	}
	return c.own.Close()
}
