package main

import (
	"context"

	"tandem/golioth/simulator"
)

// SimulatorCmd is `tandem simulator`.
type SimulatorCmd struct{ simulator.Command }

// Run serves until Ctrl-C.
func (c *SimulatorCmd) Run(ctx context.Context, a *app) error {
	return c.Command.Run(ctx, a.Stdout)
}
