package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tandem"
)

// fleet starts the simulator with the devices for the time of fn.
func (b *bench) fleet(ctx context.Context, devices int, fn func(sim *simulator) error) (err error) {
	sim, err := startSimulator(ctx, b.tandem, devices, b.latency)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.stop()) }()
	return fn(sim)
}

// imported makes a site with the fleet in it, for the time of fn.
func (b *bench) imported(ctx context.Context, d *databases, sim *simulator, change func(*tandem.ServiceConfig), fn func(s *site) error) (err error) {
	s, err := newSite(ctx, d, sim, change)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := b.importAll(ctx, s, b.devices); err != nil {
		return err
	}
	return fn(s)
}

// importAll imports the fleet into an empty site.
func (b *bench) importAll(ctx context.Context, s *site, devices int) (time.Duration, error) {
	run, took, err := s.sync(ctx, tandem.OpImport, tandem.MissingLocal)
	if err == nil && run.Summary.Local.Created != devices {
		err = fmt.Errorf("imported %d of %d devices", run.Summary.Local.Created, devices)
	}
	return took, err
}

// list times the bare listing with Tandem's own client.
func (b *bench) list(ctx context.Context, sim *simulator) func(int) (time.Duration, error) {
	return func(int) (time.Duration, error) { return timed(func() error { return listing(ctx, sim) }) }
}

// fullImport is (a): the import of a fleet into an empty database.
func (b *bench) fullImport(ctx context.Context, d *databases) error {
	return b.fleet(ctx, b.devices, func(sim *simulator) error {
		var took []float64
		fresh := func(int) (t time.Duration, err error) {
			s, err := newSite(ctx, d, sim, nil)
			if err != nil {
				return 0, err
			}
			defer func() { err = errors.Join(err, s.close()) }()
			t, err = b.importAll(ctx, s, b.devices)
			took = append(took, t.Seconds())
			return t, err
		}
		row := Row{ID: "a", Database: d.kind, What: "full import", Against: "listing with the same client", Limit: 1.25}
		if err := b.duel(row, false, b.list(ctx, sim), fresh); err != nil {
			return err
		}
		b.seconds(Row{ID: "a", Database: d.kind, What: "full import, in seconds", Tandem: median(took), Limit: 5})
		if d.kind != b.db[0] {
			return nil
		}
		// A check of the baseline itself: Tandem's client against net/http and encoding/json.
		row = Row{ID: "a", What: "the client's listing by itself", Against: "net/http and encoding/json"}
		return b.duel(row, false, func(int) (time.Duration, error) {
			p := newPlain(sim)
			defer p.close()
			return timed(func() error { _, err := p.list(ctx); return err })
		}, b.list(ctx, sim))
	})
}

// quiet does a run that must find nothing to write.
func (b *bench) quiet(ctx context.Context, s *site) (time.Duration, error) {
	run, took, err := s.sync(ctx, tandem.OpBidirectional, "")
	none := tandem.Counts{}
	if err == nil && (run.Summary.Local != none || run.Summary.Remote != none || run.Summary.Processed != b.devices) {
		err = fmt.Errorf("a run with nothing to do did this: %+v", run.Summary)
	}
	return took, err
}

// unchanged is (b): a second run with no edits between.
func (b *bench) unchanged(ctx context.Context, d *databases) error {
	return b.fleet(ctx, b.devices, func(sim *simulator) error {
		return b.imported(ctx, d, sim, nil, func(s *site) error {
			row := Row{ID: "b", Database: d.kind, What: "re-sync, nothing changed", Against: "listing with the same client", Limit: 1.15}
			return b.duel(row, false, b.list(ctx, sim), func(int) (time.Duration, error) { return b.quiet(ctx, s) })
		})
	})
}

// reported is (b2): every device has reported since, nobody edited anything.
func (b *bench) reported(ctx context.Context, d *databases) error {
	return b.fleet(ctx, b.devices, func(sim *simulator) error {
		return b.imported(ctx, d, sim, nil, func(s *site) error {
			afterReports := func(do func(int) (time.Duration, error)) func(int) (time.Duration, error) {
				return func(round int) (time.Duration, error) {
					if err := sim.reportAll(ctx); err != nil {
						return 0, err
					}
					return do(round)
				}
			}
			row := Row{ID: "b2", Database: d.kind, What: "re-sync, every device reported", Against: "listing with the same client", Limit: 1.25}
			return b.duel(row, false, afterReports(b.list(ctx, sim)), afterReports(func(int) (time.Duration, error) { return b.quiet(ctx, s) }))
		})
	})
}

// scale compares the import of ten times as many devices.
func (b *bench) scale(ctx context.Context, d *databases) error {
	once := func(devices int) (took time.Duration, err error) {
		err = b.fleet(ctx, devices, func(sim *simulator) (err error) {
			s, err := newSite(ctx, d, sim, nil)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.close()) }()
			took, err = b.importAll(ctx, s, devices)
			return err
		})
		return took, err
	}
	small, err := once(b.devices)
	if err != nil {
		return err
	}
	large, err := once(10 * b.devices)
	if err != nil {
		return err
	}
	b.add(Row{ID: "scale", Database: d.kind, What: fmt.Sprintf("import of %d, against that of %d", 10*b.devices, b.devices),
		Tandem: large.Seconds(), Baseline: small.Seconds(), Unit: "s", Ratio: large.Seconds() / small.Seconds(), Limit: 10})
	return nil
}
