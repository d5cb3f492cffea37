package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// DemoCmd is `tandem demo`.
type DemoCmd struct {
	Devices    int           `default:"1000" help:"How many devices the simulated project has."`
	Listen     string        `default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Where the pages are served; another port is taken where that one is not free."`
	Latency    time.Duration `default:"20ms" help:"How long the simulated service takes for each answer."`
	Seed       uint64        `default:"1" help:"The same seed makes the same fleet."`
	InTerminal bool          `help:"Give the tour in this terminal instead, without pages: an import, edits on both sides, the plan, a sync, a conflict, an undo."`
	Keep       bool          `help:"With --in-terminal: keep the simulated project running afterwards, until Ctrl-C."`
}

// Run gives the demo, in a database of its own unless one is named.
func (c *DemoCmd) Run(ctx context.Context, a *app) (err error) {
	if c.Devices < 10 {
		return &usageError{"--devices must be at least 10", ""}
	}
	if a.flags.DatabaseURL == "sqlite:tandem.db" {
		folder, err := os.MkdirTemp("", "tandem-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the demo: %w", err)
		}
		a.flags.DatabaseURL = "sqlite:" + filepath.Join(folder, "tandem.db")
		if !c.InTerminal {
			defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		}
	}
	if c.InTerminal {
		return c.tour(ctx, a)
	}
	return c.pages(ctx, a)
}
