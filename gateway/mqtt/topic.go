package mqtt

import (
	"strings"
)

// The words of topics: tandem/{organization}/devices/{device}/ and one of the places.
const (
	root           = "tandem"
	devicesWord    = "devices"
	telemetryPlace = "telemetry" // a path may follow
	statusPlace    = "status"
	commandsPlace  = "commands" // to the device; with a command's id, what the device says of it
)

// place is what a topic below a device's name is for.
type place int

const (
	nowhere   place = iota
	telemetry       // what the device reports
	status          // whether it is there
	commands        // what it is told to do
	answer          // what it says of a command
)

// topic is one of ours, taken apart.
type topic struct {
	organization string // its slug
	device       string // tandem.Device.DeviceID
	place        place
	rest         string // the path of telemetry, or the id of a command
}

// parseTopic takes the name of a topic apart; false where it is none of ours.
func parseTopic(name string) (t topic, ok bool) {
	parts := strings.SplitN(name, "/", 5)
	if len(parts) != 5 || parts[0] != root || parts[2] != devicesWord || parts[1] == "" || parts[3] == "" {
		return topic{}, false
	}
	t = topic{organization: parts[1], device: decodeLevel(parts[3])}
	t.place, t.rest = placeOf(parts[4])
	return t, t.place != nowhere
}

// placeOf tells what is below a device's name.
func placeOf(below string) (place, string) {
	word, rest, deeper := strings.Cut(below, "/")
	switch {
	case word == telemetryPlace:
		return telemetry, strings.Trim(rest, "/")
	case below == statusPlace:
		return status, ""
	case below == commandsPlace:
		return commands, ""
	case word == commandsPlace && deeper && rest != "" && !strings.Contains(rest, "/"):
		return answer, rest
	}
	return nowhere, ""
}

// prefixOf is what all topics of a device begin with.
func prefixOf(organization, device string) string {
	return root + "/" + organization + "/" + devicesWord + "/" + encodeLevel(device) + "/"
}

var encoder = strings.NewReplacer("%", "%25", "/", "%2F", "+", "%2B", "#", "%23", "\x00", "%00")

// encodeLevel writes a device's id as one level of a topic: with %2F for a slash, and so on.
func encodeLevel(id string) string { return encoder.Replace(id) }

// decodeLevel undoes encodeLevel; what is no escape stands for itself.
func decodeLevel(level string) string {
	if !strings.Contains(level, "%") {
		return level
	}
	var b strings.Builder
	for i := 0; i < len(level); i++ {
		if level[i] == '%' && i+2 < len(level) {
			high, low := hexDigit(level[i+1]), hexDigit(level[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(level[i])
	}
	return b.String()
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// validFilter reports whether a filter has its wildcards where they may be.
func validFilter(filter string) bool {
	if filter == "" || strings.Contains(filter, "\x00") {
		return false
	}
	for {
		level, rest, more := strings.Cut(filter, "/")
		if level != "+" && level != "#" && strings.ContainsAny(level, "+#") || level == "#" && more {
			return false
		}
		if !more {
			return true
		}
		filter = rest
	}
}

// matches reports whether a valid filter covers a topic.
func matches(filter, name string) bool {
	for {
		level, filterRest, moreFilter := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		word, nameRest, moreName := strings.Cut(name, "/")
		if level != "+" && level != word {
			return false
		}
		if !moreName {
			return !moreFilter || filterRest == "#" // a/# covers a too
		}
		if !moreFilter {
			return false
		}
		filter, name = filterRest, nameRest
	}
}
