package delivery

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"tandem"
	"tandem/web/part"
)

// statuses are the filter's choices.
var statuses = []part.Option{{Value: "", Label: "Any"}, {Value: "processed", Label: "Processed"}, {Value: "stored", Label: "Stored"}, {Value: "retrying", Label: "Retrying"},
	{Value: "waiting", Label: "Waiting for a link"}, {Value: "dead", Label: "Dead"}, {Value: "refused", Label: "Refused"}}

// types are the kinds of deliveries that there are (S36).
var types = []part.Option{{Value: "", Label: "Any"}, {Value: "device.created", Label: "device.created"}, {Value: "device.updated", Label: "device.updated"},
	{Value: "device.deleted", Label: "device.deleted"}, {Value: "device.data", Label: "device.data"}, {Value: "pipeline", Label: "pipeline"}}

func (v listing) serviceOptions() []part.Option {
	options := []part.Option{{Value: "", Label: "All"}}
	for _, s := range v.services {
		options = append(options, part.Option{Value: s.ID, Label: s.Name})
	}
	return options
}

func (v listing) serviceName(id string) string {
	for _, s := range v.services {
		if s.ID == id {
			return s.Name
		}
	}
	return ""
}

// statusText says what a status means to whoever looks.
func statusText(s tandem.DeliveryStatus) string {
	switch s {
	case tandem.DeliveryStored:
		return "Stored, and waits for its processing"
	case tandem.DeliveryRetrying:
		return "Failed, and is tried again"
	case tandem.DeliveryWaiting:
		return "Waits until its device is linked here"
	case tandem.DeliveryProcessed:
		return "Processed: what it said is in the registry"
	case tandem.DeliveryDead:
		return "Failed for good: look at the reason, mend it, and replay it"
	case tandem.DeliveryRefused:
		return "Refused: nothing of it was taken in"
	}
	return string(s)
}

// payload shows a body as people read it: JSON indented, other texts as they are, the rest in hexadecimal.
func payload(body []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, body, "", "  ") == nil {
		return out.String()
	}
	if utf8.Valid(body) && !bytes.ContainsRune(body, 0) {
		return string(body)
	}
	return strings.TrimSpace(hex.Dump(body))
}

// headers lists those that are kept, by name.
func headers(d *tandem.Delivery) []string {
	var list []string
	for name, value := range d.Headers {
		list = append(list, name+": "+value)
	}
	slices.Sort(list)
	return list
}

func (v listing) ratePlot() part.PlotData {
	kinds := []struct {
		status       tandem.DeliveryStatus
		label, color string
	}{{tandem.DeliveryStored, "received", "blue"}, {tandem.DeliveryProcessed, "processed", "green"}, {tandem.DeliveryRetrying, "retried", "orange"},
		{tandem.DeliveryRefused, "refused", "purple"}, {tandem.DeliveryDead, "dead", "red"}}
	p := part.PlotData{Height: 140}
	for _, b := range v.rate {
		p.X = append(p.X, float64(b.At.Unix()))
	}
	all := 0
	for _, k := range kinds {
		s := part.Series{Label: k.label, Color: k.color}
		for _, b := range v.rate {
			s.Values = append(s.Values, part.Value(float64(b.Counts[k.status])))
			if k.status == tandem.DeliveryStored {
				all += b.Counts[k.status]
			}
		}
		p.Series = append(p.Series, s)
	}
	p.Summary = fmt.Sprintf("Deliveries by the minute over the last three hours: %s received.", part.Number(all))
	return p
}

// any reports whether the plot would show something.
func (v listing) any() bool {
	return slices.ContainsFunc(v.rate, func(b tandem.DeliveryBucket) bool {
		for _, n := range b.Counts {
			if n > 0 {
				return true
			}
		}
		return false
	})
}
