package main

import (
	"context"
	"fmt"
	"time"

	"tandem"
)

// every gives each hundredth of the items from the offset on: 1 %.
func every[T any](items []T, offset int) []T {
	var some []T
	for i := offset % 100; i < len(items); i += 100 {
		some = append(some, items[i])
	}
	return some
}

// bothEdited does one run after 1 % was edited here, and whatever was edited there.
func (b *bench) bothEdited(ctx context.Context, s *site, round, there int) (time.Duration, error) {
	devices, err := s.devices(ctx)
	if err != nil {
		return 0, err
	}
	here := every(devices, 2*round+1)
	if err := s.edit(ctx, here, round); err != nil {
		return 0, err
	}
	run, took, err := s.sync(ctx, tandem.OpBidirectional, "")
	if err == nil && (run.Summary.Local.Updated < there*9/10 || run.Summary.Remote.Updated < len(here)*9/10 || run.Summary.Conflicts > there/10) {
		err = fmt.Errorf("%d edited there and %d here, and the run did this: %+v", there, len(here), run.Summary)
	}
	return took, err
}

// edited is (d): 1 % edited on each side. The baseline lists the fleet, and reads and patches as many devices as
// Tandem has to; those patches are the remote's edits that Tandem then meets.
func (b *bench) edited(ctx context.Context, d *databases) error {
	return b.fleet(ctx, b.devices, func(sim *simulator) error {
		return b.imported(ctx, d, sim, nil, func(s *site) error {
			p := newPlain(sim)
			all, err := p.list(ctx)
			if err != nil {
				return err
			}
			there := 0
			row := Row{ID: "d", Database: d.kind, What: "sync, 1 % edited on each side", Against: "listing, then bare reads and writes", Limit: 1.25}
			return b.duel(row, true, func(round int) (time.Duration, error) {
				p.close()
				some := every(all, 2*round)
				there = len(some)
				return timed(func() error {
					if err := listing(ctx, sim); err != nil {
						return err
					}
					return p.toggle(ctx, some)
				})
			}, func(round int) (time.Duration, error) { return b.bothEdited(ctx, s, round, there) })
		})
	})
}

// metadata is a sync of a linked fleet with every field selected, LightDB State included, and 1 % edited on each side.
func (b *bench) metadata(ctx context.Context, d *databases) error {
	whole := func(config *tandem.ServiceConfig) {
		config.Paths = tandem.Paths{Metadata: "state:metadata", Battery: "state:battery", Location: "state:location"}
	}
	return b.fleet(ctx, b.devices, func(sim *simulator) error {
		return b.imported(ctx, d, sim, whole, func(s *site) error {
			var edit struct {
				Changed int `json:"changed"`
			}
			body := map[string]any{"project": project, "every": 100, "state": map[string]any{"metadata/owner": "field team"}}
			if err := sim.admin(ctx, "PATCH", "devices", body, &edit); err != nil {
				return err
			}
			took, err := b.bothEdited(ctx, s, 0, 0)
			if err != nil {
				return err
			}
			b.seconds(Row{ID: "meta", Database: d.kind, What: "sync with all fields and LightDB metadata, 1 % edited on each side", Tandem: took.Seconds(), Limit: 30})
			return nil
		})
	})
}
