package part

import "encoding/json"

// PlotData is what a plot shows: for each instant of X (Unix seconds, rising) a value of each series; nil leaves a gap.
type PlotData struct {
	Summary string    `json:"-"` // what it shows, in words
	X       []float64 `json:"x"`
	Series  []Series  `json:"series"`
	Height  int       `json:"height,omitempty"` // pixels; 180
	Unit    string    `json:"unit,omitempty"`   // after values, such as " s" or " %"
	Bars    bool      `json:"bars,omitempty"`
	Stacked bool      `json:"stacked,omitempty"`
	Min     *float64  `json:"min,omitempty"` // of the axis
	Max     *float64  `json:"max,omitempty"`
	Fit     bool      `json:"fit,omitempty"`   // the axis is as long as the values need, and does not begin at 0
	Links   []string  `json:"links,omitempty"` // where a click on an instant leads
}

// Series is one line or one kind of bar.
type Series struct {
	Label  string     `json:"label"`
	Color  string     `json:"color"` // a colour of the theme: blue, green, red, yellow, orange, azure, purple, secondary
	Values []*float64 `json:"values"`
	Steps  bool       `json:"steps,omitempty"`
	Points bool       `json:"points,omitempty"` // marks each value
	Alone  bool       `json:"alone,omitempty"`  // marks without a line
	Edge   bool       `json:"edge,omitempty"`   // a thin line; what is between two of them is tinted
	Scale  string     `json:"scale,omitempty"`  // the name of an axis of its own, on the right
}

// JSON is what the page's script reads.
func (p PlotData) JSON() string {
	text, err := json.Marshal(p)
	if err != nil {
		return "{}" // not a number, say: the plot stays empty, and its summary is there
	}
	return string(text)
}

// Value points to a number of a series.
func Value(v float64) *float64 { return &v }
