package conflict

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/web/part"
)

// types are the kinds in the order in which they are offered.
var types = []tandem.ConflictType{tandem.ConcurrentModification, tandem.InitialMismatch, tandem.AmbiguousMatch, tandem.DeletedRemotely, tandem.DeletedLocally}

// choice is one way to settle a conflict, as it is offered.
type choice struct {
	take   tandem.Choice
	label  string
	key    string // that presses it
	ask    string // what is asked before it is done at once; "" for nothing
	dialog string // the last part of the address of the dialog that it opens instead, "" for none
	strong bool
}

// choicesOf are the ways to settle a kind, in the order in which they are offered.
func choicesOf(t tandem.ConflictType) []choice {
	switch t {
	case tandem.ConcurrentModification, tandem.InitialMismatch:
		return []choice{{take: tandem.TakeLocal, label: "Use local", key: "l"}, {take: tandem.TakeRemote, label: "Use Golioth", key: "g"},
			{take: tandem.TakeValue, label: "Edit value", key: "e", dialog: "edit"}, {take: tandem.TakeIgnore, label: "Ignore", key: "i"}}
	case tandem.AmbiguousMatch:
		return []choice{{take: tandem.TakeLink, label: "Link to …", key: "l", dialog: "link"}, {take: tandem.TakeCreate, label: "Create a new device here", key: "c"},
			{take: tandem.TakeIgnore, label: "Ignore", key: "i"}}
	case tandem.DeletedRemotely:
		return []choice{{take: tandem.TakeRecreate, label: "Create on Golioth again", key: "r", ask: "Create the device on Golioth again? It gets a new Golioth id; its credentials there are lost."},
			{take: tandem.TakeUnlink, label: "Keep here, unlink", key: "u"},
			{take: tandem.TakeDelete, label: "Delete here too", key: "d", ask: "Delete the device here too?", strong: true}}
	case tandem.DeletedLocally:
		return []choice{{take: tandem.TakeRecreate, label: "Bring back here", key: "r"}, {take: tandem.TakeUnlink, label: "Leave on Golioth, unlink", key: "u"},
			{take: tandem.TakeDelete, label: "Delete on Golioth too", key: "d", ask: "Delete the device on Golioth too? Its credentials and data there are lost.", strong: true}}
	}
	return nil
}

// fits reports whether a choice settles a kind.
func fits(take tandem.Choice, t tandem.ConflictType) bool {
	return slices.ContainsFunc(choicesOf(t), func(c choice) bool { return c.take == take })
}

// tookText says what somebody chose, after the fact.
func tookText(strategy string) string {
	switch strategy {
	case string(tandem.TakeLocal), string(tandem.LocalWins):
		return "the local value was used"
	case string(tandem.TakeRemote), string(tandem.RemoteWins):
		return "Golioth's value was used"
	case string(tandem.NewestWins):
		return "the newer value was used"
	case string(tandem.TakeValue):
		return "another value was entered"
	case string(tandem.TakeIgnore):
		return "both sides keep what they have"
	case string(tandem.TakeLink):
		return "it was linked"
	case string(tandem.TakeCreate):
		return "a new device was created here"
	case string(tandem.TakeDelete):
		return "it was deleted on the other side too"
	case string(tandem.TakeRecreate):
		return "it was created again"
	case string(tandem.TakeUnlink):
		return "it was unlinked"
	}
	return strategy
}

// endText says how a closed conflict ended.
func endText(c *tandem.Conflict) string {
	switch c.Status {
	case tandem.ConflictConverged:
		return "It ended by itself: the two sides no longer differ, or only one has changed."
	case tandem.ConflictSuperseded:
		return "It ended by itself: its device or field is gone."
	case tandem.ConflictAutoResolved:
		return "Settled by the service's rule: " + tookText(c.ResolutionStrategy) + "."
	case tandem.ConflictPending, tandem.ConflictResolving:
		return ""
	case tandem.ConflictResolved, tandem.ConflictIgnored:
	}
	by := c.ResolvedBy
	if by == "" {
		by = "somebody"
	}
	return "Settled by " + by + ": " + tookText(c.ResolutionStrategy) + "."
}

// endedAgo is endText with when, for a message.
func endedAgo(c *tandem.Conflict, now time.Time) string {
	text := strings.TrimSuffix(endText(c), ".")
	if c.ResolvedAt != nil {
		text += " (" + part.AgoText(*c.ResolvedAt, now) + ")"
	}
	return text + "."
}

// nothing reports whether a value is none.
func nothing(raw json.RawMessage) bool {
	text := bytes.TrimSpace(raw)
	return len(text) == 0 || bytes.Equal(text, []byte("null"))
}

// against is what a side's value is marked against: what both had when they last agreed, else the other side's.
func against(c *tandem.Conflict, other json.RawMessage) json.RawMessage {
	if c.Type == tandem.InitialMismatch || nothing(c.BaseValue) {
		return other
	}
	return c.BaseValue
}

// candidatesOf gives the ids of the devices that an ambiguous match may mean.
func candidatesOf(c *tandem.Conflict) []string {
	if c.Type != tandem.AmbiguousMatch {
		return nil
	}
	var ids []string
	if json.Unmarshal(c.LocalValue, &ids) != nil {
		return nil
	}
	return ids
}

// remoteOf gives the remote device of an ambiguous match.
func remoteOf(c *tandem.Conflict) tandem.RemoteDevice {
	var d tandem.RemoteDevice
	if json.Unmarshal(c.RemoteValue, &d) != nil || d.ID == "" {
		d.ID, d.Name = c.ExternalDeviceID, c.DeviceName
	}
	return d
}

// fieldEdit is one field that the side that is left was changed in.
type fieldEdit struct {
	field         string
	before, after json.RawMessage
}

// editsSince gives the fields that differ between a deleted device's base and the side that is left.
func editsSince(c *tandem.Conflict) []fieldEdit {
	left := c.LocalValue
	if c.Type == tandem.DeletedLocally {
		left = c.RemoteValue
	}
	var before, after tandem.Shared
	if json.Unmarshal(c.BaseValue, &before) != nil || json.Unmarshal(left, &after) != nil {
		return nil
	}
	var edits []fieldEdit
	for field := tandem.FieldName; field <= tandem.FieldMetadata; field++ {
		if !before.Known.Has(field) || !after.Known.Has(field) {
			continue
		}
		was, is := valueOf(&before, field), valueOf(&after, field)
		if part.Readable(was) != part.Readable(is) {
			edits = append(edits, fieldEdit{field.String(), was, is})
		}
	}
	return edits
}

// valueOf gives a field of a side as JSON.
func valueOf(s *tandem.Shared, field tandem.Field) json.RawMessage {
	all := map[tandem.Field]any{tandem.FieldName: s.Name, tandem.FieldEnabled: s.Enabled, tandem.FieldHardwareIDs: s.HardwareIDs, tandem.FieldTags: s.Tags,
		tandem.FieldBlueprint: s.Blueprint, tandem.FieldCohort: s.Cohort, tandem.FieldMetadata: s.Metadata}
	text, err := json.Marshal(all[field])
	if err != nil {
		return nil // what was read as JSON can be written as such
	}
	return text
}

// nameOf is what a conflict's device is called.
func nameOf(c *tandem.Conflict) string {
	switch {
	case c.DeviceName != "":
		return c.DeviceName
	case c.DeviceID != "":
		return c.DeviceID
	}
	return c.ExternalDeviceID
}
