package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tandem"
)

// registered fills a site with devices that exist only here.
func (b *bench) registered(ctx context.Context, s *site) error {
	now := time.Now().UTC()
	for begin := 0; begin < b.devices; begin += 1000 {
		changes := &tandem.Changes{}
		for i := begin; i < min(begin+1000, b.devices); i++ {
			name := fmt.Sprintf("export-%06d", i)
			changes.CreateDevices = append(changes.CreateDevices, tandem.Device{ID: newID(), OrganizationID: s.org, Name: name, DeviceID: name,
				Lifecycle: tandem.Active, HardwareIDs: []string{"HW-" + name}, Tags: []string{"production", "eu-west"}, Enabled: true,
				Metadata: tandem.Map{}, FieldEditedAt: tandem.EditTimes{}, Version: 1, CreatedAt: now, UpdatedAt: now})
		}
		if err := s.store.Apply(ctx, s.org, changes); err != nil {
			return err
		}
	}
	return nil
}

// exportAll exports the devices of a fresh site to an empty project.
func (b *bench) exportAll(ctx context.Context, d *databases, sim *simulator, change func(*tandem.ServiceConfig)) (took time.Duration, err error) {
	if err := sim.reset(ctx); err != nil {
		return 0, err
	}
	s, err := newSite(ctx, d, sim, change)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := b.registered(ctx, s); err != nil {
		return 0, err
	}
	run, took, err := s.sync(ctx, tandem.OpExport, tandem.MissingRemote)
	if err == nil && run.Summary.Remote.Created != b.devices {
		err = fmt.Errorf("exported %d of %d devices", run.Summary.Remote.Created, b.devices)
	}
	return took, err
}

// unhurried lifts the requests a minute, so that only the concurrency limits, as it does the baseline.
func unhurried(config *tandem.ServiceConfig) { config.RequestsPerMinute = 10_000_000 }

// export is (c): devices that exist only here are created there.
func (b *bench) export(ctx context.Context, d *databases) error {
	return b.fleet(ctx, 0, func(sim *simulator) error {
		p := newPlain(sim)
		defer p.close()
		tags, err := p.tagIDs(ctx)
		if err != nil {
			return err
		}
		bodies := make([]map[string]any, b.devices)
		for i := range bodies {
			name := fmt.Sprintf("export-%06d", i)
			bodies[i] = map[string]any{"name": name, "hardwareIds": []string{"HW-" + name}, "tagIds": []string{tags["production"], tags["eu-west"]}}
		}
		row := Row{ID: "c", Database: d.kind, What: "export of new devices", Against: "bare POSTs, 32 at once", Limit: 1.2}
		return b.duel(row, false, func(int) (time.Duration, error) {
			if err := sim.reset(ctx); err != nil {
				return 0, err
			}
			p.close()
			return timed(func() error { return p.create(ctx, bodies) })
		}, func(int) (time.Duration, error) { return b.exportAll(ctx, d, sim, unhurried) })
	})
}

// firstExport is the export of (c) with the default budget, in seconds.
func (b *bench) firstExport(ctx context.Context, d *databases) error {
	return b.fleet(ctx, 0, func(sim *simulator) error {
		took, err := b.exportAll(ctx, d, sim, nil)
		if err != nil {
			return err
		}
		b.seconds(Row{ID: "first", Database: d.kind, What: "first export with the default budget", Tandem: took.Seconds(), Limit: 30})
		return nil
	})
}
