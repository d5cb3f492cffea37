package simtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tandem"
)

// laws are what must hold of a world at rest. Each gives what breaks it, in words.
var laws = []struct {
	name  string
	check func(*view) []string
}{
	{"both sides agree, or the difference is accounted for", agree},
	{"no edit is lost", nothingLost},
	{"what both sides hold is what somebody wrote last", lastWord},
	{"an open conflict shows the two sides as they are", conflictsHonest},
	{"no entry is false and no change untold on the remote", remoteEntriesTrue},
	{"no entry is false and no change untold here", localEntriesTrue},
	{"no device exists twice", onlyOnce},
	{"creations follow the settings", creations},
	{"deletions follow the settings", deletions},
	{"nothing is left open", settled},
}

// check gives everything that is wrong with a picture.
func check(p *picture) []string {
	v := newView(p)
	var wrong []string
	for _, law := range laws {
		for _, breach := range law.check(v) {
			wrong = append(wrong, law.name+": "+breach)
		}
	}
	return wrong
}

// view is a picture with its indexes.
type view struct {
	*picture
	twins     map[string][]string // by Device.ID: every external id it was ever linked to
	owner     map[string]string   // by external id: the device it was linked to last
	by        map[string][]mutation
	open      map[string][]tandem.Conflict // by Device.ID
	recorded  map[string][]tandem.Conflict // by Device.ID, open or not
	localEdit map[string][]tandem.Entry    // by Device.ID: done changes of the local side
}

func newView(p *picture) *view {
	v := &view{picture: p, twins: map[string][]string{}, owner: map[string]string{}, by: map[string][]mutation{},
		open: map[string][]tandem.Conflict{}, recorded: map[string][]tandem.Conflict{}, localEdit: map[string][]tandem.Entry{}}
	link := func(device, external string) {
		if device != "" && external != "" && !slices.Contains(v.twins[device], external) {
			v.twins[device] = append(v.twins[device], external)
		}
	}
	for _, m := range p.mutations {
		v.by[key(m.Side, m.Device)] = append(v.by[key(m.Side, m.Device)], m)
	}
	for _, e := range p.entries {
		link(e.DeviceID, e.ExternalDeviceID)
		if e.Side == tandem.LocalSide && changes(&e) {
			v.localEdit[e.DeviceID] = append(v.localEdit[e.DeviceID], e)
		}
	}
	for id, d := range p.local {
		link(id, d.external)
		if d.external != "" {
			v.owner[d.external] = id
		}
	}
	for _, c := range p.conflicts {
		v.recorded[c.DeviceID] = append(v.recorded[c.DeviceID], c)
		if c.Open() {
			v.open[c.DeviceID] = append(v.open[c.DeviceID], c)
		}
	}
	return v
}

func key(side tandem.Side, device string) string { return string(side) + " " + device }

// changes reports whether an entry claims a change of a side's values.
func changes(e *tandem.Entry) bool {
	return e.Outcome == tandem.OutcomeDone && (e.Action == tandem.ActUpdate || e.Action == tandem.ActCreate || e.Action == tandem.ActRecreate)
}

// claims gives the changes of paths that an entry claims.
func claims(e *tandem.Entry) []edge {
	if e.Action != tandem.ActUpdate {
		return edges(nil, snapshot(e.After))
	}
	return edges(factsAt(e.Path, e.Before), factsAt(e.Path, e.After))
}

func (v *view) say(id string) string {
	d := v.local[id]
	return fmt.Sprintf("%s (%s, there %s)", id, d.name, orNothing(d.external))
}

func sayEntry(e *tandem.Entry) string {
	return fmt.Sprintf("%s %s %s of %s/%s: %s → %s (%s, run %s)", e.Side, e.Action, e.Path, e.DeviceID, e.ExternalDeviceID, e.Before, e.After, e.Note, e.RunID)
}

func (e edge) String() string {
	return fmt.Sprintf("%s from %s to %s", e.Path, orNothing(e.Before), orNothing(e.After))
}

