package simtest

import (
	"fmt"
	"slices"
	"strings"

	"tandem"
)

// onlyOnce: S14. Nothing is made, or linked, twice.
func onlyOnce(v *view) (wrong []string) {
	linked := map[string]string{}
	holder := map[tandem.Path]string{}
	for _, id := range ids(v.local) {
		d := v.local[id]
		if d.external != "" {
			if other := linked[d.external]; other != "" {
				wrong = append(wrong, fmt.Sprintf("%s and %s are linked to the same remote device", v.say(id), v.say(other)))
			}
			linked[d.external] = id
		}
		if d.deleted {
			continue
		}
		for p := range d.facts {
			if strings.HasPrefix(string(p), "hardware_ids/") {
				if other := holder[p]; other != "" {
					wrong = append(wrong, fmt.Sprintf("%s and %s both have %s", v.say(id), v.say(other), p))
				}
				holder[p] = id
			}
		}
	}
	made := map[string]int{}
	for _, m := range v.mutations {
		if m.Side == tandem.RemoteSide && m.By == program && m.Path == itself && m.After == here {
			made[v.deviceOf(m.Device)]++
		}
	}
	for _, id := range ids(made) {
		most := 1
		for _, x := range v.twins[id] {
			if v.deletedThere(x) {
				most++ // made anew (S16)
			}
		}
		if id == "" || made[id] > most {
			wrong = append(wrong, fmt.Sprintf("the program made %d remote devices for %s", made[id], v.say(id)))
		}
	}
	return wrong
}

// deviceOf gives the local device that a remote one was ever linked to.
func (v *view) deviceOf(external string) string {
	for _, id := range ids(v.twins) {
		if slices.Contains(v.twins[id], external) {
			return id
		}
	}
	return ""
}

// deletedThere reports whether a person, or the program, deleted a remote device.
func (v *view) deletedThere(external string) bool { return v.ended(tandem.RemoteSide, external, "") }

// ended reports whether a device was deleted on a side, by whom if that is asked.
func (v *view) ended(side tandem.Side, device string, by who) bool {
	return slices.ContainsFunc(v.by[key(side, device)], func(m mutation) bool {
		return m.Path == itself && m.After == gone && (by == "" || m.By == by)
	})
}

// creations: S13. What is on one side only is made on the other where the settings say so.
func creations(v *view) (wrong []string) {
	ambiguous := map[string]bool{}
	for _, c := range v.conflicts {
		if c.Open() && c.Type == tandem.AmbiguousMatch {
			ambiguous[c.ExternalDeviceID] = true
			ambiguous["any"] = true
		}
	}
	for _, x := range ids(v.remote) {
		if v.owner[x] != "" || ambiguous[x] {
			continue
		}
		if v.createLocal && v.direction != tandem.Export {
			wrong = append(wrong, fmt.Sprintf("the remote device %s (%s) is not here", x, v.remote[x]["name"]))
		} else if !v.notLinked[x] {
			wrong = append(wrong, fmt.Sprintf("the remote device %s (%s) is neither linked nor listed as not linked", x, v.remote[x]["name"]))
		}
	}
	for _, id := range ids(v.local) {
		d := v.local[id]
		if d.external == "" && !d.deleted && v.createRemote && v.direction != tandem.Import && !ambiguous["any"] {
			wrong = append(wrong, v.say(id)+" is not there")
		}
		if d.external == "" || v.direction != tandem.Import || v.decided(id) {
			continue
		}
		for _, m := range v.by[key(tandem.RemoteSide, d.external)] {
			if m.By == program && !v.chosen(id, m.Path, m.After) {
				wrong = append(wrong, fmt.Sprintf("%s: an import wrote there: %s", v.say(id), m.edge))
			}
		}
	}
	return wrong
}

// decided reports whether a person settled what becomes of a deleted device (S10).
func (v *view) decided(id string) bool {
	return slices.ContainsFunc(v.recorded[id], func(c tandem.Conflict) bool {
		return c.FieldName == "" && c.Status == tandem.ConflictResolved
	})
}

// deletions: S15, S16, S17.
func deletions(v *view) (wrong []string) {
	for _, id := range ids(v.local) {
		d := v.local[id]
		byPerson := v.ended(tandem.LocalSide, id, person)
		if byPerson && !d.deleted {
			wrong = append(wrong, v.say(id)+" was deleted here and is back")
		}
		if d.deleted && !byPerson && (v.onRemoteDelete != tandem.DeleteLocal || !slices.ContainsFunc(v.twins[id], v.deletedThere)) {
			wrong = append(wrong, v.say(id)+" is deleted here, and nobody did that")
		}
		_, there := v.remote[d.external]
		switch {
		case d.external == "" || v.frozen(id) || v.decided(id):
		case d.deleted && d.linked() && !(v.direction == tandem.Import && v.deleteRemote): // an import cannot delete there
			wrong = append(wrong, v.say(id)+" is deleted here and still linked")
		case byPerson && there && v.deleteRemote && v.direction != tandem.Import:
			wrong = append(wrong, v.say(id)+" was deleted here and is still there, without a conflict")
		case !d.deleted && d.linked() && !there && v.direction == tandem.Bidirectional:
			wrong = append(wrong, v.say(id)+" is gone there, and that was not followed")
		case !d.deleted && d.unlinked && there:
			wrong = append(wrong, v.say(id)+" is unlinked though neither side was deleted")
		}
	}
	for _, m := range v.mutations {
		if m.Side == tandem.RemoteSide && m.By == program && m.After == gone && m.Path == itself {
			if id := v.deviceOf(m.Device); !v.ended(tandem.LocalSide, id, person) {
				wrong = append(wrong, fmt.Sprintf("the program deleted the remote device %s of %s, which nobody deleted here", m.Device, v.say(id)))
			} else if !v.deleteRemote {
				wrong = append(wrong, fmt.Sprintf("the program deleted the remote device %s, which the settings do not allow", m.Device))
			}
		}
	}
	return wrong
}
