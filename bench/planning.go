package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"tandem"
	"tandem/merge"
)

// planning is (e): the merge alone, for each device of a fleet of which 1 % was edited on each side.
func (b *bench) planning(context.Context, *databases) error {
	fleet := make([]merge.Sides, b.devices)
	for i := range fleet {
		fleet[i] = sides(i)
	}
	policy := merge.Policy{Fields: tandem.AllFields, Direction: tandem.Bidirectional}
	const rounds = 5
	var each []float64
	for range max(b.repeat, 3) {
		took, err := timed(func() error {
			for range rounds {
				for _, s := range fleet {
					merge.Device(s, policy)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		each = append(each, float64(took.Nanoseconds())/1000/float64(rounds*len(fleet)))
	}
	b.add(Row{ID: "e", What: "planning alone, a device with eight metadata leaves", Tandem: median(each), Unit: "µs", Limit: 5})
	return nil
}

// sides makes the i-th device as both sides and base have it.
func sides(i int) merge.Sides {
	side := func() tandem.Shared {
		return tandem.Shared{Known: tandem.SharedFields, Name: fmt.Sprintf("pump-%05d", i), Enabled: true,
			HardwareIDs: []string{fmt.Sprintf("SN-%05d", i), fmt.Sprintf("IMEI-%05d", i)}, Tags: []string{"eu-west", "lte-m", "production"},
			Blueprint: "pump-controller", Cohort: "field-eu", Metadata: tandem.Map{"owner": "water", "installed": time.Date(2024, 1, 1+i%300, 0, 0, 0, 0, time.UTC).Format(time.DateOnly),
				"site": map[string]any{"name": "Aarhus", "floor": float64(i % 7)}, "slot": map[string]any{"rack": float64(i % 40), "unit": float64(i % 48)}, "quiet": false, "limits": []any{1.0, 2.5}}}
	}
	s := merge.Sides{Base: tandem.Base{Local: side(), Remote: side()}, Local: side(), Remote: side()}
	switch i % 100 {
	case 0:
		s.Local.Name += " north"
	case 50:
		s.Remote.Tags = append(slices.Clone(s.Remote.Tags), "solar")
		s.Remote.Metadata = maps.Clone(s.Remote.Metadata)
		s.Remote.Metadata["owner"] = "logistics"
	}
	return s
}
