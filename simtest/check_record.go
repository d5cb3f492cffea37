package simtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem"
)

// snapshot reads the whole device that the entry of a creation holds.
func snapshot(raw json.RawMessage) facts {
	var s tandem.Shared
	if len(raw) == 0 || string(raw) == "null" {
		return facts{}
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return facts{"name": "unreadable: " + err.Error()}
	}
	s.Known = tandem.SharedFields
	return factsOf(s)
}

// conflictsHonest: S9. A conflict is open because the sides differ, and shows both.
func conflictsHonest(v *view) (wrong []string) {
	seen := map[string]bool{}
	for _, c := range v.conflicts {
		if !c.Open() {
			continue
		}
		where := fmt.Sprintf("the conflict %s about %s of %s/%s", c.ID, c.FieldName, c.DeviceID, c.ExternalDeviceID)
		if k := c.DeviceID + " " + c.ExternalDeviceID + " " + string(c.FieldName); seen[k] {
			wrong = append(wrong, where+" is open twice")
		} else {
			seen[k] = true
		}
		d, ok := v.local[c.DeviceID]
		there, live := v.remote[c.ExternalDeviceID]
		if c.FieldName == "" || !ok || d.deleted || !live || v.frozen(c.DeviceID) {
			continue
		}
		for _, side := range []struct {
			name  string
			shown facts
			now   facts
		}{{"here", factsAt(c.FieldName, c.LocalValue), d.facts}, {"there", factsAt(c.FieldName, c.RemoteValue), there}} {
			if now := below(side.now, c.FieldName); !maps.Equal(side.shown, now) {
				wrong = append(wrong, fmt.Sprintf("%s shows %v %s, where %v is", where, side.shown, side.name, now))
			}
		}
	}
	return wrong
}

// below gives the facts of a path and what lies under it.
func below(f facts, root tandem.Path) facts {
	part := facts{}
	for p, value := range f {
		if within(p, root) {
			part[p] = value
		}
	}
	return part
}

// remoteEntriesTrue: what the entries say was done there is exactly what the program did there (S24).
func remoteEntriesTrue(v *view) (wrong []string) {
	told := map[string]int{}
	for i := range v.entries {
		e := &v.entries[i]
		if e.Side != tandem.RemoteSide || e.Outcome != tandem.OutcomeDone {
			continue
		}
		switch e.Action {
		case tandem.ActUpdate, tandem.ActCreate, tandem.ActRecreate:
			for _, c := range claims(e) {
				told[e.ExternalDeviceID+": "+c.String()]++
			}
		case tandem.ActDelete:
			told[e.ExternalDeviceID+": "+edge{itself, here, gone}.String()]++
		case tandem.ActLink, tandem.ActUnlink, tandem.ActConflict, tandem.ActSettle, tandem.ActDrift, tandem.ActRename, tandem.ActRead:
		}
	}
	done, overwritten := map[string]int{}, v.overwritten()
	for _, m := range v.mutations {
		if m.Side == tandem.RemoteSide && m.By == program && (m.Path != itself || m.After == gone) {
			done[m.Device+": "+m.edge.String()]++
		}
	}
	for _, what := range ids(told) {
		if told[what] > done[what] && !v.excused(what) {
			wrong = append(wrong, fmt.Sprintf("an entry says that it was done %d times, it was %d times: %s", told[what], done[what], what))
		}
	}
	for _, what := range ids(done) {
		if done[what] > told[what] && !v.excused(what) && !overwritten[what] {
			wrong = append(wrong, fmt.Sprintf("it was done %d times, entries say %d times: %s", done[what], told[what], what))
		}
	}
	return wrong
}

// overwritten are the program's remote values that a person replaced: when that was before the next run, what
// a killed process had written is not to be seen any more, and nobody can tell it.
func (v *view) overwritten() map[string]bool {
	found, last := map[string]bool{}, map[string]mutation{}
	for _, m := range v.mutations {
		if m.Side != tandem.RemoteSide {
			continue
		}
		at := m.Device + " " + string(m.Path)
		if was := last[at]; m.By == person && was.By == program {
			found[was.Device+": "+was.edge.String()] = true
		}
		last[at] = m
	}
	return found
}

// excused reports whether a line is about a path where the window of S23 was hit, or about enabled, where a
// person may have done just what the program was about to do.
func (v *view) excused(what string) bool {
	device, rest, _ := strings.Cut(what, ": ")
	path, _, _ := strings.Cut(rest, " from ")
	return v.raced(device, tandem.Path(path)) || path == "enabled" && slices.ContainsFunc(v.by[key(tandem.RemoteSide, device)],
		func(m mutation) bool { return m.By == person && m.Path == "enabled" && m.Before != "" })
}

// localEntriesTrue: what people did and what the entries say was done lead from nothing to what is here:
// for each path, every value is left as often as it is reached, but for the one that stands.
func localEntriesTrue(v *view) (wrong []string) {
	for _, id := range ids(v.local) {
		balance := map[tandem.Path]map[string]int{}
		step := func(e edge) {
			if balance[e.Path] == nil {
				balance[e.Path] = map[string]int{}
			}
			balance[e.Path][e.Before]--
			balance[e.Path][e.After]++
		}
		for _, m := range v.by[key(tandem.LocalSide, id)] {
			if m.Path != itself {
				step(m.edge)
			}
		}
		for i := range v.localEdit[id] {
			for _, c := range claims(&v.localEdit[id][i]) {
				step(c)
			}
		}
		for p := range v.local[id].facts {
			if balance[p] == nil && p != itself {
				balance[p] = map[string]int{}
			}
		}
		for _, p := range slices.Sorted(maps.Keys(balance)) {
			balance[p][""]++
			balance[p][v.local[id].facts[p]]--
			for _, value := range ids(balance[p]) {
				if n := balance[p][value]; n != 0 && !(strings.HasPrefix(string(p), "metadata") && v.unselected()) {
					wrong = append(wrong, fmt.Sprintf("%s: %s is %s; going by people and entries, %s was reached %d times more than left",
						v.say(id), p, orNothing(v.local[id].facts[p]), orNothing(value), n))
				}
			}
		}
	}
	return wrong
}

// unselected reports whether metadata is not synced: then pictures leave it out.
func (v *view) unselected() bool { return !v.metadata }

// settled: a run that ended leaves no intent and no other run under way (S24), but for those that said how
// long they would live and whose time is not over.
func settled(v *view) (wrong []string) {
	for _, in := range v.intents {
		wrong = append(wrong, fmt.Sprintf("the intent %s to %s %s/%s is still open", in.ID, in.Kind, in.DeviceID, in.ExternalDeviceID))
	}
	for _, r := range v.runs {
		var details struct {
			Until time.Time `json:"waiting_until"`
		}
		if len(r.Details) > 0 {
			if err := json.Unmarshal(r.Details, &details); err != nil {
				wrong = append(wrong, fmt.Sprintf("the run %s has details that cannot be read: %v", r.ID, err))
			}
		}
		if !r.Status.Ended() && details.Until.Before(v.taken) {
			wrong = append(wrong, fmt.Sprintf("the run %s is still %s", r.ID, r.Status))
		}
	}
	return wrong
}
