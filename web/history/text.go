package history

import (
	"slices"
	"strconv"

	"tandem"
	"tandem/web/part"
)

// The filters' choices.
var (
	statuses   = []part.Option{{Value: "", Label: "Any"}, {Value: "running", Label: "Running"}, {Value: "queued", Label: "Queued"}, {Value: "completed", Label: "Completed"}, {Value: "partial", Label: "Partial"}, {Value: "failed", Label: "Failed"}, {Value: "blocked", Label: "Blocked"}, {Value: "canceled", Label: "Canceled"}, {Value: "interrupted", Label: "Interrupted"}}
	operations = []part.Option{{Value: "", Label: "Any"}, {Value: "bidirectional", Label: "Full sync"}, {Value: "import", Label: "Import"}, {Value: "export", Label: "Export"}, {Value: "webhook", Label: "Webhook"}, {Value: "revert", Label: "Undo"}}
	triggers   = []part.Option{{Value: "", Label: "Any"}, {Value: "manual", Label: "By hand"}, {Value: "schedule", Label: "Schedule"}, {Value: "edit", Label: "Edit"}, {Value: "webhook", Label: "Webhook"}}
	outcomes   = []part.Option{{Value: "", Label: "Any"}, {Value: "done", Label: "Done"}, {Value: "failed", Label: "Failed"}, {Value: "moved", Label: "Moved"}, {Value: "held", Label: "Held"}, {Value: "pending", Label: "Pending"}}
	actions    = []part.Option{{Value: "", Label: "Any"}, {Value: "create", Label: "Create"}, {Value: "update", Label: "Change"}, {Value: "delete", Label: "Delete"}, {Value: "link", Label: "Link"}, {Value: "unlink", Label: "Unlink"}, {Value: "recreate", Label: "Create again"}, {Value: "conflict", Label: "Conflict"}, {Value: "settle", Label: "Settle conflict"}, {Value: "drift", Label: "Leave different"}, {Value: "rename", Label: "Rename"}, {Value: "read", Label: "Not readable"}}
	sides      = []part.Option{{Value: "", Label: "Both"}, {Value: "local", Label: "Here"}, {Value: "remote", Label: "Golioth"}}
)

func serviceOptions(v listing) []part.Option {
	options := []part.Option{{Value: "", Label: "All"}}
	for _, s := range v.services {
		options = append(options, part.Option{Value: s.ID, Label: s.Name})
	}
	return options
}

// serviceName gives a service's name, "" for one that is gone.
func (v listing) serviceName(id string) string {
	for _, s := range v.services {
		if s.ID == id {
			return s.Name
		}
	}
	return ""
}

// stateTrigger has a run that goes on looked at every second, and one that ended no more than others.
func stateTrigger(r *tandem.Run) string {
	if r.Status.Ended() {
		return "runs from:body throttle:2s, reset from:body"
	}
	return "every 1s, runs from:body throttle:1s"
}

func phaseText(s tandem.RunStatus, phase string) string {
	if s == tandem.RunQueued {
		return "Waiting for its turn"
	}
	return part.PhaseText(phase)
}

// whatText says what a change does, and where.
func whatText(a tandem.Action, s tandem.Side) string {
	if a == tandem.ActConflict {
		return part.ActionText(a)
	}
	return part.ActionText(a) + " " + sideText(s)
}

func sideText(s tandem.Side) string {
	if s == tandem.RemoteSide {
		return "on Golioth"
	}
	return "here"
}

func entryName(e tandem.Entry) string { return changeName(e.Change) }

func changeName(c tandem.Change) string {
	switch {
	case c.DeviceName != "":
		return c.DeviceName
	case c.ExternalDeviceID != "":
		return c.ExternalDeviceID
	}
	return c.DeviceID
}

func deviceName(d tandem.EntryDevice) string {
	switch {
	case d.DeviceName != "":
		return d.DeviceName
	case d.ExternalDeviceID != "":
		return d.ExternalDeviceID
	}
	return d.DeviceID
}

func causeText(g tandem.EntryGroup) string {
	switch {
	case g.Error != "":
		return part.NoteText(g.Error)
	case g.Outcome == tandem.OutcomeMoved:
		return "the device kept changing while it was merged; the next run takes it up"
	case g.Outcome == tandem.OutcomePending:
		return "waits for a person to decide"
	case g.Outcome == tandem.OutcomeHeld:
		return "held back"
	}
	return string(g.Action)
}

// shared reports whether another device of a group has the same name, so that the names alone do not tell them apart.
func shared(g tandem.EntryGroup, d tandem.EntryDevice) bool {
	return slices.ContainsFunc(g.Devices, func(other tandem.EntryDevice) bool { return other != d && deviceName(other) == deviceName(d) })
}

// canUndo reports whether a run has done something that could be undone.
func canUndo(r *tandem.Run) bool {
	s := r.Summary
	return r.Status.Ended() && s.Local != tandem.Counts{} || r.Status.Ended() && s.Remote != tandem.Counts{}
}

func plain(n int) string { return strconv.Itoa(n) }

func (v one) downloadPath(kind string) string {
	l := v.l
	l.Path = v.c.Path("history", v.run.ID, "entries."+kind)
	return l.With("page", "")
}
