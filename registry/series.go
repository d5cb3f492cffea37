package registry

import (
	"context"
	"strings"
	"time"

	"tandem"
)

// maxPoints is how many stretches a series may have.
const maxPoints = 2000

// DeviceSeries gives the numbers that a device reported between two instants, in at most points stretches of equal
// length. The path is one of its history, such as battery_level, or one with a colon and the way into its payload, such as
// telemetry:environment/temperature.
func (r *Registry) DeviceSeries(ctx context.Context, actor Actor, org, ref, path string, since, until time.Time, points int) ([]tandem.SeriesPoint, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return nil, err
	}
	d, err := r.device(ctx, org, ref)
	if err != nil {
		return nil, err
	}
	filter := tandem.SeriesFilter{DeviceID: d.ID, Since: since, Until: until, Points: points}
	if until.IsZero() {
		filter.Until = r.Clock()
	}
	var p problems
	p.add(between("points", points, 1, maxPoints))
	if !filter.Since.Before(filter.Until) {
		p.add(invalid("since", "must be before until"))
	}
	within := ""
	if filter.Path, within, _ = strings.Cut(path, ":"); filter.Path == "" {
		p.add(invalid("path", "is empty"))
	}
	if within = strings.Trim(within, "/"); within != "" {
		filter.Within = strings.Split(within, "/")
	}
	if err := p.err("read a device's numbers", d.DeviceID); err != nil {
		return nil, err
	}
	return r.Server.Series(ctx, org, filter)
}
