package device

import (
	"net/url"
	"strconv"
	"strings"

	"tandem"
)

// any reports whether there is something to show.
func (t troubles) any() bool { return len(t.conflicts)+len(t.failed)+len(t.runs) > 0 }

// width gives each of the two cards half of the page, and one that is alone the whole.
func (t troubles) width() string {
	if len(t.conflicts) > 0 && len(t.failed)+len(t.runs) > 0 {
		return "col-lg-6"
	}
	return "col-12"
}

// place writes a location in degrees.
func place(l *tandem.Location) string {
	text := strconv.FormatFloat(l.Latitude, 'f', 5, 64) + ", " + strconv.FormatFloat(l.Longitude, 'f', 5, 64)
	if l.Accuracy > 0 {
		text += " (± " + strconv.FormatFloat(l.Accuracy, 'f', 0, 64) + " m)"
	}
	return text
}

// mapLink leads to a map of a location, only when somebody follows it.
func mapLink(l *tandem.Location) string {
	lat, lon := strconv.FormatFloat(l.Latitude, 'f', 6, 64), strconv.FormatFloat(l.Longitude, 'f', 6, 64)
	return "https://www.openstreetmap.org/?mlat=" + lat + "&mlon=" + lon + "#map=14/" + lat + "/" + lon
}

func escape(text string) string { return url.QueryEscape(text) }

// onSide says on which side.
func onSide(s tandem.Side) string {
	if s == tandem.RemoteSide {
		return "on the service"
	}
	return "here"
}

// singular makes a sentence about many one about one.
func singular(text string) string { return strings.Replace(text, "them", "it", 1) }
