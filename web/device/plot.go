package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem"
	"tandem/web/part"
)

// Where a device's history has what is always plotted.
const (
	batteryPath = "battery_level"
	statusPath  = "status"
)

// The bounds of plots.
const (
	mostComings = 4000            // times that a device came or went: the newest ones
	mostPlots   = 6               // beside battery and connectivity
	firstPlots  = 3               // of those, where nobody chose
	ahead       = 5 * time.Minute // that a device's clock may be ahead, and its report still counts
	fewPoints   = 60              // so many are marked one by one
)

// span is a time that plots show, in stretches of equal length.
type span struct {
	Key, Label string
	Stretch    time.Duration
	Stretches  int
	Pause      string // between two readings while the device reports: the longer the time, the less a report changes it
}

// spans are the times that plots show. From a week on the stretches are whole hours, of which the store has the sums.
var spans = []span{
	{"hour", "Hour", 15 * time.Second, 240, "1s"},
	{"day", "Day", 5 * time.Minute, 288, "2s"},
	{"week", "Week", time.Hour, 168, "5s"},
	{"month", "Month", 2 * time.Hour, 360, "15s"},
}

// begin is where a span begins that ends now. It stays for a whole stretch, so that a plot that is read again looks alike.
func (s span) begin(now time.Time) time.Time {
	return now.Truncate(s.Stretch).Add(s.Stretch - time.Duration(s.Stretches)*s.Stretch)
}

// plots are what the device reported over time.
type plots struct {
	span         span
	battery      part.PlotData
	connectivity part.PlotData
	choices      []plottable // what else can be plotted
	chosen       []numbered  // what is
	more         bool        // it came and went more often than is shown
	pending      bool        // they are read once the page is there
	l            part.Listing
}

// plottable is a place of numbers in the device's reports, plotted or not.
type plottable struct {
	Key string
	On  bool
}

// numbered is the plot of one.
type numbered struct {
	Key, ID string
	Plot    part.PlotData
}

// empty reports whether there is nothing to draw.
func (p plots) empty() bool {
	n := len(p.battery.X) + len(p.connectivity.X)
	for _, one := range p.chosen {
		n += len(one.Plot.X)
	}
	return n == 0
}

// choosePlots reads from the address what is to be shown: the time, and which numbers.
func (p *page) choosePlots() {
	q := p.c.R.URL.Query()
	p.plots.span = p.usualSpan()
	if at := slices.IndexFunc(spans, func(s span) bool { return s.Key == q.Get("span") }); at >= 0 {
		p.plots.span = spans[at]
	}
	p.plots.l = part.NewListing(p.path(), map[string][]string{"span": {p.plots.span.Key}}, 1)
	if keys := q["plot"]; len(keys) > 0 {
		p.plots.l.Query["plot"] = keys[:min(len(keys), mostPlots)]
	}
}

// usualSpan is a week, or as much of it as there can be reports of.
func (p *page) usualSpan() span {
	age := p.c.Now().Sub(p.d.CreatedAt)
	for _, s := range spans[:2] {
		if age < time.Duration(s.Stretches-1)*s.Stretch {
			return s
		}
	}
	return spans[2]
}

// readPlots reads what is shown over time. The last values are there by then.
func (p *page) readPlots() error {
	since := p.plots.span.begin(p.c.Now())
	battery, err := p.numbers(batteryPath, since)
	if err != nil {
		return err
	}
	seen, more, err := p.reports(statusPath, since)
	if err != nil {
		return err
	}
	before, _, err := p.c.Registry().DeviceObservations(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID, tandem.ObservationFilter{Path: statusPath, Until: since, Page: tandem.Page{Number: 1, Limit: 1}})
	if err != nil {
		return err
	}
	p.plots.more = more
	p.plots.battery = p.batteryPlot(battery, since)
	p.plots.connectivity = p.connectivityPlot(append(before, seen...), since)
	p.offer()
	for i, key := range p.plots.keys() {
		points, err := p.numbers(key, since)
		if err != nil {
			return err
		}
		p.plots.chosen = append(p.plots.chosen, numbered{key, "plot-" + strconv.Itoa(i+1), p.numberPlot(key, i, points, since)})
	}
	return nil
}

// offer finds the places of numbers among the last values, and which of them are plotted: those that the address names,
// or else the first ones.
func (p *page) offer() {
	keys := p.plots.l.Query["plot"]
	for _, key := range keys {
		if key != nothing && len(key) <= 300 && !slices.ContainsFunc(p.plots.choices, func(c plottable) bool { return c.Key == key }) {
			p.plots.choices = append(p.plots.choices, plottable{key, true})
		}
	}
	first := firstPlots
	for _, v := range p.values {
		if !v.numeric() || v.Path == batteryPath || isTime(v) || slices.ContainsFunc(p.plots.choices, func(c plottable) bool { return c.Key == v.Key }) {
			continue
		}
		on := len(keys) == 0 && first > 0 && !told(v)
		if on {
			first--
		}
		p.plots.choices = append(p.plots.choices, plottable{v.Key, on})
	}
	slices.SortFunc(p.plots.choices, func(a, b plottable) int { return strings.Compare(keyText(a.Key), keyText(b.Key)) })
}

// told reports whether a number is of what the page tells anyway.
func told(v value) bool {
	return v.Path == "location" || slices.Contains([]string{"battery", batteryPath, "lat", "latitude", "lon", "lng", "longitude", "accuracy"}, v.last())
}

// isTime reports whether a number says when the device reported.
func isTime(v value) bool { return slices.Contains([]string{"time", "timestamp", "ts"}, v.last()) }

// nothing is what the address names where no numbers are to be plotted.
const nothing = "none"