// ids gives the keys of a map in order, so that the same world always says the same.
func ids[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// frozen reports whether an open conflict about the device itself holds everything (S9).
func (v *view) frozen(id string) bool {
	return slices.ContainsFunc(v.open[id], func(c tandem.Conflict) bool { return c.FieldName == "" })
}

// agree: S1, S7, S9, S10.
func agree(v *view) (wrong []string) {
	for _, id := range ids(v.local) {
		d := v.local[id]
		there, ok := v.remote[d.external]
		if !d.linked() || d.deleted || v.frozen(id) {
			continue
		}
		if !ok {
			if !v.deletedThere(d.external) {
				wrong = append(wrong, v.say(id)+" is linked to a remote device that never was")
			}
			continue
		}
		for _, e := range edges(d.facts, there) {
			if !v.explained(id, e) {
				wrong = append(wrong, fmt.Sprintf("%s: %s is %s here and %s there", v.say(id), e.Path, orNothing(e.Before), orNothing(e.After)))
			}
		}
	}
	return wrong
}

// explained reports whether a difference is an open conflict, a choice to keep both, or drift by direction.
func (v *view) explained(id string, e edge) bool {
	for _, c := range v.recorded[id] {
		if !c.Open() && c.Status != tandem.ConflictIgnored {
			continue
		}
		if (within(e.Path, c.FieldName) || within(c.FieldName, e.Path)) && c.FieldName != "" &&
			factsAt(c.FieldName, c.LocalValue)[e.Path] == e.Before && factsAt(c.FieldName, c.RemoteValue)[e.Path] == e.After {
			return true
		}
	}
	if e.Path == "name" && slices.ContainsFunc(ids(v.remote), func(x string) bool { return v.remote[x]["name"] == e.Before }) {
		return true // another device there has the name: it is refused, and the run says so
	}
	switch v.direction {
	case tandem.Import:
		return v.wrote(tandem.LocalSide, id, e.Path)
	case tandem.Export:
		return slices.ContainsFunc(v.twins[id], func(x string) bool { return v.wrote(tandem.RemoteSide, x, e.Path) })
	}
	return false
}

// wrote reports whether a person ever wrote a path of a device.
func (v *view) wrote(side tandem.Side, device string, p tandem.Path) bool {
	return slices.ContainsFunc(v.by[key(side, device)], func(m mutation) bool { return m.By == person && m.Path == p })
}

// nothingLost: a value that the program overwrote had reached the other side, or a conflict records it (S1, S8).
func nothingLost(v *view) (wrong []string) {
	for _, id := range ids(v.local) {
		heldHere, heldThere := v.held(id)
		for i := range v.localEdit[id] {
			e := &v.localEdit[id][i]
			for _, c := range claims(e) {
				if c.Before != "" && !heldThere[c.Path][c.Before] && !v.keeps(id, c.Path, c.Before, true) {
					wrong = append(wrong, fmt.Sprintf("%s: here %s, and what was here is nowhere recorded", v.say(id), c))
				}
				if c.After != "" && !heldThere[c.Path][c.After] && !strings.Contains(string(c.Path), "/tandem-") && !v.chosen(id, c.Path, c.After) {
					wrong = append(wrong, fmt.Sprintf("%s: here %s, which was never there", v.say(id), c))
				}
			}
		}
		for _, x := range v.twins[id] {
			author := map[tandem.Path]who{}
			for _, m := range v.by[key(tandem.RemoteSide, x)] {
				wrote := author[m.Path]
				author[m.Path] = m.By
				if m.By != program || m.Path == itself || v.raced(x, m.Path) {
					continue
				}
				if m.Before != "" && wrote == person && !heldHere[m.Path][m.Before] && !v.keeps(id, m.Path, m.Before, false) {
					wrong = append(wrong, fmt.Sprintf("%s: there %s, and what was there is nowhere recorded", v.say(id), m.edge))
				}
				if m.After != "" && !heldHere[m.Path][m.After] && !v.chosen(id, m.Path, m.After) && m.Path != "enabled" {
					wrong = append(wrong, fmt.Sprintf("%s: there %s, which was never here", v.say(id), m.edge))
				}
			}
		}
	}
	return wrong
}

// held gives every value that each side of a device ever had, by path.
func (v *view) held(id string) (local, remote map[tandem.Path]map[string]bool) {
	local, remote = map[tandem.Path]map[string]bool{}, map[tandem.Path]map[string]bool{}
	add := func(to map[tandem.Path]map[string]bool, e edge) {
		if to[e.Path] == nil {
			to[e.Path] = map[string]bool{}
		}
		to[e.Path][e.Before], to[e.Path][e.After] = true, true
	}
	for _, m := range v.by[key(tandem.LocalSide, id)] {
		add(local, m.edge)
	}
	for i := range v.localEdit[id] {
		for _, c := range claims(&v.localEdit[id][i]) {
			add(local, c)
		}
	}
	for p, value := range v.local[id].facts {
		add(local, edge{p, value, value})
	}
	for _, x := range v.twins[id] {
		for _, m := range v.by[key(tandem.RemoteSide, x)] {
			add(remote, m.edge)
		}
	}
	return local, remote
}

// keeps reports whether some conflict, open or closed, records a value of a side.
func (v *view) keeps(id string, p tandem.Path, value string, local bool) bool {
	return slices.ContainsFunc(v.recorded[id], func(c tandem.Conflict) bool {
		side := c.RemoteValue
		if local {
			side = c.LocalValue
		}
		return c.FieldName != "" && factsAt(c.FieldName, side)[p] == value
	})
}

// chosen reports whether a person settled a conflict with a value of their own (S10).
func (v *view) chosen(id string, p tandem.Path, value string) bool {
	return slices.ContainsFunc(v.recorded[id], func(c tandem.Conflict) bool {
		return c.FieldName != "" && factsAt(c.FieldName, c.ResolvedValue)[p] == value
	})
}

// raced reports whether a person's write of the path fell into the window of S23.
func (v *view) raced(external string, p tandem.Path) bool {
	return slices.ContainsFunc(v.by[key(tandem.RemoteSide, external)], func(m mutation) bool { return m.Raced && m.Path == p })
}

// lastWord: a scalar that both sides hold is the last value that a person gave it on one of them; an
// element is there when somebody added it and nobody took it out, since no name is used twice (S2).
func lastWord(v *view) (wrong []string) {
	for _, id := range ids(v.local) {
		d := v.local[id]
		there, ok := v.remote[d.external]
		if !d.linked() || d.deleted || !ok || v.frozen(id) {
			continue
		}
		last, every := v.words(id)
		paths := maps.Clone(every)
		for p := range d.facts {
			paths[p] = append(paths[p], "")
		}
		for p := range paths {
			now := d.facts[p]
			if p == itself || now != there[p] || v.racedAny(id, p) {
				continue
			}
			switch {
			case isElement(p):
				if strings.HasPrefix(string(p), "hardware_ids/tandem-") {
					continue
				}
				want := present
				if slices.Contains(every[p], "") || len(every[p]) == 0 {
					want = ""
				}
				if now != want {
					wrong = append(wrong, fmt.Sprintf("%s: %s is %s on both sides, people wrote %v", v.say(id), p, orNothing(now), every[p]))
				}
			case len(every[p]) == 0:
				if now != "" && p != "enabled" {
					wrong = append(wrong, fmt.Sprintf("%s: %s is %s on both sides, and no person wrote it", v.say(id), p, now))
				}
			case len(v.twins[id]) > 1 && slices.Contains(every[p], now): // made anew there: its last word may have gone with the old one
			case !slices.Contains(last[p], now) && !v.chosen(id, p, now):
				wrong = append(wrong, fmt.Sprintf("%s: %s is %s on both sides, the last words were %v", v.say(id), p, orNothing(now), last[p]))
			default:
				if by := v.revived(id, p, now); by != "" {
					wrong = append(wrong, fmt.Sprintf("%s: %s is %s on both sides again, though it was replaced %s", v.say(id), p, orNothing(now), by))
				}
			}
		}
	}
	return wrong
}

// revived says where a person replaced a value that stands again, "" for nowhere. The value was the last
// word of one side; a person on the other side saw it, and wrote over it; no conflict brought it back.
func (v *view) revived(id string, p tandem.Path, now string) string {
	if v.keeps(id, p, now, true) || v.keeps(id, p, now, false) || len(v.twins[id]) > 1 {
		return ""
	}
	for _, x := range v.twins[id] {
		here, there := v.by[key(tandem.LocalSide, id)], v.by[key(tandem.RemoteSide, x)]
		if replaced(here, there, p, now) {
			return "here"
		}
		if replaced(there, here, p, now) {
			return "there"
		}
	}
	return ""
}

// replaced reports whether people on one side had the last word against a value that is the other side's.
func replaced(side, other []mutation, p tandem.Path, value string) bool {
	last := func(list []mutation) (m mutation, ok bool) {
		for _, x := range list {
			if x.By == person && x.Path == p {
				m, ok = x, true
			}
		}
		return m, ok
	}
	mine, ok := last(side)
	theirs, said := last(other)
	return ok && said && mine.After != value && theirs.After == value &&
		slices.ContainsFunc(side, func(m mutation) bool {
			return m.By == person && m.Path == p && m.Before == value && m.At > theirs.At
		})
}

// words gives what people wrote of a device by path: the last value on each side, and all values.
func (v *view) words(id string) (last, every map[tandem.Path][]string) {
	last, every = map[tandem.Path][]string{}, map[tandem.Path][]string{}
	side := func(mutations []mutation) {
		final := map[tandem.Path]string{}
		for _, m := range mutations {
			if m.By == person {
				final[m.Path] = m.After
				every[m.Path] = append(every[m.Path], m.After)
			}
		}
		for p, value := range final {
			last[p] = append(last[p], value)
		}
	}
	side(v.by[key(tandem.LocalSide, id)])
	for _, x := range v.twins[id] {
		side(v.by[key(tandem.RemoteSide, x)])
	}
	return last, every
}

func (v *view) racedAny(id string, p tandem.Path) bool {
	return slices.ContainsFunc(v.twins[id], func(x string) bool { return v.raced(x, p) })
}
