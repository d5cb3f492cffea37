package part

import (
	"encoding/json"

	"tandem"
)

// SideText names one of the two systems for people.
func SideText(s tandem.Side) string {
	if s == tandem.RemoteSide {
		return "Golioth"
	}
	return "Here"
}

// ActionText says what a change does.
func ActionText(a tandem.Action) string {
	switch a {
	case tandem.ActCreate:
		return "create"
	case tandem.ActUpdate:
		return "change"
	case tandem.ActDelete:
		return "delete"
	case tandem.ActLink:
		return "link"
	case tandem.ActUnlink:
		return "unlink"
	case tandem.ActRecreate:
		return "create again"
	case tandem.ActConflict:
		return "conflict"
	case tandem.ActSettle:
		return "settle conflict"
	case tandem.ActDrift:
		return "leave different"
	case tandem.ActRename:
		return "rename"
	case tandem.ActRead:
		return "not readable"
	}
	return string(a)
}

func actionColor(a tandem.Action) string {
	switch a {
	case tandem.ActDelete, tandem.ActRead:
		return "red"
	case tandem.ActUnlink, tandem.ActRecreate, tandem.ActConflict:
		return "orange"
	case tandem.ActCreate, tandem.ActLink:
		return "green"
	case tandem.ActDrift:
		return "secondary"
	}
	return "azure"
}

// FieldText names a field for people; leaves of metadata by their path.
func FieldText(p tandem.Path) string {
	if p == "" {
		return "device"
	}
	f, ok := p.Field()
	if !ok {
		return string(p)
	}
	if pointer := p.Pointer(); pointer != "" {
		return FieldLabel(f) + " " + pointer[1:]
	}
	return FieldLabel(f)
}

// FieldLabel names a field for people.
func FieldLabel(f tandem.Field) string {
	switch f {
	case tandem.FieldHardwareIDs:
		return "hardware ids"
	case tandem.FieldStatus:
		return "last seen and online"
	}
	return f.String()
}

// whole reports whether a change's values are whole devices, which are folded away in a table.
func whole(c tandem.Change) bool {
	return c.Path == "" && (kindOf(c.After) == "object" || kindOf(c.Before) == "object")
}

// nothing reports whether there is no value.
func nothing(raw json.RawMessage) bool { return kindOf(raw) == "nothing" }

// changeName names a change's device as well as is known.
func changeName(c tandem.Change) string {
	switch {
	case c.DeviceName != "":
		return c.DeviceName
	case c.ExternalDeviceID != "":
		return c.ExternalDeviceID
	case c.DeviceID != "":
		return c.DeviceID
	}
	return "the service"
}
