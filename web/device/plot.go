package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tandem"
	"tandem/web/part"
)

// mostReports bounds the reports that a plot is made of: the newest ones of its time.
const mostReports = 4000

// mostPoints bounds what is drawn; more would not be seen.
const mostPoints = 600

// spans are the times that plots show.
var spans = []struct {
	Key, Label string
	Long       time.Duration
}{{"day", "Day", 24 * time.Hour}, {"week", "Week", 7 * 24 * time.Hour}, {"month", "Month", 30 * 24 * time.Hour}}

// plots are what the device reported over time.
type plots struct {
	span         string
	battery      part.PlotData
	connectivity part.PlotData
	more         bool // there are more reports than are shown
	pending      bool // they are read once the page is there
}

func (p *page) readPlots() error {
	span := spans[1]
	for _, one := range spans {
		if one.Key == p.c.Query("span") {
			span = one
		}
	}
	p.plots.span = span.Key
	since := p.c.Now().Add(-span.Long)
	battery, more, err := p.reports("battery_level", since)
	if err != nil {
		return err
	}
	seen, moreSeen, err := p.reports("status", since)
	if err != nil {
		return err
	}
	before, _, err := p.c.Registry().DeviceObservations(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID, tandem.ObservationFilter{Path: "status", Until: since, Page: tandem.Page{Number: 1, Limit: 1}})
	if err != nil {
		return err
	}
	p.plots.more = more || moreSeen
	p.plots.battery = p.batteryPlot(battery, since)
	p.plots.connectivity = p.connectivityPlot(append(before, seen...), since)
	return nil
}

// reports gives what was reported on a path since an instant, oldest first.
func (p *page) reports(path string, since time.Time) (found []tandem.DeviceObservation, more bool, err error) {
	for number := 1; ; number++ {
		some, _, err := p.c.Registry().DeviceObservations(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID,
			tandem.ObservationFilter{Path: path, Since: since, Page: tandem.Page{Number: number, Limit: batch}})
		if err != nil {
			return nil, false, err
		}
		found = append(found, some...)
		if len(some) < batch {
			break
		}
		if len(found) >= mostReports {
			more = true
			break
		}
	}
	slices.Reverse(found)
	return found, more, nil
}

// batteryPlot draws the levels, thinned out evenly where there are very many. What the device has now is the last of
// them, also where a sync brought it, which keeps no history.
func (p *page) batteryPlot(found []tandem.DeviceObservation, since time.Time) part.PlotData {
	low, high := 0.0, 100.0
	plot := part.PlotData{Height: 160, Unit: " %", Min: &low, Max: &high}
	line := part.Series{Label: "Battery", Color: "green", Points: len(found) < 60}
	put := func(at time.Time, level float64) {
		plot.X = append(plot.X, float64(at.UnixMilli())/1000)
		line.Values = append(line.Values, part.Value(level))
	}
	every := max(1, len(found)/mostPoints)
	least, most := 100.0, 0.0
	var last time.Time
	for i, one := range found {
		var level float64
		if json.Unmarshal(one.Value, &level) != nil {
			continue // not a number: nothing to draw
		}
		least, most = min(least, level), max(most, level)
		if i%every == 0 || i == len(found)-1 {
			put(one.ObservedAt, level)
			last = one.ObservedAt
		}
	}
	if p.d.BatteryLevel != nil && p.d.BatteryAt != nil && p.d.BatteryAt.After(since) && p.d.BatteryAt.After(last) {
		put(*p.d.BatteryAt, *p.d.BatteryLevel)
		least, most = min(least, *p.d.BatteryLevel), max(most, *p.d.BatteryLevel)
	}
	if len(plot.X) > 0 {
		plot.Summary = fmt.Sprintf("Battery: %d reports, between %.0f %% and %.0f %%.", len(plot.X), least, most)
		// The whole of the time is shown, also where nothing was reported.
		plot.X = append(append([]float64{float64(since.Unix())}, plot.X...), float64(p.c.Now().Unix()))
		line.Values = append(append([]*float64{nil}, line.Values...), nil)
	}
	plot.Series = []part.Series{line}
	return plot
}

// connectivityPlot draws when the device was online: what was told of it, up to now.
func (p *page) connectivityPlot(found []tandem.DeviceObservation, since time.Time) part.PlotData {
	low, high := 0.0, 1.2
	plot := part.PlotData{Height: 110, Min: &low, Max: &high}
	line := part.Series{Label: "Online (1) or offline (0)", Color: "azure", Steps: true}
	went := 0
	for _, one := range found {
		var status tandem.Status
		if json.Unmarshal(one.Value, &status) != nil || status != tandem.Online && status != tandem.Offline {
			continue
		}
		value := 0.0
		if status == tandem.Online {
			value = 1
		} else {
			went++
		}
		at := one.ObservedAt
		if at.Before(since) {
			at = since // as it was when the time that is shown began
		}
		plot.X = append(plot.X, float64(at.UnixMilli())/1000)
		line.Values = append(line.Values, part.Value(value))
	}
	if n := len(plot.X); n > 0 {
		if begin := float64(since.Unix()); plot.X[0] > begin {
			plot.X, line.Values = append([]float64{begin}, plot.X...), append([]*float64{nil}, line.Values...)
			n++
		}
		plot.X = append(plot.X, float64(p.c.Now().UnixMilli())/1000)
		line.Values = append(line.Values, line.Values[n-1])
		plot.Summary = fmt.Sprintf("Connectivity: went offline %d times.", went)
	}
	plot.Series = []part.Series{line}
	return plot
}
