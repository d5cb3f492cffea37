package device

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem"
	"tandem/web/part"
)

// The bounds of what is told of a device's last reports.
const (
	lastReports = 100 // that are looked into
	mostValues  = 80  // that are shown
	deepest     = 6   // steps into a payload
	widest      = 12  // elements of a list
	longest     = 300 // characters of a text
)

// value is the last of what a device reported in one place.
type value struct {
	Key     string // as DeviceSeries takes it, "" where it cannot be asked for
	Path    string // in the history
	Within  []string
	Value   json.RawMessage
	At      time.Time
	Service string // that brought it, "" where the device itself did
}

// name says where a value stands, as people read it.
func (v value) name() string { return placeText(v.Path, v.Within) }

// last is the name next to the value.
func (v value) last() string {
	if n := len(v.Within); n > 0 {
		return v.Within[n-1]
	}
	return v.Path
}

// numeric reports whether it is a number that can be plotted.
func (v value) numeric() bool {
	text := bytes.TrimSpace(v.Value)
	return v.Key != "" && len(text) > 0 && (text[0] == '-' || text[0] >= '0' && text[0] <= '9')
}

// shown is the value, cut short where it is a long text.
func (v value) shown() json.RawMessage {
	if text := []rune(part.Readable(v.Value)); len(text) > longest {
		return rawOf(string(text[:longest]) + "…")
	}
	return v.Value
}

// readValues finds the last value of each place, newest reports first.
func (p *page) readValues() error {
	found, total, err := p.c.Registry().DeviceObservations(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID, tandem.ObservationFilter{Page: tandem.Page{Number: 1, Limit: lastReports}})
	if err != nil {
		return err
	}
	p.values, p.olderReports = valuesOfReports(found), total > len(found)
	return nil
}

// valuesOfReports gives the last value of each place in reports, of which the newest come first: by their names.
func valuesOfReports(found []tandem.DeviceObservation) []value {
	var all []value
	seen := map[string]bool{}
	for i := range found {
		o := &found[i]
		decoder := json.NewDecoder(bytes.NewReader(o.Value))
		decoder.UseNumber()
		var content any
		if decoder.Decode(&content) != nil {
			continue
		}
		for _, v := range leavesOf(o.Path, nil, content) {
			if name := v.name(); !seen[name] {
				seen[name] = true
				v.At, v.Service = o.ObservedAt, o.ServiceID
				all = append(all, v)
			}
		}
	}
	if at := slices.IndexFunc(all, func(v value) bool { return v.Path == batteryPath }); at >= 0 {
		told := all[at].At
		all = slices.DeleteFunc(all, func(v value) bool { // the battery is told once
			return v.Path == telemetryPath && len(v.Within) == 1 && (v.last() == "battery" || v.last() == batteryPath) && v.At.Equal(told)
		})
	}
	slices.SortFunc(all, func(a, b value) int { return strings.Compare(a.name(), b.name()) })
	return all[:min(len(all), mostValues)]
}

// leavesOf takes a payload apart.
func leavesOf(path string, within []string, content any) []value {
	var all []value
	switch content := content.(type) {
	case map[string]any:
		if len(content) == 0 || len(within) >= deepest {
			break
		}
		for name, inner := range content {
			all = append(all, leavesOf(path, append(slices.Clone(within), name), inner)...)
		}
		return all
	case []any:
		if len(content) == 0 || len(content) > widest || len(within) >= deepest {
			break
		}
		for i, inner := range content {
			all = append(all, leavesOf(path, append(slices.Clone(within), strconv.Itoa(i)), inner)...)
		}
		return all
	}
	return []value{{Key: keyOf(path, within), Path: path, Within: within, Value: rawOf(content)}}
}

// keyOf is how DeviceSeries is asked for a place, "" where its names have what separates them there.
func keyOf(path string, within []string) string {
	for _, name := range within {
		if name == "" || strings.Contains(name, "/") {
			return ""
		}
	}
	switch {
	case strings.Contains(path, ":"):
		return ""
	case len(within) == 0:
		return path
	}
	return path + ":" + strings.Join(within, "/")
}

// telemetryPath is where a device's payloads stand that name no other place.
const telemetryPath = "telemetry"

// placeText names a place in a device's reports: "environment › temperature" in its telemetry, "garden › moisture" elsewhere.
func placeText(path string, within []string) string {
	switch {
	case path == batteryPath && len(within) == 0:
		return "Battery"
	case path == statusPath && len(within) == 0:
		return "Connectivity"
	case path == telemetryPath && len(within) > 0:
		return strings.Join(within, " › ")
	}
	return strings.Join(append(strings.Split(path, "/"), within...), " › ")
}

// keyText names the place that a key leads to.
func keyText(key string) string {
	path, within, found := strings.Cut(key, ":")
	if !found {
		return placeText(path, nil)
	}
	return placeText(path, strings.Split(within, "/"))
}

// withPart gives the address of a part of a page.
func withPart(address, part string) string {
	if strings.Contains(address, "?") {
		return address + "&part=" + part
	}
	return address + "?part=" + part
}
