package mqtt

import (
	"bytes"
	"encoding/json"
	"strings"

	"tandem"
	"tandem/report"
)

// mostStatus is how large a status may be, in bytes: of each device the one that it had retained is kept.
const mostStatus = 1 << 10

// readStatus reads whether a device is there: online or offline, as text or JSON, or true or false, or an object that has
// one of these as status or online.
func readStatus(body []byte) (online bool, err error) {
	if len(body) > mostStatus {
		return false, tandem.Errorf(tandem.Invalid, "", "", "a status may have %d bytes", mostStatus)
	}
	var value any = string(bytes.TrimSpace(body))
	if decoded, err := report.DecodeJSON(body); err == nil {
		value = decoded
	}
	if object, ok := value.(map[string]any); ok {
		value = object["status"]
		if value == nil {
			value = object["online"]
		}
	}
	switch v := value.(type) {
	case bool:
		return v, nil
	case json.Number:
		if v == "0" || v == "1" {
			return v == "1", nil
		}
	case string:
		switch strings.ToLower(v) {
		case string(tandem.Online):
			return true, nil
		case string(tandem.Offline):
			return false, nil
		}
	}
	return false, tandem.Errorf(tandem.Malformed, "", "", "the status is neither online nor offline")
}