// keys are those of the plots that are shown.
func (p plots) keys() []string {
	var on []string
	for _, c := range p.choices {
		if c.On {
			on = append(on, c.Key)
		}
	}
	return on
}

// with gives the address of the page where one more, or one less, is plotted.
func (p plots) with(c plottable) string {
	keys := slices.DeleteFunc(p.keys(), func(key string) bool { return key == c.Key })
	if !c.On {
		keys = append(keys, c.Key)
	}
	if len(keys) == 0 {
		keys = []string{nothing}
	}
	l := p.l
	l.Query = map[string][]string{"span": {p.span.Key}, "plot": keys}
	return l.With("part", "")
}

// numbers gives what was reported in a place since an instant, a point for each stretch in which there was something.
func (p *page) numbers(key string, since time.Time) ([]tandem.SeriesPoint, error) {
	s := p.plots.span
	n := s.Stretches + int((ahead+s.Stretch-1)/s.Stretch)
	return p.c.Registry().DeviceSeries(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID, key, since, since.Add(time.Duration(n)*s.Stretch), n)
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
		if len(found) >= mostComings {
			more = true
			break
		}
	}
	slices.Reverse(found)
	return found, more, nil
}

// batteryPlot draws the levels. What the device has now is the last of them, also where a sync brought it, which keeps
// no history.
func (p *page) batteryPlot(points []tandem.SeriesPoint, since time.Time) part.PlotData {
	low, high := 0.0, 100.0
	plot := part.PlotData{Height: 160, Unit: " %", Min: &low, Max: &high}
	var last *value
	if p.d.BatteryLevel != nil && p.d.BatteryAt != nil {
		last = &value{Value: rawOf(*p.d.BatteryLevel), At: *p.d.BatteryAt}
	}
	p.draw(&plot, "Battery", "green", points, last, since)
	return plot
}

// numberPlot draws the numbers of one place, on an axis of their own.
func (p *page) numberPlot(key string, nth int, points []tandem.SeriesPoint, since time.Time) part.PlotData {
	plot := part.PlotData{Height: 160, Fit: true}
	var last *value
	if at := slices.IndexFunc(p.values, func(v value) bool { return v.Key == key }); at >= 0 {
		last = &p.values[at]
	}
	colors := []string{"blue", "purple", "orange", "azure", "red", "yellow"}
	p.draw(&plot, keyText(key), colors[nth%len(colors)], points, last, since)
	return plot
}

// draw puts numbers into a plot: the mean of each stretch, between the smallest and the largest where these differ, and
// at the end the last value as it was reported. The whole of the time is shown, also where nothing was reported.
func (p *page) draw(plot *part.PlotData, label, color string, points []tandem.SeriesPoint, last *value, since time.Time) {
	points = withLast(points, last, since, p.plots.span.Stretch)
	mean := part.Series{Label: label, Color: color, Points: len(points) < fewPoints}
	if len(points) == 0 {
		plot.Series = []part.Series{mean}
		return
	}
	lowest, highest := part.Series{Label: "lowest", Color: color, Edge: true}, part.Series{Label: "highest", Color: color, Edge: true}
	put := func(at float64, low, middle, high *float64) {
		plot.X = append(plot.X, at)
		mean.Values, lowest.Values, highest.Values = append(mean.Values, middle), append(lowest.Values, low), append(highest.Values, high)
	}
	reports, between, least, most := 0, false, points[0].Min, points[0].Max
	put(float64(since.Unix()), nil, nil, nil)
	for _, one := range points {
		put(float64(one.At.UnixMilli())/1000, part.Value(one.Min), part.Value(one.Mean), part.Value(one.Max))
		reports += one.Count
		between = between || one.Min < one.Max
		least, most = min(least, one.Min), max(most, one.Max)
	}
	end := plot.X[len(plot.X)-1]
	put(max(end+1, float64(p.c.Now().Unix())), nil, nil, nil)
	if plot.Series = []part.Series{mean}; between {
		plot.Series = append(plot.Series, lowest, highest)
	}
	plot.Summary = label + ": " + part.Count(reports, "report", "reports") + ", "
	if least < most {
		plot.Summary += "between " + figure(least) + plot.Unit + " and " + figure(most) + plot.Unit + ", "
	}
	plot.Summary += "last " + figure(points[len(points)-1].Mean) + plot.Unit + "."
}

// withLast ends points with the last value, at its own time.
func withLast(points []tandem.SeriesPoint, last *value, since time.Time, stretch time.Duration) []tandem.SeriesPoint {
	level, ok := last.number()
	n := len(points)
	if !ok || last.At.Before(since) || n > 0 && last.At.Before(points[n-1].At) {
		return points
	}
	one := tandem.SeriesPoint{At: last.At, Min: level, Max: level, Mean: level, Count: 1}
	if n > 0 && last.At.Before(points[n-1].At.Add(stretch)) { // it is counted there
		if points[n-1].Count == 1 {
			points = points[:n-1]
		} else {
			one.Count = 0
		}
	}
	return append(slices.Clone(points), one)
}

// number gives a value as a number, where there is one.
func (v *value) number() (float64, bool) {
	if v == nil {
		return 0, false
	}
	var n *float64
	err := json.Unmarshal(v.Value, &n)
	if err != nil || n == nil {
		return 0, false
	}
	return *n, true
}

// figure writes a number with as many digits as are of use.
func figure(n float64) string { return strconv.FormatFloat(n, 'g', 6, 64) }

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
		plot.X = append(plot.X, max(float64(p.c.Now().UnixMilli())/1000, plot.X[n-1]+1))
		line.Values = append(line.Values, line.Values[n-1])
		plot.Summary = fmt.Sprintf("Connectivity: went offline %d times.", went)
	}
	plot.Series = []part.Series{line}
	return plot
}
