package device

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"tandem"
	"tandem/web/part"
	"tandem/web/shell"
)

// promise says in one line what a confirmation does.
func (m many) promise() string {
	n := m.Result.Changed
	about := ""
	if m.Result.Looked < m.Sel.Count {
		about = "At least "
	}
	switch {
	case n == 0:
		return "Nothing would change."
	case m.Do == "delete":
		return about + part.Count(n, "device is", "devices are") + " deleted."
	case m.Do == "unlink":
		return about + part.Count(n, "device is", "devices are") + " unlinked from " + m.service().Name + "."
	}
	return about + part.Count(n, "device changes.", "devices change.")
}

// order is what the button that does it says.
func (m many) order() string {
	verb := map[string]string{"edit": "Change", "tag": "Change tags of", "unlink": "Unlink", "delete": "Delete"}[m.Do]
	n := m.Result.Changed
	if m.Result.Looked < m.Sel.Count {
		n = m.Sel.Count
	}
	return verb + " " + part.Count(n, "device", "devices")
}

// chosenService is the one chosen or filtered by, or the only one.
func chosenService(m many) string {
	if id := m.c.Form("service"); id != "" {
		return id
	}
	if id := m.Sel.filter().ServiceID; id != "" {
		return id
	}
	return firstID(m.services)
}

// firstID is the id of the only service, "" where there are others.
func firstID(all []tandem.Service) string {
	if len(all) == 1 {
		return all[0].ID
	}
	return ""
}

// reason says why something failed, and what to do.
func reason(err error) string {
	if err == nil {
		return ""
	}
	message, hint := shell.Explain(err)
	if hint != "" {
		message += ". " + hint
	}
	return message
}

// some lists the first ones.
func some(all []string, most int) string {
	if len(all) == 0 {
		return "none."
	}
	if len(all) > most {
		return strings.Join(all[:most], ", ") + ", …"
	}
	return strings.Join(all, ", ") + "."
}

func has(all []string, one string) bool { return slices.Contains(all, one) }

// rawOf writes a value as JSON, to be shown.
func rawOf(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return nil // such a value shows as nothing
	}
	return text
}

// percent writes a battery's level.
func percent(level float64) string { return strconv.FormatFloat(level, 'f', -1, 64) + " %" }

// yesOrNo is the choice of a switch.
var yesOrNo = []part.Option{{Value: "yes", Label: "Yes"}, {Value: "no", Label: "No"}}

// formats are the kinds of files.
var formats = []part.Option{{Value: "csv", Label: "CSV, for spreadsheets"}, {Value: "json", Label: "JSON, one document"}, {Value: "jsonl", Label: "JSON lines, one device a line"}}
