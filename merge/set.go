package merge

import (
	"slices"

	"tandem"
)

// sameSet compares sets (S6). Sets are small and mostly in the same order; nothing is allocated then.
func sameSet(a, b []string) bool {
	if slices.Equal(a, b) {
		return true
	}
	if len(a) > 16 || len(b) > 16 {
		return slices.Equal(sortedSet(a), sortedSet(b))
	}
	for _, e := range a {
		if !slices.Contains(b, e) {
			return false
		}
	}
	for _, e := range b {
		if !slices.Contains(a, e) {
			return false
		}
	}
	return true
}

// set merges a set by element (S2, S4): each is there or not, so where the sides differ at most one has changed.
// An edit says the whole new set; both sides' edits aim at the same one.
func (m *merger) set(f tandem.Field) {
	p := tandem.Path(f.String())
	local, remote := setOf(&m.s.Local, f), setOf(&m.s.Remote, f)
	based := m.s.Base.Local.Known.Has(f)
	var baseLocal, baseRemote []string
	if based {
		baseLocal, baseRemote = setOf(&m.s.Base.Local, f), setOf(&m.s.Base.Remote, f)
	}
	changed := !based || !slices.Equal(local, baseLocal) || !slices.Equal(remote, baseRemote)
	if m.hold(p) == ByHand && !m.p.Force && changed && !slices.Equal(local, remote) {
		c := Conflict{Path: p, Type: tandem.InitialMismatch, Local: local, Remote: remote}
		if based {
			c.Type, c.Base = tandem.ConcurrentModification, baseLocal
		}
		m.res.Conflicts = append(m.res.Conflicts, c)
		return
	}

	newLocal, newRemote := []string{}, []string{}
	newBaseLocal, newBaseRemote := []string{}, []string{}
	held := false
	for _, e := range sortedSet(slices.Concat(baseLocal, baseRemote, local, remote)) {
		inLocal, inRemote := has(local, e), has(remote, e)
		inBaseLocal, inBaseRemote := has(baseLocal, e), has(baseRemote, e)
		afterLocal, afterRemote := inLocal, inRemote
		switch way := m.element(inBaseLocal, inBaseRemote, inLocal, inRemote); {
		case m.held(way):
			held = true
		case way == toLocal:
			afterLocal = inRemote
		case way == toRemote:
			afterRemote = inLocal
		}
		if afterLocal == inRemote { // agreed, before the remote has heard of anything
			inBaseLocal, inBaseRemote = afterLocal, inRemote
		}
		newLocal, newRemote = with(newLocal, e, afterLocal), with(newRemote, e, afterRemote)
		newBaseLocal, newBaseRemote = with(newBaseLocal, e, inBaseLocal), with(newBaseRemote, e, inBaseRemote)
	}

	if !slices.Equal(newLocal, local) {
		m.res.Local = append(m.res.Local, Edit{Path: p, Before: local, After: newLocal, At: m.editedAt(f)})
		putSet(&m.res.After, f, newLocal)
	}
	if !slices.Equal(newRemote, remote) {
		m.res.Remote = append(m.res.Remote, Edit{Path: p, Before: remote, After: newRemote})
	}
	if held {
		m.drift(p, newLocal, newRemote)
	}
	if !based || !slices.Equal(newBaseLocal, baseLocal) || !slices.Equal(newBaseRemote, baseRemote) {
		putSet(&m.res.Base.Local, f, newBaseLocal)
		putSet(&m.res.Base.Remote, f, newBaseRemote)
		m.res.BaseMoved = true
	}
}

// element says where one element's presence or absence has to go.
func (m *merger) element(baseLocal, baseRemote, local, remote bool) flow {
	switch {
	case local == remote:
		return stay
	case m.p.Force && m.p.Direction == tandem.Import:
		return toLocal
	case m.p.Force:
		return toRemote
	case baseLocal != baseRemote:
		return stay // kept apart by a person (S10)
	case local != baseLocal:
		return toRemote
	}
	return toLocal
}

// has reports whether a sorted set holds e.
func has(set []string, e string) bool {
	_, ok := slices.BinarySearch(set, e)
	return ok
}

// with gives the set with e at its end, when it is in.
func with(set []string, e string, in bool) []string {
	if in {
		return append(set, e)
	}
	return set
}

// setOf gives a set field, sorted.
func setOf(side *tandem.Shared, f tandem.Field) []string {
	if f == tandem.FieldTags {
		return sortedSet(side.Tags)
	}
	return sortedSet(side.HardwareIDs)
}

// putSet sets a set field.
func putSet(side *tandem.Shared, f tandem.Field, set []string) {
	if f == tandem.FieldTags {
		side.Tags = set
	} else {
		side.HardwareIDs = set
	}
	side.Known = side.Known.With(f)
}
